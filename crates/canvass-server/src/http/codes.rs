//! The route of one-time codes.

use axum::{http::StatusCode, response::Response};
use canvass_domain::key::Scope;

use crate::{
    app::App,
    http::{ask::Ask, reply},
    service::{Failure, codes::NewCodes},
};

/// Make one-time codes for a poll whose `access` is `code`
///
/// They are shown in this answer only; the server keeps their hashes.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/polls/{poll}/codes", tag = "polls",
    params(("poll" = String, Path, description = "The poll's id")),
    request_body(content = NewCodes, example = json!({"count": 2})),
    responses((status = 201, description = "The codes", body = crate::service::codes::CodesView), crate::http::openapi::CodeProblems)))]
pub(crate) async fn create_codes(app: App, mut ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::PollsWrite)?;
    let id = ask.poll()?;
    let request: NewCodes = ask.json(&app).await?;
    let codes = app.create_codes(&id, request, &ask.caller.actor()).await?;
    Ok(reply::json(StatusCode::CREATED, &codes))
}
