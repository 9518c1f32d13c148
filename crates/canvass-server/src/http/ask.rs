//! A request as handlers see it: who asks, and what of it can be read, each read one way and refused one way.

use std::{pin::pin, str::FromStr, time::Duration};

use axum::{
    body::{Body, HttpBody as _},
    extract::{FromRequestParts as _, Query, RawPathParams},
    http::{
        HeaderMap,
        header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, IF_MATCH, IF_NONE_MATCH},
        request::Parts,
    },
};
use bytes::{Bytes, BytesMut};
use canvass_domain::{IdempotencyKey, PollId, Refusal};
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use crate::{
    app::App,
    http::speech::Speech,
    limits::{JSON_BODY_BYTES_MAX, VOTE_BODY_BYTES_MAX},
    service::{Caller, Failure, polls::Expected},
};

/// A request, with who asks.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) head: Parts,
    /// None once it was taken.
    pub(crate) body: Option<Body>,
    pub(crate) caller: Caller,
    /// How pages speak to whoever asks.
    pub(crate) speech: Speech,
}

pub(crate) const JSON: &str = "application/json";

impl Ask {
    /// A part of the path, percent-decoded and parsed.
    pub(crate) fn path<T: FromStr>(&mut self, name: &str) -> Option<T> {
        // The parts of the path are there already: the future is ready at once.
        let parts = RawPathParams::from_request_parts(&mut self.head, &()).now_or_never()?.ok()?;
        let (_, text) = parts.iter().find(|(known, _)| *known == name)?;
        text.parse().ok()
    }

    /// The poll that the path names. What cannot be an id is no poll's.
    pub(crate) fn poll(&mut self) -> Result<PollId, Failure> {
        self.path("poll").ok_or(Failure::Refused(Refusal::PollNotFound))
    }

    /// The query, as a type of its own.
    pub(crate) fn query<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        Query::try_from_uri(&self.head.uri).map(|Query(query)| query).map_err(|rejection| {
            Failure::Malformed(format!("the query cannot be read: {}", rejection.body_text()))
        })
    }

    /// A field's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// The one-time code, where it is sent as a field.
    pub(crate) fn code(&self) -> Option<&str> {
        self.header("x-voting-code")
    }

    /// The caller's name for the request.
    pub(crate) fn idempotency_key(&self) -> Result<Option<IdempotencyKey>, Failure> {
        let Some(value) = self.head.headers.get("idempotency-key") else { return Ok(None) };
        let text = value.to_str().unwrap_or_default();
        let parsed = text.parse().map_err(|error| Failure::Malformed(format!("Idempotency-Key: {error}")))?;
        Ok(Some(parsed))
    }

    /// The editions that `If-Match` names.
    pub(crate) fn expected(&self) -> Expected {
        let mut tags = tags(&self.head.headers, IF_MATCH.as_str()).peekable();
        if tags.peek().is_none() {
            return Expected::Any;
        }
        let tags: Vec<_> = tags.collect();
        if tags.contains(&"*") {
            return Expected::Any;
        }
        let edition = |tag: &&str| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
        Expected::OneOf(tags.iter().filter_map(edition).collect())
    }

    /// Whether the caller has the answer with this entity tag already.
    pub(crate) fn has(&self, tag: &str) -> bool {
        tags(&self.head.headers, IF_NONE_MATCH.as_str())
            .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
    }

    /// Refuses a body of another type.
    pub(crate) fn require_type(&self, expected: &'static str) -> Result<(), Failure> {
        let given =
            self.head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = given.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case(expected) { Ok(()) } else { Err(Failure::WrongMediaType(expected)) }
    }

    /// Whether there is a body at all.
    pub(crate) fn has_body(&self) -> bool {
        self.body.as_ref().is_some_and(|body| !body.is_end_stream())
    }

    /// A vote's body.
    pub(crate) async fn vote_bytes(&mut self, app: &App) -> Result<Bytes, Failure> {
        self.bytes(VOTE_BODY_BYTES_MAX, app.parts.settings.body_wait_max).await
    }

    /// Another JSON body, as a type of its own.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self, app: &App) -> Result<T, Failure> {
        self.require_type(JSON)?;
        let bytes = self.bytes(JSON_BODY_BYTES_MAX, app.parts.settings.body_wait_max).await?;
        read_json(&bytes)
    }

    /// The body, at most so many bytes of it, counted as they come.
    pub(crate) async fn bytes(&mut self, bytes_max: usize, wait_max: Duration) -> Result<Bytes, Failure> {
        let declared =
            self.head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if declared.is_some_and(|declared: usize| declared > bytes_max) {
            return Err(Failure::TooLarge(bytes_max));
        }
        let Some(body) = self.body.take() else { return Ok(Bytes::new()) };
        let mut collecting = pin!(collect(body, bytes_max));
        // A small body came with the head: no timer is set for it.
        if let Some(collected) = collecting.as_mut().now_or_never() {
            return collected;
        }
        tokio::time::timeout(wait_max, collecting).await.unwrap_or(Err(Failure::TooSlow))
    }
}

/// Reads JSON.
pub(crate) fn read_json<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| Failure::of_json(bytes, &error))
}

/// A cookie's value.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lists = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(';')).find_map(|pair| {
        let (known, value) = pair.trim().split_once('=')?;
        (known == name).then_some(value)
    })
}

fn tags<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lists = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim)
}

async fn collect(mut body: Body, bytes_max: usize) -> Result<Bytes, Failure> {
    let Some(first) = next_bytes(&mut body).await? else { return Ok(Bytes::new()) };
    if first.len() <= bytes_max && body.is_end_stream() {
        return Ok(first);
    }
    let mut collected = BytesMut::from(first);
    while collected.len() <= bytes_max {
        match next_bytes(&mut body).await? {
            Some(more) => collected.extend_from_slice(&more),
            None => return Ok(collected.freeze()),
        }
    }
    Err(Failure::TooLarge(bytes_max))
}

/// The next bytes of a body; none at its end.
pub(crate) async fn next_bytes(body: &mut Body) -> Result<Option<Bytes>, Failure> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::Malformed("the body ended too early".to_owned()))?;
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}
