//! Breakdowns of polls that hide small groups. Who looks twice must not learn from the difference what one voter told:
//! so a figure that was shown stays as it was until at least `minimumCell` ballots have come to it. It may lack a few
//! ballots, one less than that at most, and nobody can tell whether it does; so also after the end.
//!
//! What was shown is remembered by this process alone, from the first time that somebody looks: a poll at whose
//! breakdown nobody looks before the end is shown exactly. After a restart, or on another server over the same store, the
//! first look counts as the first.

use canvass_domain::{
    Poll, PollId, Timestamp,
    results::{BreakdownRow, BreakdownView, breakdown, exact_breakdown},
};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::{
    app::App,
    limits::BREAKDOWNS_SHOWN_MAX,
    service::{Failure, results::Seen},
};

/// What was shown of each poll's dimensions.
#[derive(Default)]
pub(crate) struct BreakdownsShown(Mutex<FxHashMap<(PollId, String), Shown>>);

struct Shown {
    /// Tells a poll from one that had its id before.
    created_at: Timestamp,
    view: BreakdownView,
    /// How the figures really stood when each was last renewed.
    real: FxHashMap<Figure, u64>,
}

/// A figure by its row, none for ballots without an answer, and its column; the first is the row's ballots.
type Figure = (Option<String>, usize);

impl App {
    /// A breakdown, for those who may see the count.
    pub(crate) fn breakdown(&self, seen: &Seen, by: &str) -> Result<BreakdownView, Failure> {
        seen.refuse_hidden()?;
        let (poll, tally) = (&seen.snapshot.poll, &seen.snapshot.tally);
        let unknown = || Failure::invalid("by", "names a dimension that the poll does not declare");
        if let Some(shown) = self.parts.breakdowns.find(seen, by) {
            return Ok(shown);
        }
        let newest = breakdown(poll, tally, by).ok_or_else(unknown)?;
        if poll.minimum_cell == 0 {
            return Ok(newest);
        }
        let real = figures(&exact_breakdown(poll, tally, by).ok_or_else(unknown)?);
        Ok(self.parts.breakdowns.renew(poll, newest, real))
    }
}

impl BreakdownsShown {
    /// What was shown at the sequence that is seen.
    fn find(&self, seen: &Seen, by: &str) -> Option<BreakdownView> {
        let poll = &seen.snapshot.poll;
        let all = self.0.lock();
        let shown = all.get(&(poll.id.clone(), by.to_owned()))?;
        let is_newest =
            shown.created_at == poll.created_at && shown.view.sequence >= seen.snapshot.tally.sequence;
        is_newest.then(|| shown.view.clone())
    }

    fn renew(&self, poll: &Poll, newest: BreakdownView, real: FxHashMap<Figure, u64>) -> BreakdownView {
        let mut all = self.0.lock();
        let key = (poll.id.clone(), newest.by.clone());
        if all.len() >= BREAKDOWNS_SHOWN_MAX && !all.contains_key(&key) {
            all.clear();
        }
        let before = all.get(&key).filter(|shown| shown.created_at == poll.created_at);
        // Another server's view may be older than what was shown here: nothing goes back.
        let shown = match before {
            None => Shown { created_at: poll.created_at, view: newest, real },
            Some(before) if before.view.sequence >= newest.sequence => return before.view.clone(),
            Some(before) => before.renewed(newest, &real),
        };
        let view = shown.view.clone();
        all.insert(key, shown);
        view
    }
}

impl Shown {
    fn renewed(&self, newest: BreakdownView, real: &FxHashMap<Figure, u64>) -> Self {
        let minimum = u64::from(newest.minimum_cell);
        let before = shown_figures(&self.view);
        let mut kept = self.real.clone();
        let mut choose = |figure: Figure, newest: Option<u64>| {
            let real_at = |real: &FxHashMap<Figure, u64>| real.get(&figure).copied().unwrap_or_default();
            let (was, is) = (real_at(&self.real), real_at(real));
            let is_renewed = newest.is_some() && (was == is || was.abs_diff(is) >= minimum);
            let shown = if is_renewed { newest } else { before.get(&figure).copied().flatten() };
            kept.insert(figure, if is_renewed { is } else { was });
            shown
        };
        let mut view = newest;
        for row in &mut view.values {
            let name = Some(row.value.clone());
            row.votes = choose((name.clone(), 0), row.votes);
            for (column, figure) in (1..).zip(&mut row.options) {
                *figure = choose((name.clone(), column), *figure);
            }
        }
        view.unanswered = choose((None, 0), view.unanswered);
        // That somebody told a new value is told once enough have.
        view.values.retain(|row| before.contains_key(&(Some(row.value.clone()), 0)) || row.votes.is_some());
        // That so few are left with a value that it may not be named any more is not told.
        let is_gone = |row: &&BreakdownRow| view.values.iter().all(|newer| newer.value != row.value);
        let gone: Vec<_> = self.view.values.iter().filter(is_gone).cloned().collect();
        view.values.extend(gone);
        view.values.sort_by(|one, other| one.value.cmp(&other.value));
        Self { created_at: self.created_at, view, real: kept }
    }
}

fn shown_figures(view: &BreakdownView) -> FxHashMap<Figure, Option<u64>> {
    let row = |row: &BreakdownRow| {
        let name = Some(row.value.clone());
        let figures = std::iter::once(row.votes).chain(row.options.iter().copied());
        (0..).zip(figures).map(|(column, figure)| ((name.clone(), column), figure)).collect::<Vec<_>>()
    };
    view.values.iter().flat_map(row).chain([((None, 0), view.unanswered)]).collect()
}

fn figures(view: &BreakdownView) -> FxHashMap<Figure, u64> {
    shown_figures(view).into_iter().map(|(figure, votes)| (figure, votes.unwrap_or_default())).collect()
}
