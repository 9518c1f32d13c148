//! The analytics: when votes came, what voters told, other polls beside it; and that small groups stay hidden, whoever
//! looks, how often and at what.

use crate::harness::{World, check};

/// Two options and two dimensions, with votes over two days.
const LUNCH: &str = r#"
    POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"pizza","label":"Pizza"},{"id":"soup","label":"=Soup"}],"status":"open","access":"open","revote":"untilClose","demographics":{"age":["18-24","25+"],"team":null}}
    POST /v1/polls/lunch/votes {"voterId":"1","ballot":{"choice":"pizza"},"demographics":{"age":"25+","team":"Ops"}}
    POST /v1/polls/lunch/votes {"voterId":"2","ballot":{"choice":"soup"},"demographics":{"age":"18-24","team":"Ops"}}
    wait 5400
    POST /v1/polls/lunch/votes {"voterId":"3","ballot":{"choice":"pizza"},"demographics":{"age":"25+","team":"-Dev"}}
    wait 86400
    POST /v1/polls/lunch/votes {"voterId":"4","ballot":{"choice":"pizza"}}
    PUT /v1/polls/lunch/votes/2 {"ballot":{"choice":"pizza"},"demographics":{"age":"18-24","team":"Ops"}}
    DELETE /v1/polls/lunch/votes/3
"#;

async fn check_lunch(name: &str, script: &str) {
    let mut world = World::new().await;
    world.play(LUNCH).await;
    world.forget();
    world.play(script).await;
    world.compare(name);
}

#[tokio::test]
async fn votes_are_drawn_over_time() {
    check_lunch(
        "analytics_time",
        r"
        as nobody
        GET /p/lunch/analytics
        GET /p/lunch/analytics?step=day&lang=de
        GET /p/lunch/analytics?from=2026-12-01T12:00&to=2026-12-01T13:59&format=svg
        GET /p/lunch/analytics?from=2026-12-01T12:00&to=2026-12-01T13:59&step=hour&format=csv&table=timeline
        GET /p/lunch/analytics?from=yesterday
        GET /p/lunch/analytics?step=year
        GET /p/lunch/analytics?from=0001-01-01T00:00&to=9999-01-01T00:00&step=minute&format=svg
        GET /p/lunch/analytics?from=2027-01-01T00:00&to=2026-01-01T00:00&format=svg
        ",
    )
    .await;
}

/// What a spreadsheet would take for a formula is guarded in every file.
#[tokio::test]
async fn dimensions_are_broken_down_crossed_and_filtered() {
    check_lunch(
        "analytics_dimensions",
        r#"
        key analyst {"scopes":["results:read"],"plan":"unlimited"}
        as nobody
        GET /p/lunch/analytics?format=csv&table=breakdown&by=team
        GET /p/lunch/analytics?format=csv&table=breakdown&by=shoe
        GET /p/lunch/analytics?format=csv&table=cross&rows=age&columns=team
        as analyst
        GET /p/lunch/analytics?rows=age&columns=team
        GET /p/lunch/analytics?format=csv&table=cross&rows=age&columns=team
        GET /p/lunch/analytics?format=csv&table=cross&rows=age&columns=
        GET /p/lunch/analytics?format=csv&table=cross&rows=age&columns=&where=team%3DOps&where=
        GET /p/lunch/analytics?format=csv&table=cross&rows=age&where=team%3DNobody
        GET /p/lunch/analytics?format=csv&table=cross&rows=age&columns=age
        GET /p/lunch/analytics?format=csv&table=cross&rows=age&where=shoe%3D1
        GET /p/lunch/analytics?format=csv&table=cross
        GET /p/lunch/analytics?format=csv&table=nothing
        GET /p/lunch/analytics?format=pdf
        "#,
    )
    .await;
}

#[tokio::test]
async fn polls_are_compared_by_id_and_label() {
    check_lunch(
        "analytics_comparison",
        r#"
        POST /v1/polls {"id":"before","title":"Last week","options":[{"id":"pizza","label":"Piza"},{"id":"broth","label":"=Soup"},{"id":"fish","label":"Fish"}],"status":"open","access":"open"}
        POST /v1/polls {"id":"secret","title":"Secret","options":[{"id":"pizza"}],"status":"open"}
        POST /v1/polls {"id":"later","title":"Later","options":[{"id":"pizza"}],"status":"open","access":"open","resultsVisible":"afterClose"}
        POST /v1/polls/before/votes {"voterId":"1","ballot":{"choice":"broth"}}
        POST /v1/polls/before/votes {"voterId":"2","ballot":{"choice":"fish"}}
        as nobody
        GET /p/lunch/analytics?format=csv&table=comparison&with=before
        GET /p/lunch/analytics?format=csv&table=comparison&with=secret
        GET /p/lunch/analytics?format=csv&table=comparison&with=later
        GET /p/lunch/analytics?with=nowhere
        "#,
    )
    .await;
}

/// Whoever may see the results sees the analytics, and nobody else.
#[tokio::test]
async fn analytics_are_seen_as_results_are() {
    check(
        "analytics_access",
        r#"
        key desk {"scopes":["results:read"],"plan":"unlimited"}
        key door {"scopes":["votes:write"],"plan":"unlimited"}
        POST /v1/polls {"id":"key","title":"Secret","options":[{"id":"a"}],"status":"open"}
        POST /v1/polls {"id":"draft","title":"Secret","options":[{"id":"a"}],"access":"public"}
        POST /v1/polls {"id":"later","title":"Later","options":[{"id":"a"}],"status":"open","access":"public","resultsVisible":"afterClose"}
        POST /v1/polls {"id":"voted","title":"Voted","options":[{"id":"a"}],"status":"open","access":"public","resultsVisible":"afterVote"}
        as nobody
        GET /p/key/analytics
        GET /p/draft/analytics
        GET /p/later/analytics
        GET /p/later/analytics?format=svg
        GET /p/voted/analytics
        form /p/voted key=k1&option=a
        form /p/voted key=k1&option=a
        GET /p/voted/analytics
        GET /p/nowhere/analytics
        as door
        GET /p/key/analytics
        as desk
        GET /p/key/analytics
        GET /p/later/analytics
        "#,
    )
    .await;
}

/// A poll whose cells of fewer than three are hidden, and its voters.
async fn secretive(votes: &[(&str, &str, &str)]) -> World {
    let mut world = World::new().await;
    world
        .play(r#"POST /v1/polls {"id":"p","title":"T","options":[{"id":"a"},{"id":"b"}],"status":"open","access":"open","minimumCell":3,"demographics":{"d":["x","y"],"e":null}}"#)
        .await;
    for (index, vote) in votes.iter().enumerate() {
        cast(&mut world, index, vote).await;
    }
    world
}

async fn cast(world: &mut World, voter: usize, (option, d, e): &(&str, &str, &str)) {
    let vote = format!(
        r#"{{"voterId":"{voter}","ballot":{{"choice":"{option}"}},"demographics":{{"d":"{d}","e":"{e}"}}}}"#
    );
    assert_eq!(world.ask("POST", "/v1/polls/p/votes", vote).await.status, 201);
}

/// The figures of a breakdown: its values' rows, hidden ones as `.`, then the unanswered.
async fn breakdown(world: &mut World, by: &str) -> String {
    let view = world.ask("GET", &format!("/v1/polls/p/breakdown?by={by}"), String::new()).await.json();
    let figure =
        |figure: &serde_json::Value| figure.as_u64().map_or(".".to_owned(), |votes| votes.to_string());
    let row = |row: &serde_json::Value| {
        let options = row["options"].as_array().expect("figures");
        let figures: Vec<_> = std::iter::once(&row["votes"]).chain(options).map(figure).collect();
        format!("{} {}", row["value"].as_str().expect("text"), figures.join(" "))
    };
    let mut rows: Vec<_> = view["values"].as_array().expect("rows").iter().map(row).collect();
    rows.push(figure(&view["unanswered"]));
    rows.join("; ")
}

/// Two looks while votes come in differ by nothing, or by as many as a group must have.
#[tokio::test]
async fn two_looks_do_not_tell_a_vote() {
    let four_each = [("a", "x", "m"), ("b", "x", "m"), ("a", "y", "m"), ("b", "y", "m")].repeat(4);
    let mut world = secretive(&four_each).await;
    assert_eq!(breakdown(&mut world, "d").await, "x 8 4 4; y 8 4 4; 0");
    cast(&mut world, 100, &("a", "x", "m")).await;
    assert_eq!(breakdown(&mut world, "d").await, "x 8 4 4; y 8 4 4; 0", "one more");
    cast(&mut world, 101, &("a", "x", "m")).await;
    assert_eq!(breakdown(&mut world, "d").await, "x 8 4 4; y 8 4 4; 0", "two more");
    cast(&mut world, 102, &("b", "x", "m")).await;
    assert_eq!(breakdown(&mut world, "d").await, "x 11 4 4; y 8 4 4; 0", "the row has three more");
    cast(&mut world, 103, &("a", "x", "m")).await;
    assert_eq!(breakdown(&mut world, "d").await, "x 11 7 4; y 8 4 4; 0", "and now one figure");
    assert_eq!(breakdown(&mut world, "e").await, "m 20 11 9; 0", "nobody looked at it before");
    cast(&mut world, 104, &("a", "x", "new")).await;
    assert_eq!(breakdown(&mut world, "e").await, "m 20 11 9; 0", "a new value is one voter's");
    world.play("POST /v1/polls/p/close").await;
    assert_eq!(breakdown(&mut world, "d").await, "x 11 7 4; y 8 4 4; 0", "the last one or two would be told");
}

/// What voters write for an open dimension may be their name: it is named once so many have written it, and stays then.
#[tokio::test]
async fn a_value_of_few_is_not_named() {
    let mut world = secretive(&[("a", "x", "m"), ("b", "x", "m"), ("a", "y", "m")].repeat(3)).await;
    cast(&mut world, 100, &("a", "x", "Ada, 3rd floor")).await;
    assert_eq!(breakdown(&mut world, "e").await, "m . . .; other . . .; 0", "one voter's");
    cast(&mut world, 101, &("a", "x", "Bob")).await;
    cast(&mut world, 102, &("a", "x", "Ada, 3rd floor")).await;
    cast(&mut world, 103, &("a", "x", "Bob")).await;
    assert_eq!(breakdown(&mut world, "e").await, "m 9 6 3; other 4 4 0; 0", "four others");
    let mut page = world.ask("GET", "/p/p/analytics", String::new()).await.text();
    world.play("POST /v1/polls/p/close").await;
    for path in ["?rows=d&columns=e", "?rows=d&where=e%3DBob", "?format=csv&table=breakdown&by=e"] {
        page += &world.ask("GET", &format!("/p/p/analytics{path}"), String::new()).await.text();
    }
    assert!(page.contains("other") && !page.contains("Ada") && !page.contains(">Bob<"), "{page}");
}

/// Whoever looks only after the end sees all that is large enough.
#[tokio::test]
async fn after_the_end_the_first_look_is_exact() {
    let four_each = [("a", "x", "m"), ("b", "x", "m"), ("a", "y", "m"), ("b", "y", "m")].repeat(4);
    let mut world = secretive(&four_each).await;
    cast(&mut world, 100, &("a", "x", "m")).await;
    world.play("POST /v1/polls/p/close").await;
    assert_eq!(breakdown(&mut world, "d").await, "x 9 5 4; y 8 4 4; 0");
}

/// Filters must not tell by one table what another hides: what is small in any slice is hidden in all.
#[tokio::test]
async fn tables_do_not_tell_by_subtraction() {
    let mut votes = [("a", "x", "m"), ("b", "x", "m"), ("a", "y", "m"), ("b", "y", "m")].repeat(4);
    votes.push(("a", "x", "n"));
    let mut world = secretive(&votes).await;
    world.forget();
    world
        .play(
            r"
        GET /p/p/analytics?rows=d&where=e%3Dm
        GET /p/p/analytics?format=csv&table=cross&rows=d&where=e%3Dm
        POST /v1/polls/p/close
        GET /p/p/analytics?format=csv&table=cross&rows=d
        GET /p/p/analytics?format=csv&table=cross&rows=d&where=e%3Dm
        GET /p/p/analytics?format=csv&table=cross&rows=d&where=e%3Dn
        GET /p/p/analytics?format=csv&table=cross&rows=d&columns=e
        GET /p/p/analytics?rows=d&columns=e
        ",
        )
        .await;
    world.compare("analytics_subtraction");
}

/// What people write appears as text, on the page, in the picture and in the files.
#[tokio::test]
async fn hostile_text_is_shown_as_text() {
    const HOSTILE: &str = r#"<script>alert(1)</script>"'><img src=x>&amp;{{7*7}}"#;
    let hostile = serde_json::to_string(HOSTILE).expect("JSON");
    let mut world = World::new().await;
    let poll = format!(
        r#"{{"id":"p","title":{hostile},"options":[{{"id":"a","label":{hostile}}}],"status":"open","access":"open","demographics":{{{hostile}:null}}}}"#
    );
    assert_eq!(world.ask("POST", "/v1/polls", poll).await.status, 201);
    let vote =
        format!(r#"{{"voterId":"1","ballot":{{"choice":"a"}},"demographics":{{{hostile}:{hostile}}}}}"#);
    assert_eq!(world.ask("POST", "/v1/polls/p/votes", vote).await.status, 201);
    let dimension: String = form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    for page in [
        "/p/p/analytics?with=p".to_owned(),
        format!("/p/p/analytics?rows={dimension}&where={dimension}&with=%3Cscript%3E"),
        "/p/p/analytics?format=svg".to_owned(),
    ] {
        let answer = world.ask("GET", &page, String::new()).await;
        let text = answer.text();
        assert!(
            !text.contains("<script>") && !text.contains("<img") && !text.contains(HOSTILE),
            "{page}: {text}"
        );
    }
    assert!(world.ask("GET", "/p/p/analytics", String::new()).await.text().contains("alert(1)"));
}
