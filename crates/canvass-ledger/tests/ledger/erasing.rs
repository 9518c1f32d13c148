//! Erasing takes the personal part for good and leaves everything else as it was.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering},
};

use canvass_ledger::{Position, testing::SimulatedDisk};

use crate::support::{append, check_contents, open, read_all, record, segment_names};

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
            disk.lose_power_at(disk.operations() + operation);
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

#[test]
fn readers_never_see_half_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let disk = std::sync::Arc::new(canvass_ledger::FileDisk::new(directory.path()).unwrap());
    let (mut ledger, _) = canvass_ledger::Ledger::open(disk, canvass_ledger::Options::default()).unwrap();
    let positions: Vec<_> =
        (0..200).map(|number| append(&mut ledger, &[record(number, 3000)])[0].position).collect();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let reader = ledger.reader();
            while !is_done.load(Ordering::Relaxed) {
                let all = reader.durable_end();
                reader.scan(Position::ZERO, all, &mut |_| ControlFlow::Continue(())).unwrap();
            }
        });
        for few in positions.chunks(5) {
            ledger.reader().erase(few).unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert!(read_all(&ledger.reader()).unwrap().iter().all(|output| output.erasable.is_none()));
}
