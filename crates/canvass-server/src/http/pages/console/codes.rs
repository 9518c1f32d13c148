//! One-time codes of a poll: made, shown once to be printed, or downloaded.

use std::{fmt::Write as _, sync::Arc};

use askama::Template;
use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_DISPOSITION, ORIGIN},
    },
    response::Response,
};
use canvass_domain::{Poll, PollId, key::Scope};

use super::{ConsoleTexts, Desk, Frame, desk, desk_of_form, fields, notice, show};
use crate::{
    app::App,
    http::{
        ask::Ask,
        pages::{same_site::origin, texts::PageTexts},
        reply,
    },
    service::{
        Failure,
        codes::{CodesView, NewCodes},
    },
};

#[derive(Template)]
#[template(path = "console/codes.html")]
struct CodesPage {
    t: &'static PageTexts,
    c: &'static ConsoleTexts,
    frame: Frame,
    poll: Arc<Poll>,
    made: Option<Made>,
}

struct Made {
    heading: String,
    codes: Vec<Code>,
}

struct Code {
    code: String,
    link: String,
}

/// The form to make codes with.
pub(crate) async fn read_codes(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let desk = match desk(&ask, Scope::PollsWrite) {
        Ok(desk) => desk,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let poll = app.poll(&ask.poll()?).await?;
    let Desk { t, c, speech, frame } = desk;
    Ok(show(speech, StatusCode::OK, &CodesPage { t, c, frame, poll, made: None }))
}

/// Makes codes.
pub(crate) async fn make_codes(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let desk = match desk_of_form(&ask, Scope::PollsWrite) {
        Ok(desk) => desk,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let id = ask.poll()?;
    let entered = fields(&app, &mut ask).await?;
    let poll = app.poll(&id).await?;
    // What is no number is 0, which the same rule refuses.
    let request = NewCodes { count: entered.text("count").parse().unwrap_or_default() };
    let codes = match app.create_codes(&id, request, &ask.caller.actor()).await {
        Ok(codes) => codes,
        Err(failure) => return Ok(notice(desk, &failure)),
    };
    let address = address(&app, &ask, &id);
    if entered.text("as") == "csv" {
        return Ok(download(&id, &codes, &address));
    }
    let Desk { t, c, speech, frame } = desk;
    let made = Made {
        heading: t.count(&c.codes.made, codes.codes.len() as u64),
        codes: codes
            .codes
            .into_iter()
            .map(|code| Code { link: format!("{address}#code={code}"), code })
            .collect(),
    };
    Ok(show(speech, StatusCode::CREATED, &CodesPage { t, c, frame, poll, made: Some(made) }))
}

/// Where voters find the poll: under the name by which the organiser's browser knows this server.
fn address(app: &App, ask: &Ask, poll: &PollId) -> String {
    let said = ask.head.headers.get(ORIGIN).and_then(|said| said.to_str().ok());
    let said = said.filter(|said| said.contains("://")).map(str::to_owned);
    let origin = said.unwrap_or_else(|| origin(&ask.head, app.parts.settings.trusted_proxies));
    format!("{origin}/p/{poll}")
}

fn download(poll: &PollId, codes: &CodesView, address: &str) -> Response {
    let mut table = String::from("code,link\r\n");
    for code in &codes.codes {
        // A code is letters, digits and hyphens; writing to a string cannot fail.
        let _ = write!(table, "{code},{address}#code={code}\r\n");
    }
    let mut response =
        reply::of(StatusCode::CREATED, HeaderValue::from_static("text/csv; charset=utf-8"), table);
    response.headers_mut().insert(CACHE_CONTROL, reply::NO_STORE);
    if let Ok(file) = HeaderValue::try_from(format!("attachment; filename=\"{poll}-codes.csv\"")) {
        response.headers_mut().insert(CONTENT_DISPOSITION, file);
    }
    response
}
