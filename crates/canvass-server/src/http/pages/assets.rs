//! The style sheet and the script, under names that hold a hash of them: a browser keeps each for good, and a newer
//! program's pages name newer ones.

use std::sync::LazyLock;

use axum::{
    http::{HeaderValue, StatusCode, header::CACHE_CONTROL},
    response::Response,
};
use sha2::{Digest as _, Sha256};

use crate::{
    app::App,
    http::{ask::Ask, reply},
    service::{Failure, devices::hexadecimal},
};

struct Asset {
    path: String,
    content_type: &'static str,
    text: &'static str,
}

static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/canvass.css"));
    Asset { path: hashed("canvass", text, "css"), content_type: "text/css; charset=utf-8", text }
});

static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/live.js"));
    Asset { path: hashed("live", text, "js"), content_type: "text/javascript; charset=utf-8", text }
});

fn hashed(name: &str, text: &str, extension: &str) -> String {
    let hash = hexadecimal(&Sha256::digest(text)[..6]);
    format!("/assets/{name}-{hash}.{extension}")
}

/// The path of the style sheet of every page.
pub(crate) fn style() -> &'static str {
    &STYLE.path
}

/// The path of the script that keeps results up to date.
pub(crate) fn script() -> &'static str {
    &SCRIPT.path
}

/// An asset.
pub(crate) async fn read_asset(_: App, ask: Ask) -> Result<Response, Failure> {
    let known = [&*STYLE, &*SCRIPT].into_iter().find(|asset| asset.path == ask.head.uri.path());
    let asset = known.ok_or(Failure::RouteNotFound)?;
    let mut response = reply::of(StatusCode::OK, HeaderValue::from_static(asset.content_type), asset.text);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    Ok(response)
}
