//! A tally in parts, as an engine keeps it that pays for each write by size and learns of votes in no certain order.
//!
//! A part is a set of named figures that only ever have differences added to them, so that the order in which records
//! are folded in does not matter: a figure may even be below zero until what it was taken from comes.

use std::collections::BTreeMap;

use canvass_counting::{Ballot, Total, Weight};

use super::{Breakdown, Tally, Timeline, TimelineStep, each_mark};
use crate::{
    codec::{Bytes, Malformed},
    identifier::Sequence,
    limits::{OPEN_VALUES_MAX, OTHER_VALUE, TIMELINE_MINUTES_MAX},
    poll::Poll,
    record::{put_weighed, take_weighed},
    time::Timestamp,
    vote::Marked,
};

/// Which part of a tally.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PartId {
    /// Votes, their weight and the options.
    Counts,
    /// One dimension's values, by the dimension's place among the poll's.
    Dimension(u8),
    /// The minutes of one hour, by the hour's number since 1970.
    Hour(i64),
}

/// A part's figures by name: at most a few letters, and in a dimension also a value.
pub type Figures = BTreeMap<String, i128>;

/// What a vote's record adds to each part that it touches.
pub fn differences(
    at: Timestamp,
    removed: Option<&Marked>,
    added: Option<&Marked>,
) -> BTreeMap<PartId, Figures> {
    let mut parts: BTreeMap<PartId, Figures> = BTreeMap::new();
    for (marked, sign) in [(removed, -1), (added, 1)] {
        let Some(marked) = marked else { continue };
        let weight = sign * i128::from(marked.weight.millionths());
        let counts = parts.entry(PartId::Counts).or_default();
        add(counts, "v".to_owned(), sign);
        add(counts, "w".to_owned(), weight);
        each_mark(&marked.ballot, |option| add(counts, format!("o{option}"), weight));
        for (dimension, value) in &marked.answers {
            let figures = parts.entry(PartId::Dimension(*dimension)).or_default();
            add(figures, format!("v:{value}"), sign);
            each_mark(&marked.ballot, |option| add(figures, format!("{option}:{value}"), sign));
        }
    }
    let step = match (removed, added) {
        (None, Some(_)) => 'c',
        (Some(_), Some(_)) => 'x',
        (Some(_), None) => 'w',
        (None, None) => return parts,
    };
    let minute = at.seconds().div_euclid(60);
    let hour = parts.entry(PartId::Hour(minute.div_euclid(60))).or_default();
    add(hour, format!("{step}{}", minute.rem_euclid(60)), 1);
    parts
}

/// Adds differences to a part. The surplus of a dimension's values is counted under one name, as everywhere.
pub fn apply(id: PartId, figures: &mut Figures, differences: &Figures) {
    let mut values =
        figures.keys().filter(|name| matches!(id, PartId::Dimension(_)) && name.starts_with("v:")).count();
    // The names that begin with `v` come last, and whether a value is new is told by its own.
    for (name, difference) in differences.iter().rev() {
        let (PartId::Dimension(_), Some((figure, value))) = (id, name.split_once(':')) else {
            add(figures, name.clone(), *difference);
            continue;
        };
        let is_known = figures.contains_key(&format!("v:{value}"));
        if !is_known && values >= OPEN_VALUES_MAX {
            add(figures, format!("{figure}:{OTHER_VALUE}"), *difference);
            continue;
        }
        values += usize::from(!is_known);
        add(figures, name.clone(), *difference);
    }
}

fn add(figures: &mut Figures, name: String, difference: i128) {
    *figures.entry(name).or_default() += difference;
}

impl Tally {
    /// The tally that parts add up to. A figure that is below zero for now is shown as zero.
    pub fn of_parts<'a>(
        poll: &Poll,
        sequence: Sequence,
        updated_at: Timestamp,
        parts: impl IntoIterator<Item = (PartId, &'a Figures)>,
    ) -> Self {
        let mut tally = Self { sequence, updated_at, ..Self::new(poll) };
        for (id, figures) in parts {
            match id {
                PartId::Counts => tally.take_counts(figures),
                PartId::Dimension(dimension) => {
                    if let Some(breakdown) = tally.breakdowns.get_mut(usize::from(dimension)) {
                        breakdown.take(figures, poll.options.len());
                    }
                }
                PartId::Hour(hour) => tally.timeline.take(hour, figures),
            }
        }
        while tally.timeline.minutes.len() > TIMELINE_MINUTES_MAX {
            tally.timeline.minutes.pop_first();
        }
        tally
    }

    fn take_counts(&mut self, figures: &Figures) {
        for (name, figure) in figures {
            match (name.as_str(), name.strip_prefix('o').and_then(|option| option.parse::<usize>().ok())) {
                ("v", _) => self.votes = whole(*figure),
                ("w", _) => self.weight = total(*figure),
                (_, Some(option)) => {
                    if let Some(counted) = self.options.get_mut(option) {
                        *counted = total(*figure);
                    }
                }
                _ => {}
            }
        }
    }
}

impl Breakdown {
    fn take(&mut self, figures: &Figures, option_count: usize) {
        for (name, figure) in figures {
            let Some((counted, value)) = name.split_once(':') else { continue };
            let count = self.values.entry(value.to_owned()).or_default();
            count.options.resize(option_count, 0);
            match counted.parse::<usize>() {
                Ok(option) => {
                    if let Some(votes) = count.options.get_mut(option) {
                        *votes = whole(*figure);
                    }
                }
                Err(_) => count.votes = whole(*figure),
            }
        }
    }
}

impl Timeline {
    fn take(&mut self, hour: i64, figures: &Figures) {
        for (name, figure) in figures {
            let Some((counted, Ok(minute))) = name.split_at_checked(1).map(|(c, m)| (c, m.parse::<i64>()))
            else {
                continue;
            };
            let field: fn(&mut TimelineStep) -> &mut u64 = match counted {
                "c" => |step| &mut step.cast,
                "x" => |step| &mut step.changed,
                "w" => |step| &mut step.withdrawn,
                _ => continue,
            };
            *field(self.minutes.entry(hour * 60 + minute).or_default()) += whole(*figure);
            *field(self.hours.entry(hour).or_default()) += whole(*figure);
        }
    }
}

fn whole(figure: i128) -> u64 {
    u64::try_from(figure).unwrap_or(0)
}

fn total(figure: i128) -> Total {
    Total::from_millionths(u128::try_from(figure).unwrap_or(0))
}

const REMOVED: u8 = 0;
const ADDED: u8 = 1;

/// Appends the ballots that a vote's record takes away and adds, without their voter: what a profile is folded from.
pub fn encode_ballots(
    into: &mut Vec<u8>,
    removed: Option<(&Ballot, Weight)>,
    added: Option<(&Ballot, Weight)>,
) {
    for (sign, ballot) in [(REMOVED, removed), (ADDED, added)] {
        if let Some((ballot, weight)) = ballot {
            into.push(sign);
            put_weighed(into, ballot, weight);
        }
    }
}

/// The ballots that [`encode_ballots`] wrote, each with what it adds to its total in millionths of a vote.
pub fn decode_ballots(encoded: &[u8]) -> Result<Vec<(Ballot, i128)>, Malformed> {
    let mut bytes = Bytes(encoded);
    let mut ballots = Vec::new();
    while !bytes.0.is_empty() {
        let sign = if bytes.byte()? == ADDED { 1 } else { -1 };
        let (ballot, weight) = take_weighed(&mut bytes)?;
        ballots.push((ballot, sign * i128::from(weight.millionths())));
    }
    Ok(ballots)
}
