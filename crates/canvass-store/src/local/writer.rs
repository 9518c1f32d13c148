//! The single writer: takes whatever has arrived, decides it in order, makes it durable at once, then tells.
//!
//! What it knows of each poll ([`PollState`]) is what is durable; a commit works on copies, so that a commit that was
//! not written leaves no trace. Nothing is published or answered before the ledger has it.

use std::{
    collections::BTreeSet,
    mem,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use canvass_domain::{
    Poll, PollId, Profile, Refusal, Sequence, Timestamp,
    code::{CodeHash, Codes},
    decide::{self, AcceptedVote, Facts, PollCommand, VoteDecision},
    key::Key,
    poll::NewPoll,
    record::{
        self, Chain, CodesAdded, Kind, Place, PollEvent, PollNumber, REGISTRY, Record, Setting, Step,
        VoteBody, hexadecimal,
    },
    tally::{Books, Breakdown, fold_ballots, new_profile},
    vote::{Marked, Operation, Personal, StoredVote, VoteCommand},
};
use canvass_ledger::{AppendError, Batch, Ledger, Position};
use parking_lot::{Condvar, Mutex, RwLockWriteGuard};
use rustc_hash::FxHashMap;

use super::{
    Clock,
    checkpoint::{Capture, CapturedPoll, Checkpointer},
    index::{Fingerprint, VoterIndex},
    lane::{Outbox, ReplyTo},
    prepared::{Asked, Prepared},
    shared::{PollCell, Shared, Voters, vote_of},
};
use crate::{
    Receipt, Snapshot, StoreError, VoteOutcome, VoteResult,
    limits::{COMMIT_BYTES_MAX, COMMIT_VOTES_MAX, POLLS_MAX, QUEUE_BYTES_MAX, QUEUE_VOTES_MAX},
};

/// How long an idle writer sleeps at most before it looks at the clock again: a clock may jump.
const NAP_MAX: Duration = Duration::from_secs(1);

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
    work: std::collections::VecDeque<Work>,
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
    fn take(&self, into: &mut Vec<Work>, nap: Duration) {
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

/// What the writer knows of one poll: all of it durable.
#[derive(Clone)]
pub(super) struct PollState {
    pub(super) cell: Arc<PollCell>,
    pub(super) poll: Arc<Poll>,
    pub(super) sequence: Sequence,
    pub(super) latest: Timestamp,
    pub(super) chain: Chain,
    pub(super) codes: Codes,
    pub(super) has_votes: bool,
    /// A deleted poll's state lives until its commit is done.
    pub(super) is_deleted: bool,
}

impl PollState {
    /// Goes on to the record that follows.
    pub(super) fn follow(&mut self, place: Place, kind: Kind, body: &[u8]) {
        self.chain = record::link(&self.chain, kind, body);
        self.sequence = place.sequence;
        self.latest = place.at;
        self.has_votes |= kind == Kind::Vote;
    }
}

/// The writer's own memory.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) queue: Arc<Queue>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ledger: Ledger,
    pub(super) states: FxHashMap<PollNumber, PollState>,
    pub(super) registry: RegistryState,
    pub(super) next_number: PollNumber,
    pub(super) due: BTreeSet<(Timestamp, PollNumber)>,
    pub(super) checkpointer: Checkpointer,
    pub(super) has_failed: bool,
    /// Whether a checkpoint is written after the commit, however short the way since the last.
    pub(super) wants_checkpoint: bool,
}

/// Where the registry's own records stand.
#[derive(Clone, Copy, Default)]
pub(super) struct RegistryState {
    pub(super) sequence: Sequence,
    pub(super) latest: Timestamp,
}

/// What one commit changes, until it is durable.
struct Commit {
    batch: Batch,
    body: Vec<u8>,
    working: FxHashMap<PollNumber, PollState>,
    registry: Option<RegistryState>,
    next_number: PollNumber,
    /// Voters with a record in this commit: where the newest lies.
    overlay: FxHashMap<(PollNumber, u64), Position>,
    effects: Vec<Effect>,
    answers: Vec<Answer>,
    /// The answers of the votes that are being decided; those before `settled` are durable or failed.
    votes: Vec<VoteResult>,
    settled: usize,
}

/// What a record of the commit does to what readers see.
struct Effect {
    place: Place,
    position: Position,
    change: Change,
}

enum Change {
    Poll(Arc<Poll>, Step),
    /// The poll, and its breakdowns without what was erased.
    VoterErased(Arc<Poll>, Vec<Breakdown>),
    Codes,
    Vote {
        fingerprint: Fingerprint,
        replaced: Option<Position>,
        /// Rare, and kept apart so that every other effect is small.
        removed: Option<Box<Marked>>,
        added: Option<Marked>,
    },
    Registry(Record),
}

/// An answer to give once the commit is durable.
enum Answer {
    /// Of these votes' answers, so many are durable already.
    Votes {
        to: ReplyTo<Vec<VoteResult>>,
        votes: Prepared,
        answers: Vec<VoteResult>,
        settled: usize,
    },
    Poll(ReplyTo<Arc<Poll>>, Result<Arc<Poll>, StoreError>),
    Done(ReplyTo<()>, Result<(), StoreError>),
    Text(ReplyTo<String>, Result<String, StoreError>),
}

impl Answer {
    fn send(self, outbox: &mut Outbox) {
        match self {
            Self::Votes { to, votes, answers, .. } => outbox.push_votes(to, Ok(answers), votes),
            Self::Poll(to, answer) => outbox.push(to, answer),
            Self::Done(to, answer) => outbox.push(to, answer),
            Self::Text(to, answer) => outbox.push(to, answer),
        }
    }

    fn fail(self, error: &StoreError, outbox: &mut Outbox) {
        match self {
            Self::Votes { to, votes, mut answers, settled } => {
                fail_votes(&mut answers[settled..], error);
                outbox.push_votes(to, Ok(answers), votes);
            }
            Self::Poll(to, _) => outbox.push(to, Err(error.clone())),
            Self::Done(to, _) => outbox.push(to, Err(error.clone())),
            Self::Text(to, _) => outbox.push(to, Err(error.clone())),
        }
    }
}

/// What was accepted has not happened, and what was refused may have been so for the sake of it.
fn fail_votes(answers: &mut [VoteResult], error: &StoreError) {
    answers.fill(Err(error.clone()));
}

impl Writer {
    /// Works until it is told to stop or the ledger fails.
    pub(super) fn run(mut self) {
        let mut commit = self.new_commit();
        let mut outbox = Outbox::default();
        let mut work = Vec::new();
        let (mut is_stopping, mut is_full) = (false, false);
        while !is_stopping && !self.has_failed {
            // A step that is due but finds no room on the disk stays due: it is tried again, but not without a pause.
            let nap = if is_full { NAP_MAX } else { self.nap() };
            self.queue.take(&mut work, nap);
            self.take_due_steps(&mut commit, &mut outbox);
            let now = self.clock.now();
            for item in work.drain(..) {
                if matches!(item, Work::Stop) {
                    is_stopping = true;
                } else {
                    self.take_work(&mut commit, &mut outbox, item, now);
                }
            }
            // Whoever waits was answered. On a full disk it goes on: there may be room again.
            is_full = self.finish(&mut commit, &mut outbox).is_err();
        }
        self.turn_away(&mut outbox);
        if !self.has_failed {
            self.checkpointer.finish(self.capture());
        }
    }

    /// Answers everybody who still waits when the writer goes.
    fn turn_away(&self, outbox: &mut Outbox) {
        for work in self.queue.close() {
            refuse(work, &stopped(), outbox);
        }
        outbox.send();
    }

    fn nap(&self) -> Duration {
        let Some((due, _)) = self.due.first() else { return NAP_MAX };
        let microseconds = due.microseconds().saturating_sub(self.clock.now().microseconds());
        u64::try_from(microseconds).map_or(Duration::ZERO, |wait| Duration::from_micros(wait).min(NAP_MAX))
    }

    fn new_commit(&self) -> Commit {
        let mut batch = Batch::new();
        batch.begin(self.ledger.end());
        Commit {
            batch,
            body: Vec::new(),
            working: FxHashMap::default(),
            registry: None,
            next_number: self.next_number,
            overlay: FxHashMap::default(),
            effects: Vec::new(),
            answers: Vec::new(),
            votes: Vec::new(),
            settled: 0,
        }
    }

    /// The state that the commit works on: copied on first use.
    fn working<'c>(
        &self,
        commit: &'c mut Commit,
        number: PollNumber,
    ) -> Result<&'c mut PollState, StoreError> {
        use std::collections::hash_map::Entry;
        match commit.working.entry(number) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let state = self.states.get(&number).ok_or(StoreError::Refused(Refusal::PollNotFound))?;
                Ok(entry.insert(state.clone()))
            }
        }
    }

    /// The steps that time has made due become records, in one commit of their own.
    fn take_due_steps(&mut self, commit: &mut Commit, outbox: &mut Outbox) {
        let now = self.clock.now();
        let due: Vec<_> = self.due.range(..=(now, PollNumber::MAX)).map(|(_, number)| *number).collect();
        for number in due {
            if let Err(error) = self.take_due(commit, number, now) {
                tracing::error!(%error, "a poll's scheduled step was not taken");
            }
            self.finish_if_full(commit, outbox);
        }
    }

    fn take_due(
        &mut self,
        commit: &mut Commit,
        number: PollNumber,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let state = self.working(commit, number)?;
        for (step, poll) in decide::decide_due(&state.poll, now.max(state.latest)) {
            self.push_step(commit, number, step, poll, "schedule", now)?;
        }
        Ok(())
    }

    fn take_work(&mut self, commit: &mut Commit, outbox: &mut Outbox, work: Work, now: Timestamp) {
        if !matches!(work, Work::Votes { .. }) && commit.batch.len_bytes() > COMMIT_BYTES_MAX / 2 {
            // Several large events must fit: a poll that is created open is two.
            let _ = self.finish(commit, outbox);
        }
        let answer = match work {
            Work::Votes { cell, mut votes, waiting: _waiting, reply } => {
                commit.votes = Vec::with_capacity(votes.len());
                commit.settled = 0;
                warm(&cell, &votes);
                for mut vote in votes.iter_mut() {
                    let result = self.decide_vote(commit, outbox, cell.number, &mut vote, now);
                    commit.votes.push(result);
                    self.finish_if_full(commit, outbox);
                }
                let settled = mem::take(&mut commit.settled);
                Answer::Votes { to: reply, votes, answers: mem::take(&mut commit.votes), settled }
            }
            Work::Create { request, given_id, actor, reply } => {
                Answer::Poll(reply, self.create(commit, *request, given_id, &actor, now))
            }
            Work::Change { cell, command, expected, actor, reply } => {
                Answer::Poll(reply, self.change(commit, cell.number, &command, expected, &actor, now))
            }
            Work::Codes { cell, hashes, actor, reply } => {
                Answer::Done(reply, self.add_codes(commit, cell.number, hashes, actor, now))
            }
            Work::Key { key, reply } => {
                Answer::Done(reply, self.push_registry(commit, Record::Key(key), now))
            }
            Work::Setting { setting, reply } => Answer::Text(reply, self.set(commit, setting, now)),
            Work::Put { setting, reply } => {
                Answer::Done(reply, self.push_registry(commit, Record::Setting(setting), now))
            }
            Work::Erased { cell } => return self.finish_erasure(commit, cell.number, now),
            Work::VoterErased { cell, records, breakdowns } => {
                return self.finish_voter_erasure(commit, cell.number, records, breakdowns, now);
            }
            Work::Stop => return,
        };
        commit.answers.push(answer);
        self.finish_if_full(commit, outbox);
    }

    fn finish_erasure(&mut self, commit: &mut Commit, number: PollNumber, now: Timestamp) {
        self.end_erasure(commit, number, &PollCommand::FinishErasure, now);
    }

    fn finish_voter_erasure(
        &mut self,
        commit: &mut Commit,
        number: PollNumber,
        records: Vec<Sequence>,
        breakdowns: Vec<Breakdown>,
        now: Timestamp,
    ) {
        self.end_erasure(commit, number, &PollCommand::FinishVoterErasure(records), now);
        if let Some(Effect { change, .. }) = commit.effects.last_mut()
            && let Change::Poll(poll, Step::VoterErased) = change
        {
            *change = Change::VoterErased(Arc::clone(poll), breakdowns);
        }
    }

    /// A checkpoint may hold what voters told, so a new one takes its place.
    fn end_erasure(&mut self, commit: &mut Commit, number: PollNumber, end: &PollCommand, now: Timestamp) {
        match self.change(commit, number, end, None, "schedule", now) {
            Ok(_) => self.wants_checkpoint = true,
            Err(error) => {
                tracing::warn!(%error, "the end of an erasure was not recorded; the next start does it again");
            }
        }
    }

    fn finish_if_full(&mut self, commit: &mut Commit, outbox: &mut Outbox) {
        if commit.batch.len_bytes() > COMMIT_BYTES_MAX {
            // What it could not write was answered so; the next commit tries again or finds the ledger stopped.
            let _ = self.finish(commit, outbox);
        }
    }

    fn decide_vote(
        &mut self,
        commit: &mut Commit,
        outbox: &mut Outbox,
        number: PollNumber,
        vote: &mut Asked<'_>,
        now: Timestamp,
    ) -> VoteResult {
        let history = match self.history(commit, number, vote)? {
            Found::Here(history) => history,
            Found::AfterCommit => {
                self.finish(commit, outbox)?;
                match self.history(commit, number, vote)? {
                    Found::Here(history) => history,
                    Found::AfterCommit => return Err(StoreError::busy("a voter's record was not found")),
                }
            }
        };
        let state = self.working(commit, number)?;
        let now = now.max(state.latest);
        if state.poll.next_due().is_some_and(|due| due <= now) {
            self.take_due(commit, number, now)?;
        }
        let state = self.working(commit, number)?;
        match decide::decide_vote(&state.poll, &state.codes, &history.votes, vote.command, now)? {
            VoteDecision::Replay(stored) => Ok(VoteOutcome::Replayed(stored)),
            VoteDecision::Accept(accepted) => {
                self.push_vote(commit, number, vote, accepted, history.latest, now)
            }
        }
    }

    /// What is known of the voter, newest first: the latest record, and under an idempotency key those before it.
    fn history(&self, commit: &Commit, number: PollNumber, vote: &Asked<'_>) -> Result<Found, StoreError> {
        let voter = &vote.command.voter;
        let state = commit.working.get(&number).or_else(|| self.states.get(&number));
        let Some(state) = state else { return Err(StoreError::Refused(Refusal::PollNotFound)) };
        if let Some(position) = commit.overlay.get(&(number, vote.hash)) {
            // A voter with the same hash, or a key to look for further back: rare, and plain once the commit is done.
            let record = commit.batch.record_at(*position);
            let Some(stored) = record.map(|record| vote_of(record, voter)).transpose()?.flatten() else {
                return Ok(Found::AfterCommit);
            };
            if needs_more(&stored, vote.command) {
                return Ok(Found::AfterCommit);
            }
            return Ok(Found::Here(History { latest: Some(*position), votes: vec![stored] }));
        }
        let voters = state.cell.voters.read();
        let Some((position, stored)) = self.shared.latest(&voters, vote.hash, voter)? else {
            return Ok(Found::Here(History { latest: None, votes: Vec::new() }));
        };
        let mut votes = vec![stored];
        while let Some(last) = votes.last()
            && needs_more(last, vote.command)
        {
            let earlier = last.previous.and_then(|sequence| voters.places.get(sequence));
            let Some(earlier) = earlier else { break };
            match self.shared.vote_at(earlier, voter)? {
                Some(stored) => votes.push(stored),
                None => break,
            }
        }
        Ok(Found::Here(History { latest: Some(position), votes }))
    }

    fn push_vote(
        &mut self,
        commit: &mut Commit,
        number: PollNumber,
        vote: &mut Asked<'_>,
        accepted: AcceptedVote,
        replaced: Option<Position>,
        now: Timestamp,
    ) -> VoteResult {
        let previous = accepted.previous;
        let standing = previous.as_ref().filter(|vote| vote.operation != Operation::Withdraw);
        let removed = standing.and_then(|vote| vote.marked.clone()).map(Box::new);
        let again = removed.as_ref().filter(|removed| !removed.answers.is_empty()).map(|removed| {
            let mut personal = Vec::with_capacity(2 * vote.personal.len());
            vote.command.encode_personal(&removed.answers, &mut personal);
            (Personal::hash(&personal), personal)
        });
        let (personal_hash, personal) = match &again {
            Some((hash, personal)) => (hash, &personal[..]),
            None => (vote.personal_hash, vote.personal),
        };
        let added = match accepted.operation {
            Operation::Withdraw => None,
            Operation::Cast | Operation::Change => vote.command.marked.take(),
        };
        let state = self.working(commit, number)?;
        let place = Place { poll: number, sequence: state.sequence.next(), at: now };
        let vote_id = previous.as_ref().map_or(vote.command.vote_id, |vote| vote.vote_id);
        let body = VoteBody {
            vote_id,
            operation: accepted.operation,
            previous: previous.as_ref().and_then(|vote| vote.sequence),
            revision: accepted.revision,
            personal_hash,
            added: added.as_ref().map(|marked| (&marked.ballot, marked.weight)),
            removed: removed.as_ref().map(|marked| (&marked.ballot, marked.weight)),
        };
        let mut body_bytes = mem::take(&mut commit.body);
        body_bytes.clear();
        record::encode_vote(&mut body_bytes, place, &body);
        let pushed = commit.batch.push(Kind::Vote as u8, &body_bytes, personal);
        let position = pushed.map_err(|_| StoreError::busy("the record does not fit the commit"))?;
        self.working(commit, number)?.follow(place, Kind::Vote, &body_bytes);
        commit.body = body_bytes;
        commit.overlay.insert((number, vote.hash), position);
        commit.effects.push(Effect {
            place,
            position,
            change: Change::Vote { fingerprint: Fingerprint::of_hash(vote.hash), replaced, removed, added },
        });
        Ok(VoteOutcome::Accepted(Receipt {
            vote_id,
            operation: accepted.operation,
            cast_at: now,
            sequence: Some(place.sequence),
        }))
    }

    fn create(
        &mut self,
        commit: &mut Commit,
        request: NewPoll,
        given_id: PollId,
        actor: &str,
        now: Timestamp,
    ) -> Result<Arc<Poll>, StoreError> {
        if self.states.len() + commit.working.len() >= POLLS_MAX {
            return Err(StoreError::busy("the store holds as many polls as it can"));
        }
        let steps = decide::decide_create(request, given_id, now)?;
        let (_, first) = steps.first().ok_or_else(|| StoreError::busy("nothing was decided"))?;
        let taken = commit.working.values().any(|state| state.poll.id == first.id && !state.is_deleted)
            || self
                .shared
                .cell(&first.id)
                .is_ok_and(|cell| commit.working.get(&cell.number).is_none_or(|state| !state.is_deleted));
        if taken {
            return Err(Refusal::PollExists.into());
        }
        let number = commit.next_number;
        commit.next_number += 1;
        let created = Arc::new(first.clone());
        let books = Books::new(&created);
        let cell = Arc::new(PollCell::new(number, Arc::clone(&created), books, Voters::default()));
        let state = PollState {
            cell,
            poll: created,
            sequence: Sequence(0),
            latest: now,
            chain: Chain::default(),
            codes: Codes::default(),
            has_votes: false,
            is_deleted: false,
        };
        commit.working.insert(number, state);
        for (step, poll) in steps {
            self.push_step(commit, number, step, poll, actor, now)?;
        }
        Ok(Arc::clone(&self.working(commit, number)?.poll))
    }

    fn change(
        &mut self,
        commit: &mut Commit,
        number: PollNumber,
        command: &PollCommand,
        expected: Option<u64>,
        actor: &str,
        now: Timestamp,
    ) -> Result<Arc<Poll>, StoreError> {
        let state = self.working(commit, number)?;
        if state.is_deleted {
            return Err(Refusal::PollNotFound.into());
        }
        let now = now.max(state.latest);
        self.take_due(commit, number, now)?;
        let state = self.working(commit, number)?;
        let facts = Facts { has_votes: state.has_votes, codes: state.codes.len() };
        if let Some((step, poll)) = decide::decide_poll(&state.poll, facts, command, expected, now)? {
            self.push_step(commit, number, step, poll, actor, now)?;
        }
        Ok(Arc::clone(&self.working(commit, number)?.poll))
    }

    fn push_step(
        &mut self,
        commit: &mut Commit,
        number: PollNumber,
        step: Step,
        poll: Poll,
        actor: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let state = self.working(commit, number)?;
        let chain = hexadecimal(&state.chain);
        let event = PollEvent { step, actor: actor.to_owned(), poll, chain };
        let record = Record::Poll(Box::new(event));
        let (place, position) = self.push_event(commit, number, &record, now)?;
        let Record::Poll(event) = record else { return Ok(()) };
        let poll = Arc::new(event.poll);
        let state = self.working(commit, number)?;
        state.poll = Arc::clone(&poll);
        state.is_deleted = step == Step::Deleted;
        commit.effects.push(Effect { place, position, change: Change::Poll(poll, step) });
        Ok(())
    }

    fn add_codes(
        &mut self,
        commit: &mut Commit,
        number: PollNumber,
        hashes: Vec<CodeHash>,
        actor: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let state = self.working(commit, number)?;
        if state.is_deleted {
            return Err(Refusal::PollNotFound.into());
        }
        let facts = Facts { has_votes: state.has_votes, codes: state.codes.len() };
        decide::decide_poll(&state.poll, facts, &PollCommand::AddCodes(hashes.len()), None, now)?;
        let record = Record::Codes(CodesAdded { actor, hashes });
        let (place, position) = self.push_event(commit, number, &record, now)?;
        if let Record::Codes(codes) = record {
            self.working(commit, number)?.codes.add(codes.hashes);
        }
        commit.effects.push(Effect { place, position, change: Change::Codes });
        Ok(())
    }

    fn push_event(
        &mut self,
        commit: &mut Commit,
        number: PollNumber,
        record: &Record,
        now: Timestamp,
    ) -> Result<(Place, Position), StoreError> {
        let state = self.working(commit, number)?;
        let place = Place { poll: number, sequence: state.sequence.next(), at: now.max(state.latest) };
        let mut body = Vec::new();
        let kind = record::encode_event(&mut body, place, record);
        let pushed = commit.batch.push(kind as u8, &body, &[]);
        let position = pushed.map_err(|_| StoreError::busy("the commit was full"))?;
        self.working(commit, number)?.follow(place, kind, &body);
        Ok((place, position))
    }

    fn set(&mut self, commit: &mut Commit, setting: Setting, now: Timestamp) -> Result<String, StoreError> {
        let pending = commit.effects.iter().rev().find_map(|effect| match &effect.change {
            Change::Registry(Record::Setting(known)) if known.name == setting.name => {
                Some(known.value.clone())
            }
            _ => None,
        });
        if let Some(value) = pending.or_else(|| self.shared.registry().settings.get(&setting.name).cloned()) {
            return Ok(value);
        }
        let value = setting.value.clone();
        self.push_registry(commit, Record::Setting(setting), now)?;
        Ok(value)
    }

    fn push_registry(
        &mut self,
        commit: &mut Commit,
        record: Record,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let registry = commit.registry.get_or_insert(self.registry);
        let place =
            Place { poll: REGISTRY, sequence: registry.sequence.next(), at: now.max(registry.latest) };
        let mut body = Vec::new();
        let kind = record::encode_event(&mut body, place, &record);
        let pushed = commit.batch.push(kind as u8, &body, &[]);
        let position = pushed.map_err(|_| StoreError::busy("the commit was full"))?;
        *registry = RegistryState { sequence: place.sequence, latest: place.at };
        commit.effects.push(Effect { place, position, change: Change::Registry(record) });
        Ok(())
    }

    /// Makes the commit durable, publishes it and gives its answers; begins a new one. An error says that none of it
    /// happened, or that nobody can know.
    fn finish(&mut self, commit: &mut Commit, outbox: &mut Outbox) -> Result<(), StoreError> {
        let started = self.clock.now();
        let written = if commit.batch.is_empty() {
            Ok(self.ledger.end())
        } else {
            self.ledger.append(&mut commit.batch)
        };
        let result = match written {
            Ok(_) => {
                self.count(commit, started);
                self.publish(commit);
                commit.answers.drain(..).for_each(|answer| answer.send(outbox));
                Ok(())
            }
            Err(error) => {
                tracing::error!(error = %error, cause = ?std::error::Error::source(&error), "a commit was not written");
                self.has_failed |= !matches!(error, AppendError::Full(_));
                let meaning = meaning(&error);
                commit.answers.drain(..).for_each(|answer| answer.fail(&meaning, outbox));
                let settled = commit.settled.min(commit.votes.len());
                fail_votes(&mut commit.votes[settled..], &meaning);
                Err(meaning)
            }
        };
        commit.settled = commit.votes.len();
        outbox.send();
        commit.working.clear();
        commit.registry = None;
        commit.overlay.clear();
        commit.effects.clear();
        commit.next_number = self.next_number;
        commit.batch.begin(self.ledger.end());
        let wants_checkpoint = mem::take(&mut self.wants_checkpoint);
        if result.is_ok() && (wants_checkpoint || self.checkpointer.is_due(self.ledger.end())) {
            self.checkpointer.start(self.capture());
        }
        result
    }

    fn count(&self, commit: &Commit, started: Timestamp) {
        if commit.effects.is_empty() {
            return;
        }
        let figures = &self.shared.figures;
        let taken = self.clock.now().microseconds().saturating_sub(started.microseconds());
        figures.commit_records.add(commit.effects.len() as u64);
        figures.commit_microseconds.add(u64::try_from(taken).unwrap_or(0));
    }

    /// Lets readers see what is durable now, poll by poll and in order.
    fn publish(&mut self, commit: &mut Commit) {
        self.next_number = commit.next_number;
        if let Some(registry) = commit.registry {
            self.registry = registry;
        }
        for effects in commit.effects.chunk_by(|one, next| one.place.poll == next.place.poll) {
            let number = effects[0].place.poll;
            let Some(state) = commit.working.get(&number) else {
                effects.iter().for_each(|effect| self.fold_registry(effect));
                continue;
            };
            let mut run = Run::new(&state.cell);
            effects.chunks(WARM_TOGETHER).for_each(|effects| run.apply_all(effects));
            run.end(&self.shared);
        }
        commit.effects.clear();
        for (number, state) in commit.working.drain() {
            self.keep(number, state);
        }
    }

    fn fold_registry(&self, effect: &Effect) {
        if let Change::Registry(record) = &effect.change {
            self.shared.fold_registry(record);
        }
    }

    /// Takes a poll's state over as durable.
    fn keep(&mut self, number: PollNumber, state: PollState) {
        let before = self.states.get(&number).and_then(|state| state.poll.next_due());
        let after = state.poll.next_due().filter(|_| !state.is_deleted);
        if before != after {
            self.due.extend(after.map(|due| (due, number)));
            if let Some(before) = before {
                self.due.remove(&(before, number));
            }
        }
        if state.is_deleted {
            self.states.remove(&number);
        } else {
            self.states.insert(number, state);
        }
    }

    /// Everything as it stands after the last commit. It shares what it can with the writer.
    fn capture(&self) -> Capture {
        let polls = self.states.values().map(|state| CapturedPoll {
            profile: state.cell.profile.read().clone(),
            tally: Arc::clone(&state.cell.snapshot.read().tally),
            voters: state.cell.voters.write().share(),
            state: state.clone(),
        });
        Capture {
            position: self.ledger.end(),
            hash_key: self.shared.hash_key,
            next_number: self.next_number,
            registry_state: self.registry,
            registry: self.shared.registry(),
            polls: polls.collect(),
        }
    }
}

/// The effects of one poll's records that follow one another, folded in under one lock.
struct Run<'a> {
    cell: &'a Arc<PollCell>,
    profile: RwLockWriteGuard<'a, Option<Profile>>,
    snapshot: RwLockWriteGuard<'a, Snapshot>,
    voters: RwLockWriteGuard<'a, Voters>,
    is_created: bool,
    is_deleted: bool,
}

impl<'a> Run<'a> {
    fn new(cell: &'a Arc<PollCell>) -> Self {
        let profile = cell.profile.write();
        let (snapshot, voters) = (cell.snapshot.write(), cell.voters.write());
        Self { cell, profile, snapshot, voters, is_created: false, is_deleted: false }
    }

    fn apply_all(&mut self, effects: &[Effect]) {
        let voters = effects.iter().filter_map(|effect| match &effect.change {
            Change::Vote { fingerprint, .. } => Some(*fingerprint),
            _ => None,
        });
        std::hint::black_box(self.voters.index.warm(voters));
        effects.iter().for_each(|effect| self.apply(effect));
    }

    fn apply(&mut self, effect: &Effect) {
        let Place { sequence, at, .. } = effect.place;
        self.voters.places.push(effect.position);
        let snapshot = &mut *self.snapshot;
        let tally = Arc::make_mut(&mut snapshot.tally);
        match &effect.change {
            Change::Vote { fingerprint, replaced, removed, added } => {
                let (removed, added) = (removed.as_deref(), added.as_ref());
                tally.fold_vote(sequence, at, removed, added);
                fold_ballots(&mut self.profile, removed.map(Marked::weighed), added.map(Marked::weighed));
                self.voters.index.set(*fingerprint, *replaced, effect.position);
            }
            Change::Poll(poll, step) => {
                tally.fold_event(sequence, at, Some(poll));
                if tally.votes == 0 {
                    // Without a vote, options and method may have changed.
                    *self.profile = new_profile(poll);
                }
                snapshot.poll = Arc::clone(poll);
                if *step == Step::Archived || !poll.personal_data.is_kept() {
                    // Nobody votes here again, so the memory is given back; a vote is found by reading the records.
                    self.voters.index = VoterIndex::default();
                }
                if *step == Step::VoterErasureBegun {
                    self.voters.forget(&poll.erasing_records);
                }
                self.is_created |= *step == Step::Created;
                self.is_deleted |= *step == Step::Deleted;
            }
            Change::VoterErased(poll, breakdowns) => {
                tally.fold_event(sequence, at, Some(poll));
                if poll.personal_data.is_kept() {
                    tally.breakdowns.clone_from(breakdowns);
                }
                snapshot.poll = Arc::clone(poll);
            }
            Change::Codes => tally.fold_event(sequence, at, None),
            Change::Registry(_) => {}
        }
    }

    fn end(self, shared: &Shared) {
        let Self { cell, profile, snapshot, voters, is_created, is_deleted } = self;
        let (poll, sequence) = (Arc::clone(&snapshot.poll), snapshot.tally.sequence);
        drop((profile, snapshot, voters));
        if is_created {
            shared.add_poll(Arc::clone(cell));
        }
        if is_deleted {
            shared.remove_poll(&poll);
        }
        cell.sequence.send_replace(sequence);
    }
}

/// Effects whose places in the index are looked at together before they are set: few enough to stay in the nearest
/// memory.
const WARM_TOGETHER: usize = 256;

/// Looks at the places in the index that the votes will be searched at, so that the processor fetches many of them from
/// memory at once instead of one after another: with millions of voters that wait is most of a search.
fn warm(cell: &PollCell, votes: &Prepared) {
    if votes.len() > 1 {
        let voters = cell.voters.read();
        std::hint::black_box(voters.index.warm(votes.hashes().map(Fingerprint::of_hash)));
    }
}

/// What is known of a voter.
struct History {
    latest: Option<Position>,
    votes: Vec<StoredVote>,
}

enum Found {
    Here(History),
    /// The commit must be finished to know.
    AfterCommit,
}

fn needs_more(last: &StoredVote, command: &VoteCommand) -> bool {
    command.idempotency_key.as_ref().is_some_and(|key| {
        last.previous.is_some() && last.idempotency.as_ref().is_none_or(|(known, _)| known != key)
    })
}

fn meaning(error: &AppendError) -> StoreError {
    match error {
        AppendError::Full(_) => {
            StoreError::Unavailable { reason: "the disk is full", retry_after: Duration::from_secs(5) }
        }
        AppendError::Failed(_) => StoreError::OutcomeUnknown,
        _ => stopped(),
    }
}

/// What everybody is told after the ledger has failed.
pub(super) fn stopped() -> StoreError {
    StoreError::Unavailable {
        reason: "the ledger has stopped; restart the server",
        retry_after: Duration::from_secs(30),
    }
}

fn refuse(work: Work, error: &StoreError, outbox: &mut Outbox) {
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
