//! Votes over time: the picture, its controls, and the same as a table.

use canvass_domain::{
    Timestamp,
    results::{TimelineRow, TimelineView, TimelineWidth},
};

use super::{
    Block, STEPS, Told,
    chart::{Chart, seconds},
    plain, step_name,
    tables::{Cell, Head, Row, Table},
    written,
};
use crate::{http::pages::words, limits::CHART_STEPS_MAX, service::Failure};

/// Votes over a stretch of time.
pub(super) struct OverTime {
    pub(super) chart: Chart,
    pub(super) step: &'static str,
    pub(super) steps: Vec<StepLink>,
    pub(super) query: String,
    pub(super) most: String,
    pub(super) picture: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) from_field: String,
    pub(super) to_field: String,
    pub(super) is_zoomed: bool,
    pub(super) table: Block,
}

pub(super) struct StepLink {
    pub(super) name: &'static str,
    pub(super) query: String,
    pub(super) is_shown: bool,
}

impl Told<'_> {
    /// Votes over the time that the address asks for; none before the first.
    pub(super) fn over_time(&self) -> Result<Option<OverTime>, Failure> {
        let days = self.seen.timeline(TimelineWidth::Hour)?;
        let (Some(first), Some(last)) = (days.steps.first(), days.steps.last()) else { return Ok(None) };
        let (asked_from, asked_to) = (self.query.second("from")?, self.query.second("to")?);
        let from = asked_from.unwrap_or(first.at.seconds());
        let to = asked_to.unwrap_or(last.at.seconds() + 3_599).max(from);
        let width = self.query.step()?.unwrap_or_else(|| fitting(to - from));
        let width = if (to - from) / seconds(width) > CHART_STEPS_MAX { fitting(to - from) } else { width };
        let view = self.seen.timeline(width)?;
        Ok(Some(self.drawn(&view, width, (from, to), asked_from.or(asked_to).is_some())))
    }

    fn drawn(
        &self,
        view: &TimelineView,
        width: TimelineWidth,
        (from, to): (i64, i64),
        is_zoomed: bool,
    ) -> OverTime {
        let (t, texts) = (self.t, &self.a.time);
        let chart = Chart::new(&view.steps, width, from, to);
        let (first, last) = (at(chart.from), at(chart.to));
        let (from_field, to_field) = (field(first), field(last));
        let range = if is_zoomed {
            vec![("from", from_field.as_str()), ("to", to_field.as_str())]
        } else {
            Vec::new()
        };
        let query = |step| written(&[&range[..], &[("step", step_name(step))]].concat());
        let name = |step| match step {
            TimelineWidth::Minute => texts.minute.as_str(),
            TimelineWidth::Hour => &texts.hour,
            TimelineWidth::Day => &texts.day,
        };
        let fits = |step: &TimelineWidth| (chart.to - chart.from) / seconds(*step) <= CHART_STEPS_MAX;
        let link = |step| StepLink { name: name(step), query: query(step), is_shown: step == width };
        let moments = [("from", from_field.replace('T', " ")), ("to", to_field.replace('T', " "))];
        OverTime {
            step: step_name(width),
            steps: STEPS.into_iter().filter(fits).map(link).collect(),
            query: query(width),
            most: texts.most.fill(&[("votes", &t.number.whole(chart.most))]),
            picture: texts.picture.fill(&[("from", &moments[0].1), ("to", &moments[1].1)]),
            from: words::time(first),
            to: words::time(last),
            table: self.timeline_block(view, &chart),
            from_field,
            to_field,
            is_zoomed,
            chart,
        }
    }

    fn timeline_block(&self, view: &TimelineView, chart: &Chart) -> Block {
        let texts = &self.a.time;
        let row = |step: &TimelineRow| Row {
            head: Head::Time(step.at),
            cells: [step.votes, step.changed, step.withdrawn].map(|votes| Cell::count(Some(votes))).to_vec(),
        };
        let shown = view.steps.iter().filter(|step| (chart.from..chart.to).contains(&step.at.seconds()));
        let table = Table {
            corner: texts.begins.clone(),
            columns: [&texts.cast, &texts.changed, &texts.withdrawn].map(|text| plain(text)).into(),
            rows: shown.map(row).collect(),
        };
        Block {
            id: "time".into(),
            heading: String::new(),
            notes: Vec::new(),
            table: Some(table),
            query: String::new(),
        }
    }
}

/// The finest steps of which a picture holds so many seconds.
fn fitting(seconds: i64) -> TimelineWidth {
    match seconds {
        ..=43_200 => TimelineWidth::Minute,
        43_201..=2_592_000 => TimelineWidth::Hour,
        _ => TimelineWidth::Day,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::default().plus_seconds(second)
}

/// A moment as a field of a form has it.
fn field(moment: Timestamp) -> String {
    moment.to_string().get(..16).unwrap_or_default().to_owned()
}
