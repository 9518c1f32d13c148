//! Whether the server lives, whether it can take votes, and its figures.

use axum::{
    http::{HeaderValue, StatusCode},
    response::Response,
};

use canvass_domain::key::Scope;

use crate::{
    app::App,
    http::{ask::Ask, reply},
    metrics::Metrics,
    service::Failure,
};

/// Whether the server runs
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/livez", tag = "server",
    responses((status = 200, description = "It runs", body = String, content_type = "text/plain"))))]
pub(crate) async fn read_liveness(_: App, _: Ask) -> Result<Response, Failure> {
    Ok(text("ok\n".to_owned()))
}

/// Whether the server can take votes
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/readyz", tag = "server",
    responses((status = 200, description = "It can", body = String, content_type = "text/plain"),
        (status = 503, description = "Its storage cannot be written", body = crate::http::openapi::Problem, content_type = "application/problem+json"))))]
pub(crate) async fn read_readiness(app: App, _: Ask) -> Result<Response, Failure> {
    match app.store().health().trouble {
        None => Ok(text("ready\n".to_owned())),
        Some(_) => Err(app.failed(canvass_store::StoreError::busy("not ready"))),
    }
}

/// Figures for Prometheus
///
/// A caller with a key that has `results:read` is also told of the polls with the most votes: their ids, and how many
/// votes told which of the declared values. Anybody else is told of no poll.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/metrics", tag = "server",
    responses((status = 200, description = "Every figure, in the text format 0.0.4", body = String, content_type = "text/plain"))))]
pub(crate) async fn read_metrics(app: App, ask: Ask) -> Result<Response, Failure> {
    let mut figures = app.parts.metrics.render(&app.store().health(), app.parts.live.watchers());
    Metrics::render_watch(&mut figures, &app.parts.webhooks, &app.parts.alarms);
    if ask.caller.has(Scope::ResultsRead) {
        figures.push_str(&app.poll_figures().await?);
    }
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(reply::of(StatusCode::OK, content_type, figures))
}

fn text(text: String) -> Response {
    let mut response = reply::of(StatusCode::OK, HeaderValue::from_static("text/plain; charset=utf-8"), text);
    response.headers_mut().insert(axum::http::header::CACHE_CONTROL, reply::NO_STORE);
    response
}
