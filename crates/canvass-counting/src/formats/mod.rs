//! Election files: what they say, told by their content, and the same written again.
//!
//! Reading bytes is not I/O: whoever has a file hands over what is in it. An [`Election`] has the options that stand,
//! the rows of ballots, and what the file says of how to count them.

mod abif;
mod blt;
mod cvr;
mod error;
mod interpret;
mod json;
mod limits;
mod preflib;
mod rules;
mod text;
mod write;

use std::collections::BTreeSet;

pub use error::{FormatError, Place};
pub use limits::{COUNT_MAX, FILE_BYTES_MAX, NAME_CHARACTERS_MAX, OPTIONS_MAX, RANKS_MAX, SCORE_MAX};
pub use rules::{Instructions, METHOD_NAMES, RuleError, Rules};
pub use write::{Unwritable, Written};

use crate::{
    Ballot, Count, Method, OptionIndex, PROFILE_VOTES_MAX, Pairwise, Profile, Rank, Total, Weight, count,
    count_pairwise,
};

/// The formats that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The neutral election JSON, described in the project's documentation of election files.
    Json,
    /// Cast vote records in JSON by NIST SP 1500-103.
    CastVoteRecords,
    /// BLT, by Hill, Wichmann and Woodall, with the extensions of OpenSTV and Droop.
    Blt,
    /// The Aggregated Ballot Information Format.
    Abif,
    /// PrefLib: soc, soi, toc, toi and cat, and the older files that begin with a number.
    Preflib,
}

/// What an election file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Election {
    /// What it is written in.
    pub format: Format,
    /// What was voted on.
    pub title: Option<String>,
    /// The names of the options that stand, each different from the others: by [`OptionIndex`].
    pub options: Vec<String>,
    /// The names of options that were withdrawn. Ballots are read as if these were not marked.
    pub withdrawn: Vec<String>,
    /// How many are to be elected, where the file says so.
    pub seats: Option<usize>,
    /// The name of the method, where the file says so.
    pub method: Option<String>,
    /// The rules of the method.
    pub rules: Rules,
    /// The ballots, in the order of the file.
    pub rows: Vec<Row>,
    /// A published matrix of pairs, where there is one instead of ballots.
    pub pairwise: Option<Pairwise>,
}

/// Ballots that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What is marked.
    pub ballot: Ballot,
    /// The scores of the same ballots, where the file gives both ranks and scores.
    pub scores: Option<Ballot>,
    /// How many there are.
    pub count: u64,
    /// How much each counts.
    pub weight: Weight,
}

/// Why an election cannot be counted as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CountError {
    /// A rule of the file, or one that was given.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A matrix of pairs and a method that reads ballots.
    #[error(
        "the file has a matrix of pairs and no ballots; only schulze, ranked_pairs and minimax can count it"
    )]
    NeedsBallots,
}

impl Election {
    /// Reads a file of any format, told by its content.
    pub fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        Self::read_contest(bytes, None)
    }

    /// Reads a file that may hold several contests; `contest` is the name or id of the one that is meant.
    pub fn read_contest(bytes: &[u8], contest: Option<&str>) -> Result<Self, FormatError> {
        let start = Place { line: 1, column: 1 };
        if bytes.len() > FILE_BYTES_MAX {
            return Err(FormatError::new(start, format!("the file has more than {FILE_BYTES_MAX} bytes")));
        }
        let text = text::decode(bytes)?;
        match told_by_content(&text) {
            Some(Format::Json | Format::CastVoteRecords) => {
                // JSON is UTF-8; in another code page names would be read wrongly without anybody noticing.
                let json = std::str::from_utf8(bytes).map_err(|error| {
                    let place = Place::of(&String::from_utf8_lossy(bytes), error.valid_up_to());
                    FormatError::new(place, "this is not UTF-8, as JSON is")
                })?;
                let json = json.strip_prefix('\u{feff}').unwrap_or(json);
                if cvr::is_report(json) { cvr::read(json, contest) } else { json::read(json) }
            }
            Some(Format::Blt) => blt::read(&text),
            Some(Format::Abif) => abif::read(&text),
            Some(Format::Preflib) => preflib::read(&text),
            None => Err(FormatError::new(
                text::lines(&text).next().map_or(start, |line| line.place(line.trimmed())),
                "this is no election file; expected election JSON, cast vote records in JSON, BLT, ABIF or PrefLib",
            )),
        }
    }

    /// How the election is counted: by the method that is given or else the file's, by its rules, and with others put
    /// in their place.
    ///
    /// A file without a method is counted by what its ballots are made for: instant runoff, or the Scottish single
    /// transferable vote for several seats; approval; score; or Schulze for a matrix of pairs.
    pub fn instructions(&self, method: Option<&str>, given: &Rules) -> Result<Instructions, RuleError> {
        let own = self.method.as_deref();
        let normal = |name: &str| name.replace(['_', '-'], "").to_lowercase().replace("wigmrctab", "wigm");
        let is_own = method.is_none() || method.map(normal) == own.map(normal);
        let mut rules = if is_own { self.rules.clone() } else { self.rules.for_another_method() };
        for (name, value) in given.iter() {
            rules.set(name, value.clone());
        }
        let method = method.or(own).unwrap_or_else(|| self.usual_method());
        rules.interpret(method, &self.options, self.title.as_deref())
    }

    /// Counts as instructed, for so many seats.
    pub fn count(&self, instructions: &Instructions, seats: usize) -> Result<Count, CountError> {
        let Instructions { method, tie_break, .. } = instructions;
        match &self.pairwise {
            Some(pairwise) => {
                count_pairwise(pairwise.clone(), method, tie_break).ok_or(CountError::NeedsBallots)
            }
            None => Ok(count(&self.profile(instructions), method, seats, tie_break)),
        }
    }

    /// The distinct ballots as the method reads them.
    pub fn profile(&self, instructions: &Instructions) -> Profile {
        let by_score = matches!(instructions.method, Method::Score(_) | Method::Star { .. });
        let mut profile = Profile::new(self.options.len());
        for row in &self.rows {
            let ballot = row.scores.as_ref().filter(|_| by_score).unwrap_or(&row.ballot);
            let total = row.total();
            match (ballot, instructions.rankings_max) {
                (Ballot::Ranking(ranks), Some(most)) if ranks.len() > most => {
                    profile.add_total(&Ballot::Ranking(ranks[..most].to_vec()), total);
                }
                _ => profile.add_total(ballot, total),
            }
        }
        profile
    }

    fn usual_method(&self) -> &'static str {
        match self.rows.first().map(|row| &row.ballot) {
            _ if self.pairwise.is_some() => "schulze",
            Some(Ballot::Choices(_)) if self.rows.iter().all(Row::chooses_one) => "plurality",
            Some(Ballot::Choices(_)) => "approval",
            Some(Ballot::Scores(_)) => "score",
            Some(Ballot::Ranking(_) | Ballot::Allocation(_)) | None => {
                if self.seats.unwrap_or(1) > 1 {
                    "stv_scottish"
                } else {
                    "irv"
                }
            }
        }
    }

    /// Leaves out the withdrawn options, and makes the others' names different from each other.
    fn finish(mut self, withdrawn: &[OptionIndex]) -> Self {
        tell_apart(&mut self.options);
        self.rules.name_options(&self.options, withdrawn);
        if withdrawn.is_empty() {
            return self;
        }
        let gone: BTreeSet<_> = withdrawn.iter().copied().collect();
        let mut new_indexes = Vec::with_capacity(self.options.len());
        let mut standing = Vec::new();
        for (option, name) in (0..).zip(std::mem::take(&mut self.options)) {
            if gone.contains(&option) {
                new_indexes.push(None);
                self.withdrawn.push(name);
            } else {
                new_indexes.push(OptionIndex::try_from(standing.len()).ok());
                standing.push(name);
            }
        }
        self.options = standing;
        for row in &mut self.rows {
            without(&mut row.ballot, &new_indexes);
            if let Some(scores) = &mut row.scores {
                without(scores, &new_indexes);
            }
        }
        self
    }
}

impl Row {
    /// How much the row counts.
    pub fn total(&self) -> Total {
        Total::from_millionths(u128::from(self.weight.millionths()) * u128::from(self.count))
    }

    fn chooses_one(&self) -> bool {
        matches!(&self.ballot, Ballot::Choices(options) if options.len() <= 1)
    }
}

/// The sum of all rows, which may not pass what a profile holds.
struct VotesMet(u128);

impl VotesMet {
    fn add(&mut self, total: Total) -> Result<(), String> {
        self.0 += total.millionths();
        if self.0 > PROFILE_VOTES_MAX.millionths() {
            return Err(format!("more than {PROFILE_VOTES_MAX} votes in all"));
        }
        Ok(())
    }
}

/// An option's index if there is such an option.
fn index_within(index: u64, option_count: usize) -> Option<OptionIndex> {
    usize::try_from(index).ok().filter(|index| *index < option_count)?;
    OptionIndex::try_from(index).ok()
}

/// What options at one rank are: none, one or several, each once.
fn rank_of(mut options: Vec<OptionIndex>) -> Rank {
    options.sort_unstable();
    options.dedup();
    match options[..] {
        [] => Rank::Skipped,
        [only] => Rank::One(only),
        _ => Rank::Equal(options),
    }
}

/// Takes marks of withdrawn options from a ballot, and gives the others their new indexes. A rank that only held
/// withdrawn options is no skipped rank: the ranks below it move up.
fn without(ballot: &mut Ballot, new_indexes: &[Option<OptionIndex>]) {
    let new = |option: &OptionIndex| new_indexes.get(usize::from(*option)).copied().flatten();
    match ballot {
        Ballot::Choices(options) => *options = options.iter().filter_map(new).collect(),
        Ballot::Scores(marks) | Ballot::Allocation(marks) => {
            *marks = marks.iter().filter_map(|(option, mark)| Some((new(option)?, *mark))).collect();
        }
        Ballot::Ranking(ranks) => {
            let kept = ranks.iter().filter_map(|rank| match rank {
                Rank::One(option) => new(option).map(Rank::One),
                Rank::Equal(options) => {
                    let left: Vec<_> = options.iter().filter_map(new).collect();
                    (!left.is_empty()).then(|| rank_of(left))
                }
                Rank::Skipped | Rank::Overvote => Some(rank.clone()),
            });
            *ranks = kept.collect();
        }
    }
}

/// Results go by name, so no two options may have the same, nor none.
fn tell_apart(names: &mut [String]) {
    let mut seen = BTreeSet::new();
    for (name, number) in names.iter_mut().zip(1..) {
        if name.is_empty() {
            *name = format!("Option {number}");
        }
        let base = name.clone();
        let mut copy = 2;
        while !seen.insert(name.clone()) {
            *name = format!("{base} ({copy})");
            copy += 1;
        }
    }
}

/// What a file is by the look of its beginning.
fn told_by_content(text: &str) -> Option<Format> {
    let mut lines = text::lines(text).map(|line| line.trimmed());
    let first = lines.clone().next()?;
    if first.starts_with('{') {
        // ABIF's metadata is a whole object in one line, after which JSON would end.
        let is_abif = abif::is_metadata(first) && lines.clone().nth(1).is_some();
        return Some(if is_abif { Format::Abif } else { Format::Json });
    }
    if preflib::is_modern(text) {
        return Some(Format::Preflib);
    }
    let first = lines.find(|line| !line.starts_with('#'))?;
    if preflib::is_old(first, lines.next()) {
        Some(Format::Preflib)
    } else if abif::is_line(first) || abif::is_metadata(first) {
        Some(Format::Abif)
    } else if blt::is_head(first) {
        Some(Format::Blt)
    } else {
        None
    }
}
