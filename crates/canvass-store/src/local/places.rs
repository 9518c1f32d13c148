//! Where one poll's records lie in the ledger, in order: so that reading one poll reads no other.
//!
//! Positions only grow, so each is kept as its distance from the one before, in steps of 8 bytes and of variable
//! length: one to three bytes a record.

use std::sync::Arc;

use canvass_domain::Sequence;
use canvass_ledger::Position;

/// Records of one group: finding a single one reads this many distances at most.
const GROUP_RECORDS: u64 = 256;

/// The positions of a poll's records; the first has sequence 1.
#[derive(Clone, Default)]
pub(super) struct Places {
    full: Vec<Group>,
    last: Vec<u8>,
    last_start: u64,
    latest: u64,
    count: u64,
}

#[derive(Clone)]
struct Group {
    start: u64,
    distances: Arc<[u8]>,
}

impl Places {
    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Bytes of memory that they take, about.
    pub(super) fn bytes(&self) -> usize {
        self.last.capacity() + self.full.iter().map(|group| group.distances.len() + 40).sum::<usize>()
    }

    /// Adds the next record's position, which lies after all before.
    pub(super) fn push(&mut self, position: Position) {
        let place = position.get() / 8;
        if self.count.is_multiple_of(GROUP_RECORDS) {
            if self.count > 0 {
                let distances = self.last.as_slice().into();
                self.full.push(Group { start: self.last_start, distances });
                self.last.clear();
            }
            self.last_start = place;
        } else {
            let mut distance = place - self.latest;
            while distance >= 0x80 {
                self.last.push(distance.to_le_bytes()[0] | 0x80);
                distance >>= 7;
            }
            self.last.push(distance.to_le_bytes()[0]);
        }
        self.latest = place;
        self.count += 1;
    }

    /// Appends the whole list as a checkpoint keeps it.
    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.count.to_le_bytes());
        into.extend_from_slice(&self.latest.to_le_bytes());
        let full = self.full.iter().map(|group| (group.start, &*group.distances));
        for (start, distances) in full.chain([(self.last_start, self.last.as_slice())]) {
            into.extend_from_slice(&start.to_le_bytes());
            into.extend_from_slice(&(distances.len() as u64).to_le_bytes());
            into.extend_from_slice(distances);
        }
    }

    /// Reads what [`Places::encode`] wrote; none if it is something else.
    pub(super) fn decode(encoded: &[u8]) -> Option<Self> {
        let mut rest = encoded;
        let mut number = || {
            let (bytes, after) = rest.split_first_chunk()?;
            rest = after;
            Some(u64::from_le_bytes(*bytes))
        };
        let (count, latest) = (number()?, number()?);
        let mut places = Self { latest, count, ..Self::default() };
        let full_count = count.saturating_sub(1) / GROUP_RECORDS;
        for _ in 0..full_count {
            let (start, distances) = take_group(&mut rest)?;
            places.full.push(Group { start, distances: distances.into() });
        }
        let (start, distances) = take_group(&mut rest)?;
        (places.last_start, places.last) = (start, distances.to_vec());
        rest.is_empty().then_some(places)
    }

    /// The position of one record.
    pub(super) fn get(&self, sequence: Sequence) -> Option<Position> {
        self.after(Sequence(sequence.0.checked_sub(1)?), 1).next()
    }

    /// The positions of up to `count` records after a sequence.
    pub(super) fn after(&self, sequence: Sequence, count: usize) -> impl Iterator<Item = Position> {
        let first_group = usize::try_from(sequence.0 / GROUP_RECORDS).unwrap_or(usize::MAX);
        let skipped = usize::try_from(sequence.0 % GROUP_RECORDS).unwrap_or(0);
        let full = self.full.iter().map(|group| (group.start, &*group.distances));
        let last = (self.count > 0).then_some((self.last_start, self.last.as_slice()));
        let groups = full.chain(last).skip(first_group);
        groups
            .flat_map(|(start, distances)| Distances { next: Some(start), rest: distances })
            .skip(skipped)
            .take(count)
    }
}

fn take_group<'a>(rest: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let (start, after) = rest.split_first_chunk()?;
    let (length, after) = after.split_first_chunk()?;
    let (distances, after) = after.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    *rest = after;
    Some((u64::from_le_bytes(*start), distances))
}

struct Distances<'a> {
    next: Option<u64>,
    rest: &'a [u8],
}

impl Iterator for Distances<'_> {
    type Item = Position;

    fn next(&mut self) -> Option<Position> {
        let place = self.next?;
        let (mut distance, mut shift) = (0, 0);
        self.next = loop {
            let Some((byte, rest)) = self.rest.split_first() else { break None };
            self.rest = rest;
            distance |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break Some(place + distance);
            }
            shift += 7;
        };
        Some(Position::from(place * 8))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn gives_back_every_position(distances in proptest::collection::vec(1_u64..1_000_000_000, 0..2_000)) {
            let positions: Vec<Position> = distances
                .iter()
                .scan(0_u64, |place, distance| { *place += distance; Some(Position::from(*place * 8)) })
                .collect();
            let mut places = Places::default();
            positions.iter().for_each(|position| places.push(*position));
            let mut encoded = Vec::new();
            places.encode(&mut encoded);
            let places = Places::decode(&encoded).expect("what was encoded is decoded");
            prop_assert_eq!(places.after(Sequence(0), usize::MAX).collect::<Vec<_>>(), positions.clone());
            for (at, position) in positions.iter().enumerate().step_by(37) {
                let sequence = Sequence(at as u64 + 1);
                prop_assert_eq!(places.get(sequence), Some(*position));
                let next = places.after(sequence, 1).next();
                prop_assert_eq!(next, positions.get(at + 1).copied());
            }
            prop_assert_eq!(places.get(Sequence(positions.len() as u64 + 1)), None);
        }
    }
}
