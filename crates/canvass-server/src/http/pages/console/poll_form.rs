//! The form that makes a poll, changes one, or makes one like another.

use std::sync::Arc;

use askama::Template;
use axum::{http::StatusCode, response::Response};
use canvass_domain::{
    Poll, PollId,
    decide::PollCommand,
    key::Scope,
    poll::{NewPoll, PollPatch},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    ConsoleTexts, Desk, Frame, desk, desk_of_form, fields, go_on,
    poll_fields::{change, creation, fields_of},
    show,
};
use crate::{
    app::App,
    http::{
        ask::Ask,
        pages::{entered::Entered, texts::PageTexts},
        problem,
    },
    service::{Failure, polls::Expected},
};

#[derive(Template)]
#[template(path = "console/poll_form.html")]
struct PollFormPage {
    t: &'static PageTexts,
    c: &'static ConsoleTexts,
    frame: Frame,
    /// The poll that is changed; none where one is made.
    poll: Option<Arc<Poll>>,
    has_votes: bool,
    entered: Entered,
    alert: Option<String>,
}

impl PollFormPage {
    fn accesses(&self) -> [(&'static str, &'static str, &'static str); 4] {
        let texts = &self.c.access;
        [
            ("public", &texts.public, &texts.public_note),
            ("code", &texts.code, &texts.code_note),
            ("key", &texts.key, &texts.key_note),
            ("open", &texts.open, &texts.open_note),
        ]
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.entered.text(name) == value
    }
}

/// What a fresh form proposes: a poll for people in a room.
const PROPOSED: [(&str, &str); 9] = [
    ("method", "plurality"),
    ("seats", "1"),
    ("tieBreak", "report"),
    ("access", "public"),
    ("revote", "untilClose"),
    ("resultsVisible", "live"),
    ("minimumCell", "0"),
    ("start", "open"),
    ("aggregate", "sum"),
];

#[derive(Deserialize)]
struct NewQuery {
    from: Option<String>,
}

/// The form for a new poll, empty or like another.
pub(crate) async fn new_poll(app: App, ask: Ask) -> Result<Response, Failure> {
    let desk = match desk(&ask, Scope::PollsWrite) {
        Ok(desk) => desk,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let query: NewQuery = ask.query()?;
    let entered = match query.from.as_deref().and_then(|from| from.parse::<PollId>().ok()) {
        Some(from) => {
            let like = app.poll(&from).await?;
            fields_of(&like).without(&["id", "opensAt", "closesAt"]).with("start", "draft")
        }
        None => Entered::of(PROPOSED.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()),
    };
    Ok(page(desk, StatusCode::OK, None, false, entered, None))
}

/// Makes a poll.
pub(crate) async fn create_poll(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let desk = match desk_of_form(&ask, Scope::PollsWrite) {
        Ok(desk) => desk,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let entered = fields(&app, &mut ask).await?;
    let request = match creation(&entered) {
        Ok(request) => request,
        Err(unread) => return Ok(refused(desk, None, false, entered, &unread)),
    };
    let made = match read::<NewPoll>(request) {
        Ok(request) => app.create_poll(request, &ask.caller.actor()).await,
        Err(failure) => Err(failure),
    };
    match made {
        Ok(poll) => Ok(go_on(&format!("/console/polls/{}", poll.id))),
        Err(failure) => Ok(refused(desk, None, false, entered, &failure)),
    }
}

/// The form of a poll that is there.
pub(crate) async fn edit_poll(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let desk = match desk(&ask, Scope::PollsWrite) {
        Ok(desk) => desk,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let (poll, has_votes) = find(&app, &ask.poll()?).await?;
    let entered = fields_of(&poll).with("version", &poll.version.to_string());
    Ok(page(desk, StatusCode::OK, Some(poll), has_votes, entered, None))
}

/// Changes a poll.
pub(crate) async fn change_poll(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let desk = match desk_of_form(&ask, Scope::PollsWrite) {
        Ok(desk) => desk,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let (poll, has_votes) = find(&app, &ask.poll()?).await?;
    let entered = fields(&app, &mut ask).await?;
    let request = match change(&entered, &poll) {
        Ok(request) => request,
        Err(unread) => return Ok(refused(desk, Some(poll), has_votes, entered, &unread)),
    };
    let changed = match read::<PollPatch>(request) {
        Ok(patch) => {
            let command = PollCommand::Edit(Box::new(patch));
            app.change_poll(&poll.id, command, &Expected::Any, &ask.caller.actor()).await
        }
        Err(failure) => Err(failure),
    };
    match changed {
        Ok(poll) => Ok(go_on(&format!("/console/polls/{}", poll.id))),
        Err(failure) => Ok(refused(desk, Some(poll), has_votes, entered, &failure)),
    }
}

async fn find(app: &App, id: &PollId) -> Result<(Arc<Poll>, bool), Failure> {
    let snapshot = app.store().tally(id).await.map_err(|error| app.failed(error))?;
    let has_votes = snapshot.tally.votes > 0;
    Ok((snapshot.poll, has_votes))
}

/// The same reading as that of the API's JSON.
fn read<T: DeserializeOwned>(request: Value) -> Result<T, Failure> {
    serde_json::from_value(request).map_err(|error| Failure::invalid("body", error.to_string()))
}

/// The form again, filled in, with what is wrong.
fn refused(
    desk: Desk,
    poll: Option<Arc<Poll>>,
    has_votes: bool,
    entered: Entered,
    failure: &Failure,
) -> Response {
    let alert = desk.c.form.refused.fill(&[("reason", &desk.c.reason(failure))]);
    page(desk, problem::status(failure), poll, has_votes, entered, Some(alert))
}

fn page(
    desk: Desk,
    status: StatusCode,
    poll: Option<Arc<Poll>>,
    has_votes: bool,
    entered: Entered,
    alert: Option<String>,
) -> Response {
    let Desk { t, c, speech, frame } = desk;
    show(speech, status, &PollFormPage { t, c, frame, poll, has_votes, entered, alert })
}
