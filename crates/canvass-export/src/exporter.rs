//! Exports by the clock: each poll that has changed, whenever it is due, and once more when it has ended.
//!
//! Time comes in with each [`turn`](Exporter::turn), so a month can pass in seconds. One turn is over before the next
//! one begins, and the folder is locked, so two exports are never made at a time. What was missed is caught up by one.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use canvass_domain::{
    Poll, PollId, Profile, Timestamp,
    poll::Status,
    results::{count, results},
};
use canvass_store::{PollQuery, Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Export, ExportError, Format, Schedule, Voters,
    folder::{Folder, Written},
    limits::POLLS_PAGE,
};

const STATE_KEY: &str = "state.json";
const MANIFEST_KEY: &str = "manifest.jsonl";
const QUICKSIGHT_KEY: &str = "quicksight/manifest.json";
const SECONDS_PER_MINUTE: i64 = 60;

/// What is exported, and when.
#[derive(Clone, Debug)]
pub struct ExporterOptions {
    /// The folder.
    pub folder: PathBuf,
    /// Where the folder's files can be fetched from, for the manifest of QuickSight; the folder itself if absent.
    pub url: Option<String>,
    /// When polls that have changed are exported.
    pub schedule: Schedule,
    /// How voters are named.
    pub voters: Voters,
    /// A snapshot of results is due after so many minutes in which something changed; 0 means never.
    pub snapshot_minutes: i64,
    /// A snapshot of results is due after so many votes; 0 means never.
    pub snapshot_votes: u64,
}

/// What a turn did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The names of the files that were written, in the folder.
    pub written: Vec<String>,
}

/// Why a turn was not finished. What it had written is whole; the next turn does the rest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TurnError {
    /// The folder cannot be used.
    #[error("{path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A poll cannot be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
}

impl From<StoreError> for TurnError {
    fn from(error: StoreError) -> Self {
        Self::Export(error.into())
    }
}

/// Exports the polls of a store to a folder.
pub struct Exporter {
    store: Arc<dyn Store>,
    options: ExporterOptions,
    folder: Folder,
    state: State,
}

/// What was exported, kept in the folder.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    /// Up to when everything that was due has been done.
    ran_at: Timestamp,
    snapshot_at: Timestamp,
    /// The sum of all polls' sequences in the last snapshot.
    snapshot_sequences: u64,
    /// Votes in all polls in the last snapshot.
    snapshot_votes: u64,
    polls: BTreeMap<PollId, Exported>,
}

/// What was last exported of a poll.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exported {
    /// Tells a poll from one that had its id before.
    created_at: Timestamp,
    sequence: u64,
    is_final: bool,
    key: String,
}

impl Exporter {
    /// Takes the folder, and goes on from what was exported before. In a new folder the first export is due at the
    /// schedule's next moment after `now`.
    ///
    /// # Errors
    /// [`TurnError::Folder`] if the folder cannot be used, or another program exports to it.
    pub fn open(store: Arc<dyn Store>, options: ExporterOptions, now: Timestamp) -> Result<Self, TurnError> {
        let failed = |source| TurnError::Folder { path: options.folder.clone(), source };
        let folder = Folder::open(&options.folder).map_err(failed)?;
        let state = match folder.read(STATE_KEY).map_err(failed)? {
            Some(text) => serde_json::from_slice(&text).map_err(|error| failed(error.into()))?,
            None => State {
                ran_at: now,
                snapshot_at: now,
                snapshot_sequences: 0,
                snapshot_votes: 0,
                polls: BTreeMap::new(),
            },
        };
        Ok(Self { store, options, folder, state })
    }

    /// Does what is due.
    ///
    /// # Errors
    /// See [`TurnError`].
    pub async fn turn(&mut self, now: Timestamp) -> Result<Turn, TurnError> {
        let is_due = self.options.schedule.next_after(self.state.ran_at).is_some_and(|due| due <= now);
        let mut turn = Turn::default();
        let polls = self.polls().await?;
        for poll in &polls {
            if self.is_wanted(poll, is_due).await? {
                let key = self.export(poll, now).await?;
                turn.written.push(key);
            }
        }
        if !turn.written.is_empty() {
            self.write_quicksight()?;
        }
        if is_due {
            self.state.ran_at = now;
            let is_there = |id: &PollId| polls.iter().any(|poll| poll.id == *id);
            self.state.polls.retain(|id, _| is_there(id));
        }
        turn.written.extend(self.take_snapshot(&polls, now).await?);
        if is_due || !turn.written.is_empty() {
            let state = serde_json::to_vec(&self.state).map_err(io::Error::from);
            let written = state.and_then(|state| self.folder.write(STATE_KEY, &state));
            written.map_err(|source| self.failed(STATE_KEY, source))?;
        }
        Ok(turn)
    }

    /// All polls that votes can have come to, and that are not put away.
    async fn polls(&self) -> Result<Vec<Arc<Poll>>, StoreError> {
        let (mut polls, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.store.list_polls(PollQuery { status: None, limit: POLLS_PAGE, cursor }).await?;
            let begun = |poll: &Arc<Poll>| !matches!(poll.status, Status::Draft | Status::Scheduled);
            polls.extend(page.polls.into_iter().filter(begun));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(polls);
            }
        }
    }

    /// Whether a poll is exported now: for the last time when it has ended, before that if it has changed.
    async fn is_wanted(&self, poll: &Poll, is_due: bool) -> Result<bool, StoreError> {
        let exported = self.state.polls.get(&poll.id).filter(|known| known.created_at == poll.created_at);
        if has_ended(poll) {
            return Ok(exported.is_none_or(|exported| !exported.is_final));
        }
        if !is_due {
            return Ok(false);
        }
        let sequence = self.store.tally(&poll.id).await?.tally.sequence.0;
        Ok(exported.is_none_or(|exported| exported.sequence != sequence))
    }

    async fn export(&mut self, poll: &Poll, now: Timestamp) -> Result<String, TurnError> {
        let key = self.free_key(now, |moment| {
            format!("exports/{}/{}_results.csv", folder_name(&poll.id), moment.replace('-', "_"))
        });
        let failed = |source| TurnError::Folder { path: self.options.folder.join(&key), source };
        let mut export =
            Export::begin(&self.store, &poll.id, Format::Csv, self.options.voters.clone()).await?;
        let mut file = self.folder.begin(&key).map_err(failed)?;
        while let Some(piece) = export.next().await? {
            file.add(&piece).map_err(failed)?;
        }
        let written = file.finish().map_err(failed)?;
        let sequence = export.last().0;
        // The poll may have ended since it was listed; then its last votes are in the next export.
        let is_final = has_ended(poll);
        let line = json!({"pollId": poll.id, "sequence": sequence, "final": is_final});
        self.note(&key, &written, line, now)?;
        let exported = Exported { created_at: poll.created_at, sequence, is_final, key: key.clone() };
        self.state.polls.insert(poll.id.clone(), exported);
        Ok(key)
    }

    /// Writes the results of all polls, if that is due.
    async fn take_snapshot(
        &mut self,
        polls: &[Arc<Poll>],
        now: Timestamp,
    ) -> Result<Option<String>, TurnError> {
        let (mut sequences, mut votes) = (0, 0);
        for poll in polls {
            let tally = self.store.tally(&poll.id).await?.tally;
            sequences += tally.sequence.0;
            votes += tally.votes;
        }
        let ExporterOptions { snapshot_minutes, snapshot_votes, .. } = self.options;
        let age_seconds = now.seconds() - self.state.snapshot_at.seconds();
        let is_old = snapshot_minutes > 0 && age_seconds >= snapshot_minutes * SECONDS_PER_MINUTE;
        let is_much = snapshot_votes > 0 && votes.abs_diff(self.state.snapshot_votes) >= snapshot_votes;
        if sequences == self.state.snapshot_sequences || !(is_old || is_much) {
            return Ok(None);
        }
        let mut all = Vec::with_capacity(polls.len());
        for poll in polls {
            all.push(results_of(&self.store, &poll.id).await?);
        }
        let key = self.free_key(now, |moment| format!("snapshots/results-{moment}.json"));
        let snapshot = json!({"timestamp": now, "results": all}).to_string();
        let written = self.folder.write(&key, snapshot.as_bytes());
        let written = written.map_err(|source| self.failed(&key, source))?;
        self.note(&key, &written, json!({}), now)?;
        self.state.snapshot_at = now;
        (self.state.snapshot_sequences, self.state.snapshot_votes) = (sequences, votes);
        Ok(Some(key))
    }

    /// Adds a file to the manifest.
    fn note(&self, key: &str, written: &Written, mut line: Value, now: Timestamp) -> Result<(), TurnError> {
        line["key"] = key.into();
        line["sha256"] = written.sha256.as_str().into();
        line["bytes"] = written.bytes.into();
        line["at"] = now.to_string().into();
        let line = format!("{line}\n");
        self.folder.append(MANIFEST_KEY, line.as_bytes()).map_err(|source| self.failed(MANIFEST_KEY, source))
    }

    /// The newest export of each poll, as QuickSight asks for it.
    fn write_quicksight(&self) -> Result<(), TurnError> {
        let own = || format!("file://{}", absolute(self.folder.path()).display());
        let url = self.options.url.clone().unwrap_or_else(own);
        let url = url.trim_end_matches('/');
        let files: Vec<_> =
            self.state.polls.values().map(|exported| format!("{url}/{}", exported.key)).collect();
        let settings =
            json!({"format": "CSV", "delimiter": ",", "textqualifier": "\"", "containsHeader": "true"});
        let manifest = json!({"fileLocations": [{"URIs": files}], "globalUploadSettings": settings});
        let written = self.folder.write(QUICKSIGHT_KEY, manifest.to_string().as_bytes());
        written.map(|_| ()).map_err(|source| self.failed(QUICKSIGHT_KEY, source))
    }

    /// A name that no file has yet: that of the moment, or of the next second that is free.
    fn free_key(&self, now: Timestamp, name: impl Fn(&str) -> String) -> String {
        let mut moment = now;
        loop {
            let key = name(&digits(moment));
            if !self.folder.has(&key) {
                return key;
            }
            moment = moment.plus_seconds(1);
        }
    }

    fn failed(&self, key: &str, source: io::Error) -> TurnError {
        TurnError::Folder { path: self.options.folder.join(key), source }
    }
}

fn has_ended(poll: &Poll) -> bool {
    matches!(poll.status, Status::Closed | Status::Certified | Status::Archived)
}

/// The results of a poll as its owner sees them.
async fn results_of(store: &Arc<dyn Store>, poll: &PollId) -> Result<Value, TurnError> {
    let (snapshot, profile) = store.profile(poll, Profile::new(0)).await?;
    let counted = move || {
        let count = count(&snapshot.poll, &snapshot.tally, profile.as_ref());
        serde_json::to_value(results(&snapshot.poll, &snapshot.tally, Some(&count)))
    };
    let counted = tokio::task::spawn_blocking(counted).await;
    let unwritten = |error: &dyn std::error::Error| TurnError::Export(ExportError::Write(error.to_string()));
    counted.map_err(|error| unwritten(&error))?.map_err(|error| unwritten(&error))
}

/// A moment as `20261201-120000`, in UTC.
fn digits(moment: Timestamp) -> String {
    let text = moment.to_string();
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    let time = time.split('.').next().unwrap_or_default();
    format!("{}-{}", day.replace('-', ""), time.replace(':', ""))
}

/// A poll's id as a folder's name; ids of points alone would name other folders.
fn folder_name(poll: &PollId) -> String {
    let id = poll.as_str();
    if id.bytes().all(|byte| byte == b'.') { id.replace('.', "%2E") } else { id.to_owned() }
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
