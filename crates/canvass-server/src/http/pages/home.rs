//! The first page: what this server is, and the public polls that are open.

use std::sync::Arc;

use askama::Template;
use axum::{http::StatusCode, response::Response};
use canvass_domain::{
    Poll,
    poll::{Access, Status},
};

use super::{show, texts::PageTexts};
use crate::{
    app::App,
    http::ask::Ask,
    limits::{HOME_POLLS_MAX, HOME_POLLS_READ_MAX},
    service::Failure,
};

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    t: &'static PageTexts,
    polls: Vec<Arc<Poll>>,
    /// Whether there may be others.
    more: bool,
}

/// What this server is, and what is open to everyone.
pub(crate) async fn read_home(app: App, ask: Ask) -> Result<Response, Failure> {
    let page = app.list_polls(Some(Status::Open), HOME_POLLS_READ_MAX, None).await?;
    let mut polls = page.items;
    polls.retain(|poll| poll.access == Access::Public);
    let more = page.next_cursor.is_some() || polls.len() > HOME_POLLS_MAX;
    polls.truncate(HOME_POLLS_MAX);
    let t = PageTexts::of(ask.speech.language);
    Ok(show(ask.speech, StatusCode::OK, &HomePage { t, polls, more }))
}
