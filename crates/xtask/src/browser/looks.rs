//! Every page in every state, at every size and in every look: nothing cut off, nothing that axe-core finds, no complaint
//! of the browser, and a picture of each.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Stage, world::World};
use crate::outcome::{Outcome, ensure};

/// A way to look at a page.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) name: &'static str,
    /// Width and height in CSS pixels.
    size: (u32, u32),
    /// Media features that the viewer prefers.
    prefers: &'static [(&'static str, &'static str)],
    language: &'static str,
    runs_scripts: bool,
    is_printed: bool,
}

impl Look {
    /// In English, on a screen of one's own.
    fn is_plain(self) -> bool {
        self.language == "en" && self.size != HALL && !self.is_printed
    }
}

const PHONE: (u32, u32) = (390, 844);
const DESKTOP: (u32, u32) = (1280, 800);
const HALL: (u32, u32) = (1920, 1080);
/// Bytes of a page with all its files, uncompressed.
const WEIGHT_MAX: u64 = 30_000;
const DARK: &[(&str, &str)] = &[("prefers-color-scheme", "dark")];

const PLAIN: Look =
    Look { name: "", size: DESKTOP, prefers: &[], language: "en", runs_scripts: true, is_printed: false };

const LOOKS: [Look; 10] = [
    Look { name: "phone", size: PHONE, ..PLAIN },
    Look { name: "phone-dark", size: PHONE, prefers: DARK, ..PLAIN },
    Look { name: "phone-arabic", size: PHONE, language: "ar", ..PLAIN },
    Look { name: "phone-without-scripts", size: PHONE, language: "de", runs_scripts: false, ..PLAIN },
    // A phone held by somebody who needs text twice as large (WCAG 1.4.10: 320 pixels wide).
    Look { name: "narrow", size: (320, 640), language: "de", ..PLAIN },
    Look { name: "desktop", ..PLAIN },
    Look {
        name: "desktop-forced",
        prefers: &[
            ("forced-colors", "active"),
            ("prefers-color-scheme", "dark"),
            ("prefers-reduced-motion", "reduce"),
        ],
        ..PLAIN
    },
    Look { name: "print", is_printed: true, prefers: DARK, ..PLAIN },
    Look { name: "hall", size: HALL, ..PLAIN },
    Look { name: "hall-dark", size: HALL, prefers: DARK, ..PLAIN },
];

/// Those for the console: at a desk and on the way, in both of its languages.
pub(super) const CONSOLE_LOOKS: [Look; 4] = [
    PLAIN,
    Look { name: "phone", size: PHONE, ..PLAIN },
    Look { name: "phone-dark", size: PHONE, prefers: DARK, language: "de", ..PLAIN },
    Look { name: "narrow", size: (320, 640), language: "de", ..PLAIN },
];

/// Pages and states by the names of their pictures.
const PAGES: [(&str, &str); 31] = [
    ("home", "/"),
    ("vote-choice", "/p/lunch"),
    ("vote-approval", "/p/days"),
    ("vote-score", "/p/films"),
    ("vote-ranking", "/p/chair"),
    ("vote-ranking-alike", "/p/board"),
    ("vote-dots", "/p/ideas"),
    ("vote-credits", "/p/works"),
    ("vote-code", "/p/club"),
    ("vote-voted", "/p/voted"),
    ("vote-paused", "/p/paused"),
    ("vote-scheduled", "/p/soon"),
    ("vote-closed", "/p/over"),
    ("receipt", "/p/voted/receipt"),
    ("results-choice", "/p/lunch/results"),
    ("results-rounds", "/p/chair/results"),
    ("results-pairs", "/p/board/results"),
    ("results-hidden", "/p/club/results"),
    ("projector-choice", "/p/lunch/projector"),
    ("projector-rounds", "/p/chair/projector"),
    ("projector-curtain", "/p/lunch/projector?hide"),
    ("projector-many", "/p/many/projector"),
    ("hostile-vote", "/p/hostile"),
    ("hostile-results", "/p/hostile/results"),
    ("hostile-projector", "/p/hostile/projector"),
    ("embed-vote", "/embed/lunch"),
    ("embed-results", "/embed/chair/results"),
    ("notice", "/p/nowhere"),
    ("docs", "/docs"),
    ("problem", "/problems/already-voted"),
    ("styleguide", "/styleguide"),
];

/// Pages for programmers at their desks, which are in English alone, and as long as what they document.
const IN_ENGLISH: [&str; 3] = ["docs", "problem", "styleguide"];

/// Shows every page in every look.
pub(super) fn looks(stage: &mut Stage) -> Outcome<String> {
    fill(&mut stage.world)?;
    vote(stage)?;
    let mut faults = String::new();
    let (mut views, mut heaviest) = (0, (0, ""));
    for look in LOOKS {
        put_on(stage, look)?;
        for (name, path) in PAGES {
            if IN_ENGLISH.contains(&name) && !look.is_plain() {
                continue;
            }
            views += 1;
            for fault in view(stage, look, name, path)? {
                let _ = write!(faults, "\n  {name} {}: {fault}", look.name);
            }
            if look.runs_scripts && !IN_ENGLISH.contains(&name) {
                heaviest = heaviest.max((weight(stage)?, name));
            }
        }
    }
    ensure(faults.is_empty(), || faults)?;
    let (bytes, name) = heaviest;
    ensure(bytes < WEIGHT_MAX, || format!("{name} weighs {bytes} bytes"))?;
    Ok(format!(
        "{views} views of {} pages, no violation of axe-core; the heaviest with all its files is {name}, {bytes} bytes",
        PAGES.len()
    ))
}

/// The device votes in one poll, so that it has a receipt.
fn vote(stage: &mut Stage) -> Outcome {
    stage.browser.open(&format!("{}/p/voted", stage.world.origin))?;
    stage.browser.click("input[value=o2]")?;
    stage.browser.click("form button")?;
    stage.browser.wait_for("location.pathname === '/p/voted/receipt'")
}

pub(super) fn put_on(stage: &mut Stage, look: Look) -> Outcome {
    let (width, height) = look.size;
    let is_phone = width < 500;
    let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone});
    stage.browser.command("Emulation.setDeviceMetricsOverride", &size)?;
    let features: Vec<_> =
        look.prefers.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    stage.browser.command(
        "Emulation.setEmulatedMedia",
        &json!({"media": if look.is_printed { "print" } else { "" }, "features": features}),
    )?;
    stage.browser.command("Emulation.setScriptExecutionDisabled", &json!({"value": false}))?;
    stage.browser.open(&format!("{}/?lang={}", stage.world.origin, look.language))
}

/// Looks at one page; answers what is wrong with it.
pub(super) fn view(stage: &mut Stage, look: Look, name: &str, path: &str) -> Outcome<Vec<String>> {
    let browser = &mut stage.browser;
    browser.complaints()?;
    browser.command("Emulation.setScriptExecutionDisabled", &json!({"value": !look.runs_scripts}))?;
    browser.open(&format!("{}{path}", stage.world.origin))?;
    browser.command("Emulation.setScriptExecutionDisabled", &json!({"value": false}))?;
    let mut faults = browser.complaints()?;
    // Those are the answers asked for.
    faults.retain(|complaint| !(["notice", "results-hidden"].contains(&name) && complaint.contains(" 40")));
    browser.picture(&stage.pictures.join(format!("{name}-{}.png", look.name)), true)?;
    let spoken = browser.text("document.documentElement.lang")?;
    if spoken != look.language {
        faults.push(format!("it speaks {spoken}"));
    }
    let cut =
        browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")?;
    if cut != 0 {
        faults.push(format!("it is {cut} pixels too wide"));
    }
    let wants_rest = look.prefers.contains(&("prefers-reduced-motion", "reduce"));
    if wants_rest && stage.browser.evaluate(MOVES)? == true {
        faults.push("something moves".into());
    }
    faults.extend(axe(stage, look)?);
    Ok(faults)
}

/// Whether anything on the page would move when it changes.
const MOVES: &str = "[...document.querySelectorAll('*')].some((element) => \
    [...getComputedStyle(element).transitionDuration.matchAll(/[\\d.]+/g)].some((seconds) => Number(seconds[0]) > 0))";

/// Bytes of the page with all that it loaded, uncompressed.
fn weight(stage: &mut Stage) -> Outcome<u64> {
    let bytes = stage.browser.evaluate(
        "['navigation', 'resource'].flatMap((type) => performance.getEntriesByType(type)) \
         .reduce((sum, entry) => sum + entry.decodedBodySize, 0)",
    )?;
    bytes.as_u64().ok_or_else(|| "the browser does not tell the page's weight".into())
}

/// Fails with every violation on the page as it stands.
pub(super) fn expect_accessible(stage: &mut Stage) -> Outcome {
    let violations = axe(stage, PLAIN)?;
    ensure(violations.is_empty(), || violations.join("\n"))
}

/// The rules of WCAG 2.2 A and AA, and those that axe-core holds for good practice.
fn axe(stage: &mut Stage, look: Look) -> Outcome<Vec<String>> {
    if stage.browser.evaluate("typeof window.axe")? != "object" {
        let source = json!({"expression": stage.axe});
        stage.browser.command("Runtime.evaluate", &source)?;
    }
    // Forced colours are the viewer's own, and axe-core takes those of the style sheet for them.
    let measures_contrast = !look.prefers.contains(&("forced-colors", "active"));
    let violations = stage.browser.await_value(&format!(
        "axe.run({{resultTypes: ['violations'], rules: {{'color-contrast': {{enabled: {measures_contrast}}}}}}}) \
         .then(({{violations}}) => violations.map(({{id, nodes}}) => `${{id}}: ${{nodes.slice(0, 3).map(({{html, any, all}}) => \
         html.slice(0, 160) + ' ' + [...any, ...all].map((check) => check.message).join('; ')).join(' | ')}}`))"
    ))?;
    match violations {
        Value::Array(violations) => {
            Ok(violations.iter().map(|violation| violation.as_str().unwrap_or_default().to_owned()).collect())
        }
        other => Err(format!("axe-core did not run: {other}").into()),
    }
}

/// Polls of every method and in every state, with votes in those whose results are looked at.
fn fill(world: &mut World) -> Outcome {
    let lunch =
        ["Pizza from the wood oven", "Tomato soup", "مناقيش بالزعتر", "Whatever the kitchen has left"];
    world.poll(
        "lunch",
        "What do we eat on Friday?",
        &lunch,
        &json!({
            "description": "The kitchen orders on Thursday at noon.\nOne vote each.",
            "closesAt": "2099-12-01T12:00:00Z",
            "demographics": {"ageGroup": ["18–24", "25–34", "35+"], "team": null},
        }),
    )?;
    let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"];
    world.poll(
        "days",
        "Which days suit you?",
        &days,
        &json!({"method": {"type": "approval", "maxChoices": 3}}),
    )?;
    let films = ["Stalker", "Playtime", "Close-Up"];
    world.poll("films", "Which film do we show?", &films, &json!({"method": {"type": "star"}}))?;
    let people = ["Ada Lovelace", "Grace Hopper", "Katherine Johnson", "Hedy Lamarr", "Mary Jackson"];
    world.poll("chair", "Who chairs the assembly?", &people, &json!({"method": {"type": "irv"}}))?;
    world.poll(
        "board",
        "Which plan for the square?",
        &["Trees", "Fountain", "Market hall", "Leave it"],
        &json!({"method": {"type": "schulze"}}),
    )?;
    world.poll(
        "ideas",
        "Spread your dots",
        &["Longer hours", "New chairs", "A garden"],
        &json!({"method": {"type": "dot", "dots": 6, "maxPerOption": 4}}),
    )?;
    world.poll(
        "works",
        "What matters most?",
        &["Roads", "Schools", "Parks"],
        &json!({"method": {"type": "quadratic", "credits": 16}}),
    )?;
    world.poll(
        "club",
        "Shall we merge?",
        &["Yes", "No"],
        &json!({"access": "code", "revote": "untilClose", "resultsVisible": "afterClose"}),
    )?;
    world.poll("voted", "Tea or coffee?", &["Tea", "Coffee"], &json!({"revote": "untilClose"}))?;
    world.poll("paused", "A paused poll", &["Yes", "No"], &json!({}))?;
    world.post("/v1/polls/paused/pause", &json!({}), 200)?;
    world.poll(
        "soon",
        "A poll to come",
        &["Yes", "No"],
        &json!({"status": "scheduled", "opensAt": "2099-11-01T09:00:00Z"}),
    )?;
    world.poll("over", "A poll that is over", &["Yes", "No"], &json!({}))?;
    world.post("/v1/polls/over/close", &json!({}), 200)?;
    // Text that breaks out, reads backwards, stacks up, or never ends.
    let backwards = "\u{202e}sdrawkcab daeR\u{2067} <b>&amp;</b>";
    let endless = "Donaudampfschifffahrtsgesellschaft".repeat(5);
    let stacked = format!("Z{}algo", "\u{0301}\u{0323}".repeat(40));
    let hostile =
        ["<script>alert(1)</script>\"'><img src=x onerror=alert(1)>", backwards, &endless, &stacked];
    let title = format!("{backwards} {endless}");
    world.poll(
        "hostile",
        &title,
        &hostile,
        &json!({"description": hostile.join("\n"), "demographics": {&endless[..120]: [backwards]}}),
    )?;
    for option in ["o1", "o2", "o3", "o4"] {
        world.vote("hostile", &json!({ "choice": option }))?;
    }
    let names: Vec<_> = (1..=12).map(|number| format!("Proposal {number} with a name of its own")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    world.poll("many", "Which proposals go forward?", &names, &json!({"method": {"type": "approval"}}))?;
    for option in 4..=12 {
        world.vote("many", &json!({"choices": ["o3", format!("o{option}")]}))?;
    }
    for (option, votes) in [(1, 41), (2, 27), (3, 12), (4, 3)] {
        for _ in 0..votes {
            world.vote("lunch", &json!({"choice": format!("o{option}")}))?;
        }
    }
    for (ranking, votes) in [
        (json!(["o1", "o2", "o4"]), 9),
        (json!(["o2", "o4"]), 8),
        (json!(["o3", "o2", "o1"]), 6),
        (json!(["o4", "o3"]), 4),
        (json!(["o5"]), 2),
    ] {
        for _ in 0..votes {
            world.vote("chair", &json!({ "ranking": ranking }))?;
        }
    }
    for (ranking, votes) in [
        (json!(["o1", "o2", "o3", "o4"]), 5),
        (json!(["o2", "o3", ["o1", "o4"]]), 4),
        (json!(["o3", "o1"]), 3),
    ] {
        for _ in 0..votes {
            world.vote("board", &json!({ "ranking": ranking }))?;
        }
    }
    Ok(())
}
