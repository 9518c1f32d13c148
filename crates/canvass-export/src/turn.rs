//! One turn of the exports by the clock: what is due is written, then the manifest of it, then what is remembered.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use canvass_domain::{
    Poll, PollId, Profile, Timestamp,
    poll::Status,
    results::{count, results},
};
use canvass_store::{Feed, PollQuery, Store, StoreError};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    Export, ExportError, Exporter, ExporterOptions, Format, Turn, TurnError,
    exporter::Memory,
    limits::{PAUSE_MAX, PAUSE_PARTS, POLLS_PAGE},
    names,
    place::{Unfinished, Written},
    retention,
    state::Exported,
};

const SECONDS_PER_MINUTE: i64 = 60;

/// Does what is due. What was done before something failed is remembered all the same.
pub(crate) async fn run(exporter: &Exporter, memory: &mut Memory, now: Timestamp) -> Result<Turn, TurnError> {
    memory.has_changed |= memory.state.forget_what_is_ahead(now);
    let due = exporter.options.schedule.due(memory.state.ran_at, now);
    let look = look(exporter, memory, now);
    if due.is_none() && look.is_some() && memory.looked == look && !memory.has_changed {
        return Ok(Turn::default());
    }
    memory.looked = None;
    let mut pass = Pass { exporter, memory, now, turn: Turn::default() };
    let outcome = pass.write_what_is_due(due).await;
    if outcome.is_ok() || !pass.memory.unlisted.is_empty() {
        pass.keep().await?;
    }
    outcome?;
    if due.is_some() {
        pass.age_files().await?;
        pass.keep().await?;
    }
    pass.memory.looked = look;
    Ok(pass.turn)
}

/// What decides, beside the schedule, whether anything is to be written: where a store's records end that has them in one
/// order, and whether a snapshot is old. While it is as it was, no poll need be looked at.
fn look(exporter: &Exporter, memory: &Memory, now: Timestamp) -> Option<(u64, bool)> {
    let end = exporter.store.feed()?.end();
    Some((end, is_snapshot_old(&exporter.options, memory, now)))
}

fn is_snapshot_old(options: &ExporterOptions, memory: &Memory, now: Timestamp) -> bool {
    let age_seconds = now.seconds() - memory.state.snapshot_at.seconds();
    options.snapshot_minutes > 0 && age_seconds >= options.snapshot_minutes * SECONDS_PER_MINUTE
}

struct Pass<'a> {
    exporter: &'a Exporter,
    memory: &'a mut Memory,
    now: Timestamp,
    turn: Turn,
}

impl Pass<'_> {
    async fn write_what_is_due(&mut self, due: Option<Timestamp>) -> Result<(), TurnError> {
        let polls = self.polls().await?;
        self.export_polls(&polls, due).await?;
        if due.is_some() {
            self.memory.state.ran_at = self.now;
            let is_there = |id: &PollId| polls.iter().any(|poll| poll.id == *id);
            self.memory.state.polls.retain(|id, _| is_there(id));
            self.memory.has_changed = true;
        }
        self.take_snapshot(&polls).await
    }

    /// All polls that votes can have come to.
    async fn polls(&self) -> Result<Vec<Arc<Poll>>, StoreError> {
        let (mut polls, mut cursor) = (Vec::new(), None);
        loop {
            let query = PollQuery { status: None, limit: POLLS_PAGE, cursor };
            let page = self.exporter.store.list_polls(query).await?;
            let begun = |poll: &Arc<Poll>| !matches!(poll.status, Status::Draft | Status::Scheduled);
            polls.extend(page.polls.into_iter().filter(begun));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(polls);
            }
        }
    }

    /// Exports the polls that are to be. One that cannot be read does not keep back the others; a destination that
    /// cannot be written does.
    async fn export_polls(&mut self, polls: &[Arc<Poll>], due: Option<Timestamp>) -> Result<(), TurnError> {
        let mut unread = None;
        for poll in polls {
            match self.export_if_wanted(poll, due).await {
                Ok(()) => {}
                Err(error @ TurnError::Place { .. }) => return Err(error),
                Err(error) => unread = Some(error),
            }
        }
        unread.map_or(Ok(()), Err)
    }

    async fn export_if_wanted(&mut self, poll: &Poll, due: Option<Timestamp>) -> Result<(), TurnError> {
        if self.is_wanted(poll, due).await? {
            let key = self.export(poll).await?;
            self.turn.written.push(key);
        }
        Ok(())
    }

    /// Whether a poll is exported now: for the last time when it has ended, before that if it has changed.
    async fn is_wanted(&self, poll: &Poll, due: Option<Timestamp>) -> Result<bool, StoreError> {
        let known = self.memory.state.polls.get(&poll.id);
        let exported = known.filter(|known| known.created_at == poll.created_at);
        if has_ended(poll) {
            return Ok(exported.is_none_or(|exported| !exported.is_final));
        }
        let Some(due) = due else { return Ok(false) };
        let Some(exported) = exported else { return Ok(true) };
        // In a turn that failed, some polls were exported that are still due for the others.
        if exported.at >= due {
            return Ok(false);
        }
        Ok(exported.sequence != self.exporter.store.tally(&poll.id).await?.tally.sequence.0)
    }

    async fn export(&mut self, poll: &Poll) -> Result<String, TurnError> {
        let Exporter { store, options, place, .. } = self.exporter;
        let key = self.free_key(|moment| names::export(&poll.id, moment)).await?;
        let failed = |source| self.exporter.failed(&key, source);
        let mut export = Export::begin(store, &poll.id, Format::Csv, options.voters.clone()).await?;
        let mut file = place.begin(&key).map_err(failed)?;
        if let Err(error) = self.fill(&mut file, &mut export, &key).await {
            file.abort().await;
            return Err(error);
        }
        let written = file.finish().await.map_err(failed)?;
        let sequence = export.last().0;
        // The poll may have ended since it was listed; then its last votes are in the next export.
        let is_final = has_ended(poll);
        let line = json!({"pollId": poll.id, "sequence": sequence, "final": is_final});
        self.note(&key, &written, line);
        if is_final {
            self.turn.ended.push(poll.id.clone());
        }
        let (created_at, at) = (poll.created_at, self.now);
        let exported = Exported { created_at, sequence, is_final, at, key: Some(key.clone()) };
        self.memory.state.polls.insert(poll.id.clone(), exported);
        self.memory.is_quicksight_old = true;
        Ok(key)
    }

    /// Writes an export. While votes come in it pauses after each piece, so that most of a processor is left to them.
    async fn fill(&self, file: &mut Unfinished, export: &mut Export, key: &str) -> Result<(), TurnError> {
        let records_end = || self.exporter.store.feed().map(Feed::end);
        let (mut began, mut end) = (Instant::now(), records_end());
        while let Some(piece) = export.next().await? {
            file.add(piece).await.map_err(|source| self.exporter.failed(key, source))?;
            let end_before = std::mem::replace(&mut end, records_end());
            if end != end_before {
                sleep(pause_after(began.elapsed())).await;
            }
            began = Instant::now();
        }
        Ok(())
    }

    /// Writes the results of all polls, if that is due. Nothing is added up before it can be.
    async fn take_snapshot(&mut self, polls: &[Arc<Poll>]) -> Result<(), TurnError> {
        let ExporterOptions { snapshot_votes, .. } = self.exporter.options;
        let is_old = is_snapshot_old(&self.exporter.options, self.memory, self.now);
        if !is_old && snapshot_votes == 0 {
            return Ok(());
        }
        let store = &self.exporter.store;
        let (mut sequences, mut votes) = (0, 0);
        for poll in polls {
            let tally = store.tally(&poll.id).await?.tally;
            sequences += tally.sequence.0;
            votes += tally.votes;
        }
        let is_much =
            snapshot_votes > 0 && votes.abs_diff(self.memory.state.snapshot_votes) >= snapshot_votes;
        if sequences == self.memory.state.snapshot_sequences || !(is_old || is_much) {
            return Ok(());
        }
        let mut all = Vec::with_capacity(polls.len());
        for poll in polls {
            all.push(results_of(store, &poll.id).await?);
        }
        let key = self.free_key(names::snapshot).await?;
        let snapshot = json!({"timestamp": self.now, "results": all}).to_string();
        let written = self.write(&key, snapshot.into()).await?;
        self.note(&key, &written, json!({}));
        let state = &mut self.memory.state;
        state.snapshot_at = self.now;
        (state.snapshot_sequences, state.snapshot_votes) = (sequences, votes);
        self.turn.written.push(key);
        Ok(())
    }

    /// Compresses, moves or deletes what is old enough.
    async fn age_files(&mut self) -> Result<(), TurnError> {
        let Exporter { options, place, .. } = self.exporter;
        let Some(folder) = place.folder() else { return Ok(()) };
        let failed = |key: &str, source| self.exporter.failed(key, source);
        let aged = retention::aged(folder, &options.retention, self.now);
        for aged in aged.map_err(|source| failed("exports", source))? {
            let key = retention::age(folder, &options.retention, &aged);
            let key = key.map_err(|source| failed(&aged.key, source))?;
            let mut polls = self.memory.state.polls.values_mut();
            if let Some(exported) = polls.find(|exported| exported.key.as_ref() == Some(&aged.key)) {
                exported.key = key;
                (self.memory.has_changed, self.memory.is_quicksight_old) = (true, true);
            }
            // A server that stops waits for one file, not for all.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Remembers a file for the manifest.
    fn note(&mut self, key: &str, written: &Written, mut line: Value) {
        line["key"] = key.into();
        line["sha256"] = written.sha256.as_str().into();
        line["bytes"] = written.bytes.into();
        line["at"] = self.now.to_string().into();
        self.memory.unlisted.push(line);
        self.memory.has_changed = true;
    }

    /// Writes what is known of the files that are there, and last what the next turn goes on from.
    async fn keep(&mut self) -> Result<(), TurnError> {
        if self.memory.is_quicksight_old {
            self.write(names::QUICKSIGHT, self.quicksight().to_string().into()).await?;
            self.memory.is_quicksight_old = false;
        }
        if !self.memory.unlisted.is_empty() {
            let lines = self
                .memory
                .unlisted
                .iter()
                .fold(String::new(), |lines, line| lines + &line.to_string() + "\n");
            let key = self.free_key(names::manifest).await?;
            self.write(&key, lines.into()).await?;
            self.memory.unlisted.clear();
        }
        if self.memory.has_changed {
            let failed = |source| self.exporter.failed(names::STATE, source);
            let state = serde_json::to_vec(&self.memory.state).map_err(|error| failed(error.into()))?;
            let kept = self.exporter.place.replace(names::STATE, state.into(), &self.memory.revision).await;
            self.memory.revision = kept.map_err(failed)?;
            self.memory.has_changed = false;
        }
        Ok(())
    }

    /// The newest export of each poll, as QuickSight asks for it.
    fn quicksight(&self) -> Value {
        let Exporter { options, place, .. } = self.exporter;
        let url = options.url.clone().unwrap_or_else(|| place.url());
        let url = url.trim_end_matches('/');
        let keys = self.memory.state.polls.values().filter_map(|exported| exported.key.as_deref());
        let files: Vec<_> = keys.map(|key| format!("{url}/{key}")).collect();
        let settings =
            json!({"format": "CSV", "delimiter": ",", "textqualifier": "\"", "containsHeader": "true"});
        json!({"fileLocations": [{"URIs": files}], "globalUploadSettings": settings})
    }

    async fn write(&self, key: &str, bytes: Bytes) -> Result<Written, TurnError> {
        let written = self.exporter.place.write(key, bytes).await;
        written.map_err(|source| self.exporter.failed(key, source))
    }

    /// A name that no file has yet: that of the moment, or of the next second that is free.
    async fn free_key(&self, name: impl Fn(Timestamp) -> String) -> Result<String, TurnError> {
        let mut moment = self.now;
        loop {
            let key = name(moment);
            let has = self.exporter.place.has(&key).await;
            if !has.map_err(|source: io::Error| self.exporter.failed(&key, source))? {
                return Ok(key);
            }
            moment = moment.plus_seconds(1);
        }
    }
}

/// What others get after a piece that took so long.
fn pause_after(took: Duration) -> Duration {
    (took * PAUSE_PARTS).min(PAUSE_MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_stood_still_does_not_hold_an_export_back() {
        assert_eq!(pause_after(Duration::from_millis(2)), Duration::from_millis(18));
        assert_eq!(pause_after(Duration::from_mins(1)), PAUSE_MAX);
    }
}
