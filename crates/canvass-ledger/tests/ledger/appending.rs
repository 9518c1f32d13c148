//! Appending and reading without faults: order, places, limits, and the boundaries of segments.

use std::{ops::ControlFlow, sync::Arc};

use canvass_ledger::{
    AppendError, Batch, Damage, Fault, FileDisk, Ledger, OpenError, Options, Position, Preparation,
    PushError, ReadError, RecordBuffer, limits, testing::SimulatedDisk,
};

use crate::support::{Output, SMALL, append, check_contents, fill, open, read_all, record, segment_names};

#[test]
fn records_come_back_in_order_over_segment_boundaries() {
    let disk = SimulatedDisk::new(1);
    let (mut ledger, recovery) = open(&disk).unwrap();
    assert_eq!((recovery.end, recovery.cut, recovery.segments), (Position::ZERO, None, 1));
    let mut expected = Vec::new();
    for number in 0..40 {
        expected.extend(append(&mut ledger, &[record(number, 90), record(number, 8), record(number, 400)]));
        assert_eq!(read_all(&ledger.reader()).unwrap(), expected);
    }
    let end = ledger.end();
    drop(ledger);
    let (_, recovery) = check_contents(&disk, &expected);
    assert_eq!((recovery.end, recovery.cut, recovery.segments), (end, None, segment_names(&disk).len()));
    assert!(recovery.segments > 5, "the records fill several segments");
}

#[test]
fn positions_are_known_before_the_append_and_run_on_over_segments() {
    let disk = SimulatedDisk::new(1);
    let (mut ledger, _) = open(&disk).unwrap();
    let mut batch = Batch::new();
    batch.begin(ledger.end());
    for number in 0..20 {
        let expected = fill(&mut batch, ledger.end(), &[record(number, 700), record(number, 20)]);
        for output in &expected {
            assert_eq!(batch.record_at(output.position).map(Output::from).as_ref(), Some(output));
        }
        let length = batch.len_bytes() as u64;
        let end = ledger.append(&mut batch).unwrap();
        assert_eq!(end, Position::from((u64::from(number) + 1) * length));
        assert_eq!((end, batch.position(), batch.is_empty()), (ledger.end(), end, true));
    }
}

#[test]
fn a_scan_begins_and_ends_at_any_record() {
    let disk = SimulatedDisk::new(1);
    let (mut ledger, _) = open(&disk).unwrap();
    let mut expected = Vec::new();
    let mut batch_starts = Vec::new();
    for number in 0..12 {
        batch_starts.push(ledger.end());
        let records: Vec<_> =
            (0..=number % 4).map(|each| record(each, 80 + 150 * usize::from(each))).collect();
        expected.extend(append(&mut ledger, &records));
    }
    let reader = ledger.reader();
    let check = |from: Position, to: Position, stop_after: usize| {
        let in_range = |output: &&Output| (from..to).contains(&output.position);
        let wanted: Vec<_> = expected.iter().filter(in_range).take(stop_after).cloned().collect();
        let mut found = Vec::new();
        let next = reader.scan(from, to, &mut |record| {
            found.push(Output::from(record));
            if found.len() == stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(found, wanted);
        next.unwrap()
    };
    let starts: Vec<_> = expected.iter().map(|output| output.position).chain(batch_starts).collect();
    for &from in &starts {
        assert_eq!(check(from, ledger.end(), usize::MAX), ledger.end());
        for &to in &starts {
            check(from, to, usize::MAX);
        }
    }
    let mut at = Position::ZERO;
    for _ in &expected {
        at = check(at, ledger.end(), 1);
    }
    assert_eq!(at, ledger.end(), "one record at a time leads to the end");
}

#[test]
fn limits_are_told_before_anything_is_written() {
    let mut batch = Batch::new();
    let longest = vec![1; limits::RECORD_BYTES_MAX];
    let mut check = |body: &[u8], erasable: &[u8], expected: Result<(), PushError>| {
        let before = (batch.len_bytes(), batch.record_count());
        assert_eq!(batch.push(1, body, erasable).map(|_| ()), expected);
        assert!(expected.is_ok() || before == (batch.len_bytes(), batch.record_count()));
    };
    check(&[longest.as_slice(), &[1]].concat(), &[], Err(PushError::RecordTooLong));
    check(&[], &[1; 7], Err(PushError::Erasable));
    check(&[], &vec![1; limits::ERASABLE_BYTES_MAX + 1], Err(PushError::Erasable));
    check(&[], &[0xFF; 100], Err(PushError::Erasable));
    check(&[], &[1, 255, 255, 255, 255, 255, 255, 255, 1, 1], Err(PushError::Erasable));
    check(&[], &[1, 1, 255, 255, 255, 255, 255, 255, 255], Ok(()));
    check(&longest, &[], Err(PushError::BatchFull));
    check(&[0; 1000], &vec![1; limits::ERASABLE_BYTES_MAX], Ok(()));
}

#[test]
fn a_batch_of_any_allowed_length_fits_even_where_segments_are_small() {
    let disk = SimulatedDisk::new(1);
    let (mut ledger, _) = open(&disk).unwrap();
    let mut expected = append(&mut ledger, &[record(1, 10)]);
    expected.extend(append(&mut ledger, &[record(2, limits::RECORD_BYTES_MAX / 64)]));
    expected.extend(append(&mut ledger, &[(3, vec![5; limits::RECORD_BYTES_MAX], vec![])]));
    expected.extend(append(&mut ledger, &[record(4, 10)]));
    assert_eq!(read_all(&ledger.reader()).unwrap(), expected);
    drop(ledger);
    check_contents(&disk, &expected);
}

#[test]
fn a_batch_must_begin_at_the_end() {
    let disk = SimulatedDisk::new(1);
    let (mut ledger, _) = open(&disk).unwrap();
    append(&mut ledger, &[record(1, 10)]);
    let mut batch = Batch::new();
    fill(&mut batch, Position::ZERO, &[record(2, 10)]);
    let refused = ledger.append(&mut batch);
    assert!(matches!(refused, Err(AppendError::Misplaced { batch: Position::ZERO, .. })), "{refused:?}");
}

#[test]
fn a_position_that_is_no_record_is_refused() {
    let disk = SimulatedDisk::new(1);
    let (mut ledger, _) = open(&disk).unwrap();
    append(&mut ledger, &[record(1, 100), record(2, 100)]);
    let (reader, mut buffer) = (ledger.reader(), RecordBuffer::default());
    for at in (0..ledger.end().get()).filter(|at| ![64, 184].contains(at)) {
        let found = reader.read(at.into(), &mut buffer);
        assert!(matches!(found, Err(ReadError::Damaged(_))), "{at}: {found:?}");
    }
    let beyond = reader.read(ledger.end(), &mut buffer);
    assert!(matches!(beyond, Err(ReadError::BeyondEnd { .. })), "{beyond:?}");
}

#[test]
fn opening_trusts_what_the_caller_vouches_for_and_no_more() {
    let disk = SimulatedDisk::new(1);
    let (mut ledger, _) = open(&disk).unwrap();
    let mut ends = Vec::new();
    for number in 0..20 {
        append(&mut ledger, &[record(number, 700)]);
        ends.push(ledger.end());
    }
    drop(ledger);
    let open_from = |disk: &SimulatedDisk, verified_to| {
        Ledger::open(Arc::new(disk.clone()), Options { verified_to, ..SMALL })
            .map(|(_, recovery)| recovery.end)
    };
    for &end in &ends {
        assert_eq!(open_from(&disk, end).unwrap(), ends[19]);
    }
    // Damage before it goes unseen, for that is what vouching means; damage after it does not.
    let damaged = disk.fork(2);
    damaged.damage(&segment_names(&disk)[2], |bytes| bytes[132] ^= 1);
    assert_eq!(open_from(&damaged, ends[19]).unwrap(), ends[19]);
    let refused = open_from(&damaged, ends[1]);
    assert!(matches!(refused, Err(OpenError::Damaged(Damage { fault: Fault::Record, .. }))), "{refused:?}");
    // A ledger that ends before the place is not the one that was vouched for.
    for beyond in [ends[19].get() + 64, ends[19].get() + 640, ends[19].get() + 1_000_000] {
        let short = open_from(&disk, beyond.into());
        assert!(matches!(short, Err(OpenError::Short { .. })), "{short:?}");
    }
    let none = open_from(&SimulatedDisk::new(3), ends[0]);
    assert!(matches!(none, Err(OpenError::Short { end: Position::ZERO, .. })), "{none:?}");
}

#[test]
fn the_real_disk_with_segments_made_in_the_background() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(FileDisk::new(directory.path().join("new").join("ledger")).unwrap());
    let options = Options { preparation: Preparation::Background, segment_bytes_max: 64 * 1024, ..SMALL };
    let mut expected = Vec::new();
    for round in 0..3 {
        let (mut ledger, recovery) = Ledger::open(disk.clone(), options).unwrap();
        assert_eq!(recovery.cut, None);
        let reader = ledger.reader();
        let watcher = std::thread::spawn(move || {
            let mut seen = Vec::new();
            while seen.len() < (round + 1) * 300 {
                let next = read_all(&reader).unwrap();
                assert!(next.starts_with(&seen), "what was durable stays");
                seen = next;
            }
        });
        for number in 0..100 {
            expected
                .extend(append(&mut ledger, &[record(number, 90), record(number, 8), record(number, 300)]));
        }
        watcher.join().unwrap();
        assert_eq!(read_all(&ledger.reader()).unwrap(), expected);
    }
}
