//! What the stream's records add to the counters: pure, so that a server's task and a function fold alike.
//!
//! Each counter item holds, beside its figures, how far each shard of the stream is folded into it. Figures and
//! checkpoints change in one conditional write, so a record that comes twice, in whatever batch, counts once.

use std::collections::BTreeMap;

use canvass_domain::{
    Timestamp,
    record::VoteRecord,
    tally::parts::{self, Figures, PartId, encode_ballots},
    vote::Marked,
};

use crate::{
    items::{PollKey, decode_vote},
    limits::BALLOT_LOG_BYTES_MAX,
};

/// A place in a shard of the stream: decimal digits, compared as the number that they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint(pub(crate) String);

impl Checkpoint {
    fn digits(&self) -> (usize, &str) {
        let digits = self.0.trim_start_matches('0');
        (digits.len(), digits)
    }

    fn is_after(&self, other: &Self) -> bool {
        self.digits() > other.digits()
    }
}

/// A vote that the stream tells of.
#[derive(Clone, Debug)]
pub(crate) struct Streamed {
    pub(crate) shard: String,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) poll: PollKey,
    pub(crate) at: Timestamp,
    pub(crate) record: VoteRecord,
}

impl Streamed {
    /// A vote from the parts of a new item; none if they are not what this program writes.
    pub(crate) fn read(
        shard: &str,
        checkpoint: String,
        partition: &str,
        body: &[u8],
        personal: Option<&[u8]>,
    ) -> Option<Self> {
        let personal = personal.map(aws_sdk_dynamodb::primitives::Blob::new);
        let (at, record) = decode_vote(body, personal.as_ref())?;
        Some(Self {
            shard: shard.to_owned(),
            checkpoint: Checkpoint(checkpoint),
            poll: PollKey::parse(partition)?,
            at,
            record,
        })
    }
}

/// What one record does to one part.
#[derive(Clone, Debug)]
struct Change {
    shard: String,
    checkpoint: Checkpoint,
    at: Timestamp,
    differences: Figures,
    /// In the part of the counts: the ballots, for polls whose method needs them.
    ballots: Vec<u8>,
}

/// What a batch does to one part: its changes, each shard's in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Update(std::collections::VecDeque<Change>);

/// What a batch of records does to each part of each poll.
pub(crate) fn fold(records: &[Streamed]) -> BTreeMap<(PollKey, PartId), Update> {
    let mut updates: BTreeMap<_, Update> = BTreeMap::new();
    for streamed in records {
        let (removed, added) = (streamed.record.removed(), streamed.record.added());
        let mut touched = parts::differences(streamed.at, removed.as_ref(), added.as_ref());
        // Every record counts towards the sequence.
        touched.entry(PartId::Counts).or_default();
        for (part, differences) in touched {
            let mut ballots = Vec::new();
            if part == PartId::Counts {
                let (removed, added) = (removed.as_ref(), added.as_ref());
                encode_ballots(&mut ballots, removed.map(Marked::weighed), added.map(Marked::weighed));
            }
            updates.entry((streamed.poll.clone(), part)).or_default().0.push_back(Change {
                shard: streamed.shard.clone(),
                checkpoint: streamed.checkpoint.clone(),
                at: streamed.at,
                differences,
                ballots,
            });
        }
    }
    updates
}

/// A counter item's content.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counters {
    /// How many records are folded in; the condition of every write.
    pub(crate) records: u64,
    /// Of the counts: how many of these are the poll's events.
    pub(crate) events: u64,
    /// Of the counts: the latest time of any of them.
    pub(crate) updated_at: Timestamp,
    /// Of the counts: whether the poll's method needs the ballots.
    pub(crate) logs_ballots: bool,
    /// Of the dimensions: whether what votes tell of persons is erased, and none of it is kept any more, however late the
    /// stream tells of it.
    pub(crate) is_erased: bool,
    /// The figures.
    pub(crate) figures: Figures,
    /// How far each shard is folded in.
    pub(crate) checkpoints: BTreeMap<String, String>,
}

/// Counters after a part of an update, and the ballots that it counted.
pub(crate) struct Folded {
    pub(crate) counters: Counters,
    pub(crate) ballots: Vec<u8>,
}

impl Update {
    /// The counters with as much of the update folded in as one write holds; none if all was in them already. What is
    /// taken is gone from the update.
    pub(crate) fn take(&mut self, id: PartId, before: &Counters) -> Option<Folded> {
        let mut counters = before.clone();
        let mut ballots = Vec::new();
        while ballots.len() < BALLOT_LOG_BYTES_MAX
            && let Some(change) = self.0.pop_front()
        {
            let known = counters.checkpoints.get(&change.shard);
            if known.is_some_and(|known| !change.checkpoint.is_after(&Checkpoint(known.clone()))) {
                continue;
            }
            if !counters.is_erased {
                parts::apply(id, &mut counters.figures, &change.differences);
            }
            counters.records += 1;
            counters.updated_at = counters.updated_at.max(change.at);
            counters.checkpoints.insert(change.shard, change.checkpoint.0);
            if counters.logs_ballots {
                ballots.extend_from_slice(&change.ballots);
            }
        }
        (counters != *before).then_some(Folded { counters, ballots })
    }

    /// Whether all of it was taken.
    pub(crate) fn is_done(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
