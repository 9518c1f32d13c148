//! What a commit's records do to what readers see, once they are durable.

use std::sync::Arc;

use canvass_domain::{
    Poll, Profile,
    record::{Place, Record, Step},
    tally::{Breakdown, fold_ballots, new_profile},
    vote::Marked,
};
use canvass_ledger::Position;
use parking_lot::RwLockWriteGuard;

use super::{
    index::{Fingerprint, VoterIndex},
    shared::{PollCell, Shared, Voters},
};
use crate::Snapshot;

/// What a record of the commit does to what readers see.
pub(super) struct Effect {
    pub(super) place: Place,
    pub(super) position: Position,
    pub(super) change: Change,
}

/// What changes.
pub(super) enum Change {
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

/// The effects of one poll's records that follow one another, folded in under one lock.
pub(super) struct Run<'a> {
    cell: &'a Arc<PollCell>,
    profile: RwLockWriteGuard<'a, Option<Profile>>,
    snapshot: RwLockWriteGuard<'a, Snapshot>,
    voters: RwLockWriteGuard<'a, Voters>,
    is_created: bool,
    is_deleted: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(cell: &'a Arc<PollCell>) -> Self {
        let profile = cell.profile.write();
        let (snapshot, voters) = (cell.snapshot.write(), cell.voters.write());
        Self { cell, profile, snapshot, voters, is_created: false, is_deleted: false }
    }

    pub(super) fn apply_all(&mut self, effects: &[Effect]) {
        effects.chunks(WARM_TOGETHER).for_each(|effects| self.apply_some(effects));
    }

    fn apply_some(&mut self, effects: &[Effect]) {
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

    pub(super) fn end(self, shared: &Shared) {
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
