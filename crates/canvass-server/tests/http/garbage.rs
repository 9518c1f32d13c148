//! Garbage on every route: whatever a caller sends, it is never answered with 500.

use axum::{body::Body, http::Request};

use crate::harness::{ADMIN, World};

const BODIES: [&[u8]; 16] = [
    b"",
    b"null",
    b"[]",
    b"0",
    b"1e999",
    b"\"text\"",
    b"true",
    b"{}",
    b"{\"a\":",
    b"\xff\xfe\x00",
    b"{\"voterId\":null,\"ballot\":null}",
    b"{\"voterId\":\"\\ud800\",\"ballot\":{\"choice\":\"a\"}}",
    b"{\"voterId\":\"u\",\"ballot\":{\"choice\":null,\"scores\":{\"a\":99999999999}}}",
    b"{\"pollId\":{},\"optionId\":[],\"demographics\":[1]}",
    b"{\"title\":\"\\u0000\",\"options\":[{\"id\":\"\"}],\"seats\":-1,\"closesAt\":\"9999-99-99\"}",
    b"{\"name\":null,\"scopes\":[null],\"rate\":-1,\"burst\":1e10,\"count\":1e20}",
];

const QUERIES: [&str; 4] = [
    "",
    "?limit=-1&cursor=%FF&status=&by=&step=&format=&voter=%00&code=&after=x",
    "?%=%&&=&pollId=%FF&userId=",
    "?pollId=a%00b&reveal=",
];

const SEGMENTS: [&str; 5] = ["p", "%00", "%FF", "..%2F..", "%F0%9F%97%B3"];

#[tokio::test]
async fn no_garbage_is_answered_with_500() {
    let mut world = World::new().await;
    world.play(r#"POST /v1/polls {"id":"p","title":"T","options":[{"id":"a"}],"status":"open"}"#).await;
    // Streams of results end after their first line, so that all of each answer can be read.
    world.app.end_streams();
    let description = serde_json::to_value(canvass_server::openapi()).expect("JSON");
    let paths: Vec<String> = description["paths"].as_object().expect("paths").keys().cloned().collect();
    let mut asked = 0;
    for path in paths {
        for segment in SEGMENTS {
            for query in QUERIES {
                for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "BREW"] {
                    let uri =
                        path.replace("{poll}", segment).replace("{voter}", segment).replace("{id}", segment);
                    for body in bodies_for(method, segment, query) {
                        let request = Request::builder()
                            .method(method)
                            .uri(format!("{uri}{query}"))
                            .header("x-api-key", ADMIN)
                            .header(
                                "content-type",
                                if uri.ends_with("batch") {
                                    "application/x-ndjson"
                                } else {
                                    "application/json"
                                },
                            )
                            .header("if-match", "\"\", x, W/\"1\", \"99999999999999999999\"")
                            .header("if-none-match", "\u{1}\"".trim_start_matches('\u{1}'))
                            .header("cookie", "canvass_device=.; canvass_device")
                            .body(Body::from(body.to_vec()))
                            .expect("a request");
                        let answer = world.send(request).await;
                        asked += 1;
                        let status = answer.status.as_u16();
                        assert!(status < 500, "{method} {uri}{query} {body:?}: {status} {}", answer.text());
                    }
                }
            }
        }
    }
    assert!(asked > 5_000, "{asked}");
    world.play("POST /v1/polls/p/recount").await;
    world.play("GET /readyz").await;
}

/// Every body where bodies are read, one where they are not.
fn bodies_for(method: &str, segment: &str, query: &str) -> &'static [&'static [u8]] {
    let reads = matches!(method, "POST" | "PUT" | "PATCH");
    if reads && segment == "p" && query.is_empty() { &BODIES } else { &BODIES[4..5] }
}
