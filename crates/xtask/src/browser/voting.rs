//! Stories of a voter.

use serde_json::{Value, json};

use super::{
    Stage,
    looks::expect_accessible,
    webdriver::keys::{DOWN, ENTER, SPACE, TAB, UP},
};
use crate::outcome::{Outcome, ensure};

/// A vote by the keyboard alone: every step shows where the focus is.
pub(super) fn keyboard_alone(stage: &mut Stage) -> Outcome<String> {
    stage.world.poll("lunch", "Lunch?", &["Pizza", "Soup", "Salad"], &json!({}))?;
    open(stage, "/p/lunch")?;
    let mut steps = 0;
    tab_to(stage, "input[name=option]", &mut steps)?;
    stage.browser.press(&[SPACE, DOWN])?;
    tab_to(stage, "form button", &mut steps)?;
    stage.browser.press(&[ENTER])?;
    stage.browser.wait_for("location.pathname === '/p/lunch/receipt'")?;
    tab_to(stage, "a[href$='/results']", &mut steps)?;
    stage.browser.press(&[ENTER])?;
    stage.browser.wait_for("document.querySelector('[data-votes]')?.textContent === '1'")?;
    expect_votes(stage, "lunch", &[0, 1, 0])?;
    Ok(format!("{steps} stops of the focus, each to be seen"))
}

/// The same where no script runs.
pub(super) fn without_scripts(stage: &mut Stage) -> Outcome<String> {
    stage.world.poll("lunch", "Lunch?", &["Pizza", "Soup"], &json!({"revote": "untilClose"}))?;
    stage.world.poll("chair", "Chair?", &["Ada", "Bob", "Cy"], &json!({"method": {"type": "irv"}}))?;
    stage.browser.command("Emulation.setScriptExecutionDisabled", &json!({"value": true}))?;
    open(stage, "/p/lunch")?;
    stage.browser.click("input[value=o2]")?;
    stage.browser.click("form button")?;
    stage.browser.wait_for("location.pathname === '/p/lunch/receipt'")?;
    open(stage, "/p/lunch")?;
    stage.browser.click("input[value=o1]")?;
    stage.browser.click("form button")?;
    stage.browser.wait_for("location.pathname === '/p/lunch/receipt'")?;
    expect_votes(stage, "lunch", &[1, 0])?;
    open(stage, "/p/lunch")?;
    stage.browser.click("summary")?;
    stage.browser.click("details button")?;
    stage.browser.wait_for("location.pathname === '/p/lunch/receipt'")?;
    expect_votes(stage, "lunch", &[0, 0])?;
    open(stage, "/p/chair")?;
    for (option, place) in [("o1", "2"), ("o3", "1")] {
        stage.browser.fill(&format!("[name='mark.{option}']"), place)?;
    }
    stage.browser.click("form button")?;
    stage.browser.wait_for("location.pathname === '/p/chair/receipt'")?;
    expect_votes(stage, "chair", &[0, 0, 1])?;
    Ok("cast, changed, withdrawn and ranked by plain forms".into())
}

/// Options put in order by tapping, by buttons, by keys and by dragging; made alike where the method has it.
pub(super) fn rankings(stage: &mut Stage) -> Outcome<String> {
    let people = ["Ada", "Bob", "Cy", "Di"];
    stage.world.poll(
        "chair",
        "Chair?",
        &people,
        &json!({"method": {"type": "irv"}, "revote": "untilClose"}),
    )?;
    stage.world.poll("board", "Board?", &people, &json!({"method": {"type": "schulze"}}))?;
    open(stage, "/p/chair")?;
    for person in ["Cy", "Ada", "Di", "Ada"] {
        stage.browser.click(&format!(".place[aria-label^={person}]"))?;
    }
    expect_order(stage, "1 Cy, 2 Di, + Ada, + Bob")?;
    stage.browser.click("[aria-label='Move Di up']")?;
    expect_order(stage, "1 Di, 2 Cy, + Ada, + Bob")?;
    stage.browser.evaluate("document.querySelector('.place[aria-label^=Di]').focus()")?;
    stage.browser.press(&[DOWN])?;
    expect_order(stage, "1 Cy, 2 Di, + Ada, + Bob")?;
    stage.browser.press(&[UP])?;
    ensure(
        stage.browser.text("document.querySelector('.options [role=status]').textContent")? == "Di: place 1",
        || "what the keys did is not said".into(),
    )?;
    stage.browser.drag(".unranked li:last-child .grip", ".ranked li:last-child .place")?;
    expect_order(stage, "1 Di, 2 Bob, 3 Cy, + Ada")?;
    stage.browser.click("form > button")?;
    stage.browser.wait_for("location.pathname === '/p/chair/receipt'")?;
    expect_marks(stage, "1. Di, 2. Bob, 3. Cy")?;
    // To change it, the order is there again.
    open(stage, "/p/chair")?;
    expect_order(stage, "1 Di, 2 Bob, 3 Cy, + Ada")?;
    open(stage, "/p/board")?;
    for person in ["Ada", "Bob", "Cy"] {
        stage.browser.click(&format!(".place[aria-label^={person}]"))?;
    }
    stage.browser.click("[aria-label^='Bob: same place']")?;
    expect_order(stage, "1 Ada, 1 Bob, 2 Cy, + Di")?;
    expect_accessible(stage)?;
    stage.browser.picture(&stage.pictures.join("vote-ranked.png"), true)?;
    stage.browser.click("form > button")?;
    stage.browser.wait_for("location.pathname === '/p/board/receipt'")?;
    expect_marks(stage, "1. Ada, 1. Bob, 2. Cy")?;
    Ok("by taps, buttons, keys and drags; alike and left out".into())
}

/// What is left of dots and credits is told as it is used up, and more than there is cannot be sent.
pub(super) fn budgets(stage: &mut Stage) -> Outcome<String> {
    stage.world.poll(
        "ideas",
        "Ideas",
        &["Hours", "Chairs"],
        &json!({"method": {"type": "dot", "dots": 4, "maxPerOption": 3}}),
    )?;
    stage.world.poll(
        "works",
        "Works",
        &["Roads", "Parks"],
        &json!({"method": {"type": "quadratic", "credits": 10}}),
    )?;
    open(stage, "/p/ideas")?;
    expect_left(stage, "4 of 4 left")?;
    for _ in 0..4 {
        stage.browser.click("[aria-label='One more for Hours']")?;
    }
    expect_left(stage, "1 of 4 left")?;
    stage.browser.fill("[name='mark.o2']", "2")?;
    expect_left(stage, "1 too many")?;
    expect_accessible(stage)?;
    stage.browser.picture(&stage.pictures.join("vote-too-many.png"), true)?;
    stage.browser.click("form > button")?;
    ensure(stage.browser.address()?.ends_with("/p/ideas"), || "too much was sent".into())?;
    stage.browser.click("[aria-label='One less for Chairs']")?;
    expect_left(stage, "0 of 4 left")?;
    stage.browser.click("form > button")?;
    stage.browser.wait_for("location.pathname === '/p/ideas/receipt'")?;
    open(stage, "/p/works")?;
    for button in ["One more for Roads", "One more for Roads", "One less for Parks"] {
        stage.browser.click(&format!("[aria-label='{button}']"))?;
    }
    expect_left(stage, "5 of 10 left")?;
    stage.browser.click("form > button")?;
    stage.browser.wait_for("location.pathname === '/p/works/receipt'")?;
    expect_marks(stage, "2 Roads, -1 Parks")?;
    Ok("told as they are used up, and held to".into())
}

/// A code in the link is put into the form, is taken out of the address, and was never sent in one.
pub(super) fn code_in_the_link(stage: &mut Stage) -> Outcome<String> {
    stage.world.poll("club", "Club?", &["Yes", "No"], &json!({"access": "code"}))?;
    let made = stage.world.post("/v1/polls/club/codes", &json!({"count": 1}), 201)?;
    let code = made["codes"][0].as_str().ok_or_else(|| format!("no code in {made}"))?.to_owned();
    open(stage, &format!("/p/club#code={code}"))?;
    stage.browser.wait_for(&format!("document.querySelector('[name=code]').value === {}", json!(code)))?;
    ensure(stage.browser.address()?.ends_with("/p/club"), || "the code stays in the address".into())?;
    stage.browser.click("input[value=o1]")?;
    stage.browser.click("form > button")?;
    stage.browser.wait_for("location.pathname === '/p/club/receipt'")?;
    expect_votes(stage, "club", &[1, 0])?;
    open(stage, "/p/club#code=nonsense")?;
    stage.browser.click("input[value=o2]")?;
    stage.browser.click("form > button")?;
    stage.browser.wait_for("document.querySelector('.alert')?.textContent.includes('not one of')")?;
    expect_accessible(stage)?;
    stage.browser.picture(&stage.pictures.join("vote-refused.png"), true)?;
    ensure(stage.browser.evaluate("document.querySelector('input[value=o2]').checked")? == true, || {
        "what was entered is lost".into()
    })?;
    Ok("in the form, not in the address; a wrong one is said".into())
}

/// Without a connection the vote is kept, also when the page is closed, and sent once there is one: it counts once.
pub(super) fn offline(stage: &mut Stage) -> Outcome<String> {
    stage.world.poll("lunch", "Lunch?", &["Pizza", "Soup"], &json!({}))?;
    open(stage, "/p/lunch")?;
    stage.browser.click("input[value=o2]")?;
    connect(stage, false)?;
    stage.browser.click("form > button")?;
    stage
        .browser
        .wait_for("document.querySelector('.waiting')?.innerText.includes('kept on this device')")?;
    expect_accessible(stage)?;
    stage.browser.picture(&stage.pictures.join("vote-offline.png"), true)?;
    expect_votes(stage, "lunch", &[0, 0])?;
    // It can be changed while it is kept.
    stage.browser.click(".waiting button")?;
    stage.browser.click("input[value=o1]")?;
    stage.browser.click("form > button")?;
    stage.browser.wait_for("document.querySelector('.waiting') !== null")?;
    connect(stage, true)?;
    stage.browser.wait_for("location.pathname === '/p/lunch/receipt'")?;
    expect_votes(stage, "lunch", &[1, 0])?;
    // A server that has counted the vote but cannot say so: the answer is lost, the vote is sent again.
    stage.world.poll("again", "Again?", &["Yes", "No"], &json!({"revote": "untilClose"}))?;
    open(stage, "/p/again")?;
    stage.browser.click("input[value=o1]")?;
    stage.browser.evaluate(LOSE_ANSWERS)?;
    stage.browser.click("form > button")?;
    stage.browser.wait_for("location.pathname === '/p/again/receipt'")?;
    let results = stage.world.results("again")?;
    // The poll's first record is its making, and the second its opening.
    ensure(results["votes"] == 1 && results["sequence"] == 3, || {
        format!("it was recorded twice: {results}")
    })?;
    Ok("kept, changed, and counted once; also where two answers were lost".into())
}

/// The page's next two requests arrive, and their answers do not.
const LOSE_ANSWERS: &str = "(() => { const real = window.fetch; let lost = 0; window.fetch = async (...request) => { \
    const answer = await real(...request); if (lost++ < 2) throw new TypeError('lost'); return answer }; return true })()";

fn connect(stage: &mut Stage, is_connected: bool) -> Outcome {
    stage.browser.command("Network.enable", &json!({}))?;
    let conditions =
        json!({"offline": !is_connected, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
    stage.browser.command("Network.emulateNetworkConditions", &conditions).map(drop)
}

fn expect_order(stage: &mut Stage, expected: &str) -> Outcome {
    expect_text(
        stage,
        "[...document.querySelectorAll('.rank')].map((row) => row.querySelector('.place').textContent + ' ' + \
         row.querySelector('[dir]').textContent).join(', ')",
        expected,
    )
}

fn expect_marks(stage: &mut Stage, expected: &str) -> Outcome {
    expect_text(
        stage,
        "[...document.querySelectorAll('.marks li')].map((mark) => mark.innerText).join(', ')",
        expected,
    )
}

fn expect_left(stage: &mut Stage, expected: &str) -> Outcome {
    expect_text(stage, "document.querySelector('.budget output').value", expected)
}

/// A text that the page comes to.
fn expect_text(stage: &mut Stage, expression: &str, expected: &str) -> Outcome {
    let comes = stage.browser.wait_for(&format!("{expression} === {}", json!(expected)));
    comes.map_err(|_| format!("{:?} instead of {expected:?}", stage.browser.text(expression)).into())
}

/// Times are told in the viewer's zone, which is named, in the page's language; without scripts in UTC.
pub(super) fn times(stage: &mut Stage) -> Outcome<String> {
    stage.world.poll("lunch", "Lunch?", &["Pizza"], &json!({"closesAt": "2099-12-01T23:30:00Z"}))?;
    stage.browser.command("Emulation.setTimezoneOverride", &json!({"timezoneId": "Europe/Berlin"}))?;
    let told = "document.querySelector('.state time').textContent";
    open(stage, "/p/lunch?lang=de")?;
    expect_text(stage, told, "2. Dez. 2099, 00:30 MEZ")?;
    open(stage, "/p/lunch/results?lang=en")?;
    expect_text(stage, told, "Dec 2, 2099, 12:30 AM GMT+1")?;
    stage.browser.command("Emulation.setScriptExecutionDisabled", &json!({"value": true}))?;
    open(stage, "/p/lunch")?;
    expect_text(stage, told, "2099-12-01 23:30 UTC")?;
    Ok("in the viewer's zone, named; without scripts in UTC".into())
}

pub(super) fn open(stage: &mut Stage, path: &str) -> Outcome {
    stage.browser.open(&format!("{}{path}", stage.world.origin))
}

/// The votes, or first choices, of a poll's options, as the API tells them.
pub(super) fn expect_votes(stage: &mut Stage, poll: &str, expected: &[u64]) -> Outcome {
    let results = stage.world.results(poll)?;
    let options = results["options"].as_array().map_or(&[][..], Vec::as_slice);
    let votes: Vec<_> = options.iter().map(|option| option["votes"].clone()).collect();
    let expected: Vec<Value> = expected.iter().map(|votes| json!(votes)).collect();
    ensure(votes == expected, || format!("{poll} counts {votes:?} instead of {expected:?}"))
}

/// Moves the focus on until it is on what a selector finds. Wherever it stops, it must be to be seen.
fn tab_to(stage: &mut Stage, selector: &str, steps: &mut u32) -> Outcome {
    for _ in 0..30 {
        stage.browser.press(&[TAB])?;
        *steps += 1;
        let style = stage.browser.text(
            "(() => { const marked = [document.activeElement, document.activeElement.nextElementSibling].filter(Boolean); \
             return marked.some((element) => getComputedStyle(element).outlineStyle !== 'none') })()",
        )?;
        ensure(style == "true", || format!("the focus cannot be seen on the way to {selector}"))?;
        if stage.browser.evaluate(&format!("document.activeElement.matches({})", json!(selector)))? == true {
            return Ok(());
        }
    }
    Err(format!("the keyboard does not come to {selector}").into())
}
