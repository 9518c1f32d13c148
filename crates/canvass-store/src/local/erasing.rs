//! Overwrites what the votes of a poll tell of persons, beside the writer.
//!
//! The poll says that it is being erased before the first byte is overwritten, and that it is erased after the last. A
//! program that is killed between the two finds the poll so when it starts again, and does all of it once more, which
//! changes nothing that is erased already.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use canvass_domain::{Sequence, poll::PersonalData};
use parking_lot::Mutex;

use super::{
    shared::{PollCell, Shared},
    writer::{Queue, Work},
};
use crate::limits::ERASED_AT_ONCE_MAX;

/// The threads that erase, one for each poll that is being erased.
#[derive(Default)]
pub(super) struct Erasing {
    is_stopping: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Erasing {
    /// Goes on where an earlier program was stopped.
    pub(super) fn resume(&self, shared: &Arc<Shared>, queue: &Arc<Queue>) {
        let is_erasing =
            |cell: &Arc<PollCell>| cell.snapshot.read().poll.personal_data == PersonalData::Erasing;
        shared.cells().into_iter().filter(is_erasing).for_each(|cell| self.start(shared, queue, cell));
    }

    /// Erases a poll's votes, all of which are there by now.
    pub(super) fn start(&self, shared: &Arc<Shared>, queue: &Arc<Queue>, cell: Arc<PollCell>) {
        let (shared, queue, is_stopping) =
            (Arc::clone(shared), Arc::clone(queue), Arc::clone(&self.is_stopping));
        let spawned = thread::Builder::new().name("canvass-erasing".into()).spawn(move || {
            if erase(&shared, &cell, &is_stopping) {
                queue.push_all(vec![Work::Erased { cell }]);
            }
        });
        match spawned {
            Ok(thread) => self.threads.lock().push(thread),
            Err(error) => tracing::error!(%error, "an erasure was not begun; the next start begins it"),
        }
    }

    /// Breaks off; the next start goes on.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that erases ended with a panic");
            }
        }
    }
}

/// Whether all is erased.
fn erase(shared: &Shared, cell: &PollCell, is_stopping: &AtomicBool) -> bool {
    let mut done = Sequence(0);
    while !is_stopping.load(Ordering::Relaxed) {
        let positions: Vec<_> = cell.voters.read().places.after(done, ERASED_AT_ONCE_MAX).collect();
        if positions.is_empty() {
            return true;
        }
        if let Err(error) = shared.reader.erase(&positions) {
            tracing::error!(%error, "an erasure failed; the next start does it again");
            return false;
        }
        done.0 += positions.len() as u64;
    }
    false
}
