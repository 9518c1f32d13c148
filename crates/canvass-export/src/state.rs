//! What an exporter remembers from turn to turn, kept beside the files.

use std::collections::BTreeMap;

use canvass_domain::{PollId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::limits::CLOCK_AHEAD_SECONDS_MAX;

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
    /// The file; none once it has left the folder.
    pub(crate) key: Option<String>,
}

impl State {
    /// Forgets moments that have not come yet: a clock that was ahead, and was put right, would keep all that is due
    /// waiting for them. Whether there were any. A clock that is put right by seconds does not count.
    pub(crate) fn forget_what_is_ahead(&mut self, now: Timestamp) -> bool {
        let others = self.polls.values_mut().map(|exported| &mut exported.at);
        let ahead = [&mut self.ran_at, &mut self.snapshot_at].into_iter().chain(others);
        let ahead = ahead.filter(|moment| moment.seconds() > now.seconds() + CLOCK_AHEAD_SECONDS_MAX);
        ahead.map(|moment| *moment = now).count() > 0
    }

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
