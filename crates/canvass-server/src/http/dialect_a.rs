//! The dialect of document A: `POST /votes` and `GET /votes`, with its fields, statuses and words.

use axum::{
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::Response,
};
use canvass_domain::{Refusal, Timestamp, VoterId, key::Scope, poll::Access};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        ask::Ask,
        dialect::{DialectVote, cast, choice, complaint, read_poll_id},
        problem, reply,
    },
    service::Failure,
};

/// Cast a vote (document A)
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/votes", tag = "dialects",
    request_body(content = serde_json::Value, example = json!({"userId": "u1", "pollId": "lunch", "choice": "pizza"})),
    responses((status = 201, description = "The vote counts", body = serde_json::Value, example = json!({"message": "Vote recorded successfully", "userId": "u1", "pollId": "lunch", "choice": "pizza", "timestamp": "2026-12-01T12:00:00Z"})),
        (status = 400, description = "Not JSON, a field missing, or an unknown choice"), (status = 403, description = "No valid key"),
        (status = 404, description = "No such poll"), (status = 409, description = "The user has voted, or the poll is not open"), (status = 408, description = "The body did not arrive in time"), (status = 413, description = "The body is too large"),
        (status = 429, description = "Over the plan"), (status = 503, description = "Nothing was changed; try again"))))]
pub(crate) async fn cast_vote(app: App, mut ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::VotesWrite)?;
    let body = ask.vote_bytes(&app).await?;
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return Ok(refuse_with(StatusCode::BAD_REQUEST, &json!({"error": "Invalid JSON body"})));
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (Some(user), Some(poll_id), Some(wanted)) = (text("userId"), text("pollId"), text("choice")) else {
        let body = json!({"error": "Missing required fields: userId, pollId, choice"});
        return Ok(refuse_with(StatusCode::BAD_REQUEST, &body));
    };
    let vote = DialectVote {
        poll: &read_poll_id(&app, poll_id)?,
        access: Access::Key,
        voter: Some(read_user(user)?),
        choice: wanted,
        demographics: None,
        idempotency_key: None,
    };
    let recorded = cast(&app, &ask.caller, vote).await?;
    let answer = VoteView {
        message: Some("Vote recorded successfully"),
        user_id: user,
        poll_id,
        choice: choice(&recorded.poll, recorded.marked.as_ref()),
        timestamp: recorded.cast_at,
    };
    Ok(allow_all(reply::json(StatusCode::CREATED, &answer)))
}

/// A vote as the document shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VoteView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    user_id: &'a str,
    poll_id: &'a str,
    choice: &'a str,
    timestamp: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VoteQuery {
    user_id: Option<String>,
    poll_id: Option<String>,
}

/// Read a user's vote (document A)
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/votes", tag = "dialects",
    params(("userId" = String, Query, description = "The user"), ("pollId" = String, Query, description = "The poll's id")),
    responses((status = 200, description = "The vote", body = serde_json::Value, example = json!({"userId": "u1", "pollId": "lunch", "choice": "pizza", "timestamp": "2026-12-01T12:00:00Z"})),
        (status = 400, description = "A parameter is missing"), (status = 403, description = "No valid key"),
        (status = 404, description = "No such vote or poll"), (status = 429, description = "Over the plan"), (status = 503, description = "Try again"))))]
pub(crate) async fn read_vote(app: App, ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::VotesRead)?;
    let query: VoteQuery = ask.query()?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (Some(user), Some(poll_id)) = (given(query.user_id), given(query.poll_id)) else {
        let body = json!({"error": "Missing required parameters: userId, pollId"});
        return Ok(refuse_with(StatusCode::BAD_REQUEST, &body));
    };
    let Ok(id) = poll_id.parse() else { return Err(Failure::Refused(Refusal::VoteNotFound)) };
    let voter = user.parse().map_err(|_| Failure::Refused(Refusal::VoteNotFound))?;
    let recorded = match app.poll(&id).await {
        Ok(poll) => app.read_vote(poll, &voter).await?,
        // The document knows no polls, only votes.
        Err(Failure::Refused(Refusal::PollNotFound)) => return Err(Failure::Refused(Refusal::VoteNotFound)),
        Err(failure) => return Err(failure),
    };
    let answer = VoteView {
        message: None,
        user_id: &user,
        poll_id: &poll_id,
        choice: choice(&recorded.poll, recorded.marked.as_ref()),
        timestamp: recorded.cast_at,
    };
    Ok(allow_all(reply::json(StatusCode::OK, &answer)))
}

/// Answers a browser that asks whether a page of another origin may ask.
pub(crate) async fn preflight(_: App, _: Ask) -> Result<Response, Failure> {
    let mut response = allow_all(reply::no_content());
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("GET,POST,OPTIONS");
    headers.insert("access-control-allow-methods", methods);
    let allowed = "Content-Type,X-Amz-Date,Authorization,X-Api-Key,X-Amz-Security-Token,X-Amz-User-Agent";
    headers.insert("access-control-allow-headers", HeaderValue::from_static(allowed));
    Ok(response)
}

/// Lets pages of any origin read an answer, as the document's gateway does.
pub(crate) fn allow_all(mut response: Response) -> Response {
    response.headers_mut().insert("access-control-allow-origin", HeaderValue::from_static("*"));
    response
}

fn read_user(text: &str) -> Result<VoterId, Failure> {
    text.parse()
        .map_err(|error: canvass_domain::IdentifierError| Failure::invalid("userId", error.to_string()))
}

fn refuse_with(status: StatusCode, body: &Value) -> Response {
    allow_all(reply::json(status, body))
}

/// A failure in the document's words, or as its gateway would say it.
pub(crate) fn refuse(failure: &Failure) -> Response {
    let (status, body) = words(failure);
    let mut response = refuse_with(status, &body);
    if let Some(wait) = failure.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, wait.as_secs().max(1).into());
    }
    response
}

fn words(failure: &Failure) -> (StatusCode, Value) {
    match failure {
        Failure::MissingKey | Failure::UnknownKey | Failure::MissingScope(_) => {
            (StatusCode::FORBIDDEN, json!({"message": "Forbidden"}))
        }
        Failure::Limited(limited) if limited.by_day => {
            (StatusCode::TOO_MANY_REQUESTS, json!({"message": "Limit Exceeded"}))
        }
        Failure::Limited(_) => (StatusCode::TOO_MANY_REQUESTS, json!({"message": "Too Many Requests"})),
        Failure::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, json!({"error": "Method not allowed"})),
        Failure::AlreadyVoted { poll, vote } => {
            let existing = json!({"choice": choice(poll, vote.marked.as_ref()), "timestamp": vote.cast_at});
            let body = json!({"error": "User has already voted in this poll", "existingVote": existing});
            (StatusCode::CONFLICT, body)
        }
        Failure::Refused(Refusal::NotOpen { .. }) => {
            (StatusCode::CONFLICT, json!({"error": "Poll is not open"}))
        }
        Failure::Refused(Refusal::PollNotFound) => {
            (StatusCode::NOT_FOUND, json!({"message": "Poll not found"}))
        }
        Failure::Refused(Refusal::VoteNotFound) => {
            (StatusCode::NOT_FOUND, json!({"message": "Vote not found"}))
        }
        Failure::Refused(Refusal::Invalid(invalid)) => {
            (StatusCode::BAD_REQUEST, json!({"error": complaint(invalid)}))
        }
        Failure::Busy { .. } | Failure::Storage { .. } | Failure::OutcomeUnknown { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, json!({"message": "Service Unavailable"}))
        }
        other => (problem::status(other), json!({"error": other.to_string()})),
    }
}
