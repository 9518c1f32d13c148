//! What readers see: every poll with its tally, and where its records lie. All of it is durable.
//!
//! The writer alone changes it, after a commit; a reader waits at most for the moment in which one commit is folded
//! in, never for the disk.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    hash::Hasher as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use canvass_domain::{
    KeyId, Poll, PollId, Profile, Refusal, Sequence, Timestamp, VoterId,
    key::Key,
    record::{self, Entry, Kind, PollNumber, Record},
    tally::Books,
    vote::{Personal, StoredVote},
};
use canvass_ledger::{Erasable, Position, Reader, RecordBuffer, RecordRef};
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use siphasher::sip::SipHasher13;
use tokio::sync::watch;

use super::{
    index::{Fingerprint, VoterIndex},
    places::Places,
};
use crate::{Histogram, PollCursor, PollPage, PollQuery, Snapshot, StoreError};

/// The key of the hash that finds voters, drawn at random for each data directory so that nobody can choose voters
/// that collide.
pub(super) type HashKey = [u8; 16];

/// A voter's whole keyed hash (SipHash-1-3: Aumasson and Bernstein, 2012).
pub(super) fn hash_voter(key: &HashKey, voter: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_key(key);
    hasher.write(voter);
    hasher.finish()
}

/// Everything that readers share.
pub(super) struct Shared {
    pub(super) reader: Reader,
    pub(super) hash_key: HashKey,
    polls: RwLock<Polls>,
    registry: RwLock<Registry>,
    pub(super) figures: Figures,
}

#[derive(Default)]
struct Polls {
    by_id: FxHashMap<PollId, Arc<PollCell>>,
    by_age: BTreeMap<(Reverse<Timestamp>, PollId), Arc<PollCell>>,
    names: FxHashMap<PollNumber, PollId>,
}

/// Keys and settings.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Registry {
    pub(super) keys: HashMap<KeyId, Arc<Key>>,
    pub(super) settings: HashMap<String, String>,
}

/// Figures for metrics.
#[derive(Default)]
pub(super) struct Figures {
    /// Records that were made durable together.
    pub(super) commit_records: Spread<10>,
    /// How long writing and syncing them took.
    pub(super) commit_microseconds: Spread<12>,
    pub(super) votes_waiting: AtomicUsize,
    pub(super) bytes_waiting: AtomicUsize,
    pub(super) checkpoint_position: AtomicU64,
    /// Where a backup is kept.
    pub(super) backup: OnceLock<BackupFigures>,
}

/// How often a figure lay under each bound. The writer alone counts.
pub(super) struct Spread<const N: usize> {
    bounds: [u64; N],
    /// Those above one bound and up to the next; those above all are in `count` alone.
    counts: [AtomicU64; N],
    sum: AtomicU64,
    count: AtomicU64,
}

impl Default for Spread<10> {
    fn default() -> Self {
        Self::new([1, 2, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000])
    }
}

impl Default for Spread<12> {
    fn default() -> Self {
        let bounds =
            [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000];
        Self::new(bounds)
    }
}

impl<const N: usize> Spread<N> {
    fn new(bounds: [u64; N]) -> Self {
        let counts = std::array::from_fn(|_| AtomicU64::new(0));
        Self { bounds, counts, sum: AtomicU64::new(0), count: AtomicU64::new(0) }
    }

    pub(super) fn add(&self, figure: u64) {
        let place = self.bounds.partition_point(|bound| *bound < figure);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(figure, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// The same in other units, so many to one of these.
    #[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
    pub(super) fn histogram(&self, name: &'static str, per_unit: f64) -> Histogram {
        let mut total = 0;
        let mut at_most = |count: &AtomicU64| {
            total += count.load(Ordering::Relaxed);
            total
        };
        let buckets = self.bounds.iter().zip(&self.counts);
        let buckets = buckets.map(|(bound, count)| (*bound as f64 / per_unit, at_most(count))).collect();
        Histogram { name, buckets, sum: self.sum() as f64 / per_unit, count: self.count() }
    }
}

/// Figures of the backup.
#[derive(Default)]
pub(super) struct BackupFigures {
    pub(super) bytes: AtomicU64,
    pub(super) failures: AtomicU64,
}

/// One poll as readers see it. Whoever holds several of the locks takes them in the order in which they stand here, as
/// the writer does: a reader that does not, waits for the writer while the writer waits for it.
pub(super) struct PollCell {
    pub(super) number: PollNumber,
    /// The distinct ballots, where the poll's method counts them. Its lock is taken before that of the snapshot, so that
    /// while a million ballots are copied to be counted, only the writer waits.
    pub(super) profile: RwLock<Option<Profile>>,
    pub(super) snapshot: RwLock<Snapshot>,
    pub(super) voters: RwLock<Voters>,
    pub(super) sequence: watch::Sender<Sequence>,
}

/// Where a poll's records lie.
#[derive(Default)]
pub(super) struct Voters {
    pub(super) index: VoterIndex,
    pub(super) places: Places,
}

impl Voters {
    /// The same, sharing what takes memory.
    pub(super) fn share(&mut self) -> Self {
        Self { index: self.index.share(), places: self.places.clone() }
    }

    /// Forgets whose records these are, which rise.
    pub(super) fn forget(&mut self, records: &[Sequence]) {
        let places: Vec<_> = records.iter().filter_map(|sequence| self.places.get(*sequence)).collect();
        self.index.forget(&places);
    }
}

impl PollCell {
    pub(super) fn new(number: PollNumber, poll: Arc<Poll>, books: Books, voters: Voters) -> Self {
        let sequence = watch::Sender::new(books.tally.sequence);
        let snapshot = Snapshot { poll, tally: Arc::new(books.tally) };
        Self {
            number,
            profile: RwLock::new(books.profile),
            snapshot: RwLock::new(snapshot),
            voters: RwLock::new(voters),
            sequence,
        }
    }

    /// The poll as it stands, with a copy of its distinct ballots in the memory of `into`.
    pub(super) fn copy_profile(&self, mut into: Profile) -> (Snapshot, Option<Profile>) {
        let profile = self.profile.read();
        let snapshot = self.snapshot.read().clone();
        let copy = profile.as_ref().map(|profile| {
            into.clone_from(profile);
            into
        });
        (snapshot, copy)
    }
}

impl Shared {
    pub(super) fn new(reader: Reader, hash_key: HashKey, registry: Registry) -> Self {
        Self {
            reader,
            hash_key,
            polls: RwLock::default(),
            registry: RwLock::new(registry),
            figures: Figures::default(),
        }
    }

    pub(super) fn cell(&self, poll: &PollId) -> Result<Arc<PollCell>, StoreError> {
        self.polls.read().by_id.get(poll).cloned().ok_or(StoreError::Refused(Refusal::PollNotFound))
    }

    pub(super) fn poll_count(&self) -> usize {
        self.polls.read().by_id.len()
    }

    pub(super) fn cells(&self) -> Vec<Arc<PollCell>> {
        self.polls.read().by_id.values().cloned().collect()
    }

    pub(super) fn add_poll(&self, cell: Arc<PollCell>) {
        let poll = Arc::clone(&cell.snapshot.read().poll);
        let mut polls = self.polls.write();
        polls.by_age.insert((Reverse(poll.created_at), poll.id.clone()), Arc::clone(&cell));
        polls.names.insert(cell.number, poll.id.clone());
        polls.by_id.insert(poll.id.clone(), cell);
    }

    /// The id of a poll that exists.
    pub(super) fn name(&self, number: PollNumber) -> Option<PollId> {
        self.polls.read().names.get(&number).cloned()
    }

    pub(super) fn remove_poll(&self, poll: &Poll) {
        let mut polls = self.polls.write();
        polls.by_age.remove(&(Reverse(poll.created_at), poll.id.clone()));
        if let Some(cell) = polls.by_id.remove(&poll.id) {
            polls.names.remove(&cell.number);
        }
    }

    pub(super) fn list(&self, query: &PollQuery) -> PollPage {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = match &query.cursor {
            Some(cursor) => Excluded((Reverse(cursor.created_at), cursor.id.clone())),
            None => Unbounded,
        };
        let polls = self.polls.read();
        let matching = polls
            .by_age
            .range((from, Unbounded))
            .map(|(_, cell)| Arc::clone(&cell.snapshot.read().poll))
            .filter(|poll| query.status.is_none_or(|status| poll.status == status));
        let mut polls: Vec<_> = matching.take(query.limit + 1).collect();
        let more = polls.len() > query.limit;
        polls.truncate(query.limit);
        let last = polls.last().filter(|_| more);
        let next = last.map(|poll| PollCursor { created_at: poll.created_at, id: poll.id.clone() });
        PollPage { polls, next }
    }

    pub(super) fn registry(&self) -> Registry {
        self.registry.read().clone()
    }

    pub(super) fn setting(&self, name: &str) -> Option<String> {
        self.registry.read().settings.get(name).cloned()
    }

    pub(super) fn keys(&self) -> Vec<Arc<Key>> {
        self.registry.read().keys.values().cloned().collect()
    }

    pub(super) fn fold_registry(&self, record: &Record) {
        self.registry.write().fold(record);
    }

    /// The voter's latest durable record.
    pub(super) fn latest(
        &self,
        voters: &Voters,
        hash: u64,
        voter: &VoterId,
    ) -> Result<Option<(Position, StoredVote)>, StoreError> {
        for position in voters.index.candidates(Fingerprint::of_hash(hash)) {
            if let Some(vote) = self.vote_at(position, voter)? {
                return Ok(Some((position, vote)));
            }
        }
        Ok(None)
    }

    /// Every record of a voter in a poll, of which this is the latest; rising.
    pub(super) fn records_of(
        &self,
        cell: &PollCell,
        voter: &VoterId,
        latest: Option<StoredVote>,
    ) -> Result<Vec<Sequence>, StoreError> {
        let mut records = Vec::new();
        let mut next = latest;
        while let Some(vote) = next {
            records.extend(vote.sequence);
            let before = vote.previous.and_then(|sequence| cell.voters.read().places.get(sequence));
            next = before.map(|position| self.vote_at(position, voter)).transpose()?.flatten();
        }
        records.reverse();
        Ok(records)
    }

    /// The vote at a position, if it is the voter's.
    pub(super) fn vote_at(
        &self,
        position: Position,
        voter: &VoterId,
    ) -> Result<Option<StoredVote>, StoreError> {
        let mut buffer = RecordBuffer::default();
        let record = self.reader.read(position, &mut buffer).map_err(|error| corrupt(&error))?;
        vote_of(record, voter)
    }

    /// The record at a position.
    pub(super) fn entry_at(&self, position: Position) -> Result<(Entry, Kind, Box<[u8]>), StoreError> {
        let mut buffer = RecordBuffer::default();
        let record = self.reader.read(position, &mut buffer).map_err(|error| corrupt(&error))?;
        let (entry, kind) = decode(record)?;
        Ok((entry, kind, record.body.into()))
    }
}

impl Registry {
    pub(super) fn fold(&mut self, record: &Record) {
        match record {
            Record::Key(key) => {
                self.keys.insert(key.id.clone(), Arc::new(Key::clone(key)));
            }
            Record::Setting(setting) => {
                self.settings.insert(setting.name.clone(), setting.value.clone());
            }
            Record::Poll(_) | Record::Codes(_) | Record::Vote(_) => {}
        }
    }
}

/// The vote that a record tells of, if it is the voter's.
pub(super) fn vote_of(record: RecordRef<'_>, voter: &VoterId) -> Result<Option<StoredVote>, StoreError> {
    let Erasable::Present(personal) = record.erasable else { return Ok(None) };
    if record.kind != Kind::Vote as u8 || !Personal::is_of(personal, voter) {
        return Ok(None);
    }
    let (entry, _) = decode(record)?;
    match entry.record {
        Record::Vote(vote) => Ok(vote.stored(entry.place)),
        _ => Ok(None),
    }
}

/// A record's meaning.
pub(super) fn decode(record: RecordRef<'_>) -> Result<(Entry, Kind), StoreError> {
    let at =
        |reason: String| StoreError::Corrupt(format!("record at position {}: {reason}", record.position));
    let kind = Kind::from_byte(record.kind)
        .ok_or_else(|| at(format!("kind {} was written by a newer program", record.kind)))?;
    let personal = match record.erasable {
        Erasable::Present(bytes) => Some(bytes),
        Erasable::Erased | Erasable::None => None,
    };
    let entry = record::decode(kind, record.body, personal).map_err(|error| at(error.to_string()))?;
    Ok((entry, kind))
}

/// What a failed read means to callers.
pub(super) fn corrupt(error: &canvass_ledger::ReadError) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

impl Figures {
    pub(super) fn set_checkpoint(&self, position: Position) {
        self.checkpoint_position.store(position.get(), Ordering::Relaxed);
    }
}
