//! The contract: each status code that it names, and its own examples, in scripts that need neither the test's time nor
//! this process. They are answered by the server here, by one on DynamoDB, and by the functions, and must hear the same.
//! A storage that cannot write (503) is what each engine's own tests are for.

use std::collections::BTreeSet;

use crate::harness::{World, check};

/// All that the contract names but 503.
const STATUSES: [u16; 15] = [200, 201, 204, 304, 400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 429];

#[tokio::test]
async fn every_status_of_the_contract_is_given() {
    let mut world = World::new().await;
    world
        .play(
            r#"
        key screen {"scopes":["results:read"],"plan":"unlimited"}
        key brief {"scopes":["polls:read"],"quotaPerDay":1}
        # 201
        POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"pizza","label":"Pizza"},{"id":"soup","label":"Soup"}],"status":"open","demographics":{"ageGroup":["18-24","25-34","35+"],"location":null}}
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"},"demographics":{"ageGroup":"25-34"}}
        POST /v1/polls {"id":"draft","title":"Draft","options":[{"id":"a"}]}
        # 200
        GET /v1/polls/lunch
        GET /v1/polls/lunch/votes/u1
        GET /v1/polls/lunch/results
        GET /v1/polls/lunch/breakdown?by=ageGroup
        # 204
        DELETE /v1/polls/draft
        # 304
        GET /v1/polls/lunch
        with if-none-match: ‹etag›
        GET /v1/polls/lunch
        with if-none-match: "3"
        GET /v1/polls/lunch/results
        # 400
        POST /v1/polls/lunch/votes {"voterId":"u2","ballot":
        POST /v1/polls {"title":
        # 404
        GET /v1/polls/draft
        GET /v1/polls/lunch/votes/u2
        POST /v1/polls/nowhere/votes {"voterId":"u2","ballot":{"choice":"pizza"}}
        # 405
        PUT /v1/polls/lunch {}
        # 409
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"soup"}}
        POST /v1/polls {"id":"lunch","title":"Again?","options":[{"id":"a"}]}
        PATCH /v1/polls/lunch {"title":"Late","version":7}
        POST /v1/polls/lunch/pause
        POST /v1/polls/lunch/votes {"voterId":"u2","ballot":{"choice":"soup"}}
        POST /v1/polls/lunch/certify
        # 412
        with if-match: "1"
        PATCH /v1/polls/lunch {"title":"Late"}
        # 415
        with content-type: text/plain
        POST /v1/polls/lunch/votes {"voterId":"u2","ballot":{"choice":"soup"}}
        # 422
        POST /v1/polls/lunch/open
        POST /v1/polls/lunch/votes {"voterId":"u2","ballot":{"choice":"cake"}}
        POST /v1/polls/lunch/votes {"voterId":"u2","ballot":{"ranking":["pizza","pizza"]}}
        POST /v1/polls/lunch/votes {"voterId":"u2","ballot":{"choice":"soup"},"demographics":{"shoe":"44"}}
        POST /v1/polls {"title":"No options","options":[]}
        # 403
        as screen
        POST /v1/polls/lunch/votes {"voterId":"u2","ballot":{"choice":"soup"}}
        # 429
        as brief
        GET /v1/polls/lunch
        GET /v1/polls/lunch
        # 401
        as nobody
        GET /v1/polls/lunch
        as a stranger
        GET /v1/polls/lunch
        as admin
        "#,
        )
        .await;
    // 413
    let large = |bytes: usize| " ".repeat(bytes + 1);
    for (path, bytes) in [("/v1/polls/lunch/votes", 64 * 1024), ("/v1/polls", 1024 * 1024)] {
        let answer = world.ask("POST", path, large(bytes)).await;
        world.record(&format!("POST {path} with {bytes} bytes and one"), &answer);
    }
    assert_eq!(world.statuses, BTreeSet::from(STATUSES));
    world.compare("contract_statuses");
}

#[tokio::test]
async fn a_lost_answer_can_be_had_again() {
    check(
        "contract_idempotency",
        r#"
        POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"pizza"},{"id":"soup"}],"status":"open","revote":"untilClose","demographics":{"ageGroup":null}}
        with idempotency-key: first
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"},"demographics":{"ageGroup":"25-34"}}
        PUT /v1/polls/lunch/votes/u1 {"ballot":{"choice":"soup"}}
        # The same again, after it was changed.
        with idempotency-key: first
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"},"demographics":{"ageGroup":"25-34"}}
        # With another request.
        with idempotency-key: first
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"soup"}}
        with idempotency-key: first
        DELETE /v1/polls/lunch/votes/u1
        # A key is its voter's.
        with idempotency-key: first
        POST /v1/polls/lunch/votes {"voterId":"u2","ballot":{"choice":"pizza"}}
        with idempotency-key: away
        DELETE /v1/polls/lunch/votes/u2
        with idempotency-key: away
        DELETE /v1/polls/lunch/votes/u2
        POST /v1/polls/lunch/close
        with idempotency-key: first
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"},"demographics":{"ageGroup":"25-34"}}
        GET /v1/polls/lunch/results
        POST /v1/polls/lunch/recount
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_poll_goes_through_its_whole_life() {
    check(
        "contract_life",
        r#"
        POST /v1/polls {"id":"board","title":"Board","options":[{"id":"a"},{"id":"b"}],"closesAt":"2126-12-01T12:00:00Z"}
        POST /v1/polls/board/votes {"voterId":"u1","ballot":{"choice":"a"}}
        POST /v1/polls/board/open
        POST /v1/polls/board/open
        POST /v1/polls/board/votes/batch {"voterId":"u1","ballot":{"choice":"a"}}⏎{"voterId":"u1","ballot":{"choice":"b"}}⏎{"voterId":"u2"⏎{"voterId":"u2","ballot":{"choice":"c"}}⏎{"voterId":"u3","ballot":{"choice":"b"}}
        POST /v1/polls/board/pause
        POST /v1/polls/board/votes {"voterId":"u4","ballot":{"choice":"a"}}
        with if-match: "3"
        POST /v1/polls/board/open
        PATCH /v1/polls/board {"options":[{"id":"a","label":"Ann"},{"id":"b","label":"Bob"}]}
        PATCH /v1/polls/board {"options":[{"id":"a"},{"id":"c"}]}
        DELETE /v1/polls/board
        POST /v1/polls/board/close
        POST /v1/polls/board/votes {"voterId":"u4","ballot":{"choice":"a"}}
        GET /v1/polls/board/results
        POST /v1/polls/board/recount
        POST /v1/polls/board/certify
        POST /v1/polls/board/archive
        GET /v1/polls?status=archived
        DELETE /v1/polls/board
        GET /v1/polls/board
        "#,
    )
    .await;
}

#[tokio::test]
async fn counting_methods_and_visibility_are_the_same() {
    check(
        "contract_methods",
        r#"
        POST /v1/polls {"id":"chair","title":"Chair","options":[{"id":"a"},{"id":"b"},{"id":"c"}],"status":"open","method":{"type":"irv"},"resultsVisible":"afterClose","access":"public"}
        POST /v1/polls/chair/votes/batch {"voterId":"1","ballot":{"ranking":["a","b"]}}⏎{"voterId":"2","ballot":{"ranking":["b",["a","c"]]}}⏎{"voterId":"3","ballot":{"ranking":["c","b"]}}⏎{"voterId":"4","ballot":{"ranking":["c","b"]}}⏎{"voterId":"5","ballot":{"ranking":["b","c"]}}
        as nobody
        GET /v1/polls/chair/results
        as admin
        POST /v1/polls/chair/close
        as nobody
        GET /v1/polls/chair/results
        as admin
        POST /v1/polls/chair/recount
        POST /v1/polls {"id":"taste","title":"Taste","options":[{"id":"a"},{"id":"b"}],"status":"open","method":{"type":"score","min":0,"max":5}}
        POST /v1/polls/taste/votes {"voterId":"1","ballot":{"scores":{"a":5,"b":2}}}
        POST /v1/polls/taste/votes {"voterId":"2","ballot":{"scores":{"a":6}}}
        GET /v1/polls/taste/results
        POST /v1/polls {"id":"dots","title":"Dots","options":[{"id":"a"},{"id":"b"}],"status":"open","method":{"type":"dot","dots":5,"maxPerOption":3}}
        POST /v1/polls/dots/votes {"voterId":"1","ballot":{"allocation":{"a":3,"b":2}}}
        POST /v1/polls/dots/votes {"voterId":"2","ballot":{"allocation":{"a":4}}}
        GET /v1/polls/dots/results
        "#,
    )
    .await;
}
