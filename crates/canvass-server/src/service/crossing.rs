//! Cross-tables and filtered breakdowns: folded from a poll's records when somebody asks, off the way of votes, one at a
//! time, and kept for their sequence.

use std::collections::VecDeque;

use canvass_domain::{
    PollId, Sequence, Timestamp,
    crossing::{CrossTable, Crossing, Cube},
    key::Scope,
    record::Record,
    vote::Operation,
};
use canvass_export::Source;
use parking_lot::Mutex;
use tokio::sync;

use crate::{
    app::App,
    limits::{CROSSED_RECORDS_MAX, CROSSINGS_READY_MAX},
    service::{Caller, Failure, results::Seen},
};

/// The newest tables, and whose turn it is to make one.
#[derive(Default)]
pub(crate) struct Crossings {
    ready: Mutex<VecDeque<Ready>>,
    turn: sync::Mutex<()>,
}

struct Ready {
    poll: PollId,
    /// Tells a poll from one that had its id before.
    created_at: Timestamp,
    sequence: Sequence,
    crossing: Crossing,
    table: CrossTable,
}

impl Crossings {
    fn find(&self, seen: &Seen, crossing: &Crossing) -> Option<CrossTable> {
        let (poll, sequence) = (&seen.snapshot.poll, seen.snapshot.tally.sequence);
        let is_it = |ready: &&Ready| {
            (&ready.poll, ready.created_at, ready.sequence) == (&poll.id, poll.created_at, sequence)
                && ready.crossing == *crossing
        };
        self.ready.lock().iter().find(is_it).map(|ready| ready.table.clone())
    }

    fn keep(&self, made: Ready) {
        let mut ready = self.ready.lock();
        ready.truncate(CROSSINGS_READY_MAX - 1);
        ready.push_front(made);
    }
}

impl App {
    /// Whether a caller may have tables that are folded from the records of a poll: whoever reads results by a key, and
    /// where small figures are hidden, after the end. While votes come in, what two tables differ in would tell of a
    /// vote.
    pub(crate) fn may_cross(seen: &Seen, caller: &Caller) -> Result<(), Failure> {
        seen.refuse_hidden()?;
        caller.require(Scope::ResultsRead)?;
        let poll = &seen.snapshot.poll;
        if poll.minimum_cell > 0 && !poll.status.is_over() {
            return Err(Failure::ResultsHidden(
                "this poll hides small groups, so its cross-tables are shown after the end",
            ));
        }
        if seen.snapshot.tally.sequence > CROSSED_RECORDS_MAX {
            return Err(Failure::ResultsHidden(
                "this poll has too many records for a cross-table; export its votes",
            ));
        }
        Ok(())
    }

    /// A table of what voters told, at the sequence that was seen or a newer one.
    ///
    /// # Errors
    /// As [`App::may_cross`] says; dimensions that the poll does not declare, or that stand twice; whatever keeps the
    /// records from being read.
    pub(crate) async fn cross(
        &self,
        seen: &Seen,
        caller: &Caller,
        crossing: &Crossing,
    ) -> Result<CrossTable, Failure> {
        Self::may_cross(seen, caller)?;
        let crossings = &self.parts.crossings;
        if let Some(table) = crossings.find(seen, crossing) {
            return Ok(table);
        }
        let _turn = crossings.turn.lock().await;
        if let Some(table) = crossings.find(seen, crossing) {
            return Ok(table);
        }
        let table = self.fold_crossing(seen, crossing).await?;
        crossings.keep(Ready {
            poll: seen.snapshot.poll.id.clone(),
            created_at: seen.snapshot.poll.created_at,
            sequence: seen.snapshot.tally.sequence,
            crossing: crossing.clone(),
            table: table.clone(),
        });
        Ok(table)
    }

    async fn fold_crossing(&self, seen: &Seen, crossing: &Crossing) -> Result<CrossTable, Failure> {
        let (poll, tally) = (&seen.snapshot.poll, &seen.snapshot.tally);
        let cube = Cube::new(poll, tally, crossing.clone());
        let mut cube = cube.ok_or_else(|| {
            Failure::invalid("rows", "names a dimension twice, or one that the poll does not declare")
        })?;
        let mut votes = Source::begin(self.store(), &poll.id).await.map_err(|error| self.failed(error))?;
        loop {
            let entries = votes.page().await.map_err(|error| self.failed(error))?;
            if entries.is_empty() {
                return Ok(cube.table(poll.minimum_cell));
            }
            for recorded in &entries {
                let Record::Vote(vote) = &recorded.entry.record else { continue };
                let counts = vote.operation != Operation::Withdraw
                    && !votes.is_replaced(recorded.entry.place.sequence);
                if let Some(marked) = vote.added().filter(|_| counts) {
                    cube.add(&marked);
                }
            }
            // A long fold must not keep this thread's voters waiting.
            tokio::task::yield_now().await;
        }
    }
}
