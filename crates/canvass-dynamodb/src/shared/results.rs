//! Results in Redis: one whole value for each poll, kept for a moment.
//!
//! Age is measured by Redis alone: who finds nothing is told Redis's time, reads the tables then, and brings the result
//! with that time. So no clock of a server matters, and a result that was long on its way is refused.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use canvass_domain::{Poll, PollId, tally::Books};
use canvass_store::Snapshot;
use redis::Script;
use serde::{Deserialize, Serialize};

use super::Shared;
use crate::{items::PollKey, limits::RESULT_BYTES_MAX, tally::Known};

pub(super) struct Results {
    /// What the names of all keys begin with.
    prefix: String,
    /// Where word of new results is published.
    pub(super) channel: String,
    age_milliseconds_max: u64,
    look: Script,
    keep: Script,
    found: AtomicU64,
    missed: AtomicU64,
}

/// What was found, and Redis's time of it in milliseconds.
pub(crate) struct Looked {
    pub(crate) at_milliseconds: i64,
    pub(crate) found: Found,
}

/// What Redis knows of a poll's result.
pub(crate) enum Found {
    /// Nothing, or less than who asks has already.
    Nothing,
    /// What who asks has already.
    Same,
    /// Something newer.
    Newer(Box<Known>),
}

/// What stands before the tally's bytes, as one line of JSON.
#[derive(Serialize, Deserialize)]
struct Header<P> {
    format: u32,
    life: u32,
    events: u64,
    poll: P,
}

/// Raised when the value changes: another format's values are not read.
const FORMAT: u32 = 1;

impl Results {
    pub(super) fn new(table_prefix: &str, age_max: Duration) -> Self {
        Self {
            age_milliseconds_max: u64::try_from(age_max.as_millis()).unwrap_or(u64::MAX),
            prefix: format!("canvass:{table_prefix}:result"),
            channel: format!("canvass:{table_prefix}:results"),
            look: Script::new(include_str!("look.lua")),
            keep: Script::new(include_str!("keep.lua")),
            found: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        }
    }

    pub(super) fn found(&self) -> u64 {
        self.found.load(Ordering::Relaxed)
    }

    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    fn key(&self, poll: &PollId) -> String {
        format!("{}:{{{poll}}}", self.prefix)
    }
}

impl Shared {
    /// Looks for a poll's result that is newer than what is held; none if Redis cannot be asked.
    pub(crate) async fn result(&self, poll: &PollId, held: Option<&Known>) -> Option<Looked> {
        let state =
            held.map(|known| (i64::from(known.key.life), known.snapshot.tally.sequence.0.cast_signed()));
        let (at_milliseconds, state, value) = self.look(poll, state.unwrap_or((-1, -1))).await?;
        let newer = value.filter(|_| state == NEWER).and_then(|value| decode(poll, &value));
        let found = match (state, newer) {
            (_, Some(known)) => Found::Newer(Box::new(known)),
            (SAME, None) => Found::Same,
            _ => Found::Nothing,
        };
        let counter =
            if matches!(found, Found::Nothing) { &self.results.missed } else { &self.results.found };
        counter.fetch_add(1, Ordering::Relaxed);
        Some(Looked { at_milliseconds, found })
    }

    /// Redis's time in milliseconds; none if it cannot be asked.
    pub(crate) async fn time(&self, poll: &PollId) -> Option<i64> {
        self.look(poll, (i64::MAX, i64::MAX)).await.map(|(at, ..)| at)
    }

    async fn look(&self, poll: &PollId, held: (i64, i64)) -> Option<(i64, i64, Option<Vec<u8>>)> {
        let mut script = self.results.look.key(self.results.key(poll));
        script.arg(held.0).arg(held.1).arg(self.results.age_milliseconds_max);
        self.link.ask(&script).await
    }

    /// Keeps a result that was read from the tables after a time of Redis, unless a newer one is kept, and publishes
    /// word of it if it is new.
    pub(crate) async fn keep_result(&self, known: &Known, asked_at_milliseconds: i64) {
        let sequence = known.snapshot.tally.sequence.0;
        let Some(value) = encode(known).filter(|value| value.len() <= RESULT_BYTES_MAX) else { return };
        let poll = &known.key.id;
        let mut script = self.results.keep.key(self.results.key(poll));
        script
            .arg(known.key.life)
            .arg(sequence)
            .arg(asked_at_milliseconds)
            .arg(self.results.age_milliseconds_max);
        script.arg(value).arg(&self.results.channel).arg(format!("{sequence} {poll}"));
        // Whether it was kept is of no matter: what is newer was kept by another server.
        let _: Option<i64> = self.link.ask(&script).await;
    }
}

/// What the script says of what it found.
const SAME: i64 = 1;
const NEWER: i64 = 2;

fn encode(known: &Known) -> Option<Vec<u8>> {
    let Snapshot { poll, tally } = &known.snapshot;
    let header = Header { format: FORMAT, life: known.key.life, events: known.events, poll: &**poll };
    let mut value = serde_json::to_vec(&header).ok()?;
    value.push(b'\n');
    Books::encode(tally, None, &mut value);
    Some(value)
}

/// None of what is not this program's, or another poll's.
fn decode(id: &PollId, value: &[u8]) -> Option<Known> {
    let end = value.iter().position(|byte| *byte == b'\n')?;
    let header: Header<Poll> = serde_json::from_slice(&value[..end]).ok()?;
    if header.format != FORMAT || header.poll.id != *id {
        return None;
    }
    let tally = Arc::new(Books::decode(&header.poll, &value[end + 1..]).ok()?.tally);
    let key = PollKey { id: id.clone(), life: header.life };
    Some(Known::new(key, header.events, Snapshot { poll: Arc::new(header.poll), tally }))
}
