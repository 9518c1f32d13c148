//! The analytics of a poll: when its votes came, what voters told of themselves, and another poll beside it. Whoever may
//! see the results may see them; what is folded from the records is for callers with a key.

mod chart;
mod comparison;
mod dimensions;
mod over_time;
mod tables;
mod texts;

use std::collections::HashSet;

use askama::Template;
use axum::{http::StatusCode, response::Response};
use canvass_domain::{Poll, PollId, Timestamp, results::TimelineWidth};

use self::{
    dimensions::Cross,
    over_time::OverTime,
    tables::{Column, Table, file},
    texts::AnalyticsTexts,
};
use super::{Notice, results::hidden, show, texts::PageTexts, vote};
use crate::{
    app::App,
    http::{ask::Ask, speech::Speech},
    service::{
        Caller, Failure,
        results::{Seen, Viewer},
    },
};

#[derive(Template)]
#[template(path = "analytics.html")]
struct AnalyticsPage<'a> {
    t: &'static PageTexts,
    a: &'static AnalyticsTexts,
    title: String,
    poll: &'a Poll,
    votes: String,
    votes_word: String,
    time: Option<OverTime>,
    breakdowns: Vec<Block>,
    cross: Option<Cross>,
    with: String,
    comparison: Option<Block>,
}

/// A table with what is said of it.
struct Block {
    /// What it is called within the page.
    id: String,
    heading: String,
    notes: Vec<String>,
    /// None if it is too long for a page.
    table: Option<Table>,
    /// The query that downloads it.
    query: String,
}

/// The analytics of a poll, or one of its tables or its picture as a file.
pub(crate) async fn read_analytics(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let id = ask.poll()?;
    let seen = see(&app, &mut ask, &id).await?;
    let query = Query::of(&ask);
    let (language, a) = AnalyticsTexts::of(ask.speech.language);
    let speech = ask.speech.in_language(language);
    if !seen.visible {
        return Ok(refuse_hidden(&seen.snapshot.poll, speech));
    }
    let other = match query.get("with").filter(|with| !with.is_empty()) {
        Some(with) => see_other(&app, &mut ask, with).await?,
        None => None,
    };
    let told = Told {
        app: &app,
        caller: &ask.caller,
        seen: &seen,
        other: other.as_ref(),
        query: &query,
        t: PageTexts::of(language),
        a,
    };
    match (query.get("format"), query.get("table")) {
        (None | Some(""), _) => told.page(speech).await,
        (Some("svg"), _) => told.picture(),
        (Some("csv"), Some(name)) => {
            let table = told.table(name).await?;
            Ok(table.csv(&format!("{id}-{name}.csv"), &a.page.share))
        }
        _ => {
            Err(Failure::invalid("format", "svg, or csv with table=timeline, breakdown, cross or comparison"))
        }
    }
}

async fn see(app: &App, ask: &mut Ask, id: &PollId) -> Result<Seen, Failure> {
    let poll = app.poll(id).await?;
    let holder = vote::holder(app, &poll, &*ask);
    let viewer = Viewer { caller: &ask.caller, code: None, holder, voter: None, reveal: false };
    app.see(id, &viewer).await
}

/// Another poll, if the caller may see its count.
async fn see_other(app: &App, ask: &mut Ask, with: &str) -> Result<Option<Seen>, Failure> {
    let Ok(id) = with.parse() else { return Ok(None) };
    match see(app, ask, &id).await {
        Ok(other) => Ok(Some(other).filter(|other| other.visible)),
        Err(Failure::MissingKey | Failure::MissingScope(_) | Failure::Refused(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn refuse_hidden(poll: &Poll, speech: Speech) -> Response {
    let t = PageTexts::of(speech.language);
    let (heading, text) = (&t.notice.not_yours, hidden(t, poll));
    show(speech, StatusCode::FORBIDDEN, &Notice { t, speech, heading, text, poll: Some(poll.id.as_str()) })
}

/// What the address asks for, as names with values.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(ask: &Ask) -> Self {
        Self(
            form_urlencoded::parse(ask.head.uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect(),
        )
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A second of UTC, as a form writes it, or as RFC 3339.
    fn second(&self, name: &'static str) -> Result<Option<i64>, Failure> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let text = if text.len() == 16 { format!("{text}:00Z") } else { text.to_owned() };
        let read = text.parse::<Timestamp>().map(Timestamp::seconds);
        read.map(Some).map_err(|error| Failure::invalid(name, error.to_string()))
    }

    fn step(&self) -> Result<Option<TimelineWidth>, Failure> {
        let Some(text) = self.get("step").filter(|text| !text.is_empty()) else { return Ok(None) };
        let known = STEPS.into_iter().find(|step| step_name(*step) == text);
        known.map(Some).ok_or_else(|| Failure::invalid("step", "minute, hour or day"))
    }
}

const STEPS: [TimelineWidth; 3] = [TimelineWidth::Minute, TimelineWidth::Hour, TimelineWidth::Day];

fn step_name(step: TimelineWidth) -> &'static str {
    match step {
        TimelineWidth::Minute => "minute",
        TimelineWidth::Hour => "hour",
        TimelineWidth::Day => "day",
    }
}

/// Names with values as a query.
fn written(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// A poll that is told of, and how.
struct Told<'a> {
    app: &'a App,
    caller: &'a Caller,
    seen: &'a Seen,
    /// The poll to compare with.
    other: Option<&'a Seen>,
    query: &'a Query,
    t: &'static PageTexts,
    a: &'static AnalyticsTexts,
}

impl Told<'_> {
    async fn page(&self, speech: Speech) -> Result<Response, Failure> {
        let (t, a, poll) = (self.t, self.a, self.poll());
        let breakdowns = poll.demographics.keys().enumerate().map(|(at, by)| self.breakdown_block(at, by));
        let mut breakdowns = breakdowns.collect::<Result<Vec<_>, _>>()?;
        let mut said = HashSet::new();
        breakdowns.iter_mut().for_each(|block| block.notes.retain(|note| said.insert(note.clone())));
        let with = self.query.get("with").unwrap_or_default();
        let page = AnalyticsPage {
            t,
            a,
            title: a.page.title.fill(&[("title", &poll.title)]),
            poll,
            votes: t.number.whole(self.seen.snapshot.tally.votes),
            votes_word: t.count(&t.results.votes, self.seen.snapshot.tally.votes),
            time: self.over_time()?,
            breakdowns,
            cross: self.cross().await?,
            with: with.to_owned(),
            comparison: self.comparison().await?,
        };
        Ok(show(speech, StatusCode::OK, &page))
    }

    fn poll(&self) -> &Poll {
        &self.seen.snapshot.poll
    }

    /// The picture as a file.
    fn picture(&self) -> Result<Response, Failure> {
        let over = self.over_time()?.ok_or_else(|| Failure::invalid("format", "there is no vote to draw"))?;
        let title = format!("{}: {}", self.poll().title, self.a.time.heading);
        let svg = over.chart.file(&title, &self.t.number.whole(over.chart.most));
        Ok(file("image/svg+xml", &format!("{}-timeline.svg", self.poll().id), svg.into_bytes()))
    }

    /// A table by its name.
    async fn table(&self, name: &str) -> Result<Table, Failure> {
        let unknown =
            || Failure::invalid("table", "timeline, breakdown, cross or comparison, with what it is of");
        let by = self.query.get("by").unwrap_or_default();
        let table = match name {
            "timeline" => self.over_time()?.ok_or_else(unknown)?.table.table,
            "breakdown" => Some(self.breakdown(by)?.0),
            "cross" => self.crossed().await?.ok_or_else(unknown)?.table,
            "comparison" => self.comparison().await?.ok_or_else(unknown)?.table,
            _ => return Err(unknown()),
        };
        table.ok_or_else(unknown)
    }
}

fn plain(heading: &str) -> Column {
    Column { heading: heading.to_owned(), has_shares: false }
}
