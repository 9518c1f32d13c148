//! Webhooks: how each stands, and delivering to it again.

use askama::Template;
use axum::{http::StatusCode, response::Response};
use canvass_domain::key::Scope;

use super::{ConsoleTexts, Desk, Frame, desk, desk_of_form, fields, go_on, moment, notice, show};
use crate::{
    app::App,
    http::{ask::Ask, pages::texts::PageTexts},
    service::{
        Failure,
        webhooks::{Redelivery, State, WebhookView},
    },
};

#[derive(Template)]
#[template(path = "console/webhooks.html")]
struct WebhooksPage {
    t: &'static PageTexts,
    c: &'static ConsoleTexts,
    frame: Frame,
    rows: Vec<Row>,
}

struct Row {
    id: String,
    url: String,
    types: String,
    state: &'static str,
    position: u64,
    /// Since when tries fail, as a moment of the page.
    failing_since: Option<String>,
    trouble: Option<String>,
}

/// Every webhook.
pub(crate) async fn list_webhooks(app: App, ask: Ask) -> Result<Response, Failure> {
    let desk = match desk(&ask, Scope::Admin) {
        Ok(desk) => desk,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let hooks = match app.list_webhooks() {
        Ok(hooks) => hooks,
        Err(failure) => return Ok(notice(desk, &failure)),
    };
    let Desk { t, c, speech, frame } = desk;
    let rows = hooks.into_iter().map(|hook| row(c, hook)).collect();
    Ok(show(speech, StatusCode::OK, &WebhooksPage { t, c, frame, rows }))
}

/// Has a webhook tried at once, from where it is or from an earlier position.
pub(crate) async fn redeliver(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let desk = match desk_of_form(&ask, Scope::Admin) {
        Ok(desk) => desk,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let id: String = ask.path("id").ok_or(Failure::WebhookNotFound)?;
    let entered = fields(&app, &mut ask).await?;
    let redelivery = match entered.text("after") {
        "" => Ok(Redelivery::default()),
        text => text.parse().map(Redelivery::after).map_err(|_| Failure::invalid("after", "a position")),
    };
    let done = match redelivery {
        Ok(redelivery) => app.redeliver(&id, &redelivery).await,
        Err(failure) => Err(failure),
    };
    match done {
        Ok(_) => Ok(go_on("/console/webhooks")),
        Err(failure) => Ok(notice(desk, &failure)),
    }
}

fn row(c: &'static ConsoleTexts, hook: WebhookView) -> Row {
    let texts = &c.webhooks;
    let state = match hook.state {
        State::Active => &texts.active,
        State::Failing => &texts.failing,
        State::Disabled => &texts.disabled,
    };
    Row {
        id: hook.id,
        url: hook.url,
        types: hook.types.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", "),
        state,
        position: hook.position,
        failing_since: hook.failing_since.map(moment),
        trouble: hook.trouble,
    }
}
