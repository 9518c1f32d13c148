//! What voters told of themselves: by one dimension, crossed, and filtered.

use canvass_domain::{
    crossing::{CrossTable, Crossing},
    poll::PollOption,
    results::{BreakdownView, breakdown},
};

use super::{
    Block, Told, plain,
    tables::{Cell, Column, Head, Row, Table},
    written,
};
use crate::{
    app::App,
    limits::{ANALYTICS_FIGURES_MAX, CROSS_FILTERS_MAX},
    service::Failure,
};

/// The form to cross dimensions with, or why there is none.
pub(super) struct Cross {
    pub(super) refused: Option<&'static str>,
    pub(super) fields: Vec<Field>,
    pub(super) table: Option<Block>,
}

pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) parameter: &'static str,
    pub(super) choices: Vec<Choice>,
}

pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) is_chosen: bool,
}

impl Told<'_> {
    /// A breakdown as a page shows it. One that is too long for it is not made either: what to hide in it takes time.
    pub(super) fn breakdown_block(&self, place: usize, by: &str) -> Result<Block, Failure> {
        let texts = &self.a.breakdown;
        let values = self.seen.snapshot.tally.breakdowns.get(place).map_or(0, |known| known.values.len());
        let is_short = values * self.poll().options.len() <= ANALYTICS_FIGURES_MAX;
        let (table, notes) = if is_short {
            let (table, notes) = self.breakdown(by)?;
            (Some(table), [texts.note.clone()].into_iter().chain(notes).collect())
        } else {
            (None, Vec::new())
        };
        Ok(Block {
            id: format!("by-{place}"),
            heading: texts.heading.fill(&[("dimension", by)]),
            notes,
            table,
            query: written(&[("table", "breakdown"), ("by", by), ("format", "csv")]),
        })
    }

    /// A breakdown, and what is to be said of it.
    pub(super) fn breakdown(&self, by: &str) -> Result<(Table, Vec<String>), Failure> {
        let view = self.app.breakdown(self.seen, by)?;
        let mut rows: Vec<_> =
            view.values.iter().map(|row| (row.value.as_str(), row.votes, &row.options[..])).collect();
        let unanswered = self.unanswered(&view);
        rows.push((&self.a.breakdown.unanswered, view.unanswered, &unanswered));
        let row = |(value, votes, options): (&str, Option<u64>, &[Option<u64>])| {
            let part = |at| options.get(at).map_or(Cell::Nothing, |figure| Cell::part(*figure, votes));
            let parts = (0..view.options.len()).map(part);
            Row {
                head: Head::Text(value.to_owned()),
                cells: [Cell::count(votes)].into_iter().chain(parts).collect(),
            }
        };
        let rows = rows.into_iter().map(row).collect();
        let table = Table { corner: by.to_owned(), columns: self.option_columns(), rows };
        let notes = self.notes_of_hidden(&table, Some(&view));
        Ok((table, notes))
    }

    /// Which options those marked who told nothing: what is left of each option's votes. Nothing where small groups are
    /// hidden, since it would tell of them, and where votes have weights, since the results do not count ballots then.
    fn unanswered(&self, view: &BreakdownView) -> Vec<Option<u64>> {
        if self.poll().minimum_cell > 0 || self.poll().weighted {
            return Vec::new();
        }
        let told =
            |at: usize| -> Option<u64> { view.values.iter().map(|row| row.options.get(at).copied()?).sum() };
        let marks = self.seen.snapshot.tally.options.iter().map(|total| total.whole_votes());
        marks.enumerate().map(|(at, marks)| marks?.checked_sub(told(at)?)).collect()
    }

    /// The ballots of a row, and how many mark each option.
    fn option_columns(&self) -> Vec<Column> {
        let option = |option: &PollOption| Column { heading: option.label.clone(), has_shares: true };
        [plain(&self.a.breakdown.ballots)].into_iter().chain(self.poll().options.iter().map(option)).collect()
    }

    fn notes_of_hidden(&self, table: &Table, breakdown_shown: Option<&BreakdownView>) -> Vec<String> {
        let (texts, least) = (&self.a.page, self.t.number.whole(self.poll().minimum_cell.into()));
        let hidden = table.has_hidden().then_some(&texts.hidden);
        // After the end only those figures are held that were shown before.
        let is_held = |view: &BreakdownView| {
            let exact = breakdown(self.poll(), &self.seen.snapshot.tally, &view.by);
            !self.poll().status.is_over() || exact.is_some_and(|exact| exact.values != view.values)
        };
        let held = breakdown_shown
            .filter(|view| self.poll().minimum_cell > 0 && is_held(view))
            .map(|_| if self.poll().status.is_over() { &texts.held_over } else { &texts.held });
        hidden.into_iter().chain(held).map(|text| text.fill(&[("least", &least)])).collect()
    }

    /// The form to cross with, for callers with a key, and the table that they ask for.
    pub(super) async fn cross(&self) -> Result<Option<Cross>, Failure> {
        let texts = &self.a.cross;
        let dimensions: Vec<&str> = self.poll().demographics.keys().map(String::as_str).collect();
        let refused = match App::may_cross(self.seen, self.caller) {
            _ if dimensions.is_empty() => return Ok(None),
            Ok(()) => None,
            Err(Failure::ResultsHidden(_)) if self.poll().status.is_over() => Some(texts.large.as_str()),
            Err(Failure::ResultsHidden(_)) => Some(texts.later.as_str()),
            Err(_) => return Ok(None),
        };
        if refused.is_some() {
            return Ok(Some(Cross { refused, fields: Vec::new(), table: None }));
        }
        Ok(Some(Cross { refused, fields: self.cross_fields(&dimensions), table: self.crossed().await? }))
    }

    fn cross_fields(&self, dimensions: &[&str]) -> Vec<Field> {
        let texts = &self.a.cross;
        let choice =
            |value: String, label: String, chosen: &str| Choice { is_chosen: value == chosen, value, label };
        let names = |chosen: &str| {
            dimensions.iter().map(|name| choice((*name).into(), (*name).into(), chosen)).collect::<Vec<_>>()
        };
        let (rows, columns) =
            (self.query.get("rows").unwrap_or_default(), self.query.get("columns").unwrap_or_default());
        let mut columns_choices = vec![choice(String::new(), texts.options.clone(), columns)];
        columns_choices.extend(names(columns));
        let filters = |at: usize| {
            let chosen = self.query.all("where").nth(at).unwrap_or_default();
            let mut choices = vec![choice(String::new(), texts.everyone.clone(), chosen)];
            for (dimension, known) in dimensions.iter().zip(&self.seen.snapshot.tally.breakdowns) {
                let pair = |value: &str| (format!("{dimension}={value}"), format!("{dimension}: {value}"));
                let known = known.nameable(self.poll().minimum_cell);
                choices
                    .extend(known.into_keys().map(pair).map(|(value, label)| choice(value, label, chosen)));
            }
            choices
        };
        vec![
            Field { name: &texts.rows, parameter: "rows", choices: names(rows) },
            Field { name: &texts.columns, parameter: "columns", choices: columns_choices },
            Field { name: &texts.filter, parameter: "where", choices: filters(0) },
            Field { name: &texts.also, parameter: "where", choices: filters(1) },
        ]
    }

    /// The cross-table that the address asks for.
    pub(super) async fn crossed(&self) -> Result<Option<Block>, Failure> {
        let Some(rows) = self.query.get("rows").filter(|rows| !rows.is_empty()) else { return Ok(None) };
        let columns = self.query.get("columns").filter(|columns| !columns.is_empty());
        let filters: Vec<&str> = self.query.all("where").filter(|filter| !filter.is_empty()).collect();
        let crossing = Crossing {
            rows: self.dimension("rows", rows)?,
            columns: columns.map(|columns| self.dimension("columns", columns)).transpose()?,
            filters: filters.iter().map(|filter| self.filter(filter)).collect::<Result<_, _>>()?,
        };
        if crossing.filters.len() > CROSS_FILTERS_MAX {
            return Err(Failure::invalid("where", format!("{CROSS_FILTERS_MAX} filters at most")));
        }
        let crossed = self.app.cross(self.seen, self.caller, &crossing).await?;
        let table = self.cross_table(rows, &crossing, &crossed);
        let mut pairs = vec![
            ("table", "cross"),
            ("format", "csv"),
            ("rows", rows),
            ("columns", columns.unwrap_or_default()),
        ];
        pairs.extend(filters.iter().map(|filter| ("where", *filter)));
        let notes = [self.a.breakdown.note.clone()].into_iter().chain(self.notes_of_hidden(&table, None));
        Ok(Some(Block {
            id: "cross".into(),
            heading: String::new(),
            notes: notes.collect(),
            query: written(&pairs),
            table: Some(table),
        }))
    }

    fn cross_table(&self, rows: &str, crossing: &Crossing, crossed: &CrossTable) -> Table {
        let unanswered = &self.a.breakdown.unanswered;
        let told = crossed
            .columns
            .iter()
            .chain([unanswered])
            .map(|value| Column { heading: value.clone(), has_shares: true });
        let columns = match crossing.columns {
            None => self.option_columns(),
            Some(_) => [plain(&self.a.breakdown.ballots)].into_iter().chain(told).collect(),
        };
        let row = |(value, figures): (&String, &Vec<Option<u64>>)| {
            let votes = figures.first().copied().flatten();
            let parts = figures.iter().skip(1).map(|figure| Cell::part(*figure, votes));
            Row {
                head: Head::Text(value.clone()),
                cells: [Cell::count(votes)].into_iter().chain(parts).collect(),
            }
        };
        let values = crossed.rows.iter().chain([unanswered]);
        Table { corner: rows.to_owned(), columns, rows: values.zip(&crossed.figures).map(row).collect() }
    }

    fn dimension(&self, field: &'static str, name: &str) -> Result<usize, Failure> {
        let place = self.poll().demographics.keys().position(|known| known == name);
        place.ok_or_else(|| Failure::invalid(field, "names a dimension that the poll does not declare"))
    }

    /// A filter, `dimension=value`. A dimension's name may hold a `=` itself.
    fn filter(&self, text: &str) -> Result<(usize, String), Failure> {
        let read = |(place, name): (usize, &String)| {
            Some((place, text.strip_prefix(name.as_str())?.strip_prefix('=')?.to_owned()))
        };
        let found = self.poll().demographics.keys().enumerate().find_map(read);
        found.ok_or_else(|| {
            Failure::invalid("where", "write dimension=value, with a dimension that the poll declares")
        })
    }
}
