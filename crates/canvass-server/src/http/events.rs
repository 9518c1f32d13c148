//! The route of events: what happened in all polls, by a cursor.

use std::num::NonZeroU64;

use axum::{http::StatusCode, response::Response};
use canvass_domain::{PollId, key::Scope};
use serde::Deserialize;

use crate::{
    app::App,
    http::{ask::Ask, reply},
    limits::{EVENTS_PAGE_DEFAULT, EVENTS_PAGE_MAX},
    service::{
        Failure,
        events::{EventKind, Wanted},
    },
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventsQuery {
    after: Option<String>,
    limit: Option<String>,
    types: Option<String>,
    polls: Option<String>,
    every_votes: Option<String>,
}

/// What happened in all polls, oldest first
///
/// Steps in polls' lives, and `results.changed` after each so many records of a poll. Who keeps `nextAfter` and sends it
/// as `after` misses nothing, whatever happens in between; the same events come by webhooks.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/events", tag = "webhooks",
    params(
        ("after" = Option<u64>, Query, description = "`nextAfter` of the page before; from the beginning, if absent"),
        ("limit" = Option<usize>, Query, description = "Events of a page, 1 to 1,000; 100 if absent", minimum = 1, maximum = 1000),
        ("types" = Option<String>, Query, description = "Only these, with commas between; if absent, all"),
        ("polls" = Option<String>, Query, description = "Only in these, with commas between; if absent, all"),
        ("everyVotes" = Option<u64>, Query, description = "`results.changed` after each so many records of a poll; none if absent"),
    ),
    responses((status = 200, description = "A page of events", body = crate::service::events::EventPage), crate::http::openapi::EventProblems)))]
pub(crate) async fn list_all_events(app: App, ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::PollsRead)?;
    let query: EventsQuery = ask.query()?;
    let after = query.after.as_deref().map(str::parse).transpose();
    let after: Option<u64> =
        after.map_err(|_| Failure::invalid("after", "a position, as nextAfter gives it"))?;
    let limit = query.limit.as_deref().map_or(Ok(EVENTS_PAGE_DEFAULT), read_limit)?;
    let every_votes: Option<Result<NonZeroU64, _>> = query.every_votes.as_deref().map(str::parse);
    let every_votes =
        every_votes.transpose().map_err(|_| Failure::invalid("everyVotes", "a number above zero"))?;
    if every_votes.is_some() {
        ask.caller.require(Scope::ResultsRead)?;
    }
    let kinds = query.types.as_deref().map_or_else(|| Ok(EventKind::ALL.to_vec()), read_kinds)?;
    let polls = query.polls.as_deref().map_or_else(|| Ok(Vec::new()), read_polls)?;
    let page = app.list_all_events(after, limit, &Wanted { kinds, polls, every_votes }).await?;
    Ok(reply::json(StatusCode::OK, &page))
}

fn read_limit(text: &str) -> Result<usize, Failure> {
    let limit = text.parse().ok().filter(|limit| (1..=EVENTS_PAGE_MAX).contains(limit));
    limit.ok_or_else(|| Failure::invalid("limit", format!("1 to {EVENTS_PAGE_MAX}")))
}

fn read_kinds(text: &str) -> Result<Vec<EventKind>, Failure> {
    let unknown = || {
        let names: Vec<_> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
        Failure::invalid("types", format!("of {}, with commas between", names.join(", ")))
    };
    text.split(',').map(|name| EventKind::named(name).ok_or_else(unknown)).collect()
}

fn read_polls(text: &str) -> Result<Vec<PollId>, Failure> {
    let wrong = |_| Failure::invalid("polls", "ids of polls, with commas between");
    text.split(',').map(|id| id.parse().map_err(wrong)).collect()
}
