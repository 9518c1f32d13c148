//! Why a command is not carried out. A refusal changes nothing.

use crate::{
    limits::REVISIONS_MAX,
    poll::{Poll, Status},
    vote::StoredVote,
};

/// What is wrong with one field of a request that is otherwise well-formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Invalid {
    /// The field as the caller wrote it, for example `options[2].id`.
    pub field: String,
    /// What to write instead.
    pub reason: String,
}

impl Invalid {
    /// A complaint about one field.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

/// Why a command was refused. Each says what the caller can do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// There is no such poll.
    #[error("there is no poll with this id")]
    PollNotFound,
    /// The id is taken.
    #[error("a poll with this id exists already; choose another id or change that poll")]
    PollExists,
    /// A field asks for what is not allowed.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The poll takes no votes now.
    #[error("the poll is {status} and takes no votes now")]
    NotOpen {
        /// What it is instead of open.
        status: Status,
    },
    /// The poll's state does not allow this step.
    #[error("a poll that is {status} cannot be {step}")]
    WrongStatus {
        /// What the poll is.
        status: Status,
        /// What was asked, as a participle: `opened`, `deleted`.
        step: &'static str,
    },
    /// Somebody changed the poll in between.
    #[error(
        "the poll has changed to version {current} since it was read; read it again and repeat the change"
    )]
    VersionConflict {
        /// The poll's version now.
        current: u64,
    },
    /// The poll's first vote fixed what the change would alter.
    #[error("{field} cannot change once a vote is in")]
    FixedByVotes {
        /// The field.
        field: &'static str,
    },
    /// The voter has voted, and the poll allows no change.
    #[error("this voter has voted in this poll, and the poll does not allow a vote to be changed")]
    AlreadyVoted(Box<StoredVote>),
    /// There is no vote to change, withdraw or read.
    #[error("this voter has no vote in this poll")]
    VoteNotFound,
    /// The idempotency key was used for another request.
    #[error(
        "this idempotency key was used for another request of the same voter; use a new key for a new request"
    )]
    KeyReused,
    /// The one-time code is not one of the poll's.
    #[error("this code is not one of the poll's")]
    CodeUnknown,
    /// The vote was changed too often.
    #[error("a vote can be changed at most {REVISIONS_MAX} times")]
    TooManyRevisions,
    /// The options changed between reading the ballot and deciding it. The service reads the ballot again; no caller
    /// sees this.
    #[error("the poll's options changed while the ballot was read")]
    FormChanged,
    /// The poll holds as many one-time codes as it can.
    #[error("a poll holds at most {} codes", crate::limits::CODES_POLL_MAX)]
    TooManyCodes,
}

impl Refusal {
    pub(crate) fn wrong_status(poll: &Poll, step: &'static str) -> Self {
        Self::WrongStatus { status: poll.status, step }
    }
}
