//! Reads the ledger for one webhook, and makes of it what is to be delivered, in order.
//!
//! Results that are told by the clock wait for their time. Until they are told, the place from which a restart goes on
//! stays before the first vote that they are about, so that they are told after it too.

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroU64,
};

use canvass_domain::{PollId, Timestamp};
use canvass_store::{FeedPage, Happening, What};

use crate::service::events::{Event, EventKind, Wanted};

/// An event to deliver.
pub(super) struct Outgoing {
    pub(super) event: Event,
    /// Where a restart goes on once it is delivered.
    pub(super) resume: u64,
}

/// What was read and not yet delivered.
pub(super) struct Reader {
    pub(super) place: u64,
    wanted: Wanted,
    results_seconds: Option<NonZeroU64>,
    queue: VecDeque<Outgoing>,
    untold: BTreeMap<PollId, Untold>,
}

/// A poll with votes that nothing was told of.
struct Untold {
    first: u64,
    since: Timestamp,
    last: Happening,
}

impl Reader {
    pub(super) fn new(place: u64, wanted: Wanted, results_seconds: Option<NonZeroU64>) -> Self {
        Self { place, wanted, results_seconds, queue: VecDeque::new(), untold: BTreeMap::new() }
    }

    /// The next event that is ready.
    pub(super) fn next(&mut self) -> Option<Outgoing> {
        self.queue.pop_front()
    }

    /// Whether nothing waits for its time.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.untold.is_empty()
    }

    /// Takes in what happened next.
    pub(super) fn take(&mut self, page: FeedPage) {
        for happening in page.items {
            self.take_one(happening);
        }
        self.place = page.next;
    }

    /// Makes results ready whose time has come. All that wait are told with the first: so the order stays that of the
    /// ledger.
    pub(super) fn take_due(&mut self, now: Timestamp) {
        let Some(seconds) = self.results_seconds else { return };
        let seconds = i64::try_from(seconds.get()).unwrap_or(i64::MAX);
        if self.untold.values().any(|untold| untold.since.plus_seconds(seconds) <= now) {
            self.tell_all(self.place);
        }
    }

    fn take_one(&mut self, happening: Happening) {
        let event = self.wanted.event(&happening);
        let is_step = matches!(happening.what, What::Step(..));
        if is_step && event.is_some() {
            self.tell_all(happening.position);
        }
        if let Some(event) = event {
            self.untold.remove(&happening.poll);
            let resume = self.resume(happening.position + 1);
            self.queue.push_back(Outgoing { event, resume });
        } else if !is_step && self.results_seconds.is_some() && self.wanted.has_poll(&happening.poll) {
            self.wait(happening);
        }
    }

    fn wait(&mut self, happening: Happening) {
        if let Some(untold) = self.untold.get_mut(&happening.poll) {
            untold.last = happening;
            return;
        }
        let (first, since) = (happening.position, happening.at);
        self.untold.insert(happening.poll.clone(), Untold { first, since, last: happening });
    }

    fn tell_all(&mut self, then: u64) {
        let mut untold: Vec<_> = std::mem::take(&mut self.untold).into_values().collect();
        untold.sort_by_key(|untold| untold.last.position);
        let first = untold.iter().map(|untold| untold.first).min();
        let count = untold.len();
        for (index, untold) in untold.into_iter().enumerate() {
            let event = Event::new(EventKind::ResultsChanged, &untold.last);
            let resume = if index + 1 == count { then } else { first.unwrap_or(then) };
            self.queue.push_back(Outgoing { event, resume });
        }
    }

    /// No place behind a vote that nothing was told of.
    fn resume(&self, place: u64) -> u64 {
        self.untold.values().map(|untold| untold.first).min().map_or(place, |first| first.min(place))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use canvass_domain::{Poll, Sequence, record::Step};

    use super::*;

    /// What is told of a script, and where a restart would go on: `v lunch` is a vote, `o lunch` an opening, a number
    /// lets seconds pass. Positions are ten times the place in the script.
    fn check(votes: Option<u64>, seconds: Option<u64>, script: &str, expected: &str) {
        let kinds = vec![EventKind::PollOpened, EventKind::ResultsChanged];
        let wanted = Wanted { kinds, polls: Vec::new(), every_votes: votes.and_then(NonZeroU64::new) };
        let mut reader = Reader::new(0, wanted, seconds.and_then(NonZeroU64::new));
        let (mut now, mut position, mut told) = (Timestamp::default(), 0, Vec::new());
        let mut sequences: BTreeMap<&str, u64> = BTreeMap::new();
        for word in script.split(", ") {
            if let Ok(seconds) = word.parse() {
                now = now.plus_seconds(seconds);
                reader.take_due(now);
            } else {
                let (what, name) = word.split_once(' ').unwrap();
                position += 10;
                let poll: PollId = name.parse().unwrap();
                let sequence = sequences.entry(name).or_default();
                *sequence += 1;
                let what = match what {
                    "v" => What::Vote,
                    _ => What::Step(Step::Opened, Arc::new(poll_named(name))),
                };
                let happening = Happening { position, at: now, poll, sequence: Sequence(*sequence), what };
                reader.take(FeedPage { items: vec![happening], next: position + 5 });
            }
            while let Some(Outgoing { event, resume }) = reader.next() {
                let kind = if event.r#type == EventKind::PollOpened { "open" } else { "results" };
                told.push(format!("{kind} {} then {resume}", event.position.unwrap()));
            }
        }
        assert_eq!(told.join(", "), expected, "{script}");
    }

    fn poll_named(name: &str) -> Poll {
        let new = canvass_domain::poll::NewPoll::new(name, &["a", "b"]);
        let steps = canvass_domain::decide::decide_create(new, name.parse().unwrap(), Timestamp::default());
        steps.unwrap().pop().unwrap().1
    }

    #[test]
    fn results_are_told_each_so_many_records() {
        check(
            Some(2),
            None,
            "o a, v a, v a, v a, v b",
            "open 10 then 11, results 20 then 21, results 40 then 41",
        );
    }

    #[test]
    fn results_are_told_when_their_time_has_come_and_all_of_them_in_order() {
        check(None, Some(5), "v a, v a, 4, v b, 1", "results 20 then 10, results 30 then 35");
        check(None, Some(5), "v a, 4, 4, 4", "results 10 then 15");
    }

    #[test]
    fn a_step_is_told_after_the_votes_before_it() {
        check(None, Some(5), "v a, o b", "results 10 then 20, open 20 then 21");
    }

    #[test]
    fn a_restart_goes_on_before_votes_that_nothing_was_told_of() {
        check(Some(3), Some(60), "v b, v a, v a, v a", "results 40 then 10");
    }
}
