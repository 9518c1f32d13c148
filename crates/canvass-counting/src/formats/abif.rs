//! ABIF, the Aggregated Ballot Information Format: lines of metadata, of candidates and of votes.
//!
//! A vote's candidates are separated by `>` (the next rank), `=` (the same rank) or commas, and may have a score after a
//! slash. Where there are only commas and scores, the scores give the ranks; where there are only commas, all that are
//! listed share one rank.

use std::collections::BTreeMap;

use super::{
    COUNT_MAX, Election, Format, FormatError, NAME_CHARACTERS_MAX, OPTIONS_MAX, RANKS_MAX, Row, Rules,
    SCORE_MAX, VotesMet, rank_of,
    text::{Line, lines, shown},
};
use crate::{Ballot, OptionIndex, Rank, Weight};

/// Whether a line is metadata: one key and one value in curly brackets.
pub(super) fn is_metadata(line: &str) -> bool {
    metadata(line).is_some()
}

fn metadata(line: &str) -> Option<(&str, &str)> {
    let inside = line.trim().strip_prefix('{')?.strip_suffix('}')?;
    let (key, value) = inside.split_once(':')?;
    let plain = |text: &'_ str| -> bool {
        text.chars().all(|character| character.is_alphanumeric() || "_- ".contains(character))
    };
    let key = key.trim().trim_matches(['"', '\'']).trim();
    (plain(key) && !key.is_empty()).then(|| (key, value.trim().trim_matches(['"', '\''])))
}

/// Whether a line is a candidate's or a vote.
pub(super) fn is_line(line: &str) -> bool {
    let (count, rest) = line.split_at(line.bytes().take_while(u8::is_ascii_digit).count());
    let is_vote = !count.is_empty() && rest.trim_start().starts_with([':', '*']);
    let is_old_candidate = line.starts_with('[') && line.contains("]:");
    is_vote || line.starts_with('=') || is_old_candidate
}

#[derive(Default)]
struct Reader<'a> {
    title: Option<String>,
    method: Option<String>,
    rules: Rules,
    /// Whether votes are choices, as the metadata says.
    choices: bool,
    /// Whether any vote has ranks, and not only a list.
    has_ranks: bool,
    tokens: BTreeMap<&'a str, OptionIndex>,
    names: Vec<String>,
    rows: Vec<Row>,
}

/// A candidate in a vote.
struct Item {
    option: OptionIndex,
    score: Option<i32>,
    /// What separates it from the one before.
    separator: Option<char>,
}

/// Reads an election.
pub(super) fn read(text: &str) -> Result<Election, FormatError> {
    let mut reader = Reader::default();
    let mut met = VotesMet(0);
    for line in lines(text) {
        let trimmed = line.trimmed();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        match trimmed.as_bytes()[0] {
            b'#' => {}
            b'{' => reader.read_metadata(line)?,
            b'0'..=b'9' => {
                let row = reader.read_vote(line, &trimmed[..digits], &trimmed[digits..])?;
                met.add(row.total()).map_err(|message| line.error(trimmed, message))?;
                reader.rows.push(row);
            }
            _ => reader.read_candidate(line)?,
        }
    }
    Ok(reader.finish())
}

impl<'a> Reader<'a> {
    fn read_metadata(&mut self, line: Line<'a>) -> Result<(), FormatError> {
        let bare = line.trimmed();
        let bare = bare.rfind('}').map_or(bare, |end| &bare[..=end]);
        let (key, value) =
            metadata(bare).ok_or_else(|| line.error(bare, "expected metadata as {key: value}"))?;
        match key {
            "title" => self.title = Some(value.chars().take(NAME_CHARACTERS_MAX).collect()),
            "max_rating" => {
                let number: i32 =
                    value.parse().ok().filter(|number| (0..=SCORE_MAX).contains(number)).ok_or_else(
                        || line.error(value, format!("expected a whole number up to {SCORE_MAX}")),
                    )?;
                self.rules.read("max_score", number.into(), line.place(value));
                self.choices |= number == 1;
            }
            "ballot_type" => {
                self.choices |= matches!(value, "choose_many" | "choose_one");
                let usual = match value {
                    "choose_many" => Some("approval"),
                    "choose_one" => Some("plurality"),
                    "rated" => Some("score"),
                    _ => None,
                };
                self.method = self.method.take().or_else(|| usual.map(str::to_owned));
            }
            "tally_method" => {
                let plain = |name: &str| name.to_lowercase().replace(['_', '-', ' '], "");
                let wanted = if value.eq_ignore_ascii_case("fptp") { "plurality" } else { value };
                let known = super::METHOD_NAMES.iter().find(|known| plain(known) == plain(wanted));
                self.method = known.map(|known| (*known).to_owned()).or_else(|| self.method.take());
            }
            _ => {}
        }
        Ok(())
    }

    /// `=token:[name]`, and as older files have it `[name]: token`.
    fn read_candidate(&mut self, line: Line<'a>) -> Result<(), FormatError> {
        let trimmed = line.trimmed();
        let declared = trimmed.strip_prefix('=');
        let (first, rest) = token(line, declared.unwrap_or(trimmed).trim_start())?;
        let after = rest.trim_start().strip_prefix(':').ok_or_else(|| {
            line.error(rest, "expected a colon and the candidate's name, or a number of votes")
        })?;
        let after = after.trim_start();
        // A name need not be in brackets, and may then have any character but the comment's.
        let (second, bracketed) = if after.starts_with(['[', '"']) {
            (token(line, after)?.0, true)
        } else {
            (after.split('#').next().unwrap_or_default().trim(), false)
        };
        let is_old = declared.is_none() && trimmed.starts_with('[') && !bracketed;
        let (token, name) = if is_old { (second, first) } else { (first, second) };
        if token.is_empty() {
            return Err(line.error(after, "expected a candidate's token"));
        }
        let option = self.option(line, token)?;
        if !name.is_empty() {
            self.names[usize::from(option)] = name.chars().take(NAME_CHARACTERS_MAX).collect();
        }
        Ok(())
    }

    fn read_vote(&mut self, line: Line<'a>, count: &str, rest: &'a str) -> Result<Row, FormatError> {
        let number = count.parse().ok().filter(|count| *count <= COUNT_MAX);
        let number = number
            .ok_or_else(|| line.error(line.trimmed(), format!("expected a number up to {COUNT_MAX}")))?;
        let preferences = rest
            .trim_start()
            .strip_prefix([':', '*'])
            .ok_or_else(|| line.error(rest, "expected a colon after the number of votes"))?;
        let items = self.read_items(line, preferences)?;
        self.has_ranks |= items.iter().any(|item| matches!(item.separator, Some('>' | '=')));
        let scores = scores_of(&items);
        if !scores.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(line.error(preferences, "a candidate has two scores"));
        }
        let scores = (!scores.is_empty()).then_some(Ballot::Scores(scores));
        let ballot = if self.choices { choices_of(&items) } else { Ballot::Ranking(ranks_of(&items)) };
        Ok(Row { ballot, scores, count: number, weight: Weight::ONE })
    }

    fn read_items(&mut self, line: Line<'a>, preferences: &'a str) -> Result<Vec<Item>, FormatError> {
        let mut items = Vec::new();
        let mut separator = None;
        let mut rest = preferences.trim_start();
        while !rest.is_empty() && !rest.starts_with('#') {
            if items.len() == RANKS_MAX {
                return Err(line.error(rest, format!("a vote has at most {RANKS_MAX} candidates")));
            }
            let (name, after) = token(line, rest)?;
            if name.is_empty() {
                return Err(line.error(rest, "expected a candidate's token"));
            }
            let option = self.option(line, name)?;
            rest = after.trim_start();
            let score = match rest.strip_prefix('/') {
                Some(scored) => {
                    let scored = scored.trim_start();
                    let digits =
                        scored.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'-').count();
                    let score = scored[..digits]
                        .parse()
                        .ok()
                        .filter(|score| (-SCORE_MAX..=SCORE_MAX).contains(score));
                    let score = score.ok_or_else(|| {
                        line.error(scored, format!("expected a whole score up to {SCORE_MAX}"))
                    })?;
                    rest = scored[digits..].trim_start();
                    Some(score)
                }
                None => None,
            };
            items.push(Item { option, score, separator });
            separator = rest.chars().next();
            match separator {
                Some('>' | '=' | ',') => rest = rest[1..].trim_start(),
                Some('#') | None => {
                    separator = None;
                    break;
                }
                Some(_) => return Err(line.error(rest, "expected >, = or a comma between candidates")),
            }
        }
        if separator.is_some() {
            return Err(line.error(rest, "expected a candidate after the separator"));
        }
        Ok(items)
    }

    fn option(&mut self, line: Line<'a>, token: &'a str) -> Result<OptionIndex, FormatError> {
        if let Some(option) = self.tokens.get(token) {
            return Ok(*option);
        }
        let new = OptionIndex::try_from(self.names.len()).ok().filter(|_| self.names.len() < OPTIONS_MAX);
        let new = new.ok_or_else(|| line.error(token, format!("more than {OPTIONS_MAX} candidates")))?;
        self.names.push(token.chars().take(NAME_CHARACTERS_MAX).collect());
        self.tokens.insert(token, new);
        Ok(new)
    }

    fn finish(mut self) -> Election {
        // Where others give scores, a vote without any gives none, which is blank to a method of scores.
        if self.rows.iter().any(|row| row.scores.is_some()) {
            for row in &mut self.rows {
                row.scores.get_or_insert_with(|| Ballot::Scores(Vec::new()));
            }
        }
        let scored = self.rows.iter().any(|row| row.scores.is_some());
        let is_for_scores = scored && !self.has_ranks && !self.choices;
        let method = self.method.or_else(|| is_for_scores.then(|| "score".to_owned()));
        let election = Election {
            format: Format::Abif,
            title: self.title,
            options: self.names,
            withdrawn: Vec::new(),
            seats: None,
            method,
            rules: self.rules,
            rows: self.rows,
            pairwise: None,
        };
        election.finish(&[])
    }
}

/// A candidate's token: bare, or in square brackets or quotation marks.
fn token<'a>(line: Line<'a>, rest: &'a str) -> Result<(&'a str, &'a str), FormatError> {
    let close = match rest.chars().next() {
        Some('[') => ']',
        Some('"') => '"',
        _ => {
            let end =
                rest.find(|character: char| character.is_whitespace() || "/>=,:#*[]\"".contains(character));
            return Ok(rest.split_at(end.unwrap_or(rest.len())));
        }
    };
    let inside = &rest[1..];
    let end = inside
        .find(close)
        .ok_or_else(|| line.error(rest, format!("{} has no {close} on this line", shown(rest))))?;
    Ok((inside[..end].trim(), &inside[end + 1..]))
}

fn ranks_of(items: &[Item]) -> Vec<Rank> {
    let only_commas = items.iter().all(|item| matches!(item.separator, None | Some(',')));
    let mut groups: Vec<Vec<OptionIndex>> = Vec::new();
    if only_commas && items.iter().any(|item| item.score.is_some()) {
        let mut sorted: Vec<_> =
            items.iter().map(|item| (std::cmp::Reverse(item.score), item.option)).collect();
        sorted.sort_unstable();
        groups.extend(
            sorted.chunk_by(|a, b| a.0 == b.0).map(|group| group.iter().map(|(_, option)| *option).collect()),
        );
    } else {
        for item in items {
            match groups.last_mut() {
                Some(last) if item.separator != Some('>') => last.push(item.option),
                _ => groups.push(vec![item.option]),
            }
        }
    }
    groups.into_iter().map(rank_of).collect()
}

/// What is listed, but for a score of zero.
fn choices_of(items: &[Item]) -> Ballot {
    let chosen = items.iter().filter(|item| item.score != Some(0));
    let mut options: Vec<_> = chosen.map(|item| item.option).collect();
    options.sort_unstable();
    options.dedup();
    Ballot::Choices(options)
}

/// The scores of a vote, ascending by option.
fn scores_of(items: &[Item]) -> Vec<(OptionIndex, i32)> {
    let mut marks: Vec<_> = items.iter().filter_map(|item| Some((item.option, item.score?))).collect();
    marks.sort_unstable();
    marks
}
