//! The routes of webhooks and alarms, for administrators.

use axum::{http::StatusCode, response::Response};
use canvass_domain::key::Scope;
use serde::Serialize;

use crate::{
    app::App,
    http::{ask::Ask, reply},
    service::{
        Failure,
        alarms::AlarmView,
        webhooks::{NewWebhook, Redelivery, WebhookView},
    },
};

/// Every webhook.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct WebhookList {
    items: Vec<WebhookView>,
}

/// Every alarm.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct AlarmList {
    items: Vec<AlarmView>,
}

/// Have an application told of events
///
/// Messages are signed by Standard Webhooks and posted in the order of events, each until the receiver answers 2xx: it
/// may come twice, under the same `webhook-id`. After three days of failing the webhook is disabled.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/webhooks", tag = "webhooks",
    request_body(content = NewWebhook, example = json!({"url": "https://example.com/hook", "types": ["poll.closed", "results.changed"], "resultsVotes": 100})),
    responses((status = 201, description = "The webhook, with its secret shown this once", body = WebhookView), crate::http::openapi::WebhookProblems)))]
pub(crate) async fn create_webhook(app: App, mut ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::Admin)?;
    let request: NewWebhook = ask.json(&app).await?;
    Ok(reply::json(StatusCode::CREATED, &app.create_webhook(request).await?))
}

/// List webhooks, oldest first
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/webhooks", tag = "webhooks",
    responses((status = 200, description = "Every webhook, without secrets, and how it does", body = WebhookList), crate::http::openapi::WebhookProblems)))]
pub(crate) async fn list_webhooks(app: App, ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::Admin)?;
    Ok(reply::json(StatusCode::OK, &WebhookList { items: app.list_webhooks()? }))
}

/// End a webhook
#[cfg_attr(feature = "openapi", utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id")),
    responses((status = 204, description = "Nothing more is delivered"), crate::http::openapi::WebhookProblems)))]
pub(crate) async fn delete_webhook(app: App, mut ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::Admin)?;
    app.delete_webhook(&webhook_id(&mut ask)?).await?;
    Ok(reply::no_content())
}

/// Deliver again
///
/// At once, also where the webhook was disabled; with `after`, all events after that position, those that were delivered
/// before as well.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/webhooks/{id}/redeliver", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id")),
    request_body(content = Option<Redelivery>, example = json!({"after": 0})),
    responses((status = 200, description = "The webhook, which delivers again", body = WebhookView), crate::http::openapi::WebhookProblems)))]
pub(crate) async fn redeliver(app: App, mut ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::Admin)?;
    let id = webhook_id(&mut ask)?;
    let request = if ask.has_body() { ask.json(&app).await? } else { Redelivery::default() };
    Ok(reply::json(StatusCode::OK, &app.redeliver(&id, &request).await?))
}

/// How the alarms stand
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/alarms", tag = "server",
    responses((status = 200, description = "Every alarm that the configuration sets", body = AlarmList), crate::http::openapi::ReadProblems)))]
pub(crate) async fn list_alarms(app: App, ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::Admin)?;
    Ok(reply::json(StatusCode::OK, &AlarmList { items: app.list_alarms() }))
}

fn webhook_id(ask: &mut Ask) -> Result<String, Failure> {
    ask.path("id").ok_or(Failure::WebhookNotFound)
}
