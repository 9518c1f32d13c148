//! The story of an organiser: signed in, a poll from the form to the archive, codes, keys, and signed out.

use serde_json::json;

use super::{
    Stage,
    looks::{CONSOLE_LOOKS, put_on, view},
};
use crate::{
    outcome::{Outcome, ensure},
    server::ADMIN_KEY,
};

/// Pages of the console by the names of their pictures.
const PAGES: [(&str, &str); 8] = [
    ("console-polls", "/console"),
    ("console-search", "/console?q=nothing&status=draft"),
    ("console-new", "/console/polls/new"),
    ("console-poll", "/console/polls/spring"),
    ("console-edit", "/console/polls/spring/edit"),
    ("console-codes", "/console/polls/board/codes"),
    ("console-keys", "/console/keys"),
    ("analytics", "/p/spring/analytics"),
];

/// A poll is made by the form, opened, voted in, paused, closed, certified and put away, by clicks alone.
pub(super) fn organiser(stage: &mut Stage) -> Outcome<String> {
    sign_in(stage)?;
    make_poll(stage)?;
    stage.world.poll("board", "Board", &["Ada", "Bob"], &json!({"access": "code"}))?;
    for _ in 0..3 {
        stage.world.vote("spring", &json!({"choice": "lisbon"}))?;
    }
    let views = look_at_all(stage)?;
    for (button, state) in [
        ("button[value=pause]", "paused"),
        ("button[value=open]", "open"),
        ("button[value=close]", "closed"),
        ("button[value=certify]", "certified"),
        ("button[value=archive]", "archived"),
    ] {
        step(stage, button, state)?;
    }
    make_codes(stage)?;
    make_key(stage)?;
    stage.browser.click("nav.menu button")?;
    stage.browser.wait_for("location.pathname === '/console/sign-in'")?;
    open(stage, "/console/keys")?;
    stage.browser.wait_for("location.pathname === '/console/sign-in'")?;
    Ok(format!("made, run and put away by clicks; {views} views, no violation of axe-core"))
}

fn open(stage: &mut Stage, path: &str) -> Outcome {
    stage.browser.open(&format!("{}{path}", stage.world.origin))
}

fn sign_in(stage: &mut Stage) -> Outcome {
    open(stage, "/console")?;
    stage.browser.fill("[name=key]", "not the key")?;
    stage.browser.click("main button")?;
    stage.browser.wait_for("document.querySelector('[role=alert]') !== null")?;
    // The wrong key is answered as such, and the browser says so.
    stage.browser.complaints()?;
    stage.browser.fill("[name=key]", ADMIN_KEY)?;
    stage.browser.click("main button")?;
    stage.browser.wait_for("location.pathname === '/console'")?;
    let readable = stage.browser.text("document.cookie")?;
    ensure(!readable.contains("session"), || format!("a script can read the session: {readable}"))
}

fn make_poll(stage: &mut Stage) -> Outcome {
    stage.browser.click("a.button")?;
    stage.browser.fill("[name=title]", "Where do we meet in spring?")?;
    stage.browser.fill("[name=options]", "Lisbon\nGdańsk\nTbilisi")?;
    stage
        .browser
        .evaluate("document.querySelectorAll('form details').forEach((details) => (details.open = true))")?;
    stage.browser.fill("[name=demographics]", "team: red, blue")?;
    stage.browser.fill("[name=id]", "spring")?;
    // Entered in the organiser's zone, sent in UTC.
    stage.browser.command("Emulation.setTimezoneOverride", &json!({"timezoneId": "Asia/Kathmandu"}))?;
    stage.browser.evaluate(
        "(document.querySelector('fieldset[data-zone] label:last-child input[type=datetime-local]').value = \
         '2099-12-01T18:00', document.querySelector('fieldset[data-zone] label:last-child \
         input[type=datetime-local]').dispatchEvent(new Event('input')))",
    )?;
    stage.browser.click("form.poll > button")?;
    stage.browser.wait_for("location.pathname === '/console/polls/spring'")?;
    let closes = stage.browser.text("document.querySelector('.facts time').dateTime")?;
    ensure(closes.starts_with("2099-12-01T12:15:00"), || format!("the poll closes at {closes}"))
}

fn look_at_all(stage: &mut Stage) -> Outcome<usize> {
    let mut faults = Vec::new();
    for look in CONSOLE_LOOKS {
        put_on(stage, look)?;
        for (name, path) in PAGES {
            let found = view(stage, look, name, path)?;
            faults.extend(found.into_iter().map(|fault| format!("{name} {}: {fault}", look.name)));
        }
    }
    ensure(faults.is_empty(), || faults.join("\n  "))?;
    put_on(stage, CONSOLE_LOOKS[0])?;
    Ok(CONSOLE_LOOKS.len() * PAGES.len())
}

fn step(stage: &mut Stage, button: &str, state: &str) -> Outcome {
    open(stage, "/console/polls/spring")?;
    // What cannot be taken back is behind a summary that has to be opened first.
    stage.browser.evaluate(
        "document.querySelectorAll('.steps details').forEach((details) => (details.open = true))",
    )?;
    stage.browser.click(button)?;
    stage.browser.wait_for(&format!("document.querySelector('.sign.{state}') !== null"))
}

fn make_codes(stage: &mut Stage) -> Outcome {
    open(stage, "/console/polls/board/codes")?;
    stage.browser.evaluate("document.querySelector('[name=count]').value = 3")?;
    stage.browser.click("button[value=page]")?;
    stage.browser.wait_for("document.querySelectorAll('.codes li').length === 3")?;
    let link = stage.browser.text("document.querySelector('.codes small').textContent")?;
    let address = format!("{}/p/board#code=", stage.world.origin);
    ensure(link.starts_with(&address), || format!("a code's link is {link}"))
}

fn make_key(stage: &mut Stage) -> Outcome {
    open(stage, "/console/keys")?;
    stage.browser.fill("[name=name]", "Ushers")?;
    stage.browser.click("[value='results:read']")?;
    stage.browser.click("form[action='/console/keys'] > button")?;
    stage.browser.wait_for("document.querySelector('.receipt code')?.textContent.startsWith('canvass_')")
}
