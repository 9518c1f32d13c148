//! Erasure by age, with a clock that the test moves.

use canvass_domain::PollId;
use canvass_server::Settings;
use canvass_store::Store as _;

use crate::harness::{World, check};

const DAY_SECONDS: i64 = 86_400;
/// Days from the start after which a poll is erased; it closes on the first.
const DAYS: u32 = 90;

/// Two polls: one closes at once, by its clock; the other stays open.
async fn world() -> World {
    let mut world = World::with(Settings { erase_after_days: Some(DAYS), ..Settings::default() }).await;
    world
        .play(
            r#"
            POST /v1/polls {"id":"short","title":"Short","options":[{"id":"a"}],"status":"open","closesAt":"2026-12-01T13:00:00Z"}
            POST /v1/polls {"id":"long","title":"Long","options":[{"id":"a"}],"status":"open"}
            POST /v1/polls/short/votes {"voterId":"u1","ballot":{"choice":"a"}}
            POST /v1/polls/long/votes {"voterId":"u1","ballot":{"choice":"a"}}
            "#,
        )
        .await;
    world
}

/// Looks for what is due, and says what is kept of each poll then.
async fn look(world: &World, polls: [&str; 2]) -> String {
    world.app.erase_what_is_due(DAYS, false).await.expect("the store takes it");
    let mut kept = Vec::new();
    for poll in polls {
        let id: PollId = poll.parse().expect("an id");
        let poll = world.store.poll(&id).await.expect("it is there");
        kept.push(format!("{id} {:?}", poll.personal_data));
    }
    kept.join(", ")
}

/// Lets days pass, one look a day, and says when what is kept changed.
async fn pass(world: &World, days: std::ops::RangeInclusive<i64>) -> Vec<String> {
    let mut told: Vec<(i64, String)> = Vec::new();
    for day in days {
        world.edge.wait(DAY_SECONDS);
        let now = look(world, ["short", "long"]).await;
        if told.last().is_none_or(|(_, before)| *before != now) {
            told.push((day, now));
        }
    }
    told.into_iter().map(|(day, kept)| format!("{day}: {kept}")).collect()
}

#[tokio::test]
async fn a_poll_is_erased_by_its_age_and_says_so() {
    let mut world = world().await;
    look(&world, ["short", "long"]).await;
    // A day more than 90, for the clock must have gone on from there.
    let told = pass(&world, 1..=95).await;
    assert_eq!(told, ["1: short Kept, long Kept", "92: short Erased, long Kept"]);
    world.forget();
    world
        .play("GET /v1/polls/short/events\nGET /v1/polls/short/votes/u1\nPOST /v1/polls/short/recount")
        .await;
    world.compare("erasure_by_age");
}

#[tokio::test]
async fn one_voter_is_erased_on_request() {
    check(
        "erasure_of_a_voter",
        r#"
        key clerk {"scopes":["polls:write","polls:read","votes:read"],"plan":"unlimited"}
        POST /v1/polls {"id":"board","title":"Board","options":[{"id":"a"},{"id":"b"}],"status":"open","revote":"untilClose","demographics":{"city":null}}
        POST /v1/polls/board/votes {"voterId":"ada@example.org","ballot":{"choice":"a"},"demographics":{"city":"Oslo"}}
        PUT /v1/polls/board/votes/ada@example.org {"ballot":{"choice":"b"},"demographics":{"city":"Rome"}}
        POST /v1/polls/board/votes {"voterId":"bob","ballot":{"choice":"a"},"demographics":{"city":"Oslo"}}
        POST /v1/polls/board/votes/ada@example.org/erase
        POST /v1/polls/board/close
        as clerk
        POST /v1/polls/board/votes/ada@example.org/erase
        as admin
        POST /v1/polls/board/votes/ada@example.org/erase
        # Asked again, nothing more is found.
        POST /v1/polls/board/votes/ada@example.org/erase
        POST /v1/polls/board/votes/nobody/erase
        POST /v1/polls/nowhere/votes/ada@example.org/erase
        POST /v1/polls/board/votes/%00/erase
        GET /v1/polls/board/votes/ada@example.org
        GET /v1/polls/board/votes/bob
        GET /v1/polls/board/results
        GET /v1/polls/board/breakdown?by=city
        GET /v1/polls/board/events
        POST /v1/polls/board/recount
        POST /v1/polls/board/certify
        "#,
    )
    .await;
}

#[tokio::test]
async fn exports_show_the_vote_of_a_voter_who_was_erased() {
    let mut world = world().await;
    world.play("POST /v1/polls/long/close\nPOST /v1/polls/long/votes/u1/erase").await;
    for format in ["csv", "jsonl"] {
        let export = world.ask("GET", &format!("/v1/polls/long/export?format={format}"), "").await.text();
        let rows = export.lines().filter(|line| line.contains("choice")).count();
        assert_eq!((rows, export.contains("u1")), (1, false), "{export}");
    }
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_erases_nothing_before_a_day_has_passed() {
    let world = world().await;
    look(&world, ["short", "long"]).await;
    assert_eq!(pass(&world, 1..=3).await, ["1: short Kept, long Kept"]);
    world.edge.wait(100 * DAY_SECONDS);
    let jumped = look(&world, ["short", "long"]).await;
    world.edge.wait(DAY_SECONDS - 60);
    let before_a_day = look(&world, ["short", "long"]).await;
    // It is set right again; another ninety days pass.
    world.edge.wait(-101 * DAY_SECONDS + 60);
    let told = pass(&world, 4..=95).await;
    assert_eq!((jumped.as_str(), before_a_day.as_str()), ("short Kept, long Kept", "short Kept, long Kept"));
    assert_eq!(told, ["4: short Kept, long Kept", "92: short Erased, long Kept"]);
}

#[tokio::test]
async fn a_server_that_starts_anew_each_day_erases_too() {
    let mut world = world().await;
    look(&world, ["short", "long"]).await;
    pass(&world, 1..=90).await;
    let mut told = Vec::new();
    for _ in 91..=92 {
        world.edge.wait(DAY_SECONDS);
        world = world.restarted().await;
        told.push(look(&world, ["short", "long"]).await);
    }
    assert_eq!(told, ["short Kept, long Kept", "short Erased, long Kept"]);
}
