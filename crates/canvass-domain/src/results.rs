//! Results as callers see them: a view of a poll and its tally.

use std::{borrow::Cow, collections::BTreeMap};

use canvass_counting::{self as counting, Count, OptionIndex, Profile, Total};
use serde::{Serialize, Serializer};

use crate::{
    count_view::{Pairs, RoundView, TieView},
    identifier::{OptionId, PollId, Sequence},
    limits::PAIRWISE_BALLOTS_MAX,
    method::{BallotForm, Method},
    poll::{Poll, ResultsVisible, Status},
    tally::{Tally, ValueCount},
    time::Timestamp,
};

/// A poll's results. Equal sequences mean equal bodies.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Results {
    /// The poll.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub poll_id: PollId,
    /// Its question.
    pub title: String,
    /// Where it stands.
    pub status: Status,
    /// How it is counted.
    pub method: Method,
    /// How many of the poll's records are counted; it never goes back.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub sequence: Sequence,
    /// Ballots that count.
    pub votes: u64,
    /// The options in the poll's order.
    pub options: Vec<OptionResult>,
    /// The options that would win now, by id, at most as many as there are seats.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub winners: Vec<OptionId>,
    /// The options that are tied for what seats are left.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub tied: Vec<OptionId>,
    /// Of methods that rank and of STAR: the rounds or stages of the count, none where the method has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounds: Option<Vec<RoundView>>,
    /// Of methods that rank and of STAR: `pairwise[x][y]` is how many ballots prefer the x-th option to the y-th, as
    /// decimal strings. Methods that do not count pairs leave it out once there are more than 20,000 distinct ballots.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<Vec<String>>>))]
    pub pairwise: Option<Pairs>,
    /// The ties that the count met, in order, and what broke them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ties: Vec<TieView>,
    /// Whether the count may be seen; if not, only the turnout is told.
    pub visible: bool,
    /// Whether no vote can come any more.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// The time of the last record counted.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Timestamp,
}

/// One option's part of the results.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OptionResult {
    /// The option.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: OptionId,
    /// What people read.
    pub label: String,
    /// Its votes: the ballots that choose or approve it, or rank it first, alone or with others, or give it more than
    /// 0; a decimal string where votes have weights; absent where the count may not be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub votes: Option<Figure>,
    /// Its votes as a part of all, from 0 to 1 and to six places.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// What it was given in all, as a decimal string: scores, points, dots or votes. Only of methods that add these up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
    /// The mean of its scores over those who scored it, as a decimal string of up to 18 places, or rounded to 6; absent
    /// where nobody did. Only of `score`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<String>,
}

/// A number of votes: a JSON number in polls without weights, else a decimal string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Whole votes.
    Whole(u64),
    /// Weighted votes.
    Weighted(Total),
}

impl Figure {
    /// A total as a poll shows it.
    pub fn of(poll: &Poll, total: Total) -> Self {
        match total.whole_votes() {
            Some(votes) if !poll.weighted => Self::Whole(votes),
            _ => Self::Weighted(total),
        }
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Whole(votes) => serializer.serialize_u64(*votes),
            Self::Weighted(total) => serializer.collect_str(total),
        }
    }
}

/// Whether a reader may see a poll's count. `has_voted` is what is known of the reader.
pub fn may_see(poll: &Poll, has_voted: bool) -> bool {
    match poll.results_visible {
        ResultsVisible::Live => true,
        ResultsVisible::AfterVote => has_voted || poll.status.is_over(),
        ResultsVisible::AfterClose => poll.status.is_over(),
        ResultsVisible::Private => false,
    }
}

/// Counts a poll by its method and breaks ties by its rule. `profile` are the distinct ballots, for the methods that
/// need them; the others count the tally.
pub fn count(poll: &Poll, tally: &Tally, profile: Option<&Profile>) -> Count {
    let (rule, tie_break) = (poll.method.rule(), poll.tie_break.rule(poll));
    let made;
    let profile = if let Some(profile) = profile {
        profile
    } else {
        made = profile_of_choices(poll, tally);
        &made
    };
    let mut count = counting::count(profile, &rule, poll.seats.into(), &tie_break);
    if poll.method.form() == BallotForm::Ranking && profile.len() <= PAIRWISE_BALLOTS_MAX {
        count.pairwise = count.pairwise.or_else(|| Some(counting::Pairwise::of(profile)));
    }
    count
}

/// Where ballots are choices, the options' totals are all that a count needs: a ballot for each says as much.
fn profile_of_choices(poll: &Poll, tally: &Tally) -> Profile {
    let mut profile = Profile::new(poll.options.len());
    for (option, total) in (0..).zip(&tally.options) {
        profile.add_total(&counting::Ballot::Choices(vec![option]), *total);
    }
    profile
}

/// The results of a poll, of which `count` is the count; without it, the turnout alone.
pub fn results(poll: &Poll, tally: &Tally, count: Option<&Count>) -> Results {
    let total = |index: usize| tally.options.get(index).copied().unwrap_or_default();
    let scores = count.and_then(|count| count.scores.as_deref());
    let has_mean = matches!(poll.method, Method::Score { .. });
    let option = |(index, option): (usize, &crate::poll::PollOption)| {
        let score = scores.and_then(|scores| scores.get(index));
        OptionResult {
            id: option.id.clone(),
            label: option.label.clone(),
            votes: count.map(|_| Figure::of(poll, total(index))),
            share: count.map(|_| share(total(index), tally.weight)),
            total: score.map(|score| score.total.to_string()),
            mean: score.filter(|_| has_mean).and_then(|score| score.mean).map(|mean| mean.to_string()),
        }
    };
    let ids = |indexes: fn(&Count) -> &Vec<OptionIndex>| {
        count.map(|count| poll.option_ids(indexes(count))).unwrap_or_default()
    };
    let has_rounds = poll.method.form() == BallotForm::Ranking || matches!(poll.method, Method::Star {});
    let in_rounds = count.filter(|_| has_rounds);
    let tells_ties = poll.method.counts_ballots() || !poll.tie_break.is_report();
    let ties = count.filter(|_| tells_ties).map(|count| count.ties.as_slice()).unwrap_or_default();
    Results {
        poll_id: poll.id.clone(),
        title: poll.title.clone(),
        status: poll.status,
        method: poll.method.clone(),
        sequence: tally.sequence,
        votes: tally.votes,
        options: poll.options.iter().enumerate().map(option).collect(),
        winners: ids(|count| &count.winners),
        tied: ids(|count| &count.tied),
        rounds: in_rounds.map(|count| count.rounds.iter().map(|round| RoundView::new(poll, round)).collect()),
        pairwise: in_rounds.and_then(|count| count.pairwise.clone()).map(Pairs),
        ties: ties.iter().map(|tie| TieView::new(poll, tie)).collect(),
        visible: count.is_some(),
        is_final: poll.status.is_over(),
        updated_at: tally.updated_at,
    }
}

/// A part of a whole to six places. It is for people to read; nothing is decided by it.
#[expect(clippy::cast_precision_loss, reason = "at most a million, which a double holds exactly")]
fn share(part: Total, whole: Total) -> f64 {
    const PLACES: u128 = 1_000_000;
    if whole == Total::ZERO {
        return 0.0;
    }
    let millionths = (part.millionths() * PLACES + whole.millionths() / 2) / whole.millionths();
    u32::try_from(millionths).map_or(1.0, f64::from) / PLACES as f64
}

/// A table of options by the values of one dimension. Cells that would show too few people are hidden.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct BreakdownView {
    /// The poll.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub poll_id: PollId,
    /// The dimension.
    pub by: String,
    /// See [`Results::sequence`].
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub sequence: Sequence,
    /// Figures below this are hidden.
    pub minimum_cell: u32,
    /// The option ids, in the order of each row's figures.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub options: Vec<OptionId>,
    /// A row for each value.
    pub values: Vec<BreakdownRow>,
    /// Ballots that gave no value; null where it would tell a hidden figure.
    pub unanswered: Option<u64>,
}

/// One value's row. Null stands for a hidden figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BreakdownRow {
    /// The value.
    pub value: String,
    /// Ballots that gave it.
    pub votes: Option<u64>,
    /// How many of them mark each option.
    pub options: Vec<Option<u64>>,
}

/// The breakdown of a poll by one of its dimensions, without its small figures; none if it is not declared.
pub fn breakdown(poll: &Poll, tally: &Tally, by: &str) -> Option<BreakdownView> {
    view_of(poll, tally, by, |rows| {
        let secrets: Vec<_> = rows.iter().map(|row| too_small(row, u64::from(poll.minimum_cell))).collect();
        hide(rows, &secrets)
    })
}

/// The same rows with every figure: not for showing to anybody, where the poll hides small groups.
pub fn exact_breakdown(poll: &Poll, tally: &Tally, by: &str) -> Option<BreakdownView> {
    view_of(poll, tally, by, |rows| rows.iter().map(|row| vec![false; row.len()]).collect())
}

fn view_of(
    poll: &Poll,
    tally: &Tally,
    by: &str,
    hidden: impl FnOnce(&[Vec<u64>]) -> Vec<Vec<bool>>,
) -> Option<BreakdownView> {
    let index = poll.demographics.keys().position(|name| name == by)?;
    let counts = tally.breakdowns.get(index)?.nameable(poll.minimum_cell);
    let answered: u64 = counts.values().map(|count| count.votes).sum();
    let width = poll.options.len();
    // The ballots without an answer are a row of the table like any other: left open, they would give a hidden row
    // away by subtraction from the results.
    let mut rows: Vec<Vec<u64>> =
        counts.values().map(|count| row(count.votes, &count.options, width)).collect();
    rows.push(row(tally.votes - answered, &unanswered(tally, width, &counts), width));
    let hidden = hidden(&rows);
    let shown = |row: usize, column: usize| (!hidden[row][column]).then(|| rows[row][column]);
    let values = counts.keys().enumerate().map(|(at, value)| BreakdownRow {
        value: (*value).to_owned(),
        votes: shown(at, 0),
        options: (1..=width).map(|column| shown(at, column)).collect(),
    });
    Some(BreakdownView {
        poll_id: poll.id.clone(),
        by: by.to_owned(),
        sequence: tally.sequence,
        minimum_cell: poll.minimum_cell,
        options: poll.options.iter().map(|option| option.id.clone()).collect(),
        values: values.collect(),
        unanswered: shown(rows.len() - 1, 0),
    })
}

fn row(votes: u64, options: &[u64], width: usize) -> Vec<u64> {
    let mut row = Vec::with_capacity(width + 1);
    row.push(votes);
    row.extend_from_slice(options);
    row.resize(width + 1, 0);
    row
}

/// How many of the ballots that gave no value mark each option. Where votes have weights, nobody can tell: the results
/// show weights, not ballots.
fn unanswered(tally: &Tally, width: usize, counts: &BTreeMap<&str, Cow<'_, ValueCount>>) -> Vec<u64> {
    let answered =
        |option: usize| -> u64 { counts.values().filter_map(|count| count.options.get(option)).sum() };
    let marks = |option: usize| tally.options.get(option).and_then(|total| total.whole_votes()).unwrap_or(0);
    (0..width).map(|option| marks(option).saturating_sub(answered(option))).collect()
}

/// Which figures to hide: the secret ones, and as many others that none of those can be had by subtracting what is shown
/// from the sums of rows and columns (complementary suppression).
///
/// Take rows and columns for the knots of a graph, and each hidden figure for a line between its row and its column.
/// The sums tell a hidden figure exactly if its line is a bridge: the sums of all knots on one side of it leave nothing
/// else. So a secret that is a bridge gets a way around it, over figures that are hidden for its sake.
pub(crate) fn hide(rows: &[Vec<u64>], secrets: &[Vec<bool>]) -> Vec<Vec<bool>> {
    let mut hidden = secrets.to_vec();
    // Each way around hides at least one more figure, so this ends.
    while let Some(told) = Bridges::of(&hidden).into_iter().find(|(row, column)| secrets[*row][*column])
        && let Some(way) = way_around(rows, &hidden, told)
    {
        way.into_iter().for_each(|(row, column)| hidden[row][column] = true);
    }
    hidden
}

/// The figures of a row that are too small to be shown. A row of too few ballots tells of them by its zeros too.
pub(crate) fn too_small(row: &[u64], minimum: u64) -> Vec<bool> {
    let is_small = |votes: u64| votes > 0 && votes < minimum;
    row.iter().map(|votes| is_small(*votes) || is_small(row[0])).collect()
}

/// A figure by its row and column.
type Cell = (usize, usize);

/// The search for bridges (Tarjan, 1974). Knots are the rows and then the columns.
struct Bridges<'a> {
    hidden: &'a [Vec<bool>],
    /// When each knot was found, from 1; 0 if it was not yet.
    found: Vec<usize>,
    /// The earliest knot that can be reached without the line that led here.
    reach: Vec<usize>,
    count: usize,
    cells: Vec<Cell>,
}

impl<'a> Bridges<'a> {
    fn of(hidden: &'a [Vec<bool>]) -> Vec<Cell> {
        let knots = hidden.len() + hidden.first().map_or(0, Vec::len);
        let (found, reach) = (vec![0; knots], vec![0; knots]);
        let mut search = Self { hidden, found, reach, count: 0, cells: Vec::new() };
        for row in 0..hidden.len() {
            if search.found[row] == 0 {
                search.visit(row, None);
            }
        }
        search.cells
    }

    /// As deep as there are rows and columns at most.
    fn visit(&mut self, knot: usize, from: Option<usize>) {
        self.count += 1;
        (self.found[knot], self.reach[knot]) = (self.count, self.count);
        for next in 0..self.found.len() {
            let Some((row, column)) = cell_between(self.hidden.len(), knot, next) else { continue };
            if !self.hidden[row][column] || Some(next) == from {
                continue;
            }
            if self.found[next] > 0 {
                self.reach[knot] = self.reach[knot].min(self.found[next]);
                continue;
            }
            self.visit(next, Some(knot));
            self.reach[knot] = self.reach[knot].min(self.reach[next]);
            if self.reach[next] > self.found[knot] {
                self.cells.push((row, column));
            }
        }
    }
}

/// The figure whose line joins two knots: one must be a row, the other a column.
fn cell_between(row_count: usize, a: usize, b: usize) -> Option<Cell> {
    let (row, column) = (a.min(b), a.max(b));
    (row < row_count && column >= row_count).then(|| (row, column - row_count))
}

/// The figures to hide so that another way leads from a figure's row to its column: the fewest ballots that do
/// (Dijkstra, 1959). None in a table of one row.
fn way_around(rows: &[Vec<u64>], hidden: &[Vec<bool>], told: Cell) -> Option<Vec<Cell>> {
    let knots = rows.len() + rows.first().map_or(0, Vec::len);
    let cost = |(row, column): Cell| match rows[row][column] {
        _ if hidden[row][column] => 0,
        // Nothing hides behind a nought: the sum of both would tell.
        0 => NOUGHT_COST,
        votes => votes,
    };
    let (mut distances, mut ways) = (vec![u64::MAX; knots], vec![None; knots]);
    let mut is_done = vec![false; knots];
    distances[told.0] = 0;
    loop {
        let nearest = (0..knots).filter(|knot| !is_done[*knot]).min_by_key(|knot| distances[*knot])?;
        if distances[nearest] == u64::MAX {
            return None;
        }
        if nearest == rows.len() + told.1 {
            break;
        }
        is_done[nearest] = true;
        for next in 0..knots {
            let Some(cell) = cell_between(rows.len(), nearest, next).filter(|cell| *cell != told) else {
                continue;
            };
            let distance = distances[nearest].saturating_add(cost(cell));
            if distance < distances[next] {
                (distances[next], ways[next]) = (distance, Some((nearest, cell)));
            }
        }
    }
    let last = ways[rows.len() + told.1];
    Some(std::iter::successors(last, |(knot, _)| ways[*knot]).map(|(_, cell)| cell).collect())
}

/// More than all ballots of a table.
const NOUGHT_COST: u64 = 1 << 40;

/// The width of a timeline's steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimelineWidth {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
}

/// Votes over time.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TimelineView {
    /// The poll.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub poll_id: PollId,
    /// See [`Results::sequence`].
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub sequence: Sequence,
    /// Steps in which something happened, oldest first.
    pub steps: Vec<TimelineRow>,
}

/// One step of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TimelineRow {
    /// When the step begins.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Votes cast by voters who had none.
    pub votes: u64,
    /// Votes changed.
    pub changed: u64,
    /// Votes withdrawn.
    pub withdrawn: u64,
}

/// Votes over time by the minute, hour or day.
pub fn timeline(poll: &Poll, tally: &Tally, width: TimelineWidth) -> TimelineView {
    let mut steps: Vec<TimelineRow> = Vec::new();
    let mut add = |second: i64, step: crate::tally::TimelineStep| {
        let at = Timestamp::default().plus_seconds(second);
        match steps.last_mut() {
            Some(row) if row.at == at => {
                row.votes += step.cast;
                row.changed += step.changed;
                row.withdrawn += step.withdrawn;
            }
            _ => steps.push(TimelineRow {
                at,
                votes: step.cast,
                changed: step.changed,
                withdrawn: step.withdrawn,
            }),
        }
    };
    match width {
        TimelineWidth::Minute => tally.timeline.minutes().for_each(|(at, step)| add(at, step)),
        TimelineWidth::Hour => tally.timeline.hours().for_each(|(at, step)| add(at, step)),
        TimelineWidth::Day => {
            const DAY: i64 = 86_400;
            tally.timeline.hours().for_each(|(at, step)| add(at.div_euclid(DAY) * DAY, step));
        }
    }
    TimelineView { poll_id: poll.id.clone(), sequence: tally.sequence, steps }
}
