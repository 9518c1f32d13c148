//! Plain pages for people: what this server is, and what its problems mean.

use std::fmt::Write as _;

use axum::{http::StatusCode, response::Response};

use crate::{
    app::App,
    http::{ask::Ask, problem::Kind, reply},
    service::Failure,
};

/// What this server is.
pub(crate) async fn read_home(_: App, _: Ask) -> Result<Response, Failure> {
    let body = "<p>This server takes polls and votes, and counts every vote exactly once.</p>\
        <ul><li><a href=\"/docs\">How to use it</a>, and the same <a href=\"/openapi.json\">for programs</a></li>\
        <li><a href=\"/problems\">What its errors mean</a></li>\
        <li><a href=\"/readyz\">Whether it can take votes</a></li></ul>";
    Ok(reply::html(StatusCode::OK, page("Canvass", body)))
}

/// Every kind of problem.
pub(crate) async fn list_problems(_: App, _: Ask) -> Result<Response, Failure> {
    let mut body =
        String::from("<p>Every error answers with one of these kinds in <code>type</code>.</p><table>");
    for kind in Kind::ALL {
        put(
            &mut body,
            format_args!(
                "<tr><td>{}</td><td><a href=\"/problems/{}\">{}</a></td></tr>",
                kind.status(),
                kind.name(),
                escaped(kind.title())
            ),
        );
    }
    body.push_str("</table>");
    Ok(reply::html(StatusCode::OK, page("Problems", &body)))
}

/// What one kind of problem means, and what to do.
pub(crate) async fn read_problem(_: App, mut ask: Ask) -> Result<Response, Failure> {
    let kind =
        ask.path::<String>("kind").and_then(|name| Kind::named(&name)).ok_or(Failure::RouteNotFound)?;
    let body = format!(
        "<p class=\"note\">Status {} · <code>/problems/{}</code></p><p>{}</p><p><a href=\"/problems\">All problems</a></p>",
        kind.status(),
        kind.name(),
        with_code(kind.meaning()),
    );
    Ok(reply::html(StatusCode::OK, page(kind.title(), &body)))
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1a1c20;--soft:#5c626d;--line:#d9dce2;--ground:#fff;--link:#0b57d0}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ec;--soft:#9aa1ad;--line:#343841;--ground:#15171b;--link:#8ab4f8}}\
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.6 system-ui,sans-serif}\
main{max-width:46rem;margin:0 auto;padding:3rem 1.25rem}\
h1{font-size:1.7rem;line-height:1.25;margin:0 0 1rem}h2{font-size:1.25rem;margin:2.5rem 0 .5rem}h3{font-size:1rem;margin:1.75rem 0 .25rem}\
a{color:var(--link)}code{font:.92em ui-monospace,monospace;overflow-wrap:anywhere}\
pre{overflow-x:auto;border:1px solid var(--line);border-radius:6px;padding:.75rem}\
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid var(--line);padding:.35rem .75rem .35rem 0;text-align:left;vertical-align:top}\
.note{color:var(--soft)}.method{font-weight:600;display:inline-block;min-width:4.5rem}";

/// A page with a heading. `body` is HTML.
pub(crate) fn page(heading: &str, body: &str) -> String {
    let heading = escaped(heading);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{heading}</title><style>{STYLE}</style></head><body><main><h1>{heading}</h1>{body}</main></body></html>\n"
    )
}

/// A text as HTML.
pub(crate) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            _ => html.push(character),
        }
    }
    html
}

/// A text as HTML, with what stands between backquotes as code.
pub(crate) fn with_code(text: &str) -> String {
    let mut html = String::new();
    for (index, part) in text.split('`').enumerate() {
        let part = escaped(part);
        if index % 2 == 1 {
            put(&mut html, format_args!("<code>{part}</code>"));
        } else {
            html.push_str(&part);
        }
    }
    html
}

/// Appends formatted text.
pub(crate) fn put(html: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = html.write_fmt(arguments);
}
