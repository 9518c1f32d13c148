//! The way into the console, and out.

use askama::Template;
use axum::{http::StatusCode, response::Response};

use super::{ConsoleTexts, Desk, Frame, fields, go_on, is_same_site, set_cookie, show};
use crate::{
    app::App,
    http::{
        ask::{Ask, cookie},
        guard::{SESSION_COOKIE, count},
        pages::texts::PageTexts,
    },
    limits::SESSION_SECONDS_MAX,
    service::{Caller, Failure, limiting::Class},
};

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignInPage {
    t: &'static PageTexts,
    c: &'static ConsoleTexts,
    frame: Frame,
    alert: Option<&'static str>,
}

/// The form to sign in with.
pub(crate) async fn read_sign_in(_: App, ask: Ask) -> Result<Response, Failure> {
    let desk = Desk::new(&ask);
    if desk.frame.who.is_some() {
        return Ok(go_on("/console"));
    }
    // Who has just signed in and comes back here has a browser that kept no session.
    let alert = (ask.head.uri.query() == Some("kept")).then_some(desk.c.enter.cookie.as_str());
    Ok(page(desk, StatusCode::OK, alert))
}

/// Takes a key and begins a session, whatever session there was before: none can be set up beforehand.
pub(crate) async fn enter(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let desk = Desk::new(&ask);
    if !is_same_site(&ask.head) {
        let text = &desk.t.notice.other_site_text;
        return Ok(page(desk, StatusCode::FORBIDDEN, Some(text)));
    }
    let entered = fields(&app, &mut ask).await?;
    let token = match app.begin_session(entered.text("key")).await {
        Ok(token) => token,
        Err(Failure::UnknownKey) => {
            // Guessing is as slow as any other request without a key, twice over.
            let stranger = Caller { key: None, device: None, ..ask.caller };
            count(&app, &stranger, Class::Api).await?;
            let wrong = &desk.c.enter.wrong;
            return Ok(page(desk, StatusCode::UNAUTHORIZED, Some(wrong)));
        }
        Err(failure) => return Err(failure),
    };
    let mut response = go_on("/console?kept");
    set_session(&mut response, &token, SESSION_SECONDS_MAX);
    Ok(response)
}

/// Ends the session.
pub(crate) async fn leave(app: App, ask: Ask) -> Result<Response, Failure> {
    if is_same_site(&ask.head)
        && let Some(token) = cookie(&ask.head.headers, SESSION_COOKIE)
    {
        app.end_session(token);
    }
    let mut response = go_on("/console/sign-in");
    set_session(&mut response, "", 0);
    Ok(response)
}

fn set_session(response: &mut Response, token: &str, seconds: i64) {
    let rules = "Path=/; Secure; HttpOnly; SameSite=Lax";
    set_cookie(response, &format!("{SESSION_COOKIE}={token}; {rules}; Max-Age={seconds}"));
}

fn page(desk: Desk, status: StatusCode, alert: Option<&'static str>) -> Response {
    let Desk { t, c, speech, frame } = desk;
    show(speech, status, &SignInPage { t, c, frame, alert })
}
