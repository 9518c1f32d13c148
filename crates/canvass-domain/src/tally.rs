//! The tally: what a poll's votes add up to, folded record by record.
//!
//! Both engines, the recount and the tests fold with these same functions. A fold never needs an earlier record: a
//! change says what it takes away as well as what it adds.

pub mod parts;

use std::{borrow::Cow, collections::BTreeMap};

use canvass_counting::{Ballot, Profile, Rank, Total, Weight};

use crate::{
    codec::{Bytes, Malformed, put_bytes, put_varint},
    identifier::Sequence,
    limits::{OPEN_VALUES_MAX, OTHER_VALUE, TIMELINE_MINUTES_MAX},
    poll::Poll,
    record::{Entry, Record},
    time::Timestamp,
    vote::Marked,
};

/// What a poll's records add up to.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    /// How many of the poll's records are folded in.
    pub sequence: Sequence,
    /// The time of the last of them.
    pub updated_at: Timestamp,
    /// Ballots that count.
    pub votes: u64,
    /// Their weight.
    pub weight: Total,
    /// For each option the weight of the ballots that mark it: choices and approvals, or first preferences.
    pub options: Vec<Total>,
    /// For each dimension, in the poll's order, its values with the ballots that mark each option.
    pub breakdowns: Vec<Breakdown>,
    /// When votes came.
    pub timeline: Timeline,
}

/// Everything that a poll's records add up to: the tally, and the distinct ballots where the method counts more than
/// marks. They are apart because readers hold on to tallies, and a million distinct ballots are not for copying with
/// each commit.
#[derive(Clone, Debug, PartialEq)]
pub struct Books {
    /// The tally.
    pub tally: Tally,
    /// The distinct ballots.
    pub profile: Option<Profile>,
}

impl Books {
    /// The books of a poll without records.
    pub fn new(poll: &Poll) -> Self {
        Self { tally: Tally::new(poll), profile: new_profile(poll) }
    }

    /// Folds in a record of the poll.
    pub fn fold(&mut self, entry: &Entry) {
        self.tally.fold(entry);
        fold_profile(&mut self.profile, &self.tally, &entry.record);
    }
}

/// A profile for a poll's ballots, where its method needs one.
pub fn new_profile(poll: &Poll) -> Option<Profile> {
    poll.method.counts_ballots().then(|| Profile::new(poll.options.len()))
}

/// Folds a record into the profile of a poll whose tally it is folded into already.
pub fn fold_profile(profile: &mut Option<Profile>, tally: &Tally, record: &Record) {
    match record {
        // Without a vote, options and method may have changed.
        Record::Poll(event) if tally.votes == 0 => *profile = new_profile(&event.poll),
        Record::Vote(vote) => {
            let removed = vote.removed.as_ref().map(|(ballot, weight)| (ballot, *weight));
            let added = vote.added.as_ref().map(|(ballot, weight)| (ballot, *weight));
            fold_ballots(profile, removed, added);
        }
        Record::Poll(_) | Record::Codes(_) | Record::Key(_) | Record::Setting(_) => {}
    }
}

/// Folds into a profile what no longer counts, and what counts instead.
pub fn fold_ballots(
    profile: &mut Option<Profile>,
    removed: Option<(&Ballot, Weight)>,
    added: Option<(&Ballot, Weight)>,
) {
    let Some(profile) = profile else { return };
    if let Some((ballot, weight)) = removed {
        profile.remove(ballot, weight);
    }
    if let Some((ballot, weight)) = added {
        profile.add(ballot, weight);
    }
}

/// Ballots by one dimension's values.
#[derive(Clone, Debug, Default)]
pub struct Breakdown {
    /// The values that have come up or are declared.
    pub values: BTreeMap<String, ValueCount>,
    closed: bool,
}

/// The ballots that gave one value.
#[derive(Clone, Debug, Default)]
pub struct ValueCount {
    /// How many.
    pub votes: u64,
    /// How many of them mark each option.
    pub options: Vec<u64>,
}

/// What happened in one stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimelineStep {
    /// Votes cast by voters who had none.
    pub cast: u64,
    /// Votes changed.
    pub changed: u64,
    /// Votes withdrawn.
    pub withdrawn: u64,
}

/// Votes over time: by the minute for the latest [`TIMELINE_MINUTES_MAX`] minutes in which any came, by the hour for
/// all time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    minutes: BTreeMap<i64, TimelineStep>,
    hours: BTreeMap<i64, TimelineStep>,
}

impl Tally {
    /// The tally of a poll without records.
    pub fn new(poll: &Poll) -> Self {
        let mut tally = Self {
            sequence: Sequence(0),
            updated_at: poll.created_at,
            votes: 0,
            weight: Total::ZERO,
            options: Vec::new(),
            breakdowns: Vec::new(),
            timeline: Timeline::default(),
        };
        tally.shape(poll);
        tally
    }

    /// Gives the tally the form of a poll: its options, dimensions and method. Figures stay; they are all zero, or the
    /// form only grew by write-ins.
    fn shape(&mut self, poll: &Poll) {
        self.options.resize(poll.options.len(), Total::ZERO);
        // A fold of erased votes knows no answers, so that of votes not yet erased forgets them here.
        if self.votes == 0 || !poll.personal_data.is_kept() {
            self.breakdowns =
                poll.demographics.values().map(|values| Breakdown::new(values.as_deref())).collect();
        }
    }

    /// Folds in a record of the poll.
    pub fn fold(&mut self, entry: &Entry) {
        let (sequence, at) = (entry.place.sequence, entry.place.at);
        match &entry.record {
            Record::Poll(event) => self.fold_event(sequence, at, Some(&event.poll)),
            Record::Vote(vote) => {
                self.fold_vote(sequence, at, vote.removed().as_ref(), vote.added().as_ref());
            }
            Record::Codes(_) | Record::Key(_) | Record::Setting(_) => self.fold_event(sequence, at, None),
        }
    }

    /// Folds in an event, with the poll as it stands from then on.
    pub fn fold_event(&mut self, sequence: Sequence, at: Timestamp, poll: Option<&Poll>) {
        self.advance(sequence, at);
        if let Some(poll) = poll {
            self.shape(poll);
        }
    }

    /// Folds in a vote: what no longer counts, and what counts instead.
    pub fn fold_vote(
        &mut self,
        sequence: Sequence,
        at: Timestamp,
        removed: Option<&Marked>,
        added: Option<&Marked>,
    ) {
        self.advance(sequence, at);
        let step = self.timeline.at(at);
        match (removed, added) {
            (None, Some(_)) => step.count(|step| &mut step.cast),
            (Some(_), Some(_)) => step.count(|step| &mut step.changed),
            (Some(_), None) => step.count(|step| &mut step.withdrawn),
            (None, None) => {}
        }
        if let Some(marked) = removed {
            self.remove(marked);
        }
        if let Some(marked) = added {
            self.add(marked);
        }
    }

    fn advance(&mut self, sequence: Sequence, at: Timestamp) {
        debug_assert!(sequence > self.sequence, "each record is folded once and in order");
        self.sequence = sequence;
        self.updated_at = at;
    }

    fn add(&mut self, marked: &Marked) {
        self.votes += 1;
        self.weight.add(marked.weight);
        each_mark(&marked.ballot, |option| {
            if let Some(total) = self.options.get_mut(option) {
                total.add(marked.weight);
            }
        });
        for (dimension, value) in &marked.answers {
            if let Some(breakdown) = self.breakdowns.get_mut(usize::from(*dimension)) {
                breakdown.add(value, &marked.ballot, self.options.len());
            }
        }
    }

    fn remove(&mut self, marked: &Marked) {
        self.votes -= 1;
        self.weight.remove(marked.weight);
        each_mark(&marked.ballot, |option| {
            if let Some(total) = self.options.get_mut(option) {
                total.remove(marked.weight);
            }
        });
        for (dimension, value) in &marked.answers {
            if let Some(breakdown) = self.breakdowns.get_mut(usize::from(*dimension)) {
                breakdown.remove(value, &marked.ballot);
            }
        }
    }
}

/// Breakdowns are alike if they count alike: a value that nobody gives any more may be there or not.
impl PartialEq for Breakdown {
    fn eq(&self, other: &Self) -> bool {
        fn given(breakdown: &Breakdown) -> impl Iterator<Item = (&String, &ValueCount)> {
            breakdown.values.iter().filter(|(_, count)| **count != ValueCount::default())
        }
        given(self).eq(given(other))
    }
}

/// An option that was added later has no votes yet, whether or not it has a place.
impl PartialEq for ValueCount {
    fn eq(&self, other: &Self) -> bool {
        let given =
            |count: &Self| count.options.iter().rposition(|votes| *votes > 0).map_or(0, |last| last + 1);
        self.votes == other.votes && self.options[..given(self)] == other.options[..given(other)]
    }
}

impl ValueCount {
    fn join(&mut self, other: &Self) {
        self.votes += other.votes;
        self.options.resize(self.options.len().max(other.options.len()), 0);
        self.options.iter_mut().zip(&other.options).for_each(|(votes, more)| *votes += more);
    }
}

impl Breakdown {
    fn new(declared: Option<&[String]>) -> Self {
        let values =
            declared.unwrap_or_default().iter().map(|value| (value.clone(), ValueCount::default())).collect();
        Self { values, closed: declared.is_some() }
    }

    /// The values as they may be named. What voters told in words of their own can tell who they are, as an address
    /// does: where small groups are hidden, a value that fewer than `minimum_cell` ballots give counts as
    /// [`OTHER_VALUE`].
    pub fn nameable(&self, minimum_cell: u32) -> BTreeMap<&str, Cow<'_, ValueCount>> {
        let mut named: BTreeMap<&str, Cow<'_, ValueCount>> = BTreeMap::new();
        for (value, count) in &self.values {
            let is_named = self.closed || count.votes >= u64::from(minimum_cell);
            let name = if is_named { value.as_str() } else { OTHER_VALUE };
            if is_named || count.votes > 0 {
                named
                    .entry(name)
                    .and_modify(|known| known.to_mut().join(count))
                    .or_insert(Cow::Borrowed(count));
            }
        }
        named
    }

    fn add(&mut self, value: &str, ballot: &Ballot, option_count: usize) {
        let counted = self.counted_as(value);
        let count = match self.values.get_mut(counted) {
            Some(count) => count,
            None => self.values.entry(counted.to_owned()).or_default(),
        };
        count.votes += 1;
        count.options.resize(option_count.max(count.options.len()), 0);
        each_mark(ballot, |option| {
            if let Some(votes) = count.options.get_mut(option) {
                *votes += 1;
            }
        });
    }

    /// Where an erasure was broken off, what is taken away may never have been added; the end of the erasure, which
    /// stands in the records by then, clears the figures.
    fn remove(&mut self, value: &str, ballot: &Ballot) {
        let counted = self.counted_as(value).to_owned();
        let Some(count) = self.values.get_mut(&counted) else { return };
        count.votes = count.votes.saturating_sub(1);
        each_mark(ballot, |option| {
            if let Some(votes) = count.options.get_mut(option) {
                *votes = votes.saturating_sub(1);
            }
        });
    }

    /// The name that a value is counted under. Values are never dropped once they have a place, so a vote is taken
    /// away from where it was added.
    fn counted_as<'a>(&self, value: &'a str) -> &'a str {
        if self.closed || self.values.contains_key(value) || self.values.len() < OPEN_VALUES_MAX {
            value
        } else {
            OTHER_VALUE
        }
    }
}

impl Timeline {
    /// Steps by the minute, each with the second it begins at, oldest first.
    pub fn minutes(&self) -> impl Iterator<Item = (i64, TimelineStep)> {
        self.minutes.iter().map(|(minute, step)| (minute * 60, *step))
    }

    /// Steps by the hour, each with the second it begins at, oldest first.
    pub fn hours(&self) -> impl Iterator<Item = (i64, TimelineStep)> {
        self.hours.iter().map(|(hour, step)| (hour * 3_600, *step))
    }

    fn at(&mut self, at: Timestamp) -> StepPair<'_> {
        let minute = at.seconds().div_euclid(60);
        if self.minutes.len() >= TIMELINE_MINUTES_MAX && !self.minutes.contains_key(&minute) {
            self.minutes.pop_first();
        }
        let hour = at.seconds().div_euclid(3_600);
        StepPair {
            minute: self.minutes.entry(minute).or_default(),
            hour: self.hours.entry(hour).or_default(),
        }
    }
}

struct StepPair<'a> {
    minute: &'a mut TimelineStep,
    hour: &'a mut TimelineStep,
}

impl StepPair<'_> {
    fn count(self, field: fn(&mut TimelineStep) -> &mut u64) {
        *field(self.minute) += 1;
        *field(self.hour) += 1;
    }
}

/// The options that a ballot marks: choices, first preferences, or options with a number above zero.
pub(crate) fn each_mark(ballot: &Ballot, mut mark: impl FnMut(usize)) {
    match ballot {
        Ballot::Choices(choices) => choices.iter().for_each(|option| mark(usize::from(*option))),
        Ballot::Ranking(ranks) => match ranks.iter().find(|rank| **rank != Rank::Skipped) {
            Some(Rank::One(option)) => mark(usize::from(*option)),
            Some(Rank::Equal(options)) => options.iter().for_each(|option| mark(usize::from(*option))),
            Some(Rank::Skipped | Rank::Overvote) | None => {}
        },
        Ballot::Scores(marks) | Ballot::Allocation(marks) => {
            marks.iter().filter(|(_, number)| *number > 0).for_each(|(option, _)| mark(usize::from(*option)));
        }
    }
}

impl Books {
    /// Appends the books as a checkpoint keeps them.
    pub fn encode(tally: &Tally, profile: Option<&Profile>, into: &mut Vec<u8>) {
        tally.encode(into);
        put_varint(into, profile.map_or(0, Profile::len) as u64);
        let mut encoded = Vec::new();
        for (ballot, total) in profile.into_iter().flat_map(Profile::iter) {
            encoded.clear();
            crate::record::put_weighed(&mut encoded, &ballot, Weight::ONE);
            put_bytes(into, &encoded);
            into.extend_from_slice(&total.millionths().to_le_bytes());
        }
    }

    /// Reads what [`Books::encode`] wrote for this poll.
    pub fn decode(poll: &Poll, encoded: &[u8]) -> Result<Self, Malformed> {
        let mut bytes = Bytes(encoded);
        let mut books = Self { tally: Tally::decode(poll, &mut bytes)?, profile: new_profile(poll) };
        for _ in 0..bytes.varint()? {
            let (ballot, _) = crate::record::take_weighed(&mut Bytes(bytes.counted()?))?;
            let total = take_total(&mut bytes)?;
            if let Some(profile) = &mut books.profile {
                profile.add_total(&ballot, total);
            }
        }
        bytes.end()?;
        Ok(books)
    }
}

impl Tally {
    fn encode(&self, into: &mut Vec<u8>) {
        put_varint(into, self.sequence.0);
        into.extend_from_slice(&self.updated_at.microseconds().to_le_bytes());
        put_varint(into, self.votes);
        into.extend_from_slice(&self.weight.millionths().to_le_bytes());
        put_varint(into, self.options.len() as u64);
        self.options.iter().for_each(|total| into.extend_from_slice(&total.millionths().to_le_bytes()));
        put_varint(into, self.breakdowns.len() as u64);
        self.breakdowns.iter().for_each(|breakdown| breakdown.encode(into));
        for steps in [&self.timeline.minutes, &self.timeline.hours] {
            put_varint(into, steps.len() as u64);
            for (at, step) in steps {
                into.extend_from_slice(&at.to_le_bytes());
                for count in [step.cast, step.changed, step.withdrawn] {
                    put_varint(into, count);
                }
            }
        }
    }

    fn decode(poll: &Poll, bytes: &mut Bytes<'_>) -> Result<Self, Malformed> {
        let mut tally = Self::new(poll);
        tally.sequence = Sequence(bytes.varint()?);
        tally.updated_at = Timestamp::from_microseconds(i64::from_le_bytes(bytes.array()?));
        tally.votes = bytes.varint()?;
        tally.weight = take_total(bytes)?;
        let count = take_count(bytes)?;
        tally.options = (0..count).map(|_| take_total(bytes)).collect::<Result<_, _>>()?;
        let count = take_count(bytes)?;
        if count != tally.breakdowns.len() {
            return Err(Malformed("a tally has other dimensions than its poll"));
        }
        tally.breakdowns.iter_mut().try_for_each(|breakdown| breakdown.decode(bytes))?;
        tally.timeline.minutes = take_steps(bytes)?;
        tally.timeline.hours = take_steps(bytes)?;
        Ok(tally)
    }
}

impl Breakdown {
    fn encode(&self, into: &mut Vec<u8>) {
        put_varint(into, self.values.len() as u64);
        for (value, count) in &self.values {
            put_bytes(into, value.as_bytes());
            put_varint(into, count.votes);
            put_varint(into, count.options.len() as u64);
            count.options.iter().for_each(|votes| put_varint(into, *votes));
        }
    }

    fn decode(&mut self, bytes: &mut Bytes<'_>) -> Result<(), Malformed> {
        for _ in 0..take_count(bytes)? {
            let value = bytes.text()?.to_owned();
            let votes = bytes.varint()?;
            let count = take_count(bytes)?;
            let options = (0..count).map(|_| bytes.varint()).collect::<Result<_, _>>()?;
            self.values.insert(value, ValueCount { votes, options });
        }
        Ok(())
    }
}

fn take_steps(bytes: &mut Bytes<'_>) -> Result<BTreeMap<i64, TimelineStep>, Malformed> {
    let count = take_count(bytes)?;
    let step = |bytes: &mut Bytes<'_>| {
        let at = i64::from_le_bytes(bytes.array()?);
        Ok((at, TimelineStep { cast: bytes.varint()?, changed: bytes.varint()?, withdrawn: bytes.varint()? }))
    };
    (0..count).map(|_| step(bytes)).collect()
}

fn take_total(bytes: &mut Bytes<'_>) -> Result<Total, Malformed> {
    Ok(Total::from_millionths(u128::from_le_bytes(bytes.array()?)))
}

/// A count of things that follow, at least a byte each: never more than what is left, so that no damage asks for
/// endless memory.
fn take_count(bytes: &mut Bytes<'_>) -> Result<usize, Malformed> {
    let count: usize = bytes.small()?;
    if count > bytes.0.len() { Err(Malformed("a count is larger than what follows")) } else { Ok(count) }
}
