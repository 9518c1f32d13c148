//! What each kind of problem means, and what to do: the pages that `type` names.

use axum::{http::StatusCode, response::Response};

use super::{escaped, page, put, with_code};
use crate::{
    app::App,
    http::{ask::Ask, problem::Kind, reply},
    service::Failure,
};

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
