//! API keys: made, limited, rotated, revoked.

use std::sync::Arc;

use canvass_server::{App, Settings};
use canvass_store::Store;

use crate::harness::{World, check};

#[tokio::test]
async fn keys_are_made_listed_and_revoked() {
    check(
        "keys_made",
        r#"
        POST /v1/keys {"name":"kiosk","scopes":["votes:write","votes:write"]}
        POST /v1/keys {"name":"fast","scopes":["votes:write"],"rate":500,"quotaPerDay":null,"expiresAt":"2026-12-02T00:00:00Z"}
        POST /v1/keys {"name":"free","scopes":["admin"],"rate":null,"quotaPerDay":null}
        POST /v1/keys {"name":"batch","scopes":["votes:write"],"plan":"unlimited","postVotes":{"rate":1000,"burst":1000}}
        POST /v1/keys {"name":"none","scopes":[]}
        POST /v1/keys {"name":"","scopes":["admin"]}
        POST /v1/keys {"name":"stopped","scopes":["admin"],"rate":0}
        POST /v1/keys {"name":"past","scopes":["admin"],"expiresAt":"2026-12-01T12:00:00Z"}
        POST /v1/keys {"name":"odd","scopes":["votes:delete"]}
        GET /v1/keys
        DELETE /v1/keys/‹1›
        DELETE /v1/keys/‹1›
        DELETE /v1/keys/nobody
        GET /v1/keys
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_key_lives_until_it_expires_or_is_revoked() {
    check(
        "keys_life",
        r#"
        POST /v1/keys {"name":"reader","scopes":["polls:read"],"expiresAt":"2026-12-01T12:01:00Z"}
        as nobody
        with x-api-key: ‹2›
        GET /v1/polls
        with authorization: Bearer ‹2›
        GET /v1/polls
        with authorization: Basic dXNlcjpwYXNz
        GET /v1/polls
        wait 60
        with x-api-key: ‹2›
        GET /v1/polls
        as admin
        POST /v1/keys {"name":"other","scopes":["polls:read"]}
        DELETE /v1/keys/‹3›
        as nobody
        with x-api-key: ‹4›
        GET /v1/polls
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_secret_is_replaced_without_a_gap() {
    check(
        "keys_rotated",
        r#"
        POST /v1/keys {"name":"reader","scopes":["polls:read"]}
        POST /v1/keys/‹1›/rotate
        as nobody
        with x-api-key: ‹2›
        GET /v1/polls
        with x-api-key: ‹3›
        GET /v1/polls
        wait 86400
        # The first secret has had its day.
        with x-api-key: ‹2›
        GET /v1/polls
        with x-api-key: ‹3›
        GET /v1/polls
        as admin
        POST /v1/keys/‹1›/rotate {"expirePreviousAt":"2026-12-02T12:00:10Z"}
        as nobody
        with x-api-key: ‹3›
        GET /v1/polls
        wait 10
        with x-api-key: ‹3›
        GET /v1/polls
        with x-api-key: ‹4›
        GET /v1/polls
        as admin
        POST /v1/keys/nobody/rotate
        "#,
    )
    .await;
}

#[tokio::test]
async fn the_last_admin_key_stays() {
    let mut world = World::new().await;
    let keys = world.ask("GET", "/v1/keys", String::new()).await.json();
    let id = keys["items"][0]["id"].as_str().expect("the admin key").to_owned();
    world.play(&format!("DELETE /v1/keys/{id}")).await;
    // One that expires is an admin key only until then.
    world.play(r#"key second {"scopes":["admin"],"expiresAt":"2026-12-01T13:00:00Z"}"#).await;
    world.play("wait 3600").await;
    world.play(&format!("DELETE /v1/keys/{id}")).await;
    world.play(r#"key third {"scopes":["admin"]}"#).await;
    world.play(&format!("DELETE /v1/keys/{id}")).await;
    world.play("GET /v1/keys").await;
    world.compare("keys_last_admin");
}

#[tokio::test]
async fn the_first_start_makes_an_admin_key_and_later_ones_do_not() {
    let world = World::new().await;
    let again = App::new(Arc::clone(&world.store) as Arc<dyn Store>, world.edge.clone(), Settings::default());
    assert_eq!(again.bootstrap().await, Ok(None), "the store has an admin key");

    let directory = tempfile::tempdir().expect("a directory");
    let options = canvass_store::local::LocalOptions::new(directory.path(), [7; 16]);
    let clock = world.edge.clone();
    let clock = Arc::new(move || canvass_server::Edge::now(&clock));
    let (store, _) = canvass_store::local::LocalStore::open(&options, clock).expect("a fresh directory");
    let fresh = App::new(Arc::new(store), world.edge.clone(), Settings::default());
    let secret = fresh.bootstrap().await.expect("a fresh store").expect("a secret to show");
    assert!(secret.starts_with("canvass_") && secret.len() == 51, "{secret}");
    assert_eq!(fresh.bootstrap().await, Ok(None), "it is shown once");
}
