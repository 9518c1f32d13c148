//! Single votes: who votes, and how often. The functions' tests and those of a server on DynamoDB run these too.

use crate::harness::check;

#[tokio::test]
async fn a_key_names_the_voter_who_votes_once() {
    check(
        "votes_key",
        r#"
        POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"pizza"},{"id":"soup"}],"status":"open","demographics":{"ageGroup":["18-24","25-34"],"location":null}}
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"},"demographics":{"ageGroup":"25-34","location":"Café \"Ö\""}}
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"soup"}}
        GET /v1/polls/lunch/votes/u1
        GET /v1/polls/lunch/votes/u2
        POST /v1/polls/lunch/votes {"voterId":"Zoë/2 \"x\"","ballot":{"choice":"soup"},"demographics":{"location":12.50}}
        GET /v1/polls/lunch/votes/Zo%C3%AB%2F2%20%22x%22
        PUT /v1/polls/lunch/votes/u1 {"ballot":{"choice":"soup"}}
        DELETE /v1/polls/lunch/votes/u1
        "#,
    )
    .await;
}

#[tokio::test]
async fn votes_change_and_are_withdrawn_where_the_poll_allows_it() {
    check(
        "votes_changed",
        r#"
        POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"pizza"},{"id":"soup"}],"status":"open","revote":"untilClose"}
        PUT /v1/polls/lunch/votes/u1 {"ballot":{"choice":"pizza"}}
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"}}
        PUT /v1/polls/lunch/votes/u1 {"voterId":"u2","ballot":{"choice":"soup"}}
        PUT /v1/polls/lunch/votes/u1 {"ballot":{"choice":"soup"}}
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"}}
        GET /v1/polls/lunch/results
        with idempotency-key: away
        DELETE /v1/polls/lunch/votes/u1
        with idempotency-key: away
        DELETE /v1/polls/lunch/votes/u1
        DELETE /v1/polls/lunch/votes/u1
        GET /v1/polls/lunch/votes/u1
        GET /v1/polls/lunch/results
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"soup"}}
        POST /v1/polls/lunch/recount
        "#,
    )
    .await;
}

#[tokio::test]
async fn in_a_public_poll_the_device_votes() {
    check(
        "votes_public",
        r#"
        key booth {"scopes":["votes:write","votes:read"],"plan":"unlimited"}
        POST /v1/polls {"id":"market","title":"Market","options":[{"id":"a"},{"id":"b"}],"status":"open","access":"public","revote":"untilClose"}
        as nobody
        # A device is given its cookie before it votes, so that a lost answer costs nothing.
        GET /v1/polls/market/votes/me
        GET /v1/polls/market
        GET /v1/polls/market
        POST /v1/polls/market/votes {"ballot":{"choice":"a"}}
        POST /v1/polls/market/votes {"ballot":{"choice":"b"}}
        PUT /v1/polls/market/votes/me {"ballot":{"choice":"a"}}
        GET /v1/polls/market/votes/me
        # It is itself too by the id that its vote was answered with.
        PUT /v1/polls/market/votes/‹2› {"ballot":{"choice":"b"},"voterId":"‹2›"}
        GET /v1/polls/market/votes/‹2›
        DELETE /v1/polls/market/votes/me
        POST /v1/polls/market/votes {"voterId":"u1","ballot":{"choice":"a"}}
        GET /v1/polls/market/votes/u1
        # Another device, and one that made up its cookie.
        cookie off
        POST /v1/polls/market/votes {"ballot":{"choice":"b"}}
        GET /v1/polls/market/votes/‹2›
        PUT /v1/polls/market/votes/‹2› {"ballot":{"choice":"b"}}
        cookie off
        with cookie: canvass_device=00000000000000000000000000000000.0000000000000000000000000000000000000000000000000000000000000000
        GET /v1/polls/market/votes/me
        as booth
        POST /v1/polls/market/votes {"voterId":"u1","ballot":{"choice":"a"}}
        GET /v1/polls/market/votes/u1
        GET /v1/polls/market/results
        "#,
    )
    .await;
}

#[tokio::test]
async fn in_a_poll_with_codes_the_code_votes() {
    check(
        "votes_codes",
        r#"
        POST /v1/polls {"id":"council","title":"Council","options":[{"id":"a"},{"id":"b"}],"status":"open","access":"code","resultsVisible":"afterVote"}
        POST /v1/polls/council/codes {"count":2}
        POST /v1/polls/council/codes {"count":0}
        POST /v1/polls/council/codes {"count":100001}
        as nobody
        POST /v1/polls/council/codes {"count":2}
        POST /v1/polls/council/votes {"ballot":{"choice":"a"}}
        POST /v1/polls/council/votes {"ballot":{"choice":"a"},"code":"0000-0000-0000-0000"}
        POST /v1/polls/council/votes {"ballot":{"choice":"a"},"code":"‹1›","voterId":"me"}
        GET /v1/polls/council/results?code=‹1›
        POST /v1/polls/council/votes {"ballot":{"choice":"a"},"code":"‹1›"}
        POST /v1/polls/council/votes {"ballot":{"choice":"b"},"code":"‹1›"}
        with x-voting-code: ‹2›
        POST /v1/polls/council/votes {"ballot":{"choice":"b"}}
        with x-voting-code: ‹2›
        GET /v1/polls/council/votes/me
        GET /v1/polls/council/votes/me
        with x-voting-code: ‹2›
        GET /v1/polls/council/votes/‹6›
        with x-voting-code: ‹2›
        GET /v1/polls/council/votes/‹4›
        GET /v1/polls/council/results
        with x-voting-code: ‹2›
        GET /v1/polls/council/results
        as admin
        GET /v1/polls/council/results
        POST /v1/polls/council/recount
        GET /v1/polls/council/events
        POST /v1/polls {"id":"plain","title":"No codes","options":[{"id":"a"}],"status":"open"}
        POST /v1/polls/plain/codes {"count":1}
        POST /v1/polls/plain/votes {"voterId":"u1","ballot":{"choice":"a"},"code":"0000"}
        "#,
    )
    .await;
}

#[tokio::test]
async fn in_an_open_poll_anyone_names_the_voter() {
    check(
        "votes_open",
        r#"
        POST /v1/polls {"id":"shed","title":"Shed","options":[{"id":"a"}],"status":"open","access":"open"}
        POST /v1/polls {"id":"strict","title":"Shed","options":[{"id":"a"}],"status":"open","access":"open","voterFromAddress":false}
        as nobody
        POST /v1/polls/shed/votes {"voterId":"u1","ballot":{"choice":"a"}}
        POST /v1/polls/shed/votes {"ballot":{"choice":"a"}}
        POST /v1/polls/shed/votes {"ballot":{"choice":"a"}}
        POST /v1/polls/strict/votes {"ballot":{"choice":"a"}}
        GET /v1/polls/shed/votes/u1
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_vote_has_a_weight_where_the_poll_and_the_key_allow_it() {
    check(
        "votes_weights",
        r#"
        POST /v1/polls {"id":"shares","title":"Shares","options":[{"id":"a"},{"id":"b"}],"status":"open","weighted":true}
        POST /v1/polls {"id":"open","title":"Open","options":[{"id":"a"}],"status":"open","weighted":true,"access":"open"}
        POST /v1/polls {"id":"heads","title":"Heads","options":[{"id":"a"}],"status":"open"}
        POST /v1/polls/shares/votes {"voterId":"u1","ballot":{"choice":"a"},"weight":"2.5"}
        POST /v1/polls/shares/votes {"voterId":"u2","ballot":{"choice":"b"},"weight":"1"}
        POST /v1/polls/shares/votes {"voterId":"u3","ballot":{"choice":"b"},"weight":"-1"}
        POST /v1/polls/shares/votes {"voterId":"u3","ballot":{"choice":"b"},"weight":2}
        POST /v1/polls/heads/votes {"voterId":"u1","ballot":{"choice":"a"},"weight":"2"}
        as nobody
        POST /v1/polls/open/votes {"voterId":"u1","ballot":{"choice":"a"},"weight":"2"}
        as admin
        GET /v1/polls/shares/results
        POST /v1/polls/shares/recount
        "#,
    )
    .await;
}

#[tokio::test]
async fn what_a_vote_may_not_be_is_refused() {
    check(
        "votes_refused",
        r#"
        key reader {"scopes":["votes:read"],"plan":"unlimited"}
        key voter {"scopes":["votes:write"],"plan":"unlimited"}
        POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"pizza"},{"id":"soup"}],"status":"open","demographics":{"ageGroup":["18-24"]}}
        POST /v1/polls {"id":"tastes","title":"Tastes","options":[{"id":"a"},{"id":"b"},{"id":"c"}],"status":"open","method":{"type":"approval","maxChoices":2}}
        POST /v1/polls/lunch/votes {"ballot":{"choice":"pizza"}}
        POST /v1/polls/lunch/votes {"voterId":"","ballot":{"choice":"pizza"}}
        POST /v1/polls/lunch/votes {"voterId":"a\u0000b","ballot":{"choice":"pizza"}}
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"cake"}}
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choices":["pizza"]}}
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{}}
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":"pizza"}
        POST /v1/polls/lunch/votes {"voterId":"u1"}
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"},"demographics":{"shoe":"44"}}
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"},"demographics":{"ageGroup":"99"}}
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"},"demographics":{"ageGroup":{"a":1}}}
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"},"colour":"red"}
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"}
        POST /v1/polls/lunch/votes null
        with content-type: text/plain
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"}}
        POST /v1/polls/tastes/votes {"voterId":"u1","ballot":{"choices":["a","b","c"]}}
        POST /v1/polls/tastes/votes {"voterId":"u1","ballot":{"choices":["a","a"]}}
        POST /v1/polls/tastes/votes {"voterId":"u1","ballot":{"choices":["c","a"]}}
        POST /v1/polls/nowhere/votes {"voterId":"u1","ballot":{"choice":"pizza"}}
        as reader
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"}}
        as voter
        GET /v1/polls/lunch/votes/u1
        as nobody
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"}}
        GET /v1/polls/lunch/votes/u1
        as a stranger
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"}}
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_write_in_becomes_an_option() {
    check(
        "votes_write_in",
        r#"
        POST /v1/polls {"id":"names","title":"Names","options":[],"status":"open","writeIn":true}
        POST /v1/polls/names/votes {"voterId":"u1","ballot":{"choice":"Ada"}}
        POST /v1/polls/names/votes {"voterId":"u2","ballot":{"choice":"Grace Hopper"}}
        POST /v1/polls/names/votes {"voterId":"u3","ballot":{"choice":"Grace Hopper"}}
        # Who has voted adds no more.
        POST /v1/polls/names/votes {"voterId":"u3","ballot":{"choice":"Nobody"}}
        POST /v1/polls/names/votes {"voterId":"u4","ballot":{"choice":""}}
        # Neither does a vote that is refused for anything else.
        POST /v1/polls/names/votes {"voterId":"u4","ballot":{"choice":"Nobody"},"demographics":{"shoe":"44"}}
        POST /v1/polls/names/votes {"voterId":"u4","ballot":{"choice":"Nobody"},"weight":"2"}
        PUT /v1/polls/names/votes/u4 {"ballot":{"choice":"Nobody"}}
        GET /v1/polls/names/results
        GET /v1/polls/names/events
        POST /v1/polls/names/recount
        "#,
    )
    .await;
}
