//! Sends lines over the batch route and reads the answers meanwhile; where the connection is lost, goes on with the
//! first line that was not answered.

use std::{cell::RefCell, collections::VecDeque, pin::pin};

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt as _, channel};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Notify;

use super::{Line, Place, Source, Unusable};
use crate::{
    client::{self, Client, Outcome, segment},
    failure::Failure,
    limits::{
        IMPORT_CHUNK_BYTES, IMPORT_TRIES_MAX, IMPORT_WAITING_MAX, REASONS_SHOWN_MAX, RETRY_WAIT,
        RETRY_WAIT_MAX,
    },
};

/// What came of a file.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Votes recorded now.
    pub(crate) accepted: u64,
    /// Votes that were recorded before just as they are in the file.
    pub(crate) already_there: u64,
    /// Votes that were refused, and what is no vote.
    pub(crate) refused: u64,
    /// Why the first of them were refused.
    pub(crate) reasons: Vec<Unusable>,
}

impl Sent {
    fn refuse(&mut self, unusable: Unusable) {
        self.refused += 1;
        if self.reasons.len() < REASONS_SHOWN_MAX {
            self.reasons.push(unusable);
        }
    }
}

/// One line of the server's answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    /// Absent in the last line of a batch that the server ends early.
    #[serde(default)]
    line: Option<u64>,
    status: u16,
    #[serde(default)]
    replayed: bool,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

/// Sends everything that a source holds to a poll, and says what came of it. `progress` is told how far it is.
///
/// # Errors
/// If the server refuses the batch as a whole, cannot write, or is gone for too long. What was accepted until then
/// stays; the same import goes on from there.
pub(crate) async fn send(
    client: &mut Client,
    poll: &str,
    source: Source,
    progress: &dyn Fn(u64),
) -> Result<Sent, Failure> {
    let path = format!("/v1/polls/{}/votes", segment(poll));
    let mut checker = client.another()?;
    let state = RefCell::new(State::new(source));
    let mut fruitless = 0;
    loop {
        let answered = state.borrow().answered;
        match attempt(client, &path, &state, &mut checker, progress).await? {
            Attempt::Complete => return Ok(state.into_inner().sent),
            Attempt::CutOff(reason) => {
                fruitless = if state.borrow().answered > answered { 1 } else { fruitless + 1 };
                if fruitless == IMPORT_TRIES_MAX {
                    return Err(gone(client, &state.borrow(), &reason));
                }
                tokio::time::sleep(RETRY_WAIT.saturating_mul(1 << fruitless).min(RETRY_WAIT_MAX)).await;
            }
        }
    }
}

fn gone(client: &Client, state: &State, reason: &str) -> Failure {
    Failure::failed(format!(
        "{} is gone ({reason}); {} votes were answered, and running the same import again goes on from there",
        client.url(),
        state.answered
    ))
}

/// What one connection came to.
enum Attempt {
    /// Every line was answered.
    Complete,
    /// It ended before.
    CutOff(String),
}

/// What is left to send and to be answered.
struct State {
    lines: Box<dyn Iterator<Item = Result<Line, Unusable>>>,
    /// Whether all was sent on this connection.
    ended: bool,
    /// Sent on an earlier connection and not answered.
    again: VecDeque<Result<Line, Unusable>>,
    /// Sent on this connection and not answered; and among them what is no vote, to be told in its turn.
    waiting: VecDeque<Result<Line, Unusable>>,
    answered: u64,
    /// How far into the source the last answer was.
    reached: u64,
    sent: Sent,
}

impl State {
    fn new(source: Source) -> Self {
        Self {
            lines: source.lines,
            ended: false,
            again: VecDeque::new(),
            waiting: VecDeque::new(),
            answered: 0,
            reached: 0,
            sent: Sent::default(),
        }
    }

    /// Readies the unanswered lines for another connection.
    fn begin(&mut self) {
        self.waiting.append(&mut self.again);
        self.again = std::mem::take(&mut self.waiting);
        self.ended = false;
    }

    /// The line that the next answer is for.
    fn next_waiting(&mut self) -> Option<Line> {
        self.refuse_unusable();
        self.waiting.pop_front().and_then(Result::ok)
    }

    /// Counts what is no vote before the first line that waits.
    fn refuse_unusable(&mut self) {
        while let Some(Err(unusable)) = self.waiting.pop_front_if(|waiting| waiting.is_err()) {
            self.sent.refuse(unusable);
        }
    }

    /// Lines to send together; none at the end, or where too many wait for their answers. What is no vote is not sent.
    fn next_chunk(&mut self) -> Bytes {
        let mut chunk = Vec::new();
        while !self.ended && chunk.len() < IMPORT_CHUNK_BYTES && self.waiting.len() < IMPORT_WAITING_MAX {
            let Some(line) = self.again.pop_front().or_else(|| self.lines.next()) else {
                self.ended = true;
                break;
            };
            if let Ok(line) = &line {
                chunk.extend_from_slice(&line.bytes);
            }
            self.waiting.push_back(line);
            self.refuse_unusable();
        }
        chunk.into()
    }
}

async fn attempt(
    client: &mut Client,
    path: &str,
    state: &RefCell<State>,
    checker: &mut Client,
    progress: &dyn Fn(u64),
) -> Result<Attempt, Failure> {
    state.borrow_mut().begin();
    let (sender, body) = channel::Channel::new(2);
    let room = Notify::new();
    let mut writing = pin!(write(sender, state, &room));
    let batch = format!("{path}/batch");
    let mut reading = pin!(async {
        let response =
            client.stream(Method::POST, &batch, Some("application/x-ndjson"), body.boxed_unsync()).await;
        let response = match response {
            Ok(response) => response,
            // A server that was never reached may be the wrong one; one that answered before will be back.
            Err(lost) if lost.sent || state.borrow().answered > 0 => {
                return Ok(Attempt::CutOff(lost.to_string()));
            }
            Err(lost) => return Err(client.lost(&lost)),
        };
        if !response.status().is_success() {
            return match client::read(response).await {
                Outcome::Refused(problem) if problem.retry_after.is_none() => Err(problem.into()),
                Outcome::Refused(problem) => Ok(Attempt::CutOff(problem.detail)),
                Outcome::Lost(lost) => Ok(Attempt::CutOff(lost.to_string())),
                Outcome::Done(_) => Err(Failure::failed("the server's answer to the batch is none")),
            };
        }
        let mut answers = Answers::new(response.into_body());
        while let Some(text) = answers.next().await {
            let text = match text {
                Ok(text) => text,
                Err(reason) => return Ok(Attempt::CutOff(reason)),
            };
            let answer: Answer = serde_json::from_slice(text)
                .map_err(|_| Failure::failed("the server's answer to the batch is none of this program's"))?;
            if answer.line.is_none() {
                return Ok(Attempt::CutOff(answer.detail.unwrap_or_default()));
            }
            take_answer(answer, path, state, checker).await?;
            progress(state.borrow().reached);
            room.notify_one();
        }
        let mut state = state.borrow_mut();
        state.refuse_unusable();
        let complete = state.ended && state.waiting.is_empty() && state.again.is_empty();
        Ok(if complete { Attempt::Complete } else { Attempt::CutOff("it ended the batch early".to_owned()) })
    });
    tokio::select! {
        outcome = &mut reading => return outcome,
        () = &mut writing => {}
    }
    reading.await
}

/// Sends what is left, with a bounded number of lines unanswered.
async fn write(mut sender: channel::Sender<Bytes>, state: &RefCell<State>, room: &Notify) {
    loop {
        let (chunk, ended) = {
            let mut state = state.borrow_mut();
            (state.next_chunk(), state.ended)
        };
        // A receiver that is gone ends the reading side, which says why.
        if !chunk.is_empty() && sender.send_data(chunk).await.is_err() {
            return;
        }
        if ended {
            return;
        }
        while state.borrow().waiting.len() >= IMPORT_WAITING_MAX {
            room.notified().await;
        }
    }
}

/// The lines of an answer as they come.
struct Answers {
    body: Incoming,
    buffer: Vec<u8>,
    /// What of the buffer was given out.
    taken: usize,
}

impl Answers {
    fn new(body: Incoming) -> Self {
        Self { body, buffer: Vec::new(), taken: 0 }
    }

    async fn next(&mut self) -> Option<Result<&[u8], String>> {
        let length = loop {
            if let Some(length) = self.buffer[self.taken..].iter().position(|byte| *byte == b'\n') {
                break length + 1;
            }
            self.buffer.drain(..self.taken);
            self.taken = 0;
            match self.body.frame().await? {
                Err(error) => return Some(Err(error.to_string())),
                Ok(frame) => self.buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            }
        };
        let line = &self.buffer[self.taken..self.taken + length];
        self.taken += length;
        Some(Ok(line))
    }
}

async fn take_answer(
    answer: Answer,
    path: &str,
    state: &RefCell<State>,
    checker: &mut Client,
) -> Result<(), Failure> {
    let line = state.borrow_mut().next_waiting();
    let line = line.ok_or_else(|| Failure::failed("the server answered more votes than were sent"))?;
    let same =
        answer.kind.as_deref() == Some("/problems/already-voted") && is_there(checker, path, &line).await?;
    let mut state = state.borrow_mut();
    state.answered += 1;
    state.reached = line.reached;
    let sent = &mut state.sent;
    match answer.status {
        200 | 201 if answer.replayed => sent.already_there += 1,
        200 | 201 => sent.accepted += 1,
        _ if same => sent.already_there += 1,
        // Every line after this one would fare alike.
        429 | 503 => return Err(stopped_at(line.place, answer, sent)),
        status => {
            let reason = answer.detail.unwrap_or_else(|| format!("the server answered {status}"));
            sent.refuse(Unusable { place: line.place, reason });
        }
    }
    Ok(())
}

fn stopped_at(place: Place, answer: Answer, sent: &Sent) -> Failure {
    let advice = if answer.status == 429 {
        "use a key of the plan unlimited (canvass key create NAME --scope votes:write --plan unlimited)"
    } else {
        "run the same import again later"
    };
    let detail = answer.detail.unwrap_or_default();
    let accepted = sent.accepted;
    Failure::failed(format!("stopped at {place}, after {accepted} votes were accepted: {detail}; {advice}"))
}

/// Whether the vote that a voter has is the one in the file.
async fn is_there(checker: &mut Client, path: &str, line: &Line) -> Result<bool, Failure> {
    let stored = checker.get_json(&format!("{path}/{}", segment(&line.voter))).await?;
    let ballot: Value = serde_json::from_str(line.ballot.get()).unwrap_or_default();
    Ok(stored["ballot"] == ballot)
}
