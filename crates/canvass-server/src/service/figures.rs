//! Figures of single polls for those who may see results: the open polls with the most votes, and what their voters told
//! in dimensions whose values are declared.
//!
//! They are read from the tallies when somebody asks, so that voting pays nothing for them. A value that voters may
//! choose freely is no label: it could be anything, a name as well. Nor are polls that hide small groups broken down.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use canvass_domain::{Poll, poll::Status, results::may_see};
use canvass_store::{PollQuery, Snapshot, limits::POLLS_PAGE_MAX};

use crate::{
    app::App,
    limits::{POLL_FIGURES_MAX, POLL_FIGURES_READ_MAX},
    metrics::{family, line},
    service::Failure,
};

impl App {
    /// The figures as Prometheus reads them. None where reading a tally costs a request to another machine.
    pub(crate) async fn poll_figures(&self) -> Result<String, Failure> {
        if !self.store().tally_lag_max().is_zero() {
            return Ok(String::new());
        }
        let mut snapshots = Vec::new();
        for poll in self.newest_open_polls().await? {
            // A poll may be deleted in between.
            snapshots.extend(self.store().tally(&poll.id).await.ok());
        }
        snapshots.sort_by_key(|snapshot| Reverse(snapshot.tally.votes));
        snapshots.truncate(POLL_FIGURES_MAX);
        Ok(render(&snapshots))
    }

    async fn newest_open_polls(&self) -> Result<Vec<Arc<Poll>>, Failure> {
        let mut query = PollQuery { status: Some(Status::Open), limit: POLLS_PAGE_MAX, cursor: None };
        let mut polls = Vec::new();
        loop {
            let page = self.store().list_polls(query.clone()).await.map_err(|error| self.failed(error))?;
            polls.extend(page.polls);
            if page.next.is_none() || polls.len() >= POLL_FIGURES_READ_MAX {
                return Ok(polls);
            }
            query.cursor = page.next;
        }
    }
}

fn render(snapshots: &[Snapshot]) -> String {
    let mut text = String::new();
    let name = "canvass_poll_votes";
    family(&mut text, name, "gauge", "Votes that count in the open polls that have the most.");
    for Snapshot { poll, tally } in snapshots {
        line(&mut text, format_args!("{name}{{poll=\"{}\"}} {}", poll.id, tally.votes));
    }
    let name = "canvass_answer_votes";
    family(
        &mut text,
        name,
        "gauge",
        "Votes in these polls by what their voters told, where that is declared.",
    );
    for ((dimension, value), votes) in answers(snapshots) {
        let (dimension, value) = (escape(&dimension), escape(&value));
        line(&mut text, format_args!("{name}{{dimension=\"{dimension}\",value=\"{value}\"}} {votes}"));
    }
    text
}

fn answers(snapshots: &[Snapshot]) -> BTreeMap<(String, String), u64> {
    let mut answers = BTreeMap::new();
    for Snapshot { poll, tally } in snapshots {
        if poll.minimum_cell > 0 || !may_see(poll, false) {
            continue;
        }
        for ((dimension, declared), told) in poll.demographics.iter().zip(&tally.breakdowns) {
            for value in declared.iter().flatten() {
                let votes = told.values.get(value).map_or(0, |count| count.votes);
                *answers.entry((dimension.clone(), value.clone())).or_default() += votes;
            }
        }
    }
    answers
}

/// A label's value in the text format.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
