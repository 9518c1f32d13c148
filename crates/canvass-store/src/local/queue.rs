//! What waits for the writer, and how many votes and bytes of it there may be.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use canvass_domain::{
    Poll, PollId, Sequence, code::CodeHash, decide::PollCommand, key::Key, poll::NewPoll, record::Setting,
    tally::Breakdown,
};
use parking_lot::{Condvar, Mutex};

use super::{
    lane::{Outbox, ReplyTo},
    prepared::Prepared,
    shared::{PollCell, Shared},
};
use crate::{
    StoreError, VoteResult,
    limits::{COMMIT_VOTES_MAX, QUEUE_BYTES_MAX, QUEUE_VOTES_MAX},
};

/// Something for the writer to do.
pub(super) enum Work {
    Votes {
        cell: Arc<PollCell>,
        votes: Prepared,
        waiting: Waiting,
        reply: ReplyTo<Vec<VoteResult>>,
    },
    Create {
        request: Box<NewPoll>,
        given_id: PollId,
        actor: String,
        reply: ReplyTo<Arc<Poll>>,
    },
    Change {
        cell: Arc<PollCell>,
        command: PollCommand,
        expected: Option<u64>,
        actor: String,
        reply: ReplyTo<Arc<Poll>>,
    },
    Codes {
        cell: Arc<PollCell>,
        hashes: Vec<CodeHash>,
        actor: String,
        reply: ReplyTo<()>,
    },
    Key {
        key: Box<Key>,
        reply: ReplyTo<()>,
    },
    Setting {
        setting: Setting,
        reply: ReplyTo<String>,
    },
    /// A setting whatever its value was before.
    Put {
        setting: Setting,
        reply: ReplyTo<()>,
    },
    /// A poll's votes tell of nobody any more.
    Erased {
        cell: Arc<PollCell>,
    },
    /// Nor do these records of some of its voters, without which the breakdowns are as given.
    VoterErased {
        cell: Arc<PollCell>,
        records: Vec<Sequence>,
        breakdowns: Vec<Breakdown>,
    },
    Stop,
}

/// Counts votes as waiting from when they are asked for until they are decided or turned away, whether or not the
/// caller still waits.
pub(super) struct Waiting {
    shared: Arc<Shared>,
    votes: usize,
    bytes: usize,
}

impl Waiting {
    /// A place in the queue for these votes; none if it is full.
    pub(super) fn count(shared: &Arc<Shared>, votes: &Prepared) -> Option<Self> {
        let bytes = votes.bytes();
        let waiting = Self { shared: Arc::clone(shared), votes: votes.len(), bytes };
        let figures = &shared.figures;
        let now = figures.votes_waiting.fetch_add(waiting.votes, Ordering::Relaxed) + waiting.votes;
        let now_bytes = figures.bytes_waiting.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (now <= QUEUE_VOTES_MAX && now_bytes <= QUEUE_BYTES_MAX).then_some(waiting)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.shared.figures.votes_waiting.fetch_sub(self.votes, Ordering::Relaxed);
        self.shared.figures.bytes_waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Work {
    fn vote_count(&self) -> usize {
        match self {
            Self::Votes { votes, .. } => votes.len(),
            _ => 1,
        }
    }
}

/// What waits for the writer.
#[derive(Default)]
pub(super) struct Queue {
    line: Mutex<Line>,
    arrived: Condvar,
}

#[derive(Default)]
struct Line {
    work: VecDeque<Work>,
    is_closed: bool,
}

impl Queue {
    /// Adds work, or turns it away if the writer has gone.
    pub(super) fn push_all(&self, work: Vec<Work>) {
        let mut line = self.line.lock();
        if line.is_closed {
            drop(line);
            let mut outbox = Outbox::default();
            work.into_iter().for_each(|work| refuse(work, &stopped(), &mut outbox));
            return outbox.send();
        }
        line.work.extend(work);
        drop(line);
        self.arrived.notify_one();
    }

    /// Takes what there is, up to about a commit's worth; waits for some, but not longer than `nap`.
    pub(super) fn take(&self, into: &mut Vec<Work>, nap: Duration) {
        let mut line = self.line.lock();
        if line.work.is_empty() {
            self.arrived.wait_for(&mut line, nap);
        }
        let mut votes = 0;
        while votes < COMMIT_VOTES_MAX
            && let Some(work) = line.work.pop_front()
        {
            votes += work.vote_count();
            into.push(work);
        }
    }

    /// Whether the writer has gone.
    pub(super) fn is_closed(&self) -> bool {
        self.line.lock().is_closed
    }

    /// Turns away what comes from now on, and gives what is left.
    pub(super) fn close(&self) -> Vec<Work> {
        let mut line = self.line.lock();
        line.is_closed = true;
        line.work.drain(..).collect()
    }
}

/// What everybody is told after the ledger has failed.
pub(super) fn stopped() -> StoreError {
    StoreError::Unavailable {
        reason: "the ledger has stopped; restart the server",
        retry_after: Duration::from_secs(30),
    }
}

/// Answers whoever waits with an error.
pub(super) fn refuse(work: Work, error: &StoreError, outbox: &mut Outbox) {
    match work {
        Work::Votes { reply, votes, .. } => outbox.push_votes(reply, Err(error.clone()), votes),
        Work::Create { reply, .. } | Work::Change { reply, .. } => outbox.push(reply, Err(error.clone())),
        Work::Codes { reply, .. } | Work::Key { reply, .. } | Work::Put { reply, .. } => {
            outbox.push(reply, Err(error.clone()));
        }
        Work::Setting { reply, .. } => outbox.push(reply, Err(error.clone())),
        Work::Erased { .. } | Work::VoterErased { .. } | Work::Stop => {}
    }
}
