//! The two documents' own calls, by clients that were written for them.

use canvass_server::Settings;

use crate::harness::{World, check};

#[tokio::test]
async fn document_a() {
    check(
        "dialect_a",
        r#"
        key a-client {"scopes":["votes:write","votes:read","results:read"]}
        POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"pizza","label":"Pizza"},{"id":"soup","label":"Hot soup"}],"status":"open"}
        as a-client
        POST /votes {"userId":"u1","pollId":"lunch","choice":"pizza"}
        POST /votes {"userId":"u1","pollId":"lunch","choice":"soup"}
        POST /votes {"userId":"u2","pollId":"lunch","choice":"Hot soup"}
        GET /votes?userId=u1&pollId=lunch
        GET /votes?userId=u9&pollId=lunch
        GET /votes?userId=u1&pollId=nowhere
        GET /votes?userId=u1
        GET /results?pollId=lunch
        GET /results?pollId=nowhere
        GET /results
        POST /votes {"userId":"u1","pollId":"lunch"}
        POST /votes {"userId":"","pollId":"lunch","choice":"pizza"}
        POST /votes {"userId":7,"pollId":"lunch","choice":"pizza"}
        POST /votes null
        POST /votes []
        POST /votes 12
        POST /votes {"userId":
        with content-type: text/plain
        POST /votes {"userId":"u3","pollId":"lunch","choice":"pizza"}
        POST /votes {"userId":"u4","pollId":"lunch","choice":"cake"}
        POST /votes {"userId":"u4","pollId":"nowhere","choice":"cake"}
        PUT /votes {}
        OPTIONS /votes
        OPTIONS /results
        as nobody
        POST /votes {"userId":"u5","pollId":"lunch","choice":"pizza"}
        GET /votes?userId=u1&pollId=lunch
        GET /results?pollId=lunch
        as admin
        POST /v1/polls/lunch/close
        as a-client
        POST /votes {"userId":"u5","pollId":"lunch","choice":"pizza"}
        "#,
    )
    .await;
}

#[tokio::test]
async fn document_a_over_the_plan() {
    check(
        "dialect_a_limits",
        r#"
        key burst {"scopes":["votes:read"],"rate":1,"burst":1,"quotaPerDay":2}
        as burst
        GET /votes?userId=u1&pollId=lunch
        GET /votes?userId=u1&pollId=lunch
        wait 1
        GET /votes?userId=u1&pollId=lunch
        wait 1
        GET /votes?userId=u1&pollId=lunch
        "#,
    )
    .await;
}

#[tokio::test]
async fn document_b() {
    check(
        "dialect_b",
        r#"
        POST /v1/polls {"id":"poll123","title":"P","options":[{"id":"option1"},{"id":"option2"}],"status":"open","access":"open","demographics":{"ageGroup":null,"location":null,"gender":null}}
        POST /v1/polls {"id":"keyed","title":"P","options":[{"id":"option1"}],"status":"open"}
        POST /v1/polls {"id":"named","title":"P","options":[{"id":"option1"}],"status":"open","access":"open","voterFromAddress":false}
        POST /v1/polls {"id":"public","title":"P","options":[{"id":"option1"}],"status":"open","access":"public"}
        as nobody
        POST /vote {"pollId":"poll123","optionId":"option1","idempotencyKey":"unique-key-123","demographics":{"ageGroup":"25-34","location":"New York","gender":"female"}}
        POST /vote {"pollId":"poll123","optionId":"option1","idempotencyKey":"unique-key-123","demographics":{"ageGroup":"25-34","location":"New York","gender":"female"}}
        POST /vote {"pollId":"poll123","optionId":"option2","idempotencyKey":"unique-key-123"}
        POST /vote {"pollId":"poll123","optionId":"option2"}
        POST /vote {"pollId":"poll123","optionId":"option2","voterId":"u1","idempotencyKey":""}
        GET /results?pollId=poll123
        POST /vote {"pollId":"poll123"}
        POST /vote {"pollId":"","optionId":"option1"}
        POST /vote {"pollId":1,"optionId":"option1"}
        POST /vote {"pollId":"poll123","optionId":"option1","demographics":"old"}
        POST /vote {"pollId":"poll123","optionId":"option1","voterId":"u2","demographics":{"shoe":"44"}}
        POST /vote not json
        POST /vote null
        POST /vote {"pollId":"poll123","optionId":"option9","voterId":"u2"}
        POST /vote {"pollId":"poll999","optionId":"option1","voterId":"u2"}
        POST /vote {"pollId":"keyed","optionId":"option1","voterId":"u2"}
        POST /vote {"pollId":"public","optionId":"option1","voterId":"u2"}
        POST /vote {"pollId":"named","optionId":"option1"}
        GET /results?pollId=keyed
        GET /vote
        as admin
        POST /vote {"pollId":"keyed","optionId":"option1","voterId":"u2"}
        POST /vote {"pollId":"public","optionId":"option1","voterId":"u2"}
        POST /v1/polls/poll123/pause
        POST /vote {"pollId":"poll123","optionId":"option1","voterId":"u3"}
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_first_vote_opens_a_poll_where_the_operator_says_so() {
    let mut world = World::with(Settings { implicit_polls: true, ..Settings::default() }).await;
    world
        .play(
            r#"
        POST /votes {"userId":"u1","pollId":"snack","choice":"Apple pie"}
        POST /votes {"userId":"u1","pollId":"snack","choice":"Nuts"}
        POST /votes {"userId":"u2","pollId":"snack","choice":"Nuts"}
        GET /votes?userId=u1&pollId=snack
        GET /results?pollId=snack
        as nobody
        POST /vote {"pollId":"poll123","optionId":"option1","demographics":{"ageGroup":"25-34","location":"New York","gender":"female"}}
        GET /results?pollId=poll123
        POST /vote {"pollId":"not an id","optionId":"option1"}
        # A vote that is refused opens no poll.
        POST /vote {"pollId":"unopened","optionId":"o","voterId":"u1","demographics":{"shoe":"44"}}
        POST /vote {"pollId":"unopened","optionId":"tab\u0009","voterId":"u1"}
        POST /vote {"pollId":"..","optionId":"o","voterId":"u1"}
        GET /results?pollId=unopened
        as admin
        POST /votes {"userId":"u1","pollId":"unopened","choice":"line\nbreak"}
        GET /v1/polls/unopened
        GET /v1/polls/poll123
        GET /v1/polls/snack
        # The native API opens nothing by itself.
        POST /v1/polls/nowhere/votes {"voterId":"u1","ballot":{"choice":"a"}}
        "#,
        )
        .await;
    world.compare("dialect_implicit");
}
