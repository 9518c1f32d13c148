//! Writes what the stream's records add to the counters, for a server's task and for a function alike.

use std::{collections::BTreeSet, sync::Arc};

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use canvass_domain::tally::parts::PartId;
use canvass_store::StoreError;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rustc_hash::FxHashMap;

use crate::{
    client::Failed,
    counters::put_log,
    engine::{Engine, Written, pause},
    folding::{Counters, Streamed, Update, fold},
    items::PollKey,
    limits::{CONFLICTS_MAX, WRITES_AT_ONCE_MAX},
    stream::still_has_lease,
};

/// Writes counters, and keeps those that it wrote last: a write is refused if they have changed since.
pub(crate) struct Writer {
    engine: Arc<Engine>,
    /// Whether it writes by the lease, and gives way to another server that has taken it.
    is_leased: bool,
    counters: FxHashMap<(PollKey, PartId), Counters>,
}

/// Why something was not written.
pub(crate) enum Cut {
    /// Somebody else folds, or something is in the way; what was read is read again.
    Lost,
    Store(StoreError),
}

impl From<StoreError> for Cut {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Writer {
    pub(crate) fn new(engine: Arc<Engine>, is_leased: bool) -> Self {
        Self { engine, is_leased, counters: FxHashMap::default() }
    }

    /// Writes what records add to the counters: the counts of a poll after its other parts. Checkpoints of shards that
    /// are finished are left out, for they take room in every counter.
    pub(crate) async fn write(
        &mut self,
        records: &[Streamed],
        finished: &BTreeSet<String>,
    ) -> Result<(), Cut> {
        let updates = fold(records);
        let (counts, parts): (Vec<_>, Vec<_>) =
            updates.into_iter().partition(|((_, part), _)| *part == PartId::Counts);
        for updates in [parts, counts] {
            let known = |id: &(PollKey, PartId)| self.counters.get(id).cloned();
            let prepared: Vec<_> = updates.into_iter().map(|(id, update)| (known(&id), id, update)).collect();
            let written = stream::iter(prepared)
                .map(|(known, (poll, part), update)| self.write_part((poll, part), update, known, finished))
                .buffer_unordered(WRITES_AT_ONCE_MAX)
                .try_collect::<Vec<_>>()
                .await?;
            self.counters.extend(written);
        }
        self.forget_old_hours();
        Ok(())
    }

    /// Reads all counters anew from here on.
    pub(crate) fn forget(&mut self) {
        self.counters.clear();
    }

    /// The shards whose checkpoints stand in the counters that were written last.
    pub(crate) fn known_shards(&self) -> BTreeSet<String> {
        self.counters.values().flat_map(|counters| counters.checkpoints.keys().cloned()).collect()
    }

    /// Counters that are not needed any more need no memory.
    fn forget_old_hours(&mut self) {
        const COUNTERS_KEPT_MAX: usize = 10_000;
        if self.counters.len() > COUNTERS_KEPT_MAX {
            self.counters.clear();
        }
    }

    async fn write_part(
        &self,
        (poll, part): (PollKey, PartId),
        mut update: Update,
        known: Option<Counters>,
        finished: &BTreeSet<String>,
    ) -> Result<((PollKey, PartId), Counters), Cut> {
        let mut before = match known {
            Some(known) => Some(known),
            None => self.engine.read_part(&poll, part).await?,
        };
        let mut tries = 0;
        while !update.is_done() {
            let mut ahead = update.clone();
            let counted = before.clone().unwrap_or_default();
            let Some(mut folded) = ahead.take(part, &counted) else {
                update = ahead;
                continue;
            };
            folded.counters.checkpoints.retain(|shard, _| !finished.contains(shard));
            let put = folded.counters.put(
                &self.engine.names.tally,
                &poll,
                part,
                before.as_ref().map(|counters| counters.records),
            );
            let written = if folded.ballots.is_empty() {
                self.put_counters(put).await?
            } else {
                let log = put_log(&self.engine.names.tally, &poll, counted.records, folded.ballots);
                self.engine.transact(vec![put, log]).await?
            };
            match written {
                Written::Done => {
                    update = ahead;
                    before = Some(folded.counters);
                }
                Written::InTheWay => {
                    // A step in the poll's life, or another server. What counts is in the item.
                    tries += 1;
                    if tries > CONFLICTS_MAX || (self.is_leased && !still_has_lease(&self.engine).await?) {
                        return Err(Cut::Lost);
                    }
                    pause().await;
                    before = self.engine.read_part(&poll, part).await?;
                }
            }
        }
        Ok(((poll, part), before.unwrap_or_default()))
    }

    async fn put_counters(&self, put: aws_sdk_dynamodb::types::Put) -> Result<Written, StoreError> {
        let request = self
            .engine
            .clients
            .tables
            .put_item()
            .table_name(put.table_name)
            .set_item(Some(put.item))
            .set_condition_expression(put.condition_expression)
            .set_expression_attribute_values(put.expression_attribute_values);
        match self.engine.clients.ask(|| request.clone().send()).await {
            Ok(_) => Ok(Written::Done),
            // If nobody knows, it may be written: then the next try finds the checkpoint in it.
            Err(Failed::Unknown | Failed::Service(PutItemError::ConditionalCheckFailedException(_))) => {
                Ok(Written::InTheWay)
            }
            Err(failed) => Err(failed.into_store_error()),
        }
    }
}
