//! Why a request is not carried out, in words that say what to do. What only the operator may know goes to the log.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use canvass_counting::formats::Unwritable;
use canvass_domain::{Invalid, Poll, Refusal, VoteId, key::Scope, vote::StoredVote};
use canvass_store::StoreError;
use serde::de::IgnoredAny;

use crate::{app::App, service::limiting::Limited};

/// Why a request is not carried out. The text is for the caller.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The request cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// The body did not come in time.
    #[error("the body did not arrive in time; send it again")]
    TooSlow,
    /// Only a caller with a key may do this.
    #[error("send an API key as `x-api-key: …` or `Authorization: Bearer …`")]
    MissingKey,
    /// The key is not known, is revoked or has expired.
    #[error("this API key is not known here, was revoked or has expired; ask for a new one")]
    UnknownKey,
    /// The key is not for this.
    #[error("this needs a key with the scope {}", .0.name())]
    MissingScope(Scope),
    /// The count may not be seen by this caller now.
    #[error("{0}")]
    ResultsHidden(&'static str),
    /// There is no such route.
    #[error("there is nothing here; /openapi.json lists every route")]
    RouteNotFound,
    /// The route does not take this method.
    #[error("this route does not take this method; the `Allow` field lists those it takes")]
    MethodNotAllowed,
    /// There is no such key.
    #[error("there is no API key with this id")]
    KeyNotFound,
    /// There is no such webhook.
    #[error("there is no webhook with this id")]
    WebhookNotFound,
    /// The engine has no order of all records.
    #[error(
        "events and webhooks follow the order of the local engine's ledger, which this server's engine does not have"
    )]
    NotOnThisEngine,
    /// Without this key nobody could manage keys any more.
    #[error("this is the last key with the scope admin; make another one first")]
    LastAdminKey,
    /// The voter has voted, and the poll allows no change.
    #[error("{}", Refusal::AlreadyVoted(.vote.clone()))]
    AlreadyVoted {
        /// Knows the options that the vote marks.
        poll: Arc<Poll>,
        /// The vote that counts.
        vote: Box<StoredVote>,
    },
    /// `If-Match` names another version.
    #[error("the poll is at version {current}, which `If-Match` does not name; read it again")]
    PreconditionFailed {
        /// The poll's version now.
        current: u64,
    },
    /// The recount does not find what the poll shows.
    #[error(
        "the recount does not agree with the stored tally, so the poll was not certified; POST …/recount shows both"
    )]
    RecountDiffers,
    /// The body is too large.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The answer is larger than what this server can send at once.
    #[error("the answer is larger than {0} bytes")]
    AnswerTooLarge(usize),
    /// The body is of another type.
    #[error("send the body as `Content-Type: {0}`")]
    WrongMediaType(&'static str),
    /// This version does not write that format.
    #[error(
        "this version exports csv, jsonl, json, xlsx, parquet, election, blt and abif; choose one of them"
    )]
    FormatNotOffered,
    /// That format cannot hold the poll's ballots.
    #[error("{0}; choose format=election")]
    FormatTooNarrow(#[from] Unwritable),
    /// The key, or the client's address, is used too fast.
    #[error("{0}")]
    Limited(Box<Limited>),
    /// The rules forbid it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The server or its store is full for now; nothing changed.
    #[error(
        "the server is full; nothing was changed, send the request again after the time in `Retry-After`"
    )]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The storage cannot be read or written now; nothing changed.
    #[error("the storage cannot do this now; nothing was changed, send the request again later")]
    Storage {
        /// Names this occurrence in the log.
        instance: String,
    },
    /// It may have been done.
    #[error(
        "the outcome is unknown; send the request again: with the same Idempotency-Key, or because a voter votes once, it cannot count twice"
    )]
    OutcomeUnknown {
        /// Names this occurrence in the log.
        instance: String,
    },
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Self::Refused(Refusal::Invalid(invalid))
    }
}

impl Failure {
    /// A field of a well-formed request asks for what is not allowed.
    pub(crate) fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Invalid::new(field, reason).into()
    }

    /// Why a body was not taken: it is no JSON, or it is and says what the route does not take.
    pub(crate) fn of_json(body: &[u8], error: &serde_json::Error) -> Self {
        let is_json = error.is_data() && serde_json::from_slice::<IgnoredAny>(body).is_ok();
        if is_json {
            Self::invalid("body", error.to_string())
        } else {
            Self::Malformed(format!("this cannot be read: {error}"))
        }
    }

    /// The field at fault, where there is one.
    pub(crate) fn field(&self) -> Option<&str> {
        match self {
            Self::Refused(Refusal::Invalid(invalid)) => Some(&invalid.field),
            Self::Refused(Refusal::FixedByVotes { field }) => Some(field),
            Self::FormatNotOffered | Self::FormatTooNarrow(_) => Some("format"),
            _ => None,
        }
    }

    /// The vote that counts already, where that is why.
    pub(crate) fn existing_vote(&self) -> Option<VoteId> {
        match self {
            Self::AlreadyVoted { vote, .. } => Some(vote.vote_id),
            _ => None,
        }
    }

    /// When to try again, where that helps.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited(limited) => Some(limited.retry_after),
            Self::Busy { retry_after } => Some(*retry_after),
            Self::Storage { .. } | Self::OutcomeUnknown { .. } => Some(Duration::from_secs(5)),
            _ => None,
        }
    }
}

impl App {
    /// What a store's failure is to the caller. The rest is logged, under a name that the caller is told too.
    pub(crate) fn failed(&self, error: StoreError) -> Failure {
        match error {
            StoreError::Refused(refusal) => Failure::Refused(refusal),
            StoreError::Unavailable { retry_after, reason } => match self.store().health().trouble {
                None => {
                    tracing::debug!(reason, "turned away");
                    Failure::Busy { retry_after }
                }
                Some(trouble) => Failure::Storage { instance: self.log_failure(&trouble) },
            },
            StoreError::OutcomeUnknown => {
                Failure::OutcomeUnknown { instance: self.log_failure("outcome unknown") }
            }
            StoreError::Corrupt(place) => Failure::Storage { instance: self.log_failure(&place) },
        }
    }

    fn log_failure(&self, trouble: &str) -> String {
        self.parts.metrics.storage_failures.fetch_add(1, Ordering::Relaxed);
        let instance = format!("urn:uuid:{}", uuid::Builder::from_random_bytes(self.random()).into_uuid());
        tracing::error!(%instance, trouble, "a request failed in storage");
        instance
    }
}
