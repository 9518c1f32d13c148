//! Who has voted in one poll: from a hash of the voter to the place of the voter's latest record.
//!
//! A slot is 12 bytes: 48 bits of the hash and 48 bits of place. What 48 bits cannot tell apart, the record itself
//! settles. The table grows without a pause that anyone could feel: it is cut into shards that are split one at a time
//! (linear hashing: Litwin, 1980), and each shard is a small open-addressing table that grows by a quarter. At four
//! fifths full at most, a voter takes 15 to 19 bytes.
//!
//! A checkpoint takes the whole index at one moment without stopping the writer: it shares the shards. What the writer
//! sets in a shared shard waits beside it until the checkpoint has let the shard go; copying shards instead would
//! double the memory, since voters come in no order and a moment's votes touch every shard.

use std::{mem, sync::Arc};

use canvass_ledger::Position;

/// 48 bits of a voter's keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u64);

const FINGERPRINT_BITS: u32 = 48;

impl Fingerprint {
    pub(super) fn of_hash(hash: u64) -> Self {
        Self(hash >> (u64::BITS - FINGERPRINT_BITS))
    }
}

/// Bytes of a slot, in memory and in a checkpoint.
pub(super) const SLOT_BYTES: usize = 12;

/// A fingerprint and a place; all zero if empty. Places are kept divided by 8, which all records are aligned to, plus
/// one, so that no used slot is zero.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Slot([u8; SLOT_BYTES]);

impl Slot {
    fn new(fingerprint: Fingerprint, place: Position) -> Self {
        let mut bytes = [0; SLOT_BYTES];
        bytes[..6].copy_from_slice(&fingerprint.0.to_le_bytes()[..6]);
        bytes[6..].copy_from_slice(&(place.get() / 8 + 1).to_le_bytes()[..6]);
        Self(bytes)
    }

    fn is_empty(self) -> bool {
        self.0 == [0; SLOT_BYTES]
    }

    fn fingerprint(self) -> Fingerprint {
        Fingerprint(number(&self.0[..6]))
    }

    fn place(self) -> Position {
        Position::from((number(&self.0[6..]) - 1) * 8)
    }
}

fn number(six: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..6].copy_from_slice(six);
    u64::from_le_bytes(bytes)
}

/// Voters of one shard on average.
const SHARD_VOTERS: usize = 4_096;
/// Slots that wait beside a shard at most; a checkpoint that takes longer than so many votes costs a copy.
const WAITING_MAX: usize = 256;
/// The shards that 16 bits of a fingerprint can name. Past 268 million voters of one poll, shards grow larger instead.
const SHARDS_MAX: usize = 1 << 16;

/// The latest record of every voter of one poll.
#[derive(Clone, Default)]
pub(super) struct VoterIndex {
    shards: Vec<SharedShard>,
    len: usize,
}

impl VoterIndex {
    /// How many voters have a record.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of memory that the slots take.
    pub(super) fn bytes(&self) -> usize {
        self.shards.iter().map(SharedShard::bytes).sum()
    }

    /// The places that may be the voter's, the newest first: none for nearly every voter without a record, one for
    /// nearly every other. After a voter's own place, older ones of the same voter may follow.
    pub(super) fn candidates(&self, fingerprint: Fingerprint) -> impl Iterator<Item = Position> {
        self.shards
            .get(shard_of(fingerprint, self.shards.len()))
            .into_iter()
            .flat_map(move |shard| shard.probe(fingerprint))
            .map(Slot::place)
    }

    /// Touches the slots at which the searches for these voters begin; the number means nothing.
    pub(super) fn warm(&self, fingerprints: impl Iterator<Item = Fingerprint>) -> u64 {
        let begin = |fingerprint| {
            let shard = &self.shards.get(shard_of(fingerprint, self.shards.len()))?.shard;
            shard.slots.get(shard.home(fingerprint)).map(|slot| u64::from(slot.0[0]))
        };
        fingerprints.filter_map(begin).fold(0, u64::wrapping_add)
    }

    /// Sets a voter's latest place: a new one, or instead of the one known before.
    pub(super) fn set(&mut self, fingerprint: Fingerprint, before: Option<Position>, place: Position) {
        if self.shards.is_empty() {
            self.shards.push(SharedShard::default());
        }
        let shard_count = self.shards.len();
        let before = before.map(|before| Slot::new(fingerprint, before));
        let shard = &mut self.shards[shard_of(fingerprint, shard_count)];
        self.len += usize::from(shard.set(before, Slot::new(fingerprint, place)));
        if self.len > shard_count * SHARD_VOTERS && shard_count < SHARDS_MAX {
            self.split();
        }
    }

    /// Forgets the voters whose latest records lie at these places, which rise. It looks at every slot.
    pub(super) fn forget(&mut self, places: &[Position]) {
        let stays = |slot: &Slot| places.binary_search(&slot.place()).is_err();
        for shared in &mut self.shards {
            let shard = shared.settled();
            let kept: Vec<_> = shard.used().filter(stays).collect();
            let gone = shard.used - kept.len();
            if gone > 0 {
                *shard = Shard::of(kept);
                self.len -= gone;
            }
        }
    }

    /// Adds one shard, which takes its voters from the one that has stood for both.
    fn split(&mut self) {
        let added = self.shards.len();
        let from = added - highest_power_of_two(added);
        let goes = |slot: &Slot| shard_of(slot.fingerprint(), added + 1) == added;
        let shard = self.shards[from].settled();
        let (go, stay): (Vec<_>, Vec<_>) = shard.used().partition(goes);
        *shard = Shard::of(stay);
        self.shards.push(Shard::of(go).into());
    }

    /// The same index, sharing its shards, with nothing that waits beside them.
    pub(super) fn share(&mut self) -> Self {
        for shared in self.shards.iter_mut().filter(|shared| !shared.waiting.is_empty()) {
            shared.settled();
        }
        self.clone()
    }

    /// The bytes of each shard as [`Shard::encode`] gives them. Each shard is let go once it is given.
    pub(super) fn into_encoded_shards(self) -> impl Iterator<Item = Vec<u8>> {
        self.shards.into_iter().map(|mut shared| {
            if !shared.waiting.is_empty() {
                shared.settled();
            }
            shared.shard.encode()
        })
    }

    /// Adds a shard as [`VoterIndex::into_encoded_shards`] gave it; false if the bytes cannot be one.
    pub(super) fn push_encoded_shard(&mut self, bytes: &[u8]) -> bool {
        let Some(shard) = Shard::decode(bytes) else { return false };
        self.len += shard.used;
        self.shards.push(shard.into());
        true
    }
}

/// A shard, and what could not be set in it yet because a checkpoint has it too.
#[derive(Clone, Default)]
struct SharedShard {
    shard: Arc<Shard>,
    waiting: Vec<Waiting>,
}

/// A slot to be set: instead of another, or as a new one.
#[derive(Clone, Copy)]
struct Waiting {
    before: Option<Slot>,
    after: Slot,
}

impl From<Shard> for SharedShard {
    fn from(shard: Shard) -> Self {
        Self { shard: Arc::new(shard), waiting: Vec::new() }
    }
}

impl SharedShard {
    fn bytes(&self) -> usize {
        self.shard.slots.len() * SLOT_BYTES + self.waiting.capacity() * size_of::<Waiting>()
    }

    /// Slots of a fingerprint, the newest first.
    fn probe(&self, fingerprint: Fingerprint) -> impl Iterator<Item = Slot> {
        let waiting = self.waiting.iter().rev().map(|waiting| waiting.after);
        waiting.filter(move |slot| slot.fingerprint() == fingerprint).chain(self.shard.probe(fingerprint))
    }

    /// Sets a slot; tells whether it is one more.
    fn set(&mut self, before: Option<Slot>, after: Slot) -> bool {
        if Arc::strong_count(&self.shard) > 1 && self.waiting.len() < WAITING_MAX {
            let is_known =
                before.is_some_and(|before| self.probe(before.fingerprint()).any(|slot| slot == before));
            let before = before.filter(|_| is_known);
            self.waiting.push(Waiting { before, after });
            return !is_known;
        }
        self.settled().set(before, after)
    }

    /// The shard with all that waited: this index's own from now on.
    fn settled(&mut self) -> &mut Shard {
        let shard = Arc::make_mut(&mut self.shard);
        for Waiting { before, after } in mem::take(&mut self.waiting) {
            shard.set(before, after);
        }
        shard
    }
}

/// Which of so many shards holds a fingerprint.
fn shard_of(fingerprint: Fingerprint, shard_count: usize) -> usize {
    let Some(count) = std::num::NonZero::new(shard_count) else { return 0 };
    let low =
        usize::from(u16::from_le_bytes([fingerprint.0.to_le_bytes()[0], fingerprint.0.to_le_bytes()[1]]));
    let power = highest_power_of_two(count.get());
    let wide = low & (2 * power - 1);
    if wide < shard_count { wide } else { low & (power - 1) }
}

fn highest_power_of_two(number: usize) -> usize {
    1 << (usize::BITS - 1 - number.leading_zeros())
}

#[derive(Clone, Default)]
struct Shard {
    slots: Vec<Slot>,
    used: usize,
}

impl Shard {
    /// A shard of these slots, at its full width from the start: slots come in the order of their homes, and would
    /// crowd the beginning of a table that is still to grow.
    fn of(slots: Vec<Slot>) -> Self {
        let width = (slots.len() * 4 / 3).max(8);
        let mut shard = Self { slots: vec![Slot::default(); width], used: slots.len() };
        slots.into_iter().for_each(|slot| shard.place(slot));
        shard
    }

    /// Where the search for a fingerprint begins: by its high bits, since the low ones chose the shard.
    fn home(&self, fingerprint: Fingerprint) -> usize {
        let product = u128::from(fingerprint.0) * self.slots.len() as u128;
        usize::try_from(product >> FINGERPRINT_BITS).unwrap_or(0)
    }

    fn probe(&self, fingerprint: Fingerprint) -> impl Iterator<Item = Slot> {
        let home = if self.slots.is_empty() { 0 } else { self.home(fingerprint) };
        let (before, after) = self.slots.split_at(home);
        after
            .iter()
            .chain(before)
            .copied()
            .take_while(|slot| !slot.is_empty())
            .filter(move |slot| slot.fingerprint() == fingerprint)
    }

    /// Sets a slot instead of another, or else as a new one; tells whether it is one more.
    fn set(&mut self, before: Option<Slot>, after: Slot) -> bool {
        let is_new = !before.is_some_and(|before| self.replace(before, after));
        if is_new {
            self.insert(after);
        }
        is_new
    }

    fn replace(&mut self, before: Slot, after: Slot) -> bool {
        if self.slots.is_empty() {
            return false;
        }
        let mut at = self.home(before.fingerprint());
        while !self.slots[at].is_empty() {
            if self.slots[at] == before {
                self.slots[at] = after;
                return true;
            }
            at = self.after(at);
        }
        false
    }

    fn insert(&mut self, slot: Slot) {
        if (self.used + 1) * 5 > self.slots.len() * 4 {
            self.grow();
        }
        self.place(slot);
        self.used += 1;
    }

    fn place(&mut self, slot: Slot) {
        let mut at = self.home(slot.fingerprint());
        while !self.slots[at].is_empty() {
            at = self.after(at);
        }
        self.slots[at] = slot;
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }

    fn grow(&mut self) {
        let wider = (self.slots.len() + self.slots.len() / 4).max(8);
        let before = mem::replace(&mut self.slots, vec![Slot::default(); wider]);
        before.into_iter().filter(|slot| !slot.is_empty()).for_each(|slot| self.place(slot));
    }

    fn used(&self) -> impl Iterator<Item = Slot> {
        self.slots.iter().copied().filter(|slot| !slot.is_empty())
    }

    /// Four bytes with the number of slots, a bit for each that is 1 where the slot is in use, the lowest of a byte
    /// first, and the slots in use as they lie.
    fn encode(&self) -> Vec<u8> {
        let count = u32::try_from(self.slots.len()).expect("a shard has far fewer slots");
        let mut bytes = Vec::with_capacity(4 + self.slots.len().div_ceil(8) + self.used * SLOT_BYTES);
        bytes.extend_from_slice(&count.to_le_bytes());
        for eight in self.slots.chunks(8) {
            let bit = |(at, slot): (usize, &Slot)| u8::from(!slot.is_empty()) << at;
            bytes.push(eight.iter().enumerate().map(bit).fold(0, |byte, bit| byte | bit));
        }
        // Whole slots: byte by byte, this took a fifth of a busy server's time.
        self.used().for_each(|slot| bytes.extend_from_slice(&slot.0));
        bytes
    }

    /// Reads what [`Shard::encode`] gave; none if it is something else.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (bits, rest) = rest.split_at_checked(count.div_ceil(8))?;
        let (used, rest) = rest.as_chunks::<SLOT_BYTES>();
        let mut slots = vec![Slot::default(); count];
        let is_marked = |at: &usize| bits[at / 8] & (1 << (at % 8)) != 0;
        let mut given = used.iter();
        for at in (0..count).filter(is_marked) {
            slots[at] = given.next().map(|slot| Slot(*slot)).filter(|slot| !slot.is_empty())?;
        }
        // A table without a free slot would be searched for ever.
        let is_whole = rest.is_empty() && given.next().is_none() && (used.is_empty() || used.len() < count);
        is_whole.then_some(Self { slots, used: used.len() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// A spread of fingerprints like a good hash's.
    fn fingerprint(number: u64) -> Fingerprint {
        Fingerprint::of_hash(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    #[test]
    fn a_million_voters_are_found_and_no_other() {
        let mut index = VoterIndex::default();
        for number in 1..=1_000_000_u64 {
            index.set(fingerprint(number), None, Position::from(number * 8));
        }
        for number in (1..=1_000_000_u64).step_by(97) {
            assert!(index.candidates(fingerprint(number)).any(|place| place == Position::from(number * 8)));
        }
        let strangers = (2_000_001..2_010_000_u64)
            .filter(|number| index.candidates(fingerprint(*number)).next().is_some());
        assert_eq!(strangers.count(), 0);
        assert_eq!(index.len(), 1_000_000);
        assert!(index.bytes() <= 20 * index.len(), "{} bytes a voter", index.bytes() / index.len());
    }

    #[test]
    fn voters_that_are_forgotten_are_not_found_and_all_others_are() {
        let mut index = VoterIndex::default();
        for number in 1..=20_000_u64 {
            index.set(fingerprint(number), None, Position::from(number * 8));
        }
        let gone: Vec<_> = (1..=20_000).filter(|number| number % 7 == 0).collect();
        index.forget(&gone.iter().map(|number| Position::from(number * 8)).collect::<Vec<_>>());
        for number in 1..=20_000 {
            let found = index.candidates(fingerprint(number)).next();
            let expected = (number % 7 != 0).then(|| Position::from(number * 8));
            assert_eq!(found, expected, "voter {number}");
        }
        assert_eq!(index.len(), 20_000 - gone.len());
    }

    /// The index as a checkpoint would give it again.
    fn copied(index: VoterIndex) -> VoterIndex {
        let mut copied = VoterIndex::default();
        for bytes in index.into_encoded_shards() {
            assert!(copied.push_encoded_shard(&bytes));
        }
        copied
    }

    /// What is set while a checkpoint has the shards is found at once, the checkpoint does not see it, and hardly any
    /// memory is taken for it.
    #[test]
    fn a_shared_index_is_neither_changed_nor_copied() {
        let mut index = VoterIndex::default();
        for number in 1..=100_000_u64 {
            index.set(fingerprint(number), None, Position::from(number * 8));
        }
        let bytes = index.bytes();
        let shared = index.share();
        for number in 1..=2_000_u64 {
            index.set(
                fingerprint(number),
                Some(Position::from(number * 8)),
                Position::from((number + 500_000) * 8),
            );
        }
        let first = |index: &VoterIndex, number| index.candidates(fingerprint(number)).next();
        for number in 1..=2_000 {
            assert_eq!(first(&index, number), Some(Position::from((number + 500_000) * 8)));
            assert_eq!(first(&shared, number), Some(Position::from(number * 8)));
        }
        assert!(
            index.shards.iter().zip(&shared.shards).all(|(one, other)| Arc::ptr_eq(&one.shard, &other.shard))
        );
        assert!(index.bytes() < bytes + bytes / 10, "{} bytes instead of {bytes}", index.bytes());
        assert_eq!((index.len(), copied(shared).len()), (100_000, 100_000));
        assert_eq!(copied(index).len(), 100_000);
    }

    #[test]
    fn bytes_that_cannot_be_a_shard_are_refused() {
        let mut index = VoterIndex::default();
        (1..=20_u64).for_each(|number| index.set(fingerprint(number), None, Position::from(number * 8)));
        let bytes = index.into_encoded_shards().next().unwrap();
        let full = [8_u32.to_le_bytes().as_slice(), &[0xFF], &[1; 96]].concat();
        let empty_but_marked = [8_u32.to_le_bytes().as_slice(), &[1], &[0; 12]].concat();
        for wrong in [
            &bytes[..3],
            &bytes[..bytes.len() - 12],
            &[bytes.as_slice(), &[1; 12]].concat(),
            &full,
            &empty_but_marked,
        ] {
            assert!(!VoterIndex::default().push_encoded_shard(wrong), "{wrong:?}");
        }
        assert!(VoterIndex::default().push_encoded_shard(&bytes));
    }

    proptest! {
        /// The index agrees with a plain map, whatever is set in whatever order, while checkpoints share it for a
        /// while, and after a checkpoint too.
        #[test]
        fn agrees_with_a_map(steps in proptest::collection::vec((0_u64..500, 0_u64..100_000, 0_u8..100), 0..3_000)) {
            let mut index = VoterIndex::default();
            let mut map: HashMap<u64, Position> = HashMap::new();
            let mut shared = None;
            for (voter, place, share) in steps {
                let place = Position::from(place * 8);
                let before = map.insert(voter, place);
                index.set(fingerprint(voter), before, place);
                if share == 0 {
                    let given: Option<(VoterIndex, HashMap<_, _>)> = shared.replace((index.share(), map.clone()));
                    given.into_iter().try_for_each(|(index, map)| agrees(index, &map))?;
                }
            }
            shared.into_iter().try_for_each(|(index, map)| agrees(index, &map))?;
            agrees(index, &map)?;
        }
    }

    fn agrees(index: VoterIndex, map: &HashMap<u64, Position>) -> Result<(), TestCaseError> {
        for (voter, place) in map {
            prop_assert_eq!(index.candidates(fingerprint(*voter)).next(), Some(*place));
        }
        prop_assert_eq!(index.len(), map.len());
        let copied = copied(index);
        for (voter, place) in map {
            let found: Vec<_> = copied.candidates(fingerprint(*voter)).collect();
            prop_assert_eq!(found, vec![*place]);
        }
        prop_assert_eq!(copied.len(), map.len());
        Ok(())
    }
}
