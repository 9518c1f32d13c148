//! The JSON of a vote, written by one function for first answers, replays and reads, so that they cannot differ.

use std::{io::Write as _, sync::Arc};

use canvass_domain::{
    Poll, Sequence, Timestamp, VoteId, VoterId,
    vote::{Marked, Operation, StoredVote},
};
use canvass_export::json::{VoteJson, write_ballot};
pub(crate) use canvass_export::json::{answers, write_json, write_number, write_text, write_vote_id};
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
        let json = VoteJson {
            poll: &self.poll,
            voter: Some(self.voter.as_str()),
            vote_id: self.vote_id,
            marked: self.marked.as_ref(),
            cast_at: self.cast_at,
            sequence: self.sequence,
        };
        json.write(into);
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
    write!(json, ",\"castAt\":\"{}\"}}", vote.cast_at).expect("a vector takes every byte");
    json
}
