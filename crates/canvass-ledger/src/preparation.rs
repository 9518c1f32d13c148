//! Makes the next segment ready ahead: written with real zeros and synced, because overwriting such a file halves the
//! cost of every sync after it, and because zeros are what a torn write is told by.

use std::{io, sync::Arc, thread};

use parking_lot::{Condvar, Mutex};

use crate::{
    Disk,
    format::SPARE_NAME,
    limits::{RETRY_MS, SEGMENT_BYTES_FLOOR},
};

/// Bytes of zeros written and synced at a time. Larger steps make the whole segment sooner, but commits meanwhile wait
/// for them: with 8 MiB, the slowest appends took twice as long, and without steps five times.
const STEP_BYTES: u64 = 1024 * 1024;

/// Whether the next segment is made ready by a thread of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preparation {
    /// By a thread, ahead of need.
    #[default]
    Background,
    /// By the append that needs it, so that the same calls give the same order of disk operations: for simulations.
    Inline,
}

/// The sizes in bytes that the next segment may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// If there is room for it.
    pub(crate) preferred: u64,
    /// At least, for the batch that waits for it.
    pub(crate) needed: u64,
}

impl Wish {
    /// The first size to try.
    fn largest(self) -> u64 {
        self.preferred.max(self.needed)
    }

    /// The next size to try where `length` did not fit.
    fn smaller(self, length: u64) -> Option<u64> {
        let smallest = self.needed.max(SEGMENT_BYTES_FLOOR).min(self.largest());
        (length > smallest).then(|| (length / 2).next_multiple_of(4096).max(smallest))
    }
}

/// Makes the spare segment in one of the sizes wished for, largest first, and gives its length.
fn prepare(disk: &dyn Disk, wish: Wish, is_cancelled: &dyn Fn() -> bool) -> io::Result<u64> {
    let mut length = wish.largest();
    loop {
        let error = match write_zeros(disk, length, is_cancelled) {
            Ok(()) => return Ok(length),
            Err(error) => error,
        };
        // Room given back is worth more than the reason why it could not be.
        let _ = disk.remove(SPARE_NAME);
        match wish.smaller(length) {
            Some(smaller) if is_full(&error) && !is_cancelled() => length = smaller,
            _ => return Err(error),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn write_zeros(disk: &dyn Disk, length: u64, is_cancelled: &dyn Fn() -> bool) -> io::Result<()> {
    let file = disk.create(SPARE_NAME)?;
    let zeros = vec![0; usize::try_from(STEP_BYTES.min(length)).unwrap_or(usize::MAX)];
    let mut offset = 0;
    while offset < length {
        if is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let step = zeros.len().min(usize::try_from(length - offset).unwrap_or(usize::MAX));
        file.write_at(offset, &zeros[..step])?;
        // Naming the segment would sync it too; but by then a commit waits for it.
        file.sync_data()?;
        offset += step as u64;
    }
    Ok(())
}

/// Where the next segment comes from.
pub(crate) enum Spares {
    Inline { disk: Arc<dyn Disk>, preferred: u64 },
    Background(Workshop),
}

impl Spares {
    /// Starts making spares, the first of the size given.
    pub(crate) fn start(disk: Arc<dyn Disk>, preparation: Preparation, preferred: u64) -> io::Result<Self> {
        Ok(match preparation {
            Preparation::Inline => Self::Inline { disk, preferred },
            Preparation::Background => Self::Background(Workshop::start(disk, preferred)?),
        })
    }

    /// Gives the length of a spare of at least `needed` bytes that is ready, or why there is none. It stays where it
    /// is until [`used`](Self::used).
    pub(crate) fn take(&mut self, needed: u64) -> Result<u64, Arc<io::Error>> {
        match self {
            Self::Inline { disk, preferred } => {
                prepare(&**disk, Wish { preferred: *preferred, needed }, &|| false).map_err(Arc::new)
            }
            Self::Background(workshop) => workshop.take(needed),
        }
    }

    /// Says that the spare has become a segment, and which size the next should have.
    pub(crate) fn used(&mut self, next_preferred: u64) {
        match self {
            Self::Inline { preferred, .. } => *preferred = next_preferred,
            Self::Background(workshop) => {
                workshop.set(State::Wanted(Wish { preferred: next_preferred, needed: 0 }));
            }
        }
    }
}

/// The thread that makes spares, and what it was last asked and has answered.
pub(crate) struct Workshop {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

enum State {
    /// To be made, or being made.
    Wanted(Wish),
    Ready {
        length: u64,
        preferred: u64,
    },
    /// It could not be made; tried again after a while.
    Failed {
        wish: Wish,
        error: Arc<io::Error>,
    },
    Closed,
}

impl Workshop {
    fn start(disk: Arc<dyn Disk>, preferred: u64) -> io::Result<Self> {
        let state = Mutex::new(State::Wanted(Wish { preferred, needed: 0 }));
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        let worker = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("ledger-segments".to_owned()).spawn(move || worker.work(&*disk))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    fn take(&self, needed: u64) -> Result<u64, Arc<io::Error>> {
        let mut state = self.shared.state.lock();
        loop {
            match &mut *state {
                State::Ready { length, .. } if *length >= needed => return Ok(*length),
                State::Ready { preferred, .. } => {
                    // Too small for this batch: made while the disk was nearly full, and replaced now.
                    *state = State::Wanted(Wish { preferred: *preferred, needed });
                    self.shared.changed.notify_all();
                }
                State::Failed { wish, error } => {
                    wish.needed = needed;
                    return Err(Arc::clone(error));
                }
                State::Wanted(_) => self.shared.changed.wait(&mut state),
                State::Closed => return Err(Arc::new(io::ErrorKind::Interrupted.into())),
            }
        }
    }

    fn set(&self, next: State) {
        *self.shared.state.lock() = next;
        self.shared.changed.notify_all();
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        self.set(State::Closed);
        if let Some(thread) = self.thread.take() {
            // A panic over there has nothing to tell a ledger that is being closed.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self, disk: &dyn Disk) {
        while let Some(wish) = self.next_wish() {
            let outcome = prepare(disk, wish, &|| matches!(*self.state.lock(), State::Closed));
            let mut state = self.state.lock();
            if matches!(*state, State::Closed) {
                return;
            }
            *state = match outcome {
                Ok(length) => State::Ready { length, preferred: wish.preferred },
                Err(error) => State::Failed { wish, error: Arc::new(error) },
            };
            self.changed.notify_all();
        }
    }

    /// Waits for something to make; nothing when the ledger closes.
    fn next_wish(&self) -> Option<Wish> {
        let mut state = self.state.lock();
        loop {
            match &*state {
                State::Wanted(wish) => return Some(*wish),
                State::Closed => return None,
                State::Ready { .. } => self.changed.wait(&mut state),
                State::Failed { .. } => self.wait_for_retry(&mut state),
            }
        }
    }

    /// Waits for space to return, and then for what was asked for last.
    fn wait_for_retry(&self, state: &mut parking_lot::MutexGuard<'_, State>) {
        let retry = std::time::Duration::from_millis(RETRY_MS);
        let is_over = self.changed.wait_for(state, retry).timed_out();
        if let (true, State::Failed { wish, .. }) = (is_over, &**state) {
            **state = State::Wanted(*wish);
        }
    }
}
