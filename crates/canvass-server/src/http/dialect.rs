//! What both documents' dialects share: plurality votes by people who are named, and results by choice.

use axum::{http::StatusCode, response::Response};
use canvass_domain::{
    Ballot, IdempotencyKey, Invalid, Poll, PollId, VoterId,
    ballot::BallotInput,
    key::Scope,
    poll::Access,
    results::Figure,
    vote::{Marked, Operation},
};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::json;

use crate::{
    app::App,
    http::{ask::Ask, dialect_a, reply},
    service::{
        Caller, Failure,
        answer::Recorded,
        results::{Seen, Viewer},
        vote_request::{Told, VoteRequest},
        votes::{Identity, VoteAsk, identify},
    },
};

/// A poll's id as a dialect's client writes it. What cannot be an id is no poll's.
pub(crate) fn read_poll_id(app: &App, text: &str) -> Result<PollId, Failure> {
    text.parse().map_err(|error: canvass_domain::IdentifierError| {
        if app.parts.settings.implicit_polls {
            Failure::invalid("pollId", error.to_string())
        } else {
            Failure::Refused(canvass_domain::Refusal::PollNotFound)
        }
    })
}

/// Who votes. The documents know no devices and no codes: where those vote, only a key may name a voter.
pub(crate) fn identify_named(
    poll: &Poll,
    caller: &Caller,
    named: Option<VoterId>,
) -> Result<Identity, Failure> {
    match poll.access {
        Access::Key | Access::Open => identify(poll, caller, named, None),
        Access::Public => {
            caller.require(Scope::VotesWrite)?;
            named.map(Identity::named).ok_or_else(|| Failure::invalid("voterId", "say who votes"))
        }
        Access::Code => Err(Failure::MissingScope(Scope::VotesWrite)),
    }
}

/// The choice of a vote, as a client of a dialect wrote it: what was written in, or the option's id.
pub(crate) fn choice<'a>(poll: &'a Poll, marked: Option<&Marked>) -> &'a str {
    let Some(Marked { ballot: Ballot::Choices(choices), .. }) = marked else { return "" };
    choices.first().map_or("", |index| choice_name(poll, usize::from(*index)))
}

fn choice_name(poll: &Poll, index: usize) -> &str {
    poll.options.get(index).map_or(
        "",
        |option| {
            if poll.write_in { option.label.as_str() } else { option.id.as_str() }
        },
    )
}

/// What is wrong with a field, in the names that the dialects use.
pub(crate) fn complaint(invalid: &Invalid) -> String {
    let field = invalid.field.strip_prefix("ballot.").unwrap_or(&invalid.field);
    format!("{field}: {}", invalid.reason)
}

/// A vote as both documents know it: for one choice, named by its id or its label.
pub(crate) struct DialectVote<'a> {
    pub(crate) poll: &'a PollId,
    /// That of the poll which the vote opens, if it does.
    pub(crate) access: Access,
    pub(crate) voter: Option<VoterId>,
    pub(crate) choice: &'a str,
    pub(crate) demographics: Option<Told<'a>>,
    pub(crate) idempotency_key: Option<IdempotencyKey>,
}

/// Casts a vote.
pub(crate) async fn cast(app: &App, caller: &Caller, vote: DialectVote<'_>) -> Result<Recorded, Failure> {
    let request = VoteRequest {
        voter_id: None,
        ballot: BallotInput::choice(vote.choice),
        demographics: vote.demographics,
        weight: None,
        code: None,
        idempotency_key: None,
    };
    let actor = caller.actor();
    let vote_in = |poll: &Poll| -> Result<VoteAsk<'_>, Failure> {
        Ok(VoteAsk {
            identity: identify_named(poll, caller, vote.voter.clone())?,
            operation: Operation::Cast,
            request: Some(&request),
            idempotency_key: vote.idempotency_key.clone(),
            may_weigh: false,
            by_label: true,
            actor: &actor,
        })
    };
    let poll = app.poll_or_implicit(vote.poll, vote.access, vote_in).await?;
    let ask = vote_in(&poll)?;
    app.record(poll, &ask).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultsQuery {
    poll_id: Option<String>,
}

/// Read the results (documents A and B)
///
/// Choices without votes are left out, as in the documents.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/results", tag = "dialects",
    params(("pollId" = String, Query, description = "The poll's id")),
    responses((status = 200, description = "The count by choice", body = serde_json::Value, example = json!({"pollId": "lunch", "choices": {"pizza": 3}, "totalVotes": 3, "lastUpdated": "2026-12-01T12:00:00Z"})),
        (status = 400, description = "pollId is missing"), (status = 403, description = "The poll's results need a key"), (status = 404, description = "No such poll"), (status = 429, description = "Too many requests"), (status = 503, description = "Try again"))))]
pub(crate) async fn read_results(app: App, ask: Ask) -> Result<Response, Failure> {
    let query: ResultsQuery = ask.query()?;
    let Some(text) = query.poll_id.filter(|id| !id.is_empty()) else {
        let body = json!({"error": "Missing required parameters: pollId"});
        return Ok(dialect_a::allow_all(reply::json(StatusCode::BAD_REQUEST, &body)));
    };
    let id = text.parse().map_err(|_| Failure::Refused(canvass_domain::Refusal::PollNotFound))?;
    let viewer = Viewer { caller: &ask.caller, code: None, holder: None, voter: None, reveal: false };
    let seen = app.see(&id, &viewer).await?;
    Ok(dialect_a::allow_all(reply::json(StatusCode::OK, &CountView::new(&seen))))
}

/// A count as both documents show it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CountView<'a> {
    poll_id: &'a PollId,
    choices: Choices<'a>,
    total_votes: u64,
    last_updated: canvass_domain::Timestamp,
}

impl<'a> CountView<'a> {
    fn new(seen: &'a Seen) -> Self {
        Self {
            poll_id: &seen.snapshot.poll.id,
            choices: Choices(seen),
            total_votes: seen.snapshot.tally.votes,
            last_updated: seen.snapshot.tally.updated_at,
        }
    }
}

struct Choices<'a>(&'a Seen);

impl Serialize for Choices<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Seen { snapshot, visible, .. } = self.0;
        let totals = snapshot.tally.options.iter().enumerate();
        let shown = totals.filter(|(_, total)| *visible && total.millionths() > 0);
        let mut map = serializer.serialize_map(None)?;
        for (index, total) in shown {
            map.serialize_entry(choice_name(&snapshot.poll, index), &Figure::of(&snapshot.poll, *total))?;
        }
        map.end()
    }
}
