//! Exports by the clock: each poll that has changed, whenever it is due, and once more when it has ended.
//!
//! Time comes in with each [`turn`](Exporter::turn), so a month can pass in seconds, and a function that is called by a
//! clock of its own can make a single one. One turn is over before the next one begins. What was missed is caught up by
//! one export.

use std::{io, sync::Arc};

use canvass_domain::{PollId, Timestamp};
use canvass_store::{Store, StoreError};
use serde_json::Value;

use crate::{
    Access, Destination, ExportError, Retention, Schedule, Voters, names,
    place::{Place, Revision},
    state::State,
    turn,
};

/// What is exported, when and where to.
#[derive(Clone, Debug)]
pub struct ExporterOptions {
    /// The folder or bucket.
    pub destination: Destination,
    /// What a bucket is reached with.
    pub access: Access,
    /// Where the files can be fetched from, for the manifest of QuickSight; the destination itself if absent.
    pub url: Option<String>,
    /// When polls that have changed are exported.
    pub schedule: Schedule,
    /// How voters are named.
    pub voters: Voters,
    /// A snapshot of results is due after so many minutes in which something changed; 0 means never.
    pub snapshot_minutes: i64,
    /// A snapshot of results is due after so many votes; 0 means never.
    pub snapshot_votes: u64,
    /// What becomes of old files, if the destination is a folder.
    pub retention: Retention,
}

/// What a turn did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The names of the exports and snapshots that were written, at the destination.
    pub written: Vec<String>,
    /// The polls that were exported for the last time.
    pub ended: Vec<PollId>,
}

/// Why a turn was not finished. What it had written is whole; the next turn does the rest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TurnError {
    /// The destination cannot be used.
    #[error("{place}: {source}")]
    Place {
        /// What was to be read or written.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// A poll cannot be exported; others were.
    #[error(transparent)]
    Export(#[from] ExportError),
}

impl From<StoreError> for TurnError {
    fn from(error: StoreError) -> Self {
        Self::Export(error.into())
    }
}

/// Exports the polls of a store to a folder or bucket.
pub struct Exporter {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) options: ExporterOptions,
    pub(crate) place: Place,
    opened_at: Timestamp,
    /// None before the first turn, and after one that met another program.
    memory: Option<Memory>,
}

/// What is kept between turns.
pub(crate) struct Memory {
    pub(crate) state: State,
    pub(crate) revision: Revision,
    /// Whether the state is not kept at the destination as it is here.
    pub(crate) has_changed: bool,
    /// Files that no manifest names yet.
    pub(crate) unlisted: Vec<Value>,
    /// Whether the manifest of QuickSight names other files than the newest.
    pub(crate) is_quicksight_old: bool,
    /// What the last turn found that had nothing more to do; none where there was none such.
    pub(crate) looked: Option<(u64, bool)>,
}

impl Exporter {
    /// Takes the destination: a folder is locked, so that two programs never export to it at a time; a bucket is not
    /// asked for anything before the first turn, so that a server starts without it. Where nothing was exported before,
    /// the first export is due at the schedule's next moment after `now`.
    ///
    /// # Errors
    /// [`TurnError::Place`] if the folder cannot be used, another program exports to it, the settings of a bucket are
    /// wrong, or this program was built without object stores.
    pub fn open(store: Arc<dyn Store>, options: ExporterOptions, now: Timestamp) -> Result<Self, TurnError> {
        let place = Place::open(&options.destination, &options.access)
            .map_err(|source| TurnError::Place { place: options.destination.to_string(), source })?;
        Ok(Self { store, options, place, opened_at: now, memory: None })
    }

    /// Does what is due: once, and without waiting for anything that is not yet due.
    ///
    /// # Errors
    /// See [`TurnError`].
    pub async fn turn(&mut self, now: Timestamp) -> Result<Turn, TurnError> {
        let mut memory = match self.memory.take() {
            Some(memory) => memory,
            None => self.recall().await?,
        };
        let outcome = turn::run(self, &mut memory, now).await;
        // What another program wrote is read before anything is done again.
        let is_other = |error: &TurnError| matches!(error, TurnError::Place { source, .. } if source.kind() == io::ErrorKind::AlreadyExists);
        if !outcome.as_ref().is_err_and(is_other) {
            self.memory = Some(memory);
        }
        outcome
    }

    /// Goes on from what was exported before.
    async fn recall(&self) -> Result<Memory, TurnError> {
        let failed = |source| self.failed(names::STATE, source);
        let (state, revision) = match self.place.read(names::STATE).await.map_err(failed)? {
            Some((text, revision)) => {
                (serde_json::from_slice(&text).map_err(|error| failed(error.into()))?, revision)
            }
            None => (State::new(self.opened_at), Revision::default()),
        };
        // A state that was never kept would always begin now, and nothing would ever be due.
        let has_changed = state.ran_at == self.opened_at;
        Ok(Memory {
            state,
            revision,
            has_changed,
            unlisted: Vec::new(),
            is_quicksight_old: false,
            looked: None,
        })
    }

    pub(crate) fn failed(&self, key: &str, source: io::Error) -> TurnError {
        TurnError::Place { place: format!("{}/{key}", self.options.destination), source }
    }
}
