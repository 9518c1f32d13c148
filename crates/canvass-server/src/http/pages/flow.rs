//! The rounds of a count as a picture: each option a lane, and between rounds the votes that move from one to another.
//!
//! It is drawn from the transfers that the count itself tells, so nothing in it is a guess. The table beside it says the
//! same in numbers.

use std::collections::BTreeMap;

use canvass_counting::{Destination, Figure, OptionIndex, Round};

use super::said::Said;
use crate::limits::{FLOW_LABEL_LETTERS_MAX, FLOW_OPTIONS_MAX, FLOW_ROUNDS_MAX};

/// The picture's width, and where its first and last columns stand in it.
const WIDTH: f64 = 1000.0;
const FIRST: f64 = 230.0;
const LAST: f64 = 900.0;
/// The thickness of a column.
const COLUMN: f64 = 14.0;
/// Where the lanes begin below the names of the rounds.
const TOP: f64 = 44.0;
/// What an average lane takes, what every lane takes at least, and what is between two.
const LANE: f64 = 52.0;
const LANE_MIN: f64 = 26.0;
const GAP: f64 = 16.0;
/// How far a name lies above or below the middle of its letters.
const LETTERS: f64 = 7.0;

/// A picture in SVG.
pub(super) struct Flow {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) bands: Vec<Band>,
    pub(super) columns: Vec<Column>,
    pub(super) names: Vec<Name>,
}

/// Votes on their way from one round to the next.
pub(super) struct Band {
    /// The path of the shape.
    pub(super) path: String,
    /// Whether they change from one option to another.
    pub(super) moves: bool,
}

/// An option's votes in a round.
pub(super) struct Column {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) height: f64,
    pub(super) wins: bool,
}

/// Something written.
pub(super) struct Name {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) text: String,
    /// Where the text lies: `end`, `middle` or `start` of it at `x`.
    pub(super) anchor: &'static str,
}

/// Where an option's votes are drawn, or those that count for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Option(OptionIndex),
    Nobody,
}

/// What is to be drawn: how high one vote is, and where each lane begins.
struct Plan {
    votes: Vec<BTreeMap<Lane, f64>>,
    moves: Vec<Vec<(Lane, Lane, f64)>>,
    tops: BTreeMap<Lane, f64>,
    scale: f64,
    bottom: f64,
    is_mirrored: bool,
}

impl Flow {
    /// None where nothing moves, or a picture would be too crowded to read.
    pub(super) fn new<'a>(
        said: &Said,
        labels: impl Iterator<Item = (OptionIndex, &'a str)>,
        rounds: &[Round],
        headings: &[String],
    ) -> Option<Self> {
        let labels: Vec<_> = labels.collect();
        let is_small = labels.len() <= FLOW_OPTIONS_MAX && (2..=FLOW_ROUNDS_MAX).contains(&rounds.len());
        if !is_small
            || rounds.len() != headings.len()
            || rounds.iter().all(|round| round.transfers.is_empty())
        {
            return None;
        }
        let plan = Plan::new(&labels, rounds, said.t.language.direction == "rtl");
        Some(Self {
            width: WIDTH,
            height: plan.bottom,
            bands: plan.bands(),
            columns: plan.columns(rounds),
            names: plan.names(said, &labels, headings),
        })
    }
}

impl Plan {
    fn new(labels: &[(OptionIndex, &str)], rounds: &[Round], is_mirrored: bool) -> Self {
        let moves: Vec<_> = rounds.iter().map(moves).collect();
        let mut votes: Vec<BTreeMap<Lane, f64>> = rounds.iter().map(tally).collect();
        // What left the count stays where it went.
        let mut lost = 0.0;
        for (round, moves) in moves.iter().enumerate() {
            votes[round].insert(Lane::Nobody, lost);
            lost +=
                moves.iter().filter(|(_, to, _)| *to == Lane::Nobody).map(|(_, _, votes)| votes).sum::<f64>();
        }
        let lanes: Vec<_> =
            labels.iter().map(|(index, _)| Lane::Option(*index)).chain([Lane::Nobody]).collect();
        let most =
            |lane: &Lane| votes.iter().filter_map(|votes| votes.get(lane)).copied().fold(0.0, f64::max);
        let sum: f64 = lanes.iter().map(most).sum();
        let scale = LANE * float(labels.len()) / sum.max(f64::MIN_POSITIVE);
        let mut tops = BTreeMap::new();
        let mut bottom = TOP;
        for lane in lanes.iter().filter(|lane| **lane != Lane::Nobody || most(lane) > 0.0) {
            tops.insert(*lane, bottom);
            bottom += (most(lane) * scale).max(LANE_MIN) + GAP;
        }
        Self { votes, moves, tops, scale, bottom, is_mirrored }
    }

    /// The place of a round's column; from the right where the language is written so.
    fn x(&self, round: usize) -> f64 {
        let part = float(round) / float(self.votes.len() - 1);
        self.across(FIRST + (LAST - FIRST) * part)
    }

    fn across(&self, x: f64) -> f64 {
        if self.is_mirrored { WIDTH - x } else { x }
    }

    fn bands(&self) -> Vec<Band> {
        let mut bands = Vec::new();
        for (round, moves) in self.moves.iter().enumerate().take(self.votes.len() - 1) {
            // Votes that stay are at the top of their lanes; those that come and go are below them, in turn.
            let mut gone = BTreeMap::new();
            let mut come = BTreeMap::new();
            for (lane, votes) in &self.votes[round] {
                let leaving: f64 =
                    moves.iter().filter(|(from, ..)| from == lane).map(|(.., votes)| votes).sum();
                let stay = (votes - leaving).max(0.0);
                gone.insert(*lane, stay);
                come.insert(*lane, stay);
                bands.extend(self.band(round, (*lane, 0.0), (*lane, 0.0), stay));
            }
            for (from, to, votes) in moves {
                let (left, right) = (gone.entry(*from).or_default(), come.entry(*to).or_default());
                bands.extend(self.band(round, (*from, *left), (*to, *right), *votes));
                *left += votes;
                *right += votes;
            }
        }
        bands
    }

    /// So many votes from below those of one lane to below those of another.
    fn band(
        &self,
        round: usize,
        (from, over): (Lane, f64),
        (to, onto): (Lane, f64),
        votes: f64,
    ) -> Option<Band> {
        let height = votes * self.scale;
        let (top, end) = (self.tops.get(&from)? + over * self.scale, self.tops.get(&to)? + onto * self.scale);
        let step = if self.is_mirrored { -COLUMN } else { COLUMN };
        let (left, right) = (self.x(round) + step, self.x(round + 1));
        let middle = f64::midpoint(left, right);
        let (bottom, foot) = (top + height, end + height);
        let path = format!(
            "M{left:.0} {top:.1}C{middle:.0} {top:.1} {middle:.0} {end:.1} {right:.0} {end:.1}V{foot:.1}C{middle:.0} {foot:.1} {middle:.0} {bottom:.1} {left:.0} {bottom:.1}Z"
        );
        (votes > 0.0).then_some(Band { path, moves: from != to })
    }

    fn columns(&self, rounds: &[Round]) -> Vec<Column> {
        let mut columns = Vec::new();
        for (place, (round, votes)) in rounds.iter().zip(&self.votes).enumerate() {
            let x = if self.is_mirrored { self.x(place) - COLUMN } else { self.x(place) };
            for (lane, votes) in votes.iter().filter(|(_, votes)| **votes > 0.0) {
                let Some(top) = self.tops.get(lane) else { continue };
                let wins = round.elected.iter().any(|elected| Lane::Option(elected.option) == *lane);
                columns.push(Column { x, y: *top, height: votes * self.scale, wins });
            }
        }
        columns
    }

    fn names(&self, said: &Said, labels: &[(OptionIndex, &str)], headings: &[String]) -> Vec<Name> {
        let mut names = Vec::new();
        for (round, heading) in headings.iter().enumerate() {
            let step = if self.is_mirrored { -COLUMN / 2.0 } else { COLUMN / 2.0 };
            names.push(Name {
                x: self.x(round) + step,
                y: TOP - 20.0,
                text: heading.clone(),
                anchor: "middle",
            });
        }
        let nobody = (Lane::Nobody, said.t.rounds.inactive.as_str());
        for (lane, label) in
            labels.iter().map(|(index, label)| (Lane::Option(*index), *label)).chain([nobody])
        {
            let Some(top) = self.tops.get(&lane) else { continue };
            let y = top + LANE_MIN / 2.0 + LETTERS;
            names.push(Name { x: self.across(FIRST - 14.0), y, text: shortened(label), anchor: "end" });
            for (round, votes) in self.votes.iter().enumerate() {
                let Some(votes) = votes.get(&lane).filter(|votes| **votes > 0.0) else { continue };
                let step = if self.is_mirrored { -COLUMN - 6.0 } else { COLUMN + 6.0 };
                let text = said.decimal(votes);
                names.push(Name { x: self.x(round) + step, y, text, anchor: "start" });
            }
        }
        names
    }
}

fn tally(round: &Round) -> BTreeMap<Lane, f64> {
    round.tally.iter().map(|(option, votes)| (Lane::Option(*option), number(*votes))).collect()
}

fn moves(round: &Round) -> Vec<(Lane, Lane, f64)> {
    let lane = |to: Destination| match to {
        Destination::Option(option) => Lane::Option(option),
        Destination::Inactive | Destination::Residual => Lane::Nobody,
    };
    let transfers = round.transfers.iter();
    transfers.map(|moved| (Lane::Option(moved.from), lane(moved.to), number(moved.votes))).collect()
}

/// A figure for drawing.
fn number(figure: Figure) -> f64 {
    figure.to_string().parse().unwrap_or_default()
}

/// A count of options or rounds, which are few, for drawing.
fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// A name that fits beside its lane.
fn shortened(label: &str) -> String {
    if label.chars().count() <= FLOW_LABEL_LETTERS_MAX {
        return label.to_owned();
    }
    let start: String = label.chars().take(FLOW_LABEL_LETTERS_MAX - 1).collect();
    format!("{}…", start.trim_end())
}
