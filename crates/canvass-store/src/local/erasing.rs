//! Overwrites what votes tell of persons, beside the writer: all votes of a poll, or those of one voter.
//!
//! The poll says what is being erased before the first byte is overwritten, and that it is erased after the last. A
//! program that is killed between the two finds the poll so when it starts again, and does all of it once more, which
//! changes nothing that is erased already.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use canvass_domain::{
    Poll, Sequence,
    poll::PersonalData,
    tally::{Breakdown, Tally},
};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    queue::{Queue, Work},
    read_page,
    shared::{PollCell, Shared},
};
use crate::{StoreError, limits::ERASED_AT_ONCE_MAX};

/// The threads that erase, one for each poll that is being erased.
#[derive(Default)]
pub(super) struct Erasing {
    is_stopping: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Erasing {
    /// Goes on where an earlier program was stopped.
    pub(super) fn resume(&self, shared: &Arc<Shared>, queue: &Arc<Queue>) {
        let is_erasing = |cell: &Arc<PollCell>| is_erasing(&cell.snapshot.read().poll);
        for cell in shared.cells().into_iter().filter(is_erasing) {
            drop(self.start(shared, queue, cell));
        }
    }

    /// Erases what a poll says that is being erased, all of which is there by now.
    /// The answer comes once the writer is told the end, and is dropped if that is left to the next start.
    pub(super) fn start(
        &self,
        shared: &Arc<Shared>,
        queue: &Arc<Queue>,
        cell: Arc<PollCell>,
    ) -> oneshot::Receiver<()> {
        let (told, answer) = oneshot::channel();
        let (shared, queue, is_stopping) =
            (Arc::clone(shared), Arc::clone(queue), Arc::clone(&self.is_stopping));
        let spawned = thread::Builder::new().name("canvass-erasing".into()).spawn(move || {
            match erase(&shared, &cell, &is_stopping) {
                Ok(Some(end)) => {
                    queue.push_all(vec![end]);
                    // Nobody may be waiting.
                    let _ = told.send(());
                }
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "an erasure failed; the next start does it again"),
            }
        });
        let mut threads = self.threads.lock();
        threads.retain(|thread| !thread.is_finished());
        match spawned {
            Ok(thread) => threads.push(thread),
            Err(error) => tracing::error!(%error, "an erasure was not begun; the next start begins it"),
        }
        answer
    }

    /// Breaks off; the next start goes on.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        let threads: Vec<_> = self.threads.lock().drain(..).collect();
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread that erases ended with a panic");
            }
        }
    }
}

fn is_erasing(poll: &Poll) -> bool {
    poll.personal_data == PersonalData::Erasing || !poll.erasing_records.is_empty()
}

/// What to tell the writer once all is erased; nothing if it was told to stop before.
fn erase(
    shared: &Shared,
    cell: &Arc<PollCell>,
    is_stopping: &AtomicBool,
) -> Result<Option<Work>, StoreError> {
    let poll = Arc::clone(&cell.snapshot.read().poll);
    if poll.personal_data == PersonalData::Erasing {
        let is_done = erase_poll(shared, cell, is_stopping)?;
        return Ok(is_done.then(|| Work::Erased { cell: Arc::clone(cell) }));
    }
    let records = poll.erasing_records.clone();
    let positions: Vec<_> = {
        let voters = cell.voters.read();
        records.iter().filter_map(|sequence| voters.places.get(*sequence)).collect()
    };
    shared.reader.erase(&positions).map_err(|error| super::corrupt(&error))?;
    let breakdowns = fold_breakdowns(shared, cell, &poll, is_stopping)?;
    Ok(breakdowns.map(|breakdowns| Work::VoterErased { cell: Arc::clone(cell), records, breakdowns }))
}

/// Whether all is erased.
fn erase_poll(shared: &Shared, cell: &PollCell, is_stopping: &AtomicBool) -> Result<bool, StoreError> {
    let mut done = Sequence(0);
    while !is_stopping.load(Ordering::Relaxed) {
        let positions: Vec<_> = cell.voters.read().places.after(done, ERASED_AT_ONCE_MAX).collect();
        if positions.is_empty() {
            return Ok(true);
        }
        shared.reader.erase(&positions).map_err(|error| super::corrupt(&error))?;
        done.0 += positions.len() as u64;
    }
    Ok(false)
}

/// The breakdowns of a poll as its records tell them now: those of whom nothing is told are in none. They are folded
/// anew, since which values count as `other` depends on all that came before.
fn fold_breakdowns(
    shared: &Shared,
    cell: &PollCell,
    poll: &Poll,
    is_stopping: &AtomicBool,
) -> Result<Option<Vec<Breakdown>>, StoreError> {
    let mut tally = Tally::new(poll);
    while !poll.demographics.is_empty() {
        if is_stopping.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let page = read_page(shared, cell, tally.sequence)?;
        if page.entries.is_empty() {
            break;
        }
        page.entries.iter().for_each(|recorded| tally.fold(&recorded.entry));
    }
    Ok(Some(tally.breakdowns))
}
