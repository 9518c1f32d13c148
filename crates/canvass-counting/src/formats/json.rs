//! The neutral election JSON: one object with options, rows of ballots or a matrix of pairs, a method and its rules.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    COUNT_MAX, Election, Format, FormatError, NAME_CHARACTERS_MAX, OPTIONS_MAX, Place, RANKS_MAX, Row, Rules,
    SCORE_MAX, VotesMet, index_within, rank_of,
};
use crate::{Ballot, OptionIndex, Pairwise, Rank, Total, Weight};

/// The file's fields that say something of the count. The parts that can be wrong in themselves stay raw, so that an
/// error can tell where in the file it is.
#[derive(Deserialize)]
#[serde(expecting = "an election: a JSON object with options and ballots")]
struct File<'a> {
    title: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    rules: Option<BTreeMap<Cow<'a, str>, &'a RawValue>>,
    #[serde(borrow)]
    seats: Option<&'a RawValue>,
    #[serde(borrow)]
    options: Vec<&'a RawValue>,
    #[serde(borrow, default, alias = "excluded")]
    withdrawn: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    ballots: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pairwise_input: Option<Vec<Vec<&'a RawValue>>>,
}

#[derive(Deserialize)]
#[serde(expecting = "a row of ballots: a JSON object")]
struct RowFile<'a> {
    count: Option<u64>,
    #[serde(borrow)]
    weight: Option<&'a RawValue>,
    ranking: Option<Vec<Mark>>,
    choices: Option<Vec<u64>>,
    scores: Option<Vec<Option<i32>>>,
    votes: Option<Vec<i32>>,
}

/// One rank.
enum Mark {
    One(u64),
    Equal(Vec<u64>),
    Skipped,
    Overvote,
}

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MarkVisitor)
    }
}

struct MarkVisitor;

impl<'de> Visitor<'de> for MarkVisitor {
    type Value = Mark;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an option's index, a list of indexes, null or \"overvote\"")
    }

    fn visit_u64<E: serde::de::Error>(self, index: u64) -> Result<Mark, E> {
        Ok(Mark::One(index))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Mark, E> {
        Ok(Mark::Skipped)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Mark, E> {
        match text {
            "overvote" => Ok(Mark::Overvote),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut indexes: A) -> Result<Mark, A::Error> {
        let mut equal = Vec::new();
        while let Some(index) = indexes.next_element()? {
            if equal.len() == OPTIONS_MAX {
                return Err(A::Error::custom(format!("more than {OPTIONS_MAX} options at one rank")));
            }
            equal.push(index);
        }
        Ok(Mark::Equal(equal))
    }
}

/// A JSON text, in which places of its parts can be found.
#[derive(Clone, Copy)]
pub(super) struct Source<'a>(pub(super) &'a str);

impl<'a> Source<'a> {
    /// The whole as one value.
    pub(super) fn parse<T: Deserialize<'a>>(self) -> Result<T, FormatError> {
        self.parse_text(self.0)
    }

    /// A part as a value.
    pub(super) fn part<T: Deserialize<'a>>(self, part: &'a RawValue) -> Result<T, FormatError> {
        self.parse_text(part.get())
    }

    fn parse_text<T: Deserialize<'a>>(self, text: &'a str) -> Result<T, FormatError> {
        serde_json::from_str(text).map_err(|error| {
            // The parser's line and column are those of its own text, and its message ends with them.
            let lines: usize =
                text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
            let within = (lines + error.column().saturating_sub(1)).min(text.len());
            let message = error.to_string();
            let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
            FormatError::new(Place::of(self.0, self.offset(text) + within), message)
        })
    }

    /// Where a part begins.
    pub(super) fn place(self, part: &RawValue) -> Place {
        Place::of(self.0, self.offset(part.get()))
    }

    fn offset(self, part: &str) -> usize {
        (part.as_ptr() as usize).saturating_sub(self.0.as_ptr() as usize)
    }

    /// An error at a part.
    pub(super) fn error(self, part: &RawValue, message: impl Into<String>) -> FormatError {
        FormatError::new(self.place(part), message)
    }
}

/// Reads an election.
pub(super) fn read(text: &str) -> Result<Election, FormatError> {
    let source = Source(text);
    let file: File<'_> = source.parse()?;
    let options = read_options(source, &file.options)?;
    let mut rules = Rules::default();
    for (name, value) in file.rules.into_iter().flatten() {
        rules.read(&name, source.part(value)?, source.place(value));
    }
    let mut withdrawn = Vec::new();
    for index in &file.withdrawn {
        withdrawn.push(read_option(source, index, &options)?);
    }
    let pairwise =
        file.pairwise_input.as_ref().map(|rows| read_matrix(source, rows, options.len())).transpose()?;
    if pairwise.is_some()
        && (file.ballots.as_ref().is_some_and(|rows| !rows.is_empty()) || !withdrawn.is_empty())
    {
        let message =
            "a matrix of pairs stands for itself: expected no ballots and no withdrawn options beside it";
        return Err(FormatError::new(Place { line: 1, column: 1 }, message));
    }
    let mut met = VotesMet(0);
    let mut rows = Vec::new();
    for raw in file.ballots.into_iter().flatten() {
        let row = read_row(source, raw, options.len())?;
        met.add(row.total()).map_err(|message| source.error(raw, message))?;
        rows.push(row);
    }
    let election = Election {
        format: Format::Json,
        title: file.title.or(file.name).map(Cow::into_owned),
        options,
        withdrawn: Vec::new(),
        seats: file.seats.map(|seats| read_seats(source, seats)).transpose()?,
        method: file.method.map(Cow::into_owned),
        rules,
        rows,
        pairwise,
    };
    Ok(election.finish(&withdrawn))
}

fn read_options(source: Source<'_>, raw: &[&RawValue]) -> Result<Vec<String>, FormatError> {
    let mut names = Vec::new();
    for raw in raw {
        if names.len() == OPTIONS_MAX {
            return Err(source.error(raw, format!("more than {OPTIONS_MAX} options")));
        }
        let name: String = serde_json::from_str(raw.get())
            .map_err(|_| source.error(raw, "expected an option's name as a string"))?;
        if name.chars().count() > NAME_CHARACTERS_MAX {
            return Err(source.error(raw, format!("a name has at most {NAME_CHARACTERS_MAX} characters")));
        }
        names.push(name);
    }
    Ok(names)
}

/// An option by its index or its name.
fn read_option(source: Source<'_>, raw: &RawValue, options: &[String]) -> Result<OptionIndex, FormatError> {
    let index = match serde_json::from_str(raw.get()) {
        Ok(serde_json::Value::Number(index)) => {
            index.as_u64().and_then(|index| index_within(index, options.len()))
        }
        Ok(serde_json::Value::String(name)) => {
            (0..).zip(options).find(|(_, own)| **own == name).map(|(index, _)| index)
        }
        _ => None,
    };
    index.ok_or_else(|| source.error(raw, "expected an option's index or name"))
}

fn read_seats(source: Source<'_>, raw: &RawValue) -> Result<usize, FormatError> {
    let seats: Option<usize> = serde_json::from_str(raw.get()).ok();
    seats
        .filter(|seats| (1..=OPTIONS_MAX).contains(seats))
        .ok_or_else(|| source.error(raw, format!("expected a number of seats from 1 to {OPTIONS_MAX}")))
}

fn read_row<'a>(source: Source<'a>, raw: &'a RawValue, option_count: usize) -> Result<Row, FormatError> {
    let error = |message: String| source.error(raw, message);
    let row: RowFile<'_> = source.part(raw)?;
    let RowFile { count, weight, ranking, choices, scores, votes } = row;
    let count = count.unwrap_or(1);
    if count > COUNT_MAX {
        return Err(error(format!("a row stands for at most {COUNT_MAX} ballots")));
    }
    let weight = weight.map_or(Ok(Weight::ONE), |weight| read_weight(source, weight))?;
    let marks = |marks: Vec<Option<i32>>| {
        let given = marks.into_iter().enumerate().filter_map(|(index, mark)| Some((index, mark?)));
        read_marks(given, option_count)
    };
    // Scores may stand beside ranks or choices of the same ballots.
    let (ballot, scores) = match (ranking, choices, scores, votes) {
        (Some(ranks), None, scores, None) => (read_ranking(ranks, option_count), scores),
        (None, Some(choices), scores, None) => (read_choices(choices, option_count), scores),
        (None, None, Some(scores), None) => (marks(scores).map(Ballot::Scores), None),
        (None, None, None, Some(votes)) => {
            let given = votes.into_iter().map(|votes| Some(votes).filter(|votes| *votes != 0));
            (marks(given.collect()).map(Ballot::Allocation), None)
        }
        _ => (Err("expected one of ranking, choices, scores and votes in a row".to_owned()), None),
    };
    let ballot = ballot.map_err(error)?;
    let scores = scores.map(|scores| marks(scores).map(Ballot::Scores)).transpose().map_err(error)?;
    Ok(Row { ballot, scores, count, weight })
}

fn read_weight(source: Source<'_>, raw: &RawValue) -> Result<Weight, FormatError> {
    let text = raw.get().trim_matches('"');
    text.parse().map_err(|error: crate::WeightError| source.error(raw, error.to_string()))
}

fn read_ranking(marks: Vec<Mark>, option_count: usize) -> Result<Ballot, String> {
    if marks.len() > RANKS_MAX {
        return Err(format!("a ballot has at most {RANKS_MAX} ranks"));
    }
    let rank = |mark| match mark {
        Mark::One(index) => known(index, option_count).map(Rank::One),
        Mark::Equal(indexes) => {
            let options: Result<Vec<_>, _> =
                indexes.into_iter().map(|index| known(index, option_count)).collect();
            options.map(rank_of)
        }
        Mark::Skipped => Ok(Rank::Skipped),
        Mark::Overvote => Ok(Rank::Overvote),
    };
    marks.into_iter().map(rank).collect::<Result<_, _>>().map(Ballot::Ranking)
}

fn read_choices(choices: Vec<u64>, option_count: usize) -> Result<Ballot, String> {
    let options: Result<Vec<_>, _> = choices.into_iter().map(|index| known(index, option_count)).collect();
    let mut options = options?;
    options.sort_unstable();
    options.dedup();
    Ok(Ballot::Choices(options))
}

fn read_marks(
    marks: impl Iterator<Item = (usize, i32)>,
    option_count: usize,
) -> Result<Vec<(OptionIndex, i32)>, String> {
    let read = |(index, mark): (usize, i32)| {
        if !(-SCORE_MAX..=SCORE_MAX).contains(&mark) {
            return Err(format!("{mark} is out of range; expected a number up to {SCORE_MAX}"));
        }
        Ok((known(index as u64, option_count)?, mark))
    };
    marks.map(read).collect()
}

fn known(index: u64, option_count: usize) -> Result<OptionIndex, String> {
    index_within(index, option_count).ok_or_else(|| match option_count.checked_sub(1) {
        Some(last) => format!("there is no option {index}; expected an index from 0 to {last}"),
        None => format!("there is no option {index}; the election has no options"),
    })
}

fn read_matrix(
    source: Source<'_>,
    rows: &[Vec<&RawValue>],
    option_count: usize,
) -> Result<Pairwise, FormatError> {
    let mut matrix = Vec::new();
    for row in rows {
        let mut totals = Vec::new();
        for raw in row {
            totals.push(read_votes(source, raw)?);
        }
        matrix.push(totals);
    }
    let square = Pairwise::from_rows(&matrix).filter(|pairwise| pairwise.option_count() == option_count);
    square.ok_or_else(|| {
        let place = rows.first().and_then(|row| row.first()).map(|raw| source.place(raw));
        let message = format!("expected a matrix of {option_count} rows of {option_count} numbers of votes");
        FormatError::new(place.unwrap_or(Place { line: 1, column: 1 }), message)
    })
}

/// A number of votes, whole or a decimal in quotation marks.
fn read_votes(source: Source<'_>, raw: &RawValue) -> Result<Total, FormatError> {
    let text = raw.get().trim_matches('"');
    let whole = text.parse().ok().filter(|votes| *votes <= COUNT_MAX).map(Total::from_votes);
    whole
        .or_else(|| text.parse::<Weight>().ok().map(Total::from))
        .ok_or_else(|| source.error(raw, format!("expected a number of votes from 0 to {COUNT_MAX}")))
}
