//! A vote: what a caller asks for, what is kept of it, and the personal part that can be erased.

use std::{borrow::Cow, sync::Arc};

use canvass_counting::{Ballot, Weight};
use sha2::{Digest, Sha256};

use crate::{
    codec::{Bytes, Malformed, put_bytes, put_varint},
    identifier::{IdempotencyKey, Sequence, VoteId, VoterId},
    limits::DIMENSION_BYTES_MAX,
    poll::Poll,
    refusal::Invalid,
    time::Timestamp,
};

/// What a vote tells of its voter: the dimension's place in the poll's (sorted) dimensions, and the value.
pub type Answers = Vec<(u8, Arc<str>)>;

/// What a command does to its voter's vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Vote; where the voter has voted and the poll allows it, vote anew.
    Cast,
    /// Replace a vote that is there.
    Change,
    /// Take a vote back.
    Withdraw,
}

/// A ballot with all that a count needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// The marks.
    pub ballot: Ballot,
    /// How much it counts.
    pub weight: Weight,
    /// What it tells of the voter.
    pub answers: Answers,
}

impl Marked {
    /// The ballot with its weight.
    pub fn weighed(&self) -> (&Ballot, Weight) {
        (&self.ballot, self.weight)
    }
}

/// One request to vote, read against a poll's form and complete: ids and salt were drawn at the edge.
#[derive(Clone, Debug)]
pub struct VoteCommand {
    /// Who votes.
    pub voter: VoterId,
    /// What is done.
    pub operation: Operation,
    /// The ballot; none for a withdrawal.
    pub marked: Option<Marked>,
    /// The caller's name for the request.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The id that the vote gets if it is the voter's first.
    pub vote_id: VoteId,
    /// What hides the personal part's hash from guessing.
    pub salt: [u8; 16],
    /// The [`Poll::form`] that the ballot was read against.
    pub form: u32,
    /// The hash of the one-time code, where the poll asks for one.
    pub code: Option<crate::code::CodeHash>,
}

impl VoteCommand {
    /// What tells two requests under one idempotency key apart.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(match self.operation {
            Operation::Cast => 1,
            Operation::Change => 2,
            Operation::Withdraw => 3,
        });
        if let Some(marked) = &self.marked {
            crate::record::put_marked(&mut bytes, marked);
        }
        let digest = Sha256::digest(&bytes);
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        short
    }

    /// Appends the [`Personal`] part that the vote's record will hold; `replaced` are the answers of the vote that it
    /// replaces.
    pub fn encode_personal(&self, replaced: &[(u8, Arc<str>)], into: &mut Vec<u8>) {
        let answers = self.marked.as_ref().map_or(&[][..], |marked| &marked.answers);
        let idempotency = self.idempotency_key.as_ref().map(|key| (key, self.fingerprint()));
        put_personal(into, &self.salt, &self.voter, [answers, replaced], idempotency);
    }
}

/// A hash of a request's meaning: SHA-256 cut to 16 bytes.
pub type Fingerprint = [u8; 16];

/// The part of a vote's record that tells of a person, and that can be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Personal {
    /// 16 random bytes, so that the hash kept after an erasure tells nothing.
    pub salt: [u8; 16],
    /// Who voted.
    pub voter: VoterId,
    /// What the vote tells of the voter.
    pub answers: Answers,
    /// What the vote that it replaces told.
    pub replaced: Answers,
    /// The idempotency key and what was asked under it.
    pub idempotency: Option<(IdempotencyKey, Fingerprint)>,
}

/// SHA-256 of an encoded personal part.
pub type PersonalHash = [u8; 32];

impl Personal {
    /// Appends the encoding.
    pub fn encode(&self, into: &mut Vec<u8>) {
        let idempotency = self.idempotency.as_ref().map(|(key, fingerprint)| (key, *fingerprint));
        put_personal(into, &self.salt, &self.voter, [&self.answers, &self.replaced], idempotency);
    }

    /// Reads an encoding.
    pub fn decode(encoded: &[u8]) -> Result<Self, Malformed> {
        let mut bytes = Bytes(encoded);
        let salt = bytes.array()?;
        let voter = bytes.text()?.parse().map_err(|_| Malformed("a voter's id is none"))?;
        let answers = take_answers(&mut bytes)?;
        let replaced = take_answers(&mut bytes)?;
        let idempotency = if bytes.0.is_empty() {
            None
        } else {
            let key = bytes.text()?.parse().map_err(|_| Malformed("an idempotency key is none"))?;
            Some((key, bytes.array()?))
        };
        bytes.end()?;
        Ok(Self { salt, voter, answers, replaced, idempotency })
    }

    /// Whether an encoded personal part is this voter's, without reading the rest of it.
    pub fn is_of(encoded: &[u8], voter: &VoterId) -> bool {
        let mut bytes = Bytes(encoded);
        bytes.take(16).is_ok() && bytes.counted().is_ok_and(|text| text == voter.as_str().as_bytes())
    }

    /// The voter's bytes of an encoded personal part.
    pub fn voter_of(encoded: &[u8]) -> Result<&[u8], Malformed> {
        let mut bytes = Bytes(encoded);
        bytes.take(16)?;
        bytes.counted()
    }

    /// The hash of an encoded personal part.
    pub fn hash(encoded: &[u8]) -> PersonalHash {
        Sha256::digest(encoded).into()
    }
}

fn put_personal(
    into: &mut Vec<u8>,
    salt: &[u8; 16],
    voter: &VoterId,
    answers_then_replaced: [&[(u8, Arc<str>)]; 2],
    idempotency: Option<(&IdempotencyKey, Fingerprint)>,
) {
    into.extend_from_slice(salt);
    put_bytes(into, voter.as_str().as_bytes());
    // What is left out at the end is none.
    let parts = if idempotency.is_some() {
        2
    } else {
        answers_then_replaced.iter().rposition(|answers| !answers.is_empty()).map_or(0, |last| last + 1)
    };
    answers_then_replaced[..parts].iter().for_each(|answers| put_answers(into, answers));
    if let Some((key, fingerprint)) = idempotency {
        put_bytes(into, key.as_str().as_bytes());
        into.extend_from_slice(&fingerprint);
    }
}

fn put_answers(into: &mut Vec<u8>, answers: &[(u8, Arc<str>)]) {
    put_varint(into, answers.len() as u64);
    for (dimension, value) in answers {
        into.push(*dimension);
        put_bytes(into, value.as_bytes());
    }
}

fn take_answers(bytes: &mut Bytes<'_>) -> Result<Answers, Malformed> {
    if bytes.0.is_empty() {
        return Ok(Answers::default());
    }
    let count: u8 = bytes.small()?;
    (0..count).map(|_| Ok((bytes.byte()?, Arc::from(bytes.text()?)))).collect()
}

/// A vote as its record tells it, newest or replaced.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredVote {
    /// The vote's id, the same through all its changes.
    pub vote_id: VoteId,
    /// What its record did.
    pub operation: Operation,
    /// Its record's place in the poll's ledger; none on an engine that learns it only later.
    pub sequence: Option<Sequence>,
    /// The record that it replaces.
    pub previous: Option<Sequence>,
    /// How often the voter's vote was changed or withdrawn before.
    pub revision: u32,
    /// When it was accepted.
    pub cast_at: Timestamp,
    /// The ballot; none for a withdrawal.
    pub marked: Option<Marked>,
    /// Who voted.
    pub voter: VoterId,
    /// The idempotency key and what was asked under it.
    pub idempotency: Option<(IdempotencyKey, Fingerprint)>,
}

/// Reads what a request tells of its voter. Numbers and truth values stand for their JSON text.
///
/// # Errors
/// A dimension that the poll does not declare, or a value that a closed one does not list.
pub fn read_answers<'a>(
    poll: &Poll,
    given: impl IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
) -> Result<Answers, Invalid> {
    let mut answers = Answers::new();
    for (name, value) in given {
        let field = || format!("demographics.{name}");
        let declared = poll.demographics.iter().enumerate().find(|(_, (declared, _))| **declared == *name);
        let Some((index, (_, values))) = declared else {
            return Err(Invalid::new("demographics", "names a dimension that the poll does not declare"));
        };
        let index = u8::try_from(index).map_err(|_| Invalid::new(field(), "too many dimensions"))?;
        if value.is_empty() || value.len() > DIMENSION_BYTES_MAX || value.chars().any(char::is_control) {
            let reason = format!("1 to {DIMENSION_BYTES_MAX} bytes of text without control characters");
            return Err(Invalid::new(field(), reason));
        }
        if values.as_ref().is_some_and(|values| !values.iter().any(|listed| *listed == *value)) {
            return Err(Invalid::new(field(), "is not one of the values that the poll lists"));
        }
        if answers.iter().any(|(known, _)| *known == index) {
            return Err(Invalid::new(field(), "is given twice"));
        }
        answers.push((index, Arc::from(&*value)));
    }
    answers.sort_unstable_by_key(|(index, _)| *index);
    Ok(answers)
}
