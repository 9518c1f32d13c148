//! Erasing takes the personal part for good and leaves everything else as it was.

use std::{
    io,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use canvass_ledger::{
    Disk, DiskFile, Ledger, Position, Reader, RecordBuffer, RecordRef, testing::SimulatedDisk,
};

use crate::support::{SMALL, append, check_contents, open, read_all, record, segment_names};

#[test]
fn only_the_erased_parts_are_gone() {
    let disk = SimulatedDisk::new(1);
    let (mut ledger, _) = open(&disk).unwrap();
    let mut expected = Vec::new();
    for number in 0..30 {
        expected.extend(append(&mut ledger, &[record(number, 60), (number, b"none".to_vec(), vec![])]));
        expected.extend(append(&mut ledger, &[record(number, 2500)]));
    }
    let erased: Vec<_> =
        expected.iter().step_by(4).chain(&expected[2..7]).map(|output| output.position).collect();
    ledger.reader().erase(&erased).unwrap();
    ledger.reader().erase(&erased[..3]).unwrap();
    for output in &mut expected {
        if erased.contains(&output.position) && output.erasable != Some(Vec::new()) {
            let secret = output.erasable.take().unwrap();
            assert!(!secret.is_empty());
        }
    }
    assert_eq!(read_all(&ledger.reader()).unwrap(), expected);
    expected.extend(append(&mut ledger, &[record(1, 100)]));
    drop(ledger);
    disk.lose_power();
    check_contents(&disk, &expected);
}

#[test]
fn no_byte_of_it_is_left_on_disk() {
    let disk = SimulatedDisk::new(1);
    let (mut ledger, _) = open(&disk).unwrap();
    let secret = b"salt4711, the voter's name, which nobody may read again ".repeat(20);
    let expected = append(&mut ledger, &[(1, b"public".to_vec(), secret.clone()), record(2, 100)]);
    let is_on_disk = || {
        let bytes = disk.contents(&segment_names(&disk)[0]);
        secret.chunks(8).any(|piece| bytes.windows(8).any(|window| window == piece))
    };
    assert!(is_on_disk());
    ledger.reader().erase(&[expected[0].position]).unwrap();
    assert!(!is_on_disk());
}

#[test]
fn interrupted_at_any_moment_it_is_done_or_can_be_done_again() {
    let disk = SimulatedDisk::new(1);
    let (mut ledger, _) = open(&disk).unwrap();
    let expected: Vec<_> =
        [60, 700, 2500].map(|bytes| append(&mut ledger, &[record(9, bytes)]).remove(0)).to_vec();
    let positions: Vec<_> = expected.iter().map(|output| output.position).collect();
    drop(ledger);
    for operation in 1..=8 {
        for seed in 0..40 {
            let disk = disk.fork(seed);
            let (ledger, _) = open(&disk).unwrap();
            disk.stop_at(disk.operations() + operation);
            let outcome = ledger.reader().erase(&positions);
            drop(ledger);
            disk.lose_power();
            let (ledger, recovery) = open(&disk).unwrap();
            assert_eq!(recovery.cut, None);
            let found = read_all(&ledger.reader()).unwrap();
            for (found, expected) in found.iter().zip(&expected) {
                assert!(found.erasable.is_none() || outcome.is_err() && found == expected);
                assert_eq!(found.body, expected.body);
            }
            ledger.reader().erase(&positions).unwrap();
            assert!(read_all(&ledger.reader()).unwrap().iter().all(|output| output.erasable.is_none()));
        }
    }
}

/// A disk whose writes take their time, as the contract allows: a read meanwhile sees a part of them.
struct SlowDisk(SimulatedDisk);

struct SlowFile(Box<dyn DiskFile>);

impl Disk for SlowDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.0.create(name)
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(SlowFile(self.0.open(name)?)))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn sync_directory(&self) -> io::Result<()> {
        self.0.sync_directory()
    }
}

impl DiskFile for SlowFile {
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, into)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        for (at, byte) in (offset..).zip(bytes) {
            self.0.write_at(at, &[*byte])?;
            thread::yield_now();
        }
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[test]
fn readers_never_see_half_of_it() {
    let disk = SlowDisk(SimulatedDisk::new(1));
    let (mut ledger, _) = Ledger::open(Arc::new(disk), SMALL).unwrap();
    let outputs: Vec<_> =
        (0..15).map(|number| append(&mut ledger, &[record(number, 900)]).remove(0)).collect();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let reader = ledger.reader();
            while !is_done.load(Ordering::Relaxed) {
                read_all_erased_or_not(&reader);
            }
        });
        for few in outputs.chunks(5) {
            let positions: Vec<_> = few.iter().map(|output| output.position).collect();
            ledger.reader().erase(&positions).unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert!(read_all(&ledger.reader()).unwrap().iter().all(|output| output.erasable.is_none()));
}

/// Scans everything and reads the records one by one, each in whatever state it is in.
fn read_all_erased_or_not(reader: &Reader) {
    let mut positions = Vec::new();
    let mut visit = |record: RecordRef<'_>| {
        positions.push(record.position);
        ControlFlow::Continue(())
    };
    reader.scan(Position::ZERO, reader.durable_end(), &mut visit).unwrap();
    let mut buffer = RecordBuffer::default();
    for position in positions {
        reader.read(position, &mut buffer).unwrap();
    }
}
