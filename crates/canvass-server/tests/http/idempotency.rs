//! What a lost answer costs: nothing, whatever happens in between.

use crate::harness::World;

#[tokio::test]
async fn the_same_request_under_the_same_key_has_the_same_answer() {
    let mut world = World::new().await;
    world
        .play(r#"POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"pizza"},{"id":"soup"}],"status":"open","revote":"untilClose","demographics":{"ageGroup":null}}"#)
        .await;
    let vote = r#"{"voterId":"u1","ballot":{"choice":"pizza"},"demographics":{"ageGroup":"25-34"}}"#;
    world.play("with idempotency-key: first").await;
    let first = world.ask("POST", "/v1/polls/lunch/votes", vote.to_owned()).await;
    world.edge.wait(5);
    world.play(r#"PUT /v1/polls/lunch/votes/u1 {"ballot":{"choice":"soup"}}"#).await;
    world.play("POST /v1/polls/lunch/close").await;
    world.edge.wait(3_600);
    world.play("with idempotency-key: first").await;
    let again = world.ask("POST", "/v1/polls/lunch/votes", vote.to_owned()).await;
    assert_eq!((first.status, &first.body), (again.status, &again.body), "byte for byte, even after the end");
    assert_eq!(first.headers.get("idempotency-replayed"), None);
    assert_eq!(again.headers["idempotency-replayed"], "true");

    let mut world = world.restarted().await;
    world.play("with idempotency-key: first").await;
    let restarted = world.ask("POST", "/v1/polls/lunch/votes", vote.to_owned()).await;
    assert_eq!((first.status, &first.body), (restarted.status, &restarted.body), "after a restart too");
    world
        .play(
            r#"
        # The key with another request.
        with idempotency-key: first
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"soup"}}
        with idempotency-key: first
        DELETE /v1/polls/lunch/votes/u1
        # A key is its voter's.
        with idempotency-key: first
        POST /v1/polls/lunch/votes {"voterId":"u2","ballot":{"choice":"soup"}}
        with idempotency-key: a	b
        POST /v1/polls/lunch/votes {"voterId":"u2","ballot":{"choice":"soup"}}
        POST /v1/polls/lunch/votes {"voterId":"u2","ballot":{"choice":"soup"},"idempotencyKey":"x"}
        "#,
        )
        .await;
    world.compare("votes_idempotent");
}
