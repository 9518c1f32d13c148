//! Answers as API Gateway takes them.

use std::collections::BTreeMap;

use axum::{body::to_bytes, response::Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderValue,
    header::{LOCATION, SET_COOKIE},
};
use serde::Serialize;

use crate::{
    gateway::Format,
    limits::{ANSWER_BYTES_MAX, TEXT_BYTES_MAX},
};

/// An answer to an event, in the format that it came in.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    pub(crate) status_code: u16,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    multi_value_headers: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    body: String,
    is_base64_encoded: bool,
}

impl Answer {
    /// The answer of a route to a caller who writes `prefix` before its paths.
    pub(crate) async fn of(response: Response, format: Format, prefix: &str) -> Self {
        let (mut head, body) = whole(response).await.into_parts();
        lead_home(&mut head.headers, prefix);
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &head.headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            fields.entry(name.as_str().to_owned()).or_default().push(value);
        }
        let (body, is_base64_encoded) = written(body);
        let mut answer = Self {
            status_code: head.status.as_u16(),
            headers: BTreeMap::new(),
            multi_value_headers: BTreeMap::new(),
            cookies: Vec::new(),
            body,
            is_base64_encoded,
        };
        match format {
            Format::Rest => answer.multi_value_headers = fields,
            Format::Http => {
                answer.cookies = fields.remove(SET_COOKIE.as_str()).unwrap_or_default();
                let joined = fields.into_iter().map(|(name, values)| (name, values.join(", ")));
                answer.headers = joined.collect();
            }
        }
        answer
    }
}

/// The answer with all of its body, or one that says that it is too large.
async fn whole(response: Response) -> http::Response<Vec<u8>> {
    let (head, body) = response.into_parts();
    if let Ok(body) = to_bytes(body, ANSWER_BYTES_MAX).await {
        return http::Response::from_parts(head, body.into());
    }
    let (head, body) = canvass_server::answer_too_large(ANSWER_BYTES_MAX).into_parts();
    let body = to_bytes(body, ANSWER_BYTES_MAX).await.unwrap_or_default();
    http::Response::from_parts(head, body.into())
}

/// Has the caller come back under the stage.
fn lead_home(headers: &mut HeaderMap, prefix: &str) {
    let place = headers.get(LOCATION).and_then(|place| place.to_str().ok());
    let place = place.filter(|place| place.starts_with('/') && !place.starts_with("//"));
    if let Some(place) = place.and_then(|place| HeaderValue::try_from(format!("{prefix}{place}")).ok()) {
        headers.insert(LOCATION, place);
    }
}

/// A body as an event holds it, and whether as Base64.
fn written(body: Vec<u8>) -> (String, bool) {
    if body.len() > TEXT_BYTES_MAX {
        return (STANDARD.encode(body), true);
    }
    match String::from_utf8(body) {
        Ok(text) => (text, false),
        Err(error) => (STANDARD.encode(error.into_bytes()), true),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn response(body: impl Into<Body>) -> Response {
        let mut response = Response::new(body.into());
        for cookie in ["a=1", "b=2"] {
            response.headers_mut().append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
        response.headers_mut().insert(LOCATION, HeaderValue::from_static("/v1/polls/lunch"));
        response
    }

    async fn check(body: impl Into<Body>, format: Format, expected: &str) {
        let answer = Answer::of(response(body), format, "/prod").await;
        assert_eq!(serde_json::to_string(&answer).unwrap(), expected);
    }

    #[tokio::test]
    async fn answers_are_as_api_gateway_takes_them() {
        check(
            "ä",
            Format::Rest,
            r#"{"statusCode":200,"multiValueHeaders":{"location":["/prod/v1/polls/lunch"],"set-cookie":["a=1","b=2"]},"body":"ä","isBase64Encoded":false}"#,
        )
        .await;
        check(
            vec![0xff],
            Format::Http,
            r#"{"statusCode":200,"headers":{"location":"/prod/v1/polls/lunch"},"cookies":["a=1","b=2"],"body":"/w==","isBase64Encoded":true}"#,
        )
        .await;
    }

    #[tokio::test]
    async fn an_answer_that_is_too_large_is_a_problem() {
        let answer = Answer::of(response(vec![b'x'; ANSWER_BYTES_MAX + 1]), Format::Rest, "").await;
        assert_eq!(answer.status_code, 422);
        assert!(answer.body.contains("/problems/answer-too-large"), "{}", answer.body);
        let answer = Answer::of(response(vec![b'x'; ANSWER_BYTES_MAX]), Format::Rest, "").await;
        let event = serde_json::to_vec(&answer).unwrap();
        assert!(answer.is_base64_encoded && event.len() < 6_000_000 + 1_000);
    }
}
