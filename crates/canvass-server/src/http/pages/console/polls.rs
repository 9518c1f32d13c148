//! The list of polls, with search.

use std::sync::Arc;

use askama::Template;
use axum::{http::StatusCode, response::Response};
use canvass_domain::{Poll, key::Scope, poll::Status};
use canvass_store::limits::POLLS_PAGE_MAX;
use serde::Deserialize;

use super::{ConsoleTexts, Desk, Frame, desk, go_on, moment, show};
use crate::{
    app::App,
    http::{ask::Ask, pages::texts::PageTexts},
    limits::{POLLS_PAGE_DEFAULT, POLLS_SEARCHED_MAX},
    service::Failure,
};

#[derive(Template)]
#[template(path = "console/polls.html")]
struct PollsPage {
    t: &'static PageTexts,
    c: &'static ConsoleTexts,
    frame: Frame,
    rows: Vec<Row>,
    query: String,
    /// The state that is looked for, by its name; any if empty.
    status: String,
    /// Whether anything narrows the list.
    searches: bool,
    /// Whether there are polls that were not searched.
    is_cut: bool,
    /// The address of the next page.
    next: Option<String>,
}

struct Row {
    poll: Arc<Poll>,
    status: Status,
    state: &'static str,
    access: &'static str,
    created: String,
}

#[derive(Default, Deserialize)]
struct ListQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    status: String,
    cursor: Option<String>,
    kept: Option<String>,
}

const STATUSES: [Status; 7] = [
    Status::Draft,
    Status::Scheduled,
    Status::Open,
    Status::Paused,
    Status::Closed,
    Status::Certified,
    Status::Archived,
];

impl PollsPage {
    /// The states to choose from: their names in the API and in words.
    fn statuses(&self) -> [(&'static str, &'static str); 7] {
        STATUSES.map(|status| (status.name(), self.c.status(status)))
    }
}

/// Polls, newest first.
pub(crate) async fn list_polls(app: App, ask: Ask) -> Result<Response, Failure> {
    let query: ListQuery = ask.query()?;
    if ask.caller.key.is_none() && query.kept.is_some() {
        return Ok(go_on("/console/sign-in?kept"));
    }
    let desk = match desk(&ask, Scope::PollsRead) {
        Ok(desk) => desk,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let status = STATUSES.into_iter().find(|status| status.name() == query.status);
    let found = find(&app, query.q.trim(), status, query.cursor.as_deref()).await?;
    let now = app.edge().now();
    let c = desk.c;
    let row = |poll: Arc<Poll>| {
        let status = poll.status_at(now);
        let (state, access) = (c.status(status), c.access(poll.access));
        Row { status, state, access, created: moment(poll.created_at), poll }
    };
    let next = found.next.map(|cursor| {
        let mut query_next = form_urlencoded::Serializer::new(String::from("/console?"));
        query_next.append_pair("q", query.q.trim()).append_pair("status", &query.status);
        query_next.append_pair("cursor", &cursor).finish().replacen("?&", "?", 1)
    });
    let Desk { t, speech, frame, .. } = desk;
    let page = PollsPage {
        t,
        c,
        frame,
        rows: found.polls.into_iter().map(row).collect(),
        searches: !query.q.trim().is_empty() || status.is_some() || query.cursor.is_some(),
        query: query.q,
        status: query.status,
        is_cut: found.is_cut,
        next,
    };
    Ok(show(speech, StatusCode::OK, &page))
}

struct Found {
    polls: Vec<Arc<Poll>>,
    next: Option<String>,
    is_cut: bool,
}

/// A page of polls, or where a text is searched for, those that have it, among a bounded number of the newest.
async fn find(app: &App, text: &str, status: Option<Status>, cursor: Option<&str>) -> Result<Found, Failure> {
    if text.is_empty() {
        let page = app.list_polls(status, POLLS_PAGE_DEFAULT, cursor).await?;
        return Ok(Found { polls: page.items, next: page.next_cursor, is_cut: false });
    }
    let wanted = text.to_lowercase();
    let has = |poll: &Arc<Poll>| {
        poll.title.to_lowercase().contains(&wanted) || poll.id.as_str().to_lowercase().contains(&wanted)
    };
    let mut polls = Vec::new();
    let mut cursor = cursor.map(str::to_owned);
    for _ in 0..POLLS_SEARCHED_MAX.div_ceil(POLLS_PAGE_MAX) {
        let page = app.list_polls(status, POLLS_PAGE_MAX, cursor.as_deref()).await?;
        polls.extend(page.items.into_iter().filter(|poll| has(poll)));
        let Some(next) = page.next_cursor else {
            return Ok(Found { polls, next: None, is_cut: false });
        };
        if polls.len() >= POLLS_PAGE_DEFAULT {
            return Ok(Found { polls, next: Some(next), is_cut: false });
        }
        cursor = Some(next);
    }
    Ok(Found { polls, next: None, is_cut: true })
}
