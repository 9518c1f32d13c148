//! The routes of results.

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, ETAG},
    },
    response::Response,
};
use canvass_domain::{Sequence, key::Scope, results::TimelineWidth};
use serde::Deserialize;

use crate::{
    app::App,
    http::{ask::Ask, reply},
    limits::SHORT_POLLING_CACHE_SECONDS,
    service::{
        Failure,
        results::{Seen, Viewer},
        vote_request::Text,
        votes::read_voter,
    },
};

#[derive(Deserialize)]
pub(crate) struct ResultsQuery {
    voter: Option<String>,
    reveal: Option<String>,
    by: Option<String>,
    step: Option<String>,
}

/// Read the results
///
/// For anyone in a `public` or `open` poll, else for keys with the scope `results:read`, within the poll's
/// `resultsVisible`: where the count may not be seen, `visible` is false and only the turnout is told.
///
/// Methods that rank add `rounds` and `pairwise`, and so does STAR; methods that add up scores, points, dots or votes
/// add `total` to each option, and `score` its `mean` too. The count of a poll with very many different ballots may be
/// up to half a second, or a few times as long as counting takes, behind the votes while it takes them; `sequence`
/// says what is counted.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/polls/{poll}/results", tag = "results",
    params(("poll" = String, Path, description = "The poll's id"),
        ("voter" = Option<String>, Query, description = "In a poll whose results are for those who have voted: the voter to show them to (scope votes:read)"),
        ("reveal" = Option<bool>, Query, description = "Show the count against the poll's rule (scope admin)"),
        ("if-none-match" = Option<String>, Header, description = "The ETag of the results that the caller has")),
    responses((status = 200, description = "The results", body = canvass_domain::results::Results, headers(("etag" = String, description = "Their sequence"))),
        (status = 304, description = "Nothing has changed since the ETag in `If-None-Match`"), crate::http::openapi::ReadProblems)))]
pub(crate) async fn read_results(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let query = ask.query()?;
    let seen = see(&app, &mut ask, &query).await?;
    let (json, sequence) = app.results_json(&seen).await?;
    let tag = tag(&seen, sequence);
    let mut response = reply::json_bytes(StatusCode::OK, json);
    mark(&mut response, &app, &seen, &tag);
    Ok(if ask.has(&tag) { reply::not_modified(&response) } else { response })
}

/// Break the results down by one demographic dimension
///
/// Figures below the poll's `minimumCell` are null, and so are as many others that none can be found by subtracting. In
/// such a poll a figure that was shown stays until `minimumCell` ballots have come to it, so that two answers do not
/// tell of one vote.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/polls/{poll}/breakdown", tag = "results",
    params(("poll" = String, Path, description = "The poll's id"),
        ("by" = String, Query, description = "One of the poll's dimensions"),
        ("reveal" = Option<bool>, Query, description = "Show the count against the poll's rule (scope admin)")),
    responses((status = 200, description = "Options by values", body = canvass_domain::results::BreakdownView), crate::http::openapi::CountProblems)))]
pub(crate) async fn read_breakdown(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let query: ResultsQuery = ask.query()?;
    let by = query.by.as_deref().ok_or_else(|| Failure::invalid("by", "say which dimension"))?;
    let seen = see(&app, &mut ask, &query).await?;
    let view = app.breakdown(&seen, by)?;
    Ok(answer_derived(&app, &ask, &seen, &view))
}

/// Read the votes over time
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/polls/{poll}/timeline", tag = "results",
    params(("poll" = String, Path, description = "The poll's id"),
        ("step" = Option<String>, Query, description = "`minute`, `hour` (if absent) or `day`"),
        ("reveal" = Option<bool>, Query, description = "Show the votes against the poll's rule (scope admin)")),
    responses((status = 200, description = "Votes by step", body = canvass_domain::results::TimelineView), crate::http::openapi::CountProblems)))]
pub(crate) async fn read_timeline(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let query: ResultsQuery = ask.query()?;
    let width = match query.step.as_deref() {
        Some("minute") => TimelineWidth::Minute,
        None | Some("hour") => TimelineWidth::Hour,
        Some("day") => TimelineWidth::Day,
        Some(_) => return Err(Failure::invalid("step", "minute, hour or day")),
    };
    let seen = see(&app, &mut ask, &query).await?;
    let view = seen.timeline(width)?;
    Ok(answer_derived(&app, &ask, &seen, &view))
}

/// Fold the ledger again and compare
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/polls/{poll}/recount", tag = "results",
    params(("poll" = String, Path, description = "The poll's id")),
    responses((status = 200, description = "What was found", body = crate::service::recount::RecountView), crate::http::openapi::ReadProblems)))]
pub(crate) async fn recount_poll(app: App, mut ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::PollsWrite)?;
    let id = ask.poll()?;
    let found = app.recount(&id).await?;
    Ok(reply::json(StatusCode::OK, &found))
}

/// What the caller may see of the poll that the path names.
pub(crate) async fn see(app: &App, ask: &mut Ask, query: &ResultsQuery) -> Result<Seen, Failure> {
    let id = ask.poll()?;
    let voter = query.voter.as_deref().map(|voter| Text(voter.into()));
    let reveal = match query.reveal.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Failure::invalid("reveal", "true or false")),
    };
    let voter = read_voter(voter.as_ref())?;
    let viewer = Viewer { caller: &ask.caller, code: ask.code(), holder: None, voter, reveal };
    app.see(&id, &viewer).await
}

/// Equal sequences mean equal bodies; a body without the count is another one.
fn tag(seen: &Seen, sequence: Sequence) -> String {
    if seen.visible { format!("\"{sequence}\"") } else { format!("\"{sequence}-turnout\"") }
}

fn mark(response: &mut Response, app: &App, seen: &Seen, tag: &str) {
    let caching = match (seen.restricted, app.parts.settings.short_polling) {
        (true, _) => HeaderValue::from_static("private, no-cache"),
        (false, false) => HeaderValue::from_static("no-cache"),
        (false, true) => caching_for(SHORT_POLLING_CACHE_SECONDS),
    };
    response.headers_mut().insert(CACHE_CONTROL, caching);
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
}

fn caching_for(seconds: u32) -> HeaderValue {
    HeaderValue::try_from(format!("public, max-age={seconds}")).expect("a number is no control character")
}

fn answer_derived<T: serde::Serialize>(app: &App, ask: &Ask, seen: &Seen, view: &T) -> Response {
    let tag = tag(seen, seen.snapshot.tally.sequence);
    let mut response = reply::json(StatusCode::OK, view);
    mark(&mut response, app, seen, &tag);
    if ask.has(&tag) { reply::not_modified(&response) } else { response }
}
