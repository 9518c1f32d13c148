//! What the tables' items hold, and how they are read back.

use std::{fmt, hash::Hasher as _, sync::Arc};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use canvass_domain::{
    Invalid, Poll, PollId, Refusal, Sequence, Timestamp, VoteId, VoterId,
    poll::PersonalData,
    record::{self, Entry, Kind, Place, Record, VoteRecord},
    vote::StoredVote,
};
use canvass_store::StoreError;
use siphasher::sip::SipHasher13;

use crate::{
    client::Item,
    limits::POLL_BYTES_MAX,
    tables::{PARTITION, SORT},
};

/// One of the polls that have had an id: a deleted poll's id may be taken again, and its votes are not the new one's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PollKey {
    pub(crate) id: PollId,
    pub(crate) life: u32,
}

impl fmt::Display for PollKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}#{}", self.id, self.life)
    }
}

impl PollKey {
    /// Reads `id#life`, with anything after another `#`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('#');
        Some(Self { id: parts.next()?.parse().ok()?, life: parts.next()?.parse().ok()? })
    }

    /// The partition of a bucket of votes.
    pub(crate) fn bucket(&self, bucket: u32) -> String {
        format!("{self}#{bucket}")
    }

    /// The partition of the poll's events.
    pub(crate) fn events(&self) -> String {
        format!("poll#{self}")
    }

    /// The partition of the codes whose hashes begin with a byte.
    pub(crate) fn codes(&self, first: u8) -> String {
        format!("codes#{self}#{first:02x}")
    }
}

/// A poll as its item tells it.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) key: PollKey,
    pub(crate) poll: Arc<Poll>,
    /// How many records the poll has beside votes.
    pub(crate) events: u64,
    /// When the last of them happened.
    pub(crate) latest: Timestamp,
    pub(crate) codes: usize,
    pub(crate) buckets: u32,
    pub(crate) is_gone: bool,
    /// While it stands, no vote is decided: a step is under way that changes what votes are decided by.
    pub(crate) fence: Option<String>,
}

impl Head {
    pub(crate) fn partition(id: &PollId) -> String {
        format!("poll#{id}")
    }

    pub(crate) fn encode(&self) -> Result<Item, StoreError> {
        let json = serde_json::to_string(&*self.poll)
            .map_err(|error| StoreError::Corrupt(format!("a poll cannot be written: {error}")))?;
        if json.len() > POLL_BYTES_MAX {
            let reason = format!(
                "the poll takes more than the {POLL_BYTES_MAX} bytes that this server's storage holds"
            );
            return Err(Refusal::from(Invalid::new("options", reason)).into());
        }
        let age = i64::MAX - self.poll.created_at.microseconds();
        let mut item = Item::from([
            (PARTITION.to_owned(), string(Self::partition(&self.key.id))),
            (SORT.to_owned(), string("head")),
            ("life".to_owned(), number(self.key.life)),
            ("poll".to_owned(), string(json)),
            ("events".to_owned(), number(self.events)),
            ("latest".to_owned(), number(self.latest.microseconds())),
            ("codes".to_owned(), number(self.codes)),
            ("buckets".to_owned(), number(self.buckets)),
        ]);
        if self.is_gone {
            item.insert("gone".to_owned(), AttributeValue::Bool(true));
            return Ok(item);
        }
        item.insert("status".to_owned(), string(self.poll.status.name()));
        item.insert("age".to_owned(), string(format!("{age:020}#{}", self.key.id)));
        // A poll that is being erased is due until it is erased.
        let is_erasing = self.poll.personal_data == PersonalData::Erasing;
        let due = self.poll.next_due().or(is_erasing.then_some(self.poll.updated_at));
        if let Some(due) = due {
            item.insert("due-kind".to_owned(), string("due"));
            item.insert("due".to_owned(), number(due.microseconds()));
        }
        if let Some(fence) = &self.fence {
            item.insert("fence".to_owned(), string(fence.clone()));
        }
        Ok(item)
    }

    pub(crate) fn decode(item: &Item) -> Result<Self, StoreError> {
        let poll: Poll = serde_json::from_str(text(item, "poll")?)
            .map_err(|error| damaged(item, &format!("a poll's JSON: {error}")))?;
        Ok(Self {
            key: PollKey { id: poll.id.clone(), life: whole(item, "life")? },
            poll: Arc::new(poll),
            events: whole(item, "events")?,
            latest: Timestamp::from_microseconds(whole(item, "latest")?),
            codes: whole(item, "codes")?,
            buckets: whole(item, "buckets")?,
            is_gone: item.contains_key("gone"),
            fence: item.get("fence").and_then(|fence| fence.as_s().ok()).cloned(),
        })
    }

    /// The partition of a voter's votes.
    pub(crate) fn bucket_of(&self, voter: &VoterId) -> String {
        self.bucket_of_bytes(voter.as_str().as_bytes())
    }

    /// The partition of an erased vote, which tells nothing of the one that it had.
    pub(crate) fn bucket_of_erased(&self, vote: VoteId) -> String {
        self.bucket_of_bytes(vote.as_bytes())
    }

    fn bucket_of_bytes(&self, bytes: &[u8]) -> String {
        let mut hasher = SipHasher13::new();
        hasher.write(bytes);
        let bucket = hasher.finish() % u64::from(self.buckets.max(1));
        self.key.bucket(u32::try_from(bucket).unwrap_or(0))
    }
}

/// Between a voter's id, which holds no control character, and the revision.
const AFTER_VOTER: char = '\u{1}';

/// What all of a voter's votes are sorted under.
pub(crate) fn voter_prefix(voter: &VoterId) -> String {
    format!("{}{AFTER_VOTER}", voter.as_str())
}

/// What one of a voter's votes is sorted under.
pub(crate) fn vote_sort(voter: &VoterId, revision: u32) -> String {
    format!("{}{AFTER_VOTER}{revision:04}", voter.as_str())
}

/// What a vote is sorted under whose voter is erased: no voter's id begins so, and it is named by nothing that tells of
/// one.
pub(crate) fn erased_sort(vote: VoteId, revision: u32) -> String {
    format!("{AFTER_VOTER}{vote}{AFTER_VOTER}{revision:04}")
}

/// Between these lie the votes of a bucket whose voters are known, since a voter's id holds no control character.
pub(crate) const VOTERS: [&str; 2] = [" ", "\u{10ffff}"];

/// The attribute of a vote that was written anew without its voter: it was counted under its first key.
pub(crate) const MOVED: &str = "m";

/// A vote's item as it is read back.
#[derive(Clone, Debug)]
pub(crate) struct VoteItem {
    /// How many records beside votes the poll had when the vote was decided.
    pub(crate) events: u64,
    pub(crate) at: Timestamp,
    pub(crate) record: VoteRecord,
}

impl VoteItem {
    /// The item of a vote; without a personal part, of one whose voter is erased.
    pub(crate) fn encode(
        partition: &str,
        sort: &str,
        events: u64,
        body: Vec<u8>,
        personal: Option<Vec<u8>>,
    ) -> Item {
        let item = Item::from([
            (PARTITION.to_owned(), string(partition)),
            (SORT.to_owned(), string(sort)),
            ("e".to_owned(), number(events)),
            ("b".to_owned(), blob(body)),
        ]);
        item.into_iter().chain(personal.map(|part| ("p".to_owned(), blob(part)))).collect()
    }

    pub(crate) fn decode(item: &Item) -> Result<Self, StoreError> {
        let (at, record) = decode_vote(bytes(item, "b")?, item.get("p").and_then(|part| part.as_b().ok()))
            .ok_or_else(|| damaged(item, "a vote's record"))?;
        Ok(Self { events: whole(item, "e")?, at, record })
    }

    /// The vote as it is known before its record has a number.
    pub(crate) fn stored(&self) -> Option<StoredVote> {
        let place = Place { poll: 0, sequence: Sequence(0), at: self.at };
        self.record.stored(place).map(|vote| StoredVote { sequence: None, ..vote })
    }
}

/// A vote's record from its two parts.
pub(crate) fn decode_vote(body: &[u8], personal: Option<&Blob>) -> Option<(Timestamp, VoteRecord)> {
    let entry = record::decode(Kind::Vote, body, personal.map(AsRef::as_ref)).ok()?;
    match entry {
        Entry { place, record: Record::Vote(vote) } => Some((place.at, *vote)),
        _ => None,
    }
}

pub(crate) fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(crate) fn number(number: impl fmt::Display) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(crate) fn blob(bytes: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

/// An item's key.
pub(crate) fn key(partition: impl Into<String>, sort: impl Into<String>) -> Item {
    Item::from([(PARTITION.to_owned(), string(partition)), (SORT.to_owned(), string(sort))])
}

pub(crate) fn text<'a>(item: &'a Item, name: &str) -> Result<&'a str, StoreError> {
    item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str).ok_or_else(|| damaged(item, name))
}

pub(crate) fn whole<T: std::str::FromStr>(item: &Item, name: &str) -> Result<T, StoreError> {
    item.get(name)
        .and_then(|value| value.as_n().ok())
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| damaged(item, name))
}

pub(crate) fn bytes<'a>(item: &'a Item, name: &str) -> Result<&'a [u8], StoreError> {
    item.get(name).and_then(|value| value.as_b().ok()).map(AsRef::as_ref).ok_or_else(|| damaged(item, name))
}

/// It names the place, but not the sort key: that may be a voter.
pub(crate) fn damaged(item: &Item, what: &str) -> StoreError {
    let partition = item.get(PARTITION).and_then(|value| value.as_s().ok());
    StoreError::Corrupt(format!("an item of {}: {what}", partition.map_or("no partition", String::as_str)))
}
