//! What the tests' voters know: which votes were acknowledged, to be compared with what the server says afterwards.

use std::{fmt, io, thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    http::{Answer, Client},
    outcome::{Outcome, ensure},
};

/// How often a request is sent again before its server counts as gone.
const TRIES_MAX: u32 = 6_000;
/// Wait between tries, while a server starts again.
const TRY_WAIT: Duration = Duration::from_millis(10);

/// A vote that a test sends: the voter, and what it votes for. Its idempotency key is the voter's name.
#[derive(Clone, Debug)]
pub(super) struct Vote {
    pub(super) voter: String,
    pub(super) choice: &'static str,
}

impl Vote {
    /// A voter with a number, voting for one of the two options.
    pub(super) fn numbered(prefix: &str, number: u64) -> Self {
        let choice = if number.is_multiple_of(3) { "b" } else { "a" };
        Self { voter: format!("{prefix}{number}"), choice }
    }

    /// Sends it once.
    pub(super) fn send(&self, client: &mut Client, poll: &str) -> io::Result<Answer> {
        let body = json!({"voterId": self.voter, "ballot": {"choice": self.choice}}).to_string();
        let headers = [("content-type", "application/json"), ("idempotency-key", &*self.voter)];
        client.send("POST", &format!("/v1/polls/{poll}/votes"), &headers, body.as_bytes())
    }

    /// The line of a batch.
    pub(super) fn line(&self) -> String {
        let ballot = json!({"choice": self.choice});
        format!("{}\n", json!({"voterId": self.voter, "ballot": ballot, "idempotencyKey": self.voter}))
    }
}

/// A vote that the server said was recorded.
#[derive(Clone, Debug)]
pub(super) struct Acknowledged {
    pub(super) vote: Vote,
    pub(super) vote_id: String,
}

impl Acknowledged {
    /// The vote with the id of its answer.
    pub(super) fn new(vote: Vote, answer: &Value) -> Outcome<Self> {
        let vote_id =
            answer["voteId"].as_str().ok_or_else(|| format!("an answer without an id: {answer}"))?;
        Ok(Self { vote, vote_id: vote_id.to_owned() })
    }
}

/// Sends a request again until there is an answer that is not 503; says how often it was sent again.
pub(super) fn keep_trying(mut send: impl FnMut() -> io::Result<Answer>) -> Outcome<(Answer, u32)> {
    for tries in 0..TRIES_MAX {
        match send() {
            Ok(answer) if answer.status != 503 => return Ok((answer, tries)),
            _ => thread::sleep(TRY_WAIT),
        }
    }
    Err("the server gave no answer".into())
}

/// Makes an open poll with the options `a` and `b`.
pub(super) fn make_poll(client: &mut Client, id: &str, revote: &str) -> Outcome {
    let options = [json!({"id": "a", "label": "A"}), json!({"id": "b", "label": "B"})];
    let poll = json!({
        "id": id, "title": "A poll to break", "options": options, "method": {"type": "plurality"},
        "status": "open", "revote": revote
    });
    let answer = client.post("/v1/polls", &poll)?;
    ensure(answer.status == 201, || format!("the poll was not made: {}", answer.shown()))
}

/// What the server says, held against what was acknowledged.
pub(super) struct Books {
    pub(super) acknowledged: usize,
    pub(super) lost: usize,
    pub(super) double: u64,
    pub(super) recount_matches: bool,
}

impl Books {
    /// Asks for every acknowledged vote, for the result and for a recount. The acknowledged votes must be all that
    /// were sent, each by a voter of its own.
    pub(super) fn compare(client: &mut Client, poll: &str, acknowledged: &[Acknowledged]) -> Outcome<Self> {
        let mut lost = 0;
        for one in acknowledged {
            let answer = client.get(&format!("/v1/polls/{poll}/votes/{}", one.vote.voter))?;
            let told = answer.json();
            let is_there = answer.status == 200
                && told["voteId"] == one.vote_id.as_str()
                && told["ballot"]["choice"] == one.vote.choice;
            lost += usize::from(!is_there);
        }
        let results = client.get(&format!("/v1/polls/{poll}/results"))?.json();
        let counted = results["votes"].as_u64().ok_or_else(|| format!("results without votes: {results}"))?;
        let by_choice =
            |choice: &str| acknowledged.iter().filter(|one| one.vote.choice == choice).count() as u64;
        let surplus = |choice: &str| votes_for(&results, choice).abs_diff(by_choice(choice));
        let double = counted.abs_diff(acknowledged.len() as u64).max(surplus("a") + surplus("b"));
        let recount = client.send("POST", &format!("/v1/polls/{poll}/recount"), &[], b"")?;
        let recount_matches = recount.status == 200 && recount.json()["matches"] == true;
        Ok(Self { acknowledged: acknowledged.len(), lost, double, recount_matches })
    }

    /// Fails unless everything is there once.
    pub(super) fn must_balance(&self) -> Outcome {
        ensure(self.lost == 0 && self.double == 0 && self.recount_matches, || self.to_string())
    }
}

impl fmt::Display for Books {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, lost, double, recount_matches } = self;
        let recount = if *recount_matches { "recount equal" } else { "recount DIFFERS" };
        write!(formatter, "{acknowledged} votes acknowledged, {lost} lost, {double} double, {recount}")
    }
}

/// An option's votes in a result.
pub(super) fn votes_for(results: &Value, option: &str) -> u64 {
    let options = results["options"].as_array();
    let found = options.and_then(|options| options.iter().find(|one| one["id"] == option));
    found.map_or(0, |one| number(&one["votes"]))
}

/// Weighted figures are decimal strings.
fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}
