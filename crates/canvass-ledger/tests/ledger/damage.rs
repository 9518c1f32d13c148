//! A changed byte anywhere is reported with its place, and nothing is changed on disk or silently dropped.

use canvass_ledger::{
    Damage, Disk, Erasable, Fault, OpenError, Position, RecordBuffer, testing::SimulatedDisk,
};

use crate::support::{Input, Output, append, open, read_all, record, segment_names};

/// Where the last segment's batches end: bytes after it have never been written.
struct Sample {
    disk: SimulatedDisk,
    expected: Vec<Output>,
    end: Position,
}

fn sample(batches: &[Vec<Input>]) -> Sample {
    let disk = SimulatedDisk::new(1);
    let (mut ledger, _) = open(&disk).unwrap();
    let expected = batches.iter().flat_map(|batch| append(&mut ledger, batch)).collect();
    Sample { disk, expected, end: ledger.end() }
}

/// Changes each byte of each segment in turn, in several ways.
fn check_every_byte(sample: &Sample) {
    let names = segment_names(&sample.disk);
    for name in &names {
        let contents = sample.disk.contents(name);
        let base = u64::from_str_radix(name.trim_end_matches(".segment"), 16).unwrap();
        let written = if Some(name) == names.last() {
            usize::try_from(64 + sample.end.get() - base).unwrap()
        } else {
            contents.len()
        };
        for (at, &byte) in contents.iter().enumerate() {
            for changed in [byte ^ 1, byte ^ 0xFF, 0] {
                if changed != byte {
                    check_byte(sample, name, at, changed, at < written);
                }
            }
        }
    }
}

fn check_byte(sample: &Sample, name: &str, at: usize, changed: u8, is_written: bool) {
    let disk = sample.disk.fork(2);
    disk.damage(name, |bytes| bytes[at] = changed);
    let operations = disk.operations();
    match open(&disk) {
        Err(OpenError::Damaged(damage)) => {
            assert_eq!(damage.segment, name, "byte {at} to {changed}: {damage}");
            assert!(damage.offset <= at as u64, "byte {at} to {changed}: {damage}");
            assert_eq!(disk.operations(), operations, "nothing is changed");
        }
        Ok((ledger, recovery)) if !is_written => {
            // What was never written may be cut, for nothing is lost by it; but not silently.
            assert!(recovery.cut.is_some(), "{name} byte {at} to {changed}");
            assert_eq!(read_all(&ledger.reader()).unwrap(), sample.expected);
        }
        other => panic!("{name} byte {at} to {changed}: {:?}", other.map(|(_, recovery)| recovery)),
    }
}

#[test]
fn in_several_segments_with_erased_parts() {
    let batches: Vec<_> =
        (0..6).map(|number| vec![record(number, 100), record(number, 9), record(number, 1200)]).collect();
    let mut sample = sample(&batches);
    let (ledger, _) = open(&sample.disk).unwrap();
    for index in [0, 3, 15] {
        ledger.reader().erase(&[sample.expected[index].position]).unwrap();
        sample.expected[index].erasable = None;
    }
    assert_eq!(segment_names(&sample.disk).len(), 3);
    check_every_byte(&sample);
}

#[test]
fn in_a_last_batch_that_fills_its_segment_to_the_last_byte() {
    // 4096 bytes less header and seal; the batch's own header, trailer and the record's header.
    let sample = sample(&[vec![(1, vec![7; 4096 - 128 - 64 - 8 - 16], vec![])]]);
    assert_eq!(sample.end, Position::from(4096 - 128));
    check_every_byte(&sample);
}

#[test]
fn in_a_last_batch_with_sectors_of_zeros_and_of_a_single_byte() {
    let mut body = vec![0; 3000];
    body[1300] = 1;
    body[2400] = 1;
    check_every_byte(&sample(&[vec![record(1, 50)], vec![(2, body, vec![])]]));
}

#[test]
fn in_a_last_batch_whose_sector_of_a_single_byte_was_erased() {
    // Two sectors that hold one byte each, one of them in the erasable part.
    let mut erasable = vec![0; 1400];
    erasable[..8].copy_from_slice(b"saltsalt");
    erasable[1000] = 1;
    let mut body = vec![0; 1400];
    body[1000] = 1;
    let mut sample = sample(&[vec![(2, body, erasable)]]);
    let (ledger, _) = open(&sample.disk).unwrap();
    ledger.reader().erase(&[sample.expected[0].position]).unwrap();
    sample.expected[0].erasable = None;
    let name = &segment_names(&sample.disk)[0];
    for (at, &byte) in sample.disk.contents(name).iter().enumerate() {
        // Past its first sector, an erased part may be anything: there is nothing left to lose.
        if byte != 0xFF {
            let is_written = at < usize::try_from(64 + sample.end.get()).unwrap();
            check_byte(&sample, name, at, byte ^ 1, is_written);
        }
    }
}

#[test]
fn a_missing_or_shortened_segment() {
    let batches: Vec<_> = (0..6).map(|number| vec![record(number, 3000)]).collect();
    let sample = sample(&batches);
    let names = segment_names(&sample.disk);
    assert_eq!(names.len(), 6);
    for name in &names {
        let check = |spoil: &dyn Fn(&SimulatedDisk), fault: Fault| {
            let disk = sample.disk.fork(2);
            spoil(&disk);
            match open(&disk) {
                Err(OpenError::Damaged(damage)) => {
                    assert_eq!((&damage.segment, damage.fault), (name, fault), "{damage}");
                }
                other => panic!("{name}: {:?}", other.map(|(_, recovery)| recovery)),
            }
        };
        check(&|disk| disk.remove(name).unwrap(), Fault::SegmentMissing);
        check(&|disk| disk.damage(name, |bytes| bytes.truncate(4095)), Fault::SegmentLength);
        check(&|disk| disk.damage(name, |bytes| bytes.truncate(10)), Fault::SegmentLength);
        check(&|disk| disk.damage(name, |bytes| bytes.push(0)), Fault::SegmentLength);
        check(&|disk| disk.damage(name, |bytes| bytes.fill(0)), Fault::SegmentHeader);
    }
}

#[test]
fn a_newer_format() {
    let sample = sample(&[vec![record(1, 10)]]);
    let name = &segment_names(&sample.disk)[0];
    sample.disk.damage(name, |bytes| {
        bytes[8] = 2;
        let checksum = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
    });
    let refused = open(&sample.disk).map(|(_, recovery)| recovery);
    assert!(matches!(&refused, Err(OpenError::Newer { version: 2, .. })), "{refused:?}");
}

#[test]
fn while_reading() {
    let sample = sample(&[vec![record(1, 100), record(2, 100)], vec![record(3, 100)]]);
    let (ledger, _) = open(&sample.disk).unwrap();
    sample.disk.damage(&segment_names(&sample.disk)[0], |bytes| bytes[64 + 184 + 30] ^= 1);
    let damage = Damage {
        segment: "0000000000000000.segment".to_owned(),
        offset: 64 + 184 + 16,
        position: Position::from(184 + 16),
        fault: Fault::Erasable,
    };
    let reader = ledger.reader();
    assert_eq!(read_all(&reader).unwrap_err().to_string(), format!("the ledger is damaged: {damage}"));
    let mut buffer = RecordBuffer::default();
    assert!(reader.read(Position::from(184), &mut buffer).is_err());
    let first = reader.read(Position::from(64), &mut buffer).unwrap();
    assert!(matches!(first.erasable, Erasable::Present(_)), "the others can be read");
}
