//! The tally's task: reads the stream of votes and folds it into the counters, window by window.
//!
//! One server does it at a time, by a lease. Two that both believe to have it cost some writes and nothing else: every
//! counter holds how far each shard is folded into it, and each write is refused if the counter has changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodbstreams::{
    error::ProvideErrorMetadata,
    types::{AttributeValue as StreamValue, OperationType, Shard, ShardIteratorType},
};
use canvass_store::StoreError;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;

use crate::{
    client::{Failed, Item},
    engine::Engine,
    folding::Streamed,
    items::{MOVED, key, number, string},
    limits::{
        CHECKPOINTS_KEPT_SECONDS, SHARDS_LOOKED_FOR, STREAM_READS_MAX, STREAM_RECORDS_MAX, WRITES_AT_ONCE_MAX,
    },
    writer::{Cut, Writer},
};

/// Where the lease and the places in the stream are kept.
const LEASE: [&str; 2] = ["stream", "lease"];
/// What stands before a shard's place.
const PLACE: &str = "at#";
/// What stands before the second at which a shard was finished.
const FINISHED: &str = "end#";

/// How far one shard was read.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// The last record whose counts are written.
    place: Option<String>,
    /// When all of a closed shard was folded in.
    finished_at: Option<i64>,
    iterator: Option<String>,
}

/// The task's memory.
pub(crate) struct Task {
    engine: Arc<Engine>,
    stream: String,
    shards: BTreeMap<String, Option<String>>,
    looked_at: Option<Instant>,
    progress: BTreeMap<String, Progress>,
    writer: Writer,
    lease: Lease,
}

/// The right to fold, as far as this server knows.
#[derive(Default)]
struct Lease {
    is_held: bool,
    /// The beat that was seen last, and since when.
    seen: Option<(u64, Instant)>,
    told_at: Option<Instant>,
}

/// What one turn read of a shard.
struct Batch {
    shard: String,
    records: Vec<Streamed>,
    place: Option<String>,
    next: Option<String>,
    is_closed: bool,
}

impl Task {
    pub(crate) fn new(engine: Arc<Engine>, stream: String) -> Self {
        Self {
            writer: Writer::new(Arc::clone(&engine), true),
            engine,
            stream,
            shards: BTreeMap::new(),
            looked_at: None,
            progress: BTreeMap::new(),
            lease: Lease::default(),
        }
    }

    /// Folds until the store is closed.
    pub(crate) async fn run(mut self) {
        loop {
            let began = Instant::now();
            if let Err(cut) = self.turn().await {
                self.start_over();
                match cut {
                    Cut::Lost => tracing::info!("another server folds the stream of votes"),
                    Cut::Store(error) => {
                        tracing::warn!(%error, "the stream of votes was not folded; it is tried again");
                    }
                }
            }
            self.engine.figures.is_folding.store(self.lease.is_held, Ordering::Relaxed);
            tokio::select! {
                () = tokio::time::sleep_until(began + self.engine.options.window) => {}
                () = self.engine.closing.notified() => {
                    if let Err(error) = self.release_lease().await {
                        tracing::warn!(%error, "the lease was not given back; another server waits until it is lost");
                    }
                    return self.engine.closed.notify_one();
                }
            }
        }
    }

    /// Forgets what may not be so any more.
    fn start_over(&mut self) {
        self.lease = Lease::default();
        self.writer.forget();
        self.looked_at = None;
        self.progress.clear();
    }

    async fn turn(&mut self) -> Result<(), Cut> {
        if !self.keep_lease().await? {
            return Ok(());
        }
        self.look_for_shards().await?;
        for _ in 0..STREAM_READS_MAX {
            let ready = self.ready_shards();
            let batches = stream::iter(ready)
                .map(|shard| self.read_shard(shard))
                .buffer_unordered(WRITES_AT_ONCE_MAX)
                .try_collect::<Vec<_>>()
                .await?;
            let records: Vec<Streamed> =
                batches.iter().flat_map(|batch| batch.records.iter().cloned()).collect();
            let read = records.len();
            let finished = self.finished_long_ago();
            self.writer.write(&records, &finished).await?;
            let is_full =
                batches.iter().any(|batch| batch.records.len() == STREAM_RECORDS_MAX.unsigned_abs() as usize);
            let has_ended = self.advance(batches);
            if read > 0 {
                self.engine.figures.records_folded.fetch_add(read as u64, Ordering::Relaxed);
                self.engine.tallies.folded.notify_one();
                if let Some(shared) = &self.engine.shared {
                    records.iter().for_each(|streamed| shared.note(&streamed.poll.id));
                }
            }
            if has_ended {
                self.looked_at = None;
                self.look_for_shards().await?;
            } else if !is_full {
                break;
            }
        }
        Ok(())
    }

    /// Shards that may be read: a parent's records come before its children's.
    fn ready_shards(&self) -> Vec<String> {
        let is_finished =
            |shard: &String| self.progress.get(shard).is_some_and(|progress| progress.finished_at.is_some());
        let may_be_read = |parent: &Option<String>| {
            parent.as_ref().is_none_or(|parent| !self.shards.contains_key(parent) || is_finished(parent))
        };
        let ready = self.shards.iter().filter(|(shard, parent)| !is_finished(shard) && may_be_read(parent));
        ready.map(|(shard, _)| shard.clone()).collect()
    }

    async fn look_for_shards(&mut self) -> Result<(), StoreError> {
        if self.looked_at.is_some_and(|at| at.elapsed() < SHARDS_LOOKED_FOR) {
            return Ok(());
        }
        self.shards = shards(&self.engine, &self.stream).await?;
        self.progress.retain(|shard, _| self.shards.contains_key(shard));
        self.looked_at = Some(Instant::now());
        Ok(())
    }

    async fn read_shard(&self, shard: String) -> Result<Batch, StoreError> {
        let progress = self.progress.get(&shard).cloned().unwrap_or_default();
        let iterator = match progress.iterator {
            Some(iterator) => Some(iterator),
            None => self.iterator(&shard, progress.place.as_ref()).await?,
        };
        let mut batch = Batch { shard, records: Vec::new(), place: None, next: None, is_closed: false };
        let Some(iterator) = iterator else { return Ok(Batch { is_closed: true, ..batch }) };
        let request =
            self.engine.clients.streams.get_records().shard_iterator(iterator).limit(STREAM_RECORDS_MAX);
        let read = match self.engine.clients.ask(|| request.clone().send()).await {
            Ok(read) => read,
            // The place is looked for anew.
            Err(Failed::Service(error))
                if matches!(
                    error.code(),
                    Some("ExpiredIteratorException" | "TrimmedDataAccessException")
                ) =>
            {
                return Ok(batch);
            }
            Err(Failed::Service(error)) => return Err(Failed::Service(error).into_store_error()),
            Err(Failed::Unknown | Failed::Busy) => {
                return Err(StoreError::busy("the stream of votes does not answer"));
            }
        };
        for record in read.records.unwrap_or_default() {
            let Some(image) = record.dynamodb else { continue };
            let place = image.sequence_number.clone();
            // Only a new item is a vote: nothing that is erased or expires later changes a count.
            if record.event_name == Some(OperationType::Insert) && !is_moved(&image) {
                match streamed(&batch.shard, &image) {
                    Some(vote) => batch.records.push(vote),
                    None => self.count_unreadable(&batch.shard),
                }
            }
            batch.place = place.or(batch.place);
        }
        batch.is_closed = read.next_shard_iterator.is_none();
        batch.next = read.next_shard_iterator;
        Ok(batch)
    }

    /// Where to go on in a shard. Behind what the stream has forgotten, it goes on with what is left: the recount says
    /// what is missing.
    async fn iterator(&self, shard: &str, place: Option<&String>) -> Result<Option<String>, StoreError> {
        let request =
            self.engine.clients.streams.get_shard_iterator().stream_arn(&self.stream).shard_id(shard);
        let from_start = request.clone().shard_iterator_type(ShardIteratorType::TrimHorizon);
        let Some(place) = place else {
            return Ok(self.engine.clients.read(|| from_start.clone().send()).await?.shard_iterator);
        };
        let request =
            request.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).sequence_number(place);
        match self.engine.clients.ask(|| request.clone().send()).await {
            Ok(found) => Ok(found.shard_iterator),
            Err(Failed::Service(error)) if error.code() == Some("TrimmedDataAccessException") => {
                tracing::error!(
                    shard,
                    "votes have left the stream before they were counted; recount the polls"
                );
                Ok(self.engine.clients.read(|| from_start.clone().send()).await?.shard_iterator)
            }
            Err(failed) => Err(failed.into_store_error()),
        }
    }

    fn count_unreadable(&self, shard: &str) {
        tracing::error!(
            shard,
            "a record of the stream cannot be read and is not counted; the recount shows it"
        );
        self.engine.figures.records_unreadable.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes over what was read, now that it is counted. Whether a shard has ended.
    fn advance(&mut self, batches: Vec<Batch>) -> bool {
        let now = self.engine.now().seconds();
        let mut has_ended = false;
        for batch in batches {
            let progress = self.progress.entry(batch.shard).or_default();
            progress.place = batch.place.or(progress.place.take());
            progress.iterator = batch.next;
            if batch.is_closed {
                progress.finished_at = Some(now);
                has_ended = true;
            }
        }
        has_ended
    }

    /// Checkpoints of shards that ended long ago take room in every counter. One that is not known here may be in another
    /// server's hands.
    fn finished_long_ago(&self) -> BTreeSet<String> {
        let until = self.engine.now().seconds() - CHECKPOINTS_KEPT_SECONDS;
        let finished = |progress: &Progress| progress.finished_at.is_some_and(|at| at <= until);
        let shards = self.progress.iter().filter(|(_, progress)| finished(progress));
        shards.map(|(shard, _)| short(shard).to_owned()).collect()
    }

    /// Takes, keeps or waits for the lease. Whether this server has it.
    async fn keep_lease(&mut self) -> Result<bool, StoreError> {
        let options = &self.engine.options;
        if self.lease.is_held && self.lease.told_at.is_some_and(|at| at.elapsed() < options.lease_beat) {
            return Ok(true);
        }
        let item = self.engine.get(&self.engine.names.tally, LEASE[0], LEASE[1]).await?;
        let beat = item.as_ref().map(|item| crate::items::whole::<u64>(item, "beat")).transpose()?;
        let owner = item.as_ref().and_then(|item| item.get("owner")?.as_s().ok());
        let is_mine = owner == Some(&own_name(&self.engine));
        if !(is_mine && self.lease.is_held) {
            self.lease.is_held = false;
            let is_free = is_mine || owner.is_some_and(String::is_empty);
            if let Some(beat) = beat.filter(|_| !is_free) {
                match self.lease.seen {
                    Some((seen, since)) if seen == beat && since.elapsed() >= options.lease_lost => {}
                    Some((seen, _)) if seen == beat => return Ok(false),
                    _ => {
                        self.lease.seen = Some((beat, Instant::now()));
                        return Ok(false);
                    }
                }
            }
            self.progress = item.as_ref().map(places).unwrap_or_default();
            self.writer.forget();
        }
        let is_written = self.write_lease(beat, &own_name(&self.engine)).await?;
        if is_written && !is_mine {
            tracing::info!("this server folds the stream of votes");
        }
        self.lease.is_held = is_written;
        self.lease.told_at = Some(Instant::now());
        Ok(is_written)
    }

    /// Lets another server take over at once.
    async fn release_lease(&self) -> Result<(), StoreError> {
        if self.lease.is_held && still_has_lease(&self.engine).await? {
            let item = self.engine.get(&self.engine.names.tally, LEASE[0], LEASE[1]).await?;
            let beat = item.as_ref().map(|item| crate::items::whole::<u64>(item, "beat")).transpose()?;
            self.write_lease(beat, "").await?;
        }
        Ok(())
    }

    async fn write_lease(&self, beat: Option<u64>, owner: &str) -> Result<bool, StoreError> {
        let mut item: Item = key(LEASE[0], LEASE[1]);
        item.insert("owner".to_owned(), string(owner));
        item.insert("beat".to_owned(), number(beat.map_or(0, |beat| beat + 1)));
        for (shard, progress) in &self.progress {
            if let Some(place) = &progress.place {
                item.insert(format!("{PLACE}{shard}"), string(place.clone()));
            }
            if let Some(at) = progress.finished_at {
                item.insert(format!("{FINISHED}{shard}"), number(at));
            }
        }
        let request =
            self.engine.clients.tables.put_item().table_name(&self.engine.names.tally).set_item(Some(item));
        let request = match beat {
            Some(beat) => request
                .condition_expression("beat = :beat")
                .expression_attribute_values(":beat", number(beat)),
            None => request.condition_expression("attribute_not_exists(pk)"),
        };
        match self.engine.clients.ask(|| request.clone().send()).await {
            Ok(_) => Ok(true),
            Err(Failed::Service(PutItemError::ConditionalCheckFailedException(_))) => Ok(false),
            Err(failed) => Err(failed.into_store_error()),
        }
    }
}

/// The shards that a stream still tells of, each with its parent.
pub(crate) async fn shards(
    engine: &Engine,
    stream: &str,
) -> Result<BTreeMap<String, Option<String>>, StoreError> {
    let request = engine.clients.streams.describe_stream().stream_arn(stream);
    let (mut found, mut from) = (BTreeMap::new(), None);
    loop {
        let page = request.clone().set_exclusive_start_shard_id(from);
        let page = engine.clients.read(|| page.clone().send()).await?;
        let description = page.stream_description;
        let shards = description.as_ref().map_or(&[][..], |description| description.shards());
        let named = |shard: &Shard| Some((shard.shard_id.clone()?, shard.parent_shard_id.clone()));
        found.extend(shards.iter().filter_map(named));
        from = description.and_then(|description| description.last_evaluated_shard_id);
        if from.is_none() {
            return Ok(found);
        }
    }
}

/// Whether no other server has taken over.
pub(crate) async fn still_has_lease(engine: &Engine) -> Result<bool, StoreError> {
    let item = engine.get(&engine.names.tally, LEASE[0], LEASE[1]).await?;
    Ok(item
        .and_then(|item| item.get("owner")?.as_s().ok().cloned())
        .is_none_or(|held| held == own_name(engine)))
}

fn own_name(engine: &Engine) -> String {
    canvass_domain::record::hexadecimal(&engine.options.instance)
}

fn places(item: &Item) -> BTreeMap<String, Progress> {
    let mut progress: BTreeMap<String, Progress> = BTreeMap::new();
    for (name, value) in item {
        if let (Some(shard), Ok(place)) = (name.strip_prefix(PLACE), value.as_s()) {
            progress.entry(shard.to_owned()).or_default().place = Some(place.clone());
        }
        if let (Some(shard), Ok(at)) = (name.strip_prefix(FINISHED), value.as_n()) {
            progress.entry(shard.to_owned()).or_default().finished_at = at.parse().ok();
        }
    }
    progress
}

/// A shard's name without what all have in common.
pub(crate) fn short(shard: &str) -> &str {
    shard.strip_prefix("shardId-").unwrap_or(shard)
}

fn is_moved(image: &aws_sdk_dynamodbstreams::types::StreamRecord) -> bool {
    image.new_image.as_ref().is_some_and(|new| new.contains_key(MOVED))
}

fn streamed(shard: &str, image: &aws_sdk_dynamodbstreams::types::StreamRecord) -> Option<Streamed> {
    let new = image.new_image.as_ref()?;
    let bytes = |name: &str| match new.get(name) {
        Some(StreamValue::B(bytes)) => Some(bytes.as_ref()),
        _ => None,
    };
    let Some(StreamValue::S(partition)) = new.get(crate::tables::PARTITION) else { return None };
    Streamed::read(short(shard), image.sequence_number.clone()?, partition, bytes("b")?, bytes("p"))
}
