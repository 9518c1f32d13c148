//! Stories of a watcher.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{Stage, voting::open};
use crate::outcome::{Outcome, ensure};

/// Keeps every figure that the page ever showed, to see that none goes back.
const RECORD: &str = "(() => { const shown = window.shown = []; const turnout = document.querySelector('[data-votes]'); \
    const note = () => shown.push(Number(turnout.textContent.replace(/\\D/g, ''))); note(); \
    new MutationObserver(note).observe(turnout, {childList: true, characterData: true, subtree: true}); return true })()";

/// Votes cast by the API appear on an open page by themselves.
pub(super) fn votes_appear(stage: &mut Stage) -> Outcome<String> {
    stage.world.poll("lunch", "Lunch?", &["Pizza", "Soup"], &json!({}))?;
    open(stage, "/p/lunch/results")?;
    connected(stage)?;
    stage.browser.evaluate(RECORD)?;
    let mut slowest = Duration::ZERO;
    for votes in 1..=5 {
        stage.world.vote("lunch", &json!({"choice": "o1"}))?;
        let started = Instant::now();
        stage
            .browser
            .wait_for(&format!("document.querySelector('[data-votes]').textContent === '{votes}'"))?;
        slowest = slowest.max(started.elapsed());
    }
    let row = stage
        .browser
        .text("document.querySelector('[data-option=o1]').innerText.replace(/\\s+/g, ' ').trim()")?;
    ensure(row == "Pizza leads 5 100.0%", || format!("the row says {row:?}"))?;
    never_back(stage)?;
    Ok(format!("5 votes, the slowest seen within {} ms by a driver that looks every 25", slowest.as_millis()))
}

/// The server is killed and starts again: the page comes back by itself, nothing goes backwards or counts twice.
pub(super) fn restart_in_the_middle(stage: &mut Stage) -> Outcome<String> {
    stage.world.poll("lunch", "Lunch?", &["Pizza", "Soup"], &json!({}))?;
    open(stage, "/p/lunch/results")?;
    connected(stage)?;
    stage.browser.evaluate(RECORD)?;
    let mut waits = Vec::new();
    for (round, kill) in [(1, true), (2, false)] {
        for _ in 0..10 {
            stage.world.vote("lunch", &json!({"choice": "o2"}))?;
        }
        stage.browser.wait_for(&format!(
            "document.querySelector('[data-votes]').textContent === '{}'",
            round * 20 - 10
        ))?;
        stage.world.stop(kill)?;
        stage.browser.wait_for("!document.querySelector('[data-link]').textContent.endsWith('live')")?;
        thread::sleep(Duration::from_millis(500));
        stage.world.start_again()?;
        for _ in 0..10 {
            stage.world.vote("lunch", &json!({"choice": "o1"}))?;
        }
        let started = Instant::now();
        connected(stage)?;
        stage
            .browser
            .wait_for(&format!("document.querySelector('[data-votes]').textContent === '{}'", round * 20))?;
        waits.push(started.elapsed().as_millis());
    }
    never_back(stage)?;
    Ok(format!("killed and stopped, back after {waits:?} ms, all of 40 votes on the page"))
}

/// On the large screen the count is behind a curtain until the hall is to see it; the code leads to the poll.
pub(super) fn curtain(stage: &mut Stage) -> Outcome<String> {
    stage.world.poll("lunch", "Lunch?", &["Pizza", "Soup"], &json!({}))?;
    open(stage, "/p/lunch/projector?hide")?;
    connected(stage)?;
    stage.world.vote("lunch", &json!({"choice": "o1"}))?;
    let is_shown = "document.querySelector('.count').checkVisibility()";
    stage.browser.wait_for("document.querySelector('[data-votes]').textContent === '1'")?;
    stage.browser.wait_for(&format!("!{is_shown}"))?;
    stage.browser.click("[href='?']")?;
    stage.browser.wait_for(is_shown)?;
    ensure(!stage.browser.address()?.contains("hide"), || "loading it again would draw the curtain".into())?;
    stage.browser.click("[data-full]")?;
    stage.browser.wait_for("document.fullscreenElement !== null")?;
    stage.browser.click("[href='?hide']")?;
    stage.browser.wait_for(&format!("!{is_shown} && document.fullscreenElement !== null"))?;
    Ok("drawn and opened, in full screen too".into())
}

fn connected(stage: &mut Stage) -> Outcome {
    stage.browser.wait_for("document.querySelector('[data-link]').textContent.endsWith('live')")
}

fn never_back(stage: &mut Stage) -> Outcome {
    let shown = stage.browser.evaluate("window.shown")?;
    let figures: Vec<u64> =
        shown.as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64).collect();
    ensure(figures.is_sorted() && figures.len() > 1, || format!("the page showed {figures:?}"))
}
