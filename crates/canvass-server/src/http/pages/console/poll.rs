//! One poll: where it stands, what can be done next, what was done by whom.

use std::sync::Arc;

use askama::Template;
use axum::{http::StatusCode, response::Response};
use canvass_domain::{
    Poll, PollId, Sequence,
    decide::PollCommand,
    key::Scope,
    poll::{Access, Status},
    record::Step,
};

use super::{ConsoleTexts, Desk, Frame, desk, desk_of_form, fields, go_on, moment, notice, show};
use crate::{
    app::App,
    http::{ask::Ask, export::export_votes, pages::texts::PageTexts},
    service::{
        Caller, Failure,
        polls::{EventStep, EventView, Expected},
        recount::RecountView,
    },
};

#[derive(Template)]
#[template(path = "console/poll.html")]
struct PollPage {
    t: &'static PageTexts,
    c: &'static ConsoleTexts,
    frame: Frame,
    poll: Arc<Poll>,
    status: Status,
    state: &'static str,
    access: &'static str,
    votes: String,
    method: &'static str,
    opens: Option<String>,
    closes: Option<String>,
    actions: Vec<Action>,
    recounted: Option<Recounted>,
    events: Vec<EventRow>,
    has_more_events: bool,
    writes: bool,
    exports: bool,
}

/// A step that the poll can take.
struct Action {
    /// What the form sends.
    name: &'static str,
    label: &'static str,
    note: &'static str,
    /// Whether it cannot be taken back: it is asked for twice.
    is_final: bool,
}

struct Recounted {
    matches: bool,
    text: String,
}

struct EventRow {
    at: String,
    step: String,
    who: String,
    version: String,
}

impl PollPage {
    fn formats() -> [(&'static str, &'static str); 5] {
        [("csv", "CSV"), ("xlsx", "Excel"), ("parquet", "Parquet"), ("jsonl", "JSON Lines"), ("json", "JSON")]
    }

    fn ballot_formats() -> [(&'static str, &'static str); 3] {
        [("election", "JSON"), ("blt", "BLT"), ("abif", "ABIF")]
    }

    fn has_page(&self) -> bool {
        self.poll.access != Access::Key
    }
}

/// A poll's page.
pub(crate) async fn read_poll(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let desk = match desk(&ask, Scope::PollsRead) {
        Ok(desk) => desk,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let id = ask.poll()?;
    page(&app, &ask.caller, desk, &id, None).await
}

/// Takes the step that a form asks for.
pub(crate) async fn take_step(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let desk = match desk_of_form(&ask, Scope::PollsWrite) {
        Ok(desk) => desk,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let id = ask.poll()?;
    let entered = fields(&app, &mut ask).await?;
    let command = match entered.text("step") {
        "open" => PollCommand::Open,
        "pause" => PollCommand::Pause,
        "close" => PollCommand::Close,
        "certify" => PollCommand::Certify,
        "archive" => PollCommand::Archive,
        "delete" => PollCommand::Delete,
        _ => return Err(Failure::Malformed("the form names no step of a poll".to_owned())),
    };
    let to = if matches!(command, PollCommand::Delete) {
        "/console".to_owned()
    } else {
        format!("/console/polls/{id}")
    };
    // A page that shows an older state asks for a step that the reader may not want any more.
    let expected =
        entered.text("edition").parse().map_or(Expected::Any, |edition| Expected::OneOf(vec![edition]));
    match app.change_poll(&id, command, &expected, &ask.caller.actor()).await {
        Ok(_) => Ok(go_on(&to)),
        Err(failure) => Ok(notice(desk, &failure)),
    }
}

/// Counts the poll's records once more, and shows what was found.
pub(crate) async fn recount_poll(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let desk = match desk_of_form(&ask, Scope::PollsWrite) {
        Ok(desk) => desk,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let id = ask.poll()?;
    let found = app.recount(&id).await?;
    page(&app, &ask.caller, desk, &id, Some(&found)).await
}

/// The download of a poll's votes or ballots.
pub(crate) async fn export_poll(app: App, ask: Ask) -> Result<Response, Failure> {
    match desk(&ask, Scope::ExportsRead) {
        Ok(_) => export_votes(app, ask).await,
        Err(elsewhere) => Ok(*elsewhere),
    }
}

async fn page(
    app: &App,
    caller: &Caller,
    desk: Desk,
    id: &PollId,
    found: Option<&RecountView>,
) -> Result<Response, Failure> {
    let poll = app.poll(id).await?;
    let snapshot = app.store().tally(id).await.map_err(|error| app.failed(error))?;
    let events = app.list_events(id, Sequence::default()).await?;
    let status = poll.status_at(app.edge().now());
    let Desk { t, c, speech, frame } = desk;
    let writes = caller.has(Scope::PollsWrite);
    let recounted = found.map(|found| Recounted {
        matches: found.matches,
        text: if found.matches {
            c.poll.recount_right.fill(&[("count", &t.number.whole(found.sequence.0))])
        } else {
            c.poll.recount_wrong.clone()
        },
    });
    let page = PollPage {
        votes: t.count(&c.poll.votes, snapshot.tally.votes),
        state: c.status(status),
        access: c.access(poll.access),
        method: c.method(poll.method.name()),
        opens: poll.opens_at.map(moment),
        closes: poll.closes_at.map(moment),
        actions: if writes { actions(c, status) } else { Vec::new() },
        recounted,
        has_more_events: events.next_after.is_some(),
        events: events.items.iter().map(|event| event_row(app, t, c, event)).collect(),
        writes,
        exports: caller.has(Scope::ExportsRead),
        t,
        c,
        frame,
        poll,
        status,
    };
    Ok(show(speech, StatusCode::OK, &page))
}

/// What can be done with a poll that stands there.
fn actions(c: &'static ConsoleTexts, status: Status) -> Vec<Action> {
    let texts = &c.poll;
    let open = Action { name: "open", label: &texts.open, note: &texts.open_note, is_final: false };
    let resume = Action { name: "open", label: &texts.resume, note: &texts.resume_note, is_final: false };
    let pause = Action { name: "pause", label: &texts.pause, note: &texts.pause_note, is_final: false };
    let close = Action { name: "close", label: &texts.close, note: &texts.close_note, is_final: true };
    let certify =
        Action { name: "certify", label: &texts.certify, note: &texts.certify_note, is_final: true };
    let archive =
        Action { name: "archive", label: &texts.archive, note: &texts.archive_note, is_final: true };
    let delete = Action { name: "delete", label: &texts.delete, note: &texts.delete_note, is_final: true };
    match status {
        Status::Draft => vec![open, delete],
        Status::Scheduled => vec![open],
        Status::Open => vec![pause, close],
        Status::Paused => vec![resume, close],
        Status::Closed => vec![certify],
        Status::Certified => vec![archive],
        Status::Archived => vec![delete],
    }
}

fn event_row(app: &App, t: &PageTexts, c: &ConsoleTexts, event: &EventView) -> EventRow {
    let step = match event.step {
        EventStep::Poll(step) => step_word(c, step).to_owned(),
        EventStep::Codes(_) => t.count(&c.step.codes, event.codes.unwrap_or_default() as u64),
    };
    EventRow {
        at: moment(event.at),
        step,
        who: actor_word(app, c, &event.actor),
        version: event.version.map(|version| version.to_string()).unwrap_or_default(),
    }
}

fn step_word(c: &ConsoleTexts, step: Step) -> &str {
    let texts = &c.step;
    match step {
        Step::Created => &texts.created,
        Step::Changed => &texts.changed,
        Step::Scheduled => &texts.scheduled,
        Step::Opened => &texts.opened,
        Step::Paused => &texts.paused,
        Step::Closed => &texts.closed,
        Step::Certified => &texts.certified,
        Step::Archived => &texts.archived,
        Step::ErasureBegun => &texts.erasure_begun,
        Step::Erased => &texts.erased,
        Step::VoterErasureBegun => &texts.voter_erasure_begun,
        Step::VoterErased => &texts.voter_erased,
        Step::Deleted => &texts.deleted,
    }
}

/// Who took a step: a key by its name, while it is known.
fn actor_word(app: &App, c: &ConsoleTexts, actor: &str) -> String {
    let known = |id: &str| Some(app.parts.keys.get(&id.parse().ok()?).ok()?.key.name.clone());
    match (actor, actor.strip_prefix("key:")) {
        ("schedule", _) => c.step.schedule.clone(),
        ("anyone", _) => c.step.anyone.clone(),
        (_, Some(id)) => c.step.key.fill(&[("name", &known(id).unwrap_or_else(|| id.to_owned()))]),
        (other, None) => other.to_owned(),
    }
}
