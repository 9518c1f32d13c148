//! A mirror follows its ledger, whatever stops it, and any part of it becomes a ledger again, record by record.

use std::sync::Arc;

use canvass_ledger::{
    Disk, FileDisk, Ledger, Mirror, MirrorError, OpenError, Position, Reader, testing::SimulatedDisk,
};

use crate::support::{Output, SMALL, append, open, read_all, record, segment_names};

/// A ledger with batches of several records over several segments, and its records.
fn filled(disk: &SimulatedDisk, batches: u8) -> (Ledger, Vec<Output>) {
    let (mut ledger, _) = open(disk).unwrap();
    let mut records = Vec::new();
    grow(&mut ledger, &mut records, batches);
    (ledger, records)
}

fn grow(ledger: &mut Ledger, records: &mut Vec<Output>, batches: u8) {
    for number in 0..batches {
        let size = 100 + 37 * usize::from(number);
        records.extend(append(ledger, &[record(number, size), record(number, 24), record(number, size)]));
    }
}

fn mirror_on(disk: &SimulatedDisk, end: Position) -> Mirror {
    Mirror::open(Arc::new(disk.clone()), end).unwrap()
}

/// Makes a ledger of what is before `to`, and compares it with the records that it should hold.
fn check_copy(mirror: &Mirror, to: Position, expected: &[Output]) {
    let disk = SimulatedDisk::new(1);
    let end = mirror.reader().copy_to(&disk, to).unwrap();
    disk.lose_power();
    let (mut ledger, recovery) = open(&disk).unwrap();
    assert_eq!((recovery.end, recovery.cut), (end, None));
    assert_eq!(read_all(&ledger.reader()).unwrap(), expected);
    let mut records = expected.to_vec();
    grow(&mut ledger, &mut records, 12);
    assert_eq!(read_all(&ledger.reader()).unwrap(), records);
}

#[test]
fn every_part_becomes_a_ledger_again() {
    let (disk, copy) = (SimulatedDisk::new(1), SimulatedDisk::new(2));
    let (ledger, records) = filled(&disk, 20);
    let mut mirror = mirror_on(&copy, Position::ZERO);
    assert_eq!(mirror.follow(&ledger.reader()).unwrap(), ledger.end());
    assert_eq!(segment_names(&copy), segment_names(&disk)[..segment_names(&copy).len()]);
    assert!(segment_names(&copy).len() > 3);
    assert_eq!(read_all(&mirror.reader()).unwrap(), records);
    for (index, record) in records.iter().enumerate() {
        check_copy(&mirror, record.position, &records[..index]);
    }
    check_copy(&mirror, mirror.end(), &records);
    check_copy(&mirror, Position::from(u64::MAX), &records);
}

#[test]
fn stopped_at_any_moment_it_goes_on_from_where_it_was() {
    let disk = SimulatedDisk::new(1);
    let (mut ledger, mut records) = filled(&disk, 8);
    let copy = SimulatedDisk::new(2);
    let first_end = mirror_on(&copy, Position::ZERO).follow(&ledger.reader()).unwrap();
    let first_records = records.clone();
    grow(&mut ledger, &mut records, 12);
    for operation in 1..25 {
        for seed in 0..10 {
            let copy = copy.fork(seed);
            copy.stop_at(copy.operations() + operation);
            let followed = mirror_on(&copy, first_end).follow(&ledger.reader());
            copy.lose_power();
            check_copy(&mirror_on(&copy, first_end), first_end, &first_records);
            let end = followed.unwrap_or(first_end);
            let mut mirror = mirror_on(&copy, end);
            mirror.follow(&ledger.reader()).unwrap();
            copy.lose_power();
            check_copy(&mirror_on(&copy, ledger.end()), ledger.end(), &records);
        }
    }
}

#[test]
fn what_is_erased_there_is_erased_here() {
    let (disk, copy) = (SimulatedDisk::new(1), SimulatedDisk::new(2));
    let (mut ledger, mut records) = filled(&disk, 12);
    let mut mirror = mirror_on(&copy, Position::ZERO);
    mirror.follow(&ledger.reader()).unwrap();
    let positions: Vec<_> = records.iter().step_by(3).map(|record| record.position).collect();
    ledger.reader().erase(&positions).unwrap();
    for operation in 1..8 {
        let copy = copy.fork(operation);
        copy.stop_at(copy.operations() + operation);
        let outcome = mirror_on(&copy, mirror.end()).erase_like(&ledger.reader());
        assert!(outcome.is_err() || outcome.is_ok_and(|count| count == positions.len()));
        copy.lose_power();
        let mirror = mirror_on(&copy, mirror.end());
        mirror.erase_like(&ledger.reader()).unwrap();
        assert_eq!(read_all(&mirror.reader()).unwrap(), read_all(&ledger.reader()).unwrap());
    }
    assert_eq!(mirror.erase_like(&ledger.reader()).unwrap(), positions.len());
    assert_eq!(mirror.erase_like(&ledger.reader()).unwrap(), 0);
    grow(&mut ledger, &mut records, 3);
    mirror.follow(&ledger.reader()).unwrap();
    check_copy(&mirror, mirror.end(), &read_all(&ledger.reader()).unwrap());
}

#[test]
fn another_ledger_is_refused() {
    let (disk, copy) = (SimulatedDisk::new(1), SimulatedDisk::new(2));
    let (ledger, records) = filled(&disk, 8);
    let mut mirror = mirror_on(&copy, Position::ZERO);
    mirror.follow(&ledger.reader()).unwrap();
    let continued = SimulatedDisk::new(3);
    let cut = records[10].position;
    mirror.reader().copy_to(&continued, cut).unwrap();
    let (mut other, _) = open(&continued).unwrap();
    let refused = |mirror: &mut Mirror, other: &Ledger| {
        let compared = mirror.erase_like(&other.reader());
        matches!(compared, Err(MirrorError::Diverged(at)) if at <= cut)
    };
    assert!(matches!(mirror.follow(&other.reader()), Err(MirrorError::Diverged(_))));
    let mut others = Vec::new();
    grow(&mut other, &mut others, 20);
    assert!(other.end() > mirror.end());
    assert!(refused(&mut mirror, &other));
    assert_eq!(read_all(&mirror.reader()).unwrap(), records);
}

#[test]
fn damage_is_neither_copied_nor_restored() {
    let disk = SimulatedDisk::new(1);
    let (ledger, _) = filled(&disk, 20);
    let middle = segment_names(&disk)[1].clone();
    let flipped = |disk: &SimulatedDisk, name: &str| {
        let file = disk.open(name).unwrap();
        let mut byte = [0];
        file.read_at(200, &mut byte).unwrap();
        file.write_at(200, &[byte[0] ^ 1]).unwrap();
    };
    let copy = SimulatedDisk::new(2);
    let mut mirror = mirror_on(&copy, Position::ZERO);
    mirror.follow(&ledger.reader()).unwrap();
    flipped(&copy, &middle);
    let restored = mirror.reader().copy_to(&SimulatedDisk::new(3), mirror.end());
    assert!(matches!(restored, Err(MirrorError::Source(_))), "{restored:?}");
    let compared = mirror.erase_like(&ledger.reader());
    assert!(matches!(compared, Err(MirrorError::Mirror(_))), "{compared:?}");
    flipped(&disk, &middle);
    let followed = mirror_on(&SimulatedDisk::new(4), Position::ZERO).follow(&ledger.reader());
    assert!(matches!(followed, Err(MirrorError::Source(_))), "{followed:?}");
    let beside = Reader::beside(Arc::new(disk), Position::ZERO);
    assert!(matches!(beside, Err(OpenError::Damaged(_))));
    copy.remove(&middle).unwrap();
    assert!(Mirror::open(Arc::new(copy), mirror.end()).is_err());
}

#[test]
fn a_reader_beside_a_writer_reads_whole_batches() {
    let directory = tempfile::tempdir().unwrap();
    let disk = || Arc::new(FileDisk::new(directory.path()).unwrap());
    let (mut ledger, _) = Ledger::open(disk(), SMALL).unwrap();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let mut records = Vec::new();
    std::thread::scope(|scope| {
        let follower = scope.spawn(|| {
            let mut mirror = mirror_on(&SimulatedDisk::new(9), Position::ZERO);
            let mut rounds = 0;
            loop {
                let is_last = is_done.load(std::sync::atomic::Ordering::Acquire);
                let reader = Reader::beside(disk(), mirror.end()).unwrap();
                mirror.erase_like(&reader).unwrap();
                mirror.follow(&reader).unwrap();
                rounds += 1;
                if is_last {
                    return (read_all(&mirror.reader()).unwrap(), rounds);
                }
            }
        });
        for number in 0..60 {
            grow(&mut ledger, &mut records, 4);
            let position = records[number * 7].position;
            ledger.reader().erase(&[position]).unwrap();
        }
        is_done.store(true, std::sync::atomic::Ordering::Release);
        let (copied, rounds) = follower.join().unwrap();
        assert!(rounds > 1);
        assert_eq!(copied, read_all(&ledger.reader()).unwrap());
    });
}
