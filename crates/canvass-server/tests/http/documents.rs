//! The OpenAPI description, its page, the pages of problems, and the figures.

use canvass_server::openapi;

use crate::harness::World;

/// The description is kept as a file, so that a change of what callers see is seen in review.
#[tokio::test]
async fn the_description_is_the_one_that_is_kept() {
    let description = openapi().to_pretty_json().expect("JSON") + "\n";
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let newest = concat!(env!("CARGO_TARGET_TMPDIR"), "/openapi.json");
    std::fs::write(newest, &description).expect("a place for the newest description");
    let is_kept = std::fs::read_to_string(kept).is_ok_and(|kept| kept == description);
    assert!(is_kept, "the description has changed; if that is meant: cp {newest} {kept}");
}

/// Whatever is described is there, and takes the methods that are described.
#[tokio::test]
async fn every_described_route_is_there() {
    let mut world = World::new().await;
    let description = serde_json::to_value(openapi()).expect("JSON");
    for (path, operations) in description["paths"].as_object().expect("paths") {
        let methods: Vec<_> =
            operations.as_object().expect("operations").keys().map(|name| name.to_uppercase()).collect();
        let answer = world.ask("BREW", &path.replace(['{', '}'], ""), String::new()).await;
        assert_eq!(answer.status, 405, "{path}");
        let allowed = answer.headers["allow"].to_str().expect("text").to_owned();
        for method in methods {
            assert!(allowed.split(',').any(|allowed| allowed == method), "{method} {path}: {allowed}");
        }
    }
}

/// No page asks for anything of another address.
#[tokio::test]
async fn pages_stand_alone() {
    let mut world = World::new().await;
    world.play("as nobody").await;
    for path in ["/", "/docs", "/problems", "/problems/already-voted"] {
        let answer = world.ask("GET", path, String::new()).await;
        assert_eq!(answer.status, 200, "{path}");
        let page = answer.text();
        assert!(!page.contains("src=") && !page.contains("href=\"http"), "{path}");
    }
    let problems = world.ask("GET", "/problems", String::new()).await.text();
    assert!(problems.contains("/problems/outcome-unknown"));
    assert_eq!(world.ask("GET", "/problems/nothing", String::new()).await.status, 404);
    let docs = world.ask("GET", "/docs", String::new()).await.text();
    let description = serde_json::to_value(openapi()).expect("JSON");
    for path in description["paths"].as_object().expect("paths").keys() {
        assert!(docs.contains(path), "{path} is on the page");
    }
}

#[tokio::test]
async fn figures_tell_of_votes_and_routes_and_of_nobody() {
    let mut world = World::new().await;
    world
        .play(
            r#"
        GET /livez
        GET /readyz
        POST /v1/polls {"id":"secret-poll","title":"T","options":[{"id":"a"}],"status":"open"}
        POST /v1/polls/secret-poll/votes {"voterId":"alice","ballot":{"choice":"a"}}
        POST /v1/polls/secret-poll/votes {"voterId":"alice","ballot":{"choice":"a"}}
        with idempotency-key: k
        POST /v1/polls/secret-poll/votes {"voterId":"bob","ballot":{"choice":"a"}}
        with idempotency-key: k
        POST /v1/polls/secret-poll/votes {"voterId":"bob","ballot":{"choice":"a"}}
        "#,
        )
        .await;
    world.play("as nobody").await;
    let metrics = world.ask("GET", "/metrics", String::new()).await.text();
    let has = |line: &str| assert!(metrics.lines().any(|known| known == line), "{line} in\n{metrics}");
    has("canvass_votes_total{outcome=\"cast\"} 2");
    has("canvass_votes_total{outcome=\"already_voted\"} 1");
    has("canvass_votes_total{outcome=\"replayed\"} 1");
    has("canvass_http_requests_total{method=\"POST\",route=\"/v1/polls/{poll}/votes\",status=\"2xx\"} 3");
    has("canvass_http_requests_total{method=\"POST\",route=\"/v1/polls/{poll}/votes\",status=\"4xx\"} 1");
    has("canvass_http_request_seconds_count{method=\"POST\",route=\"/v1/polls/{poll}/votes\"} 4");
    has("canvass_store_ready 1");
    assert!(!metrics.contains("alice") && !metrics.contains("secret-poll"));
    world.compare("documents_health");
}

#[tokio::test]
async fn figures_of_polls_are_for_those_who_may_see_results() {
    let mut world = World::new().await;
    world
        .play(
            r#"
        POST /v1/polls {"id":"small","title":"T","options":[{"id":"a"}],"status":"open","demographics":{"ageGroup":["18-24","25+"],"location":null}}
        POST /v1/polls {"id":"large","title":"T","options":[{"id":"a"}],"status":"open","minimumCell":5,"demographics":{"gender":["f","m"]}}
        POST /v1/polls/small/votes {"voterId":"alice","ballot":{"choice":"a"},"demographics":{"ageGroup":"25+","location":"alice's house"}}
        POST /v1/polls/large/votes {"voterId":"bob","ballot":{"choice":"a"},"demographics":{"gender":"m"}}
        POST /v1/polls/large/votes {"voterId":"cleo","ballot":{"choice":"a"}}
        key counter {"scopes":["results:read"]}
        key kiosk {"scopes":["votes:write"]}
        "#,
        )
        .await;
    let figures = |text: String| -> Vec<String> {
        let lines = text.lines().filter(|line| line.contains("{poll=") || line.contains("{dimension="));
        lines.map(str::to_owned).collect()
    };
    for (who, expected) in [
        ("nobody", &[][..]),
        ("kiosk", &[]),
        (
            "counter",
            &[
                "canvass_poll_votes{poll=\"large\"} 2",
                "canvass_poll_votes{poll=\"small\"} 1",
                "canvass_answer_votes{dimension=\"ageGroup\",value=\"18-24\"} 0",
                "canvass_answer_votes{dimension=\"ageGroup\",value=\"25+\"} 1",
            ],
        ),
    ] {
        world.play(&format!("as {who}")).await;
        let metrics = world.ask("GET", "/metrics", String::new()).await.text();
        assert!(!metrics.contains("alice"), "no voter is a label");
        assert_eq!(figures(metrics), expected, "{who}");
    }
}
