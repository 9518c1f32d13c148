//! A disk in memory that loses power, fails and fills up on request, the same way for the same seed. It keeps what the
//! contract of [`Disk`] promises, and nothing more.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{Disk, DiskFile, format::SECTOR_BYTES};

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Default)]
struct State {
    random: u64,
    files: BTreeMap<u64, FileState>,
    names: Names,
    durable_names: Names,
    /// What happened to names since they were last made durable: a loss of power keeps the first few.
    name_changes: Vec<NameChange>,
    /// Handles of an earlier start no longer work.
    starts: u64,
    operations: u64,
    faults: Faults,
}

type Names = BTreeMap<String, u64>;

#[derive(Clone)]
enum NameChange {
    Set(String, u64),
    Rename(String, String),
    Remove(String),
}

/// A file as programs see it and as it is on the platter. Sectors that were never handed to the disk, or that it
/// failed to write, differ.
#[derive(Clone, Default)]
struct FileState {
    seen: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

/// A call that can be made to fail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Write,
    Sync,
}

#[derive(Clone, Default)]
struct Faults {
    capacity_bytes: Option<u64>,
    ignores_syncs: bool,
    fails_next: Option<Call>,
    /// The number of the operation during which everything stops.
    stops_at: Option<u64>,
    is_stopped: bool,
}

impl SimulatedDisk {
    /// An empty disk whose random choices follow from the seed.
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new(State { random: seed, ..State::default() })) }
    }

    /// Another disk with the same contents, and random choices of its own.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        let state = State { random: seed, ..self.state.lock().clone() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Power goes and comes back. Of what was not synced, each sector is kept or lost at random, and so are the latest
    /// changes of names. All handles are dead.
    pub fn lose_power(&self) {
        self.state.lock().lose_power();
    }

    /// Everything stops during the operation of this number, counted as in [`operations`](Self::operations): every call
    /// fails until [`lose_power`](Self::lose_power) or [`restart`](Self::restart).
    pub fn stop_at(&self, operation: u64) {
        self.state.lock().faults.stops_at = Some(operation);
    }

    /// Goes on after a stop as if only the program had been killed: nothing is lost, but nothing more is durable
    /// either. All handles are dead.
    pub fn restart(&self) {
        self.state.lock().restart();
    }

    /// How many operations that change something have begun: writes, syncs, and changes of names.
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// Makes the next sync of a file fail. As on Linux, the bytes are then no longer waiting to be written, though
    /// programs still see them.
    pub fn fail_next_sync(&self) {
        self.state.lock().faults.fails_next = Some(Call::Sync);
    }

    /// Makes the next write fail, after a part of it.
    pub fn fail_next_write(&self) {
        self.state.lock().faults.fails_next = Some(Call::Write);
    }

    /// Makes every sync return without doing anything: a disk on which nothing can be promised, as a control.
    pub fn ignore_syncs(&self) {
        self.state.lock().faults.ignores_syncs = true;
    }

    /// Sets how many bytes all files may have together.
    pub fn set_capacity_bytes(&self, capacity_bytes: Option<u64>) {
        self.state.lock().faults.capacity_bytes = capacity_bytes;
    }

    /// A file's contents as programs see them.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn contents(&self, name: &str) -> Vec<u8> {
        let state = self.state.lock();
        state.files[&state.names[name]].seen.clone()
    }

    /// Changes a file on the platter, as wear or a careless hand does.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        let file = state.names[name];
        let file = state.files.get_mut(&file).expect("names lead to files");
        change(&mut file.seen);
        *file = FileState { seen: file.seen.clone(), durable: file.seen.clone(), dirty: BTreeSet::new() };
    }
}

impl State {
    /// A number that follows from the seed (SplitMix64).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A random number of at most `highest`.
    fn random_up_to(&mut self, highest: usize) -> usize {
        let numbers = highest as u64 + 1;
        usize::try_from(self.next_random() % numbers).expect("it is at most what was given")
    }

    /// Counts an operation, and gives whether everything stops during it; an error if it has.
    fn begin_operation(&mut self) -> io::Result<bool> {
        self.check_running()?;
        self.operations += 1;
        self.faults.is_stopped = self.faults.stops_at == Some(self.operations);
        Ok(self.faults.is_stopped)
    }

    fn check_running(&self) -> io::Result<()> {
        if self.faults.is_stopped { Err(stopped()) } else { Ok(()) }
    }

    fn file_of(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Changes names for everyone to see; one during which everything stops has happened, though nobody learns of it.
    fn change_names(&mut self, change: NameChange) -> io::Result<()> {
        let is_last = self.begin_operation()?;
        change.apply(&mut self.names);
        self.name_changes.push(change);
        if is_last { Err(stopped()) } else { Ok(()) }
    }

    fn lose_power(&mut self) {
        let kept = self.random_up_to(self.name_changes.len());
        for change in std::mem::take(&mut self.name_changes).into_iter().take(kept) {
            change.apply(&mut self.durable_names);
        }
        self.names = self.durable_names.clone();
        for number in self.files.keys().copied().collect::<Vec<_>>() {
            self.settle_file(number);
        }
        self.restart();
    }

    fn restart(&mut self) {
        self.starts += 1;
        self.faults.is_stopped = false;
        self.faults.stops_at = None;
    }

    /// Keeps or loses each sector of a file that was not synced.
    fn settle_file(&mut self, number: u64) {
        let Some(mut file) = self.files.remove(&number) else { return };
        // Now and then all of them or none: subsets at random hardly ever are.
        let mode = self.next_random() % 4;
        for sector in std::mem::take(&mut file.dirty) {
            let is_kept = match mode {
                0 => false,
                1 => true,
                _ => self.next_random().is_multiple_of(2),
            };
            if is_kept {
                file.keep(sector);
            }
        }
        file.seen.clone_from(&file.durable);
        self.files.insert(number, file);
    }

    fn check_capacity(&self, number: u64, end: usize) -> io::Result<()> {
        let others = self.names.values().filter(|&&other| other != number);
        let used: usize = others.map(|other| self.files[other].seen.len()).sum();
        let own = self.files[&number].seen.len();
        let is_full = self.faults.capacity_bytes.is_some_and(|capacity| (used + end) as u64 > capacity);
        if end > own && is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Set(name, file) => {
                names.insert(name.clone(), *file);
            }
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl FileState {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.seen.len() < end {
            self.seen.resize(end, 0);
        }
        self.seen[offset..end].copy_from_slice(bytes);
        self.dirty.extend(offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
    }

    /// Brings one sector to the platter.
    fn keep(&mut self, sector: usize) {
        let start = sector * SECTOR_BYTES;
        let end = self.seen.len().min(start + SECTOR_BYTES);
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.durable[start..end].copy_from_slice(&self.seen[start..end]);
    }
}

fn stopped() -> io::Error {
    io::Error::other("the simulated disk has stopped")
}

impl Disk for SimulatedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        state.check_running()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let number = {
            let mut state = self.state.lock();
            let number = state.files.len() as u64;
            state.files.insert(number, FileState::default());
            state.change_names(NameChange::Set(name.to_owned(), number))?;
            number
        };
        Ok(Box::new(self.handle(number)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let number = {
            let state = self.state.lock();
            state.check_running()?;
            state.file_of(name)?
        };
        Ok(Box::new(self.handle(number)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.file_of(from)?;
        state.change_names(NameChange::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.file_of(name)?;
        state.change_names(NameChange::Remove(name.to_owned()))
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.begin_operation()? {
            return Err(stopped());
        }
        if !state.faults.ignores_syncs {
            state.durable_names = state.names.clone();
            state.name_changes.clear();
        }
        Ok(())
    }
}

impl SimulatedDisk {
    fn handle(&self, number: u64) -> Handle {
        Handle { disk: self.clone(), number, start: self.state.lock().starts }
    }
}

/// An open file of a simulated disk.
struct Handle {
    disk: SimulatedDisk,
    number: u64,
    start: u64,
}

impl Handle {
    /// Does something with the file and the disk's state; an error after power was lost.
    fn with<T>(&self, step: impl FnOnce(&mut State, u64) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state.lock();
        state.check_running()?;
        if state.starts != self.start {
            return Err(stopped());
        }
        step(&mut state, self.number)
    }
}

impl DiskFile for Handle {
    fn length(&self) -> io::Result<u64> {
        self.with(|state, number| Ok(state.files[&number].seen.len() as u64))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let start = as_index(offset);
        self.with(|state, number| {
            let bytes = state.files[&number].seen.get(start..start + into.len());
            into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = as_index(offset);
        self.with(|state, number| {
            let is_last = state.begin_operation()?;
            state.check_capacity(number, start + bytes.len())?;
            let fails = state.faults.fails_next.take_if(|call| *call == Call::Write).is_some();
            let length = if fails { state.random_up_to(bytes.len()) } else { bytes.len() };
            let file = state.files.get_mut(&number).expect("handles lead to files");
            file.write(start, &bytes[..length]);
            match (is_last, fails) {
                (true, _) => Err(stopped()),
                (_, true) => Err(io::Error::other("the simulated disk failed to write")),
                _ => Ok(()),
            }
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|state, number| {
            if state.begin_operation()? {
                return Err(stopped());
            }
            let fails = state.faults.fails_next.take_if(|call| *call == Call::Sync).is_some();
            if state.faults.ignores_syncs {
                return Ok(());
            }
            let file = state.files.get_mut(&number).expect("handles lead to files");
            let dirty = std::mem::take(&mut file.dirty);
            if fails {
                return Err(io::Error::other("the simulated disk failed to sync"));
            }
            for sector in dirty {
                file.keep(sector);
            }
            Ok(())
        })
    }
}

/// An offset as an index into memory.
fn as_index(offset: u64) -> usize {
    usize::try_from(offset).expect("a simulated disk lies in memory")
}
