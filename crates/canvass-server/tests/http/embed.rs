//! Polls on other sites: in a frame, by oEmbed, and by scripts.

use canvass_server::Settings;

use crate::harness::{World, check};

/// In a world whose operator names two sites that may embed polls.
async fn check_embedding(name: &str, script: &str) {
    let origins = "https://app.example, http://localhost:3000".parse().expect("origins");
    let mut world = World::with(Settings { embed_origins: origins, ..Settings::default() }).await;
    world.play(script).await;
    world.compare(name);
}

/// The same forms, with cookies that browsers send into frames, and links that stay in the frame and in the language.
#[tokio::test]
async fn a_vote_is_cast_in_a_frame() {
    check_embedding(
        "embed_vote",
        r#"
        POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"pizza"},{"id":"soup"}],"status":"open","access":"public","revote":"untilClose","resultsVisible":"afterVote"}
        as nobody
        GET /embed/lunch
        GET /embed/lunch/results
        form /embed/lunch key=k1&option=pizza
        GET /embed/lunch/receipt
        GET /embed/lunch/results
        form /embed/lunch/withdraw?lang=de key=k2
        GET /embed/lunch?lang=de
        cookie off
        # A browser that keeps no cookies in frames is told, and shown the way out.
        form /embed/lunch key=k3&option=soup
        with content-type: application/x-www-form-urlencoded
        with sec-fetch-site: cross-site
        POST /embed/lunch key=k3&option=soup
        "#,
    )
    .await;
}

/// A receipt is a cookie for the frame too, and refusals are legible in it.
#[tokio::test]
async fn codes_and_refusals_are_shown_in_a_frame() {
    check_embedding(
        "embed_code",
        r#"
        POST /v1/polls {"id":"club","title":"Club","options":[{"id":"a"}],"status":"open","access":"code"}
        POST /v1/polls {"id":"key","title":"Secret","options":[{"id":"a"}],"status":"open"}
        POST /v1/polls/club/codes {"count":1}
        as nobody
        form /embed/club key=k1&code=‹1›&option=a
        GET /embed/club/receipt
        GET /embed/club/results
        GET /embed/nowhere
        GET /embed/key
        GET /embed/key/results
        "#,
    )
    .await;
}

/// Nobody may frame anything unless the operator says so, and never another page.
#[tokio::test]
async fn only_embedded_pages_are_framed() {
    let poll =
        r#"POST /v1/polls {"id":"p","title":"T","options":[{"id":"a"}],"status":"open","access":"public"}"#;
    let named = "https://app.example,http://localhost:3000";
    for (origins, expected) in [
        ("", "frame-ancestors 'self'"),
        (named, "frame-ancestors 'self' https://app.example http://localhost:3000"),
    ] {
        let settings = Settings { embed_origins: origins.parse().expect("origins"), ..Settings::default() };
        let mut world = World::with(settings).await;
        world.play(poll).await;
        for (page, expected) in [
            ("/embed/p", expected),
            ("/embed/p/results", expected),
            ("/embed/p/receipt", expected),
            ("/embed/nothing", expected),
            ("/p/p", "frame-ancestors 'none'"),
            ("/p/p/results", "frame-ancestors 'none'"),
            ("/p/p/projector", "frame-ancestors 'none'"),
            ("/", "frame-ancestors 'none'"),
            ("/docs", "frame-ancestors 'none'"),
        ] {
            let answer = world.ask("GET", page, String::new()).await;
            let policy = answer.headers["content-security-policy"].to_str().expect("text");
            assert!(policy.ends_with(&format!("; {expected}")), "{page}: {policy}");
        }
    }
}

/// What a program finds that is given the address of a poll.
#[tokio::test]
async fn oembed_tells_of_polls_that_anyone_may_see() {
    check(
        "embed_oembed",
        r#"
        POST /v1/polls {"id":"lunch","title":"<Lunch> & \"more\"?","options":[{"id":"pizza"},{"id":"soup"}],"status":"open","access":"public"}
        POST /v1/polls {"id":"key","title":"Secret","options":[{"id":"a"}],"status":"open"}
        POST /v1/polls {"id":"draft","title":"Secret","options":[{"id":"a"}],"access":"public"}
        as nobody
        with host: vote.example
        GET /oembed?url=https%3A%2F%2Fvote.example%2Fp%2Flunch
        with host: vote.example
        GET /oembed?url=http://Vote.Example/p/lunch/results?lang=de&maxwidth=320&maxheight=200&format=json
        with host: vote.example
        GET /oembed?url=https://vote.example/p/lunch&format=xml
        with host: vote.example
        GET /oembed?url=https://vote.example/p/key
        with host: vote.example
        GET /oembed?url=https://vote.example/p/draft
        with host: vote.example
        GET /oembed?url=https://vote.example/p/nowhere
        with host: vote.example
        GET /oembed?url=https://other.example/p/lunch
        with host: vote.example
        GET /oembed?url=https://vote.example/console
        with host: vote.example
        GET /oembed?url=https://vote.example/p/lunch&format=yaml
        with host: vote.example
        GET /oembed?url=https://vote.example/p/lunch&maxwidth=0
        GET /oembed
        "#,
    )
    .await;
}

/// The pages of a poll say where that is, by the scheme that a trusted proxy was asked with.
#[tokio::test]
async fn pages_lead_to_oembed() {
    let mut world = World::with(Settings { trusted_proxies: 1, ..Settings::default() }).await;
    world
        .play(
            r#"
        POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"a"}],"status":"open","access":"public"}
        POST /v1/polls {"id":"club","title":"Club","options":[{"id":"a"}],"status":"open","access":"code"}
        "#,
        )
        .await;
    for (page, link) in [
        ("/p/lunch", Some("https://vote.example/oembed?url=https%3A%2F%2Fvote.example%2Fp%2Flunch")),
        (
            "/p/lunch/results",
            Some("https://vote.example/oembed?url=https%3A%2F%2Fvote.example%2Fp%2Flunch%2Fresults"),
        ),
        ("/p/club", None),
    ] {
        world.play("with host: vote.example\nwith x-forwarded-proto: https").await;
        let html = world.ask("GET", page, String::new()).await.text();
        let found =
            html.split("application/json+oembed\" href=\"").nth(1).and_then(|rest| rest.split('"').next());
        assert_eq!(found, link, "{page}");
    }
}

/// Scripts of named sites may use the API; of others, and of any where none is named, they may not.
#[tokio::test]
async fn scripts_of_named_sites_use_the_api() {
    const SCRIPT: &str = r#"
        POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"a"}],"status":"open","access":"open"}
        POST /v1/polls {"id":"town","title":"Town","options":[{"id":"a"}],"status":"open","access":"public"}
        as nobody
        with origin: https://app.example
        with access-control-request-method: POST
        OPTIONS /v1/polls/lunch/votes
        with origin: https://app.example
        POST /v1/polls/lunch/votes {"voterId":"ada","ballot":{"choice":"a"}}
        with origin: https://evil.example
        with access-control-request-method: POST
        OPTIONS /v1/polls/lunch/votes
        with origin: https://evil.example
        GET /v1/polls/lunch/results
        GET /v1/polls/lunch/results
        with origin: https://app.example
        GET /readyz
        # No cookie reaches a script of another site, so no device votes there.
        with origin: https://app.example
        with host: vote.example
        POST /v1/polls/town/votes {"ballot":{"choice":"a"}}
        cookie off
        with origin: https://vote.example
        with host: vote.example
        POST /v1/polls/town/votes {"ballot":{"choice":"a"}}
    "#;
    check_embedding("embed_scripts", SCRIPT).await;
    check("embed_scripts_of_nobody", SCRIPT).await;
}

/// The module for applications is there for every site.
#[tokio::test]
async fn the_module_is_served() {
    let mut world = World::new().await;
    for (path, content_type, word) in [
        ("/client/canvass.js", "text/javascript; charset=utf-8", "export class Canvass"),
        ("/client/canvass.d.ts", "application/typescript; charset=utf-8", "export class Canvass"),
    ] {
        let answer = world.ask("GET", path, String::new()).await;
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
        assert_eq!(answer.headers["content-type"], content_type);
        assert!(answer.text().contains(word), "{path}");
    }
}
