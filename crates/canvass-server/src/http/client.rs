//! The ES module for applications, and its types, as this server has them: an application can import it from here.

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL},
    },
    response::Response,
};

use super::{ask::Ask, reply};
use crate::{app::App, service::Failure};

/// The module.
pub(crate) async fn read_module(_: App, _: Ask) -> Result<Response, Failure> {
    let module = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/client/canvass.js"));
    let mut response = file("text/javascript; charset=utf-8", module);
    // Deno finds the types by it.
    response.headers_mut().insert("x-typescript-types", HeaderValue::from_static("./canvass.d.ts"));
    Ok(response)
}

/// Its types.
pub(crate) async fn read_types(_: App, _: Ask) -> Result<Response, Failure> {
    let types = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/client/canvass.d.ts"));
    Ok(file("application/typescript; charset=utf-8", types))
}

/// A file that says nothing of anybody: any site may read it.
fn file(content_type: &'static str, text: &'static str) -> Response {
    let mut response = reply::of(StatusCode::OK, HeaderValue::from_static(content_type), text);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
