//! A disk that fails or fills up: never a false acknowledgement, never a loss.

use std::{sync::Arc, thread, time::Duration};

use canvass_ledger::{AppendError, Batch, Ledger, Options, Preparation, testing::SimulatedDisk};

use crate::support::{SMALL, append, check_contents, fill, open, read_all, record};

/// Fails one append, which must stop the ledger, and gives what was acknowledged before and what was not.
fn check_stopped(fail: impl Fn(&SimulatedDisk)) {
    for seed in 0..50 {
        let disk = SimulatedDisk::new(seed);
        let (mut ledger, _) = open(&disk).unwrap();
        let acknowledged = append(&mut ledger, &[record(1, 300)]);
        let mut batch = Batch::new();
        let unknown = fill(&mut batch, ledger.end(), &[record(2, 1500)]);
        fail(&disk);
        assert!(matches!(ledger.append(&mut batch), Err(AppendError::Failed(_))));
        assert!(matches!(ledger.append(&mut batch), Err(AppendError::Stopped)), "never tried again");
        assert_eq!(read_all(&ledger.reader()).unwrap(), acknowledged, "reading goes on");
        drop(ledger);
        // A new start may find the batch or not; but what it has shown must stay, even when power goes next.
        let (ledger, _) = open(&disk).unwrap();
        let shown = read_all(&ledger.reader()).unwrap();
        assert!(shown == acknowledged || shown == [acknowledged, unknown].concat());
        drop(ledger);
        disk.lose_power();
        check_contents(&disk, &shown);
    }
}

#[test]
fn a_failed_sync_stops_the_ledger() {
    check_stopped(SimulatedDisk::fail_next_sync);
}

#[test]
fn a_failed_write_stops_the_ledger() {
    check_stopped(SimulatedDisk::fail_next_write);
}

#[test]
fn a_failure_at_any_moment_of_moving_on_to_the_next_segment() {
    for nth in 1..=12 {
        for seed in 0..20 {
            let disk = SimulatedDisk::new(seed);
            let (mut ledger, _) = open(&disk).unwrap();
            let mut expected = append(&mut ledger, &[record(1, 3000)]);
            let mut batch = Batch::new();
            let next = fill(&mut batch, ledger.end(), &[record(2, 1500)]);
            disk.stop_at(disk.operations() + nth);
            let is_acknowledged = ledger.append(&mut batch).is_ok();
            drop(ledger);
            disk.lose_power();
            let (ledger, _) = open(&disk).unwrap();
            let found = read_all(&ledger.reader()).unwrap();
            if is_acknowledged || found.len() > 1 {
                expected.extend(next);
            }
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn a_full_disk_refuses_before_writing_and_recovers() {
    let disk = SimulatedDisk::new(1);
    let (mut ledger, _) = open(&disk).unwrap();
    let mut expected = append(&mut ledger, &[record(1, 3000)]);
    disk.set_capacity_bytes(Some(4096));
    let mut batch = Batch::new();
    let next = fill(&mut batch, ledger.end(), &[record(2, 3000)]);
    for _ in 0..3 {
        assert!(matches!(ledger.append(&mut batch), Err(AppendError::Full(_))));
    }
    let mut short = Batch::new();
    expected.extend(fill(&mut short, ledger.end(), &[record(3, 100)]));
    ledger.append(&mut short).expect("what fits into the segment is still taken");
    disk.set_capacity_bytes(Some(8192));
    expected.extend(fill(&mut batch, ledger.end(), &[record(2, 3000)]));
    assert_eq!(next.len(), 1);
    ledger.append(&mut batch).unwrap();
    drop(ledger);
    check_contents(&disk, &expected);
}

#[test]
fn on_a_nearly_full_disk_segments_become_smaller() {
    let disk = SimulatedDisk::new(1);
    let options = Options { segment_bytes_min: 1024 * 1024, segment_bytes_max: 1024 * 1024, ..SMALL };
    let (mut ledger, _) = Ledger::open(Arc::new(disk.clone()), options).unwrap();
    let mut expected = append(&mut ledger, &[record(1, 60_000), (1, vec![7; 960_000], vec![])]);
    disk.set_capacity_bytes(Some(1024 * 1024 + 300 * 1024));
    expected.extend(append(&mut ledger, &[(2, vec![7; 100_000], vec![])]));
    drop(ledger);
    check_contents(&disk, &expected);
}

#[test]
fn the_background_thread_recovers_from_a_full_disk_by_itself() {
    let disk = SimulatedDisk::new(1);
    let options = Options { preparation: Preparation::Background, ..SMALL };
    let (mut ledger, _) = Ledger::open(Arc::new(disk.clone()), options).unwrap();
    let mut expected = append(&mut ledger, &[record(1, 3000)]);
    expected.extend(append(&mut ledger, &[record(2, 3000)]));
    disk.set_capacity_bytes(Some(0));
    let mut batch = Batch::new();
    let mut number = 3;
    // The segment made ahead may or may not have been ready when the disk became full.
    let refused = loop {
        let records = fill(&mut batch, ledger.end(), &[record(number, 3000)]);
        match ledger.append(&mut batch) {
            Ok(_) => expected.extend(records),
            Err(AppendError::Full(_)) => break records,
            Err(other) => panic!("{other}"),
        }
        number += 1;
    };
    disk.set_capacity_bytes(None);
    let is_taken = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(50));
        ledger.append(&mut batch).is_ok()
    });
    assert!(is_taken, "space has returned");
    expected.extend(refused);
    drop(ledger);
    check_contents(&disk, &expected);
}
