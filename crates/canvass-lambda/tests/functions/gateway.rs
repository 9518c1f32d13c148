//! API Gateway as far as functions see it: requests become events of REST or HTTP APIs, and answers come back.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    emulator::{Lambda, Outcome},
    http::{Message, serve},
};

/// What callers write before the paths.
pub(crate) const STAGE: &str = "prod";

/// Which kind of API it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Rest,
    Http,
}

/// Listens in front of the function `api`, under the stage.
pub(crate) fn open(lambda: Arc<Lambda>, api: Api) -> SocketAddr {
    serve(move |request| forward(&lambda, api, &request)).expect("a free port")
}

fn forward(lambda: &Lambda, api: Api, request: &Message) -> Message {
    let event = match api {
        Api::Rest => rest_event(request),
        Api::Http => http_event(request),
    };
    match lambda.invoke(event.to_string().as_bytes()) {
        Outcome::Answer(answer) => told(&serde_json::from_slice(&answer).expect("an answer is JSON")),
        failed => Message::new("HTTP/1.1 502 Bad Gateway", format!("{failed:?}")),
    }
}

/// Payload format 1.0: values of queries decoded, fields singly and all, the body as Base64.
fn rest_event(request: &Message) -> Value {
    let (method, path, query) = parts(request);
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        values.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in &request.fields {
        fields.entry(name).or_default().push(value);
    }
    let last: BTreeMap<_, _> = fields.iter().map(|(name, values)| (name, values.last())).collect();
    let has_body = !request.body.is_empty();
    json!({
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": last,
        "multiValueHeaders": fields,
        "queryStringParameters": values.iter().map(|(name, values)| (name, values.last())).collect::<BTreeMap<_, _>>(),
        "multiValueQueryStringParameters": (!values.is_empty()).then_some(&values),
        "pathParameters": {"proxy": path.trim_start_matches('/')},
        "stageVariables": null,
        "requestContext": {
            "accountId": "000000000000", "apiId": "api", "stage": STAGE, "httpMethod": method,
            "path": format!("/{STAGE}{path}"), "identity": {"sourceIp": "127.0.0.1", "userAgent": null},
        },
        "body": has_body.then(|| STANDARD.encode(&request.body)),
        "isBase64Encoded": has_body,
    })
}

/// Payload format 2.0: the stage in the path, the query raw, fields joined, cookies by themselves.
fn http_event(request: &Message) -> Value {
    let (method, path, query) = parts(request);
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let mut cookies = Vec::new();
    for (name, value) in &request.fields {
        if name.eq_ignore_ascii_case("cookie") {
            cookies.extend(value.split("; "));
        } else {
            let joined = fields.entry(name.to_lowercase()).or_default();
            *joined = if joined.is_empty() { value.clone() } else { format!("{joined},{value}") };
        }
    }
    let text = std::str::from_utf8(&request.body);
    let body = text.map_or_else(|_| STANDARD.encode(&request.body), str::to_owned);
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": format!("/{STAGE}{path}"),
        "rawQueryString": query,
        "headers": fields,
        "requestContext": {
            "accountId": "000000000000", "apiId": "api", "stage": STAGE,
            "http": {"method": method, "path": format!("/{STAGE}{path}"), "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
        },
        "isBase64Encoded": text.is_err(),
    });
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if !body.is_empty() {
        event["body"] = json!(body);
    }
    event
}

/// Method, path without the stage, query.
fn parts(request: &Message) -> (&str, &str, &str) {
    let method = request.start.split(' ').next().unwrap_or_default();
    let (path, query) = request.target().split_once('?').unwrap_or((request.target(), ""));
    let path = path.strip_prefix('/').and_then(|path| path.strip_prefix(STAGE));
    (method, path.expect("callers write the stage"), query)
}

fn told(answer: &Value) -> Message {
    let status = answer["statusCode"].as_u64().unwrap_or(502);
    let body = answer["body"].as_str().unwrap_or_default();
    let body = match answer["isBase64Encoded"].as_bool() {
        Some(true) => STANDARD.decode(body).expect("Base64"),
        _ => body.as_bytes().to_vec(),
    };
    let mut message = Message::new(format!("HTTP/1.1 {status} -"), body);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        message = message.with(name, text(value));
    }
    for (name, values) in answer["multiValueHeaders"].as_object().into_iter().flatten() {
        for value in values.as_array().into_iter().flatten() {
            message = message.with(name, text(value));
        }
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten() {
        message = message.with("set-cookie", text(cookie));
    }
    message
}
