//! The pages: whole stories by form, without a script, and what they must not do.

use axum::{body::Body, http::Request};
use canvass_server::Settings;

use crate::harness::{World, check};

#[tokio::test]
async fn one_choice_changes_and_is_withdrawn() {
    check(
        "pages_choice",
        r#"
        POST /v1/polls {"id":"lunch","title":"Lunch?","description":"On Friday.","options":[{"id":"pizza","label":"Pizza"},{"id":"soup","label":"Soup"}],"status":"open","access":"public","revote":"untilClose","demographics":{"ageGroup":["18-24","25-34"],"team":null}}
        as nobody
        GET /p/lunch
        form /p/lunch key=k1
        form /p/lunch key=k1&option=pizza&tell.ageGroup=25-34&tell.team=
        GET /p/lunch/receipt
        GET /p/lunch
        form /p/lunch key=k2&option=soup&tell.team=Ops
        GET /p/lunch/results
        form /p/lunch/withdraw key=k3
        GET /p/lunch/receipt
        form /p/lunch/withdraw key=k4
        GET /p/lunch/results
        "#,
    )
    .await;
}

#[tokio::test]
async fn several_choices_are_approved() {
    check(
        "pages_approval",
        r#"
        POST /v1/polls {"id":"days","title":"Days","options":[{"id":"mon"},{"id":"tue"},{"id":"wed"}],"status":"open","access":"public","method":{"type":"approval","maxChoices":2}}
        as nobody
        GET /p/days
        form /p/days key=k1&option=mon&option=tue&option=wed
        form /p/days key=k1&option=mon&option=wed
        # The first vote counts; the same form again is the same vote.
        form /p/days key=k1&option=mon&option=wed
        form /p/days key=k1&option=tue
        form /p/days key=k2&option=tue
        GET /p/days
        GET /p/days/results
        "#,
    )
    .await;
}

#[tokio::test]
async fn scores_are_given_on_a_scale_or_as_numbers() {
    check(
        "pages_scores",
        r#"
        POST /v1/polls {"id":"films","title":"Films","options":[{"id":"a"},{"id":"b"}],"status":"open","access":"public","method":{"type":"score","max":3,"aggregate":"mean"}}
        POST /v1/polls {"id":"wines","title":"Wines","options":[{"id":"a"},{"id":"b"}],"status":"open","access":"public","method":{"type":"score","min":50,"max":100}}
        POST /v1/polls {"id":"stars","title":"Stars","options":[{"id":"a"},{"id":"b"}],"status":"open","access":"public","method":{"type":"star"}}
        as nobody
        GET /p/films
        form /p/films key=k1&mark.a=3&mark.b=
        GET /p/films/receipt
        GET /p/films/results
        GET /p/wines
        form /p/wines key=k1&mark.a=99&mark.b=lots
        form /p/wines key=k1&mark.a=99&mark.b=101
        form /p/wines key=k1&mark.a=99&mark.b=51
        GET /p/wines/results
        form /p/stars key=k1&mark.a=5&mark.b=4
        GET /p/stars/results
        "#,
    )
    .await;
}

#[tokio::test]
async fn options_are_ranked_by_numbers() {
    check(
        "pages_ranking",
        r#"
        POST /v1/polls {"id":"chair","title":"Chair","options":[{"id":"ada","label":"Ada"},{"id":"bob","label":"Bob"},{"id":"cy","label":"Cy"}],"status":"open","access":"open","method":{"type":"irv"}}
        POST /v1/polls {"id":"board","title":"Board","options":[{"id":"ada"},{"id":"bob"},{"id":"cy"}],"status":"open","access":"open","method":{"type":"schulze"}}
        as nobody
        GET /p/chair
        form /p/chair voter=&key=k1&mark.ada=1
        form /p/chair voter=Zoe&key=k1&mark.ada=1&mark.bob=1
        form /p/chair voter=Zoe&key=k1&mark.ada=4
        form /p/chair voter=Zoe&key=k1&mark.ada=2&mark.bob=1&mark.cy=
        GET /p/chair/receipt
        form /p/chair voter=Yan&key=k2&mark.ada=1&mark.bob=2&mark.cy=3
        form /p/chair voter=Xi&key=k3&mark.cy=1&mark.ada=2
        form /p/chair voter=Xi&key=k4&mark.cy=1
        GET /p/chair/results
        form /p/board voter=Zoe&key=k1&mark.ada=1&mark.bob=1&mark.cy=3
        GET /p/board/receipt
        GET /p/board/results
        "#,
    )
    .await;
}

#[tokio::test]
async fn dots_and_credits_are_spread() {
    check(
        "pages_allocation",
        r#"
        POST /v1/polls {"id":"ideas","title":"Ideas","options":[{"id":"a"},{"id":"b"}],"status":"open","access":"public","method":{"type":"dot","dots":5,"maxPerOption":4}}
        POST /v1/polls {"id":"works","title":"Works","options":[{"id":"a"},{"id":"b"}],"status":"open","access":"public","method":{"type":"quadratic","credits":10}}
        as nobody
        GET /p/ideas
        form /p/ideas key=k1&mark.a=4&mark.b=2
        form /p/ideas key=k1&mark.a=4&mark.b=1
        GET /p/ideas/results
        GET /p/works
        form /p/works key=k1&mark.a=3&mark.b=2
        form /p/works key=k1&mark.a=3&mark.b=-1
        GET /p/works/results
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_code_is_typed_and_shows_its_holder_the_results() {
    check(
        "pages_code",
        r#"
        POST /v1/polls {"id":"club","title":"Club","options":[{"id":"a"},{"id":"b"}],"status":"open","access":"code","revote":"untilClose","resultsVisible":"afterVote"}
        POST /v1/polls/club/codes {"count":1}
        as nobody
        GET /p/club
        GET /p/club/results
        form /p/club key=k1&code=nonsense&option=a
        form /p/club key=k1&code=‹1›&option=a
        GET /p/club/receipt
        GET /p/club/results
        form /p/club/withdraw key=k2&code=‹1›
        GET /p/club/receipt
        cookie off
        GET /p/club/receipt
        "#,
    )
    .await;
}

#[tokio::test]
async fn each_state_is_told_in_words() {
    check(
        "pages_states",
        r#"
        POST /v1/polls {"id":"draft","title":"Secret","options":[{"id":"a"}],"access":"public"}
        POST /v1/polls {"id":"key","title":"Secret","options":[{"id":"a"}],"status":"open"}
        POST /v1/polls {"id":"soon","title":"Soon","options":[{"id":"a"}],"status":"scheduled","access":"public","opensAt":"2026-12-02T12:00:00Z"}
        POST /v1/polls {"id":"now","title":"Now","options":[{"id":"a"}],"status":"open","access":"public","closesAt":"2026-12-01T13:00:00Z","resultsVisible":"afterClose"}
        as nobody
        GET /p/nowhere
        GET /p/draft
        GET /p/draft/results
        GET /p/draft/receipt
        GET /p/key
        GET /p/key/results
        form /p/key key=k1&option=a
        GET /p/soon
        GET /p/now
        form /p/now key=k1&option=a
        GET /p/now/results
        GET /p/now/projector
        as admin
        POST /v1/polls/now/pause
        as nobody
        form /p/now key=k2&option=a
        GET /p/now
        wait 3600
        GET /p/now
        GET /
        "#,
    )
    .await;
}

/// German by the browser's list; Arabic because it was chosen, from then on; and of both the form that a number needs.
#[tokio::test]
async fn pages_speak_the_readers_language() {
    check(
        "pages_languages",
        r#"
        POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"a"},{"id":"b"}],"status":"open","access":"public","method":{"type":"dot","dots":3},"closesAt":"2026-12-01T13:00:00Z"}
        as nobody
        with accept-language: fr, de-AT;q=0.9, en;q=0.8
        GET /p/lunch
        with accept-language: de
        form /p/lunch key=k1&mark.a=x
        with accept-language: de
        form /p/lunch key=k1&mark.a=3&mark.b=2
        with accept-language: de
        GET /p/nowhere
        with accept-language: de
        GET /p/lunch?lang=ar
        with accept-language: de
        form /p/lunch key=k1&mark.a=3
        with accept-language: de
        GET /p/lunch/receipt
        GET /p/lunch/results
        GET /p/lunch/results?lang=de
        GET /
        "#,
    )
    .await;
}

/// Each language says which it is and which way it reads, and leads to the others.
#[tokio::test]
async fn pages_tell_their_language_and_direction() {
    let mut world = World::new().await;
    for (code, direction) in [("en", "ltr"), ("de", "ltr"), ("ar", "rtl")] {
        let answer = world.ask("GET", &format!("/?lang={code}"), String::new()).await;
        assert_eq!(answer.headers["content-language"], code);
        assert_eq!(answer.headers["vary"], "accept-language, cookie");
        let html = answer.text();
        assert!(html.contains(&format!(r#"<html lang="{code}" dir="{direction}">"#)), "{html}");
        assert_eq!(html.matches("hreflang=").count(), 2, "{html}");
        let again = world.ask("GET", "/", String::new()).await;
        assert_eq!(again.headers["content-language"], code, "it is remembered");
    }
}

/// Votes that move from round to round, drawn and listed; to the other side where the language is written so.
#[tokio::test]
async fn rounds_are_drawn() {
    check(
        "pages_rounds",
        r#"
        POST /v1/polls {"id":"chair","title":"Chair","options":[{"id":"ada","label":"Ada <b>"},{"id":"bob","label":"Bob"},{"id":"cy","label":"Cy with a name that is long"}],"status":"open","access":"public","method":{"type":"irv"}}
        POST /v1/polls/chair/votes {"voterId":"1","ballot":{"ranking":["ada"]}}
        POST /v1/polls/chair/votes {"voterId":"2","ballot":{"ranking":["ada"]}}
        POST /v1/polls/chair/votes {"voterId":"3","ballot":{"ranking":["bob"]}}
        POST /v1/polls/chair/votes {"voterId":"4","ballot":{"ranking":["bob"]}}
        POST /v1/polls/chair/votes {"voterId":"5","ballot":{"ranking":["bob"]}}
        POST /v1/polls/chair/votes {"voterId":"6","ballot":{"ranking":["cy","ada"]}}
        POST /v1/polls/chair/votes {"voterId":"7","ballot":{"ranking":["cy"]}}
        POST /v1/polls/chair/votes {"voterId":"8","ballot":{"ranking":["ada"]}}
        as nobody
        GET /p/chair/results
        GET /p/chair/results?lang=ar
        "#,
    )
    .await;
}

/// The count of a poll for keys, and one that is not shown yet, for those who may see it all the same.
#[tokio::test]
async fn results_are_shown_by_what_the_viewer_shows() {
    check(
        "pages_viewers",
        r#"
        POST /v1/polls {"id":"key","title":"Key","options":[{"id":"a"}],"status":"open","resultsVisible":"afterClose"}
        POST /v1/polls/key/votes {"voterId":"1","ballot":{"choice":"a"}}
        key reader {"scopes":["results:read"]}
        GET /p/key/results
        GET /p/key/results?reveal
        as reader
        GET /p/key/results
        GET /p/key/results?reveal
        as nobody
        GET /p/key/results
        GET /p/key/projector?reveal
        "#,
    )
    .await;
}

/// The code on the large screen holds the address by which the browser came; HTTPS is a proxy's word.
#[tokio::test]
async fn the_large_screen_invites() {
    let settings = Settings { trusted_proxies: 1, ..Settings::default() };
    let mut world = World::with(settings).await;
    let script = r#"
        POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"a"}],"status":"open","access":"public"}
        as nobody
        with host: vote.example
        with x-forwarded-proto: https
        GET /p/lunch/projector?hide
        as admin
        POST /v1/polls/lunch/close
        as nobody
        GET /p/lunch/projector
        "#;
    world.play(script).await;
    world.compare("pages_projector");
}

/// Forms of other sites are refused, whichever field tells; without cookies nobody votes for a device.
#[tokio::test]
async fn only_a_form_of_this_server_is_taken() {
    check(
        "pages_same_site",
        r#"
        POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"a"}],"status":"open","access":"public","revote":"untilClose"}
        as nobody
        # A browser that keeps no cookies is told, and counts nothing.
        form /p/lunch key=k1&option=a
        form /p/lunch key=k1&option=a
        with content-type: application/x-www-form-urlencoded
        with sec-fetch-site: cross-site
        POST /p/lunch key=k2&option=a
        with content-type: application/x-www-form-urlencoded
        with sec-fetch-site: same-site
        POST /p/lunch/withdraw key=k2
        with content-type: application/x-www-form-urlencoded
        with origin: https://evil.example
        with host: vote.example
        POST /p/lunch/withdraw key=k2
        with content-type: application/x-www-form-urlencoded
        with origin: null
        with host: vote.example
        POST /p/lunch/withdraw key=k2
        with content-type: application/x-www-form-urlencoded
        POST /p/lunch/withdraw key=k2
        with sec-fetch-site: same-origin
        POST /p/lunch {"key":"k2"}
        GET /v1/polls/lunch/results
        with content-type: application/x-www-form-urlencoded
        with origin: https://vote.example
        with host: vote.example
        POST /p/lunch/withdraw key=k2
        GET /v1/polls/lunch/results
        "#,
    )
    .await;
}

/// A receipt shows a vote. Nobody makes one up by naming a voter, or takes one to another poll.
#[tokio::test]
async fn a_receipt_is_for_its_holder_and_its_poll() {
    let mut world = World::new().await;
    world
        .play(
            r#"
        POST /v1/polls {"id":"one","title":"One","options":[{"id":"a"}],"status":"open","access":"open"}
        POST /v1/polls {"id":"two","title":"Two","options":[{"id":"a"}],"status":"open","access":"open"}
        POST /v1/polls/two/votes {"voterId":"Zoe","ballot":{"choice":"a"}}
        as nobody
        form /p/one voter=Zoe&key=k1&option=a
        "#,
        )
        .await;
    assert_eq!(world.ask("GET", "/p/one/receipt", String::new()).await.status, 200);
    assert_eq!(world.ask("GET", "/p/two/receipt", String::new()).await.status, 404, "of another poll");
    let forged = format!("canvass_receipt=Wm9l.{}", "0".repeat(64));
    let request =
        Request::get("/p/two/receipt").header("cookie", forged).body(Body::empty()).expect("a request");
    assert_eq!(world.send(request).await.status, 404, "made up");
}

/// What people write appears as text, in every place where it is shown.
#[tokio::test]
async fn hostile_text_is_shown_as_text() {
    const HOSTILE: &str = r#"<script>alert(1)</script>"'><img src=x>&amp;{{7*7}}"#;
    let hostile = serde_json::to_string(HOSTILE).expect("JSON");
    let mut world = World::new().await;
    for (id, method) in [("choice", "plurality"), ("rank", "irv"), ("score", "score"), ("many", "approval")] {
        let poll = format!(
            r#"{{"id":"{id}","title":{hostile},"description":{hostile},"options":[{{"id":"a","label":{hostile}}}],
            "method":{{"type":"{method}"}},"status":"open","access":"public","demographics":{{{hostile}:[{hostile}]}}}}"#
        );
        assert_eq!(world.ask("POST", "/v1/polls", poll).await.status, 201);
    }
    world.play("as nobody").await;
    let mut pages = vec!["/".to_owned()];
    for (id, mark) in
        [("choice", "option=a"), ("rank", "mark.a=1"), ("score", "mark.a=1"), ("many", "option=a")]
    {
        pages.push(format!("/p/{id}"));
        check_page(&mut world, &format!("/p/{id}"), HOSTILE).await;
        world.play(&format!("form /p/{id} key=k&voter=<b>&{mark}")).await;
        pages.extend(["receipt", "results", "projector"].map(|page| format!("/p/{id}/{page}")));
    }
    for page in pages {
        check_page(&mut world, &page, HOSTILE).await;
    }
}

async fn check_page(world: &mut World, page: &str, hostile: &str) {
    let answer = world.ask("GET", page, String::new()).await;
    assert_eq!(answer.status, 200, "{page}");
    let html = answer.text();
    assert!(!html.contains("<script>") && !html.contains("<img"), "{page}: {html}");
    assert!(!html.contains(hostile) && html.contains("alert(1)"), "{page} shows it escaped");
}

/// Each page with all that it loads weighs less than 30 KB, loads nothing of another address, and says so.
#[tokio::test]
async fn pages_are_light_and_load_nothing_from_elsewhere() {
    let mut world = World::new().await;
    let options: Vec<_> =
        (1..=12).map(|n| format!(r#"{{"id":"o{n}","label":"Option number {n}"}}"#)).collect();
    let poll = format!(
        r#"{{"id":"p","title":"T","options":[{}],"status":"open","access":"public","method":{{"type":"irv"}}}}"#,
        options.join(",")
    );
    assert_eq!(world.ask("POST", "/v1/polls", poll).await.status, 201);
    world.play("as nobody\nGET /p/p\nform /p/p key=k&mark.o1=1&mark.o2=2").await;
    for page in ["/", "/p/p", "/p/p/receipt", "/p/p/results", "/p/p/projector"] {
        let answer = world.ask("GET", page, String::new()).await;
        assert_eq!(answer.headers["referrer-policy"], "same-origin", "{page}");
        assert!(
            answer.headers["content-security-policy"]
                .to_str()
                .expect("text")
                .starts_with("default-src 'none';")
        );
        // Programs that embed read the oEmbed link, browsers do not, and it has to say the whole address.
        let html: String =
            answer.text().lines().filter(|line| !line.contains("application/json+oembed")).collect();
        assert!(
            !html.contains("//") && !html.contains("style=") && !html.contains("<style"),
            "{page}: {html}"
        );
        let mut bytes = html.len();
        for asset in html.split(['"', '\'']).filter(|text| text.starts_with("/assets/")) {
            let answer = world.ask("GET", asset, String::new()).await;
            assert_eq!(answer.headers["cache-control"], "public, max-age=31536000, immutable", "{asset}");
            bytes += answer.body.len();
        }
        assert!(bytes < 30_000, "{page} weighs {bytes}");
    }
    assert_eq!(world.ask("GET", "/assets/live-000000000000.js", String::new()).await.status, 404);
}
