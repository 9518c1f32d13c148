//! What readers see: a poll with its tally, as the counters have it, and the distinct ballots from the ballot log.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use canvass_domain::{
    Ballot, PollId, Profile, Sequence, Total,
    tally::{
        Tally, new_profile,
        parts::{PartId, decode_ballots},
    },
};
use canvass_store::{Snapshot, StoreError};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    counters::{PARTS_BETWEEN, Parts, log_sort, part_of},
    engine::Engine,
    folding::Counters,
    items::{Head, PollKey, bytes, damaged, text},
    limits::{CONFLICTS_MAX, POLLS_KNOWN_MAX},
    shared::{Found, Told},
    tables::SORT,
};

/// Tallies as they were read last, and who waits for newer ones.
#[derive(Default)]
pub(crate) struct Tallies {
    by_poll: Mutex<FxHashMap<PollId, Arc<Slot>>>,
    ballots: Mutex<FxHashMap<PollKey, Arc<tokio::sync::Mutex<Ballots>>>>,
    watched: Mutex<FxHashMap<PollId, watch::Sender<Sequence>>>,
    /// Told when this server has folded something in.
    pub(crate) folded: Notify,
}

/// A poll's tally as it was read last. It stays when it may not be shown any more: what is read after it is never
/// older.
#[derive(Default)]
struct Slot {
    known: tokio::sync::Mutex<Option<Known>>,
    is_forgotten: AtomicBool,
}

/// A poll with its tally.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) key: PollKey,
    /// How many of the poll's records are beside votes.
    pub(crate) events: u64,
    pub(crate) snapshot: Snapshot,
    read_at: Instant,
}

impl Known {
    /// One that was read just now.
    pub(crate) fn new(key: PollKey, events: u64, snapshot: Snapshot) -> Self {
        Self { key, events, snapshot, read_at: Instant::now() }
    }
}

/// A poll's distinct ballots as far as the log was read: signed, since a ballot may be taken away before it comes.
#[derive(Default)]
struct Ballots {
    records: u64,
    totals: HashMap<Ballot, i128>,
}

impl Tallies {
    /// Has the poll's tally read anew when it is next asked for.
    pub(crate) fn forget(&self, id: &PollId) {
        if let Some(slot) = self.by_poll.lock().get(id) {
            slot.is_forgotten.store(true, Ordering::Relaxed);
        }
    }

    fn slot(&self, id: &PollId) -> Arc<Slot> {
        let mut by_poll = self.by_poll.lock();
        if by_poll.len() >= POLLS_KNOWN_MAX {
            by_poll.clear();
        }
        Arc::clone(by_poll.entry(id.clone()).or_default())
    }

    fn ballots(&self, key: &PollKey) -> Arc<tokio::sync::Mutex<Ballots>> {
        let mut ballots = self.ballots.lock();
        if ballots.len() >= POLLS_KNOWN_MAX {
            ballots.clear();
        }
        Arc::clone(ballots.entry(key.clone()).or_default())
    }
}

impl Engine {
    /// A poll with its tally, as it was a moment ago at most.
    pub(crate) async fn tally(&self, id: &PollId) -> Result<Snapshot, StoreError> {
        self.known_tally(id, Sequence(0)).await.map(|known| known.snapshot)
    }

    /// The poll's tally, read anew if it is known to have gone on to a sequence.
    async fn known_tally(&self, id: &PollId, told: Sequence) -> Result<Known, StoreError> {
        let slot = self.tallies.slot(id);
        let mut known = slot.known.lock().await;
        let is_forgotten = slot.is_forgotten.swap(false, Ordering::Relaxed);
        if let Some(known) = &*known
            && !is_forgotten
            && known.read_at.elapsed() < self.options.tally_age_max
            && known.snapshot.tally.sequence >= told
        {
            return Ok(known.clone());
        }
        let newest = self.newest_tally(id, known.as_ref()).await;
        match &newest {
            Ok(newest) => *known = Some(newest.clone()),
            Err(_) => slot.is_forgotten.store(is_forgotten, Ordering::Relaxed),
        }
        newest
    }

    /// From what servers share, if that is not behind what this server knows; else from the tables.
    async fn newest_tally(&self, id: &PollId, before: Option<&Known>) -> Result<Known, StoreError> {
        let Some(shared) = &self.shared else { return self.read_tally(id, before).await };
        let read_at = Instant::now();
        let Some(looked) = shared.result(id, before).await else { return self.read_tally(id, before).await };
        let found = match looked.found {
            Found::Newer(known) => Some(*known),
            Found::Same => before.cloned(),
            Found::Nothing => None,
        };
        if let Some(known) = found.filter(|known| !self.knows_later(&known.key, known.events)) {
            return Ok(Known { read_at, ..known });
        }
        let known = self.read_tally(id, before).await?;
        shared.keep_result(&known, looked.at_milliseconds).await;
        Ok(known)
    }

    /// Reads a poll's tally from the tables, and shares it.
    pub(crate) async fn share_tally(&self, id: &PollId) -> Result<(), StoreError> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let slot = self.tallies.slot(id);
        let mut known = slot.known.lock().await;
        let Some(asked_at) = shared.time(id).await else { return Ok(()) };
        let newest = self.read_tally(id, known.as_ref()).await?;
        shared.keep_result(&newest, asked_at).await;
        *known = Some(newest);
        Ok(())
    }

    /// Tells those who watch a poll of what another server has shared.
    pub(crate) async fn hear(&self, word: Told) {
        if self.tallies.watched.lock().contains_key(&word.poll) {
            self.tell_watchers_of(&word.poll, word.sequence).await;
        }
    }

    /// Reads the counts first and the other parts after them: those are written before, so that they never lack what
    /// the counts hold.
    async fn read_tally(&self, id: &PollId, before: Option<&Known>) -> Result<Known, StoreError> {
        for attempt in 0..CONFLICTS_MAX {
            let read_at = Instant::now();
            let head = if attempt == 0 { self.head(id).await?.0 } else { self.fresh_head(id).await? };
            let counts = self.read_counts(&head.key).await?;
            let counts = counts.ok_or_else(|| StoreError::Corrupt(format!("poll {id} has no counts")))?;
            if counts.events != head.events {
                // The one was read before a step and the other after it.
                continue;
            }
            let sequence = Sequence(counts.records);
            if let Some(before) = before
                && before.key == head.key
                && before.snapshot.tally.sequence >= sequence
            {
                return Ok(Known { read_at, ..before.clone() });
            }
            let tally = Arc::new(self.assemble(&head, counts).await?);
            let snapshot = Snapshot { poll: Arc::clone(&head.poll), tally };
            return Ok(Known { read_at, ..Known::new(head.key.clone(), head.events, snapshot) });
        }
        Err(StoreError::busy("the poll changes all the time"))
    }

    async fn assemble(&self, head: &Head, counts: Counters) -> Result<Tally, StoreError> {
        let items = self.query(&self.names.tally, head.key.to_string(), PARTS_BETWEEN).await?;
        let mut parts = Parts::from([(PartId::Counts, counts.figures)]);
        for item in &items {
            let id = part_of(text(item, SORT)?).ok_or_else(|| damaged(item, "a part of a tally"))?;
            parts.insert(id, Counters::decode(item)?.figures);
        }
        let parts = parts.iter().map(|(id, figures)| (*id, figures));
        Ok(Tally::of_parts(&head.poll, Sequence(counts.records), counts.updated_at, parts))
    }

    /// A poll with its tally and its distinct ballots, which belong together.
    pub(crate) async fn profile(&self, id: &PollId) -> Result<(Snapshot, Option<Profile>), StoreError> {
        self.tallies.forget(id);
        let Known { key, snapshot, .. } = self.known_tally(id, Sequence(0)).await?;
        let Some(mut profile) = new_profile(&snapshot.poll) else { return Ok((snapshot, None)) };
        let ballots = self.tallies.ballots(&key);
        let mut ballots = ballots.lock().await;
        let sequence = snapshot.tally.sequence.0;
        if ballots.records > sequence {
            *ballots = Ballots::default();
        }
        let between = [log_sort(ballots.records), log_sort(sequence)];
        let items = self.query(&self.names.tally, key.to_string(), [&between[0], &between[1]]).await?;
        for item in items {
            if text(&item, SORT)? >= between[1].as_str() {
                break;
            }
            for (ballot, weight) in
                decode_ballots(bytes(&item, "b")?).map_err(|error| damaged(&item, &error.to_string()))?
            {
                *ballots.totals.entry(ballot).or_default() += weight;
            }
        }
        ballots.records = sequence;
        ballots.totals.retain(|_, total| *total != 0);
        for (ballot, total) in &ballots.totals {
            if let Ok(total) = u128::try_from(*total) {
                profile.add_total(ballot, Total::from_millionths(total));
            }
        }
        Ok((snapshot, Some(profile)))
    }

    /// Tells of each new sequence of a poll.
    pub(crate) async fn watch(&self, id: &PollId) -> Result<watch::Receiver<Sequence>, StoreError> {
        let sequence = self.tally(id).await?.tally.sequence;
        let mut watched = self.tallies.watched.lock();
        let sender = watched.entry(id.clone()).or_insert_with(|| watch::Sender::new(sequence));
        Ok(sender.subscribe())
    }

    /// Looks at each poll that somebody watches, and tells of what is new.
    pub(crate) async fn tell_watchers(&self) {
        let watched: Vec<PollId> = {
            let mut watched = self.tallies.watched.lock();
            watched.retain(|_, sender| sender.receiver_count() > 0);
            watched.keys().cloned().collect()
        };
        for id in watched {
            self.tell_watchers_of(&id, Sequence(0)).await;
        }
    }

    async fn tell_watchers_of(&self, id: &PollId, told: Sequence) {
        let read = self.known_tally(id, told).await;
        let mut watched = self.tallies.watched.lock();
        match read {
            Ok(Known { snapshot, .. }) => {
                let sequence = snapshot.tally.sequence;
                if let Some(sender) = watched.get(id) {
                    sender.send_if_modified(|known| {
                        let is_newer = *known != sequence;
                        *known = sequence;
                        is_newer
                    });
                }
            }
            Err(StoreError::Refused(_)) => {
                watched.remove(id);
            }
            Err(error) => tracing::warn!(%error, poll = %id, "a watched poll was not read"),
        }
    }
}
