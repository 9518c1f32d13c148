//! A write that was lost in part is cut, whichever part, and everything before it stays.

use std::ops::Range;

use canvass_ledger::{OpenError, testing::SimulatedDisk};

use crate::support::{Input, Output, append, check_contents, open, read_all, record, segment_names};

const SECTOR_BYTES: usize = 512;

/// A ledger before and after its last batch.
struct Torn {
    disk: SimulatedDisk,
    before: Vec<u8>,
    after: Vec<u8>,
    /// The bytes of the last batch in its segment.
    batch: Range<usize>,
    expected_before: Vec<Output>,
    expected_after: Vec<Output>,
}

impl Torn {
    fn new(earlier: &[Vec<Input>], last: &[Input]) -> Self {
        let disk = SimulatedDisk::new(1);
        let (mut ledger, _) = open(&disk).unwrap();
        let expected_before: Vec<_> = earlier.iter().flat_map(|batch| append(&mut ledger, batch)).collect();
        let start = ledger.end();
        let mut expected_after = expected_before.clone();
        expected_after.extend(append(&mut ledger, last));
        let name = last_name(&disk);
        let base = u64::from_str_radix(name.trim_end_matches(".segment"), 16).unwrap();
        let place = |position: u64| usize::try_from(64 + position - base).unwrap();
        let batch = place(start.get())..place(ledger.end().get());
        let after = disk.contents(&name);
        let mut before = after.clone();
        before[batch.clone()].fill(0);
        Self { disk, before, after, batch, expected_before, expected_after }
    }

    /// The sectors of the segment in which the last batch lies.
    fn sectors(&self) -> Vec<Range<usize>> {
        (self.batch.start / SECTOR_BYTES..self.batch.end.div_ceil(SECTOR_BYTES))
            .map(|sector| sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES)
            .collect()
    }

    /// The segment when only the given bytes of the last write reached the disk.
    fn image(&self, kept: &[Range<usize>]) -> Vec<u8> {
        let mut image = self.before.clone();
        for range in kept {
            image[range.clone()].copy_from_slice(&self.after[range.clone()]);
        }
        image
    }

    /// Opens an image: it must be as before the last batch, or as after it where that is whole; and it must be a
    /// ledger like any other from then on.
    fn check(&self, image: &[u8], what: &str) {
        let disk = self.disk.fork(3);
        disk.damage(&last_name(&disk), |bytes| bytes.copy_from_slice(image));
        let (mut ledger, recovery) = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
        let expected = if image == self.after { &self.expected_after } else { &self.expected_before };
        assert_eq!(&read_all(&ledger.reader()).unwrap(), expected, "{what}");
        assert_eq!(recovery.cut.is_some(), image != self.before && image != self.after, "{what}");
        if image != self.after {
            assert_eq!(disk.contents(&last_name(&disk)), self.before, "{what}: what was cut is zero again");
        }
        let mut expected = expected.clone();
        expected.extend(append(&mut ledger, &[record(77, 200)]));
        drop(ledger);
        disk.lose_power();
        check_contents(&disk, &expected);
    }

    fn check_all(&self) {
        let sectors = self.sectors();
        for length in 0..=self.batch.len() {
            // With its last byte missing, a batch cannot be told from one whose last byte was changed to zero.
            if length + 1 != self.batch.len() {
                let kept = self.batch.start..self.batch.start + length;
                self.check(&self.image(&[kept]), &format!("the first {length} bytes"));
            }
        }
        for subset in subsets(sectors.len()) {
            let kept: Vec<_> = sectors
                .iter()
                .enumerate()
                .filter(|(index, _)| subset >> index & 1 == 1)
                .map(|(_, sector)| sector.clone())
                .collect();
            self.check(&self.image(&kept), &format!("sectors {subset:b}"));
        }
    }
}

/// Every subset of few sectors, as bits, and many of many.
fn subsets(sectors: usize) -> Vec<u64> {
    if sectors <= 8 {
        return (0..1 << sectors).collect();
    }
    let all = (1_u64 << sectors) - 1;
    let scattered =
        (1..300_u64).map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17) & all);
    let one_missing = (0..sectors).map(|missing| all & !(1 << missing));
    let one_kept = (0..sectors).map(|kept| 1 << kept);
    let prefixes = (0..=sectors).map(|length| (1 << length) - 1);
    let suffixes = (0..=sectors).map(|length| all & !((1 << length) - 1));
    scattered.chain(one_missing).chain(one_kept).chain(prefixes).chain(suffixes).collect()
}

fn last_name(disk: &SimulatedDisk) -> String {
    segment_names(disk).pop().unwrap()
}

#[test]
fn a_batch_within_one_sector() {
    Torn::new(&[vec![record(1, 20)], vec![record(2, 20)]], &[record(3, 20)]).check_all();
}

#[test]
fn a_batch_over_a_few_sectors() {
    Torn::new(&[vec![record(1, 200)]], &[record(3, 300), record(4, 300), record(5, 300)]).check_all();
}

#[test]
fn the_first_batch_of_a_segment() {
    Torn::new(&[vec![record(1, 3000)]], &[record(3, 500), record(4, 500)]).check_all();
    Torn::new(&[], &[record(3, 1000), record(4, 500)]).check_all();
}

#[test]
fn a_batch_that_fills_its_segment() {
    Torn::new(&[vec![record(1, 200)]], &[(3, vec![7; 4096 - 128 - 320 - 64 - 8 - 16], vec![])]).check_all();
}

#[test]
fn a_batch_with_sectors_that_are_zero_by_themselves() {
    Torn::new(&[vec![record(1, 200)]], &[record(2, 600), (3, vec![0; 1400], vec![]), record(4, 300)])
        .check_all();
}

#[test]
fn a_batch_whose_erasable_parts_fill_whole_sectors() {
    // The batch begins at byte 384 of the file, so that the second record's erasable part is a sector from 1024 on.
    let fills_a_sector = (2, vec![0; 40], [b"salt".as_slice(), &[9; 508]].concat());
    let torn = Torn::new(&[vec![record(1, 200)]], &[record(2, 544), fills_a_sector, record(3, 600)]);
    assert_eq!((torn.batch.start, &torn.after[1024..1028]), (384, b"salt".as_slice()));
    torn.check_all();
}

#[test]
fn a_sector_that_held_a_single_byte_is_not_cut_when_it_is_zero() {
    let mut body = vec![0; 1500];
    body[700] = 1;
    let torn = Torn::new(&[vec![record(1, 200)]], &[(3, body, vec![])]);
    for sector in torn.sectors() {
        let others: Vec<_> = torn.sectors().into_iter().filter(|other| *other != sector).collect();
        let image = torn.image(&others);
        let nonzero = torn.after[sector.clone()].iter().filter(|&&byte| byte != 0).count();
        if nonzero == 1 {
            // It looks the same as that byte changed to zero after the batch was acknowledged.
            let disk = torn.disk.fork(3);
            disk.damage(&last_name(&disk), |bytes| bytes.copy_from_slice(&image));
            let refused = open(&disk).map(|(_, recovery)| recovery);
            assert!(matches!(refused, Err(OpenError::Damaged(_))), "{refused:?}");
        } else {
            torn.check(&image, &format!("all but {sector:?}"));
        }
    }
}

#[test]
fn a_sector_lost_in_the_middle_of_the_ledger_is_damage() {
    let last = [record(3, 800), record(4, 800)];
    let torn = Torn::new(&[vec![record(1, 200)]], &last);
    let (mut ledger, _) = open(&torn.disk).unwrap();
    append(&mut ledger, &[record(5, 20)]);
    drop(ledger);
    for sector in torn.sectors() {
        let disk = torn.disk.fork(3);
        let lost = sector.start.max(torn.batch.start)..sector.end.min(torn.batch.end);
        disk.damage(&last_name(&disk), |bytes| bytes[lost].fill(0));
        let refused = open(&disk).map(|(_, recovery)| recovery);
        assert!(matches!(refused, Err(OpenError::Damaged(_))), "{refused:?}");
    }
}
