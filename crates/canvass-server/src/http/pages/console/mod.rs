//! The organiser's console: polls from draft to archive, their codes, and API keys, in a browser that signed in.
//!
//! Each page does by the same service functions what the API does, and refuses by the same scopes. A page that changes
//! anything takes only a form that a page of this server sent (`same_site.rs`), so no other site rides a session.

mod codes;
mod keys;
mod poll;
mod poll_fields;
mod poll_form;
mod polls;
mod refusals;
mod sign_in;
pub(crate) mod texts;
mod webhooks;

use axum::{http::StatusCode, response::Response};
use canvass_domain::{
    Timestamp,
    key::Scope,
    poll::{Access, Status},
};

use super::{go_on, same_site::is_same_site, set_cookie, show, texts::PageTexts, words};
use crate::{
    app::App,
    http::{ask::Ask, problem, speech::Speech},
    service::Failure,
};
use texts::ConsoleTexts;

pub(crate) use codes::{make_codes, read_codes};
pub(crate) use keys::{create_key, list_keys, revoke_key, rotate_key};
pub(crate) use poll::{export_poll, read_poll, recount_poll, take_step};
pub(crate) use poll_form::{change_poll, create_poll, edit_poll, new_poll};
pub(crate) use polls::list_polls;
pub(crate) use sign_in::{enter, leave, read_sign_in};
pub(crate) use webhooks::{list_webhooks, redeliver};

/// What every page of the console shows around its own.
pub(crate) struct Frame {
    /// The name of the key that signed in; none on the way in.
    pub(crate) who: Option<String>,
    /// Whether the key may manage keys.
    pub(crate) administers: bool,
}

/// What a page of the console is made with.
pub(crate) struct Desk {
    pub(crate) t: &'static PageTexts,
    pub(crate) c: &'static ConsoleTexts,
    pub(crate) speech: Speech,
    pub(crate) frame: Frame,
}

impl Desk {
    /// For whoever asks, signed in or not.
    fn new(ask: &Ask) -> Self {
        let speech = ask.speech.within(&texts::LANGUAGES);
        let key = ask.caller.key.as_ref().map(|live| &live.key);
        let frame = Frame {
            who: key.map(|key| key.name.clone()),
            administers: key.is_some_and(|key| key.has(Scope::Admin)),
        };
        Self { t: PageTexts::of(speech.language), c: ConsoleTexts::of(speech.language), speech, frame }
    }

    /// The languages that the console can speak besides.
    fn others(t: &PageTexts) -> impl Iterator<Item = &'static super::texts::LanguageTexts> {
        let spoken = t.language.code;
        let others = texts::LANGUAGES.into_iter().filter(move |language| *language != spoken);
        others.map(|language| &PageTexts::of(language).language)
    }
}

/// The desk of a caller who signed in with a key for this, or where else to go.
fn desk(ask: &Ask, scope: Scope) -> Result<Desk, Box<Response>> {
    let desk = Desk::new(ask);
    match ask.caller.require(scope) {
        Ok(()) => Ok(desk),
        Err(Failure::MissingKey) => Err(Box::new(go_on("/console/sign-in"))),
        Err(failure) => Err(Box::new(notice(desk, &failure))),
    }
}

/// The same for a form, which a page of this server must have sent.
fn desk_of_form(ask: &Ask, scope: Scope) -> Result<Desk, Box<Response>> {
    if is_same_site(&ask.head) {
        return desk(ask, scope);
    }
    let t = PageTexts::of(ask.speech.language);
    let (heading, text) = (&t.notice.other_site, &t.notice.other_site_text);
    let notice = super::Notice { t, speech: ask.speech, heading, text, poll: None };
    Err(Box::new(show(ask.speech, StatusCode::FORBIDDEN, &notice)))
}

#[derive(askama::Template)]
#[template(path = "console/notice.html")]
struct ConsoleNotice {
    t: &'static PageTexts,
    c: &'static ConsoleTexts,
    frame: Frame,
    heading: String,
    text: String,
}

/// A failure as a page of the console.
fn notice(desk: Desk, failure: &Failure) -> Response {
    let Desk { t, c, speech, frame } = desk;
    let is_scope = matches!(failure, Failure::MissingScope(_));
    let heading = if is_scope { c.refused.scope.clone() } else { c.refused.failed.clone() };
    let text = c.reason(failure);
    show(speech, problem::status(failure), &ConsoleNotice { t, c, frame, heading, text })
}

/// A form's fields.
async fn fields(app: &App, ask: &mut Ask) -> Result<super::entered::Entered, Failure> {
    ask.require_type("application/x-www-form-urlencoded")?;
    let bytes_max = crate::limits::JSON_BODY_BYTES_MAX;
    let body = ask.bytes(bytes_max, app.parts.settings.body_wait_max).await?;
    Ok(super::entered::Entered::read(&body))
}

impl ConsoleTexts {
    pub(crate) fn status(&self, status: Status) -> &str {
        let texts = &self.state;
        match status {
            Status::Draft => &texts.draft,
            Status::Scheduled => &texts.scheduled,
            Status::Open => &texts.open,
            Status::Paused => &texts.paused,
            Status::Closed => &texts.closed,
            Status::Certified => &texts.certified,
            Status::Archived => &texts.archived,
        }
    }

    pub(crate) fn access(&self, access: Access) -> &str {
        let texts = &self.access;
        match access {
            Access::Key => &texts.key,
            Access::Public => &texts.public,
            Access::Code => &texts.code,
            Access::Open => &texts.open,
        }
    }

    pub(crate) fn method(&self, name: &str) -> &str {
        let known = self.methods().into_iter().find(|(known, _)| *known == name);
        known.map_or("", |(_, text)| text)
    }

    /// Every method by its name in the API.
    pub(crate) fn methods(&self) -> [(&'static str, &str); 13] {
        let form = &self.form;
        [
            ("plurality", &form.plurality),
            ("approval", &form.approval),
            ("score", &form.score),
            ("star", &form.star),
            ("irv", &form.irv),
            ("stvScottish", &form.stv_scottish),
            ("stvMeek", &form.stv_meek),
            ("schulze", &form.schulze),
            ("rankedPairs", &form.ranked_pairs),
            ("minimax", &form.minimax),
            ("borda", &form.borda),
            ("quadratic", &form.quadratic),
            ("dot", &form.dot),
        ]
    }
}

/// A moment as HTML that the script tells in the viewer's zone.
fn moment(at: Timestamp) -> String {
    words::time(at)
}
