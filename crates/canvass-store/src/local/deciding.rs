//! What the writer decides: votes, polls' steps, codes, keys and settings become records of the commit, or are refused.

use std::{mem, sync::Arc};

use canvass_domain::{
    Poll, PollId, Refusal, Sequence, Timestamp,
    code::{CodeHash, Codes},
    decide::{self, AcceptedVote, Facts, PollCommand, VoteDecision},
    poll::NewPoll,
    record::{
        self, Chain, CodesAdded, Kind, Place, PollEvent, PollNumber, REGISTRY, Record, Setting, Step,
        VoteBody, hexadecimal,
    },
    tally::{Books, Breakdown},
    vote::{Operation, Personal, StoredVote, VoteCommand},
};
use canvass_ledger::Position;

use super::{
    effect::{Change, Effect},
    index::Fingerprint,
    lane::Outbox,
    prepared::Asked,
    shared::{PollCell, Voters, vote_of},
    writer::{Commit, PollState, RegistryState, Writer},
};
use crate::{Receipt, StoreError, VoteOutcome, VoteResult, limits::POLLS_MAX};

impl Writer {
    pub(super) fn decide_vote(
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

    pub(super) fn create(
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

    pub(super) fn change(
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

    pub(super) fn push_step(
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

    pub(super) fn add_codes(
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

    pub(super) fn set(
        &mut self,
        commit: &mut Commit,
        setting: Setting,
        now: Timestamp,
    ) -> Result<String, StoreError> {
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

    pub(super) fn push_registry(
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

    pub(super) fn finish_erasure(&mut self, commit: &mut Commit, number: PollNumber, now: Timestamp) {
        self.end_erasure(commit, number, &PollCommand::FinishErasure, now);
    }

    pub(super) fn finish_voter_erasure(
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
