//! What API Gateway asks, as a request: events of REST APIs (payload format 1.0) and of HTTP APIs (2.0), as in Amazon's
//! "Create AWS Lambda proxy integrations".
//!
//! It is read here and not by `lambda_http`, for which a host or a path that it cannot read is a panic, which takes `..`
//! out of paths although it is a poll's name here, and which leaves the stage in them: nothing that a caller can send may
//! give a 500.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
};

use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use canvass_server::PeerAddress;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header::COOKIE};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

/// An event of either kind. What is absent in one is none; API Gateway writes null for what is empty.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    request_context: Context,
    http_method: Option<String>,
    path: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    multi_value_headers: Option<BTreeMap<String, Vec<String>>>,
    query_string_parameters: Option<BTreeMap<String, String>>,
    multi_value_query_string_parameters: Option<BTreeMap<String, Vec<String>>>,
    raw_path: Option<String>,
    raw_query_string: Option<String>,
    cookies: Option<Vec<String>>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    stage: Option<String>,
    path: Option<String>,
    identity: Option<Peer>,
    http: Option<Peer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peer {
    source_ip: Option<String>,
    method: Option<String>,
}

/// What CloudFront shows to be believed, by the template (`deploy/cdk/lib/edge.ts`); it writes it over whatever a caller
/// sent.
const EDGE_KEY: &str = "x-canvass-edge";
/// The address that CloudFront was asked from, written over likewise.
const EDGE_CALLER: &str = "x-canvass-caller";

/// Which kind an event is of, and so its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// 1.0.
    Rest,
    /// 2.0.
    Http,
}

/// What was asked.
pub(crate) struct Asked {
    pub(crate) request: Request<Body>,
    pub(crate) format: Format,
    /// What callers write before the paths of the routes: the stage, unless a domain of one's own hides it.
    pub(crate) prefix: String,
}

impl Event {
    /// The request. None if it has no method or no path: then API Gateway did not make it. `edge_key` is known to nobody
    /// but the CloudFront in front, if there is one.
    pub(crate) fn read(self, edge_key: Option<&str>) -> Option<Asked> {
        let format = if self.raw_path.is_some() { Format::Http } else { Format::Rest };
        let (prefix, path) = self.place(format)?;
        let peer = match format {
            Format::Rest => self.request_context.identity.as_ref(),
            Format::Http => self.request_context.http.as_ref(),
        };
        let method = match format {
            Format::Rest => self.http_method.as_deref(),
            Format::Http => peer.and_then(|peer| peer.method.as_deref()),
        };
        let method = Method::from_bytes(method?.as_bytes()).ok()?;
        // Who cannot be told from others shares one allowance with them.
        let address = peer.and_then(|peer| peer.source_ip.as_deref()?.parse().ok());
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let uri: Uri = match self.query() {
            query if query.is_empty() => path,
            query => format!("{path}?{query}"),
        }
        .parse()
        .ok()?;
        let (mut headers, body) = (self.header_map(), self.body());
        let address = PeerAddress(behind_edge(&mut headers, edge_key).unwrap_or(address));
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        request.extensions_mut().insert(address);
        Some(Asked { request, format, prefix })
    }

    /// What stands before the routes' paths, and the path. HTTP APIs leave the stage in the path, REST APIs tell the
    /// path with it too.
    fn place(&self, format: Format) -> Option<(String, String)> {
        match format {
            Format::Rest => {
                let path = self.path.as_deref()?;
                let whole = self.request_context.path.as_deref().unwrap_or(path);
                let prefix = whole.strip_suffix(path).unwrap_or_default();
                Some((escape(prefix), escape(path)))
            }
            Format::Http => {
                let path = self.raw_path.as_deref()?;
                let stage = self.request_context.stage.as_deref().filter(|stage| *stage != "$default");
                let prefix = stage.map(|stage| format!("/{stage}")).unwrap_or_default();
                match path.strip_prefix(&prefix) {
                    Some("") => Some((prefix, "/".to_owned())),
                    Some(rest) if rest.starts_with('/') => Some((prefix, escape(rest))),
                    _ => Some((String::new(), escape(path))),
                }
            }
        }
    }

    /// The query. REST APIs tell its values decoded.
    fn query(&self) -> String {
        if let Some(query) = &self.raw_query_string {
            return query.chars().map(|character| escaped(character, true)).collect();
        }
        let mut query = form_urlencoded::Serializer::new(String::new());
        match (&self.multi_value_query_string_parameters, &self.query_string_parameters) {
            (Some(many), _) => many.iter().for_each(|(name, values)| {
                query.extend_pairs(values.iter().map(|value| (name, value)));
            }),
            (None, Some(single)) => {
                query.extend_pairs(single);
            }
            (None, None) => {}
        }
        query.finish()
    }

    /// The fields. One that HTTP does not allow cannot mean anything to a route, and is left out.
    fn header_map(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut add = |name: &str, value: &str| {
            let field = HeaderName::from_bytes(name.as_bytes()).ok();
            if let Some((name, value)) = field.zip(HeaderValue::from_bytes(value.as_bytes()).ok()) {
                headers.append(name, value);
            }
        };
        match (&self.multi_value_headers, &self.headers) {
            (Some(many), _) => {
                let fields =
                    many.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
                fields.for_each(|(name, value)| add(name, value));
            }
            (None, Some(single)) => single.iter().for_each(|(name, value)| add(name, value)),
            (None, None) => {}
        }
        if let Some(cookies) = self.cookies.as_ref().filter(|cookies| !cookies.is_empty()) {
            add(COOKIE.as_str(), &cookies.join("; "));
        }
        headers
    }

    /// The body. One that says that it is Base64 and is not, is what the route makes of it.
    fn body(self) -> Body {
        let body = self.body.unwrap_or_default();
        let decoded = if self.is_base64_encoded { STANDARD.decode(&body).ok() } else { None };
        decoded.unwrap_or_else(|| body.into_bytes()).into()
    }
}

/// The address of whoever asked CloudFront, if it was CloudFront that asked. The fields are for nobody else.
fn behind_edge(headers: &mut HeaderMap, edge_key: Option<&str>) -> Option<IpAddr> {
    let (shown, caller) = (headers.remove(EDGE_KEY)?, headers.remove(EDGE_CALLER));
    let is_edge = bool::from(shown.as_bytes().ct_eq(edge_key?.as_bytes()));
    caller.filter(|_| is_edge)?.to_str().ok()?.parse().ok()
}

/// A path as a URI has it. Where API Gateway has decoded it already, what a path cannot hold is encoded again.
fn escape(path: &str) -> String {
    let is_encoded = |at: usize| {
        let digits = path.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    path.char_indices()
        .map(
            |(at, character)| {
                if character == '%' && !is_encoded(at) { "%25".to_owned() } else { escaped(character, false) }
            },
        )
        .collect()
}

fn escaped(character: char, is_query: bool) -> String {
    let is_plain = match character {
        '?' => is_query,
        '"' | '<' | '>' | '#' | '\\' | '^' | '`' | '{' | '|' | '}' => false,
        _ => character.is_ascii_graphic(),
    };
    if is_plain {
        return character.to_string();
    }
    let mut escaped = String::new();
    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
        // Writing to a string cannot fail.
        let _ = write!(escaped, "%{byte:02X}");
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event, and what it asks: method, prefix, path with query, address, fields.
    fn check(event: &str, expected: &str) {
        let event: Event = serde_json::from_str(event).unwrap();
        let told = event.read(Some("key")).map(|Asked { request, format, prefix }| {
            let address = request.extensions().get::<PeerAddress>().unwrap().0;
            let fields: Vec<_> = request
                .headers()
                .iter()
                .map(|(name, value)| format!(" {name}={}", String::from_utf8_lossy(value.as_bytes())))
                .collect();
            format!(
                "{format:?} {} {prefix:?} {} from {address}{}",
                request.method(),
                request.uri(),
                fields.concat()
            )
        });
        assert_eq!(told.unwrap_or_default(), expected);
    }

    #[test]
    fn rest_apis() {
        check(
            r#"{"httpMethod":"GET","path":"/v1/polls","requestContext":{"stage":"prod","path":"/prod/v1/polls","identity":{"sourceIp":"192.0.2.1"}},
                "multiValueQueryStringParameters":{"limit":["5"],"cursor":["a b&c"]},"multiValueHeaders":{"X-Api-Key":["k"],"Cookie":["a=1","b=2"]},"headers":{"Cookie":"b=2"}}"#,
            r#"Rest GET "/prod" /v1/polls?cursor=a+b%26c&limit=5 from 192.0.2.1 cookie=a=1 cookie=b=2 x-api-key=k"#,
        );
        // A domain of one's own: no stage. Fields and parameters that are absent are null.
        check(
            r#"{"httpMethod":"DELETE","path":"/v1/polls/a/votes/Zoë %","requestContext":{"stage":"prod","path":"/v1/polls/a/votes/Zoë %"},"headers":null,"multiValueHeaders":null,"queryStringParameters":null,"multiValueQueryStringParameters":null,"body":null}"#,
            r#"Rest DELETE "" /v1/polls/a/votes/Zo%C3%AB%20%25 from 0.0.0.0"#,
        );
    }

    #[test]
    fn http_apis() {
        check(
            r#"{"version":"2.0","rawPath":"/prod/p/x%20y","rawQueryString":"lang=de&q=ü","cookies":["a=1","b=2"],"headers":{"host":"exa mple","user-agent":"Zoë","bad name":"x","bad-value":"a\nb"},
                "requestContext":{"stage":"prod","http":{"method":"GET","path":"/prod/p/x y","sourceIp":"2001:db8::1"}}}"#,
            r#"Http GET "/prod" /p/x%20y?lang=de&q=%C3%BC from 2001:db8::1 host=exa mple user-agent=Zoë cookie=a=1; b=2"#,
        );
        check(
            r#"{"version":"2.0","rawPath":"/v1/polls/../x","rawQueryString":"","requestContext":{"stage":"$default","http":{"method":"POST","sourceIp":"192.0.2.1"}},"body":"e30=","isBase64Encoded":true}"#,
            r#"Http POST "" /v1/polls/../x from 192.0.2.1"#,
        );
        check(
            r#"{"rawPath":"/prod","requestContext":{"stage":"prod","http":{"method":"GET"}}}"#,
            r#"Http GET "/prod" / from 0.0.0.0"#,
        );
        check(
            r#"{"rawPath":"/production","requestContext":{"stage":"prod","http":{"method":"GET"}}}"#,
            r#"Http GET "" /production from 0.0.0.0"#,
        );
    }

    /// What the address of a request with these fields is.
    fn check_address(fields: &str, expected: &str) {
        check(
            &format!(
                r#"{{"httpMethod":"GET","path":"/","requestContext":{{"path":"/","identity":{{"sourceIp":"192.0.2.1"}}}},"headers":{fields}}}"#
            ),
            &format!(r#"Rest GET "" / from {expected}"#),
        );
    }

    #[test]
    fn cloudfront_is_believed_by_its_key() {
        check_address(r#"{"x-canvass-edge":"key","x-canvass-caller":"2001:db8::7"}"#, "2001:db8::7");
        check_address(r#"{"x-canvass-edge":"key"}"#, "192.0.2.1");
        check_address(r#"{"x-canvass-edge":"kez","x-canvass-caller":"203.0.113.9"}"#, "192.0.2.1");
        check_address(r#"{"x-canvass-edge":"","x-canvass-caller":"203.0.113.9"}"#, "192.0.2.1");
        check_address(r#"{"x-canvass-edge":"key","x-canvass-caller":"nobody"}"#, "192.0.2.1");
    }

    #[test]
    fn what_api_gateway_did_not_make() {
        check(r#"{"requestContext":{}}"#, "");
        check(r#"{"rawPath":"/","requestContext":{"http":{"method":"NO GOOD"}}}"#, "");
    }
}
