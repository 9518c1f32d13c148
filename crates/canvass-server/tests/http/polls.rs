//! Polls and their life.

use crate::harness::check;

#[tokio::test]
async fn a_poll_is_created_read_changed_and_listed() {
    check(
        "polls_created",
        r#"
        POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"pizza","label":"Pizza"},{"id":"soup","label":"Soup"}],"closesAt":"2026-12-02T12:00:00Z","demographics":{"ageGroup":["18-24","25-34"],"location":null}}
        POST /v1/polls {"id":"lunch","title":"Again?","options":[{"id":"a"}]}
        POST /v1/polls {"title":"Given an id","options":[{"label":"Yes"},{"label":"No"}],"status":"open"}
        GET /v1/polls/lunch
        with if-none-match: "1-1796126400000000"
        GET /v1/polls/lunch
        PATCH /v1/polls/lunch {"title":"Lunch on Friday?"}
        PATCH /v1/polls/lunch {"title":"Late","version":1}
        with if-match: "1"
        PATCH /v1/polls/lunch {"title":"Late"}
        with if-match: "1", "2"
        PATCH /v1/polls/lunch {"description":"In the yard"}
        with if-match: *
        PATCH /v1/polls/lunch {"seats":2}
        GET /v1/polls?limit=1
        GET /v1/polls?limit=1&cursor=MTc5NjEyNjQwMDAwMDAwMDpsdW5jaA
        GET /v1/polls?status=open
        GET /v1/polls/nowhere
        GET /v1/polls/not%20an%20id
        # Another poll under the same id is not the one that a caller has read.
        DELETE /v1/polls/lunch
        wait 1
        POST /v1/polls {"id":"lunch","title":"Another","options":[{"id":"a"}]}
        with if-none-match: "1-1796126400000000"
        GET /v1/polls/lunch
        with if-match: "1-1796126400000000"
        PATCH /v1/polls/lunch {"seats":2}
        with if-match: "1-1796126401000000"
        PATCH /v1/polls/lunch {"title":"Another one"}
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_poll_goes_through_its_life_and_the_trail_tells_who_and_when() {
    check(
        "polls_life",
        r#"
        key clerk {"scopes":["polls:write","polls:read"],"plan":"unlimited"}
        POST /v1/polls {"id":"board","title":"Board","options":[{"id":"a"},{"id":"b"}]}
        as clerk
        POST /v1/polls/board/pause
        POST /v1/polls/board/open
        # Asked again, as by a caller who lost the answer.
        POST /v1/polls/board/open
        wait 60
        POST /v1/polls/board/pause
        as admin
        POST /v1/polls/board/votes {"voterId":"u1","ballot":{"choice":"a"}}
        with if-match: "1"
        POST /v1/polls/board/open
        POST /v1/polls/board/open
        POST /v1/polls/board/votes {"voterId":"u1","ballot":{"choice":"a"}}
        PATCH /v1/polls/board {"options":[{"id":"a","label":"Ann"},{"id":"b","label":"Bob"}]}
        PATCH /v1/polls/board {"options":[{"id":"a"},{"id":"c"}]}
        DELETE /v1/polls/board
        POST /v1/polls/board/certify
        POST /v1/polls/board/close
        POST /v1/polls/board/open
        POST /v1/polls/board/certify
        POST /v1/polls/board/archive
        GET /v1/polls/board/events
        GET /v1/polls/board/events?after=7
        DELETE /v1/polls/board
        GET /v1/polls/board
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_poll_that_is_over_is_erased() {
    check(
        "polls_erasure",
        r#"
        as admin
        POST /v1/polls {"id":"board","title":"Board","options":[{"id":"a"},{"id":"b"}],"status":"open"}
        POST /v1/polls/board/votes {"voterId":"u1","ballot":{"choice":"a"}}
        POST /v1/polls/board/erase
        POST /v1/polls/board/close
        as clerk
        POST /v1/polls/board/erase
        as admin
        POST /v1/polls/board/erase
        GET /v1/polls/board/votes/u1
        GET /v1/polls/nowhere/erase
        POST /v1/polls/nowhere/erase
        "#,
    )
    .await;
}

#[tokio::test]
async fn times_are_kept_when_a_vote_is_decided() {
    check(
        "polls_times",
        r#"
        POST /v1/polls {"id":"evening","title":"Evening","options":[{"id":"a"}],"status":"scheduled","opensAt":"2026-12-01T12:10:00Z","closesAt":"2026-12-01T12:20:00Z"}
        POST /v1/polls/evening/votes {"voterId":"early","ballot":{"choice":"a"}}
        wait 600
        POST /v1/polls/evening/votes {"voterId":"in time","ballot":{"choice":"a"}}
        wait 599
        POST /v1/polls/evening/votes {"voterId":"just in time","ballot":{"choice":"a"}}
        wait 1
        POST /v1/polls/evening/votes {"voterId":"late","ballot":{"choice":"a"}}
        # The clock goes back, and the poll stays closed.
        wait -600
        POST /v1/polls/evening/votes {"voterId":"later","ballot":{"choice":"a"}}
        GET /v1/polls/evening/results
        "#,
    )
    .await;
}

#[tokio::test]
async fn what_a_poll_may_not_be_is_refused() {
    check(
        "polls_refused",
        r#"
        POST /v1/polls {"title":"No options","options":[]}
        POST /v1/polls {"title":"Twice","options":[{"id":"a"},{"id":"a"}]}
        POST /v1/polls {"title":"","options":[{"id":"a"}]}
        POST /v1/polls {"title":"Colour","options":[{"id":"a"}],"color":"red"}
        POST /v1/polls {"title":"Irv","options":[{"id":"a"}],"method":{"type":"irv"}}
        POST /v1/polls {"title":"Begun closed","options":[{"id":"a"}],"status":"closed"}
        POST /v1/polls {"id":"not an id","title":"Id","options":[{"id":"a"}]}
        POST /v1/polls {"title":"Time","options":[{"id":"a"}],"closesAt":"tomorrow"}
        POST /v1/polls {"title":"Broken"
        POST /v1/polls null
        with content-type: text/plain
        POST /v1/polls {"title":"Type","options":[{"id":"a"}]}
        with content-type: application/json; charset=utf-8
        POST /v1/polls {"id":"typed","title":"Type","options":[{"id":"a"}]}
        GET /v1/polls?limit=0
        GET /v1/polls?limit=many
        GET /v1/polls?status=lost
        GET /v1/polls?cursor=mine
        PUT /v1/polls/typed {}
        GET /v2/polls
        "#,
    )
    .await;
}

#[tokio::test]
async fn who_may_read_and_write_polls() {
    check(
        "polls_access",
        r#"
        key reader {"scopes":["polls:read"],"plan":"unlimited"}
        key voter {"scopes":["votes:write"],"plan":"unlimited"}
        POST /v1/polls {"id":"closed-shop","title":"Key","options":[{"id":"a"}],"status":"open"}
        POST /v1/polls {"id":"market","title":"Public","options":[{"id":"a"}],"status":"open","access":"public"}
        POST /v1/polls {"id":"draft","title":"Draft","options":[{"id":"a"}],"access":"public"}
        as nobody
        GET /v1/polls/closed-shop
        GET /v1/polls/market
        GET /v1/polls/draft
        GET /v1/polls
        POST /v1/polls {"title":"Mine","options":[{"id":"a"}]}
        as a stranger
        GET /v1/polls/market
        as voter
        GET /v1/polls/closed-shop
        as reader
        GET /v1/polls/closed-shop
        GET /v1/polls/draft
        DELETE /v1/polls/draft
        POST /v1/polls/market/close
        GET /v1/keys
        "#,
    )
    .await;
}
