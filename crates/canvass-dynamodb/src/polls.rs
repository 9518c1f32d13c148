//! Polls: created, changed and led through their lives, each step in one transaction with its event and its place in
//! the counts.
//!
//! Votes are decided by a poll as it was read a moment ago. A step that ends voting or changes what votes are decided
//! by first puts up a fence, at which all servers hold votes back; when the grace is over, no vote can come any more
//! that was decided before, and the step is taken by what is then known.

use std::sync::Arc;

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use canvass_domain::{
    Poll, PollId, Refusal, Sequence, Timestamp,
    code::CodeHash,
    decide::{self, Facts, PollCommand},
    poll::{NewPoll, Status},
    record::{CodesAdded, Kind, Place, PollEvent, Record, Step, encode_event},
};
use canvass_store::StoreError;
use tokio::time::Instant;

use crate::{
    client::Item,
    counters::part_sort,
    engine::{Engine, Written, pause, put_step},
    folding::Counters,
    items::{Head, PollKey, blob, key, number, string},
    limits::{BUCKETS, CLOCKS_APART_SECONDS_MAX, CONFLICTS_MAX, FENCE_LEFT},
};
use canvass_domain::tally::parts::PartId;

/// What an event's item is sorted under.
pub(crate) fn event_sort(event: u64) -> String {
    format!("event#{event:010}")
}

/// What says that a lot of codes counts.
pub(crate) fn lot_sort(lot: &str) -> String {
    format!("lot#{lot}")
}

/// A record beside votes, to be written with the poll that it leads to.
pub(crate) struct Event {
    record: Record,
    /// In place of the hashes of codes, which have items of their own.
    lot: Option<String>,
    poll: Arc<Poll>,
    codes: usize,
    is_gone: bool,
}

impl Event {
    pub(crate) fn step(step: Step, poll: Poll, codes: usize, actor: &str) -> Self {
        let poll = Arc::new(poll);
        let event =
            PollEvent { step, actor: actor.to_owned(), poll: Poll::clone(&poll), chain: String::new() };
        let record = Record::Poll(Box::new(event));
        Self { record, lot: None, poll, codes, is_gone: step == Step::Deleted }
    }

    /// One that happened on another engine and led to this poll.
    pub(crate) fn carried(head: &Head, record: &Record, lot: String) -> Self {
        let (record, lot) = match record {
            Record::Codes(codes) => {
                (Record::Codes(CodesAdded { hashes: Vec::new(), ..codes.clone() }), Some(lot))
            }
            Record::Poll(event) => {
                (Record::Poll(Box::new(PollEvent { chain: String::new(), ..(**event).clone() })), None)
            }
            other => (other.clone(), None),
        };
        let (poll, codes, is_gone) = (Arc::clone(&head.poll), head.codes, head.is_gone);
        Self { record, lot, poll, codes, is_gone }
    }

    /// What is written of it, beside the poll that it led to.
    pub(crate) fn items(&self, head: &Head) -> Vec<Item> {
        let lot = self.lot.as_ref().map(|lot| key(head.key.events(), lot_sort(lot)));
        std::iter::once(event_item(head, self)).chain(lot).collect()
    }
}

impl Engine {
    pub(crate) async fn create_poll(
        &self,
        request: NewPoll,
        given_id: PollId,
        actor: &str,
    ) -> Result<Arc<Poll>, StoreError> {
        let now = self.now();
        let steps = decide::decide_create(request, given_id, now)?;
        let (_, first) = steps.first().ok_or_else(|| StoreError::busy("nothing was decided"))?;
        let id = first.id.clone();
        let turn = self.turn(&id);
        let _turn = turn.lock().await;
        let before = self.read_head(&id).await?;
        if before.as_ref().is_some_and(|head| !head.is_gone) {
            return Err(Refusal::PollExists.into());
        }
        let empty = Head {
            key: PollKey { id, life: before.as_ref().map_or(1, |head| head.key.life + 1) },
            poll: Arc::new(first.clone()),
            events: 0,
            latest: now,
            codes: 0,
            buckets: BUCKETS,
            is_gone: false,
            fence: None,
        };
        let events = steps.into_iter().map(|(step, poll)| Event::step(step, poll, 0, actor)).collect();
        match self.commit(&empty, before.as_deref(), events, Vec::new(), now).await? {
            Some(head) => Ok(Arc::clone(&head.poll)),
            None => Err(Refusal::PollExists.into()),
        }
    }

    pub(crate) async fn change_poll(
        &self,
        id: &PollId,
        command: PollCommand,
        expected: Option<u64>,
        actor: &str,
    ) -> Result<Arc<Poll>, StoreError> {
        let turn = self.turn(id);
        let _turn = turn.lock().await;
        for _ in 0..CONFLICTS_MAX {
            let head = self.take_due_in_turn(id).await?;
            let now = self.now().max(head.latest);
            let decided = self.decide(&head, &command, expected, now).await?;
            let Some((step, poll)) = decided else { return Ok(Arc::clone(&head.poll)) };
            let changed = if needs_fence(&head.poll, &poll, &command, now) {
                let Some(fenced) = self.put_fence(&head).await? else { continue };
                let decided = self.decide(&fenced, &command, expected, now).await;
                let Ok(Some((step, poll))) = decided else {
                    self.remove_fence(&fenced).await?;
                    return decided.map(|_| Arc::clone(&fenced.poll));
                };
                let event = Event::step(step, poll, fenced.codes, actor);
                self.commit(&fenced, Some(&fenced), vec![event], Vec::new(), self.now().max(fenced.latest))
                    .await?
            } else {
                let event = Event::step(step, poll, head.codes, actor);
                self.commit(&head, Some(&head), vec![event], Vec::new(), now).await?
            };
            if let Some(head) = changed {
                return Ok(Arc::clone(&head.poll));
            }
        }
        Err(StoreError::busy("others change the poll all the time"))
    }

    pub(crate) async fn decide(
        &self,
        head: &Head,
        command: &PollCommand,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<decide::PollDecision, StoreError> {
        // Only an edit asks.
        let has_votes = matches!(command, PollCommand::Edit(_)) && self.has_votes(head).await?;
        let facts = Facts { has_votes, codes: head.codes };
        Ok(decide::decide_poll(&head.poll, facts, command, expected, now)?)
    }

    /// The steps that time has made due, by whoever has the poll's turn.
    pub(crate) async fn take_due_in_turn(&self, id: &PollId) -> Result<Arc<Head>, StoreError> {
        for _ in 0..CONFLICTS_MAX {
            let head = self.unfenced_head(id).await?;
            let now = self.now().max(head.latest);
            let due = decide::decide_due(&head.poll, now);
            if due.is_empty() {
                return Ok(head);
            }
            let ends_voting = head.poll.status == Status::Open;
            let base = if ends_voting {
                let Some(fenced) = self.put_fence(&head).await? else { continue };
                fenced
            } else {
                head
            };
            let events = due.into_iter().map(|(step, poll)| Event::step(step, poll, base.codes, "schedule"));
            if let Some(head) = self.commit(&base, Some(&base), events.collect(), Vec::new(), now).await? {
                return Ok(head);
            }
        }
        Err(StoreError::busy("others change the poll all the time"))
    }

    /// The poll once no fence stands. One that nobody takes away was left by a server that ended.
    async fn unfenced_head(&self, id: &PollId) -> Result<Arc<Head>, StoreError> {
        let began = Instant::now();
        let mut seen = None;
        loop {
            let head = self.fresh_head(id).await?;
            if head.fence.is_none() {
                return Ok(head);
            }
            if seen.as_ref() != Some(&head.fence) {
                seen = Some(head.fence.clone());
            } else if began.elapsed() > FENCE_LEFT {
                self.remove_fence(&head).await?;
            }
            pause().await;
        }
    }

    /// Makes all servers hold votes back, and waits until none can come that was decided before. None if the poll was
    /// changed meanwhile.
    async fn put_fence(&self, head: &Head) -> Result<Option<Arc<Head>>, StoreError> {
        let fenced = Head { fence: Some(self.unique()), ..head.clone() };
        let put = self.put_head(&fenced, Some(head))?;
        if self.transact(vec![put]).await? == Written::InTheWay {
            return Ok(None);
        }
        let fenced = Arc::new(fenced);
        self.remember(&fenced, Instant::now());
        tokio::time::sleep(self.options.grace).await;
        Ok(Some(fenced))
    }

    async fn remove_fence(&self, fenced: &Head) -> Result<(), StoreError> {
        let put = self.put_head(&Head { fence: None, ..fenced.clone() }, Some(fenced))?;
        self.transact(vec![put]).await.map(|_| ())
    }

    fn put_head(&self, head: &Head, before: Option<&Head>) -> Result<Put, StoreError> {
        let put = Put::builder().table_name(&self.names.main).set_item(Some(head.encode()?));
        let put = match before {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(before) => {
                let fence = match &before.fence {
                    None => "attribute_not_exists(fence)",
                    Some(_) => "fence = :fence",
                };
                let put = put
                    .condition_expression(format!("life = :life AND events = :events AND {fence}"))
                    .expression_attribute_values(":life", number(before.key.life))
                    .expression_attribute_values(":events", number(before.events));
                match &before.fence {
                    Some(fence) => put.expression_attribute_values(":fence", string(fence.clone())),
                    None => put,
                }
            }
        };
        Ok(put.build().expect("a table and an item are given"))
    }

    /// Writes events, the poll that they lead to, their place in the counts, and what belongs to them. None if the poll
    /// was changed meanwhile; a stream that is folded in at the same time only takes another try, but where something
    /// belongs to the events, which that may have changed.
    pub(crate) async fn commit(
        &self,
        from: &Head,
        before: Option<&Head>,
        events: Vec<Event>,
        with: Vec<TransactWriteItem>,
        now: Timestamp,
    ) -> Result<Option<Arc<Head>>, StoreError> {
        for _ in 0..CONFLICTS_MAX {
            let counted = self.read_counts(&from.key).await?;
            // An event is never earlier than what was counted before it.
            let now = counted.as_ref().map_or(now, |counts| now.max(counts.updated_at));
            let (head, items) = after_events(from, &events, now);
            let mut counters = counted.clone().unwrap_or_default();
            counters.records += events.len() as u64;
            counters.events = head.events;
            counters.updated_at = counters.updated_at.max(head.latest);
            counters.logs_ballots = head.poll.method.counts_ballots();
            let put_event = |item: Item| {
                let put = Put::builder().table_name(&self.names.main).set_item(Some(item));
                put.condition_expression("attribute_not_exists(pk)")
                    .build()
                    .expect("a table and an item are given")
            };
            let mut puts = vec![
                self.put_head(&head, before)?,
                counters.put(
                    &self.names.tally,
                    &from.key,
                    PartId::Counts,
                    counted.map(|counts| counts.records),
                ),
            ];
            puts.extend(items.into_iter().map(put_event));
            let steps = puts.into_iter().map(put_step).chain(with.iter().cloned());
            if self.transact_steps(steps.collect()).await? == Written::Done {
                let head = Arc::new(head);
                self.remember(&head, Instant::now());
                self.tallies.forget(&head.key.id);
                if let Some(shared) = &self.shared {
                    shared.note(&head.key.id);
                }
                return Ok(Some(head));
            }
            let current = self.read_head(&from.key.id).await?;
            let state = |head: &Head| (head.key.life, head.events, head.fence.clone());
            if !with.is_empty() || current.as_deref().map(state) != before.map(state) {
                return Ok(None);
            }
            pause().await;
        }
        Err(StoreError::busy("the counts change all the time"))
    }

    pub(crate) async fn read_counts(&self, poll: &PollKey) -> Result<Option<Counters>, StoreError> {
        self.read_part(poll, PartId::Counts).await
    }

    /// A part of a poll's tally.
    pub(crate) async fn read_part(
        &self,
        poll: &PollKey,
        part: PartId,
    ) -> Result<Option<Counters>, StoreError> {
        let item = self.get(&self.names.tally, poll.to_string(), part_sort(part)).await?;
        item.as_ref().map(Counters::decode).transpose()
    }

    /// Whether a vote was ever accepted.
    async fn has_votes(&self, head: &Head) -> Result<bool, StoreError> {
        let counts = self.read_counts(&head.key).await?;
        if counts.is_some_and(|counts| counts.records > counts.events) {
            return Ok(true);
        }
        // The tally follows the votes; the votes themselves do not.
        let first_of = |bucket: u32| {
            let request = self
                .clients
                .tables
                .query()
                .table_name(&self.names.votes)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", string(head.key.bucket(bucket)))
                .consistent_read(true)
                .limit(1);
            async move { self.clients.read(|| request.clone().send()).await.map(|page| page.count > 0) }
        };
        let found = futures_util::future::try_join_all((0..head.buckets).map(first_of)).await?;
        Ok(found.contains(&true))
    }

    pub(crate) async fn add_codes(
        &self,
        id: &PollId,
        hashes: Vec<CodeHash>,
        actor: &str,
    ) -> Result<(), StoreError> {
        let turn = self.turn(id);
        let _turn = turn.lock().await;
        let lot = self.unique();
        let mut are_written = false;
        for _ in 0..CONFLICTS_MAX {
            let head = self.take_due_in_turn(id).await?;
            let now = self.now().max(head.latest);
            self.decide(&head, &PollCommand::AddCodes(hashes.len()), None, now).await?;
            if !are_written {
                // Codes count from when their lot's event is there, so they can be written one after another before.
                self.write_codes(&head.key, &lot, &hashes).await?;
                are_written = true;
            }
            let record = Record::Codes(CodesAdded { actor: actor.to_owned(), hashes: Vec::new() });
            let poll = Arc::clone(&head.poll);
            let event = Event {
                record,
                lot: Some(lot.clone()),
                poll,
                codes: head.codes + hashes.len(),
                is_gone: false,
            };
            if self.commit(&head, Some(&head), vec![event], Vec::new(), now).await?.is_some() {
                return Ok(());
            }
        }
        Err(StoreError::busy("others change the poll all the time"))
    }
}

/// The poll after events, and their items.
fn after_events(from: &Head, events: &[Event], now: Timestamp) -> (Head, Vec<Item>) {
    let mut head = Head { fence: None, ..from.clone() };
    let mut items = Vec::new();
    for event in events {
        head.events += 1;
        head.latest = now.max(head.latest);
        head.poll = Arc::clone(&event.poll);
        head.codes = event.codes;
        head.is_gone = event.is_gone;
        items.extend(event.items(&head));
    }
    (head, items)
}

fn event_item(head: &Head, event: &Event) -> Item {
    let mut item = key(head.key.events(), event_sort(head.events));
    let place = Place { poll: head.key.life, sequence: Sequence(0), at: head.latest };
    let mut body = Vec::new();
    let kind = encode_event(&mut body, place, &event.record);
    item.insert("k".to_owned(), number(kind as u8));
    item.insert("b".to_owned(), blob(body));
    if kind == Kind::Codes
        && let Some(lot) = &event.lot
    {
        item.insert("lot".to_owned(), string(lot.clone()));
    }
    item
}

/// Whether a vote that was decided by the poll before must not be written after it has changed. A write-in only adds an
/// option, which no vote decided before can name.
fn needs_fence(before: &Poll, after: &Poll, command: &PollCommand, now: Timestamp) -> bool {
    let changes_rules = before.status != after.status
        || before.closes_at != after.closes_at
        || before.form != after.form
        || before.access != after.access
        || before.revote != after.revote
        || before.weighted != after.weighted
        || before.seats != after.seats;
    let may_take_votes = before.status_at(now.plus_seconds(CLOCKS_APART_SECONDS_MAX)) == Status::Open
        || before.status_at(now) == Status::Open;
    may_take_votes && changes_rules && !matches!(command, PollCommand::WriteIn(_))
}
