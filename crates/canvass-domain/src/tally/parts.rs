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
    limits::{OPEN_VALUES_MAX, OTHER_VALUE, PART_FIGURES_MAX, TIMELINE_MINUTES_MAX},
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
    /// The values of all dimensions: one part, since several small ones take more writes.
    Dimensions,
    /// The minutes of one hour, by the hour's number since 1970.
    Hour(i64),
}

/// A part's figures by name: at most a few letters, and of a dimension its place among the poll's and the value, as in
/// `0.v:young` for the votes and `0.2:young` for an option's.
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
            let figures = parts.entry(PartId::Dimensions).or_default();
            add(figures, format!("{dimension}.v:{value}"), sign);
            each_mark(&marked.ballot, |option| add(figures, format!("{dimension}.{option}:{value}"), sign));
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

/// Adds differences to a part. The surplus of a dimension's values is counted under one name, as everywhere, and so is
/// what comes when the part holds as many figures as it can.
pub fn apply(id: PartId, figures: &mut Figures, differences: &Figures) {
    // Of one dimension the names with a `v` come last, and by them it is told whether a value is new.
    for (name, difference) in differences.iter().rev() {
        let is_surplus = id == PartId::Dimensions && is_surplus(figures, name);
        let counted = name.split_once(':').filter(|_| is_surplus);
        let name = counted.map_or_else(|| name.clone(), |(figure, _)| format!("{figure}:{OTHER_VALUE}"));
        // A value below zero was taken back before it came, and is nobody's.
        let is_awaited = figures.get(&name).is_some_and(|figure| *figure < 0 && figure + difference == 0);
        if is_awaited && id == PartId::Dimensions {
            figures.remove(&name);
        } else {
            add(figures, name, *difference);
        }
    }
}

/// Takes what a record added to the dimensions away again, and forgets the values that nobody gives any more: they may
/// tell of a person.
pub fn take_back(figures: &mut Figures, differences: &Figures) {
    let negated = differences.iter().map(|(name, difference)| (name.clone(), -difference)).collect();
    apply(PartId::Dimensions, figures, &negated);
    figures.retain(|name, figure| *figure != 0 || !differences.contains_key(name));
}

/// Whether a new figure of a dimension has no room.
fn is_surplus(figures: &Figures, name: &str) -> bool {
    let Some((dimension, value)) = name.split_once('.').zip(name.split_once(':')).map(|(d, v)| (d.0, v.1))
    else {
        return false;
    };
    if figures.contains_key(name) {
        return false;
    }
    let votes = format!("{dimension}.v:");
    let is_known = figures.contains_key(&format!("{votes}{value}"));
    let values = || figures.range(votes.clone()..).take_while(|(known, _)| known.starts_with(&votes)).count();
    figures.len() >= PART_FIGURES_MAX || (!is_known && values() >= OPEN_VALUES_MAX)
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
                // Nothing that votes told of persons is shown once they are being erased.
                PartId::Dimensions if !poll.personal_data.is_kept() => {}
                PartId::Dimensions => tally.take_dimensions(figures),
                PartId::Hour(hour) => tally.timeline.take(hour, figures),
            }
        }
        while tally.timeline.minutes.len() > TIMELINE_MINUTES_MAX {
            tally.timeline.minutes.pop_first();
        }
        tally
    }

    fn take_dimensions(&mut self, figures: &Figures) {
        let option_count = self.options.len();
        for (name, figure) in figures {
            let Some((dimension, name)) = name.split_once('.') else { continue };
            let breakdown = dimension.parse::<usize>().ok().and_then(|index| self.breakdowns.get_mut(index));
            if let (Some(breakdown), Some((counted, value))) = (breakdown, name.split_once(':')) {
                breakdown.take(counted, value, *figure, option_count);
            }
        }
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
    fn take(&mut self, counted: &str, value: &str, figure: i128, option_count: usize) {
        let count = self.values.entry(value.to_owned()).or_default();
        count.options.resize(option_count, 0);
        match counted.parse::<usize>() {
            Ok(option) => {
                if let Some(votes) = count.options.get_mut(option) {
                    *votes = whole(figure);
                }
            }
            Err(_) => count.votes = whole(figure),
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
