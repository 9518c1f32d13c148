//! The local engine: one machine, one writer, and the ledger as the truth.
//!
//! Architecture invariant: nothing that a reader can see, and no answer, comes before the ledger has made it durable.
//! Work waits in line (`queue`); the writer (`writer`) takes it, decides (`deciding`), and lets readers see what became
//! of it once that is durable (`effect`); readers look at what was published (`shared`); a voter's way back to an earlier
//! vote is the index (`index`); a poll's way to its own records is its list of places (`places`).

mod backup;
mod carry;
mod checkpoint;
mod deciding;
mod deleting;
mod doctor;
mod effect;
mod erasing;
mod feed;
mod index;
mod lane;
mod open;
mod places;
mod prepared;
mod queue;
mod restore;
mod shared;
mod vault;
mod writer;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::Duration,
};

use canvass_domain::{
    Poll, PollId, Profile, Sequence, Timestamp, VoterId,
    code::CodeHash,
    decide::PollCommand,
    key::Key,
    poll::{NewPoll, PersonalData, Status},
    record::{Record, Setting, decode_place},
    vote::{Operation, StoredVote, VoteCommand},
};
use canvass_ledger::{Position, RecordRef};
use parking_lot::Mutex;
use tokio::sync::watch;

use self::{
    backup::Shipping,
    erasing::Erasing,
    lane::{Reply, ReplyTo, reply},
    prepared::Prepared,
    queue::{Queue, Waiting, Work},
    shared::{PollCell, Shared, corrupt, decode, hash_voter},
};
pub use self::{
    backup::{BackedUp, BackupError, BackupPlace, back_up},
    carry::{CarryError, Contents, NewDirectory, has_ledger},
    doctor::{Finding, Report, examine},
    open::{OpenError, Opened},
    restore::{RestoreError, Restored, restore},
    vault::Vault,
};
use crate::{
    ChainInput, Feed, Health, Pending, PollPage, PollQuery, RecordPage, RecordedEntry, Snapshot, Store,
    StoreError, VoteResult,
    limits::{COPIED_AT_ONCE_MAX, ERASURE_LOOK_PAUSE, ERASURE_LOOKS_MAX, POLLS_PAGE_MAX, RECORDS_PAGE},
};

/// Asks the writer, and waits for its answer.
macro_rules! ask {
    ($store:expr, $to:ident => $work:expr) => {{
        let ($to, answer): (ReplyTo<_>, Reply<_>) = reply();
        let asked = $store.ask($work, answer);
        Box::pin(asked)
    }};
}

/// Where the time comes from. A poll's records never go back in time, whatever the clock does.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

impl<F: Fn() -> Timestamp + Send + Sync> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}

/// How a local store is kept.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// The data directory; it is made if it is missing.
    pub directory: PathBuf,
    /// 16 random bytes, used where the directory has none yet: they keep voters from choosing colliding ids.
    pub hash_key: [u8; 16],
    /// A checkpoint is written each so many bytes of ledger.
    pub checkpoint_bytes: u64,
    /// How the ledger is kept.
    pub ledger: canvass_ledger::Options,
}

impl LocalOptions {
    /// The usual options for a directory.
    pub fn new(directory: impl Into<PathBuf>, hash_key: [u8; 16]) -> Self {
        Self {
            directory: directory.into(),
            hash_key,
            checkpoint_bytes: 256 * 1024 * 1024,
            ledger: canvass_ledger::Options::default(),
        }
    }
}

/// A store in a directory of this machine.
pub struct LocalStore {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    writer: Mutex<Option<JoinHandle<()>>>,
    shipping: Mutex<Option<Shipping>>,
    directory: PathBuf,
    erasing: Erasing,
    /// When its data was restored from a backup; none where it never was.
    restored_at: Option<Timestamp>,
    _lock: File,
}

impl LocalStore {
    /// Opens a data directory, or begins one, and starts its writer.
    ///
    /// # Errors
    /// See [`OpenError`]. Damage to acknowledged records is always an error, and changes nothing.
    pub fn open(options: &LocalOptions, clock: Arc<dyn Clock>) -> Result<(Self, Opened), OpenError> {
        Self::start(open::open(options, clock)?, options)
    }

    /// Opens a store whose ledger lies on the given disk; its lock and its checkpoint stay in the directory.
    ///
    /// # Errors
    /// See [`LocalStore::open`].
    #[cfg(feature = "testing")]
    pub fn open_on(
        disk: Arc<dyn canvass_ledger::Disk>,
        options: &LocalOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Opened), OpenError> {
        let lock = open::take_directory(&options.directory)?;
        Self::start(open::open_on(disk, options, clock, lock)?, options)
    }

    fn start(ready: open::Ready, options: &LocalOptions) -> Result<(Self, Opened), OpenError> {
        let (writer, opened, queue) = (ready.writer, ready.opened, Arc::clone(&ready.queue));
        let thread = thread::Builder::new()
            .name("canvass-writer".into())
            .spawn(move || {
                let _close = CloseQueue(queue);
                writer.run();
            })
            .map_err(|source| OpenError::Directory { path: options.directory.clone(), source })?;
        let store = Self {
            shared: ready.shared,
            queue: ready.queue,
            writer: Mutex::new(Some(thread)),
            shipping: Mutex::new(None),
            directory: options.directory.clone(),
            erasing: Erasing::default(),
            restored_at: opened.restored.as_ref().map(|restored| restored.restored_at),
            _lock: ready.lock,
        };
        store.erasing.resume(&store.shared, &store.queue);
        Ok((store, opened))
    }

    /// Lets the writer finish what was asked before, write a checkpoint, and end. What is asked afterwards is turned
    /// away. It waits, so it is not for a thread that drives a runtime.
    pub fn close(&self) {
        self.erasing.stop();
        self.queue.push_all(vec![Work::Stop]);
        if let Some(writer) = self.writer.lock().take()
            && writer.join().is_err()
        {
            tracing::error!("the writer ended with a panic");
        }
        drop(self.shipping.lock().take());
    }

    /// Keeps a backup up to date until the store is closed, looking for something new after each pause.
    ///
    /// # Errors
    /// If a folder cannot be used. What goes wrong later, and with a vault, is logged and tried again.
    pub fn back_up_to(
        &self,
        place: BackupPlace,
        pause: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<(), BackupError> {
        *self.shipping.lock() = Some(Shipping::start(place, pause, clock, Arc::clone(&self.shared))?);
        Ok(())
    }

    fn ask<T>(&self, work: Work, reply: Reply<T>) -> impl Future<Output = Result<T, StoreError>> + use<T> {
        lane::ask(&self.queue, work);
        reply.wait()
    }

    async fn vote_in(
        &self,
        poll: &PollId,
        commands: Vec<VoteCommand>,
    ) -> Result<Vec<VoteResult>, StoreError> {
        let cell = self.shared.cell(poll)?;
        let votes = Prepared::new(&self.shared.hash_key, commands);
        let Some(waiting) = Waiting::count(&self.shared, &votes) else {
            return Err(StoreError::busy("too many votes wait for the writer"));
        };
        let (to, answer) = reply();
        self.ask(Work::Votes { cell, votes, waiting, reply: to }, answer).await
    }

    async fn read_vote_in(&self, poll: &PollId, voter: &VoterId) -> Result<Option<StoredVote>, StoreError> {
        let cell = self.shared.cell(poll)?;
        let latest = self.latest(&cell, voter).await?;
        Ok(latest.filter(|vote| vote.operation != Operation::Withdraw))
    }

    /// The voter's latest record.
    async fn latest(&self, cell: &Arc<PollCell>, voter: &VoterId) -> Result<Option<StoredVote>, StoreError> {
        if cell.snapshot.read().poll.status == Status::Archived {
            let (shared, cell, voter) = (Arc::clone(&self.shared), Arc::clone(cell), voter.clone());
            return blocking(move || search_records(&shared, &cell, &voter)).await;
        }
        let hash = hash_voter(&self.shared.hash_key, voter.as_str().as_bytes());
        let latest = self.shared.latest(&cell.voters.read(), hash, voter)?;
        Ok(latest.map(|(_, vote)| vote))
    }

    async fn erase_voter_in(&self, poll: &PollId, voter: &VoterId, actor: &str) -> Result<u64, StoreError> {
        let cell = self.shared.cell(poll)?;
        let latest = self.latest(&cell, voter).await?;
        let records = self.shared.records_of(&cell, voter, latest)?;
        let (asked, actor) = (Arc::clone(&cell), actor.to_owned());
        let command = PollCommand::EraseVoter(records.clone());
        let poll = ask!(self, reply => Work::Change { cell: asked, command, expected: None, actor, reply });
        if !poll.await?.erasing_records.is_empty() && !records.is_empty() {
            let told = self.erasing.start(&self.shared, &self.queue, Arc::clone(&cell)).await;
            told.map_err(|_| StoreError::busy("the erasure of a voter was not finished"))?;
        }
        // By this request or by another.
        self.wait_until(&cell, |poll| poll.erasing_records.is_empty()).await?;
        Ok(records.len() as u64)
    }

    /// Has the writer decide on a poll.
    async fn decide_poll(
        &self,
        cell: Arc<PollCell>,
        command: PollCommand,
        expected: Option<u64>,
        actor: &str,
    ) -> Result<Arc<Poll>, StoreError> {
        let actor = actor.to_owned();
        ask!(self, reply => Work::Change { cell, command, expected, actor, reply }).await
    }

    /// Waits until an erasure has brought a poll so far.
    async fn wait_until(&self, cell: &PollCell, is_so: impl Fn(&Poll) -> bool) -> Result<(), StoreError> {
        let is_done = |_: &Sequence| is_so(&cell.snapshot.read().poll);
        let mut sequence = cell.sequence.subscribe();
        for _ in 0..ERASURE_LOOKS_MAX {
            match tokio::time::timeout(ERASURE_LOOK_PAUSE, sequence.wait_for(is_done)).await {
                Ok(Ok(_)) => return Ok(()),
                _ if self.queue.is_closed() || health(&self.shared, &self.queue).trouble.is_some() => break,
                _ => {}
            }
        }
        Err(StoreError::busy("an erasure has not ended"))
    }
}

/// Does what takes a while or may wait for the disk on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(StoreError::busy("the reading thread ended")))
}

/// The voter's latest record of a poll whose index was given up.
fn search_records(
    shared: &Shared,
    cell: &PollCell,
    voter: &VoterId,
) -> Result<Option<StoredVote>, StoreError> {
    let (mut after, mut latest) = (Sequence(0), None);
    loop {
        let page = read_page(shared, cell, after)?;
        let Some(last) = page.entries.last() else { return Ok(latest) };
        after = last.entry.place.sequence;
        let mut votes = page.entries.iter().filter_map(|recorded| match &recorded.entry.record {
            Record::Vote(vote) => vote.stored(recorded.entry.place),
            _ => None,
        });
        latest = votes.rfind(|vote| vote.voter == *voter).or(latest);
    }
}

impl Drop for LocalStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// Closes the queue when the writer goes, even by a panic: nobody must wait for an answer that cannot come.
struct CloseQueue(Arc<Queue>);

impl Drop for CloseQueue {
    fn drop(&mut self) {
        drop(self.0.close());
    }
}

impl Store for LocalStore {
    fn create_poll<'a>(
        &'a self,
        request: NewPoll,
        given_id: PollId,
        actor: &'a str,
    ) -> Pending<'a, Arc<Poll>> {
        let actor = actor.to_owned();
        ask!(self, reply => Work::Create { request: Box::new(request), given_id, actor, reply })
    }

    fn change_poll<'a>(
        &'a self,
        poll: &'a PollId,
        command: PollCommand,
        expected: Option<u64>,
        actor: &'a str,
    ) -> Pending<'a, Arc<Poll>> {
        Box::pin(async move {
            let cell = self.shared.cell(poll)?;
            if matches!(command, PollCommand::Delete) {
                return self.delete_poll(cell, expected, actor).await;
            }
            let is_erasure = matches!(command, PollCommand::Erase);
            let poll = self.decide_poll(Arc::clone(&cell), command, expected, actor).await?;
            if is_erasure && poll.personal_data == PersonalData::Erasing {
                drop(self.erasing.start(&self.shared, &self.queue, cell));
            }
            Ok(poll)
        })
    }

    fn add_codes<'a>(&'a self, poll: &'a PollId, hashes: Vec<CodeHash>, actor: &'a str) -> Pending<'a, ()> {
        Box::pin(async move {
            let cell = self.shared.cell(poll)?;
            let actor = actor.to_owned();
            ask!(self, reply => Work::Codes { cell, hashes, actor, reply }).await
        })
    }

    fn poll<'a>(&'a self, poll: &'a PollId) -> Pending<'a, Arc<Poll>> {
        let found = self.shared.cell(poll).map(|cell| Arc::clone(&cell.snapshot.read().poll));
        Box::pin(std::future::ready(found))
    }

    fn list_polls(&self, query: PollQuery) -> Pending<'_, PollPage> {
        let query = PollQuery { limit: query.limit.clamp(1, POLLS_PAGE_MAX), ..query };
        Box::pin(std::future::ready(Ok(self.shared.list(&query))))
    }

    fn vote<'a>(&'a self, poll: &'a PollId, commands: Vec<VoteCommand>) -> Pending<'a, Vec<VoteResult>> {
        Box::pin(self.vote_in(poll, commands))
    }

    fn read_vote<'a>(&'a self, poll: &'a PollId, voter: &'a VoterId) -> Pending<'a, Option<StoredVote>> {
        Box::pin(self.read_vote_in(poll, voter))
    }

    fn erase_voter<'a>(&'a self, poll: &'a PollId, voter: &'a VoterId, actor: &'a str) -> Pending<'a, u64> {
        Box::pin(self.erase_voter_in(poll, voter, actor))
    }

    fn tally<'a>(&'a self, poll: &'a PollId) -> Pending<'a, Snapshot> {
        Box::pin(std::future::ready(self.shared.cell(poll).map(|cell| cell.snapshot.read().clone())))
    }

    fn profile<'a>(&'a self, poll: &'a PollId, into: Profile) -> Pending<'a, (Snapshot, Option<Profile>)> {
        Box::pin(async move {
            let cell = self.shared.cell(poll)?;
            // A few ballots are copied sooner than another thread takes over.
            let is_short =
                cell.profile.read().as_ref().is_none_or(|profile| profile.len() <= COPIED_AT_ONCE_MAX);
            if is_short {
                return Ok(cell.copy_profile(into));
            }
            blocking(move || Ok(cell.copy_profile(into))).await
        })
    }

    fn records<'a>(&'a self, poll: &'a PollId, after: Sequence) -> Pending<'a, RecordPage> {
        Box::pin(async move {
            let (cell, shared) = (self.shared.cell(poll)?, Arc::clone(&self.shared));
            blocking(move || read_page(&shared, &cell, after)).await
        })
    }

    fn watch<'a>(&'a self, poll: &'a PollId) -> Pending<'a, watch::Receiver<Sequence>> {
        Box::pin(std::future::ready(self.shared.cell(poll).map(|cell| cell.sequence.subscribe())))
    }

    fn keys(&self) -> Pending<'_, Vec<Arc<Key>>> {
        Box::pin(std::future::ready(Ok(self.shared.keys())))
    }

    fn put_key(&self, key: Key) -> Pending<'_, ()> {
        ask!(self, reply => Work::Key { key: Box::new(key), reply })
    }

    fn setting(&self, setting: Setting) -> Pending<'_, String> {
        ask!(self, reply => Work::Setting { setting, reply })
    }

    fn read_setting<'a>(&'a self, name: &'a str) -> Pending<'a, Option<String>> {
        Box::pin(std::future::ready(Ok(self.shared.setting(name))))
    }

    fn put_setting(&self, setting: Setting) -> Pending<'_, ()> {
        ask!(self, reply => Work::Put { setting, reply })
    }

    fn health(&self) -> Health {
        let mut health = health(&self.shared, &self.queue);
        health.figures.extend(disk(&self.directory));
        #[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
        let restored = self.restored_at.map(|at| ("canvass_restored_timestamp_seconds", at.seconds() as f64));
        health.figures.extend(restored);
        health
    }

    fn feed(&self) -> Option<&dyn Feed> {
        Some(self)
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
fn health(shared: &Shared, queue: &Queue) -> Health {
    let figures = &shared.figures;
    let (mut index_bytes, mut voters, mut profile_bytes) = (0, 0, 0);
    for cell in shared.cells() {
        profile_bytes += cell.profile.read().as_ref().map_or(0, Profile::bytes);
        let known = cell.voters.read();
        index_bytes += known.index.bytes() + known.places.bytes();
        voters += known.index.len();
    }
    let backup = figures.backup.get().map(|backup| {
        [
            ("canvass_backup_bytes", backup.bytes.load(Ordering::Relaxed) as f64),
            ("canvass_backup_failures_total", backup.failures.load(Ordering::Relaxed) as f64),
        ]
    });
    let histograms = vec![
        figures.commit_records.histogram("canvass_ledger_commit_records", 1.0),
        figures.commit_microseconds.histogram("canvass_ledger_commit_seconds", 1e6),
    ];
    let mut figures = vec![
        ("canvass_ledger_bytes", shared.reader.durable_end().get() as f64),
        ("canvass_ledger_commits_total", figures.commit_records.count() as f64),
        ("canvass_ledger_records_total", figures.commit_records.sum() as f64),
        ("canvass_ledger_checkpoint_bytes", figures.checkpoint_position.load(Ordering::Relaxed) as f64),
        ("canvass_queue_votes", figures.votes_waiting.load(Ordering::Relaxed) as f64),
        ("canvass_index_bytes", index_bytes as f64),
        ("canvass_index_voters", voters as f64),
        ("canvass_profile_bytes", profile_bytes as f64),
        ("canvass_polls", shared.poll_count() as f64),
    ];
    figures.extend(backup.into_iter().flatten());
    let trouble = queue
        .is_closed()
        .then(|| "the ledger takes no more records until the server is restarted".to_owned());
    Health { trouble, figures, histograms }
}

/// How large the directory's disk is, and how much of it this program may still use.
#[cfg(unix)]
#[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
fn disk(directory: &Path) -> Vec<(&'static str, f64)> {
    let Ok(disk) = rustix::fs::statvfs(directory) else { return Vec::new() };
    vec![
        ("canvass_disk_available_bytes", (disk.f_bavail * disk.f_frsize) as f64),
        ("canvass_disk_bytes", (disk.f_blocks * disk.f_frsize) as f64),
    ]
}

#[cfg(not(unix))]
fn disk(_: &Path) -> Vec<(&'static str, f64)> {
    Vec::new()
}

/// Records that lie this far apart on average are read one by one; closer ones in one sweep.
const SWEEP_BYTES_PER_RECORD: u64 = 1_024;

fn read_page(shared: &Shared, cell: &PollCell, after: Sequence) -> Result<RecordPage, StoreError> {
    let positions: Vec<Position> = cell.voters.read().places.after(after, RECORDS_PAGE).collect();
    let (Some(first), Some(last)) = (positions.first(), positions.last()) else {
        return Ok(RecordPage::default());
    };
    let span = last.get() - first.get();
    let mut entries = Vec::with_capacity(positions.len());
    if span > positions.len() as u64 * SWEEP_BYTES_PER_RECORD {
        for position in positions {
            let (entry, kind, body) = shared.entry_at(position)?;
            entries.push(RecordedEntry { entry, chain_input: Some(ChainInput { kind, body }) });
        }
        return Ok(RecordPage { entries });
    }
    let mut failure = None;
    let mut visit = |record: RecordRef<'_>| match recorded(record, cell) {
        Ok(recorded) => {
            entries.extend(recorded);
            std::ops::ControlFlow::Continue(())
        }
        Err(error) => {
            failure = Some(error);
            std::ops::ControlFlow::Break(())
        }
    };
    let scanned = shared.reader.scan(*first, Position::from(last.get() + 1), &mut visit);
    match failure {
        Some(error) => Err(error),
        None => scanned.map(|_| RecordPage { entries }).map_err(|error| corrupt(&error)),
    }
}

fn recorded(record: RecordRef<'_>, cell: &PollCell) -> Result<Option<RecordedEntry>, StoreError> {
    if !decode_place(record.body).is_ok_and(|place| place.poll == cell.number) {
        return Ok(None);
    }
    let (entry, kind) = decode(record)?;
    let chain_input = Some(ChainInput { kind, body: record.body.into() });
    Ok(Some(RecordedEntry { entry, chain_input }))
}
