//! Erasure: votes lose what tells of their voters, and nothing that is counted changes.
//!
//! An item cannot be given another key, so a vote is written anew under a key that tells of nobody, and taken out under
//! its voter's, in one transaction: at every moment it is there once. The stream tells of both, and neither is a vote.

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};
use canvass_domain::{
    PollId, VoterId,
    decide::PollCommand,
    poll::PersonalData,
    tally::parts::{self, Figures, PartId},
};
use canvass_store::StoreError;
use futures_util::{TryStreamExt as _, stream};

use crate::{
    client::Item,
    engine::{Engine, Written, pause, put_step},
    folding::Counters,
    items::{Head, MOVED, VOTERS, VoteItem, erased_sort, key, string, text, voter_prefix},
    limits::{BUCKETS_READ_AT_ONCE_MAX, CONFLICTS_MAX, ERASED_AT_ONCE_MAX},
    polls::Event,
    tables::{PARTITION, SORT},
};

/// Who is said to have told the end of an erasure, as on the local engine.
const ACTOR: &str = "schedule";

/// Votes of a partition, in the order of their keys.
struct Page {
    items: Vec<Item>,
    is_last: bool,
}

impl Engine {
    /// Erases what a voter's votes tell of the voter; how many records did. The oldest go first, and with the last the
    /// step is recorded: what is cut off is done by asking again.
    pub(crate) async fn erase_voter(
        &self,
        id: &PollId,
        voter: &VoterId,
        actor: &str,
    ) -> Result<u64, StoreError> {
        let turn = self.turn(id);
        let _turn = turn.lock().await;
        let mut erased = 0;
        for _ in 0..CONFLICTS_MAX {
            let head = self.take_due_in_turn(id).await?;
            let now = self.now().max(head.latest);
            let decided = self.decide(&head, &PollCommand::TellVoterErased, None, now).await?;
            let Some((step, poll)) = decided else { return Ok(erased) };
            let prefix = voter_prefix(voter);
            let page = self.page(head.bucket_of(voter), [&prefix, &format!("{prefix}~")]).await?;
            if page.items.is_empty() {
                return Ok(erased);
            }
            let mut steps = moves(&self.names.votes, &head, &page.items)?;
            steps.extend(self.taken_back(&head, &page.items).await?.map(put_step));
            let is_done = if page.is_last {
                let event = Event::step(step, poll, head.codes, actor);
                self.commit(&head, Some(&head), vec![event], steps, now).await?.is_some()
            } else {
                self.transact_steps(steps).await? == Written::Done
            };
            if !is_done {
                pause().await;
                continue;
            }
            erased += page.items.len() as u64;
            if page.is_last {
                self.listings.forget(&head.key);
                return Ok(erased);
            }
        }
        Err(StoreError::busy("others change the poll all the time"))
    }

    /// Erases a poll that says that it is being erased, and records that it is. Several servers at once only take
    /// longer.
    pub(crate) async fn erase_poll(&self, id: &PollId) -> Result<(), StoreError> {
        let head = self.fresh_head(id).await?;
        if head.poll.personal_data != PersonalData::Erasing {
            return Ok(());
        }
        self.forget_dimensions(&head).await?;
        stream::iter((0..head.buckets).map(Ok))
            .try_for_each_concurrent(BUCKETS_READ_AT_ONCE_MAX, |bucket| self.erase_bucket(&head, bucket))
            .await?;
        self.change_poll(id, PollCommand::FinishErasure, None, ACTOR).await?;
        self.listings.forget(&head.key);
        Ok(())
    }

    async fn erase_bucket(&self, head: &Head, bucket: u32) -> Result<(), StoreError> {
        let mut conflicts = 0;
        loop {
            let page = self.page(head.key.bucket(bucket), VOTERS).await?;
            if page.items.is_empty() {
                return Ok(());
            }
            if self.transact_steps(moves(&self.names.votes, head, &page.items)?).await? == Written::InTheWay {
                conflicts += 1;
                if conflicts > CONFLICTS_MAX {
                    return Err(StoreError::busy("others erase the same votes all the time"));
                }
                pause().await;
            }
        }
    }

    /// The first votes of a partition between two sort keys, as many as one transaction takes.
    async fn page(&self, partition: String, between: [&str; 2]) -> Result<Page, StoreError> {
        let [first, last] = between.map(string);
        let request = self
            .clients
            .tables
            .query()
            .table_name(&self.names.votes)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", string(partition))
            .expression_attribute_values(":first", first)
            .expression_attribute_values(":last", last)
            .consistent_read(true)
            .limit(ERASED_AT_ONCE_MAX);
        let page = self.clients.read(|| request.clone().send()).await?;
        Ok(Page { is_last: page.last_evaluated_key.is_none(), items: page.items.unwrap_or_default() })
    }

    /// The dimensions without what these votes add to them; none in polls that have none.
    async fn taken_back(&self, head: &Head, items: &[Item]) -> Result<Option<Put>, StoreError> {
        if head.poll.demographics.is_empty() {
            return Ok(None);
        }
        let mut differences = Figures::new();
        for item in items {
            let VoteItem { at, record, .. } = VoteItem::decode(item)?;
            let mut added = parts::differences(at, record.removed().as_ref(), record.added().as_ref());
            for (name, difference) in added.remove(&PartId::Dimensions).unwrap_or_default() {
                *differences.entry(name).or_default() += difference;
            }
        }
        let change = |counters: &mut Counters| parts::take_back(&mut counters.figures, &differences);
        self.changed_dimensions(head, change).await.map(Some)
    }

    /// Clears what all votes told of persons, and has the stream add nothing to it from now on.
    async fn forget_dimensions(&self, head: &Head) -> Result<(), StoreError> {
        for _ in 0..CONFLICTS_MAX {
            let change = |counters: &mut Counters| {
                counters.figures.clear();
                counters.is_erased = true;
            };
            let put = self.changed_dimensions(head, change).await?;
            if self.transact(vec![put]).await? == Written::Done {
                return Ok(());
            }
            pause().await;
        }
        Err(StoreError::busy("the dimensions change all the time"))
    }

    /// The dimensions after a change; how far the stream is folded into them stays.
    async fn changed_dimensions(
        &self,
        head: &Head,
        change: impl FnOnce(&mut Counters),
    ) -> Result<Put, StoreError> {
        let before = self.read_part(&head.key, PartId::Dimensions).await?;
        let mut counters = before.clone().unwrap_or_default();
        // Whoever folds finds that the part is not as it was, and reads it anew.
        counters.records += 1;
        change(&mut counters);
        let before = before.map(|counters| counters.records);
        Ok(counters.put(&self.names.tally, &head.key, PartId::Dimensions, before))
    }
}

/// Each vote taken out under its voter's key and written under one that tells of nobody.
fn moves(table: &str, head: &Head, items: &[Item]) -> Result<Vec<TransactWriteItem>, StoreError> {
    let mut steps = Vec::with_capacity(items.len() * 2);
    for item in items {
        let vote = VoteItem::decode(item)?.record;
        let mut moved = item.clone();
        moved.remove("p");
        moved.insert(PARTITION.to_owned(), string(head.bucket_of_erased(vote.vote_id)));
        moved.insert(SORT.to_owned(), string(erased_sort(vote.vote_id, vote.revision)));
        moved.insert(MOVED.to_owned(), AttributeValue::Bool(true));
        let put = Put::builder().table_name(table).set_item(Some(moved));
        let put = put.condition_expression("attribute_not_exists(pk)").build();
        let delete = Delete::builder()
            .table_name(table)
            .set_key(Some(key(text(item, PARTITION)?, text(item, SORT)?)))
            .condition_expression("attribute_exists(pk)")
            .build();
        steps.push(put_step(put.expect("a table and an item are given")));
        let delete = delete.expect("a table and a key are given");
        steps.push(TransactWriteItem::builder().delete(delete).build());
    }
    Ok(steps)
}
