//! Writing an election as JSON, BLT or ABIF, so that reading it gives the same ballots again.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::Election;
use crate::{Ballot, OptionIndex, Rank, Weight};

/// What an election can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The neutral election JSON, which holds everything.
    Json,
    /// BLT, which holds rankings and single choices.
    Blt,
    /// ABIF, which holds all but dots, votes against and skipped ranks.
    Abif,
}

/// An election that a format has no words for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{format} cannot hold {what}; the election JSON can")]
pub struct Unwritable {
    format: &'static str,
    what: &'static str,
}

impl Election {
    /// Writes the options that stand and all ballots, one row a line.
    ///
    /// The method is written where the format has a place for it; rules only in JSON.
    ///
    /// # Errors
    /// If the format cannot hold a ballot as it is. Nothing is ever left out or made to look like something else.
    pub fn write(&self, format: Written) -> Result<String, Unwritable> {
        match format {
            Written::Json => Ok(self.to_json()),
            Written::Blt => self.to_blt(),
            Written::Abif => self.to_abif(),
        }
    }

    fn to_json(&self) -> String {
        let rules: Map<String, Value> =
            self.rules.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        let mut head = Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                head.insert(name.to_owned(), value);
            }
        };
        put("title", json!(self.title));
        put("method", json!(self.method));
        put("rules", if rules.is_empty() { Value::Null } else { rules.into() });
        put("seats", json!(self.seats));
        put("options", json!(self.options));
        let mut text = "{\n".to_owned();
        for (name, value) in &head {
            line(&mut text, format_args!("{}: {value},", json!(name)));
        }
        text.push_str("\"ballots\": [");
        for (index, row) in self.rows.iter().enumerate() {
            text.push_str(if index > 0 { ",\n" } else { "\n" });
            let mut written = json!({"count": row.count});
            if row.weight != Weight::ONE {
                written["weight"] = json!(row.weight.to_string());
            }
            for ballot in [Some(&row.ballot), row.scores.as_ref()].into_iter().flatten() {
                let (name, marks) = self.marks_in_json(ballot);
                written[name] = marks;
            }
            text.push_str(&written.to_string());
        }
        text.push_str("\n]\n}\n");
        text
    }

    fn marks_in_json(&self, ballot: &Ballot) -> (&'static str, Value) {
        let by_option = |marks: &[(OptionIndex, i32)], absent: Value| {
            let mut all = vec![absent; self.options.len()];
            for (option, mark) in marks {
                if let Some(place) = all.get_mut(usize::from(*option)) {
                    *place = json!(mark);
                }
            }
            Value::Array(all)
        };
        match ballot {
            Ballot::Choices(options) => ("choices", json!(options)),
            Ballot::Ranking(ranks) => ("ranking", ranks.iter().map(rank_in_json).collect()),
            Ballot::Scores(marks) => ("scores", by_option(marks, Value::Null)),
            Ballot::Allocation(marks) => ("votes", by_option(marks, json!(0))),
        }
    }

    fn to_blt(&self) -> Result<String, Unwritable> {
        let cannot = |what| Unwritable { format: "BLT", what };
        let mut text = format!("{} {}\n", self.options.len(), self.seats.unwrap_or(1));
        for row in &self.rows {
            write_number(&mut text, row.total());
            match &row.ballot {
                Ballot::Ranking(ranks) => {
                    for rank in ranks {
                        text.push(' ');
                        match rank {
                            Rank::One(option) => text.push_str(&(option + 1).to_string()),
                            Rank::Equal(options) => {
                                text.push_str(&joined(options, "=", |option| option.to_string()));
                            }
                            Rank::Skipped => text.push('-'),
                            Rank::Overvote => return Err(cannot("an overvote whose options are not known")),
                        }
                    }
                }
                Ballot::Choices(options) => match options[..] {
                    [] => {}
                    [option] => write_number(&mut text, format_args!(" {}", option + 1)),
                    _ => return Err(cannot("several choices on a ballot")),
                },
                Ballot::Scores(_) => return Err(cannot("scores")),
                Ballot::Allocation(_) => return Err(cannot("dots or bought votes")),
            }
            text.push_str(" 0\n");
        }
        text.push_str("0\n");
        for name in self.options.iter().chain(self.title.as_ref()) {
            line(&mut text, format_args!("\"{}\"", one_line(name).replace('"', "\"\"")));
        }
        Ok(text)
    }

    fn to_abif(&self) -> Result<String, Unwritable> {
        let cannot = |what| Unwritable { format: "ABIF", what };
        let mut text = String::new();
        if let Some(title) = &self.title {
            line(&mut text, format_args!("{{\"title\": \"{}\"}}", one_line(title).replace('"', "'")));
        }
        if let Some(method) = &self.method {
            line(&mut text, format_args!("{{\"tally_method\": \"{method}\"}}"));
        }
        let chooses = self.rows.iter().any(|row| matches!(row.ballot, Ballot::Choices(_)));
        if chooses {
            let kind = if self.method.as_deref() == Some("plurality") { "choose_one" } else { "choose_many" };
            line(&mut text, format_args!("{{\"ballot_type\": \"{kind}\"}}"));
        } else if let Some(most) = self.rules.get("max_score") {
            line(&mut text, format_args!("{{\"max_rating\": {most}}}"));
        }
        for (name, number) in self.options.iter().zip(1..) {
            // A name has no way to hold the bracket that ends it.
            line(&mut text, format_args!("=c{number}:[{}]", one_line(name).replace(']', ")")));
        }
        for row in &self.rows {
            let votes = row.total().whole_votes().ok_or_else(|| cannot("weights that are not whole"))?;
            write_number(&mut text, format_args!("{votes}:"));
            match &row.ballot {
                Ballot::Ranking(ranks) => {
                    for (place, rank) in ranks.iter().enumerate() {
                        text.push_str(if place > 0 { ">" } else { "" });
                        match rank {
                            Rank::One(option) => text.push_str(&token(*option + 1)),
                            Rank::Equal(options) => text.push_str(&joined(options, "=", token)),
                            Rank::Skipped => return Err(cannot("a skipped rank")),
                            Rank::Overvote => return Err(cannot("an overvote whose options are not known")),
                        }
                    }
                }
                Ballot::Choices(options) => text.push_str(&joined(options, "=", token)),
                Ballot::Scores(marks) => {
                    if marks.iter().any(|(_, score)| *score < 0) {
                        return Err(cannot("scores below zero"));
                    }
                    let scored: Vec<_> = marks
                        .iter()
                        .map(|(option, score)| format!("{}/{score}", token(*option + 1)))
                        .collect();
                    text.push_str(&scored.join(","));
                }
                Ballot::Allocation(_) => return Err(cannot("dots or bought votes")),
            }
            text.push('\n');
        }
        Ok(text)
    }
}

fn rank_in_json(rank: &Rank) -> Value {
    match rank {
        Rank::One(option) => json!(option),
        Rank::Equal(options) => json!(options),
        Rank::Skipped => Value::Null,
        Rank::Overvote => json!("overvote"),
    }
}

/// Options by their numbers from 1, with something between them.
fn joined(options: &[OptionIndex], between: &str, write: impl Fn(OptionIndex) -> String) -> String {
    options.iter().map(|option| write(option + 1)).collect::<Vec<_>>().join(between)
}

fn token(number: OptionIndex) -> String {
    format!("c{number}")
}

/// A name without line breaks, which the formats of lines have no way to hold.
fn one_line(name: &str) -> String {
    name.replace(|character: char| character.is_control(), " ")
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string can be written to");
}

fn write_number(text: &mut String, number: impl std::fmt::Display) {
    write!(text, "{number}").expect("a string can be written to");
}
