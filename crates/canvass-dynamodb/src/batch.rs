//! The tally for whoever is handed the stream's records in batches, as a function on AWS Lambda is.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use canvass_store::{StoreError, local::Clock};
use tokio::time::Instant;

use crate::{
    client::Clients,
    engine::Engine,
    folding::Streamed,
    items::PollKey,
    options::Options,
    stream::{shards, short},
    tables::Names,
    writer::{Cut, Writer},
};

/// How often it is looked which shards the stream has forgotten.
const FORGOTTEN_LOOKED_FOR: Duration = Duration::from_hours(1);

/// A record of the stream of votes, as far as the tally needs it.
#[derive(Clone, Debug, Default)]
pub struct StreamItem {
    /// Its place in its shard: decimal digits.
    pub place: String,
    /// Whether it tells of a new item without the attribute `m`. Only those are votes: nothing that is erased, and so
    /// written anew without its voter, or expires later changes a count.
    pub is_new: bool,
    /// The item's partition key.
    pub partition: Option<String>,
    /// The item's attribute `b`: the vote without what is personal.
    pub body: Option<Vec<u8>>,
    /// The item's attribute `p`: what is personal.
    pub personal: Option<Vec<u8>>,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// Records that are in the counters now, those included that were in them before.
    pub records: usize,
    /// Places of records that cannot be read, in order. They are not counted, and neither is what follows them in the
    /// same shard and poll: delivered again from the first of these places, all else counts once.
    pub unreadable: Vec<String>,
}

/// The tally as a function keeps it. It holds no lease: several at once, and a server's task beside them, cost some
/// writes and nothing else.
pub struct StreamTally {
    engine: Arc<Engine>,
    writer: Writer,
    looked_at: Option<Instant>,
}

impl fmt::Debug for StreamTally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StreamTally").finish_non_exhaustive()
    }
}

impl StreamTally {
    /// Reaches the tables, which must be there, without asking for them.
    pub async fn open(options: Options, clock: Arc<dyn Clock>) -> Self {
        let (clients, names) = (Clients::new(&options).await, Names::new(&options.table_prefix));
        let engine = Arc::new(Engine::new(clients, names, options, None, clock));
        Self { writer: Writer::new(Arc::clone(&engine), false), engine, looked_at: None }
    }

    /// Folds records of one shard, in the stream's order, into the counters. `stream` is its Amazon resource name.
    ///
    /// # Errors
    /// DynamoDB cannot be read or written. Some of the batch may be folded in by then; the same batch again, or any that
    /// begins no later in the shard, counts each record once.
    pub async fn fold(
        &mut self,
        stream: &str,
        shard: &str,
        items: &[StreamItem],
    ) -> Result<Folded, StoreError> {
        let Sorted { votes, unreadable } = sort(shard, items);
        let forgotten = self.forgotten(stream, shard).await?;
        match self.writer.write(&votes, &forgotten).await {
            Ok(()) => Ok(Folded { records: votes.len(), unreadable }),
            Err(cut) => {
                self.writer.forget();
                Err(match cut {
                    Cut::Lost => StoreError::busy("others change the counters all the time"),
                    Cut::Store(error) => error,
                })
            }
        }
    }

    /// The shards of which the counters tell and the stream does not any more. They were known before the stream was
    /// asked, so none of them is only too new for its answer.
    async fn forgotten(&mut self, stream: &str, shard: &str) -> Result<BTreeSet<String>, StoreError> {
        let known = self.writer.known_shards();
        if known.is_empty() || self.looked_at.is_some_and(|at| at.elapsed() < FORGOTTEN_LOOKED_FOR) {
            return Ok(BTreeSet::new());
        }
        let there = shards(&self.engine, stream).await?;
        self.looked_at = Some(Instant::now());
        Ok(forgotten(known, there.keys().map(|there| short(there)), short(shard)))
    }
}

/// Shards that are known and not there: nothing of them can come again. Unless the shard that is just being read is
/// there, the two do not speak of the same stream or not by the same names, and nothing can be told.
fn forgotten<'a>(
    mut known: BTreeSet<String>,
    there: impl Iterator<Item = &'a str>,
    read_now: &str,
) -> BTreeSet<String> {
    let there: BTreeSet<_> = there.collect();
    if !there.contains(read_now) {
        return BTreeSet::new();
    }
    known.retain(|shard| !there.contains(shard.as_str()));
    known
}

struct Sorted {
    votes: Vec<Streamed>,
    unreadable: Vec<String>,
}

/// Tells votes from what cannot be read. A poll's votes behind such a record wait with it, so that they are not passed
/// over should a newer program be able to read it; other polls do not wait.
fn sort(shard: &str, items: &[StreamItem]) -> Sorted {
    let mut sorted = Sorted { votes: Vec::new(), unreadable: Vec::new() };
    let mut held = BTreeSet::new();
    for item in items.iter().filter(|item| item.is_new) {
        match read(shard, item) {
            Some(vote) if held.contains(&vote.poll) => {}
            Some(vote) => sorted.votes.push(vote),
            None => {
                held.extend(item.partition.as_deref().and_then(PollKey::parse));
                sorted.unreadable.push(item.place.clone());
            }
        }
    }
    sorted
}

fn read(shard: &str, item: &StreamItem) -> Option<Streamed> {
    let is_place = !item.place.is_empty() && item.place.bytes().all(|byte| byte.is_ascii_digit());
    let (partition, body) = (item.partition.as_deref()?, item.body.as_deref()?);
    let place = is_place.then(|| item.place.clone())?;
    Streamed::read(short(shard), place, partition, body, item.personal.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(known: &[&str], there: &[&str], read_now: &str, expected: &[&str]) {
        let known = known.iter().map(|shard| (*shard).to_owned()).collect();
        let told = forgotten(known, there.iter().copied(), read_now);
        assert_eq!(told.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn only_shards_that_the_stream_has_forgotten_are_dropped() {
        check(&["1", "2", "3"], &["2", "3", "4"], "3", &["1"]);
        check(&["1", "2"], &["1", "2"], "1", &[]);
        // Names of another kind, or of another stream.
        check(&["1", "2"], &["shard-1", "shard-2"], "1", &[]);
    }
}
