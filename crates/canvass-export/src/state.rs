//! What an exporter remembers from turn to turn, kept beside the files.

use std::collections::BTreeMap;

use canvass_domain::{PollId, Timestamp};
use serde::{Deserialize, Serialize};

/// What was exported.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    /// Up to when everything that was due has been done.
    pub(crate) ran_at: Timestamp,
    pub(crate) snapshot_at: Timestamp,
    /// The sum of all polls' sequences in the last snapshot.
    pub(crate) snapshot_sequences: u64,
    /// Votes in all polls in the last snapshot.
    pub(crate) snapshot_votes: u64,
    pub(crate) polls: BTreeMap<PollId, Exported>,
}

/// What was last exported of a poll.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exported {
    /// Tells a poll from one that had its id before.
    pub(crate) created_at: Timestamp,
    pub(crate) sequence: u64,
    pub(crate) is_final: bool,
    /// When.
    pub(crate) at: Timestamp,
    pub(crate) key: String,
}

impl State {
    /// Nothing was exported; the first export is due at the schedule's next moment.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            ran_at: now,
            snapshot_at: now,
            snapshot_sequences: 0,
            snapshot_votes: 0,
            polls: BTreeMap::new(),
        }
    }
}
