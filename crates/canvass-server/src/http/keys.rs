//! The routes of API keys, for administrators.

use axum::{http::StatusCode, response::Response};
use canvass_domain::{KeyId, key::Scope};
use serde::Serialize;

use crate::{
    app::App,
    http::{ask::Ask, reply},
    service::{
        Failure,
        keys::{KeyView, NewKey, Rotation},
    },
};

/// Every key.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct KeyList {
    items: Vec<KeyView>,
}

/// Make an API key
///
/// Limits that are absent are those of the plan, `standard` unless `plan` says otherwise; null means no limit.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/keys", tag = "keys",
    request_body(content = NewKey, example = json!({"name": "kiosk", "scopes": ["votes:write"]})),
    responses((status = 201, description = "The key, with its secret shown this once", body = KeyView), crate::http::openapi::KeyProblems)))]
pub(crate) async fn create_key(app: App, mut ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::Admin)?;
    let request: NewKey = ask.json(&app).await?;
    Ok(reply::json(StatusCode::CREATED, &app.create_key(request).await?))
}

/// List API keys, newest first
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/keys", tag = "keys",
    responses((status = 200, description = "Every key, without secrets", body = KeyList), crate::http::openapi::ReadProblems)))]
pub(crate) async fn list_keys(app: App, ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::Admin)?;
    Ok(reply::json(StatusCode::OK, &KeyList { items: app.list_keys() }))
}

/// Revoke an API key
#[cfg_attr(feature = "openapi", utoipa::path(delete, path = "/v1/keys/{id}", tag = "keys",
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 204, description = "The key is not accepted any more"), crate::http::openapi::KeyProblems)))]
pub(crate) async fn revoke_key(app: App, mut ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::Admin)?;
    app.revoke_key(&key_id(&mut ask)?).await?;
    Ok(reply::no_content())
}

/// Replace an API key's secret
///
/// The secret before is accepted until `expirePreviousAt`, or for 24 hours; one older than that no longer.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/keys/{id}/rotate", tag = "keys",
    params(("id" = String, Path, description = "The key's id")),
    request_body(content = Option<Rotation>, example = json!({"expirePreviousAt": "2026-12-01T12:00:00Z"})),
    responses((status = 201, description = "The key, with its new secret shown this once", body = KeyView), crate::http::openapi::KeyProblems)))]
pub(crate) async fn rotate_key(app: App, mut ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::Admin)?;
    let id = key_id(&mut ask)?;
    let request = if ask.has_body() { ask.json(&app).await? } else { Rotation::default() };
    Ok(reply::json(StatusCode::CREATED, &app.rotate_key(&id, &request).await?))
}

fn key_id(ask: &mut Ask) -> Result<KeyId, Failure> {
    ask.path("id").ok_or(Failure::KeyNotFound)
}
