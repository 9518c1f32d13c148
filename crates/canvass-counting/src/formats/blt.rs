//! BLT: candidates and seats, lists of preferences, names. As Hill, Wichmann and Woodall have it, with the extensions
//! of OpenSTV and Droop and the odd ways in which real files are written.
//!
//! A file whose first line holds no more than the two numbers is read line by line: each line is one list, a zero
//! within it a skipped rank. Any other is read as a stream, in which a zero ends each list.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    COUNT_MAX, Election, Format, FormatError, NAME_CHARACTERS_MAX, OPTIONS_MAX, RANKS_MAX, Row, Rules,
    VotesMet, index_within, rank_of,
    text::{Line, end_of, lines, shown},
};
use crate::{Ballot, OptionIndex, Rank, Weight};

/// What stands between separators.
#[derive(Clone, Debug)]
struct Token<'a> {
    line: Line<'a>,
    part: &'a str,
    kind: Kind<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind<'a> {
    Word,
    Quoted(Cow<'a, str>),
    /// In round brackets: a ballot's id, or options at one rank.
    Round(&'a str),
    /// In square brackets: an extension of Droop's.
    Square(&'a str),
}

impl Token<'_> {
    fn error(&self, message: impl Into<String>) -> FormatError {
        self.line.error(self.part, message)
    }

    fn is_zero(&self) -> bool {
        self.kind == Kind::Word && self.part == "0"
    }

    fn is_withdrawal(&self) -> bool {
        self.kind == Kind::Word && self.part.len() > 1 && self.part.starts_with('-')
    }
}

/// Whether a line can be the first of a file: it begins with two whole numbers.
pub(super) fn is_head(line: &str) -> bool {
    let mut words = line.split([' ', '\t', ',', ';']).filter(|word| !word.is_empty());
    let mut number = || words.next().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    number() && number()
}

/// Reads an election.
pub(super) fn read(text: &str) -> Result<Election, FormatError> {
    let mut lines = lines(text).filter(|line| !line.trimmed().starts_with('#'));
    let missing = |what: &str| FormatError::new(end_of(text), format!("the file ends; expected {what}"));
    let head = tokens(lines.next().ok_or_else(|| missing("the numbers of candidates and seats"))?)?;
    let [options, seats, rest @ ..] = &head[..] else { return Err(missing("two numbers")) };
    let mut reader = Reader {
        option_count: number(options, OPTIONS_MAX)?,
        seats: number(seats, OPTIONS_MAX)?,
        nicknames: BTreeMap::new(),
        withdrawn: Vec::new(),
        rules: Rules::default(),
        rows: Vec::new(),
        met: VotesMet(0),
        zero_ends: None,
    };
    if reader.seats == 0 {
        return Err(seats.error("expected a number of seats from 1"));
    }
    let is_stream = rest.iter().any(|token| !token.is_withdrawal());
    let names = if is_stream {
        let mut all = rest.to_vec();
        for line in lines {
            all.extend(tokens(line)?);
        }
        reader.read_stream(&all).ok_or_else(|| missing("a 0 that ends the lists"))??
    } else {
        reader.read_before_lists(rest)?;
        reader.read_lines(&mut lines)?.ok_or_else(|| missing("a line with 0 that ends the lists"))?
    };
    Ok(reader.finish(names))
}

struct Reader {
    option_count: usize,
    seats: usize,
    /// Droop's: words that stand for options.
    nicknames: BTreeMap<String, OptionIndex>,
    withdrawn: Vec<OptionIndex>,
    rules: Rules,
    rows: Vec<Row>,
    met: VotesMet,
    /// Whether each list ends with a zero, as all do or none.
    zero_ends: Option<bool>,
}

impl Reader {
    /// The lists one by one; gives the texts after them, or nothing where the file ends before.
    fn read_stream(&mut self, all: &[Token<'_>]) -> Option<Result<Vec<String>, FormatError>> {
        let first =
            all.iter().position(|token| !token.is_withdrawal() && !matches!(token.kind, Kind::Square(_)));
        let (before, mut rest) = all.split_at(first?);
        if let Err(error) = self.read_before_lists(before) {
            return Some(Err(error));
        }
        loop {
            if rest.first()?.is_zero() {
                break;
            }
            let end = rest.iter().skip(1).position(Token::is_zero)? + 1;
            if let Err(error) = self.read_list(&rest[..=end]) {
                return Some(Err(error));
            }
            rest = &rest[end + 1..];
        }
        Some(Ok(rest[1..].iter().map(Token::name).collect()))
    }

    fn read_lines(
        &mut self,
        lines: &mut dyn Iterator<Item = Line<'_>>,
    ) -> Result<Option<Vec<String>>, FormatError> {
        while let Some(line) = lines.next() {
            let tokens = tokens(line)?;
            match tokens.first() {
                None => {}
                Some(first) if first.is_zero() => {
                    return self.read_names(&tokens[1..], lines).map(Some);
                }
                Some(first) if first.is_withdrawal() || matches!(first.kind, Kind::Square(_)) => {
                    self.read_before_lists(&tokens)?;
                }
                Some(_) => self.read_list(&tokens)?,
            }
        }
        Ok(None)
    }

    /// Withdrawn options as negative numbers, and Droop's words in square brackets.
    fn read_before_lists(&mut self, tokens: &[Token<'_>]) -> Result<(), FormatError> {
        for token in tokens {
            if !self.rows.is_empty() {
                return Err(
                    token.error("withdrawn options and words in square brackets come before the lists")
                );
            }
            match token.kind {
                Kind::Square(inside) => self.read_square(token, inside)?,
                _ if token.is_withdrawal() => {
                    let option = self.option(token, &token.part[1..])?;
                    self.withdrawn.push(option);
                }
                _ => return Err(token.error("expected a withdrawn option as a negative number")),
            }
        }
        Ok(())
    }

    fn read_square(&mut self, token: &Token<'_>, inside: &str) -> Result<(), FormatError> {
        let mut words = inside.split([' ', '\t', ',']).filter(|word| !word.is_empty());
        match words.next() {
            Some("nick") => {
                for (word, option) in words.zip(0..) {
                    self.nicknames.insert(word.to_owned(), option);
                }
            }
            Some("tie") => {
                let order: Result<Vec<_>, _> = words.map(|word| self.option(token, word)).collect();
                let order = order?.into_iter().map(serde_json::Value::from).collect();
                let place = token.line.place(token.part);
                self.rules.read("tie_break", "draw_order".into(), place);
                self.rules.read("tie_break_order", serde_json::Value::Array(order), place);
            }
            Some("withdrawn") => {
                for word in words {
                    let option = self.option(token, word)?;
                    self.withdrawn.push(option);
                }
            }
            // What Droop itself is to do.
            Some("droop") => {}
            _ => return Err(token.error("expected [nick …], [tie …], [withdrawn …] or [droop …]")),
        }
        Ok(())
    }

    /// One list: how many ballots or an id, the preferences, and a zero.
    fn read_list(&mut self, tokens: &[Token<'_>]) -> Result<(), FormatError> {
        let Some((first, marks)) = tokens.split_first() else { return Ok(()) };
        let (count, weight) = read_count(first)?;
        let ends = marks.last().is_some_and(Token::is_zero);
        if *self.zero_ends.get_or_insert(ends) != ends {
            let wanted = if ends { "no 0" } else { "a 0" };
            let message = format!("expected {wanted} at the end of this list, as in those before");
            return Err(first.error(message));
        }
        let ranks = self.read_ranks(&marks[..marks.len() - usize::from(ends)])?;
        let row = Row { ballot: Ballot::Ranking(ranks), scores: None, count, weight };
        self.met.add(row.total()).map_err(|message| first.error(message))?;
        self.rows.push(row);
        Ok(())
    }

    fn read_ranks(&self, marks: &[Token<'_>]) -> Result<Vec<Rank>, FormatError> {
        let mut ranks: Vec<Vec<OptionIndex>> = Vec::new();
        let mut joins = false;
        for token in marks {
            match token.kind {
                Kind::Round(inside) => {
                    let words = inside.split([' ', '\t', ',']).filter(|word| !word.is_empty());
                    ranks.push(words.map(|word| self.option(token, word)).collect::<Result<_, _>>()?);
                }
                Kind::Word if token.part == "-" || token.part == "0" => ranks.push(Vec::new()),
                Kind::Word => {
                    for (place, word) in token.part.split('=').enumerate() {
                        joins |= place > 0;
                        if word.is_empty() {
                            continue;
                        }
                        let option = self.option(token, word)?;
                        match ranks.last_mut() {
                            Some(last) if joins => last.push(option),
                            _ => ranks.push(vec![option]),
                        }
                        joins = false;
                    }
                    continue;
                }
                Kind::Quoted(_) | Kind::Square(_) => {
                    return Err(token.error("expected an option's number, or 0 at the end of the list"));
                }
            }
            joins = false;
        }
        match marks.first() {
            Some(first) if ranks.len() > RANKS_MAX => {
                Err(first.error(format!("a ballot has at most {RANKS_MAX} ranks")))
            }
            _ => Ok(ranks.into_iter().map(rank_of).collect()),
        }
    }

    fn option(&self, token: &Token<'_>, word: &str) -> Result<OptionIndex, FormatError> {
        let by_name = self.nicknames.get(word).copied();
        let by_number = || word.parse::<u64>().ok()?.checked_sub(1);
        let found = by_name.or_else(|| index_within(by_number()?, self.option_count));
        found.filter(|option| usize::from(*option) < self.option_count).ok_or_else(|| {
            let most = self.option_count;
            token.error(format!("{} is no option; expected a number from 1 to {most}", shown(word)))
        })
    }

    /// One name a line, with what else is on the line left out, as a party; or all on one line.
    fn read_names(
        &self,
        after_zero: &[Token<'_>],
        lines: &mut dyn Iterator<Item = Line<'_>>,
    ) -> Result<Vec<String>, FormatError> {
        let mut names: Vec<String> = after_zero.iter().map(Token::name).collect();
        let is_one_line = |names: &[String]| names.len() >= self.option_count.max(2);
        let mut stream = is_one_line(&names);
        for line in lines {
            if !line.trimmed().starts_with('"') {
                let bare = line.text.split('#').next().unwrap_or_default();
                names.push(bare.trim().trim_end_matches([',', ';']).to_owned());
                continue;
            }
            let found: Vec<_> = tokens(line)?.iter().map(Token::name).collect();
            stream |= names.is_empty() && is_one_line(&found);
            let taken = if stream { found.len() } else { 1 };
            names.extend(found.into_iter().take(taken));
        }
        Ok(names)
    }

    fn finish(self, mut names: Vec<String>) -> Election {
        let title = names.get(self.option_count).filter(|title| !title.is_empty()).cloned();
        names.resize(self.option_count, String::new());
        for name in &mut names {
            *name = name.chars().take(NAME_CHARACTERS_MAX).collect();
        }
        let election = Election {
            format: Format::Blt,
            title,
            options: names,
            withdrawn: Vec::new(),
            seats: Some(self.seats),
            method: None,
            rules: self.rules,
            rows: self.rows,
            pairwise: None,
        };
        election.finish(&self.withdrawn)
    }
}

impl Token<'_> {
    /// As a name.
    fn name(&self) -> String {
        match &self.kind {
            Kind::Quoted(text) => text.trim().to_owned(),
            Kind::Word | Kind::Round(_) | Kind::Square(_) => self.part.to_owned(),
        }
    }
}

/// A whole number up to a bound.
fn number(token: &Token<'_>, most: usize) -> Result<usize, FormatError> {
    let number = token.part.parse().ok().filter(|number| *number <= most);
    number.ok_or_else(|| token.error(format!("expected a whole number up to {most}")))
}

/// How many ballots a list stands for, or how much one weighs; an id in round brackets stands for one.
fn read_count(token: &Token<'_>) -> Result<(u64, Weight), FormatError> {
    if matches!(token.kind, Kind::Round(_)) {
        return Ok((1, Weight::ONE));
    }
    let whole = token.part.parse().ok().filter(|count| *count <= COUNT_MAX);
    match (whole, token.part.parse()) {
        (Some(count), _) => Ok((count, Weight::ONE)),
        (None, Ok(weight)) if token.kind == Kind::Word => Ok((1, weight)),
        _ => Err(token.error(format!(
            "expected how many ballots there are: a number up to {COUNT_MAX}, or a decimal weight"
        ))),
    }
}

/// The tokens of a line, without comments.
fn tokens(line: Line<'_>) -> Result<Vec<Token<'_>>, FormatError> {
    let mut tokens = Vec::new();
    let mut rest = line.text;
    loop {
        rest = rest.trim_start_matches(|character: char| {
            character.is_whitespace() || character == ',' || character == ';'
        });
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let (kind, length) = match first {
            '#' => return Ok(tokens),
            '"' => quoted(line, rest)?,
            '(' => bracketed(line, rest, ')').map(|(inside, length)| (Kind::Round(inside), length))?,
            '[' => bracketed(line, rest, ']').map(|(inside, length)| (Kind::Square(inside), length))?,
            _ => {
                let ends = |character: char| character.is_whitespace() || ",;#\"([".contains(character);
                (Kind::Word, rest.find(ends).unwrap_or(rest.len()))
            }
        };
        let (part, after) = rest.split_at(length);
        tokens.push(Token { line, part, kind });
        rest = after;
    }
}

/// A text in quotation marks, which may be doubled: inside for the mark itself, or around the whole.
fn quoted<'a>(line: Line<'a>, rest: &'a str) -> Result<(Kind<'a>, usize), FormatError> {
    let ends_here =
        |after: &str| after.trim_start().is_empty() || after.starts_with([' ', '\t', ',', ';', '#']);
    if let Some(inside) = rest.strip_prefix("\"\"")
        && !ends_here(inside)
        && !inside.starts_with('"')
        && let Some(length) = inside.find("\"\"")
    {
        return Ok((Kind::Quoted(Cow::Borrowed(&inside[..length])), length + 4));
    }
    let mut from = 1;
    while let Some(mark) = rest[from..].find('"') {
        let end = from + mark;
        if rest[end + 1..].starts_with('"') {
            from = end + 2;
            continue;
        }
        let inside = &rest[1..end];
        let text = if inside.contains("\"\"") { inside.replace("\"\"", "\"").into() } else { inside.into() };
        return Ok((Kind::Quoted(text), end + 1));
    }
    Err(line.error(rest, "the quotation mark has no partner on this line"))
}

fn bracketed<'a>(line: Line<'a>, rest: &'a str, close: char) -> Result<(&'a str, usize), FormatError> {
    let end = rest.find(close).ok_or_else(|| line.error(rest, format!("expected {close} on this line")))?;
    Ok((&rest[1..end], end + 1))
}
