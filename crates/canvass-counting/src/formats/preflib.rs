//! PrefLib's files: orders without and with ties (soc, soi, toc, toi), categories (cat), and the older files whose head
//! is numbers only.

use super::{
    COUNT_MAX, Election, Format, FormatError, NAME_CHARACTERS_MAX, OPTIONS_MAX, RANKS_MAX, Row, Rules,
    VotesMet, index_within, rank_of,
    text::{Line, end_of, lines, shown},
};
use crate::{Ballot, OptionIndex, Weight};

/// The keys of a modern head that tell PrefLib from another file with comments.
const KEYS: [&str; 5] =
    ["FILE NAME", "DATA TYPE", "NUMBER ALTERNATIVES", "NUMBER VOTERS", "ALTERNATIVE NAME 1"];

/// A key and its value in a line of a modern head.
fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.strip_prefix('#')?.split_once(':')?;
    Some((key.trim(), value.trim()))
}

/// Whether a text has a modern head.
pub(super) fn is_modern(text: &str) -> bool {
    let mut head = lines(text).map(|line| line.trimmed()).take_while(|line| line.starts_with('#'));
    head.any(|line| key_and_value(line).is_some_and(|(key, _)| KEYS.contains(&key)))
}

/// Whether a file begins as the older ones do: the number of options, and the first of their names.
pub(super) fn is_old(first: &str, second: Option<&str>) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let names_first = |line: &str| line.split_once(',').is_some_and(|(number, _)| number.trim() == "1");
    is_number(first) && second.is_some_and(names_first)
}

/// Reads an election.
pub(super) fn read(text: &str) -> Result<Election, FormatError> {
    if is_modern(text) { read_modern(text) } else { read_old(text) }
}

struct Reader {
    title: Option<String>,
    names: Vec<String>,
    rows: Vec<Row>,
    met: VotesMet,
}

fn read_modern(text: &str) -> Result<Election, FormatError> {
    let mut reader = Reader { title: None, names: Vec::new(), rows: Vec::new(), met: VotesMet(0) };
    let mut categories = None;
    for line in lines(text) {
        if let Some((key, value)) = key_and_value(line.trimmed()) {
            match key {
                "TITLE" if !value.is_empty() => reader.title = Some(value.to_owned()),
                "NUMBER ALTERNATIVES" => reader.resize(line, value)?,
                "NUMBER CATEGORIES" => categories = Some(read_number(line, value, RANKS_MAX)?),
                "DATA TYPE" if !["soc", "soi", "toc", "toi", "cat"].contains(&value) => {
                    return Err(line.error(value, "expected the data type soc, soi, toc, toi or cat"));
                }
                "DATA TYPE" if value == "cat" => {
                    categories.get_or_insert(0);
                }
                _ => {
                    if let Some(number) = key.strip_prefix("ALTERNATIVE NAME ") {
                        reader.name(line, number, value)?;
                    }
                }
            }
        } else if !line.trimmed().starts_with('#') {
            let (count, marks) = line
                .text
                .split_once(':')
                .ok_or_else(|| line.error(line.trimmed(), "expected a number of ballots and a colon"))?;
            reader.row(line, count, marks, categories.is_some())?;
        }
    }
    Ok(reader.finish())
}

fn read_old(text: &str) -> Result<Election, FormatError> {
    let mut reader = Reader { title: None, names: Vec::new(), rows: Vec::new(), met: VotesMet(0) };
    let missing = |what: &str| FormatError::new(end_of(text), format!("the file ends; expected {what}"));
    let mut lines = lines(text).filter(|line| !line.trimmed().starts_with('#'));
    let first = lines.next().ok_or_else(|| missing("the number of options"))?;
    reader.resize(first, first.trimmed())?;
    for _ in 0..reader.names.len() {
        let line = lines.next().ok_or_else(|| missing("the name of each option"))?;
        let (number, name) = line
            .text
            .split_once(',')
            .ok_or_else(|| line.error(line.trimmed(), "expected an option's number, a comma and its name"))?;
        reader.name(line, number, name)?;
    }
    lines.next().ok_or_else(|| missing("the numbers of voters, of ballots and of different ballots"))?;
    for line in lines {
        let (count, marks) = line
            .text
            .split_once(',')
            .ok_or_else(|| line.error(line.trimmed(), "expected a number of ballots and a comma"))?;
        reader.row(line, count, marks, false)?;
    }
    Ok(reader.finish())
}

impl Reader {
    fn resize(&mut self, line: Line<'_>, value: &str) -> Result<(), FormatError> {
        self.names.resize(read_number(line, value, OPTIONS_MAX)?, String::new());
        Ok(())
    }

    fn name(&mut self, line: Line<'_>, number: &str, name: &str) -> Result<(), FormatError> {
        let option = self.option(line, number)?;
        let short = name.trim().chars().take(NAME_CHARACTERS_MAX).collect();
        self.names[usize::from(option)] = short;
        Ok(())
    }

    fn option(&self, line: Line<'_>, number: &str) -> Result<OptionIndex, FormatError> {
        let index = number.trim().parse::<u64>().ok().and_then(|number| number.checked_sub(1));
        index.and_then(|index| index_within(index, self.names.len())).ok_or_else(|| {
            let most = self.names.len();
            line.error(
                number,
                format!("{} is no option; expected a number from 1 to {most}", shown(number.trim())),
            )
        })
    }

    fn row(
        &mut self,
        line: Line<'_>,
        count: &str,
        marks: &str,
        is_categories: bool,
    ) -> Result<(), FormatError> {
        let error = |message| line.error(count, message);
        let whole = count.trim().parse().ok().filter(|count| *count <= COUNT_MAX);
        let number = whole.ok_or_else(|| error(format!("expected a number of ballots up to {COUNT_MAX}")))?;
        let groups = self.groups(line, marks)?;
        let ballot = if is_categories {
            of_categories(groups)
        } else {
            Ballot::Ranking(groups.into_iter().map(rank_of).collect())
        };
        let row = Row { ballot, scores: None, count: number, weight: Weight::ONE };
        self.met.add(row.total()).map_err(error)?;
        self.rows.push(row);
        Ok(())
    }

    /// Numbers and sets of numbers in curly brackets, separated by commas.
    fn groups(&self, line: Line<'_>, marks: &str) -> Result<Vec<Vec<OptionIndex>>, FormatError> {
        let mut groups = Vec::new();
        let mut rest = marks.trim();
        while !rest.is_empty() {
            if groups.len() == RANKS_MAX {
                return Err(line.error(rest, format!("a ballot has at most {RANKS_MAX} ranks")));
            }
            let end = if let Some(inside) = rest.strip_prefix('{') {
                let length = inside.find('}').ok_or_else(|| line.error(rest, "expected } on this line"))?;
                let numbers = inside[..length].split(',').filter(|number| !number.trim().is_empty());
                groups.push(numbers.map(|number| self.option(line, number)).collect::<Result<_, _>>()?);
                length + 2
            } else {
                let length = rest.find(',').unwrap_or(rest.len());
                groups.push(vec![self.option(line, &rest[..length])?]);
                length
            };
            rest = rest[end..].trim_start();
            if rest.is_empty() {
                break;
            }
            rest = rest.strip_prefix(',').ok_or_else(|| line.error(rest, "expected a comma"))?.trim_start();
        }
        Ok(groups)
    }

    fn finish(self) -> Election {
        let election = Election {
            format: Format::Preflib,
            title: self.title,
            options: self.names,
            withdrawn: Vec::new(),
            seats: None,
            method: None,
            rules: Rules::default(),
            rows: self.rows,
            pairwise: None,
        };
        election.finish(&[])
    }
}

/// Categories are listed from the best to the worst. Of two, the first holds what is approved; of more, each is a
/// score: that of the last is zero.
fn of_categories(mut groups: Vec<Vec<OptionIndex>>) -> Ballot {
    if groups.len() <= 2 {
        let mut approved = if groups.is_empty() { Vec::new() } else { groups.swap_remove(0) };
        approved.sort_unstable();
        approved.dedup();
        return Ballot::Choices(approved);
    }
    let scores = (0..).zip(groups.into_iter().rev());
    let mut marks: Vec<(OptionIndex, i32)> =
        scores.flat_map(|(score, options)| options.into_iter().map(move |option| (option, score))).collect();
    marks.sort_unstable();
    marks.dedup_by_key(|(option, _)| *option);
    Ballot::Scores(marks)
}

fn read_number(line: Line<'_>, value: &str, most: usize) -> Result<usize, FormatError> {
    let number = value.trim().parse().ok().filter(|number| *number <= most);
    number.ok_or_else(|| line.error(value, format!("expected a whole number up to {most}")))
}
