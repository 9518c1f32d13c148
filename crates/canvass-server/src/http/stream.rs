//! The stream of live results, as server-sent events (HTML Living Standard, section 9.2).

use std::{convert::Infallible, time::Duration};

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::Response,
};
use bytes::Bytes;
use canvass_domain::Sequence;
use futures_util::stream::unfold;

use crate::{
    app::App,
    http::{ask::Ask, reply, results::see},
    limits::{LIVE_RETRY_MAX, SHORT_POLLING_PAUSE},
    service::{
        Failure,
        live::{Told, Watcher},
        results::Seen,
    },
};

/// Watch the results
///
/// Server-sent events named `results`: the results as `GET …/results` answers them, whole each time, with their
/// sequence as `id`, at most ten a second. A slow reader skips to the newest. The stream ends after a quarter of an
/// hour at most, and when the server stops; connect again with `Last-Event-ID`, as browsers do by themselves, after the
/// time that the field `retry` asks for. Where the server runs as functions, each stream ends with its first event.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/polls/{poll}/results/stream", tag = "results",
    params(("poll" = String, Path, description = "The poll's id"),
        ("voter" = Option<String>, Query, description = "In a poll whose results are for those who have voted: the voter to show them to (scope votes:read)"),
        ("reveal" = Option<bool>, Query, description = "Show the count against the poll's rule (scope admin)"),
        ("last-event-id" = Option<String>, Header, description = "The sequence that the caller has seen")),
    responses((status = 200, description = "The results, again with each change", body = String, content_type = "text/event-stream",
        example = "retry: 2150\n\nevent: results\nid: 17\ndata: {\"pollId\":\"lunch\",…}\n\n"), crate::http::openapi::ReadProblems)))]
pub(crate) async fn stream_results(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let query = ask.query()?;
    let seen = see(&app, &mut ask, &query).await?;
    stream(&app, &seen, known(&ask)).await
}

/// The sequence that the caller has seen.
pub(crate) fn known(ask: &Ask) -> Option<Sequence> {
    ask.header("last-event-id").and_then(|id| id.parse().ok()).map(Sequence)
}

/// The results of a poll as they come, within what is seen of it.
pub(crate) async fn stream(app: &App, seen: &Seen, known: Option<Sequence>) -> Result<Response, Failure> {
    if app.parts.settings.short_polling {
        let newest = app.newest(seen, known).await?.unwrap_or_default();
        return Ok(answer([retry(SHORT_POLLING_PAUSE).as_bytes(), &newest].concat()));
    }
    let watcher = app.watch(seen, known)?;
    let retry = retry(app.spread(LIVE_RETRY_MAX));
    let events = unfold((Some(Bytes::from(retry)), watcher), |(first, mut watcher)| async move {
        let event = match first {
            Some(first) => first,
            None => next_event(&mut watcher).await?,
        };
        Some((Ok::<_, Infallible>(event), (None, watcher)))
    });
    Ok(answer(Body::from_stream(events)))
}

/// Asks a watcher to wait so long before it connects again.
fn retry(pause: Duration) -> String {
    format!("retry: {}\n\n", pause.as_millis())
}

fn answer(events: impl Into<Body>) -> Response {
    // A connection keeps its answer's fields: room for no more than these spares 300 bytes of each watcher.
    let mut fields = HeaderMap::with_capacity(3);
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    fields.insert(CACHE_CONTROL, reply::NO_STORE);
    // Some proxies would hold events back until they have many.
    fields.insert("x-accel-buffering", HeaderValue::from_static("no"));
    let mut response = Response::new(events.into());
    *response.headers_mut() = fields;
    response
}

async fn next_event(watcher: &mut Watcher) -> Option<Bytes> {
    Some(match watcher.next().await? {
        Told::Heartbeat => Bytes::from_static(b":\n\n"),
        Told::Results(event) => event,
    })
}
