//! What one vote has in each column, and what the columns are called.

use std::borrow::Cow;

use canvass_domain::{Ballot, Poll, Sequence, Timestamp, VoteId, VoterId, Weight, vote::Marked};

use crate::{
    json::{answers, write_ballot, write_demographics, write_vote_id},
    voters::Voters,
};

/// The columns that document B exports, then the ballot and its weight; a column for each dimension follows.
pub(crate) const COLUMNS: [&str; 8] =
    ["voteId", "pollId", "optionId", "voterId", "timestamp", "demographics", "ballot", "weight"];

/// The names of the columns of a poll's dimensions.
pub(crate) fn dimension_columns(poll: &Poll) -> impl Iterator<Item = String> {
    poll.demographics.keys().map(|name| format!("demographics.{name}"))
}

/// A vote that counts.
pub(crate) struct CountedVote<'a> {
    pub(crate) vote_id: VoteId,
    pub(crate) marked: Marked,
    pub(crate) cast_at: Timestamp,
    pub(crate) sequence: Sequence,
    /// None once the voter is erased: the vote counts, and tells of nobody.
    pub(crate) voter: Option<&'a VoterId>,
}

/// A vote, column by column.
pub(crate) struct Row<'a> {
    pub(crate) vote_id: String,
    pub(crate) poll_id: &'a str,
    /// The option of a ballot that names a single one.
    pub(crate) option_id: Option<&'a str>,
    pub(crate) voter_id: Option<Cow<'a, str>>,
    pub(crate) timestamp: Timestamp,
    /// JSON.
    pub(crate) demographics: String,
    /// JSON.
    pub(crate) ballot: String,
    pub(crate) weight: Weight,
    pub(crate) sequence: Option<u64>,
    /// In the order of the poll's dimensions.
    pub(crate) answers: Vec<Option<&'a str>>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(poll: &'a Poll, vote: &'a CountedVote<'a>, voters: &Voters) -> Self {
        let marked = &vote.marked;
        let option = match &marked.ballot {
            Ballot::Choices(choices) if choices.len() == 1 => poll.options.get(usize::from(choices[0])),
            _ => None,
        };
        let given: Vec<_> = answers(poll, marked).collect();
        let answer = |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        Self {
            vote_id: text(|text| write_vote_id(text, &vote.vote_id)),
            poll_id: poll.id.as_str(),
            option_id: option.map(|option| option.id.as_str()),
            voter_id: vote.voter.and_then(|voter| voters.name(&poll.id, voter)),
            timestamp: vote.cast_at,
            demographics: text(|text| write_demographics(text, poll, marked)),
            ballot: text(|text| write_ballot(text, poll, marked)),
            weight: marked.weight,
            sequence: Some(vote.sequence.0),
            answers: poll.demographics.keys().map(|name| answer(name)).collect(),
        }
    }
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes);
    String::from_utf8(bytes).expect("JSON and ids are text")
}
