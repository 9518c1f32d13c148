//! Carrying everything from a data directory to the tables and back. The source is read and never changed; what was
//! carried is counted again on both sides, and compared record by record, before it is called done.
//!
//! To the tables: a poll's place in the counts first, then its votes, and its head last, so that no server takes a vote
//! in a poll that is not whole yet. Every write is refused or the same when it is done again, so that what was cut off
//! is done again from its beginning. Votes come into the counts as they always do, by the stream.

mod filling;
mod source;
mod sum;

use std::{path::Path, sync::Arc};

use canvass_domain::{
    Poll, PollId, Sequence, Timestamp,
    key::Key,
    record::{Entry, Record, Setting},
    tally::Books,
};
use canvass_store::{
    PollQuery, StoreError,
    limits::POLLS_PAGE_MAX,
    local::{CarryError, Clock, Contents, NewDirectory, examine, has_ledger},
};
use tokio::task::JoinSet;

use self::{
    source::Source,
    sum::{Sum, agree},
};
use crate::{
    client::Clients,
    engine::{ALL, Engine, standing},
    items::text,
    limits::CARRIED_COUNTS_WAIT_MAX,
    options::Options,
    stream::Task,
    tables::{Names, SORT, TableError, find_stream},
};

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
    if let Some(poll) = source.newest().find(|poll| !poll.head.poll.erasing_records.is_empty()) {
        let id = &poll.head.key.id;
        let text =
            format!("a voter of the poll {id} is being erased: start a server on the directory to finish it");
        return Err(MigrateError::Impossible(text));
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
    if tokio::time::timeout(CARRIED_COUNTS_WAIT_MAX, engine.closed.notified()).await.is_err() {
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
    async fn all_polls(&self) -> Result<Vec<Arc<Poll>>, StoreError> {
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
