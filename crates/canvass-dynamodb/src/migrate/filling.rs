//! Writing what is carried to the tables: each write is refused or the same when it is done again.

use std::{collections::HashMap, ops::ControlFlow};

use aws_sdk_dynamodb::{operation::put_item::PutItemError, types::ReturnValuesOnConditionCheckFailure};
use canvass_domain::{
    Sequence, Timestamp,
    record::{Place, PollNumber, Record, VoteRecord},
    tally::parts::PartId,
};
use canvass_store::{StoreError, local::Contents};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{sync::mpsc, time::Instant};

use super::{
    MigrateError,
    source::{Poll, Source},
    sum::without_previous,
};
use crate::{
    client::{Failed, Item},
    engine::Engine,
    folding::Counters,
    items::{Head, VoteItem, erased_sort, vote_sort},
    limits::{CARRIED_AHEAD_MAX, CARRIED_COUNTS_LOOKED_AT, CARRIED_COUNTS_WAIT_MAX, WRITES_AT_ONCE_MAX},
    polls::Event,
};

impl Engine {
    /// Looks whether the tables hold other polls of the same ids, before anything is written.
    pub(super) async fn refuse_others(&self, source: &Source) -> Result<(), MigrateError> {
        for poll in source.newest() {
            let there = self.read_head(&poll.head.key.id).await?;
            if there
                .map(|head| head.encode())
                .transpose()?
                .is_some_and(|there| Ok(there) != poll.head.encode())
            {
                return Err(MigrateError::Differs(format!("the poll {}", poll.head.key.id)));
            }
        }
        Ok(())
    }

    /// A poll's events, its codes and its place in the counts.
    pub(super) async fn put_beside_votes(&self, poll: &Poll) -> Result<(), MigrateError> {
        let mut head = Head { events: 0, codes: 0, ..poll.head.clone() };
        for entry in &poll.events {
            head.follow(&entry.record, entry.place.at);
            let lot = format!("carried-{:010}", head.events);
            if let Record::Codes(codes) = &entry.record {
                self.write_codes(&head.key, &lot, &codes.hashes).await?;
            }
            for item in Event::carried(&head, &entry.record, lot).items(&head) {
                self.put_plain(item).await?;
            }
        }
        let counters = Counters {
            records: head.events,
            events: head.events,
            updated_at: head.latest,
            logs_ballots: poll.head.poll.method.counts_ballots(),
            ..Counters::default()
        };
        let request = self
            .clients
            .tables
            .put_item()
            .table_name(&self.names.tally)
            .set_item(Some(counters.encode(&head.key, PartId::Counts)))
            .condition_expression("attribute_not_exists(pk)");
        match self.clients.ask(|| request.clone().send()).await {
            // If it is there, votes may be counted in it.
            Ok(_) | Err(Failed::Service(PutItemError::ConditionalCheckFailedException(_))) => Ok(()),
            Err(failed) => Err(failed.into_store_error().into()),
        }
    }

    pub(super) async fn put_votes(&self, contents: Contents, source: &Source) -> Result<(), MigrateError> {
        let (sender, receiver) = mpsc::channel(CARRIED_AHEAD_MAX);
        let reading = tokio::task::spawn_blocking(move || {
            contents.each(|entry| match sender.blocking_send(entry) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            })
        });
        let mut events: HashMap<PollNumber, u64> = HashMap::new();
        let entries = stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|entry| (entry, receiver))
        });
        let items = entries.filter_map(|entry| {
            let known = events.entry(entry.place.poll).or_default();
            let Record::Vote(vote) = &entry.record else {
                *known += 1;
                return std::future::ready(None);
            };
            let poll = source.polls.get(&entry.place.poll);
            let item = poll.map(|poll| vote_item(&poll.head, vote, *known, entry.place.at));
            std::future::ready(item)
        });
        let written = items
            .map(|item| self.put_first(&self.names.votes, item, "a vote"))
            .buffer_unordered(WRITES_AT_ONCE_MAX)
            .try_for_each(|()| std::future::ready(Ok(())))
            .await;
        written?;
        Ok(reading.await.map_err(|_| StoreError::busy("the reading was cut off"))??)
    }

    /// Writes an item where there is none or the same.
    pub(super) async fn put_first(&self, table: &str, item: Item, what: &str) -> Result<(), MigrateError> {
        let request = self
            .clients
            .tables
            .put_item()
            .table_name(table)
            .set_item(Some(item.clone()))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match self.clients.ask(|| request.clone().send()).await {
            Ok(_) => Ok(()),
            Err(Failed::Service(PutItemError::ConditionalCheckFailedException(refused))) => {
                let is_same = refused.item().is_some_and(|there| *there == item);
                if is_same { Ok(()) } else { Err(MigrateError::Differs(what.to_owned())) }
            }
            Err(failed) => Err(failed.into_store_error().into()),
        }
    }

    /// Waits until the stream has brought all votes into the counts.
    pub(super) async fn wait_for_counts(&self, source: &Source) -> Result<(), MigrateError> {
        let (mut counted, mut moved_at) = (0, Instant::now());
        loop {
            let mut known = 0;
            let mut is_done = true;
            for poll in source.polls.values() {
                let counts = self.read_counts(&poll.head.key).await?.unwrap_or_default();
                known += counts.records;
                is_done &= counts.records >= poll.sum.records;
            }
            if is_done {
                return Ok(());
            }
            if known > counted {
                (counted, moved_at) = (known, Instant::now());
            }
            if moved_at.elapsed() > CARRIED_COUNTS_WAIT_MAX {
                let text = format!("{known} records have come into the counts, and no more come");
                return Err(MigrateError::Mismatch(text));
            }
            tokio::time::sleep(CARRIED_COUNTS_LOOKED_AT).await;
        }
    }
}

/// A vote's item, also of one whose voter is erased.
fn vote_item(head: &Head, vote: &VoteRecord, events: u64, at: Timestamp) -> Item {
    let place = Place { poll: head.key.life, sequence: Sequence(0), at };
    let (bytes, part) = without_previous(vote).written_anew(place);
    let Some(personal) = &vote.personal else {
        let sort = erased_sort(vote.vote_id, vote.revision);
        return VoteItem::encode(&head.bucket_of_erased(vote.vote_id), &sort, events, bytes, None);
    };
    let sort = vote_sort(&personal.voter, vote.revision);
    VoteItem::encode(&head.bucket_of(&personal.voter), &sort, events, bytes, Some(part))
}
