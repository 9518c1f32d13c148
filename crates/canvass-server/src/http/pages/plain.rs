//! Pages whose text is written by the program itself: its documentation.

use std::fmt::Write as _;

use askama::Template;

use super::texts::PageTexts;
use crate::http::speech::Language;

#[derive(Template)]
#[template(path = "plain.html")]
struct Plain<'a> {
    t: &'static PageTexts,
    heading: &'a str,
    body: &'a str,
}

/// A page with a heading. `body` is HTML.
pub(crate) fn page(heading: &str, body: &str) -> String {
    let t = PageTexts::of(Language::English);
    Plain { t, heading, body }.render().expect("a template over plain values writes into a string")
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
