//! The routes of single votes.

use axum::{
    http::{HeaderValue, StatusCode, request::Parts},
    response::Response,
};
use canvass_domain::{Poll, VoterId, key::Scope, poll::Access, vote::Operation};

use crate::{
    app::App,
    http::{
        ask::{Ask, JSON},
        pages::is_cross_origin,
        reply,
    },
    service::{
        Caller, Failure,
        answer::Recorded,
        devices::NewDevice,
        vote_request::{Text, VoteRequest},
        votes::{Identity, VoteAsk, identify, read_voter},
    },
};

/// The name that a device or the holder of a code has for itself in paths.
const MYSELF: &str = "me";

/// Cast a vote
///
/// In a poll whose `access` is `key` or `open` the request names the voter; in a `public` poll the device votes, known
/// by a cookie; in a `code` poll the one-time code is the voter. An `Idempotency-Key` makes it safe to send the request
/// again: the first answer comes again, byte for byte.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/polls/{poll}/votes", tag = "votes",
    params(
        ("poll" = String, Path, description = "The poll's id"),
        ("idempotency-key" = Option<String>, Header, description = "The caller's name for this request: 1 to 256 visible ASCII characters"),
        ("x-voting-code" = Option<String>, Header, description = "The one-time code, instead of `code` in the body"),
    ),
    request_body(content = crate::http::openapi::VoteRequestSchema, example = json!({"voterId": "u1", "ballot": {"choice": "pizza"}, "demographics": {"ageGroup": "25-34"}})),
    responses((status = 201, description = "The vote is durable and counts", body = crate::http::openapi::VoteSchema,
        headers(("idempotency-replayed" = Option<String>, description = "`true` where the request was done before"))), crate::http::openapi::VoteProblems)))]
pub(crate) async fn cast_vote(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let id = ask.poll()?;
    ask.require_type(JSON)?;
    let idempotency_key = ask.idempotency_key()?;
    let body = ask.vote_bytes(&app).await?;
    let request: VoteRequest<'_> = read_request(&body)?;
    let poll = app.poll(&id).await?;
    let named = read_voter(request.voter_id.as_ref())?;
    let device = if named.is_none() { app.ensure_device(&poll, &mut ask.caller).await? } else { None };
    refuse_forgetful(&ask.head, device.as_ref())?;
    let code = request.code.as_ref().map(|Text(code)| &**code).or(ask.code());
    let actor = actor_of_write_in(&poll, &ask.caller);
    let vote = VoteAsk {
        identity: identify(&poll, &ask.caller, named, code)?,
        operation: Operation::Cast,
        request: Some(&request),
        idempotency_key,
        may_weigh: ask.caller.has(Scope::VotesWrite),
        by_label: false,
        actor: &actor,
    };
    let recorded = app.record(poll, &vote).await?;
    let mut response = answer(StatusCode::CREATED, &recorded);
    reply::set_device(&mut response, device.as_ref());
    Ok(response)
}

/// Refuses a new device of which the browser keeps no cookie, as in a script of another site: it would be a new one
/// each time, and a vote sent twice would count twice.
pub(crate) fn refuse_forgetful(head: &Parts, device: Option<&NewDevice>) -> Result<(), Failure> {
    if device.is_none() || !is_cross_origin(head) {
        return Ok(());
    }
    let advice = "in a public poll the device votes, which a script of another site has no cookie for; embed the poll's page";
    Err(Failure::invalid("voterId", advice))
}

/// Change a vote
///
/// Where the poll's `revote` is `untilClose`. The new vote takes the place of the one before.
#[cfg_attr(feature = "openapi", utoipa::path(put, path = "/v1/polls/{poll}/votes/{voter}", tag = "votes",
    params(
        ("poll" = String, Path, description = "The poll's id"),
        ("voter" = String, Path, description = "The voter's id; also `me` for a device or the holder of a code"),
        ("idempotency-key" = Option<String>, Header, description = "The caller's name for this request"),
        ("x-voting-code" = Option<String>, Header, description = "The one-time code, instead of `code` in the body"),
    ),
    request_body(content = crate::http::openapi::VoteRequestSchema, example = json!({"ballot": {"choice": "soup"}})),
    responses((status = 200, description = "The changed vote is durable and counts", body = crate::http::openapi::VoteSchema,
        headers(("idempotency-replayed" = Option<String>, description = "`true` where the request was done before"))), crate::http::openapi::VoteProblems)))]
pub(crate) async fn change_vote(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let id = ask.poll()?;
    ask.require_type(JSON)?;
    let idempotency_key = ask.idempotency_key()?;
    let voter: String = ask.path("voter").unwrap_or_default();
    let body = ask.vote_bytes(&app).await?;
    let request: VoteRequest<'_> = read_request(&body)?;
    let poll = app.poll(&id).await?;
    let code = request.code.as_ref().map(|Text(code)| &**code).or(ask.code());
    let named = named_in_path(&poll, &ask.caller, &voter, code)?;
    if request.voter_id.as_ref().is_some_and(|Text(named)| *named != voter) {
        return Err(Failure::invalid("voterId", "is another voter than the path names"));
    }
    let actor = actor_of_write_in(&poll, &ask.caller);
    let vote = VoteAsk {
        identity: identify(&poll, &ask.caller, named, code)?,
        operation: Operation::Change,
        request: Some(&request),
        idempotency_key,
        may_weigh: ask.caller.has(Scope::VotesWrite),
        by_label: false,
        actor: &actor,
    };
    let recorded = app.record(poll, &vote).await?;
    Ok(answer(StatusCode::OK, &recorded))
}

/// Withdraw a vote
///
/// Where the poll's `revote` is `untilClose`. The voter may vote anew.
#[cfg_attr(feature = "openapi", utoipa::path(delete, path = "/v1/polls/{poll}/votes/{voter}", tag = "votes",
    params(
        ("poll" = String, Path, description = "The poll's id"),
        ("voter" = String, Path, description = "The voter's id; also `me` for a device or the holder of a code"),
        ("idempotency-key" = Option<String>, Header, description = "The caller's name for this request"),
        ("x-voting-code" = Option<String>, Header, description = "The one-time code, in a poll with codes"),
    ),
    responses((status = 204, description = "The vote no longer counts",
        headers(("idempotency-replayed" = Option<String>, description = "`true` where the request was done before"))), crate::http::openapi::VoteProblems)))]
pub(crate) async fn withdraw_vote(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let id = ask.poll()?;
    let idempotency_key = ask.idempotency_key()?;
    let voter: String = ask.path("voter").unwrap_or_default();
    let poll = app.poll(&id).await?;
    let named = named_in_path(&poll, &ask.caller, &voter, ask.code())?;
    let vote = VoteAsk {
        identity: identify(&poll, &ask.caller, named, ask.code())?,
        operation: Operation::Withdraw,
        request: None,
        idempotency_key,
        may_weigh: false,
        by_label: false,
        actor: "",
    };
    let recorded = app.record(poll, &vote).await?;
    let mut response = reply::no_content();
    tell_replay(&mut response, &recorded);
    Ok(response)
}

/// Read a voter's vote
///
/// For keys with the scope `votes:read`; a device or the holder of a code reads its own.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/polls/{poll}/votes/{voter}", tag = "votes",
    params(
        ("poll" = String, Path, description = "The poll's id"),
        ("voter" = String, Path, description = "The voter's id; also `me` for a device or the holder of a code"),
        ("x-voting-code" = Option<String>, Header, description = "The one-time code, in a poll with codes"),
    ),
    responses((status = 200, description = "The vote that counts", body = crate::http::openapi::VoteSchema), crate::http::openapi::VoteReadProblems)))]
pub(crate) async fn read_vote(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let id = ask.poll()?;
    let voter: String = ask.path("voter").unwrap_or_default();
    let poll = app.poll(&id).await?;
    let identity = match named_in_path(&poll, &ask.caller, &voter, ask.code())? {
        None => identify(&poll, &ask.caller, None, ask.code())?,
        Some(voter) => {
            ask.caller.require(Scope::VotesRead)?;
            Identity::named(voter)
        }
    };
    let recorded = app.read_vote(poll, &identity.voter).await?;
    Ok(reply::json_bytes(StatusCode::OK, recorded.json()))
}

/// Erase what one voter's votes tell of the voter
///
/// In a poll that is over: the voter's id, what the voter told, and idempotency keys are overwritten on disk, of all
/// records of the voter's vote. Ballots, counts and the chain of records stay; breakdowns lose what the voter told. The
/// answer comes when nothing is left, and names no voter; the audit trail tells who asked for it, and of how many records.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/polls/{poll}/votes/{voter}/erase", tag = "votes",
    params(
        ("poll" = String, Path, description = "The poll's id"),
        ("voter" = String, Path, description = "The voter's id"),
    ),
    responses((status = 200, description = "Nothing of the voter is left", body = crate::service::erasing::ErasedView), crate::http::openapi::EraseProblems)))]
pub(crate) async fn erase_vote(app: App, mut ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::Admin)?;
    let id = ask.poll()?;
    let voter: String = ask.path("voter").unwrap_or_default();
    let voter = read_voter(Some(&Text(voter.into())))?.ok_or(Failure::invalid("voterId", "is missing"))?;
    let erased = app.erase_voter(&id, &voter, &ask.caller.actor()).await?;
    Ok(reply::json(StatusCode::OK, &erased))
}

/// The voter that a path names; none where it is the device or the holder of a code that asks.
/// Such a one is `me`, or the id that its vote was answered with.
fn named_in_path(
    poll: &Poll,
    caller: &Caller,
    voter: &str,
    code: Option<&str>,
) -> Result<Option<VoterId>, Failure> {
    let asking = match poll.access {
        Access::Public => caller.device.clone(),
        Access::Code => code.map(|code| Identity::of_code(&poll.id, code).voter),
        Access::Key | Access::Open => return read_voter(Some(&Text(voter.into()))),
    };
    if voter == MYSELF || asking.is_some_and(|asking| asking.as_str() == voter) {
        return Ok(None);
    }
    read_voter(Some(&Text(voter.into())))
}

fn read_request(body: &[u8]) -> Result<VoteRequest<'_>, Failure> {
    let request = VoteRequest::read(body)?;
    if request.idempotency_key.is_some() {
        let advice = "is for lines of a batch; send the header `Idempotency-Key`";
        return Err(Failure::invalid("idempotencyKey", advice));
    }
    Ok(request)
}

/// Who adds an option by voting for it. Only polls with write-ins need the name.
fn actor_of_write_in(poll: &Poll, caller: &Caller) -> String {
    if poll.write_in { caller.actor() } else { String::new() }
}

fn answer(status: StatusCode, recorded: &Recorded) -> Response {
    let mut response = reply::json_bytes(status, recorded.json());
    tell_replay(&mut response, recorded);
    response
}

fn tell_replay(response: &mut Response, recorded: &Recorded) {
    if recorded.replayed {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
}
