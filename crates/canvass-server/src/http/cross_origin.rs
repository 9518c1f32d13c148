//! Which scripts of other sites may use the API: those of the origins that the operator names (CORS, by the Fetch
//! Standard), and no others. They have what they send: a key, a code, a voter's name. The browser's own cookies are
//! never theirs to use, so no page of another site votes in the name of a visitor's device.

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
            VARY,
        },
    },
    middleware::Next,
    response::Response,
};

use super::reply;
use crate::app::App;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
/// What the API's routes read.
const SENT: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, x-api-key, x-voting-code",
);
/// What they tell that scripts may not read by themselves.
const TOLD: HeaderValue = HeaderValue::from_static(
    "etag, idempotency-replayed, location, ratelimit, ratelimit-policy, retry-after",
);
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("600");

/// Answers whether a script may ask, and lets it read answers.
pub(crate) async fn share(State(app): State<App>, request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    let origin = request.headers().get(ORIGIN);
    let origin = origin.and_then(|origin| app.parts.settings.embed_origins.find(origin)).cloned();
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if origin.is_some() && is_preflight { preflight() } else { next.run(request).await };
    allow(response.headers_mut(), origin);
    response
}

fn preflight() -> Response {
    let mut response = reply::no_content();
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, SENT);
    headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    response
}

/// A cache must not give one origin's answer to another.
fn allow(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, TOLD);
    }
}
