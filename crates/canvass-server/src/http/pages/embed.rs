//! A poll's pages in a frame of another site: the same pages under `/embed`, without what stands around them.
//!
//! Only sites that the operator names may show them (`frame-ancestors` of the Content-Security-Policy): whoever may put
//! a page under another one can trick people into clicks. All other pages are for no frame at all.
//!
//! A browser sends no `SameSite=Lax` cookie into a frame of another site, so these pages have cookies of their own:
//! `SameSite=None`, kept apart for each site that shows them (CHIPS), and sent to `/embed` alone, never to the API.
//! Browsers take them over HTTPS, and from this machine.

use axum::{
    http::{HeaderValue, header::CONTENT_SECURITY_POLICY},
    response::Response,
};

use super::set_cookie;
use crate::{limits::DEVICE_DAYS_MAX, origins::Origins, service::devices::NewDevice};

/// The cookie by which a device is known inside a frame.
pub(crate) const FRAMED_DEVICE_COOKIE: &str = "canvass_framed_device";

/// What a cookie must be for a browser to keep it inside a frame of another site.
pub(super) const FRAMED_COOKIE: &str = "HttpOnly; Secure; SameSite=None; Partitioned";

/// Lets a page be shown in frames of this server and of `origins`. It is done to refusals too: what says why something
/// is not there must be legible where it is missed.
pub(crate) fn frame(origins: &Origins) -> impl Fn(Response) -> std::future::Ready<Response> + Clone + use<> {
    let ancestors = format!("frame-ancestors 'self' {}", origins.joined(" "));
    move |mut response| {
        let headers = response.headers_mut();
        let policy = headers.get(CONTENT_SECURITY_POLICY).and_then(|policy| policy.to_str().ok());
        let framed = policy.map(|policy| policy.replace("frame-ancestors 'none'", ancestors.trim_end()));
        if let Some(policy) = framed.and_then(|policy| HeaderValue::try_from(policy).ok()) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        std::future::ready(response)
    }
}

/// Tells a device inside a frame its id.
pub(super) fn set_framed_device(response: &mut Response, device: Option<&NewDevice>) {
    let Some(device) = device else { return };
    let seconds = DEVICE_DAYS_MAX * 86_400;
    let cookie =
        format!("{FRAMED_DEVICE_COOKIE}={}; Path=/embed; Max-Age={seconds}; {FRAMED_COOKIE}", device.token);
    set_cookie(response, &cookie);
}
