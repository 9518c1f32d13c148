//! The single writer: takes whatever has arrived, decides it in order, makes it durable at once, then tells.
//!
//! What it knows of each poll ([`PollState`]) is what is durable; a commit works on copies, so that a commit that was
//! not written leaves no trace. Nothing is published or answered before the ledger has it.

use std::{collections::BTreeSet, mem, sync::Arc, time::Duration};

use canvass_domain::{
    Poll, Refusal, Sequence, Timestamp,
    code::Codes,
    decide,
    record::{self, Chain, Kind, Place, PollNumber, Record},
};
use canvass_ledger::{AppendError, Batch, Ledger, Position};
use rustc_hash::FxHashMap;

use super::{
    Clock,
    checkpoint::{Capture, CapturedPoll, Checkpointer},
    effect::{Change, Effect, Run},
    index::Fingerprint,
    lane::{Outbox, ReplyTo},
    prepared::Prepared,
    queue::{Queue, Work, refuse, stopped},
    shared::{PollCell, Shared},
};
use crate::{StoreError, VoteResult, limits::COMMIT_BYTES_MAX};

/// How long an idle writer sleeps at most before it looks at the clock again: a clock may jump.
const NAP_MAX: Duration = Duration::from_secs(1);

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
pub(super) struct Commit {
    pub(super) batch: Batch,
    pub(super) body: Vec<u8>,
    pub(super) working: FxHashMap<PollNumber, PollState>,
    pub(super) registry: Option<RegistryState>,
    pub(super) next_number: PollNumber,
    /// Voters with a record in this commit: where the newest lies.
    pub(super) overlay: FxHashMap<(PollNumber, u64), Position>,
    pub(super) effects: Vec<Effect>,
    answers: Vec<Answer>,
    /// The answers of the votes that are being decided; those before `settled` are durable or failed.
    votes: Vec<VoteResult>,
    settled: usize,
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
    pub(super) fn working<'c>(
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

    pub(super) fn take_due(
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

    fn finish_if_full(&mut self, commit: &mut Commit, outbox: &mut Outbox) {
        if commit.batch.len_bytes() > COMMIT_BYTES_MAX {
            // What it could not write was answered so; the next commit tries again or finds the ledger stopped.
            let _ = self.finish(commit, outbox);
        }
    }

    /// Makes the commit durable, publishes it and gives its answers; begins a new one. An error says that none of it
    /// happened, or that nobody can know.
    pub(super) fn finish(&mut self, commit: &mut Commit, outbox: &mut Outbox) -> Result<(), StoreError> {
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
            run.apply_all(effects);
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

/// Looks at the places in the index that the votes will be searched at, so that the processor fetches many of them from
/// memory at once instead of one after another: with millions of voters that wait is most of a search.
fn warm(cell: &PollCell, votes: &Prepared) {
    if votes.len() > 1 {
        let voters = cell.voters.read();
        std::hint::black_box(voters.index.warm(votes.hashes().map(Fingerprint::of_hash)));
    }
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
