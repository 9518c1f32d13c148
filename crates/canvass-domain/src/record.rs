//! The records of the ledger: what each says, and its encoding.
//!
//! Every record of a poll begins with the poll's number, its own sequence within the poll, and its time. The encoding
//! is described byte by byte in `docs/ledger-format.md`; kinds and fields are only ever added.

use canvass_counting::{Ballot, Rank, Weight};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    code::CodeHash,
    codec::{Bytes, Malformed, put_bytes, put_signed, put_varint},
    identifier::{Sequence, VoteId},
    key::Key,
    limits::{CODES_LOT_MAX, OPTIONS_MAX, RANKS_MAX},
    poll::Poll,
    time::Timestamp,
    vote::{Answers, Marked, Operation, Personal, PersonalHash, StoredVote},
};

/// A poll's number on its engine: shorter than its id, and never used again. 0 is the registry of keys and settings.
pub type PollNumber = u32;

/// The registry's number: keys and settings, which belong to no poll.
pub const REGISTRY: PollNumber = 0;

/// What a record is, as the ledger keeps it beside the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A [`PollEvent`].
    Poll = 1,
    /// A lot of one-time codes.
    Codes = 2,
    /// A [`VoteRecord`].
    Vote = 3,
    /// A [`Key`] as it stands from now on.
    Key = 4,
    /// A [`Setting`].
    Setting = 5,
}

impl Kind {
    /// The kind by its byte in the ledger.
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Poll, Self::Codes, Self::Vote, Self::Key, Self::Setting]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// Where and when a record happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose record it is.
    pub poll: PollNumber,
    /// Its place among the poll's records.
    pub sequence: Sequence,
    /// When it was decided; never earlier than the poll's record before.
    pub at: Timestamp,
}

/// A record with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where and when.
    pub place: Place,
    /// What happened.
    pub record: Record,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A poll was created or changed, or took a step in its life.
    Poll(Box<PollEvent>),
    /// One-time codes were made.
    Codes(CodesAdded),
    /// A vote was cast, changed or withdrawn.
    Vote(Box<VoteRecord>),
    /// A key was made, changed or revoked.
    Key(Box<Key>),
    /// A setting of the server was made.
    Setting(Setting),
}

/// A poll's event: what was done, by whom, and the poll as it stands from then on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PollEvent {
    /// What was done.
    pub step: Step,
    /// Who did it: `key:<id>`, `anyone` for the first vote of a poll that opens by it, or `schedule`.
    pub actor: String,
    /// The poll afterwards.
    pub poll: Poll,
    /// The head of the poll's chain before this record, in hexadecimal: a place to check the chain at.
    pub chain: String,
}

/// A step in a poll's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// It came into being.
    Created,
    /// Its definition changed, a label was corrected, or a write-in was added.
    Changed,
    /// It will open by itself.
    Scheduled,
    /// It takes votes.
    Opened,
    /// It takes none for now.
    Paused,
    /// It takes none any more.
    Closed,
    /// It was recounted and found right.
    Certified,
    /// It was put away.
    Archived,
    /// What its votes tell of persons is being erased, and is told to nobody any more.
    ErasureBegun,
    /// It is erased.
    Erased,
    /// What one voter's votes tell of the voter is being erased.
    VoterErasureBegun,
    /// It is erased.
    VoterErased,
    /// It is gone.
    Deleted,
}

/// A lot of one-time codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodesAdded {
    /// Who made them.
    pub actor: String,
    /// Their hashes.
    pub hashes: Vec<CodeHash>,
}

/// A server-wide setting.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value in hexadecimal; it may be secret, so it is never printed. An empty one removes the setting.
    pub value: String,
}

impl Setting {
    /// Whether there is no such setting from then on.
    pub fn is_removal(&self) -> bool {
        self.value.is_empty()
    }
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Setting").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What became of one voter's vote.
#[derive(Clone, Debug, PartialEq)]
pub struct VoteRecord {
    /// The vote's id, the same through all its changes.
    pub vote_id: VoteId,
    /// What was done.
    pub operation: Operation,
    /// The record that this one replaces.
    pub previous: Option<Sequence>,
    /// How many records of this voter's vote came before.
    pub revision: u32,
    /// What counts from now on; nothing after a withdrawal.
    pub added: Option<(Ballot, Weight)>,
    /// What no longer counts: the ballot that was changed or withdrawn.
    pub removed: Option<(Ballot, Weight)>,
    /// The hash of the personal part.
    pub personal_hash: PersonalHash,
    /// The personal part; none once it is erased.
    pub personal: Option<Personal>,
}

impl VoteRecord {
    /// What counts from now on, with what it tells of the voter.
    pub fn added(&self) -> Option<Marked> {
        self.marked(self.added.as_ref(), |personal| &personal.answers)
    }

    /// What no longer counts.
    pub fn removed(&self) -> Option<Marked> {
        self.marked(self.removed.as_ref(), |personal| &personal.replaced)
    }

    fn marked(&self, part: Option<&(Ballot, Weight)>, answers: fn(&Personal) -> &Answers) -> Option<Marked> {
        let (ballot, weight) = part?;
        let answers = self.personal.as_ref().map(answers).cloned().unwrap_or_default();
        Some(Marked { ballot: ballot.clone(), weight: *weight, answers })
    }

    /// The record's body and its personal part, to be written anew in another ledger: with the hash of the personal part
    /// as it is written now, which may be shorter than it was; the hash of an erased one stays.
    pub fn written_anew(&self, place: Place) -> (Vec<u8>, Vec<u8>) {
        let mut personal = Vec::new();
        self.personal.iter().for_each(|part| part.encode(&mut personal));
        let personal_hash = self.personal.as_ref().map_or(self.personal_hash, |_| Personal::hash(&personal));
        let parts = VoteBody {
            vote_id: self.vote_id,
            operation: self.operation,
            previous: self.previous,
            revision: self.revision,
            personal_hash: &personal_hash,
            added: self.added.as_ref().map(|(ballot, weight)| (ballot, *weight)),
            removed: self.removed.as_ref().map(|(ballot, weight)| (ballot, *weight)),
        };
        let mut body = Vec::new();
        encode_vote(&mut body, place, &parts);
        (body, personal)
    }

    /// The vote that the record tells of; none if its personal part is erased.
    pub fn stored(&self, place: Place) -> Option<StoredVote> {
        let personal = self.personal.as_ref()?;
        Some(StoredVote {
            vote_id: self.vote_id,
            operation: self.operation,
            sequence: Some(place.sequence),
            previous: self.previous,
            revision: self.revision,
            cast_at: place.at,
            marked: self.added(),
            voter: personal.voter.clone(),
            idempotency: personal.idempotency.clone(),
        })
    }
}

/// The head of a poll's chain of records: SHA-256 over the head before, the record's kind and its body.
pub type Chain = [u8; 32];

/// The head after a record.
pub fn link(chain: &Chain, kind: Kind, body: &[u8]) -> Chain {
    let mut hasher = Sha256::new();
    hasher.update(chain);
    hasher.update([kind as u8]);
    hasher.update(body);
    hasher.finalize().into()
}

/// Lower-case hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes that a text writes in lower-case hexadecimal.
pub fn unhexadecimal<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}

/// Appends what every body begins with.
pub fn encode_place(into: &mut Vec<u8>, place: Place) {
    put_varint(into, u64::from(place.poll));
    put_varint(into, place.sequence.0);
    into.extend_from_slice(&place.at.microseconds().to_le_bytes());
}

/// The place at the beginning of a body.
pub fn decode_place(body: &[u8]) -> Result<Place, Malformed> {
    take_place(&mut Bytes(body))
}

/// The parts of a vote's body that are not its place, borrowed so that the writer need not copy them.
#[derive(Clone, Copy, Debug)]
pub struct VoteBody<'a> {
    /// See [`VoteRecord::vote_id`].
    pub vote_id: VoteId,
    /// See [`VoteRecord::operation`].
    pub operation: Operation,
    /// See [`VoteRecord::previous`].
    pub previous: Option<Sequence>,
    /// See [`VoteRecord::revision`].
    pub revision: u32,
    /// See [`VoteRecord::personal_hash`].
    pub personal_hash: &'a PersonalHash,
    /// See [`VoteRecord::added`].
    pub added: Option<(&'a Ballot, Weight)>,
    /// See [`VoteRecord::removed`].
    pub removed: Option<(&'a Ballot, Weight)>,
}

const ADDED: u8 = 1;
const REMOVED: u8 = 2;
/// Added to the operation where no record of the voter comes before, and the two numbers that say so are left out.
const FIRST: u8 = 0x80;

/// Appends a vote's body.
pub fn encode_vote(into: &mut Vec<u8>, place: Place, vote: &VoteBody<'_>) {
    encode_place(into, place);
    into.extend_from_slice(vote.vote_id.as_bytes());
    let operation = match vote.operation {
        Operation::Cast => 1,
        Operation::Change => 2,
        Operation::Withdraw => 3,
    };
    if vote.previous.is_none() && vote.revision == 0 {
        into.push(operation | FIRST);
    } else {
        into.push(operation);
        put_varint(into, vote.previous.map_or(0, |sequence| sequence.0));
        put_varint(into, u64::from(vote.revision));
    }
    into.extend_from_slice(vote.personal_hash);
    into.push(vote.added.map_or(0, |_| ADDED) | vote.removed.map_or(0, |_| REMOVED));
    for (ballot, weight) in [vote.added, vote.removed].into_iter().flatten() {
        put_weighed(into, ballot, weight);
    }
}

/// Appends the body of any other record.
///
/// # Panics
/// On a vote, which has its own function.
pub fn encode_event(into: &mut Vec<u8>, place: Place, record: &Record) -> Kind {
    encode_place(into, place);
    match record {
        Record::Poll(event) => (put_json(into, event), Kind::Poll).1,
        Record::Key(key) => (put_json(into, key), Kind::Key).1,
        Record::Setting(setting) => (put_json(into, setting), Kind::Setting).1,
        Record::Codes(codes) => {
            put_bytes(into, codes.actor.as_bytes());
            put_varint(into, codes.hashes.len() as u64);
            codes.hashes.iter().for_each(|hash| into.extend_from_slice(hash));
            Kind::Codes
        }
        Record::Vote(_) => unreachable!("votes are encoded by encode_vote"),
    }
}

fn put_json<T: Serialize>(into: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(into, value).expect("records are plain data, and a vector takes every byte");
}

/// Reads a record. `personal` is its erasable part: none where it has none or it was erased.
pub fn decode(kind: Kind, body: &[u8], personal: Option<&[u8]>) -> Result<Entry, Malformed> {
    let mut bytes = Bytes(body);
    let place = take_place(&mut bytes)?;
    let record = match kind {
        Kind::Poll => Record::Poll(Box::new(take_json(bytes)?)),
        Kind::Key => Record::Key(Box::new(take_json(bytes)?)),
        Kind::Setting => Record::Setting(take_json(bytes)?),
        Kind::Codes => Record::Codes(take_codes(bytes)?),
        Kind::Vote => Record::Vote(Box::new(take_vote(bytes, personal)?)),
    };
    Ok(Entry { place, record })
}

fn take_place(bytes: &mut Bytes<'_>) -> Result<Place, Malformed> {
    Ok(Place {
        poll: bytes.small()?,
        sequence: Sequence(bytes.varint()?),
        at: Timestamp::from_microseconds(i64::from_le_bytes(bytes.array()?)),
    })
}

fn take_json<'a, T: Deserialize<'a>>(bytes: Bytes<'a>) -> Result<T, Malformed> {
    serde_json::from_slice(bytes.0).map_err(|_| Malformed("its JSON is not what this program writes"))
}

fn take_codes(mut bytes: Bytes<'_>) -> Result<CodesAdded, Malformed> {
    let actor = bytes.text()?.to_owned();
    let count: usize = bytes.small()?;
    if count > CODES_LOT_MAX {
        return Err(Malformed("a lot of codes is too large"));
    }
    let hashes = (0..count).map(|_| bytes.array()).collect::<Result<_, _>>()?;
    bytes.end()?;
    Ok(CodesAdded { actor, hashes })
}

fn take_vote(mut bytes: Bytes<'_>, personal: Option<&[u8]>) -> Result<VoteRecord, Malformed> {
    let vote_id = VoteId::from_bytes(bytes.array()?);
    let operation = bytes.byte()?;
    let is_first = operation & FIRST != 0;
    let operation = match operation & !FIRST {
        1 => Operation::Cast,
        2 => Operation::Change,
        3 => Operation::Withdraw,
        _ => return Err(Malformed("a vote's operation is none")),
    };
    let (previous, revision) = if is_first { (0, 0) } else { (bytes.varint()?, bytes.small()?) };
    let previous = Some(previous).filter(|sequence| *sequence > 0).map(Sequence);
    let personal_hash = bytes.array()?;
    let parts = bytes.byte()?;
    let added = if parts & ADDED == 0 { None } else { Some(take_weighed(&mut bytes)?) };
    let removed = if parts & REMOVED == 0 { None } else { Some(take_weighed(&mut bytes)?) };
    bytes.end()?;
    let personal = personal.map(Personal::decode).transpose()?;
    Ok(VoteRecord { vote_id, operation, previous, revision, added, removed, personal_hash, personal })
}

/// Appends a ballot with its weight and what it tells of the voter.
pub(crate) fn put_marked(into: &mut Vec<u8>, marked: &Marked) {
    put_weighed(into, &marked.ballot, marked.weight);
    for (dimension, value) in &marked.answers {
        into.push(*dimension);
        put_bytes(into, value.as_bytes());
    }
}

const CHOICES: u8 = 1;
const RANKING: u8 = 2;
const SCORES: u8 = 3;
const ALLOCATION: u8 = 4;
/// Set where a weight other than 1 follows.
const WEIGHED: u8 = 0x80;

const RANK_ONE: u8 = 1;
const RANK_EQUAL: u8 = 2;
const RANK_SKIPPED: u8 = 3;
const RANK_OVERVOTE: u8 = 4;

pub(crate) fn put_weighed(into: &mut Vec<u8>, ballot: &Ballot, weight: Weight) {
    let form = match ballot {
        Ballot::Choices(_) => CHOICES,
        Ballot::Ranking(_) => RANKING,
        Ballot::Scores(_) => SCORES,
        Ballot::Allocation(_) => ALLOCATION,
    };
    if weight == Weight::ONE {
        into.push(form);
    } else {
        into.push(form | WEIGHED);
        put_varint(into, weight.millionths());
    }
    put_ballot(into, ballot);
}

fn put_ballot(into: &mut Vec<u8>, ballot: &Ballot) {
    match ballot {
        Ballot::Choices(choices) => put_indexes(into, choices),
        Ballot::Ranking(ranks) => {
            put_varint(into, ranks.len() as u64);
            for rank in ranks {
                put_rank(into, rank);
            }
        }
        Ballot::Scores(marks) | Ballot::Allocation(marks) => {
            put_varint(into, marks.len() as u64);
            for (index, number) in marks {
                put_varint(into, u64::from(*index));
                put_signed(into, *number);
            }
        }
    }
}

fn put_rank(into: &mut Vec<u8>, rank: &Rank) {
    match rank {
        Rank::One(index) => {
            into.push(RANK_ONE);
            put_varint(into, u64::from(*index));
        }
        Rank::Equal(indexes) => {
            into.push(RANK_EQUAL);
            put_indexes(into, indexes);
        }
        Rank::Skipped => into.push(RANK_SKIPPED),
        Rank::Overvote => into.push(RANK_OVERVOTE),
    }
}

fn put_indexes(into: &mut Vec<u8>, indexes: &[u16]) {
    put_varint(into, indexes.len() as u64);
    for index in indexes {
        put_varint(into, u64::from(*index));
    }
}

pub(crate) fn take_weighed(bytes: &mut Bytes<'_>) -> Result<(Ballot, Weight), Malformed> {
    let form = bytes.byte()?;
    let weight = if form & WEIGHED == 0 {
        Weight::ONE
    } else {
        Weight::from_millionths(bytes.varint()?).ok_or(Malformed("a weight is out of range"))?
    };
    let ballot = match form & !WEIGHED {
        CHOICES => Ballot::Choices(take_indexes(bytes)?),
        RANKING => {
            let count = counted(bytes, RANKS_MAX)?;
            Ballot::Ranking((0..count).map(|_| take_rank(bytes)).collect::<Result<_, _>>()?)
        }
        SCORES => Ballot::Scores(take_marks(bytes)?),
        ALLOCATION => Ballot::Allocation(take_marks(bytes)?),
        _ => return Err(Malformed("a ballot's form is none")),
    };
    Ok((ballot, weight))
}

fn take_rank(bytes: &mut Bytes<'_>) -> Result<Rank, Malformed> {
    Ok(match bytes.byte()? {
        RANK_ONE => Rank::One(bytes.small()?),
        RANK_EQUAL => Rank::Equal(take_indexes(bytes)?),
        RANK_SKIPPED => Rank::Skipped,
        RANK_OVERVOTE => Rank::Overvote,
        _ => return Err(Malformed("a rank is none")),
    })
}

fn take_indexes(bytes: &mut Bytes<'_>) -> Result<Vec<u16>, Malformed> {
    let count = counted(bytes, OPTIONS_MAX)?;
    (0..count).map(|_| bytes.small()).collect()
}

fn take_marks(bytes: &mut Bytes<'_>) -> Result<Vec<(u16, i32)>, Malformed> {
    let count = counted(bytes, OPTIONS_MAX)?;
    (0..count).map(|_| Ok((bytes.small()?, bytes.signed()?))).collect()
}

fn counted(bytes: &mut Bytes<'_>, most: usize) -> Result<usize, Malformed> {
    let count: usize = bytes.small()?;
    if count > most { Err(Malformed("a ballot has too many marks")) } else { Ok(count) }
}
