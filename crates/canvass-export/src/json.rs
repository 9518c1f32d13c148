//! The JSON of a vote, written by one function for exports and for answers, so that they cannot differ.

use std::io::Write as _;

use canvass_domain::{Poll, Sequence, Timestamp, VoteId, Weight, ballot::BallotView, vote::Marked};

/// A vote as it is told.
#[derive(Clone, Copy, Debug)]
pub struct VoteJson<'a> {
    /// The poll whose options the vote marks.
    pub poll: &'a Poll,
    /// None where voters are left out.
    pub voter: Option<&'a str>,
    /// The vote's id.
    pub vote_id: VoteId,
    /// None for a withdrawal.
    pub marked: Option<&'a Marked>,
    /// When it was accepted.
    pub cast_at: Timestamp,
    /// Its place among the poll's records, where it is known.
    pub sequence: Option<Sequence>,
}

impl VoteJson<'_> {
    /// Appends the vote's JSON.
    pub fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(b"{\"pollId\":\"");
        into.extend_from_slice(self.poll.id.as_str().as_bytes());
        if let Some(voter) = self.voter {
            into.extend_from_slice(b"\",\"voterId\":");
            write_text(into, voter);
            into.extend_from_slice(b",\"voteId\":\"");
        } else {
            into.extend_from_slice(b"\",\"voteId\":\"");
        }
        write_vote_id(into, &self.vote_id);
        into.push(b'"');
        if let Some(marked) = self.marked {
            into.extend_from_slice(b",\"ballot\":");
            write_ballot(into, self.poll, marked);
            into.extend_from_slice(b",\"demographics\":");
            write_demographics(into, self.poll, marked);
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
}

/// Appends a ballot's JSON.
pub fn write_ballot(into: &mut Vec<u8>, poll: &Poll, marked: &Marked) {
    write_json(into, &BallotView { poll, ballot: &marked.ballot });
}

/// Appends what a vote tells of its voter, by the names of the poll's dimensions.
pub fn write_demographics(into: &mut Vec<u8>, poll: &Poll, marked: &Marked) {
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
pub fn answers<'a>(poll: &'a Poll, marked: &'a Marked) -> impl Iterator<Item = (&'a str, &'a str)> {
    let name = |index: u8| poll.demographics.keys().nth(usize::from(index));
    marked.answers.iter().filter_map(move |(index, value)| Some((name(*index)?.as_str(), &**value)))
}

/// Appends a vote's id, as UUIDs are written.
pub fn write_vote_id(into: &mut Vec<u8>, vote_id: &VoteId) {
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
pub fn write_number(into: &mut Vec<u8>, mut number: u64) {
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
pub fn write_text(into: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        into.push(b'"');
        into.extend_from_slice(text.as_bytes());
        into.push(b'"');
    } else {
        write_json(into, text);
    }
}

/// Appends a value as JSON.
pub fn write_json<T: serde::Serialize + ?Sized>(into: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(into, value).expect("answers are plain data, and a vector takes every byte");
}

/// Appends formatted text.
fn write_formatted(into: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    into.write_fmt(arguments).expect("a vector takes every byte");
}
