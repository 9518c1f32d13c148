//! The dialect of document B: `POST /vote`, with its schema, statuses and words.

use std::borrow::Cow;

use axum::{
    http::{StatusCode, header::RETRY_AFTER},
    response::Response,
};
use canvass_domain::{IdempotencyKey, Refusal, VoterId, poll::Access};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        ask::Ask,
        dialect::{DialectVote, cast, complaint, identify_named, read_poll_id},
        problem, reply,
    },
    service::{
        Failure,
        vote_request::{Text, Told},
    },
};

/// The body by the document's schema. What the schema does not name is let through and not looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow)]
    poll_id: Text<'a>,
    #[serde(borrow)]
    option_id: Text<'a>,
    #[serde(borrow, default)]
    voter_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    idempotency_key: Option<Text<'a>>,
    #[serde(borrow, default)]
    demographics: Option<Told<'a>>,
}

const INVALID: &str = "Invalid request body";

/// Cast a vote (document B)
///
/// Without `voterId` the caller's address stands for the voter, where the poll allows it.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/vote", tag = "dialects",
    request_body(content = serde_json::Value, example = json!({"pollId": "lunch", "optionId": "pizza", "voterId": "u1", "idempotencyKey": "unique-key-123", "demographics": {"ageGroup": "25-34"}})),
    responses((status = 200, description = "The vote counts", body = serde_json::Value, example = json!({"message": "Vote processed successfully", "voteId": "7f8d2c1e-6f0a-4f3b-9d55-0a4b8c3d2e1f"})),
        (status = 400, description = "The body fails the document's schema, or names an unknown option"), (status = 403, description = "The poll needs a key"),
        (status = 404, description = "No such poll"), (status = 409, description = "The voter has voted, the key was used, or the poll is not open"), (status = 408, description = "The body did not arrive in time"), (status = 413, description = "The body is too large"),
        (status = 429, description = "Too many requests"), (status = 503, description = "Nothing was changed; try again"))))]
pub(crate) async fn cast_vote(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let body = ask.vote_bytes(&app).await?;
    let Some((body, voter, idempotency_key)) = read_body(&body) else {
        return Ok(reply::json(StatusCode::BAD_REQUEST, &json!({"message": INVALID})));
    };
    let id = read_poll_id(&app, &body.poll_id.0)?;
    let vote = DialectVote {
        poll: &id,
        access: Access::Open,
        voter: voter.clone(),
        choice: &body.option_id.0,
        demographics: body.demographics,
        idempotency_key,
    };
    let duplicate = |vote_id| {
        reply::json(StatusCode::CONFLICT, &json!({"message": "Duplicate vote detected", "voteId": vote_id}))
    };
    match cast(&app, &ask.caller, vote).await {
        Ok(recorded) if recorded.replayed => Ok(duplicate(recorded.vote_id)),
        Ok(recorded) => {
            let answer = json!({"message": "Vote processed successfully", "voteId": recorded.vote_id});
            Ok(reply::json(StatusCode::OK, &answer))
        }
        Err(Failure::AlreadyVoted { vote, .. }) => Ok(duplicate(vote.vote_id)),
        Err(Failure::Refused(Refusal::KeyReused)) => {
            let identity = identify_named(&*app.poll(&id).await?, &ask.caller, voter)?;
            let standing = app.standing_vote(&id, &identity.voter).await?;
            standing.map(|vote| duplicate(vote.vote_id)).ok_or(Failure::Refused(Refusal::KeyReused))
        }
        Err(failure) => Err(failure),
    }
}

/// The body, if it is as the document's schema says and its names can be names.
fn read_body(bytes: &[u8]) -> Option<(Body<'_>, Option<VoterId>, Option<IdempotencyKey>)> {
    let body: Body<'_> = serde_json::from_slice(bytes).ok()?;
    if body.poll_id.0.is_empty() || body.option_id.0.is_empty() {
        return None;
    }
    let voter = body.voter_id.as_ref().map(|Text(text)| text.parse()).transpose().ok()?;
    // The document takes an empty key for none.
    let key = body.idempotency_key.as_ref().filter(|Text(text)| !text.is_empty());
    let key = key.map(|Text(text)| text.parse()).transpose().ok()?;
    Some((body, voter, key))
}

/// A failure in the document's words, or as its gateway would say it.
pub(crate) fn refuse(failure: &Failure) -> Response {
    let (status, message) = words(failure);
    let mut response = reply::json(status, &json!({ "message": Value::from(message) }));
    if let Some(wait) = failure.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, wait.as_secs().max(1).into());
    }
    response
}

fn words(failure: &Failure) -> (StatusCode, Cow<'static, str>) {
    let (status, message) = match failure {
        Failure::MissingKey | Failure::UnknownKey | Failure::MissingScope(_) => {
            (StatusCode::FORBIDDEN, "Forbidden")
        }
        Failure::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
        Failure::Limited(limited) if limited.by_day => (StatusCode::TOO_MANY_REQUESTS, "Limit Exceeded"),
        Failure::Limited(_) => (StatusCode::TOO_MANY_REQUESTS, "Too Many Requests"),
        Failure::Refused(Refusal::NotOpen { .. }) => (StatusCode::CONFLICT, "Poll is not open"),
        Failure::Refused(Refusal::PollNotFound) => (StatusCode::NOT_FOUND, "Poll not found"),
        Failure::Refused(Refusal::Invalid(invalid)) if invalid.field.starts_with("demographics") => {
            (StatusCode::BAD_REQUEST, INVALID)
        }
        Failure::Refused(Refusal::Invalid(invalid)) => {
            return (StatusCode::BAD_REQUEST, complaint(invalid).into());
        }
        Failure::Busy { .. } | Failure::Storage { .. } | Failure::OutcomeUnknown { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
        }
        other => return (problem::status(other), other.to_string().into()),
    };
    (status, message.into())
}
