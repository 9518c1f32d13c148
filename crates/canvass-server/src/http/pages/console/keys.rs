//! API keys: listed, made, given a new secret, revoked.

use askama::Template;
use axum::{http::StatusCode, response::Response};
use canvass_domain::{KeyId, key::Scope};
use serde_json::{Value, json};

use super::{ConsoleTexts, Desk, Frame, desk, desk_of_form, fields, go_on, moment, notice, show};
use crate::{
    app::App,
    http::{ask::Ask, pages::texts::PageTexts},
    service::{
        Failure,
        keys::{KeyView, NewKey, Rotation},
    },
};

#[derive(Template)]
#[template(path = "console/keys.html")]
struct KeysPage {
    t: &'static PageTexts,
    c: &'static ConsoleTexts,
    frame: Frame,
    rows: Vec<Row>,
    /// The secret that was just made, with its key's name.
    secret: Option<(String, String)>,
    alert: Option<String>,
}

struct Row {
    id: String,
    name: String,
    scopes: String,
    rate: String,
    quota: String,
    expires: String,
    is_revoked: bool,
}

impl KeysPage {
    fn scopes(&self) -> [(Scope, &'static str); 7] {
        let texts = &self.c.keys;
        [
            (Scope::VotesWrite, &texts.votes_write),
            (Scope::ResultsRead, &texts.results_read),
            (Scope::PollsRead, &texts.polls_read),
            (Scope::PollsWrite, &texts.polls_write),
            (Scope::VotesRead, &texts.votes_read),
            (Scope::ExportsRead, &texts.exports_read),
            (Scope::Admin, &texts.admin),
        ]
    }
}

/// Every key.
pub(crate) async fn list_keys(app: App, ask: Ask) -> Result<Response, Failure> {
    match desk(&ask, Scope::Admin) {
        Ok(desk) => Ok(page(&app, desk, StatusCode::OK, None, None)),
        Err(elsewhere) => Ok(*elsewhere),
    }
}

/// Makes a key, and shows its secret this once.
pub(crate) async fn create_key(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let desk = match desk_of_form(&ask, Scope::Admin) {
        Ok(desk) => desk,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let entered = fields(&app, &mut ask).await?;
    let expires = match entered.text("expiresAt") {
        "" => Value::Null,
        text => format!("{text}:00Z").into(),
    };
    let request = json!({
        "name": entered.text("name"),
        "scopes": entered.all("scope").collect::<Vec<_>>(),
        "plan": entered.text("plan"),
        "expiresAt": expires,
    });
    let made = match serde_json::from_value::<NewKey>(request) {
        Ok(request) => app.create_key(request).await,
        Err(error) => Err(Failure::invalid("body", error.to_string())),
    };
    match made {
        Ok(key) => Ok(page(&app, desk, StatusCode::CREATED, Some(&key), None)),
        Err(failure) => Ok(refused(&app, desk, &failure)),
    }
}

/// Gives a key another secret, and shows it this once.
pub(crate) async fn rotate_key(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let desk = match desk_of_form(&ask, Scope::Admin) {
        Ok(desk) => desk,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let id: KeyId = ask.path("id").ok_or(Failure::KeyNotFound)?;
    match app.rotate_key(&id, &Rotation::default()).await {
        Ok(key) => Ok(page(&app, desk, StatusCode::OK, Some(&key), None)),
        Err(failure) => Ok(notice(desk, &failure)),
    }
}

/// Ends a key.
pub(crate) async fn revoke_key(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let desk = match desk_of_form(&ask, Scope::Admin) {
        Ok(desk) => desk,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let id: KeyId = ask.path("id").ok_or(Failure::KeyNotFound)?;
    match app.revoke_key(&id).await {
        Ok(()) => Ok(go_on("/console/keys")),
        Err(failure) => Ok(notice(desk, &failure)),
    }
}

fn refused(app: &App, desk: Desk, failure: &Failure) -> Response {
    let alert = desk.c.form.refused.fill(&[("reason", &desk.c.reason(failure))]);
    page(app, desk, crate::http::problem::status(failure), None, Some(alert))
}

fn page(
    app: &App,
    desk: Desk,
    status: StatusCode,
    made: Option<&KeyView>,
    alert: Option<String>,
) -> Response {
    let Desk { t, c, speech, frame } = desk;
    let rows = app.list_keys().iter().map(|key| row(t, c, key)).collect();
    let secret = made.and_then(|key| Some((key.name.clone(), key.secret.clone()?)));
    show(speech, status, &KeysPage { t, c, frame, rows, secret, alert })
}

fn row(t: &PageTexts, c: &ConsoleTexts, key: &KeyView) -> Row {
    let or_unlimited = |number: Option<u64>| {
        number.map_or_else(|| c.keys.unlimited.clone(), |number| t.number.whole(number))
    };
    Row {
        id: key.id.to_string(),
        name: key.name.clone(),
        scopes: key.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(", "),
        rate: or_unlimited(key.rate.map(u64::from)),
        quota: or_unlimited(key.quota_per_day),
        expires: key.expires_at.map_or_else(|| c.keys.never.clone(), moment),
        is_revoked: key.revoked_at.is_some(),
    }
}
