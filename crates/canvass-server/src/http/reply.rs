//! Answers, each kind made one way.

use axum::{
    body::Body,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, SET_COOKIE},
    },
    response::Response,
};
use canvass_domain::Poll;
use serde::Serialize;

use crate::{
    http::guard::DEVICE_COOKIE,
    limits::DEVICE_DAYS_MAX,
    service::{answer::write_json, devices::NewDevice, polls::Edition},
};

pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer with a body of some type.
pub(crate) fn of(status: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// JSON that is written already, and that no cache may keep.
pub(crate) fn json_bytes(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = of(status, JSON, body);
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// A value as JSON that no cache may keep.
pub(crate) fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    let mut body = Vec::with_capacity(512);
    write_json(&mut body, value);
    json_bytes(status, body)
}

/// Nothing to tell.
pub(crate) fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// A poll, with its edition as entity tag.
pub(crate) fn poll(status: StatusCode, poll: &Poll) -> Response {
    let mut response = json(status, poll);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(tag) = HeaderValue::try_from(poll_tag(poll)) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// A poll's entity tag.
pub(crate) fn poll_tag(poll: &Poll) -> String {
    format!("\"{}\"", Edition::of(poll))
}

/// Says that the caller has this answer already.
pub(crate) fn not_modified(answer: &Response) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    for name in [ETAG, CACHE_CONTROL] {
        if let Some(value) = answer.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// What a page may load and where its forms may go: this server alone, and no script but its own file.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// A page for people. Other sites are not told which page a visitor comes from; this one is, so that forms carry
/// their `Origin`.
pub(crate) fn html(status: StatusCode, page: String) -> Response {
    let mut response = of(status, HeaderValue::from_static("text/html; charset=utf-8"), page);
    let headers = response.headers_mut();
    headers.insert("content-security-policy", PAGE_POLICY);
    headers.insert("referrer-policy", HeaderValue::from_static("same-origin"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// Tells a device its id.
pub(crate) fn set_device(response: &mut Response, device: Option<&NewDevice>) {
    let Some(device) = device else { return };
    let seconds = DEVICE_DAYS_MAX * 86_400;
    let cookie =
        format!("{DEVICE_COOKIE}={}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax", device.token);
    if let Ok(value) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}
