//! The organiser's console: whole stories by form, and a session that nobody can forge, fix or ride.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};

use crate::harness::{ADMIN, World, check};

#[tokio::test]
async fn a_poll_is_made_run_and_put_away() {
    check(
        "console_poll",
        r"
        as nobody
        GET /console
        GET /console/sign-in
        form /console/sign-in key=wrong
        form /console/sign-in key=‹admin›
        GET /console?kept
        GET /console/polls/new
        form /console/polls title=Lunch%3F&options=Pizza%0APizza%0ASoup%20of%20the%20day%0A%E2%98%95&access=public&method=plurality&seats=1&tieBreak=report&revote=untilClose&resultsVisible=live&demographics=team:%20red,%20blue%0Acity&minimumCell=0&start=draft&id=lunch
        GET /console/polls/lunch
        form /console/polls/lunch/step step=open&edition=1
        form /console/polls/lunch/step step=open&edition=1
        form /console/polls/lunch/step step=dance&edition=2
        GET /p/lunch
        form /p/lunch key=k1&option=pizza
        form /console/polls/lunch/edit version=2&title=Lunch%20on%20Friday%3F&options=Pizza%0APizza%0ASoup%0A%E2%98%95&access=public&method=plurality&seats=1&tieBreak=report&revote=untilClose&resultsVisible=live&demographics=city%0Ateam:%20red,%20blue&minimumCell=0
        form /console/polls/lunch/edit version=3&title=Lunch&options=Pizza%0ASoup&access=public&method=plurality&seats=1&tieBreak=report&revote=untilClose&resultsVisible=live&demographics=city%0Ateam:%20red,%20blue&minimumCell=0
        form /console/polls/lunch/edit version=2&title=Late
        GET /console?q=LUNCH&status=open
        GET /console?q=nothing
        form /console/polls/lunch/recount
        form /console/polls/lunch/step step=close
        form /console/polls/lunch/step step=certify
        form /console/polls/lunch/step step=archive
        GET /console/polls/lunch/export?format=csv
        GET /console/polls/lunch
        form /console/polls/lunch/step step=delete
        GET /console/polls/lunch
        form /console/sign-out
        GET /console/polls/lunch
        ",
    )
    .await;
}

#[tokio::test]
async fn methods_with_rules_are_entered_and_kept() {
    check(
        "console_methods",
        r#"
        as nobody
        form /console/sign-in key=‹admin›
        form /console/polls title=A&options=x%0Ay&access=key&method=approval&maxChoices=1&start=draft&id=a
        form /console/polls title=B&options=x%0Ay&access=key&method=score&min=-2&max=2&aggregate=mean&start=draft&id=b
        form /console/polls title=C&options=x%0Ay&access=code&method=dot&dots=many&start=draft&id=c
        form /console/polls title=C&options=x%0Ay&access=code&method=dot&dots=4&closesAt=2030-01-01T00:00&start=open&id=c
        form /console/polls title=D&options=x%0Ay&access=key&method=quadratic&start=draft&id=d
        form /console/polls title=E&options=x%0Ay&access=key&method=plurality&opensAt=soon&start=draft&id=e
        form /console/polls title=E&options=x%0Ay&access=key&method=tealeaves&start=draft&id=e
        form /console/polls title=E&options=x%0Ay&access=key&method=irv&tieBreak=lot&seed=dice&start=scheduled&opensAt=2029-01-01T00:00&id=e
        as admin
        GET /v1/polls?limit=10
        PATCH /v1/polls/e {"method":{"type":"irv","untilTwo":true}}
        as nobody
        # What the form does not show stays as it is.
        form /console/polls/e/edit title=E2&options=x%0Ay&access=key&method=irv&seats=1&tieBreak=lot&seed=dice&revote=never&resultsVisible=live&opensAt=2029-01-01T00:00&minimumCell=0
        as admin
        GET /v1/polls/e
        as nobody
        form /console/polls/c/codes count=2&as=csv
        form /console/polls/c/codes count=1&as=page
        form /console/polls/c/codes count=0
        "#,
    )
    .await;
}

#[tokio::test]
async fn keys_are_made_rotated_and_revoked() {
    check(
        "console_keys",
        r"
        as nobody
        form /console/sign-in key=‹admin›
        GET /console/keys
        form /console/keys name=Ushers&scope=polls:read&plan=standard
        form /console/keys name=Nobody&plan=standard
        form /console/keys name=Late&scope=polls:read&plan=standard&expiresAt=1999-01-01T00:00
        GET /console/keys
        with accept-language: de
        GET /console/keys
        ",
    )
    .await;
}

#[tokio::test]
async fn webhooks_are_shown_and_delivered_again() {
    let mut world = World::new().await;
    let hook = r#"{"url":"http://example.com/hook","types":["poll.opened"]}"#;
    let id = world.ask("POST", "/v1/webhooks", hook).await.json()["id"].as_str().expect("an id").to_owned();
    world.play("as nobody\nform /console/sign-in key=‹admin›").await;
    let page = world.ask("GET", "/console/webhooks", "").await;
    let path = format!("/console/webhooks/{id}/redeliver");
    let shows = ["http://example.com/hook", "poll.opened", &path].map(|text| page.text().contains(text));
    assert_eq!(shows, [true; 3], "{}", page.text());
    let mut told = Vec::new();
    for (id, after) in [(&*id, ""), (&id, "0"), (&id, "99999999"), (&id, "many"), ("nobody", "")] {
        world
            .play("with content-type: application/x-www-form-urlencoded\nwith sec-fetch-site: same-origin")
            .await;
        let path = format!("/console/webhooks/{id}/redeliver");
        told.push(world.ask("POST", &path, format!("after={after}")).await.status.as_u16());
    }
    assert_eq!(told, [303, 303, 422, 422, 404]);
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say() {
    check(
        "console_scopes",
        r#"
        POST /v1/polls {"id":"staff","title":"Staff","options":[{"id":"a"},{"id":"b"}],"status":"open"}
        key usher {"scopes":["polls:read","results:read"]}
        as nobody
        GET /p/staff/results
        form /console/sign-in key=‹usher›
        GET /console/polls/staff
        GET /p/staff/results
        GET /console/keys
        GET /console/polls/new
        form /console/polls/staff/step step=close
        GET /console/polls/staff/export?format=csv
        "#,
    )
    .await;
}

/// Asks for the console with a session cookie.
async fn visit(world: &mut World, session: &str) -> StatusCode {
    let request =
        Request::get("/console/polls/new").header("cookie", format!("__Host-canvass_session={session}"));
    world.send(request.body(Body::empty()).expect("a request")).await.status
}

/// Signs in and gives the session.
async fn sign_in(world: &mut World, key: &str) -> String {
    let request = Request::post("/console/sign-in")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "same-origin")
        .header("cookie", "__Host-canvass_session=fixed")
        .body(Body::from(format!("key={key}")));
    let answer = world.send(request.expect("a request")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    let cookie = answer.headers["set-cookie"].to_str().expect("text").to_owned();
    let (session, rules) = cookie.split_once(';').expect("rules");
    assert_eq!(rules, " Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=43200");
    session.strip_prefix("__Host-canvass_session=").expect("the session").to_owned()
}

#[tokio::test]
async fn a_session_cannot_be_forged_and_ends() {
    let mut world = World::new().await;
    let (first, second) = (sign_in(&mut world, ADMIN).await, sign_in(&mut world, ADMIN).await);
    assert_ne!(first, second, "each sign-in is a session of its own");
    assert_eq!(visit(&mut world, &first).await, StatusCode::OK);
    for place in 0..first.len() {
        let mut forged = first.clone().into_bytes();
        forged[place] = if forged[place] == b'0' { b'1' } else { b'0' };
        let forged = String::from_utf8(forged).expect("text");
        assert_eq!(visit(&mut world, &forged).await, StatusCode::SEE_OTHER, "{place} of {first}");
    }
    for forged in ["", "fixed", "~~~", &first[1..], &format!("{first}~"), &format!("{first}0")] {
        assert_eq!(visit(&mut world, forged).await, StatusCode::SEE_OTHER, "{forged}");
    }
    // The session is no key, and its key is none of the API's callers.
    let request = Request::get("/v1/keys").header("cookie", format!("__Host-canvass_session={first}"));
    let answer = world.send(request.body(Body::empty()).expect("a request")).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let request = Request::post("/console/sign-out")
        .header("cookie", format!("__Host-canvass_session={first}"))
        .header("sec-fetch-site", "same-origin");
    world.send(request.body(Body::empty()).expect("a request")).await;
    assert_eq!(visit(&mut world, &first).await, StatusCode::SEE_OTHER, "it was signed out");
    assert_eq!(visit(&mut world, &second).await, StatusCode::OK, "the other was not");
    world.edge.wait(12 * 3_600 - 1);
    assert_eq!(visit(&mut world, &second).await, StatusCode::OK);
    world.edge.wait(1);
    assert_eq!(visit(&mut world, &second).await, StatusCode::SEE_OTHER, "its time is over");
}

#[tokio::test]
async fn a_session_ends_with_its_key() {
    let mut world = World::new().await;
    let made = world.ask("POST", "/v1/keys", r#"{"name":"usher","scopes":["polls:write"]}"#).await.json();
    let (id, secret) = (made["id"].as_str().expect("an id"), made["secret"].as_str().expect("a secret"));
    let session = sign_in(&mut world, secret).await;
    assert_eq!(visit(&mut world, &session).await, StatusCode::OK);
    // The older secret is accepted for a day after a rotation, and so is its session.
    world.ask("POST", &format!("/v1/keys/{id}/rotate"), "{}").await;
    assert_eq!(visit(&mut world, &session).await, StatusCode::OK);
    world.ask("POST", &format!("/v1/keys/{id}/rotate"), "{}").await;
    assert_eq!(visit(&mut world, &session).await, StatusCode::SEE_OTHER, "that secret is no more");
    let rotated = world.ask("POST", &format!("/v1/keys/{id}/rotate"), "{}").await.json();
    let session = sign_in(&mut world, rotated["secret"].as_str().expect("a secret")).await;
    assert_eq!(visit(&mut world, &session).await, StatusCode::OK);
    world.ask("DELETE", &format!("/v1/keys/{id}"), "").await;
    assert_eq!(visit(&mut world, &session).await, StatusCode::SEE_OTHER, "the key was revoked");
}

/// Every form of the console, sent with a good session but from elsewhere.
#[tokio::test]
async fn a_session_is_not_ridden_from_another_site() {
    let mut world = World::new().await;
    let poll = r#"{"id":"p","title":"P","options":[{"id":"a"}],"status":"open","access":"code"}"#;
    assert_eq!(world.ask("POST", "/v1/polls", poll).await.status, StatusCode::CREATED);
    let session = sign_in(&mut world, ADMIN).await;
    let forms = [
        "/console/sign-in",
        "/console/polls",
        "/console/polls/p/edit",
        "/console/polls/p/step",
        "/console/polls/p/recount",
        "/console/polls/p/codes",
        "/console/keys",
        "/console/keys/x/rotate",
        "/console/keys/x/revoke",
        "/console/webhooks/x/redeliver",
    ];
    let senders = [
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("origin", "https://evil.example"), ("host", "canvass.example")],
        vec![("origin", "null"), ("host", "canvass.example")],
        vec![],
    ];
    for path in forms {
        for sender in &senders {
            let mut request = Request::post(path)
                .header("content-type", "application/x-www-form-urlencoded")
                .header("cookie", format!("__Host-canvass_session={session}"));
            for (name, value) in sender {
                request = request.header(*name, *value);
            }
            let body = "title=T&options=a&access=key&method=plurality&step=close&count=1&name=N&scope=admin";
            let answer = world.send(request.body(Body::from(body)).expect("a request")).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {sender:?}");
        }
    }
    let polls = world.ask("GET", "/v1/polls", "").await.json();
    assert_eq!(polls["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(polls["items"][0]["status"], "open");
    let keys = world.ask("GET", "/v1/keys", "").await.json();
    assert_eq!(keys["items"].as_array().or(keys.as_array()).map(Vec::len), Some(1));
}

/// Sends the form of a new poll with one field wrong, and gives what the page says about it.
async fn refusal(world: &mut World, session: &str, language: &str, fields: &str) -> String {
    let request = Request::post(format!("/console/polls?lang={language}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "same-origin")
        .header("cookie", format!("__Host-canvass_session={session}"))
        .body(Body::from(format!("access=key&method=plurality&start=draft&{fields}")));
    let page = world.send(request.expect("a request")).await.text();
    let (_, after) = page.split_once("role=\"alert\">").unwrap_or_else(|| panic!("no alert: {page}"));
    after.split_once('<').map_or(after, |(text, _)| text).to_owned()
}

#[tokio::test]
async fn a_refusal_is_told_in_the_language_of_the_page() {
    let mut world = World::new().await;
    let session = sign_in(&mut world, ADMIN).await;
    let taken = r#"{"id":"taken","title":"P","options":[{"id":"a"}]}"#;
    assert_eq!(world.ask("POST", "/v1/polls", taken).await.status, StatusCode::CREATED);
    let mut told = Vec::new();
    for fields in [
        "title=&options=a",
        "title=T&options=",
        "title=T&options=a&seats=2",
        "title=T&options=a&opensAt=2029-01-02T00:00&closesAt=2029-01-01T00:00",
        "title=T&options=a&id=Ä",
        "title=T&options=a&id=taken",
        "title=T&options=a&demographics=a%0Ab%0Ac%0Ad%0Ae%0Af%0Ag%0Ah%0Ai%0Aj%0Ak%0Al%0Am%0An%0Ao%0Ap%0Aq",
    ] {
        for language in ["en", "de"] {
            let said = refusal(&mut world, &session, language, fields).await;
            told.push(format!("{fields}\n{language}: {said}"));
        }
    }
    insta::assert_snapshot!("console_refusals", told.join("\n"));
}
