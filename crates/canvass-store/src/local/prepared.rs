//! What of a vote can be worked out before it reaches the writer: the one thread that all votes wait for.

use canvass_domain::{
    Ballot,
    vote::{Personal, PersonalHash, VoteCommand},
};

use super::shared::{HashKey, hash_voter};

/// Votes as the writer takes them.
pub(super) struct Prepared {
    commands: Vec<VoteCommand>,
    parts: Vec<Part>,
    /// The personal parts one after another: one piece of memory instead of one for each vote.
    personal: Vec<u8>,
}

/// What belongs to one command.
struct Part {
    hash: u64,
    personal_bytes: usize,
    personal_hash: PersonalHash,
}

/// One vote of them.
pub(super) struct Asked<'a> {
    pub(super) command: &'a mut VoteCommand,
    /// The voter's keyed hash.
    pub(super) hash: u64,
    /// The personal part of its record, and that part's hash, if it replaces nothing.
    pub(super) personal: &'a [u8],
    pub(super) personal_hash: &'a PersonalHash,
}

impl Prepared {
    pub(super) fn new(key: &HashKey, commands: Vec<VoteCommand>) -> Self {
        const PERSONAL_BYTES_USUAL: usize = 64;
        let mut personal = Vec::with_capacity(commands.len() * PERSONAL_BYTES_USUAL);
        let part = |command: &VoteCommand| {
            let start = personal.len();
            command.encode_personal(&[], &mut personal);
            Part {
                hash: hash_voter(key, command.voter.as_str().as_bytes()),
                personal_bytes: personal.len() - start,
                personal_hash: Personal::hash(&personal[start..]),
            }
        };
        let parts = commands.iter().map(part).collect();
        Self { commands, parts, personal }
    }

    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// The voters' hashes.
    pub(super) fn hashes(&self) -> impl Iterator<Item = u64> {
        self.parts.iter().map(|part| part.hash)
    }

    /// The votes in order.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = Asked<'_>> {
        let mut rest = &self.personal[..];
        self.commands.iter_mut().zip(&self.parts).map(move |(command, part)| {
            let (personal, after) = rest.split_at(part.personal_bytes);
            rest = after;
            Asked { command, hash: part.hash, personal, personal_hash: &part.personal_hash }
        })
    }

    /// About how much memory they take.
    pub(super) fn bytes(&self) -> usize {
        const BYTES_PER_MARK: usize = 32;
        let each = size_of::<VoteCommand>() + size_of::<Part>();
        let marks: usize = self.commands.iter().map(marks).sum();
        self.len() * each + 2 * self.personal.len() + marks * BYTES_PER_MARK
    }
}

fn marks(command: &VoteCommand) -> usize {
    match command.marked.as_ref().map(|marked| &marked.ballot) {
        Some(Ballot::Choices(choices)) => choices.len(),
        Some(Ballot::Ranking(ranks)) => ranks.len(),
        Some(Ballot::Scores(marks) | Ballot::Allocation(marks)) => marks.len(),
        None => 0,
    }
}
