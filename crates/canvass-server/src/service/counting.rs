//! Counts of polls whose method counts ballots and not only marks: off the way of votes, and at a bounded rate.
//!
//! A count is of one sequence, with the poll and the tally as they stood then. It is made when somebody asks for it, on
//! a thread that may take its time, from a copy of the distinct ballots. Where these are few, whoever asks waits for
//! the newest. Where they are many, a count that is there stands until the next one is made; but of a poll that is
//! over, only the count of its last sequence will do.
//!
//! A poll's counts take at most a part of one core's time, so that voting goes on beside them: after each, the next
//! waits for a few times as long as it took. Of polls with many distinct ballots one is counted at a time, in memory
//! that is used again; so all of them together hold one such copy, as large as that of the largest poll.

use std::{sync::Arc, time::Duration};

use canvass_domain::{Count, PollId, Profile, Sequence, Timestamp, results::count};
use canvass_store::{Snapshot, StoreError};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::{sync, time::Instant};

use crate::{
    app::App,
    limits::{COUNT_AGE_MAX, COUNT_PAUSE_MAX, COUNT_PAUSE_PARTS, COUNTED_NEWEST_MAX, COUNTS_READY_MAX},
    service::Failure,
};

/// A poll's count, with the poll and the tally of the same sequence.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) snapshot: Snapshot,
    pub(crate) count: Arc<Count>,
    /// How many distinct ballots were counted.
    ballots: usize,
    began: Instant,
    ended: Instant,
}

/// The newest count of each poll that was asked for.
#[derive(Default)]
pub(crate) struct Counts {
    slots: Mutex<FxHashMap<PollId, Arc<Slot>>>,
    /// Where the ballots of large polls are copied to, one poll at a time.
    spare: Arc<sync::Mutex<Profile>>,
}

#[derive(Default)]
struct Slot {
    newest: Mutex<Option<Counted>>,
    turn: sync::Mutex<()>,
}

impl Counts {
    fn slot(&self, poll: &PollId) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        if slots.len() >= COUNTS_READY_MAX && !slots.contains_key(poll) {
            slots.clear();
        }
        Arc::clone(slots.entry(poll.clone()).or_default())
    }
}

impl Slot {
    /// The newest count, if it is at least of this sequence of this poll.
    fn reaching(&self, sequence: Sequence, created_at: Timestamp) -> Option<Counted> {
        let newest = self.newest.lock().clone()?;
        let reaches = newest.snapshot.tally.sequence >= sequence;
        // Another poll may have had this id before.
        (reaches && newest.snapshot.poll.created_at == created_at).then_some(newest)
    }

    /// The newest count, if it stands for the poll as it is now: there are many ballots to count, and it is young, or
    /// the next one is not due yet or under way. A few are always counted anew: a voter looks for the vote just cast.
    fn standing(&self, snapshot: &Snapshot) -> Option<Counted> {
        let newest = self.reaching(Sequence(0), snapshot.poll.created_at)?;
        if newest.ballots <= COUNTED_NEWEST_MAX
            || snapshot.poll.status.is_over()
            || newest.snapshot.poll.status != snapshot.poll.status
        {
            return None;
        }
        let is_young = newest.began.elapsed() < COUNT_AGE_MAX || Instant::now() < newest.next_due();
        (is_young || self.turn.try_lock().is_err()).then_some(newest)
    }
}

impl Counted {
    fn took(&self) -> Duration {
        self.ended - self.began
    }

    /// When the poll may be counted again.
    fn next_due(&self) -> Instant {
        self.ended + (self.took() * COUNT_PAUSE_PARTS).min(COUNT_PAUSE_MAX)
    }
}

impl App {
    /// The count of a poll as it stands, or of the sequence that was counted last. What it is a count of comes with it.
    pub(crate) async fn counted(&self, snapshot: &Snapshot) -> Result<Counted, Failure> {
        if !snapshot.poll.method.counts_ballots() {
            let began = Instant::now();
            let count = Arc::new(count(&snapshot.poll, &snapshot.tally, None));
            return Ok(Counted { snapshot: snapshot.clone(), count, ballots: 0, began, ended: began });
        }
        let slot = self.parts.counts.slot(&snapshot.poll.id);
        let (sequence, created_at) = (snapshot.tally.sequence, snapshot.poll.created_at);
        if let Some(counted) = slot.reaching(sequence, created_at).or_else(|| slot.standing(snapshot)) {
            return Ok(counted);
        }
        // A count that was begun is finished, whether or not the caller still waits, so that none are made side by
        // side.
        let (app, poll) = (self.clone(), snapshot.poll.id.clone());
        let counting = tokio::spawn(async move { app.count_anew(&slot, poll, sequence, created_at).await });
        let counted = counting.await.unwrap_or_else(|_| Err(StoreError::busy("the counting thread ended")));
        counted.map_err(|error| self.failed(error))
    }

    async fn count_anew(
        &self,
        slot: &Arc<Slot>,
        poll: PollId,
        sequence: Sequence,
        created_at: Timestamp,
    ) -> Result<Counted, StoreError> {
        let _turn = slot.turn.lock().await;
        if let Some(counted) = slot.reaching(sequence, created_at) {
            return Ok(counted);
        }
        let before = slot.newest.lock().clone();
        if let Some(before) = before.as_ref().filter(|before| before.ballots <= COUNTED_NEWEST_MAX) {
            tokio::time::sleep_until(before.next_due()).await;
        }
        let is_large = before.is_none_or(|before| before.ballots > COUNTED_NEWEST_MAX);
        let counted = if is_large {
            let mut spare = Arc::clone(&self.parts.counts.spare).lock_owned().await;
            let began = Instant::now();
            let (snapshot, profile) = self.store().profile(&poll, std::mem::take(&mut *spare)).await?;
            let (counted, profile) = count_apart(snapshot, profile, began).await?;
            *spare = profile.unwrap_or_default();
            counted
        } else {
            let began = Instant::now();
            let (snapshot, profile) = self.store().profile(&poll, Profile::default()).await?;
            count_apart(snapshot, profile, began).await?.0
        };
        *slot.newest.lock() = Some(counted.clone());
        Ok(counted)
    }
}

/// Counts on a thread that may take its time.
async fn count_apart(
    snapshot: Snapshot,
    profile: Option<Profile>,
    began: Instant,
) -> Result<(Counted, Option<Profile>), StoreError> {
    let work = move || {
        let count = Arc::new(count(&snapshot.poll, &snapshot.tally, profile.as_ref()));
        let ballots = profile.as_ref().map_or(0, Profile::len);
        (Counted { snapshot, count, ballots, began, ended: Instant::now() }, profile)
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::busy("the counting thread ended"))
}
