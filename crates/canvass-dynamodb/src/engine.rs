//! What all verbs share: the way to the tables, the time, and the polls as they were read last.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, Put, TransactWriteItem},
};
use canvass_domain::{PollId, Refusal, Timestamp, decide, poll::PersonalData, record::hexadecimal};
use canvass_store::{StoreError, local::Clock};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::{sync::Notify, time::Instant};

use crate::{
    client::{Clients, Failed, Item},
    items::{Head, PollKey, key},
    limits::{POLLS_KNOWN_MAX, WRITES_AT_ONCE_MAX},
    listing::Listings,
    options::Options,
    shared::Shared,
    tables::Names,
    tally::Tallies,
};

/// The engine, shared by all who ask it.
pub(crate) struct Engine {
    pub(crate) clients: Clients,
    pub(crate) names: Names,
    pub(crate) options: Options,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tallies: Tallies,
    /// What the servers on the tables share, if there is a Redis.
    pub(crate) shared: Option<Shared>,
    pub(crate) listings: Listings,
    pub(crate) figures: Figures,
    heads: Mutex<FxHashMap<PollId, KnownHead>>,
    /// Steps of one poll are taken one after another on one server; between servers conditions decide.
    turns: Turns,
    readings: Turns,
    drawn: AtomicU64,
    /// Told when the stream's task is to give its lease back and end, and when it has.
    pub(crate) closing: Notify,
    pub(crate) closed: Notify,
    /// Room for votes that are with DynamoDB.
    pub(crate) room: tokio::sync::Semaphore,
    /// Votes that were asked for and not answered yet.
    pub(crate) waiting: AtomicUsize,
}

/// One after another, poll by poll.
type Turns = Mutex<FxHashMap<PollId, Arc<tokio::sync::Mutex<()>>>>;

fn shared(turns: &Turns, poll: &PollId) -> Arc<tokio::sync::Mutex<()>> {
    let mut turns = turns.lock();
    if turns.len() >= POLLS_KNOWN_MAX {
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
    }
    Arc::clone(turns.entry(poll.clone()).or_default())
}

/// What a range of sort keys begins and ends with that holds all of them.
pub(crate) const ALL: [&str; 2] = ["\u{1}", "\u{10ffff}"];

/// Figures for metrics.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) votes_written: AtomicU64,
    pub(crate) records_folded: AtomicU64,
    pub(crate) records_unreadable: AtomicU64,
    pub(crate) is_folding: std::sync::atomic::AtomicBool,
}

struct KnownHead {
    head: Arc<Head>,
    read_at: Instant,
}

impl Engine {
    pub(crate) fn new(
        clients: Clients,
        names: Names,
        options: Options,
        shared: Option<Shared>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            shared,
            clients,
            names,
            options,
            clock,
            tallies: Tallies::default(),
            listings: Listings::default(),
            figures: Figures::default(),
            heads: Mutex::default(),
            turns: Turns::default(),
            readings: Turns::default(),
            drawn: AtomicU64::new(0),
            closing: Notify::new(),
            closed: Notify::new(),
            room: tokio::sync::Semaphore::new(WRITES_AT_ONCE_MAX),
            waiting: AtomicUsize::new(0),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A text that no other server and no other call of this one uses.
    pub(crate) fn unique(&self) -> String {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number:x}", hexadecimal(&self.options.instance))
    }

    /// The turn of whoever changes a poll on this server.
    pub(crate) fn turn(&self, poll: &PollId) -> Arc<tokio::sync::Mutex<()>> {
        shared(&self.turns, poll)
    }

    /// An item by its key, as it is now.
    pub(crate) async fn get(
        &self,
        table: &str,
        partition: impl Into<String>,
        sort: impl Into<String>,
    ) -> Result<Option<Item>, StoreError> {
        let request = self
            .clients
            .tables
            .get_item()
            .table_name(table)
            .set_key(Some(key(partition, sort)))
            .consistent_read(true);
        Ok(self.clients.read(|| request.clone().send()).await?.item)
    }

    /// All items of a partition whose sort keys lie between two, in order.
    pub(crate) async fn query(
        &self,
        table: &str,
        partition: impl Into<String>,
        between: [&str; 2],
    ) -> Result<Vec<Item>, StoreError> {
        let [first, last] = between.map(|sort| AttributeValue::S(sort.to_owned()));
        let request = self
            .clients
            .tables
            .query()
            .table_name(table)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", AttributeValue::S(partition.into()))
            .expression_attribute_values(":first", first)
            .expression_attribute_values(":last", last)
            .consistent_read(true);
        let (mut items, mut from) = (Vec::new(), None);
        loop {
            let page = request.clone().set_exclusive_start_key(from);
            let page = self.clients.read(|| page.clone().send()).await?;
            items.extend(page.items.unwrap_or_default());
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(items);
            }
        }
    }

    /// Writes all of these or none. Sent again, it is done once: a transaction has a name of its own.
    pub(crate) async fn transact(&self, puts: Vec<Put>) -> Result<Written, StoreError> {
        self.transact_steps(puts.into_iter().map(put_step).collect()).await
    }

    /// The same for all that a transaction can do.
    pub(crate) async fn transact_steps(&self, items: Vec<TransactWriteItem>) -> Result<Written, StoreError> {
        // DynamoDB takes 36 bytes for a name.
        let name: String = self.unique().chars().rev().take(36).collect();
        let request = self
            .clients
            .tables
            .transact_write_items()
            .set_transact_items(Some(items))
            .client_request_token(name);
        match self.clients.ask(|| request.clone().send()).await {
            Ok(_) => Ok(Written::Done),
            Err(Failed::Service(TransactWriteItemsError::TransactionCanceledException(canceled))) => {
                let reasons = canceled.cancellation_reasons();
                let is_refused = |code: Option<&str>| {
                    !matches!(
                        code,
                        None | Some(
                            "None"
                                | "ConditionalCheckFailed"
                                | "TransactionConflict"
                                | "ThrottlingError"
                                | "ProvisionedThroughputExceeded"
                        )
                    )
                };
                if let Some(reason) = reasons.iter().find(|reason| is_refused(reason.code())) {
                    tracing::error!(
                        code = reason.code(),
                        message = reason.message(),
                        "a transaction was refused"
                    );
                    return Err(StoreError::busy("DynamoDB refused a transaction"));
                }
                Ok(Written::InTheWay)
            }
            Err(failed) => Err(failed.into_store_error()),
        }
    }

    /// A poll as it stands now; also one that was deleted.
    pub(crate) async fn read_head(&self, id: &PollId) -> Result<Option<Arc<Head>>, StoreError> {
        let read_at = Instant::now();
        let item = self.get(&self.names.main, Head::partition(id), "head").await?;
        let head = item.as_ref().map(Head::decode).transpose()?.map(Arc::new);
        if let Some(head) = &head {
            self.remember(head, read_at);
        }
        Ok(head)
    }

    /// A poll as it stands now.
    pub(crate) async fn fresh_head(&self, id: &PollId) -> Result<Arc<Head>, StoreError> {
        standing(self.read_head(id).await?)
    }

    /// A poll as it stood a moment ago, and whether it was read just now. Of many who ask at once, one reads it.
    pub(crate) async fn head(&self, id: &PollId) -> Result<(Arc<Head>, bool), StoreError> {
        if let Some(head) = self.known_head(id) {
            return Ok((head, false));
        }
        let turn = shared(&self.readings, id);
        let _turn = turn.lock().await;
        match self.known_head(id) {
            Some(head) => Ok((head, false)),
            None => Ok((self.fresh_head(id).await?, true)),
        }
    }

    fn known_head(&self, id: &PollId) -> Option<Arc<Head>> {
        let heads = self.heads.lock();
        let known = heads.get(id)?;
        let is_new = known.read_at.elapsed() < self.options.poll_age_max;
        (is_new && known.head.fence.is_none() && !known.head.is_gone).then(|| Arc::clone(&known.head))
    }

    /// Whether this server knows a later state of a poll than this one.
    pub(crate) fn knows_later(&self, key: &PollKey, events: u64) -> bool {
        let heads = self.heads.lock();
        heads.get(&key.id).is_some_and(|known| (known.head.key.life, known.head.events) > (key.life, events))
    }

    /// Keeps a poll as it was read or written at a moment, unless a later state is known.
    pub(crate) fn remember(&self, head: &Arc<Head>, read_at: Instant) {
        let mut heads = self.heads.lock();
        if heads.len() >= POLLS_KNOWN_MAX {
            heads.clear();
        }
        let state = |head: &Head| (head.key.life, head.events);
        let known = heads.get(&head.key.id);
        if known.is_none_or(|known| (state(&known.head), known.read_at) <= (state(head), read_at)) {
            heads.insert(head.key.id.clone(), KnownHead { head: Arc::clone(head), read_at });
        }
    }

    /// Takes the steps of all polls that time has made due, and tells which polls are being erased.
    pub(crate) async fn take_due_steps(&self) -> Result<Vec<PollId>, StoreError> {
        let request = self
            .clients
            .tables
            .query()
            .table_name(&self.names.main)
            .index_name(crate::tables::BY_DUE)
            .key_condition_expression("#kind = :kind AND #due <= :now")
            .expression_attribute_names("#kind", "due-kind")
            .expression_attribute_names("#due", "due")
            .expression_attribute_values(":kind", AttributeValue::S("due".to_owned()))
            .expression_attribute_values(":now", AttributeValue::N(self.now().microseconds().to_string()));
        let due = self.clients.read(|| request.clone().send()).await?.items.unwrap_or_default();
        let ids = due.iter().filter_map(|item| {
            crate::items::text(item, crate::tables::PARTITION).ok()?.strip_prefix("poll#")?.parse().ok()
        });
        let erasing = futures_util::future::join_all(ids.map(|id: PollId| async move {
            match self.take_due(&id).await {
                Ok(head) => (head.poll.personal_data == PersonalData::Erasing).then_some(id),
                Err(error) => {
                    tracing::warn!(%error, poll = %id, "a poll's scheduled step was not taken");
                    None
                }
            }
        }));
        Ok(erasing.await.into_iter().flatten().collect())
    }

    /// Takes the steps of one poll that time has made due.
    pub(crate) async fn take_due(&self, id: &PollId) -> Result<Arc<Head>, StoreError> {
        let turn = self.turn(id);
        let _turn = turn.lock().await;
        self.take_due_in_turn(id).await
    }

    /// Whether time has made a step of the poll due.
    pub(crate) fn is_due(&self, head: &Head) -> bool {
        !decide::decide_due(&head.poll, self.now().max(head.latest)).is_empty()
    }
}

/// A write as a part of a transaction.
pub(crate) fn put_step(put: Put) -> TransactWriteItem {
    TransactWriteItem::builder().put(put).build()
}

/// Whether a conditional write was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It was.
    Done,
    /// Something else was written in between, or is just being written.
    InTheWay,
}

/// A poll that is there.
pub(crate) fn standing(head: Option<Arc<Head>>) -> Result<Arc<Head>, StoreError> {
    head.filter(|head| !head.is_gone).ok_or(StoreError::Refused(Refusal::PollNotFound))
}

/// A short wait for what another server does.
pub(crate) async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}
