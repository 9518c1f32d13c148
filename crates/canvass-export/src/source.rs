//! The records of a poll, page by page, and which of its votes count.
//!
//! A vote that was changed or withdrawn later is left out. Which those are is found in a first pass over the poll's
//! records, and kept as one bit for each record; a poll whose votes cannot change needs no first pass.

use std::sync::Arc;

use canvass_domain::{Poll, PollId, Sequence, poll::Revote, record::Record};
use canvass_store::{RecordedEntry, Store, StoreError};

/// A poll's records up to the one that is the last when reading begins.
pub struct Source {
    store: Arc<dyn Store>,
    poll: Arc<Poll>,
    /// The last record that is looked at: votes that come meanwhile are not told.
    last: Sequence,
    after: Sequence,
    replaced: Bits,
}

impl Source {
    /// Begins with the records that are there now.
    ///
    /// # Errors
    /// Whatever keeps the store from reading them.
    pub async fn begin(store: &Arc<dyn Store>, poll: &PollId) -> Result<Self, StoreError> {
        let snapshot = store.tally(poll).await?;
        let mut source = Self {
            store: Arc::clone(store),
            last: snapshot.tally.sequence,
            poll: snapshot.poll,
            after: Sequence(0),
            replaced: Bits::default(),
        };
        if source.poll.revote != Revote::Never {
            source.find_replaced().await?;
        }
        Ok(source)
    }

    /// The poll as it stood at the beginning.
    pub fn poll(&self) -> &Arc<Poll> {
        &self.poll
    }

    /// The last record that is looked at.
    pub fn last(&self) -> Sequence {
        self.last
    }

    /// Whether a later record stands in this one's place.
    pub fn is_replaced(&self, sequence: Sequence) -> bool {
        self.replaced.has(sequence)
    }

    /// The next records; none at the end.
    ///
    /// # Errors
    /// Whatever keeps the store from reading them.
    pub async fn page(&mut self) -> Result<Vec<RecordedEntry>, StoreError> {
        if self.after >= self.last {
            return Ok(Vec::new());
        }
        let mut page = self.store.records(&self.poll.id, self.after).await?;
        page.entries.retain(|recorded| recorded.entry.place.sequence <= self.last);
        if let Some(newest) = page.entries.last() {
            self.after = newest.entry.place.sequence;
        }
        Ok(page.entries)
    }

    async fn find_replaced(&mut self) -> Result<(), StoreError> {
        loop {
            let entries = self.page().await?;
            if entries.is_empty() {
                break;
            }
            let votes = entries.iter().filter_map(|recorded| match &recorded.entry.record {
                Record::Vote(vote) => vote.previous,
                _ => None,
            });
            votes.for_each(|sequence| self.replaced.set(sequence));
            tokio::task::yield_now().await;
        }
        self.after = Sequence(0);
        Ok(())
    }
}

/// One bit for each of a poll's records.
#[derive(Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn set(&mut self, sequence: Sequence) {
        let (word, bit) = Self::place(sequence);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << bit;
    }

    fn has(&self, sequence: Sequence) -> bool {
        let (word, bit) = Self::place(sequence);
        self.0.get(word).is_some_and(|bits| bits >> bit & 1 == 1)
    }

    fn place(sequence: Sequence) -> (usize, u64) {
        (usize::try_from(sequence.0 / 64).unwrap_or(usize::MAX), sequence.0 % 64)
    }
}
