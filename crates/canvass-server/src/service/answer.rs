//! The JSON of a vote, written by one function for first answers, replays and reads, so that they cannot differ.

use std::{io::Write as _, sync::Arc};

use canvass_domain::{
    Poll, Sequence, Timestamp, VoteId, VoterId, Weight,
    ballot::BallotView,
    vote::{Marked, Operation, StoredVote},
};
use canvass_store::VoteOutcome;

/// A vote that was recorded, now or before.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// The poll whose options the vote marks.
    pub(crate) poll: Arc<Poll>,
    pub(crate) voter: VoterId,
    pub(crate) vote_id: VoteId,
    /// None for a withdrawal.
    pub(crate) marked: Option<Marked>,
    pub(crate) cast_at: Timestamp,
    pub(crate) sequence: Option<Sequence>,
    /// Whether it was recorded before, under the same idempotency key.
    pub(crate) replayed: bool,
}

impl Recorded {
    /// What a command came to. `marked` is what it carried.
    pub(crate) fn new(poll: Arc<Poll>, voter: VoterId, marked: Option<Marked>, outcome: VoteOutcome) -> Self {
        match outcome {
            VoteOutcome::Accepted(receipt) => Self {
                poll,
                voter,
                vote_id: receipt.vote_id,
                marked,
                cast_at: receipt.cast_at,
                sequence: receipt.sequence,
                replayed: false,
            },
            VoteOutcome::Replayed(vote) => Self { replayed: true, ..Self::stored(poll, *vote) },
        }
    }

    /// A vote as its record tells it.
    pub(crate) fn stored(poll: Arc<Poll>, vote: StoredVote) -> Self {
        Self {
            poll,
            voter: vote.voter,
            vote_id: vote.vote_id,
            marked: vote.marked.filter(|_| vote.operation != Operation::Withdraw),
            cast_at: vote.cast_at,
            sequence: vote.sequence,
            replayed: false,
        }
    }

    /// Appends the vote's JSON.
    pub(crate) fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(b"{\"pollId\":\"");
        into.extend_from_slice(self.poll.id.as_str().as_bytes());
        into.extend_from_slice(b"\",\"voterId\":");
        write_text(into, self.voter.as_str());
        into.extend_from_slice(b",\"voteId\":\"");
        write_vote_id(into, &self.vote_id);
        into.push(b'"');
        if let Some(marked) = &self.marked {
            into.extend_from_slice(b",\"ballot\":");
            write_ballot(into, &self.poll, marked);
            into.extend_from_slice(b",\"demographics\":");
            write_demographics(into, &self.poll, marked);
            if marked.weight != Weight::ONE {
                write_formatted(into, format_args!(",\"weight\":\"{}\"", marked.weight));
            }
        }
        write_formatted(into, format_args!(",\"castAt\":\"{}\"", self.cast_at));
        if let Some(sequence) = self.sequence {
            into.extend_from_slice(b",\"sequence\":");
            write_number(into, sequence.0);
        }
        into.push(b'}');
    }

    /// The vote's JSON.
    pub(crate) fn json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(384);
        self.write(&mut json);
        json
    }
}

/// What is told of the vote that counts to a caller who may not vote again: `{voteId, ballot, castAt}`.
pub(crate) fn existing_vote_json(poll: &Poll, vote: &StoredVote) -> Vec<u8> {
    let mut json = Vec::with_capacity(192);
    json.extend_from_slice(b"{\"voteId\":\"");
    write_vote_id(&mut json, &vote.vote_id);
    json.extend_from_slice(b"\",\"ballot\":");
    match &vote.marked {
        Some(marked) => write_ballot(&mut json, poll, marked),
        None => json.extend_from_slice(b"null"),
    }
    write_formatted(&mut json, format_args!(",\"castAt\":\"{}\"}}", vote.cast_at));
    json
}

/// Appends a ballot's JSON.
pub(crate) fn write_ballot(into: &mut Vec<u8>, poll: &Poll, marked: &Marked) {
    write_json(into, &BallotView { poll, ballot: &marked.ballot });
}

/// Appends what a vote tells of its voter, by the names of the poll's dimensions.
pub(crate) fn write_demographics(into: &mut Vec<u8>, poll: &Poll, marked: &Marked) {
    into.push(b'{');
    let mut separator = None;
    for (name, value) in answers(poll, marked) {
        into.extend(separator);
        write_text(into, name);
        into.push(b':');
        write_text(into, value);
        separator = Some(b',');
    }
    into.push(b'}');
}

/// What a vote tells of its voter.
pub(crate) fn answers<'a>(poll: &'a Poll, marked: &'a Marked) -> impl Iterator<Item = (&'a str, &'a str)> {
    let name = |index: u8| poll.demographics.keys().nth(usize::from(index));
    marked.answers.iter().filter_map(move |(index, value)| Some((name(*index)?.as_str(), &**value)))
}

/// Appends a vote's id, as UUIDs are written.
pub(crate) fn write_vote_id(into: &mut Vec<u8>, vote_id: &VoteId) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (index, byte) in vote_id.as_bytes().iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
        at += 2;
    }
    into.extend_from_slice(&text);
}

/// Appends a number.
pub(crate) fn write_number(into: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10).to_le_bytes()[0];
        number /= 10;
        if number == 0 {
            break;
        }
    }
    into.extend_from_slice(&digits[at..]);
}

/// Appends a text as JSON. Most need no escapes.
pub(crate) fn write_text(into: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        into.push(b'"');
        into.extend_from_slice(text.as_bytes());
        into.push(b'"');
    } else {
        write_json(into, text);
    }
}

/// Appends a value as JSON.
pub(crate) fn write_json<T: serde::Serialize + ?Sized>(into: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(into, value).expect("answers are plain data, and a vector takes every byte");
}

fn write_formatted(into: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    into.write_fmt(arguments).expect("a vector takes every byte");
}
