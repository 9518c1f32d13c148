//! What a poll's records add up to, in a form that two engines can be compared by.

use canvass_domain::{
    Poll, PollId, Sequence, Timestamp,
    record::{Entry, Place, Record, VoteRecord},
    tally::Books,
};
use sha2::{Digest as _, Sha256};

use super::MigrateError;

/// A poll's records summed up, however they are numbered.
pub(super) struct Sum {
    pub(super) books: Books,
    pub(super) records: u64,
    /// The sum of the hashes of its votes' records, in which their order does not matter.
    pub(super) votes_hash: u128,
}

impl Sum {
    pub(super) fn new(poll: &Poll) -> Self {
        Self { books: Books::new(poll), records: 0, votes_hash: 0 }
    }

    pub(super) fn take(&mut self, entry: Entry) {
        self.records += 1;
        let place = Place { poll: 0, sequence: Sequence(self.records), at: entry.place.at };
        if let Record::Vote(vote) = &entry.record {
            self.votes_hash = self.votes_hash.wrapping_add(hash(vote, place.at));
        }
        self.books.fold(&Entry { place, ..entry });
    }

    /// What is different in another sum; nothing if they are the same. Which values of an open dimension are told apart
    /// depends on the order of the records, so only how many there are is compared.
    fn difference(&self, other: &Self) -> Option<&'static str> {
        let (one, two) = (&self.books.tally, &other.books.tally);
        let given = |books: &Books| -> Vec<u64> {
            let breakdowns = books.tally.breakdowns.iter();
            breakdowns.map(|breakdown| breakdown.values.values().map(|value| value.votes).sum()).collect()
        };
        [
            (self.records == other.records, "the number of records"),
            (self.votes_hash == other.votes_hash, "a vote's record"),
            ((one.votes, one.weight) == (two.votes, two.weight), "the votes"),
            (one.options == two.options, "the options' counts"),
            (one.timeline == two.timeline, "the timeline"),
            (given(&self.books) == given(&other.books), "a breakdown"),
            (self.books.profile == other.books.profile, "the distinct ballots"),
        ]
        .into_iter()
        .find_map(|(is_same, what)| (!is_same).then_some(what))
    }
}

/// Everything that a vote's record says, but for numbers that its engine gave it.
fn hash(vote: &VoteRecord, at: Timestamp) -> u128 {
    let place = Place { poll: 0, sequence: Sequence(0), at };
    let (mut bytes, personal) = without_previous(vote).written_anew(place);
    bytes.extend_from_slice(&personal);
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    u128::from_le_bytes(*digest.first_chunk().expect("a hash is longer"))
}

/// A vote's record without the number of the one before: the revision tells which that is.
pub(super) fn without_previous(vote: &VoteRecord) -> VoteRecord {
    VoteRecord { previous: None, ..vote.clone() }
}

/// An error that says what is different, if anything is.
pub(super) fn agree(poll: &PollId, one: &Sum, other: &Sum) -> Result<(), MigrateError> {
    let difference = one.difference(other);
    difference.map_or(Ok(()), |what| Err(MigrateError::Mismatch(format!("poll {poll}: {what}"))))
}
