//! A browser that is driven by the WebDriver protocol (W3C), with Chromium's own commands for what it lacks.
//!
//! The protocol is JSON over HTTP, for which this crate has a client already: a library would bring a second one.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    http::Client,
    outcome::{Context, Outcome, ensure},
};

/// Time that a page may take to come to what a test waits for.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// Time that the browser may take for one command: on a busy machine, to check a long page.
const ANSWER_MAX: Duration = Duration::from_mins(3);
const WAIT_PAUSE: Duration = Duration::from_millis(25);
/// The name by which WebDriver passes on an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys of the keyboard by the numbers that WebDriver has for them.
pub(crate) mod keys {
    pub(crate) const TAB: &str = "\u{e004}";
    pub(crate) const ENTER: &str = "\u{e007}";
    pub(crate) const SPACE: &str = " ";
    pub(crate) const UP: &str = "\u{e013}";
    pub(crate) const DOWN: &str = "\u{e015}";
}

/// A running Chromium. It ends when it is dropped.
pub(crate) struct Browser {
    driver: Child,
    client: Client,
    session: String,
}

impl Browser {
    /// Starts the driver, and by it a browser without a window and without a past.
    pub(crate) fn start() -> Outcome<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut driver = Command::new("chromedriver");
        driver.arg(format!("--port={}", address.port()));
        driver.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let driver = driver.spawn().context("chromedriver")?;
        let mut browser =
            Self { driver, client: Client::new(address, "none").waiting(ANSWER_MAX), session: String::new() };
        let started = Instant::now();
        while !browser.client.get("/status").is_ok_and(|answer| answer.json()["value"]["ready"] == true) {
            ensure(started.elapsed() < WAIT_MAX, || "chromedriver is not ready".into())?;
            thread::sleep(WAIT_PAUSE);
        }
        // Root has no sandbox; what is loaded is this project's own pages.
        let arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"];
        let asked = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "timeouts": {"script": 150_000},
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let answer = browser.client.post("/session", &asked)?;
        let session = answer.json()["value"]["sessionId"].as_str().map(str::to_owned);
        browser.session = session.ok_or_else(|| format!("no session: {}", answer.shown()))?;
        Ok(browser)
    }

    /// Opens an address and waits until it is loaded.
    pub(crate) fn open(&mut self, address: &str) -> Outcome {
        self.post("url", &json!({ "url": address })).map(drop)
    }

    /// The address that is open.
    pub(crate) fn address(&mut self) -> Outcome<String> {
        Ok(self.get("url")?.as_str().unwrap_or_default().to_owned())
    }

    /// What an expression of JavaScript comes to in the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Outcome<Value> {
        self.post("execute/sync", &json!({"script": format!("return {expression}"), "args": []}))
    }

    /// The same for a promise; waits for it.
    pub(crate) fn await_value(&mut self, expression: &str) -> Outcome<Value> {
        let script = format!(
            "const done = arguments[arguments.length - 1]; ({expression}).then(done, (error) => done(String(error)))"
        );
        self.post("execute/async", &json!({"script": script, "args": []}))
    }

    /// A text that an expression comes to.
    pub(crate) fn text(&mut self, expression: &str) -> Outcome<String> {
        Ok(match self.evaluate(expression)? {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }

    /// Waits until an expression is true.
    pub(crate) fn wait_for(&mut self, expression: &str) -> Outcome {
        let started = Instant::now();
        // While a page is being changed for another, asking fails.
        while !self.evaluate(expression).is_ok_and(|value| value == true) {
            if started.elapsed() > WAIT_MAX {
                let page = self.text("document.body.innerText").unwrap_or_default();
                return Err(format!("not within {WAIT_MAX:?}: {expression}; the page says:\n{page}").into());
            }
            thread::sleep(WAIT_PAUSE);
        }
        Ok(())
    }

    /// Clicks on the first element that a selector finds, as a pointer does: it must be in sight and not covered.
    pub(crate) fn click(&mut self, selector: &str) -> Outcome {
        let element = self.find(selector)?;
        self.post(&format!("element/{element}/click"), &json!({})).context(selector).map(drop)
    }

    /// Types into the first element that a selector finds.
    pub(crate) fn fill(&mut self, selector: &str, text: &str) -> Outcome {
        let element = self.find(selector)?;
        self.post(&format!("element/{element}/value"), &json!({ "text": text })).context(selector).map(drop)
    }

    /// Presses keys one after the other, wherever the focus is.
    pub(crate) fn press(&mut self, keys: &[&str]) -> Outcome {
        let each =
            |key: &&str| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})];
        let actions: Vec<_> = keys.iter().flat_map(each).collect();
        self.post("actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}))
            .map(drop)
    }

    /// Drags by a pointer from the middle of one element to the middle of another, in steps.
    pub(crate) fn drag(&mut self, from: &str, to: &str) -> Outcome {
        let [from, to] = [self.find(from)?, self.find(to)?];
        let at = |element: &str| json!({"type": "pointerMove", "duration": 150, "origin": {ELEMENT: element}, "x": 0, "y": 0});
        let actions = json!([at(&from), {"type": "pointerDown", "button": 0}, at(&to), at(&to), {"type": "pointerUp", "button": 0}]);
        let pointer = json!({"type": "pointer", "id": "pointer", "parameters": {"pointerType": "mouse"}, "actions": actions});
        self.post("actions", &json!({ "actions": [pointer] })).map(drop)
    }

    /// A command of Chromium's own protocol.
    pub(crate) fn command(&mut self, name: &str, parameters: &Value) -> Outcome<Value> {
        self.post("goog/cdp/execute", &json!({"cmd": name, "params": parameters}))
    }

    /// Keeps what is to be seen as a picture; `whole` for all of the page.
    pub(crate) fn picture(&mut self, path: &Path, whole: bool) -> Outcome {
        let shot = self
            .command("Page.captureScreenshot", &json!({"format": "png", "captureBeyondViewport": whole}))?;
        let png = BASE64_STANDARD.decode(shot["data"].as_str().unwrap_or_default()).context("a picture")?;
        std::fs::write(path, png).context(path.display())
    }

    /// What the browser complained of since it was asked last: errors of scripts, what a policy refused.
    pub(crate) fn complaints(&mut self) -> Outcome<Vec<String>> {
        let log = self.post("se/log", &json!({"type": "browser"}))?;
        let entries = log.as_array().cloned().unwrap_or_default();
        Ok(entries.iter().map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect())
    }

    fn find(&mut self, selector: &str) -> Outcome<String> {
        let found =
            self.post("element", &json!({"using": "css selector", "value": selector})).context(selector)?;
        Ok(found[ELEMENT].as_str().unwrap_or_default().to_owned())
    }

    fn get(&mut self, path: &str) -> Outcome<Value> {
        let answer = self.client.get(&format!("/session/{}/{path}", self.session))?;
        value(path, answer.json())
    }

    fn post(&mut self, path: &str, body: &Value) -> Outcome<Value> {
        let answer = self.client.post(&format!("/session/{}/{path}", self.session), body)?;
        value(path, answer.json())
    }
}

fn value(path: &str, mut answer: Value) -> Outcome<Value> {
    let value = answer["value"].take();
    if value["error"].is_string() && value["stacktrace"].is_string() {
        return Err(format!("{path}: {}", value["message"].as_str().unwrap_or_default()).into());
    }
    Ok(value)
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser; where it cannot, both are ended with it.
        let _ = self.client.send("DELETE", &format!("/session/{}", self.session), &[], b"");
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
