//! What every engine does: a few verbs of the domain, and its own kinds of failure.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use canvass_domain::{
    Poll, PollId, Profile, Refusal, Sequence, Timestamp, VoteId, VoterId,
    code::CodeHash,
    decide::PollCommand,
    key::Key,
    poll::{NewPoll, Status},
    record::{Chain, Entry, Setting, Step},
    tally::Tally,
    vote::{Operation, StoredVote, VoteCommand},
};
use tokio::sync::watch;

use crate::SharedLimits;

/// An answer that is on its way.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Where polls and votes are kept. One conformance suite runs on every engine.
///
/// Whatever is answered is durable. A command that failed with [`StoreError::Refused`] or [`StoreError::Unavailable`]
/// changed nothing; one that failed with [`StoreError::OutcomeUnknown`] may have, and can be sent again: votes by
/// their idempotency key or by the rule that a voter votes once, steps in a poll's life because they are done once.
pub trait Store: Send + Sync + 'static {
    /// Creates a poll under the id that it asks for, or the given one.
    fn create_poll<'a>(
        &'a self,
        request: NewPoll,
        given_id: PollId,
        actor: &'a str,
    ) -> Pending<'a, Arc<Poll>>;

    /// Changes a poll, or takes a step in its life; answers with the poll afterwards. With `expected_version`, only
    /// that version is changed.
    fn change_poll<'a>(
        &'a self,
        poll: &'a PollId,
        command: PollCommand,
        expected_version: Option<u64>,
        actor: &'a str,
    ) -> Pending<'a, Arc<Poll>>;

    /// Adds one-time codes by their hashes.
    fn add_codes<'a>(&'a self, poll: &'a PollId, hashes: Vec<CodeHash>, actor: &'a str) -> Pending<'a, ()>;

    /// A poll as it stands.
    fn poll<'a>(&'a self, poll: &'a PollId) -> Pending<'a, Arc<Poll>>;

    /// Polls, newest first.
    fn list_polls(&self, query: PollQuery) -> Pending<'_, PollPage>;

    /// Casts, changes or withdraws votes in one poll, each on its own; the answers are in the order of the commands.
    fn vote<'a>(&'a self, poll: &'a PollId, commands: Vec<VoteCommand>) -> Pending<'a, Vec<VoteResult>>;

    /// A voter's vote that counts.
    fn read_vote<'a>(&'a self, poll: &'a PollId, voter: &'a VoterId) -> Pending<'a, Option<StoredVote>>;

    /// Erases what a voter's votes in a poll that is over tell of the voter. It answers when nothing of it is left, with how
    /// many records told of the voter: none if it was done before.
    fn erase_voter<'a>(&'a self, poll: &'a PollId, voter: &'a VoterId, actor: &'a str) -> Pending<'a, u64>;

    /// A poll with its tally, which belong together.
    fn tally<'a>(&'a self, poll: &'a PollId) -> Pending<'a, Snapshot>;

    /// A poll with its tally and its distinct ballots, which belong together; without ballots where its method counts
    /// the tally alone. They are copied into the memory of `into`, the profile of an earlier call or an empty one.
    fn profile<'a>(&'a self, poll: &'a PollId, into: Profile) -> Pending<'a, (Snapshot, Option<Profile>)>;

    /// A poll's records after a sequence, oldest first: at most about [`RECORDS_PAGE`](crate::limits::RECORDS_PAGE),
    /// and none at the end.
    fn records<'a>(&'a self, poll: &'a PollId, after: Sequence) -> Pending<'a, RecordPage>;

    /// Tells of each new sequence of a poll; only the newest is kept for a slow watcher.
    fn watch<'a>(&'a self, poll: &'a PollId) -> Pending<'a, watch::Receiver<Sequence>>;

    /// All API keys.
    fn keys(&self) -> Pending<'_, Vec<Arc<Key>>>;

    /// Makes a key or replaces the one with its id.
    fn put_key(&self, key: Key) -> Pending<'_, ()>;

    /// A setting's value; made with the given one if it is not there yet.
    fn setting(&self, setting: Setting) -> Pending<'_, String>;

    /// A setting's value, if it was made.
    fn read_setting<'a>(&'a self, name: &'a str) -> Pending<'a, Option<String>>;

    /// Makes a setting, gives it another value, or removes it where the value is empty.
    fn put_setting(&self, setting: Setting) -> Pending<'_, ()>;

    /// How the engine does.
    fn health(&self) -> Health;

    /// How long a tally may follow after the records it is folded from: the one thing in which engines differ.
    ///
    /// Where it is zero, a record is numbered and chained when it is written: an answer tells its sequence, and a tally
    /// is exactly the fold of the records up to its own. Elsewhere records are numbered when they are read, a receipt
    /// and a single vote tell no sequence, nothing is chained, and a tally is the fold of all records once none has
    /// come for this long.
    fn tally_lag_max(&self) -> Duration {
        Duration::ZERO
    }

    /// What counts requests for all servers on this store; none where each server counts its own.
    fn shared_limits(&self) -> Option<&dyn SharedLimits> {
        None
    }
    /// What happened in all polls in one order, on an engine that has one.
    fn feed(&self) -> Option<&dyn Feed> {
        None
    }
}

/// An engine whose records lie in one order, so that who knows a place in it can go on from there.
pub trait Feed: Send + Sync {
    /// What happened from a place on, oldest first; 0 is the beginning. A page looks at about
    /// [`FEED_RECORDS`](crate::limits::FEED_RECORDS) records, and tells of votes and steps alone.
    fn happenings(&self, from: u64) -> Pending<'_, FeedPage>;

    /// The place behind all that has happened.
    fn end(&self) -> u64;
}

/// Some of what happened.
#[derive(Clone, Debug, Default)]
pub struct FeedPage {
    /// Oldest first.
    pub items: Vec<Happening>,
    /// Where to go on; the same place at the end.
    pub next: u64,
}

/// A vote or a step, with its place among the records of all polls.
#[derive(Clone, Debug)]
pub struct Happening {
    /// Its place; places rise.
    pub position: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// In which poll.
    pub poll: PollId,
    /// Its place among the poll's records.
    pub sequence: Sequence,
    /// What it was.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// A vote was cast, changed or withdrawn.
    Vote,
    /// A step in the poll's life, with the poll afterwards.
    Step(Step, Arc<Poll>),
}

/// What one vote's command came to.
pub type VoteResult = Result<VoteOutcome, StoreError>;

/// A vote that was accepted, now or before.
#[derive(Clone, Debug, PartialEq)]
pub enum VoteOutcome {
    /// It was recorded now.
    Accepted(Receipt),
    /// It was recorded before under the same idempotency key.
    Replayed(Box<StoredVote>),
}

/// What an accepted vote's answer needs beside the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The vote's id.
    pub vote_id: VoteId,
    /// What was done: a vote cast by a voter who had voted is a change.
    pub operation: Operation,
    /// When it was accepted.
    pub cast_at: Timestamp,
    /// Its record's place in the poll's ledger; none on an engine that learns it only later.
    pub sequence: Option<Sequence>,
}

/// A poll with its tally, as they stood together.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The poll.
    pub poll: Arc<Poll>,
    /// Its tally.
    pub tally: Arc<Tally>,
}

/// Which polls to list.
#[derive(Clone, Debug)]
pub struct PollQuery {
    /// Only those that stand there.
    pub status: Option<Status>,
    /// At most so many.
    pub limit: usize,
    /// Only those after the page that gave this cursor.
    pub cursor: Option<PollCursor>,
}

/// The last poll of a page: polls are listed by creation, newest first, and by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollCursor {
    /// When it was created.
    pub created_at: Timestamp,
    /// Its id.
    pub id: PollId,
}

/// A page of polls.
#[derive(Clone, Debug)]
pub struct PollPage {
    /// The polls.
    pub polls: Vec<Arc<Poll>>,
    /// Where the next page begins; none if there is none.
    pub next: Option<PollCursor>,
}

/// Some of a poll's records, with the head of the chain after the last of them.
#[derive(Clone, Debug, Default)]
pub struct RecordPage {
    /// The records, oldest first.
    pub entries: Vec<RecordedEntry>,
}

/// A record with what links it to the one before.
#[derive(Clone, Debug)]
pub struct RecordedEntry {
    /// The record.
    pub entry: Entry,
    /// What links it to the record before; none on an engine that does not chain its records.
    pub chain_input: Option<ChainInput>,
}

/// The bytes that a record adds to its poll's chain.
#[derive(Clone)]
pub struct ChainInput {
    /// The record's kind.
    pub kind: canvass_domain::record::Kind,
    /// Its body.
    pub body: Box<[u8]>,
}

impl ChainInput {
    /// The head of the chain after this record.
    pub fn link(&self, chain: &Chain) -> Chain {
        canvass_domain::record::link(chain, self.kind, &self.body)
    }
}

impl fmt::Debug for ChainInput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ChainInput({:?}, {} bytes)", self.kind, self.body.len())
    }
}

/// How an engine does.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Why nothing can be written now; none if all is well.
    pub trouble: Option<String>,
    /// Named figures of the engine, by their metric's name: counters end in `_total`.
    pub figures: Vec<(&'static str, f64)>,
    /// How some figures are spread.
    pub histograms: Vec<Histogram>,
}

/// How a figure was spread over all the times that it was taken.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// The metric's name.
    pub name: &'static str,
    /// Upper bounds, rising, each with how often the figure was at most as large.
    pub buckets: Vec<(f64, u64)>,
    /// All of the figures together.
    pub sum: f64,
    /// How often it was taken.
    pub count: u64,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// The rules forbid it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot be done now; nothing changed. `retry_after` says when to try again.
    #[error("the store cannot take this now: {reason}")]
    Unavailable {
        /// For the operator's log.
        reason: &'static str,
        /// For the caller.
        retry_after: Duration,
    },
    /// The answer was lost on the way; it may have been done.
    #[error("the outcome is unknown")]
    OutcomeUnknown,
    /// What was stored cannot be read back. The text is for the operator's log and names the place.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Nothing changed, and a second's wait may help.
    pub fn busy(reason: &'static str) -> Self {
        Self::Unavailable { reason, retry_after: Duration::from_secs(1) }
    }
}
