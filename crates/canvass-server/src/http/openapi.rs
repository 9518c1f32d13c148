//! The OpenAPI 3.1 description, generated from the handlers and the types that callers see.

use std::collections::BTreeMap;

use canvass_domain::{
    Poll,
    count_view::{InactiveView, RoundView, TieView, TransferView},
    key::{Rate, Scope},
    method::{Aggregate, Measure, Method, Overvote, Points, Strength},
    poll::{Access, NewOption, NewPoll, PollOption, PollPatch, ResultsVisible, Revote, Status},
    results::{BreakdownRow, BreakdownView, OptionResult, Results, TimelineRow, TimelineView},
    tie_break::TieBreak,
};
use serde::Serialize;
use utoipa::{
    IntoResponses, Modify, OpenApi, ToSchema,
    openapi::{
        Ref, RefOr,
        content::ContentBuilder,
        response::{Response, ResponseBuilder},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use crate::http::{
    batch, codes, dialect, dialect_a, dialect_b, events, export, health, keys, oembed, polls, problem::Kind,
    results, stream, votes, webhooks,
};

/// The description of every route.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Canvass",
        description = "Polls and votes that count exactly once.\n\nA vote is answered after it is durable, never before. A request whose answer is lost can be sent again: with the same `Idempotency-Key` the first answer comes again, and a voter votes once in any case.\n\nErrors are problems by RFC 9457; each `type` has a page that explains it.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "This server")),
    paths(
        polls::create_poll, polls::list_polls, polls::read_poll, polls::change_poll, polls::delete_poll,
        polls::open_poll, polls::pause_poll, polls::close_poll, polls::certify_poll, polls::erase_poll, polls::archive_poll,
        polls::list_events, codes::create_codes,
        votes::cast_vote, batch::cast_votes, votes::read_vote, votes::change_vote, votes::withdraw_vote,
        votes::erase_vote,
        results::read_results, stream::stream_results, results::read_breakdown, results::read_timeline, export::export_votes,
        results::recount_poll, oembed::read_oembed,
        keys::create_key, keys::list_keys, keys::revoke_key, keys::rotate_key,
        events::list_all_events, webhooks::create_webhook, webhooks::list_webhooks, webhooks::delete_webhook,
        webhooks::redeliver, webhooks::list_alarms,
        health::read_liveness, health::read_readiness, health::read_metrics,
        dialect_a::cast_vote, dialect_a::read_vote, dialect_b::cast_vote, dialect::read_results,
    ),
    components(schemas(
        Problem, VoteSchema, VoteRequestSchema, BallotSchema, Poll, NewPoll, PollPatch, PollOption, NewOption, Method,
        Aggregate, Overvote, Strength, Measure, Points, TieBreak, RoundView, InactiveView, TransferView, TieView,
        Status, Access, Revote, ResultsVisible, Results, OptionResult, BreakdownView, BreakdownRow, TimelineView,
        TimelineRow, Scope, Rate,
    )),
    tags(
        (name = "polls", description = "Polls and their life"),
        (name = "votes", description = "Votes, one by one and by the million"),
        (name = "results", description = "Counts, breakdowns, exports and the recount"),
        (name = "keys", description = "API keys, for administrators"),
        (name = "webhooks", description = "What happened, by a cursor or as signed messages"),
        (name = "server", description = "Health and figures"),
        (name = "dialects", description = "The routes of the two documents that the project began with, for their clients"),
    ),
    modifiers(&Security),
)]
struct Description;

/// How a key is sent. Where none is needed, a caller may leave it out.
struct Security;

impl Modify for Security {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let components = description.components.get_or_insert_with(Default::default);
        let header = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("x-api-key")));
        let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        components.add_security_scheme("apiKey", header);
        components.add_security_scheme("bearer", bearer);
        let none = Vec::<String>::new();
        description.security = Some(vec![
            SecurityRequirement::new("apiKey", none.clone()),
            SecurityRequirement::new("bearer", none),
            SecurityRequirement::default(),
        ]);
    }
}

/// Why a request was not carried out (RFC 9457). `type` is stable, and a page of this server explains it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"type": "/problems/poll-not-found", "title": "There is no such poll", "status": 404, "detail": "there is no poll with this id"}))]
pub(crate) struct Problem {
    /// The kind of problem.
    r#type: String,
    /// What people call it.
    title: String,
    /// The status of the answer.
    status: u16,
    /// What to do.
    detail: String,
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The vote that counts, where the voter has voted.
    #[serde(skip_serializing_if = "Option::is_none")]
    existing_vote: Option<ExistingVoteSchema>,
    /// The poll's version, where another one was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_version: Option<u64>,
    /// This occurrence's name in the operator's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
}

/// The vote that counts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExistingVote)]
struct ExistingVoteSchema {
    #[schema(format = "uuid")]
    vote_id: String,
    ballot: BallotSchema,
    #[schema(format = DateTime)]
    cast_at: String,
}

/// A vote as it was recorded.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Vote, example = json!({"pollId": "lunch", "voterId": "u1", "voteId": "7f8d2c1e-6f0a-4f3b-9d55-0a4b8c3d2e1f", "ballot": {"choice": "pizza"}, "demographics": {"ageGroup": "25-34"}, "castAt": "2026-12-01T11:58:03.120417Z", "sequence": 17}))]
pub(crate) struct VoteSchema {
    poll_id: String,
    voter_id: String,
    /// The same through all changes of the vote.
    #[schema(format = "uuid")]
    vote_id: String,
    ballot: BallotSchema,
    demographics: BTreeMap<String, String>,
    /// How much the vote counts, as a decimal; absent if 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<String>,
    #[schema(format = DateTime)]
    cast_at: String,
    /// The vote's place among its poll's records; absent on an engine that learns it only later.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
}

/// A vote as a caller writes it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = VoteRequest)]
pub(crate) struct VoteRequestSchema {
    /// Who votes: 1 to 256 bytes without control characters. Absent where the device or the code votes.
    #[serde(skip_serializing_if = "Option::is_none")]
    voter_id: Option<String>,
    ballot: BallotSchema,
    /// Only dimensions that the poll declares. Numbers and truth values stand for their text.
    #[serde(skip_serializing_if = "Option::is_none")]
    demographics: Option<BTreeMap<String, String>>,
    /// How much the vote counts, as a decimal, in polls whose votes have weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<String>,
    /// The one-time code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

/// A ballot: the form that the poll's method asks for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Ballot)]
#[expect(dead_code, reason = "a description: ballots are read and written elsewhere")]
enum BallotSchema {
    /// One option.
    Choice(String),
    /// Several options.
    Choices(Vec<String>),
    /// Options from the most preferred down; a list is an equal rank, null a skipped one.
    #[schema(value_type = Vec<Option<String>>)]
    Ranking(Vec<serde_json::Value>),
    /// A score for some or all options.
    Scores(BTreeMap<String, i32>),
    /// Dots or votes for some or all options.
    Allocation(BTreeMap<String, i32>),
}

/// What any route may answer.
const ANYWHERE: &[Kind] = &[
    Kind::MalformedRequest,
    Kind::UnknownKey,
    Kind::TooManyRequests,
    Kind::QuotaExceeded,
    Kind::ServerBusy,
    Kind::StorageUnavailable,
];
/// What a route with a body may answer.
const WITH_BODY: &[Kind] =
    &[Kind::RequestTimeout, Kind::BodyTooLarge, Kind::UnsupportedMediaType, Kind::InvalidRequest];

/// A set of problems that some routes may answer.
macro_rules! problems {
    ($(#[$meta:meta] $name:ident $common:expr, $($kind:ident)*;)*) => {$(
        #[$meta]
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                let common: &[&[Kind]] = $common;
                responses(common.concat().into_iter().chain([$(Kind::$kind),*]))
            }
        }
    )*};
}

problems! {
    /// The problems of routes that only read.
    ReadProblems &[ANYWHERE], MissingKey MissingScope PollNotFound InvalidRequest;
    /// The problems of routes that show what the count is made of.
    CountProblems &[ANYWHERE], MissingKey MissingScope ResultsHidden PollNotFound InvalidRequest;
    /// The problems of the route that tells how to embed.
    OembedProblems &[ANYWHERE], MissingKey PollNotFound InvalidRequest;
    /// The problems of the route that exports.
    ExportProblems &[ANYWHERE], MissingKey MissingScope PollNotFound FormatNotOffered;
    /// The problems of routes that change polls.
    PollProblems &[ANYWHERE, WITH_BODY], MissingKey MissingScope PollNotFound VersionConflict PollExists WrongStatus
        FixedByVotes PreconditionFailed;
    /// The problems of routes that erase.
    EraseProblems &[ANYWHERE], MissingKey MissingScope PollNotFound InvalidRequest WrongStatus PreconditionFailed;
    /// The problems of the route that certifies.
    CertifyProblems &[ANYWHERE], MissingKey MissingScope PollNotFound WrongStatus RecountDiffers PreconditionFailed;
    /// The problems of the route that makes codes.
    CodeProblems &[ANYWHERE, WITH_BODY], MissingKey MissingScope PollNotFound WrongStatus TooManyCodes;
    /// The problems of routes that change keys.
    KeyProblems &[ANYWHERE, WITH_BODY], MissingKey MissingScope KeyNotFound LastAdminKey;
    /// The problems of the route that tells of events.
    EventProblems &[ANYWHERE], MissingKey MissingScope InvalidRequest NotOnThisEngine;
    /// The problems of the routes of webhooks.
    WebhookProblems &[ANYWHERE, WITH_BODY], MissingKey MissingScope WebhookNotFound NotOnThisEngine;
    /// The problems of routes that cast votes.
    VoteProblems &[ANYWHERE, WITH_BODY], MissingKey MissingScope CodeUnknown PollNotFound VoteNotFound AlreadyVoted
        PollNotOpen TooManyChanges IdempotencyKeyReused OutcomeUnknown;
    /// The problems of the route that reads a vote.
    VoteReadProblems &[ANYWHERE], MissingKey MissingScope PollNotFound VoteNotFound InvalidRequest;
}

/// Each status, with the kinds of problems that it may be.
fn responses(kinds: impl Iterator<Item = Kind>) -> BTreeMap<String, RefOr<Response>> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for kind in kinds {
        names.entry(kind.status().to_string()).or_default().push(format!("`{}`", kind.name()));
    }
    let response = |names: Vec<String>| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let builder = ResponseBuilder::new().description(names.join(", "));
        RefOr::T(builder.content("application/problem+json", content).build())
    };
    names.into_iter().map(|(status, names)| (status, response(names))).collect()
}
