//! The routes of polls.

use axum::{
    http::{HeaderValue, StatusCode, header::LOCATION},
    response::Response,
};
use canvass_domain::{
    Sequence,
    decide::PollCommand,
    key::Scope,
    poll::{NewPoll, PollPatch, Status},
};
use canvass_store::limits::POLLS_PAGE_MAX;
use serde::Deserialize;

use crate::{
    app::App,
    http::{ask::Ask, reply},
    limits::POLLS_PAGE_DEFAULT,
    service::Failure,
};

/// Create a poll
///
/// It begins as a draft unless `status` is `open` (or `scheduled`, with `opensAt`).
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/polls", tag = "polls",
    request_body(content = NewPoll, example = json!({"title": "Lunch?", "options": [{"id": "pizza", "label": "Pizza"}, {"id": "soup", "label": "Soup"}], "status": "open"})),
    responses((status = 201, description = "The poll", body = canvass_domain::Poll, headers(("location" = String, description = "Where the poll is"), ("etag" = String, description = "Its version, and when it was created"))), crate::http::openapi::PollProblems)))]
pub(crate) async fn create_poll(app: App, mut ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::PollsWrite)?;
    let request: NewPoll = ask.json(&app).await?;
    let poll = app.create_poll(request, &ask.caller.actor()).await?;
    let mut response = reply::poll(StatusCode::CREATED, &poll);
    if let Ok(location) = HeaderValue::try_from(format!("/v1/polls/{}", poll.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

#[derive(Deserialize)]
struct ListQuery {
    status: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// List polls, newest first
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/polls", tag = "polls",
    params(
        ("status" = Option<Status>, Query, description = "Only polls that stand there"),
        ("limit" = Option<usize>, Query, description = "Polls of a page, 1 to 200; 50 if absent", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page of polls", body = crate::service::polls::PollList), crate::http::openapi::ReadProblems)))]
pub(crate) async fn list_polls(app: App, ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::PollsRead)?;
    let query: ListQuery = ask.query()?;
    let status = query.status.as_deref().map(read_status).transpose()?;
    let limit = query.limit.as_deref().map_or(Ok(POLLS_PAGE_DEFAULT), read_limit)?;
    let page = app.list_polls(status, limit, query.cursor.as_deref()).await?;
    Ok(reply::json(StatusCode::OK, &page))
}

/// Read a poll
///
/// For keys with the scope `polls:read`, and for anyone where voters need no key, once it is no draft any more. A device
/// that reads a public poll is given the cookie that it votes with.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/polls/{poll}", tag = "polls",
    params(("poll" = String, Path, description = "The poll's id")),
    responses((status = 200, description = "The poll", body = canvass_domain::Poll, headers(("etag" = String, description = "Its version, and when it was created"))),
        (status = 304, description = "The poll is at the version that `If-None-Match` names"), crate::http::openapi::ReadProblems)))]
pub(crate) async fn read_poll(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let id = ask.poll()?;
    let poll = app.visible_poll(&id, &ask.caller).await?;
    let device =
        if ask.caller.key.is_none() { app.ensure_device(&poll, &mut ask.caller).await? } else { None };
    let mut response = reply::poll(StatusCode::OK, &poll);
    if ask.has(&reply::poll_tag(&poll)) {
        response = reply::not_modified(&response);
    }
    reply::set_device(&mut response, device.as_ref());
    Ok(response)
}

/// Change a poll
///
/// What is absent stays. Once a vote is in, options, method, seats, access, revote and demographics are fixed; labels may
/// be corrected.
#[cfg_attr(feature = "openapi", utoipa::path(patch, path = "/v1/polls/{poll}", tag = "polls",
    params(("poll" = String, Path, description = "The poll's id"),
        ("if-match" = Option<String>, Header, description = "The ETag of the version to change")),
    request_body(content = PollPatch, example = json!({"title": "Lunch on Friday?"})),
    responses((status = 200, description = "The poll afterwards", body = canvass_domain::Poll), crate::http::openapi::PollProblems)))]
pub(crate) async fn change_poll(app: App, mut ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::PollsWrite)?;
    let patch: PollPatch = ask.json(&app).await?;
    step(app, ask, PollCommand::Edit(Box::new(patch))).await
}

/// Delete a draft or an archived poll
#[cfg_attr(feature = "openapi", utoipa::path(delete, path = "/v1/polls/{poll}", tag = "polls",
    params(("poll" = String, Path, description = "The poll's id"),
        ("if-match" = Option<String>, Header, description = "The ETag of the version to delete")),
    responses((status = 204, description = "The poll is gone"), crate::http::openapi::PollProblems)))]
pub(crate) async fn delete_poll(app: App, ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::PollsWrite)?;
    step(app, ask, PollCommand::Delete).await.map(|_| reply::no_content())
}

/// Open a poll, or go on after a pause
///
/// A draft whose `opensAt` lies in the future is scheduled instead. Asked again, the answer is the same.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/polls/{poll}/open", tag = "polls",
    params(("poll" = String, Path, description = "The poll's id"),
        ("if-match" = Option<String>, Header, description = "The ETag of the version to open")),
    responses((status = 200, description = "The poll afterwards", body = canvass_domain::Poll), crate::http::openapi::PollProblems)))]
pub(crate) async fn open_poll(app: App, ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::PollsWrite)?;
    step(app, ask, PollCommand::Open).await
}

/// Take no votes for now
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/polls/{poll}/pause", tag = "polls",
    params(("poll" = String, Path, description = "The poll's id"),
        ("if-match" = Option<String>, Header, description = "The ETag of the version to pause")),
    responses((status = 200, description = "The poll afterwards", body = canvass_domain::Poll), crate::http::openapi::PollProblems)))]
pub(crate) async fn pause_poll(app: App, ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::PollsWrite)?;
    step(app, ask, PollCommand::Pause).await
}

/// Take no votes any more
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/polls/{poll}/close", tag = "polls",
    params(("poll" = String, Path, description = "The poll's id"),
        ("if-match" = Option<String>, Header, description = "The ETag of the version to close")),
    responses((status = 200, description = "The poll afterwards", body = canvass_domain::Poll), crate::http::openapi::PollProblems)))]
pub(crate) async fn close_poll(app: App, ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::PollsWrite)?;
    step(app, ask, PollCommand::Close).await
}

/// Recount a closed poll and declare it right
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/polls/{poll}/certify", tag = "polls",
    params(("poll" = String, Path, description = "The poll's id"),
        ("if-match" = Option<String>, Header, description = "The ETag of the version to certify")),
    responses((status = 200, description = "The poll afterwards", body = canvass_domain::Poll), crate::http::openapi::CertifyProblems)))]
pub(crate) async fn certify_poll(app: App, ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::PollsWrite)?;
    step(app, ask, PollCommand::Certify).await
}

/// Put a certified poll away
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/polls/{poll}/archive", tag = "polls",
    params(("poll" = String, Path, description = "The poll's id"),
        ("if-match" = Option<String>, Header, description = "The ETag of the version to archive")),
    responses((status = 200, description = "The poll afterwards", body = canvass_domain::Poll), crate::http::openapi::PollProblems)))]
pub(crate) async fn archive_poll(app: App, ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::PollsWrite)?;
    step(app, ask, PollCommand::Archive).await
}

/// Erase what the votes of a poll that is over tell of persons
///
/// Voters, what they told of themselves, and idempotency keys are overwritten on disk and can be had by nobody any more.
/// The ballots, the counts and the chain of records stay; breakdowns do not. The answer comes when it has begun:
/// `personalData` is `erasing`, and `erased` once nothing is left. Asked again, the answer is the same.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/polls/{poll}/erase", tag = "polls",
    params(("poll" = String, Path, description = "The poll's id"),
        ("if-match" = Option<String>, Header, description = "The ETag of the version to erase")),
    responses((status = 200, description = "The poll afterwards", body = canvass_domain::Poll), crate::http::openapi::EraseProblems)))]
pub(crate) async fn erase_poll(app: App, ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::Admin)?;
    step(app, ask, PollCommand::Erase).await
}

async fn step(app: App, mut ask: Ask, command: PollCommand) -> Result<Response, Failure> {
    let id = ask.poll()?;
    let poll = app.change_poll(&id, command, &ask.expected(), &ask.caller.actor()).await?;
    Ok(reply::poll(StatusCode::OK, &poll))
}

#[derive(Deserialize)]
struct EventsQuery {
    after: Option<String>,
}

/// Who did what to a poll, and when
///
/// Every step in the poll's life and every correction, oldest first.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/polls/{poll}/events", tag = "polls",
    params(("poll" = String, Path, description = "The poll's id"),
        ("after" = Option<u64>, Query, description = "`nextAfter` of the page before")),
    responses((status = 200, description = "A page of the audit trail", body = crate::service::polls::EventList), crate::http::openapi::ReadProblems)))]
pub(crate) async fn list_events(app: App, mut ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::PollsRead)?;
    let id = ask.poll()?;
    let query: EventsQuery = ask.query()?;
    let after = query.after.as_deref().map_or(Ok(0), str::parse);
    let after = after.map_err(|_| Failure::invalid("after", "a sequence number"))?;
    let page = app.list_events(&id, Sequence(after)).await?;
    Ok(reply::json(StatusCode::OK, &page))
}

fn read_status(text: &str) -> Result<Status, Failure> {
    use Status::{Archived, Certified, Closed, Draft, Open, Paused, Scheduled};
    let known = [Draft, Scheduled, Open, Paused, Closed, Certified, Archived];
    let named = known.into_iter().find(|status| status.name() == text);
    let names = "draft, scheduled, open, paused, closed, certified or archived";
    named.ok_or_else(|| Failure::invalid("status", names))
}

fn read_limit(text: &str) -> Result<usize, Failure> {
    let limit = text.parse().ok().filter(|limit| (1..=POLLS_PAGE_MAX).contains(limit));
    limit.ok_or_else(|| Failure::invalid("limit", format!("1 to {POLLS_PAGE_MAX}")))
}
