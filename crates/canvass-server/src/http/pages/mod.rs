//! Pages for people: to vote on, to watch results on, and what this server is. They work without scripts, say what
//! the API says by the same service functions, and hold nothing of another address.

// First, since other families of pages make their texts by its macros.
#[macro_use]
pub(crate) mod texts;

mod analytics;
pub(crate) mod assets;
pub(crate) mod console;
mod embed;
mod entered;
mod flow;
mod form;
mod home;
#[cfg(debug_assertions)]
mod palette;
mod plain;
mod plural;
mod problems;
mod qr;
mod results;
mod rounds;
mod said;
mod same_site;
#[cfg(debug_assertions)]
mod styleguide;
mod vote;
mod words;

use askama::Template;
use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, LOCATION, RETRY_AFTER, SET_COOKIE},
    },
    response::Response,
};

use crate::{
    http::{problem::Kind, reply, speech::Speech},
    service::Failure,
};

use texts::PageTexts;

pub(crate) use analytics::read_analytics;
pub(crate) use assets::read_asset;
pub(crate) use embed::{FRAMED_DEVICE_COOKIE, frame};
pub(crate) use home::read_home;
pub(crate) use plain::{escaped, page, put, with_code};
pub(crate) use problems::{list_problems, read_problem};
pub(crate) use results::{read_projector, read_results, stream_results};
pub(crate) use same_site::{host, is_cross_origin, origin};
#[cfg(debug_assertions)]
pub(crate) use styleguide::read_styleguide;
pub(crate) use vote::{cast_vote, read_receipt, read_vote, withdraw_vote};

/// A page that says one thing.
#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    t: &'static PageTexts,
    speech: Speech,
    heading: &'a str,
    text: &'a str,
    /// The poll to go back to.
    poll: Option<&'a str>,
}

/// A refusal as a page.
pub(crate) fn refuse(failure: &Failure, speech: Speech) -> Response {
    let t = PageTexts::of(speech.language);
    let (heading, text) = words::of_failure(t, failure);
    let status = crate::http::problem::status(failure);
    let mut response = show(speech, status, &Notice { t, speech, heading, text, poll: None });
    if let Some(wait) = failure.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, wait.as_secs().max(1).into());
    }
    response
}

/// A page as an answer that no cache may keep: it shows what one viewer may see at one moment.
fn show(speech: Speech, status: StatusCode, page: &impl Template) -> Response {
    let html = page.render().expect("a template over plain values writes into a string");
    let mut response = reply::html(status, html);
    response.headers_mut().insert(CACHE_CONTROL, reply::NO_STORE);
    speech.tell(response.headers_mut());
    response
}

/// Sends a browser on after a form, so that loading the next page again sends nothing again.
fn go_on(to: &str) -> Response {
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(CACHE_CONTROL, reply::NO_STORE);
    if let Ok(to) = HeaderValue::try_from(to) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}

fn set_cookie(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// Whether sending the same form again may help.
fn may_be_sent_again(failure: &Failure) -> bool {
    matches!(Kind::of(failure), Kind::ServerBusy | Kind::StorageUnavailable | Kind::OutcomeUnknown)
}
