//! Refusals as RFC 9457 problems: one table of kinds, one exhaustive match from failures to kinds.

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::Response,
};
use canvass_domain::Refusal;

use crate::{
    http::reply,
    service::{
        Failure,
        answer::{existing_vote_json, write_json, write_text},
    },
};

/// A kind of problem. Its `type` is `/problems/` and the name, and never changes.
macro_rules! kinds {
    ($($kind:ident $status:literal $name:literal $title:literal $meaning:literal)*) => {
        /// A kind of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($kind,)*
        }

        impl Kind {
            /// Every kind.
            pub(crate) const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The status that it is answered with.
            pub(crate) const fn status(self) -> u16 {
                match self { $(Self::$kind => $status,)* }
            }

            /// Its name in `type`.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// What people call it.
            pub(crate) const fn title(self) -> &'static str {
                match self { $(Self::$kind => $title,)* }
            }

            /// What it means and what to do.
            pub(crate) const fn meaning(self) -> &'static str {
                match self { $(Self::$kind => $meaning,)* }
            }
        }
    };
}

kinds! {
    MalformedRequest 400 "malformed-request" "The request cannot be read"
        "The body is no JSON, or the query or a header field is not written as it must be. `detail` names the line and column where it can. Correct the request; sending it again unchanged will not help."
    MissingKey 401 "missing-key" "An API key is needed"
        "The route is for callers with an API key. Send one as `x-api-key: …` or `Authorization: Bearer …`."
    UnknownKey 401 "unknown-key" "The API key is not accepted"
        "The key is not known to this server, was revoked, or has expired. Check that it was copied whole and belongs to this server; an administrator can make a new one."
    MissingScope 403 "missing-scope" "The API key is not for this"
        "The key is accepted but lacks the scope that `detail` names. Use another key, or have one made with that scope."
    ResultsHidden 403 "results-hidden" "The count is not shown now"
        "The poll's `resultsVisible` keeps the count from you for now. The results still tell the turnout."
    CodeUnknown 403 "code-unknown" "The code is not one of the poll's"
        "The one-time code was not made for this poll. Capital letters, spaces and dashes do not matter; check the other characters."
    PollNotFound 404 "poll-not-found" "There is no such poll"
        "No poll has this id. It may have been deleted, or its id is written differently: capital letters matter."
    VoteNotFound 404 "vote-not-found" "There is no such vote"
        "The voter has no vote in this poll that counts: none was cast, or it was withdrawn."
    KeyNotFound 404 "key-not-found" "There is no such API key"
        "No API key has this id. GET /v1/keys lists them."
    WebhookNotFound 404 "webhook-not-found" "There is no such webhook"
        "No webhook has this id. GET /v1/webhooks lists them."
    RouteNotFound 404 "route-not-found" "There is nothing here"
        "The address is no route of this server. /openapi.json and /docs list them all."
    MethodNotAllowed 405 "method-not-allowed" "The route does not take this method"
        "The `Allow` field of the answer lists the methods that the route takes."
    RequestTimeout 408 "request-timeout" "The body did not arrive in time"
        "The connection went silent in the middle of the body. Send the request again."
    AlreadyVoted 409 "already-voted" "The voter has voted"
        "A voter votes once, and this poll does not allow votes to be changed. `existingVote` is the vote that counts."
    PollNotOpen 409 "poll-not-open" "The poll takes no votes now"
        "Votes are taken while a poll is open: after `opensAt`, before `closesAt`, and not while it is paused."
    VersionConflict 409 "version-conflict" "The poll has changed since"
        "Somebody changed the poll after you read it. Read it again, and repeat your change on the newest version."
    PollExists 409 "poll-exists" "The id is taken"
        "Another poll has this id. Choose another one, or let the server choose."
    WrongStatus 409 "wrong-status" "The poll's status does not allow this"
        "A poll goes from draft (and scheduled) to open, paused and back, then closed, certified and archived. `detail` says what it is now."
    FixedByVotes 409 "fixed-by-votes" "The first vote fixed this"
        "Once a vote is in, options, method, seats, access, revote and demographics stay as they are. Labels can be corrected."
    TooManyChanges 409 "too-many-changes" "The vote was changed too often"
        "One voter's vote can be changed or withdrawn 1,000 times."
    TooManyCodes 409 "too-many-codes" "The poll has as many codes as it can"
        "A poll holds at most 2,000,000 one-time codes."
    RecountDiffers 409 "recount-differs" "The recount does not agree"
        "Before a poll is certified its records are counted again. They do not add up to what the server shows, so it stays closed. POST …/recount shows both counts; tell the operator."
    LastAdminKey 409 "last-admin-key" "This is the last admin key"
        "Without it nobody could manage keys. Make another key with the scope admin first."
    PreconditionFailed 412 "precondition-failed" "The poll is not at that version"
        "`If-Match` names another version than the poll's. Read the poll again and send the ETag it has now."
    BodyTooLarge 413 "body-too-large" "The body is too large"
        "A vote and each line of a batch may have 64 KiB, another JSON body 1 MiB. A batch may have any number of lines."
    AnswerTooLarge 422 "answer-too-large" "The answer is too large"
        "Where the server runs as functions, it cannot send more than a few megabytes at once. What was asked for is done. Ask for less, or have polls exported by the schedule, which has no such limit."
    UnsupportedMediaType 415 "unsupported-media-type" "The body is of another type"
        "Send JSON as `Content-Type: application/json`, and a batch as `application/x-ndjson`."
    InvalidRequest 422 "invalid-request" "The request asks for what is not allowed"
        "The request can be read, but a field is missing, unknown or of the wrong type, or asks for what the poll or the server does not allow. `field` names it, or says `body` where `detail` tells the line and column; `detail` says what to write instead."
    FormatNotOffered 422 "format-not-offered" "The format is not offered"
        "This version exports `csv`, `jsonl`, `json`, `xlsx`, `parquet`, `election`, `blt` and `abif`. BLT holds rankings and single choices, ABIF no dots and no skipped ranks; `election` holds every ballot."
    NotOnThisEngine 422 "not-on-this-engine" "This server's engine cannot do this"
        "Events and webhooks follow the order of the ledger, which only a server with a data directory has. On DynamoDB use the table's own stream."
    IdempotencyKeyReused 422 "idempotency-key-reused" "The idempotency key was used before"
        "The same voter used this Idempotency-Key for another request. Repeat a request with its own key; use a new key for a new request."
    TooManyRequests 429 "too-many-requests" "Too many requests"
        "The key, or without one the address, asks faster than it may. Wait as long as `Retry-After` says; the `RateLimit` fields tell what is left."
    QuotaExceeded 429 "quota-exceeded" "Today's quota is used up"
        "The key's quota for the day is used up. It begins anew at 00:00 UTC."
    ServerBusy 503 "server-busy" "The server is full"
        "The server turns requests away before its memory fills up. Nothing was changed; send the request again after `Retry-After`."
    StorageUnavailable 503 "storage-unavailable" "The storage cannot be used now"
        "What was asked cannot be read or made durable now, so nothing was changed and no vote was counted. Send the request again later; the operator finds the cause in the log under `instance`."
    OutcomeUnknown 503 "outcome-unknown" "The outcome is unknown"
        "The answer of the storage was lost: it may have been done. Send the request again. A vote with the same Idempotency-Key, or by the same voter, cannot count twice."
}

impl Kind {
    /// The kind of a failure.
    pub(crate) fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Malformed(_) => Self::MalformedRequest,
            Failure::TooSlow => Self::RequestTimeout,
            Failure::MissingKey => Self::MissingKey,
            Failure::UnknownKey => Self::UnknownKey,
            Failure::MissingScope(_) => Self::MissingScope,
            Failure::ResultsHidden(_) => Self::ResultsHidden,
            Failure::RouteNotFound => Self::RouteNotFound,
            Failure::MethodNotAllowed => Self::MethodNotAllowed,
            Failure::KeyNotFound => Self::KeyNotFound,
            Failure::WebhookNotFound => Self::WebhookNotFound,
            Failure::NotOnThisEngine => Self::NotOnThisEngine,
            Failure::LastAdminKey => Self::LastAdminKey,
            Failure::AlreadyVoted { .. } => Self::AlreadyVoted,
            Failure::PreconditionFailed { .. } => Self::PreconditionFailed,
            Failure::RecountDiffers => Self::RecountDiffers,
            Failure::TooLarge(_) => Self::BodyTooLarge,
            Failure::AnswerTooLarge(_) => Self::AnswerTooLarge,
            Failure::WrongMediaType(_) => Self::UnsupportedMediaType,
            Failure::FormatNotOffered | Failure::FormatTooNarrow(_) => Self::FormatNotOffered,
            Failure::Limited(limited) if limited.by_day => Self::QuotaExceeded,
            Failure::Limited(_) => Self::TooManyRequests,
            Failure::Busy { .. } => Self::ServerBusy,
            Failure::Storage { .. } => Self::StorageUnavailable,
            Failure::OutcomeUnknown { .. } => Self::OutcomeUnknown,
            Failure::Refused(refusal) => Self::of_refusal(refusal),
        }
    }

    fn of_refusal(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::PollNotFound => Self::PollNotFound,
            Refusal::PollExists => Self::PollExists,
            Refusal::Invalid(_) => Self::InvalidRequest,
            Refusal::NotOpen { .. } => Self::PollNotOpen,
            Refusal::WrongStatus { .. } => Self::WrongStatus,
            Refusal::VersionConflict { .. } => Self::VersionConflict,
            Refusal::FixedByVotes { .. } => Self::FixedByVotes,
            Refusal::AlreadyVoted(_) => Self::AlreadyVoted,
            Refusal::VoteNotFound => Self::VoteNotFound,
            Refusal::KeyReused => Self::IdempotencyKeyReused,
            Refusal::CodeUnknown => Self::CodeUnknown,
            Refusal::TooManyRevisions => Self::TooManyChanges,
            Refusal::TooManyCodes => Self::TooManyCodes,
            // The service reads the ballot again before anybody is told.
            Refusal::FormChanged => Self::ServerBusy,
        }
    }

    /// The kind by its name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// The status of a failure.
pub(crate) fn status(failure: &Failure) -> StatusCode {
    StatusCode::from_u16(Kind::of(failure).status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

/// A failure as a problem.
pub(crate) fn refuse(failure: &Failure) -> Response {
    let kind = Kind::of(failure);
    let content_type = HeaderValue::from_static("application/problem+json");
    let mut response = reply::of(status(failure), content_type, json(kind, failure));
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, reply::NO_STORE);
    if kind.status() == 401 {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(wait) = failure.retry_after() {
        headers.insert(RETRY_AFTER, wait.as_secs().max(1).into());
    }
    response
}

/// What is answered instead of an answer of more bytes than can be sent, by whoever knows how many can.
pub fn answer_too_large(bytes_max: usize) -> Response {
    refuse(&Failure::AnswerTooLarge(bytes_max))
}

/// What is answered where there is no route.
pub(crate) async fn route_not_found() -> Response {
    refuse(&Failure::RouteNotFound)
}

fn json(kind: Kind, failure: &Failure) -> Vec<u8> {
    let mut json = Vec::with_capacity(256);
    json.extend_from_slice(b"{\"type\":\"/problems/");
    json.extend_from_slice(kind.name().as_bytes());
    json.extend_from_slice(b"\",\"title\":");
    write_text(&mut json, kind.title());
    json.extend_from_slice(b",\"status\":");
    write_json(&mut json, &kind.status());
    json.extend_from_slice(b",\"detail\":");
    write_text(&mut json, &failure.to_string());
    if let Some(field) = failure.field() {
        json.extend_from_slice(b",\"field\":");
        write_text(&mut json, field);
    }
    match failure {
        Failure::AlreadyVoted { poll, vote } => {
            json.extend_from_slice(b",\"existingVote\":");
            json.extend_from_slice(&existing_vote_json(poll, vote));
        }
        Failure::PreconditionFailed { current } | Failure::Refused(Refusal::VersionConflict { current }) => {
            json.extend_from_slice(b",\"currentVersion\":");
            write_json(&mut json, current);
        }
        Failure::Storage { instance } | Failure::OutcomeUnknown { instance } => {
            json.extend_from_slice(b",\"instance\":");
            write_text(&mut json, instance);
        }
        _ => {}
    }
    json.push(b'}');
    json
}
