//! Carrying everything from a data directory to the tables and back. The source is read and never changed; what was
//! carried is counted again on both sides, and compared record by record, before it is called done.
//!
//! To the tables: a poll's place in the counts first, then its votes, and its head last, so that no server takes a vote
//! in a poll that is not whole yet. Every write is refused or the same when it is done again, so that what was cut off
//! is done again from its beginning. Votes come into the counts as they always do, by the stream.

use std::{
    collections::{BTreeMap, HashMap},
    ops::ControlFlow,
    path::Path,
    sync::Arc,
    time::Duration,
};

use aws_sdk_dynamodb::{operation::put_item::PutItemError, types::ReturnValuesOnConditionCheckFailure};
use canvass_domain::{
    PollId, Sequence, Timestamp,
    key::Key,
    record::{Entry, Place, PollNumber, REGISTRY, Record, Setting, Step, VoteBody, VoteRecord, encode_vote},
    tally::{Books, parts::PartId},
};
use canvass_store::{
    PollQuery, StoreError,
    limits::POLLS_PAGE_MAX,
    local::{CarryError, Clock, Contents, NewDirectory, examine, has_ledger},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use crate::{
    client::{Clients, Failed, Item},
    engine::{ALL, Engine, standing},
    folding::Counters,
    items::{Head, PollKey, VoteItem, text, vote_sort},
    limits::{BUCKETS, WRITES_AT_ONCE_MAX},
    options::Options,
    polls::Event,
    stream::Task,
    tables::{Names, SORT, TableError, find_stream},
};

/// Records that are read ahead.
const READ_AHEAD: usize = 1_024;
/// How long the counts may stand still before they are given up.
const COUNTS_WAIT_MAX: Duration = Duration::from_mins(1);
const COUNTS_LOOKED_AT: Duration = Duration::from_millis(200);

/// What was carried, and is the same on both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Polls that exist.
    pub polls: usize,
    /// Records of theirs: votes, changes, withdrawals, codes and steps.
    pub records: u64,
    /// Votes that count.
    pub votes: u64,
    /// API keys.
    pub keys: usize,
    /// What was not carried, and why.
    pub left: Vec<String>,
}

/// Why something was not carried. What was written stays, and carrying it again goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The data directory cannot be read or made.
    #[error(transparent)]
    Directory(#[from] CarryError),
    /// The tables cannot be read or written.
    #[error("{0}")]
    Tables(#[from] StoreError),
    /// The tables are not there.
    #[error(transparent)]
    Missing(#[from] TableError),
    /// The other side holds something else already.
    #[error("{0} is there already and is not the same; nothing of it was changed")]
    Differs(String),
    /// What the tables cannot hold.
    #[error("{0}; the source was not changed")]
    Impossible(String),
    /// After all was carried, the two sides do not agree.
    #[error("the two sides do not agree: {0}")]
    Mismatch(String),
}

/// A poll of the source.
struct Poll {
    head: Head,
    events: Vec<Entry>,
    sum: Sum,
}

/// A poll's records summed up, however they are numbered.
#[derive(Clone)]
struct Sum {
    books: Books,
    records: u64,
    /// The sum of the hashes of its votes' records, in which their order does not matter.
    votes_hash: u128,
}

impl Sum {
    fn new(poll: &canvass_domain::Poll) -> Self {
        Self { books: Books::new(poll), records: 0, votes_hash: 0 }
    }

    fn take(&mut self, entry: Entry) {
        self.records += 1;
        let place = Place { poll: 0, sequence: Sequence(self.records), at: entry.place.at };
        if let Record::Vote(vote) = &entry.record {
            self.votes_hash = self.votes_hash.wrapping_add(hash(vote, place.at));
        }
        self.books.fold(&Entry { place, ..entry });
    }

    /// What is different in another sum; nothing if they are the same. Which values of an open dimension are told apart
    /// depends on the order of the records, so only how many there are is compared.
    fn difference(&self, other: &Self) -> Option<&'static str> {
        let (one, two) = (&self.books.tally, &other.books.tally);
        let given = |books: &Books| -> Vec<u64> {
            let breakdowns = books.tally.breakdowns.iter();
            breakdowns.map(|breakdown| breakdown.values.values().map(|value| value.votes).sum()).collect()
        };
        [
            (self.records == other.records, "the number of records"),
            (self.votes_hash == other.votes_hash, "a vote's record"),
            ((one.votes, one.weight) == (two.votes, two.weight), "the votes"),
            (one.options == two.options, "the options' counts"),
            (one.timeline == two.timeline, "the timeline"),
            (given(&self.books) == given(&other.books), "a breakdown"),
            (self.books.profile == other.books.profile, "the distinct ballots"),
        ]
        .into_iter()
        .find_map(|(is_same, what)| (!is_same).then_some(what))
    }
}

/// Everything that a vote's record says, but for numbers that its engine gave it.
fn hash(vote: &VoteRecord, at: Timestamp) -> u128 {
    let place = Place { poll: 0, sequence: Sequence(0), at };
    let mut bytes = Vec::new();
    encode_vote(&mut bytes, place, &body(vote));
    vote.personal.iter().for_each(|personal| personal.encode(&mut bytes));
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    u128::from_le_bytes(*digest.first_chunk().expect("a hash is longer"))
}

/// A vote's record without the number of the one before: the revision tells which that is.
fn body(vote: &VoteRecord) -> VoteBody<'_> {
    VoteBody {
        vote_id: vote.vote_id,
        operation: vote.operation,
        previous: None,
        revision: vote.revision,
        personal_hash: &vote.personal_hash,
        added: vote.added.as_ref().map(|(ballot, weight)| (ballot, *weight)),
        removed: vote.removed.as_ref().map(|(ballot, weight)| (ballot, *weight)),
    }
}

/// What a data directory holds beside votes, and what its votes sum up to.
#[derive(Default)]
struct Source {
    polls: BTreeMap<PollNumber, Poll>,
    keys: BTreeMap<String, Key>,
    settings: BTreeMap<String, Setting>,
    lives: HashMap<PollId, u32>,
    erased: u64,
}

impl Source {
    fn read(contents: &Contents) -> Result<Self, CarryError> {
        let mut source = Self::default();
        contents.each(|entry| {
            source.take(entry);
            ControlFlow::Continue(())
        })?;
        Ok(source)
    }

    fn take(&mut self, entry: Entry) {
        if entry.place.poll == REGISTRY {
            match entry.record {
                Record::Key(key) => drop(self.keys.insert(key.id.to_string(), *key)),
                Record::Setting(setting) => drop(self.settings.insert(setting.name.clone(), setting)),
                Record::Poll(_) | Record::Codes(_) | Record::Vote(_) => {}
            }
            return;
        }
        if let Record::Poll(event) = &entry.record
            && event.step == Step::Created
        {
            let life = self.lives.entry(event.poll.id.clone()).or_default();
            *life += 1;
            let head = Head {
                key: PollKey { id: event.poll.id.clone(), life: *life },
                poll: Arc::new(event.poll.clone()),
                events: 0,
                latest: entry.place.at,
                codes: 0,
                buckets: BUCKETS,
                is_gone: false,
                fence: None,
            };
            let sum = Sum::new(&event.poll);
            self.polls.insert(entry.place.poll, Poll { head, events: Vec::new(), sum });
        }
        let Some(poll) = self.polls.get_mut(&entry.place.poll) else { return };
        match &entry.record {
            Record::Vote(vote) => self.erased += u64::from(vote.personal.is_none()),
            record => {
                poll.head.follow(record, entry.place.at);
                poll.events.push(entry.clone());
            }
        }
        poll.sum.take(entry);
    }

    /// Of the polls that have had an id one after another, the last.
    fn newest(&self) -> impl Iterator<Item = &Poll> {
        self.polls.values().filter(|poll| self.lives.get(&poll.head.key.id) == Some(&poll.head.key.life))
    }

    /// The polls that exist.
    fn kept(&self) -> impl Iterator<Item = &Poll> {
        self.polls.values().filter(|poll| !poll.head.is_gone)
    }
}

impl Head {
    /// The poll after a record beside votes.
    fn follow(&mut self, record: &Record, at: Timestamp) {
        self.events += 1;
        self.latest = at;
        match record {
            Record::Poll(event) => {
                self.poll = Arc::new(event.poll.clone());
                self.is_gone = event.step == Step::Deleted;
            }
            Record::Codes(codes) => self.codes += codes.hashes.len(),
            Record::Vote(_) | Record::Key(_) | Record::Setting(_) => {}
        }
    }
}

/// Carries everything that a data directory holds into tables, which must be there. No server may use either meanwhile.
/// Done again, it goes on where it was cut off, and finds what is there.
///
/// # Errors
/// See [`MigrateError`].
pub async fn carry_in(
    options: Options,
    clock: Arc<dyn Clock>,
    directory: &Path,
) -> Result<Migrated, MigrateError> {
    let contents = Contents::open(directory)?;
    let (contents, source) = blocking(move || {
        let source = Source::read(&contents)?;
        Ok((contents, source))
    })
    .await?;
    if source.erased > 0 {
        return Err(MigrateError::Impossible(format!(
            "{} votes have lost their personal part, and the tables name votes by their voter",
            source.erased
        )));
    }
    let clients = Clients::new(&options).await;
    let names = Names::new(&options.table_prefix);
    let votes = find_stream(&clients, &names).await?;
    let engine = Arc::new(Engine::new(clients, names, options, None, clock));
    // The only one of a store's tasks: no step in a poll's life is taken on the way.
    let mut folding = JoinSet::new();
    folding.spawn(Task::new(Arc::clone(&engine), votes).run());
    let migrated = engine.take_over(contents, &source).await;
    engine.closing.notify_one();
    if tokio::time::timeout(COUNTS_WAIT_MAX, engine.closed.notified()).await.is_err() {
        tracing::warn!("the stream's task did not end in time");
    }
    migrated
}

/// Carries everything that tables hold into a new data directory, or compares it with what was carried there before. No
/// server may use either meanwhile.
///
/// # Errors
/// See [`MigrateError`]. The directory is none until all was written.
pub async fn carry_out(
    options: Options,
    clock: Arc<dyn Clock>,
    directory: &Path,
) -> Result<Migrated, MigrateError> {
    let clients = Clients::new(&options).await;
    let names = Names::new(&options.table_prefix);
    // Without any of the tasks of a store: nothing is written to the tables.
    let engine = Engine::new(clients, names, options, None, clock);
    let polls = engine.all_polls().await?;
    let keys = engine.keys().await?;
    if !has_ledger(directory) {
        let mut made = NewDirectory::begin(directory)?;
        for key in &keys {
            made.push(key.created_at, Record::Key(Box::new(Key::clone(key))))?;
        }
        let began = polls.first().map_or(Timestamp::default(), |poll| poll.created_at);
        for item in engine.query(&engine.names.main, "settings", ALL).await? {
            let setting =
                Setting { name: text(&item, SORT)?.to_owned(), value: text(&item, "value")?.to_owned() };
            made.push(began, Record::Setting(setting))?;
        }
        for poll in &polls {
            made.begin_poll();
            engine
                .each_record(&poll.id, |entry| made.push(entry.place.at, entry.record).map_err(Into::into))
                .await?;
        }
        made.finish()?;
    }
    let report = examine(directory).map_err(CarryError::from)?;
    if let Some(finding) = report.findings.first() {
        return Err(MigrateError::Mismatch(format!("{}: {}", directory.display(), finding.what)));
    }
    let contents = Contents::open(directory)?;
    let there = blocking(move || Source::read(&contents)).await?;
    let mut sums = Vec::new();
    for poll in &polls {
        let sum = engine.sum(&poll.id).await?;
        let carried = there.kept().find(|carried| carried.head.key.id == poll.id);
        let carried = carried.ok_or_else(|| MigrateError::Differs(format!("{}", directory.display())))?;
        agree(&poll.id, &carried.sum, &sum)?;
        sums.push(sum);
    }
    if there.kept().count() != polls.len() {
        return Err(MigrateError::Mismatch(format!("{} holds other polls too", directory.display())));
    }
    let left = vec!["deleted polls, which the tables do not list".to_owned()];
    Ok(migrated(sums.iter(), keys.len(), left))
}

fn migrated<'a>(sums: impl Iterator<Item = &'a Sum>, keys: usize, left: Vec<String>) -> Migrated {
    let start = Migrated { keys, left, ..Migrated::default() };
    sums.fold(start, |all, sum| Migrated {
        polls: all.polls + 1,
        records: all.records + sum.records,
        votes: all.votes + sum.books.tally.votes,
        ..all
    })
}

fn agree(poll: &PollId, one: &Sum, other: &Sum) -> Result<(), MigrateError> {
    let difference = one.difference(other);
    difference.map_or(Ok(()), |what| Err(MigrateError::Mismatch(format!("poll {poll}: {what}"))))
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, CarryError> + Send + 'static,
) -> Result<T, MigrateError> {
    let read = tokio::task::spawn_blocking(read).await;
    Ok(read.map_err(|_| StoreError::busy("the reading was cut off"))??)
}

impl Engine {
    async fn take_over(&self, contents: Contents, source: &Source) -> Result<Migrated, MigrateError> {
        self.refuse_others(source).await?;
        for poll in source.polls.values() {
            self.put_beside_votes(poll).await?;
        }
        self.put_votes(contents, source).await?;
        self.wait_for_counts(source).await?;
        for poll in source.newest() {
            let what = format!("the poll {}", poll.head.key.id);
            self.put_first(&self.names.main, poll.head.encode()?, &what).await?;
        }
        let mut left = Vec::new();
        for setting in source.settings.values() {
            if self.setting(setting.clone()).await? != setting.value {
                left.push(format!("the setting {}: the tables have one of their own", setting.name));
            }
        }
        for key in source.keys.values() {
            self.put_key(key).await?;
        }
        for poll in source.kept() {
            let there = self.sum(&poll.head.key.id).await?;
            agree(&poll.head.key.id, &poll.sum, &there)?;
        }
        Ok(migrated(source.kept().map(|poll| &poll.sum), source.keys.len(), left))
    }

    /// Looks whether the tables hold other polls of the same ids, before anything is written.
    async fn refuse_others(&self, source: &Source) -> Result<(), MigrateError> {
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
    async fn put_beside_votes(&self, poll: &Poll) -> Result<(), MigrateError> {
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

    async fn put_votes(&self, contents: Contents, source: &Source) -> Result<(), MigrateError> {
        let (sender, receiver) = mpsc::channel(READ_AHEAD);
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
            let item = poll.and_then(|poll| vote_item(&poll.head, vote, *known, entry.place.at));
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
    async fn put_first(&self, table: &str, item: Item, what: &str) -> Result<(), MigrateError> {
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
    async fn wait_for_counts(&self, source: &Source) -> Result<(), MigrateError> {
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
            if moved_at.elapsed() > COUNTS_WAIT_MAX {
                let text = format!("{known} records have come into the counts, and no more come");
                return Err(MigrateError::Mismatch(text));
            }
            tokio::time::sleep(COUNTS_LOOKED_AT).await;
        }
    }

    /// What a poll's records sum up to, and that its counts say the same.
    async fn sum(&self, id: &PollId) -> Result<Sum, MigrateError> {
        let head = standing(self.read_head(id).await?)?;
        let mut sum = Sum::new(&head.poll);
        self.each_record(id, |entry| {
            sum.take(entry);
            Ok(())
        })
        .await?;
        self.tallies.forget(id);
        let (snapshot, profile) = self.profile(id).await?;
        let books = Books { tally: (*snapshot.tally).clone(), profile };
        let records = books.tally.sequence.0;
        agree(id, &sum, &Sum { books, records, votes_hash: sum.votes_hash })?;
        Ok(sum)
    }

    async fn each_record(
        &self,
        id: &PollId,
        mut take: impl FnMut(Entry) -> Result<(), MigrateError>,
    ) -> Result<(), MigrateError> {
        let mut after = Sequence(0);
        loop {
            let page = self.records(id, after).await?.entries;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.entry.place.sequence;
            page.into_iter().try_for_each(|recorded| take(recorded.entry))?;
        }
    }

    /// All polls, oldest first.
    async fn all_polls(&self) -> Result<Vec<Arc<canvass_domain::Poll>>, StoreError> {
        let (mut polls, mut cursor) = (Vec::new(), None);
        loop {
            let query = PollQuery { status: None, limit: POLLS_PAGE_MAX, cursor };
            let page = self.list_polls(query).await?;
            polls.extend(page.polls);
            cursor = page.next;
            if cursor.is_none() {
                polls.reverse();
                return Ok(polls);
            }
        }
    }
}

/// A vote's item; none if its voter is not known any more.
fn vote_item(head: &Head, vote: &VoteRecord, events: u64, at: Timestamp) -> Option<Item> {
    let personal = vote.personal.as_ref()?;
    let place = Place { poll: head.key.life, sequence: Sequence(0), at };
    let (mut bytes, mut part) = (Vec::new(), Vec::new());
    encode_vote(&mut bytes, place, &body(vote));
    personal.encode(&mut part);
    let sort = vote_sort(&personal.voter, vote.revision);
    Some(VoteItem::encode(&head.bucket_of(&personal.voter), &sort, events, bytes, part))
}
