//! The style sheets and the scripts, under names that hold a hash of them: a browser keeps each for good, and a newer
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
    file: &'static str,
    path: String,
    content_type: &'static str,
    text: &'static str,
}

/// A file of `web/`.
macro_rules! asset {
    ($file:literal) => {
        LazyLock::new(|| {
            Asset::new($file, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/", $file)))
        })
    };
}

/// Every asset.
static ASSETS: [LazyLock<Asset>; 11] = [
    asset!("canvass.css"),
    asset!("results.css"),
    asset!("vote.js"),
    asset!("times.js"),
    asset!("live.js"),
    asset!("embed.js"),
    asset!("analytics.css"),
    asset!("analytics.js"),
    asset!("console.css"),
    asset!("console.js"),
    asset!("icon.svg"),
];

impl Asset {
    fn new(file: &'static str, text: &'static str) -> Self {
        let (name, extension) = file.rsplit_once('.').unwrap_or((file, ""));
        let hash = hexadecimal(&Sha256::digest(text)[..6]);
        let content_type = match extension {
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "text/javascript; charset=utf-8",
        };
        Self { file, path: format!("/assets/{name}-{hash}.{extension}"), content_type, text }
    }
}

/// The path of a file of `web/`.
pub(crate) fn path(file: &str) -> &'static str {
    let known = ASSETS.iter().find(|asset| asset.file == file);
    known.map(|asset| asset.path.as_str()).expect("a template names a file that is an asset")
}

/// An asset.
pub(crate) async fn read_asset(_: App, ask: Ask) -> Result<Response, Failure> {
    let known = ASSETS.iter().find(|asset| asset.path == ask.head.uri.path());
    let asset = known.ok_or(Failure::RouteNotFound)?;
    let mut response = reply::of(StatusCode::OK, HeaderValue::from_static(asset.content_type), asset.text);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    Ok(response)
}
