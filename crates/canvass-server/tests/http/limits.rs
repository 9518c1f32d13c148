//! How fast one may ask, and how much one may send.

use canvass_domain::key::Rate;
use canvass_server::Settings;

use crate::harness::{World, check};

#[tokio::test]
async fn a_key_has_its_rate_its_classes_and_its_day() {
    check(
        "limits_key",
        r#"
        key slow {"scopes":["polls:read"],"rate":1,"burst":2,"quotaPerDay":4}
        key voter {"scopes":["votes:write"],"plan":"unlimited","postVotes":{"rate":1,"burst":1}}
        POST /v1/polls {"id":"p","title":"T","options":[{"id":"a"}],"status":"open"}
        as slow
        GET /v1/polls/p
        GET /v1/polls/p
        GET /v1/polls/p
        wait 1
        GET /v1/polls/p
        wait 2
        GET /v1/polls/p
        GET /v1/polls/p
        wait 43200
        GET /v1/polls/p
        as voter
        POST /v1/polls/p/votes {"voterId":"u1","ballot":{"choice":"a"}}
        POST /v1/polls/p/votes {"voterId":"u2","ballot":{"choice":"a"}}
        # Each line of a batch counts.
        wait 1
        POST /v1/polls/p/votes/batch {"voterId":"u2","ballot":{"choice":"a"}}⏎{"voterId":"u3","ballot":{"choice":"a"}}
        "#,
    )
    .await;
}

#[tokio::test]
async fn an_address_without_a_key_has_its_rate() {
    let rate = Some(Rate { rate: 1, burst: 1 });
    let settings =
        Settings { address_votes: rate, address_reads: rate, trusted_proxies: 1, ..Settings::default() };
    let mut world = World::with(settings).await;
    world
        .play(
            r#"
        POST /v1/polls {"id":"p","title":"T","options":[{"id":"a"}],"status":"open","access":"open"}
        as nobody
        with x-forwarded-for: 192.0.2.1
        GET /v1/polls/p
        # What a client writes into the field itself is not believed.
        with x-forwarded-for: 198.51.100.7, 192.0.2.1
        GET /v1/polls/p
        with x-forwarded-for: no address, 192.0.2.1
        GET /v1/polls/p
        with x-forwarded-for: 192.0.2.2
        GET /v1/polls/p
        # One household is one IPv6 network of 64 bits.
        with x-forwarded-for: 2001:db8::1
        POST /v1/polls/p/votes {"voterId":"u1","ballot":{"choice":"a"}}
        with x-forwarded-for: 2001:db8::2
        POST /v1/polls/p/votes {"voterId":"u2","ballot":{"choice":"a"}}
        wait 1
        with x-forwarded-for: 2001:db8::2
        POST /v1/polls/p/votes {"ballot":{"choice":"a"}}
        # Guessing keys counts too.
        as a stranger
        with x-forwarded-for: 192.0.2.3
        GET /v1/polls/p
        with x-forwarded-for: 192.0.2.3
        GET /v1/polls/p
        as nobody
        with x-forwarded-for: 192.0.2.3
        GET /livez
        "#,
        )
        .await;
    world.compare("limits_address");
}

#[tokio::test]
async fn the_table_of_addresses_drops_the_idle() {
    let mut world = World::new().await;
    world
        .play(
            r#"POST /v1/polls {"id":"p","title":"T","options":[{"id":"a"}],"status":"open","access":"open"}"#,
        )
        .await;
    world.play("as nobody").await;
    for host in 0..3_000_u32 {
        let octets = host.to_be_bytes();
        let address = std::net::Ipv4Addr::new(10, octets[1], octets[2], octets[3]);
        let request = axum::http::Request::builder()
            .uri("/v1/polls/p")
            .extension(canvass_server::PeerAddress(address.into()))
            .body(axum::body::Body::empty())
            .expect("a request");
        assert_eq!(world.send(request).await.status, 200);
        world.edge.wait(60);
    }
}

#[tokio::test]
async fn bodies_end_at_their_limit() {
    let mut world = World::new().await;
    world.play(r#"POST /v1/polls {"id":"p","title":"T","options":[{"id":"a"}],"status":"open"}"#).await;
    let padded = |bytes: usize| {
        let vote = r#"{"voterId":"u1","ballot":{"choice":"a"}}"#;
        format!("{vote}{}", " ".repeat(bytes - vote.len()))
    };
    let fits = world.ask("POST", "/v1/polls/p/votes", padded(64 * 1024)).await;
    assert_eq!(fits.status, 201, "{}", fits.text());
    let answer = world.ask("POST", "/v1/polls/p/votes", padded(64 * 1024 + 1)).await;
    world.record("POST a vote of 64 KiB and a byte", &answer);
    let answer = world.ask("POST", "/v1/polls", padded(1024 * 1024 + 1)).await;
    world.record("POST a poll of 1 MiB and a byte", &answer);
    let answer = world.ask("POST", "/votes", padded(64 * 1024 + 1)).await;
    world.record("POST a vote in dialect A of 64 KiB and a byte", &answer);
    world.compare("limits_bodies");
}

#[tokio::test(start_paused = true)]
async fn an_endless_or_silent_body_is_given_up() {
    use std::convert::Infallible;

    use axum::body::Body;
    use futures_util::stream;

    let mut world = World::new().await;
    world.play(r#"POST /v1/polls {"id":"p","title":"T","options":[{"id":"a"}],"status":"open"}"#).await;
    let endless = || Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>(vec![b' '; 8_192])));
    let silent = || Body::from_stream(stream::pending::<Result<Vec<u8>, Infallible>>());
    for (name, path, kind, body) in [
        ("endless", "/v1/polls/p/votes", "application/json", endless()),
        ("silent", "/v1/polls/p/votes", "application/json", silent()),
        ("silent", "/v1/polls", "application/json", silent()),
        ("silent", "/vote", "application/json", silent()),
        ("silent", "/v1/polls/p/votes/batch", "application/x-ndjson", silent()),
    ] {
        let request = axum::http::Request::post(path)
            .header("content-type", kind)
            .header("x-api-key", crate::harness::ADMIN)
            .body(body)
            .expect("a request");
        let answer = world.send(request).await;
        world.record(&format!("POST {path} with a body that is {name}"), &answer);
    }
    world.compare("limits_slow");
}
