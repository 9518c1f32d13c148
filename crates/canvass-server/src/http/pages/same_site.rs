//! Whether a form was sent by a page of this server, and not by another site in the voter's name.
//!
//! Browsers say where a form comes from in `Sec-Fetch-Site` (Fetch Metadata; over HTTPS and on this machine) and in
//! `Origin` (RFC 6454). A form that says neither comes from no browser of today, and without its cookies.

use axum::http::{
    HeaderMap,
    header::{HOST, ORIGIN},
    request::Parts,
};

use crate::serve::UnderTls;

/// Whether a form may be taken.
pub(crate) fn is_same_site(head: &Parts) -> bool {
    let text = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            let place = origin.split_once("://").map(|(_, place)| place);
            place.is_some() && place == host(&head.headers)
        }
        (None, None) => false,
    }
}

/// Whether a browser sends a request for a script of another site. Programs that are no browsers do not say.
pub(crate) fn is_cross_origin(head: &Parts) -> bool {
    let tells = head.headers.contains_key("sec-fetch-site") || head.headers.contains_key(ORIGIN);
    tells && !is_same_site(head)
}

/// Where the browser finds this server, such as `https://vote.example`. Where the server itself speaks HTTP, only a
/// trusted proxy knows whether the browser came by HTTPS.
pub(crate) fn origin(head: &Parts, trusted_proxies: usize) -> String {
    let forwarded = head.headers.get("x-forwarded-proto").filter(|_| trusted_proxies > 0);
    let is_secure =
        head.extensions.get::<UnderTls>().is_some() || forwarded.is_some_and(|scheme| scheme == "https");
    let scheme = if is_secure { "https" } else { "http" };
    format!("{scheme}://{}", host(&head.headers).unwrap_or_default())
}

/// The name under which the browser knows this server.
pub(crate) fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST)?.to_str().ok()
}
