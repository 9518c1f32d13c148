//! A poll's records, one after another. DynamoDB keeps them in no such order, so they are numbered when they are read:
//! by time, and in one moment by the events that each was decided after.
//!
//! A poll's numbers are kept for a while by this server: who reads page by page reads one order, and records that come
//! meanwhile are numbered after all others. A kept record takes about 200 bytes, so a million take 200 MB.

use std::{collections::HashMap, sync::Arc};

use canvass_domain::{
    Poll, PollId, Refusal, Sequence, Timestamp, VoteId, VoterId,
    poll::{PersonalData, Revote},
    record::{self, CodesAdded, Entry, Kind, Place, Record, Step, VoteRecord},
};
use canvass_store::{RecordPage, RecordedEntry, StoreError, limits::RECORDS_PAGE};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::time::Instant;

use crate::{
    client::Item,
    engine::{ALL, Engine},
    items::{Head, PollKey, VoteItem, bytes, damaged, text, whole},
    limits::{BUCKETS_READ_AT_ONCE_MAX, CONFLICTS_MAX, LISTING_KEPT, LISTINGS_MAX},
    polls::event_sort,
};

/// The listings that are kept.
#[derive(Default)]
pub(crate) struct Listings(Mutex<FxHashMap<PollKey, Kept>>);

struct Kept {
    listing: Arc<tokio::sync::Mutex<Listing>>,
    asked_at: Instant,
}

/// A poll's records in the order of their numbers.
#[derive(Default)]
struct Listing {
    entries: Vec<Entry>,
    events: u64,
    /// Of polls in which votes may change: each voter's records.
    voters: HashMap<VoterId, Vec<Sequence>>,
    /// Of the other polls: who has voted.
    once: FxHashSet<VoterId>,
    /// Records whose voters are erased, by what names them instead.
    erased: FxHashMap<(VoteId, u32), Sequence>,
}

/// A record that has no number yet.
struct Found {
    events: u64,
    /// Zero is an event, which comes before the votes that were decided after it.
    rank: u8,
    at: Timestamp,
    record: Record,
}

impl Listings {
    fn of(&self, key: &PollKey) -> Arc<tokio::sync::Mutex<Listing>> {
        let mut kept = self.0.lock();
        kept.retain(|_, kept| kept.asked_at.elapsed() < LISTING_KEPT);
        if !kept.contains_key(key) && kept.len() >= LISTINGS_MAX {
            let oldest = kept.iter().min_by_key(|(_, kept)| kept.asked_at).map(|(key, _)| key.clone());
            oldest.map(|key| kept.remove(&key));
        }
        let now = Instant::now();
        let kept = kept.entry(key.clone()).or_insert_with(|| Kept { listing: Arc::default(), asked_at: now });
        kept.asked_at = now;
        Arc::clone(&kept.listing)
    }

    /// Forgets a poll's listing, which tells of voters that were erased since.
    pub(crate) fn forget(&self, key: &PollKey) {
        self.0.lock().remove(key);
    }

    /// Gives back the memory of listings that nobody asks for.
    pub(crate) fn sweep(&self) {
        self.0.lock().retain(|_, kept| kept.asked_at.elapsed() < LISTING_KEPT);
    }
}

impl Engine {
    /// A poll's records after a sequence. From the first, they are read anew.
    pub(crate) async fn records(&self, id: &PollId, after: Sequence) -> Result<RecordPage, StoreError> {
        let (head, _) = self.head(id).await?;
        let listing = self.listings.of(&head.key);
        let mut listing = listing.lock().await;
        if after == Sequence(0) || listing.entries.is_empty() {
            self.read_records(&head.key, &mut listing).await?;
        }
        let from = usize::try_from(after.0).unwrap_or(usize::MAX).min(listing.entries.len());
        let page = listing.entries[from..].iter().take(RECORDS_PAGE);
        let entries = page.map(|entry| RecordedEntry { entry: entry.clone(), chain_input: None });
        Ok(RecordPage { entries: entries.collect() })
    }

    /// Reads the records that are not listed yet. While votes are written anew without their voters, one may be read
    /// twice or not at all: then they are read again, or not before all of them are.
    async fn read_records(&self, key: &PollKey, listing: &mut Listing) -> Result<(), StoreError> {
        for _ in 0..CONFLICTS_MAX {
            let head = self.fresh_head(&key.id).await?;
            if head.key != *key {
                return Err(Refusal::PollNotFound.into());
            }
            if head.poll.personal_data == PersonalData::Erasing {
                return Err(StoreError::busy("the poll's voters are being erased"));
            }
            let (found, events) = self.read_unlisted(&head, listing).await?;
            let seen = if listing.entries.is_empty() { head.events } else { listing.events };
            let is_outdated = events.iter().any(|(number, event)| *number > seen && tells_of_erasure(event));
            if is_outdated {
                *listing = Listing::default();
                continue;
            }
            listing.take(&head, found, events);
            return Ok(());
        }
        Err(StoreError::busy("voters are being erased all the time"))
    }

    /// Votes that are not listed, and events with their numbers.
    async fn read_unlisted(
        &self,
        head: &Head,
        listing: &Listing,
    ) -> Result<(Vec<Found>, Vec<(u64, Entry)>), StoreError> {
        // Votes first: the event that a vote was decided after is there when the vote is.
        let buckets = stream::iter(0..head.buckets)
            .map(|bucket| self.query(&self.names.votes, head.key.bucket(bucket), ALL))
            .buffer_unordered(BUCKETS_READ_AT_ONCE_MAX);
        let mut found: Vec<Found> = Vec::new();
        let mut buckets = std::pin::pin!(buckets);
        while let Some(items) = buckets.try_next().await? {
            for item in &items {
                let vote = VoteItem::decode(item)?;
                if listing.lacks(&head.poll, &vote.record) {
                    found.push(Found {
                        events: vote.events,
                        rank: 1,
                        at: vote.at,
                        record: Record::Vote(Box::new(vote.record)),
                    });
                }
            }
        }
        let (first, mut events) = (event_sort(listing.events + 1), Vec::new());
        for item in self.query(&self.names.main, head.key.events(), [&first, "event#~"]).await? {
            let number = listing.events + 1 + events.len() as u64;
            events.push((number, self.event(&head.key, &item).await?));
        }
        Ok((found, events))
    }

    async fn event(&self, key: &PollKey, item: &Item) -> Result<Entry, StoreError> {
        let kind = Kind::from_byte(whole(item, "k")?).ok_or_else(|| damaged(item, "an event's kind"))?;
        let mut entry = record::decode(kind, bytes(item, "b")?, None)
            .map_err(|error| damaged(item, &error.to_string()))?;
        if let Record::Codes(codes) = entry.record {
            let hashes = self.lot(key, text(item, "lot")?).await?;
            entry.record = Record::Codes(CodesAdded { hashes, ..codes });
        }
        Ok(entry)
    }
}

fn tells_of_erasure(event: &Entry) -> bool {
    let Record::Poll(event) = &event.record else { return false };
    matches!(event.step, Step::ErasureBegun | Step::Erased | Step::VoterErased)
}

fn revision(record: &Record) -> u32 {
    match record {
        Record::Vote(vote) => vote.revision,
        _ => 0,
    }
}

impl Listing {
    /// Notes a vote's record, and tells which one it replaces.
    fn follow(&mut self, poll: &Poll, vote: &VoteRecord, sequence: Sequence) -> Option<Sequence> {
        let Some(personal) = &vote.personal else {
            self.erased.insert((vote.vote_id, vote.revision), sequence);
            return self.erased.get(&(vote.vote_id, vote.revision.checked_sub(1)?)).copied();
        };
        if poll.revote == Revote::Never {
            self.once.insert(personal.voter.clone());
            return None;
        }
        let before = self.voters.entry(personal.voter.clone()).or_default();
        let previous = before.last().copied();
        before.push(sequence);
        previous
    }

    /// Whether a vote's record has no number yet.
    fn lacks(&self, poll: &Poll, vote: &VoteRecord) -> bool {
        let Some(personal) = &vote.personal else {
            return !self.erased.contains_key(&(vote.vote_id, vote.revision));
        };
        if poll.revote == Revote::Never {
            return !self.once.contains(&personal.voter);
        }
        let known = self.voters.get(&personal.voter).map_or(0, Vec::len);
        vote.revision as usize >= known
    }

    fn take(&mut self, head: &Head, mut found: Vec<Found>, events: Vec<(u64, Entry)>) {
        for (number, event) in events {
            self.events = number;
            found.push(Found { events: number, rank: 0, at: event.place.at, record: event.record });
        }
        // Of one voter's records in the same moment the revision tells which came first.
        found.sort_by_key(|found| (found.at, found.events, found.rank, revision(&found.record)));
        found.into_iter().for_each(|found| self.push(head, found));
    }

    fn push(&mut self, head: &Head, found: Found) {
        let sequence = Sequence(self.entries.len() as u64 + 1);
        let mut record = found.record;
        if let Record::Vote(vote) = &mut record {
            vote.previous = self.follow(&head.poll, vote, sequence);
        }
        let place = Place { poll: head.key.life, sequence, at: found.at };
        self.entries.push(Entry { place, record });
    }
}
