//! Results: who may see them, and their JSON, made once for each sequence.

use std::sync::Arc;

use bytes::Bytes;
use canvass_domain::{
    Count, Poll, PollId, Sequence, Timestamp, VoterId,
    key::Scope,
    poll::{Access, ResultsVisible, Status},
    results::{TimelineView, TimelineWidth, may_see, results, timeline},
};
use canvass_store::Snapshot;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::{
    app::App,
    limits::RESULTS_READY_MAX,
    service::{Caller, Failure, answer::write_json, counting::Counted, votes::Identity},
};

/// What a caller shows to see a count.
#[derive(Debug)]
pub(crate) struct Viewer<'a> {
    pub(crate) caller: &'a Caller,
    /// A one-time code.
    pub(crate) code: Option<&'a str>,
    /// The voter whose receipt in the poll the caller holds.
    pub(crate) holder: Option<VoterId>,
    /// The voter that a caller with a key asks for.
    pub(crate) voter: Option<VoterId>,
    /// Whether an administrator asks to see it against the poll's rule.
    pub(crate) reveal: bool,
}

/// A poll with its tally, and what the caller may see of it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) snapshot: Snapshot,
    /// Whether the count may be seen, or the turnout alone.
    pub(crate) visible: bool,
    /// What lets the caller see it, also when the poll has changed.
    pub(crate) view: View,
    /// Whether another caller may see less: no shared cache may keep it.
    pub(crate) restricted: bool,
}

/// What a caller showed that counts for whether a poll's count may be seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    has_voted: bool,
    reveal: bool,
}

impl View {
    /// Whether the count may be seen, or the turnout alone.
    pub(crate) fn sees(self, poll: &Poll) -> bool {
        self.reveal || may_see(poll, self.has_voted)
    }
}

impl Seen {
    /// All of a poll: for those who tell others no more than they may see.
    pub(crate) fn whole(snapshot: Snapshot) -> Self {
        let view = View { has_voted: true, reveal: true };
        Self { snapshot, visible: true, view, restricted: true }
    }

    /// What anybody may see of a poll who may see it at all: no more is told to other machines.
    pub(crate) fn by_anybody(snapshot: Snapshot) -> Self {
        let view = View { has_voted: false, reveal: false };
        Self { visible: view.sees(&snapshot.poll), snapshot, view, restricted: true }
    }

    /// A timeline, for those who may see the count.
    pub(crate) fn timeline(&self, width: TimelineWidth) -> Result<TimelineView, Failure> {
        self.refuse_hidden()?;
        Ok(timeline(&self.snapshot.poll, &self.snapshot.tally, width))
    }

    /// Refuses those who may not see the count.
    pub(crate) fn refuse_hidden(&self) -> Result<(), Failure> {
        if self.visible {
            return Ok(());
        }
        Err(Failure::ResultsHidden(match self.snapshot.poll.results_visible {
            ResultsVisible::AfterVote => {
                "this poll shows its count to those who have voted, and to all after the end"
            }
            ResultsVisible::AfterClose => "this poll shows its count after the end",
            ResultsVisible::Private | ResultsVisible::Live => "this poll does not show its count",
        }))
    }
}

/// Results' JSON, kept for the newest sequence of each poll.
#[derive(Default)]
pub(crate) struct ResultsReady(Mutex<FxHashMap<PollId, [Option<Ready>; 2]>>);

struct Ready {
    sequence: Sequence,
    /// Tells a poll from one that had its id before.
    created_at: Timestamp,
    json: Bytes,
}

impl ResultsReady {
    fn find(&self, snapshot: &Snapshot, visible: bool) -> Option<Bytes> {
        let ready = self.0.lock();
        let ready = ready.get(&snapshot.poll.id)?[usize::from(visible)].as_ref()?;
        let is_same =
            ready.sequence == snapshot.tally.sequence && ready.created_at == snapshot.poll.created_at;
        is_same.then(|| ready.json.clone())
    }

    fn make(&self, snapshot: &Snapshot, count: Option<&Count>) -> Bytes {
        let Snapshot { poll, tally } = snapshot;
        let mut json = Vec::with_capacity(1_024);
        write_json(&mut json, &results(poll, tally, count));
        let json = Bytes::from(json);
        let mut ready = self.0.lock();
        if ready.len() >= RESULTS_READY_MAX && !ready.contains_key(&poll.id) {
            ready.clear();
        }
        let slot = &mut ready.entry(poll.id.clone()).or_default()[usize::from(count.is_some())];
        *slot = Some(Ready { sequence: tally.sequence, created_at: poll.created_at, json: json.clone() });
        json
    }
}

impl App {
    /// A poll's tally, with what the viewer may see of it.
    ///
    /// # Errors
    /// A viewer who may not even know the turnout.
    pub(crate) async fn see(&self, poll: &PollId, viewer: &Viewer<'_>) -> Result<Seen, Failure> {
        let snapshot = self.store().tally(poll).await.map_err(|error| self.failed(error))?;
        let view = self.view(&snapshot.poll, viewer).await?;
        let restricted = !is_open_to_all(&snapshot.poll)
            || snapshot.poll.results_visible != ResultsVisible::Live
            || viewer.reveal;
        Ok(Seen { visible: view.sees(&snapshot.poll), snapshot, view, restricted })
    }

    /// The JSON of what is seen, with its sequence: that of the poll, or in a poll that takes long to count, that of
    /// its newest count.
    pub(crate) async fn results_json(&self, seen: &Seen) -> Result<(Bytes, Sequence), Failure> {
        let (ready, snapshot) = (&self.parts.results, &seen.snapshot);
        if let Some(json) = ready.find(snapshot, seen.visible) {
            return Ok((json, snapshot.tally.sequence));
        }
        if !seen.visible {
            return Ok((ready.make(snapshot, None), snapshot.tally.sequence));
        }
        let Counted { snapshot, count, .. } = self.counted(snapshot).await?;
        let json = ready.find(&snapshot, true).unwrap_or_else(|| ready.make(&snapshot, Some(&count)));
        Ok((json, snapshot.tally.sequence))
    }

    /// What is seen and its count, where that may be seen: of the poll as it stands, or in a poll that takes long to
    /// count, of its newest count.
    pub(crate) async fn results_counted(
        &self,
        seen: &Seen,
    ) -> Result<(Snapshot, Option<Arc<Count>>), Failure> {
        if !seen.visible {
            return Ok((seen.snapshot.clone(), None));
        }
        let Counted { snapshot, count, .. } = self.counted(&seen.snapshot).await?;
        Ok((snapshot, Some(count)))
    }

    async fn view(&self, poll: &Arc<Poll>, viewer: &Viewer<'_>) -> Result<View, Failure> {
        let asked = match &viewer.voter {
            Some(voter) => {
                viewer.caller.require(Scope::VotesRead)?;
                Some(voter.clone())
            }
            None => viewer.holder.clone().or_else(|| own_voter(poll, viewer)),
        };
        let must_have_voted =
            poll.results_visible == ResultsVisible::AfterVote || poll.access == Access::Code;
        let has_voted = match asked {
            Some(voter) if must_have_voted => self.standing_vote(&poll.id, &voter).await?.is_some(),
            _ => false,
        };
        let by_code = poll.access == Access::Code && viewer.voter.is_none() && has_voted;
        if !is_open_to_all(poll) && !by_code {
            viewer.caller.require(Scope::ResultsRead)?;
        }
        if viewer.reveal {
            viewer.caller.require(Scope::Admin)?;
            tracing::info!(poll = %poll.id, actor = viewer.caller.actor(), "hidden results were revealed");
        }
        Ok(View { has_voted, reveal: viewer.reveal })
    }
}

/// Whether anyone may read the poll's results, within its visibility.
pub(crate) fn is_open_to_all(poll: &Poll) -> bool {
    matches!(poll.access, Access::Public | Access::Open) && poll.status != Status::Draft
}

fn own_voter(poll: &Poll, viewer: &Viewer<'_>) -> Option<VoterId> {
    match poll.access {
        Access::Public => viewer.caller.device.clone(),
        Access::Code => viewer.code.map(|code| Identity::of_code(&poll.id, code).voter),
        Access::Open if poll.voter_from_address => Some(Identity::of_address(viewer.caller).voter),
        Access::Key | Access::Open => None,
    }
}
