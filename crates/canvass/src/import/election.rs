//! Elections in JSON: options, and rows of ballots that were cast by many voters alike. Each ballot becomes one vote,
//! of a voter whose id is made of the file's name, the row and the ballot's number, so that it is the same each time.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use sha2::{Digest, Sha256};

use super::{Line, Place, Source, Unusable, Vote, hexadecimal, raw};
use crate::{command::poll::option_ids, failure::Failure};

/// An election's file; what else it holds is not needed to send its ballots.
#[derive(Debug, Deserialize)]
pub(crate) struct Election {
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    name: Option<String>,
    method: String,
    #[serde(default)]
    rules: Map<String, Value>,
    #[serde(default = "one")]
    seats: u64,
    options: Vec<String>,
    ballots: Vec<Row>,
}

/// Ballots that are alike.
#[derive(Debug, Deserialize)]
struct Row {
    #[serde(default = "one")]
    count: u64,
    #[serde(default)]
    ranking: Option<Vec<Mark>>,
    #[serde(default)]
    choices: Option<Vec<usize>>,
    #[serde(default)]
    scores: Option<Vec<Option<i32>>>,
    #[serde(default)]
    votes: Option<Vec<i32>>,
    #[serde(default)]
    weight: Option<String>,
}

/// One rank of a ballot.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Mark {
    One(usize),
    Equal(Vec<usize>),
    /// `"overvote"`: several options, and nobody knows which.
    Word(String),
    Skipped,
}

fn one() -> u64 {
    1
}

/// How the ballots are to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    /// Send only the first preference of a ranking, for a plurality poll.
    pub(crate) first_preferences: bool,
    /// What the voters' ids are made of besides the ballot's place.
    pub(crate) source: &'a str,
}

impl Election {
    /// Reads a file as a whole: rows stand for many ballots, so that it is small.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = std::fs::read(path).map_err(|error| Failure::file(path, &error))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Failure::failed(format!("{}: no election: {error}", path.display())))
    }

    /// The request that creates a poll for these ballots.
    pub(crate) fn creation(&self, poll: &str, reading: Reading<'_>) -> Result<Value, Failure> {
        let labels: Vec<&str> = self.options.iter().map(String::as_str).collect();
        let ids = option_ids(&labels);
        let options: Vec<_> =
            labels.iter().zip(ids).map(|(label, id)| json!({"id": id, "label": label})).collect();
        let method = if reading.first_preferences { json!({"type": "plurality"}) } else { self.method()? };
        let poll = json!({
            "id": poll,
            "title": self.title.as_deref().or(self.name.as_deref()).unwrap_or(poll),
            "options": options,
            "method": method,
            "seats": self.seats,
            "weighted": self.ballots.iter().any(|row| row.weight.is_some()),
            "status": "open",
        });
        Ok(with(poll, [("tieBreak", self.tie_break())]))
    }

    fn method(&self) -> Result<Value, Failure> {
        let rule = |name: &str| self.rules.get(name).cloned();
        Ok(match self.method.as_str() {
            "stv_scottish" => json!({"type": "stvScottish"}),
            "stv_meek" => json!({"type": "stvMeek"}),
            "ranked_pairs" => json!({"type": "rankedPairs"}),
            "score" => {
                let is_mean = rule("aggregate").is_some_and(|aggregate| aggregate == "mean_of_given_scores");
                let aggregate = is_mean.then(|| json!("mean"));
                with(
                    json!({"type": "score"}),
                    [
                        ("min", rule("min_score")),
                        ("max", rule("max_score")),
                        ("aggregate", aggregate),
                        ("ratersMin", rule("min_raters")),
                    ],
                )
            }
            "quadratic" => with(
                json!({"type": "quadratic"}),
                [("credits", rule("budget")), ("negativeVotes", rule("negative_votes"))],
            ),
            "dot" => with(
                json!({"type": "dot"}),
                [("dots", rule("dots")), ("maxPerOption", rule("max_per_option"))],
            ),
            "irv" => with(
                json!({"type": "irv"}),
                [
                    ("overvote", rule("overvote").as_ref().and_then(overvote)),
                    ("skippedRanksMax", rule("max_skipped_ranks").filter(Value::is_u64)),
                    ("batchElimination", rule("batch_elimination").filter(Value::is_boolean)),
                    ("untilTwo", rule("continue_until_two").filter(Value::is_boolean)),
                    ("votesMin", rule("minimum_vote_threshold").filter(Value::is_u64)),
                    ("tiesByEarlierRounds", self.ties_by_earlier_rounds().then_some(Value::Bool(true))),
                ],
            ),
            name @ ("plurality" | "approval" | "star" | "schulze" | "minimax" | "borda") => {
                json!({"type": name})
            }
            other => {
                return Err(Failure::failed(format!(
                    "polls are not counted by the method {other:?}; create the poll yourself, or give --first-preferences"
                )));
            }
        })
    }

    fn tie_break_text(&self) -> &str {
        self.rules.get("tie_break").and_then(Value::as_str).unwrap_or_default()
    }

    fn ties_by_earlier_rounds(&self) -> bool {
        let text = self.tie_break_text();
        text.starts_with("previousRound") || text.starts_with("earlier-round")
    }

    /// RCTab's name for the order of the options, or the words for it; others of a file are for people to read.
    fn tie_break(&self) -> Option<Value> {
        let text = self.tie_break_text();
        let is_order = text == "useCandidateOrder" || text.contains("listed later is eliminated first");
        is_order.then(|| json!({"type": "order"}))
    }

    /// The ballots as votes in a poll.
    ///
    /// # Errors
    /// If the poll does not have the election's options.
    pub(crate) fn open(self, poll: &Value, reading: Reading<'_>) -> Result<Source, Failure> {
        let ids = self.ids_in(poll)?;
        let takes_one = poll["method"]["type"] == "plurality";
        let prefix = hexadecimal(&Sha256::digest(reading.source)[..4]);
        let first_preferences = reading.first_preferences;
        let length = self.ballots.iter().map(|row| row.count).sum();
        let mut before = 0;
        let rows = self.ballots.into_iter().zip(1..).map(move |(row, number)| {
            let begun = before;
            before += row.count;
            let ballot = row.ballot(&ids, first_preferences, takes_one).map(|ballot| raw(&ballot));
            Alike { row: number, begun, count: row.count, weight: row.weight, ballot, prefix: prefix.clone() }
        });
        Ok(Source { lines: Box::new(rows.flat_map(Alike::lines)), length })
    }

    /// The poll's option ids in the election's order: options are known by their labels.
    fn ids_in(&self, poll: &Value) -> Result<Vec<String>, Failure> {
        let options = poll["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        let known: BTreeMap<&str, &str> = options
            .iter()
            .filter_map(|option| Some((option["label"].as_str()?, option["id"].as_str()?)))
            .collect();
        let id = |label: &String| {
            let id = known.get(label.as_str()).map(|id| (*id).to_owned());
            id.ok_or_else(|| {
                Failure::failed(format!("the poll has no option with the label {label:?}, as the file has"))
            })
        };
        self.options.iter().map(id).collect()
    }
}

/// RCTab's name of an overvote rule as polls write it.
fn overvote(rule: &Value) -> Option<Value> {
    Some(Value::from(match rule.as_str()? {
        "exhaust_immediately" => "exhaustImmediately",
        "always_skip_to_next" | "skip_to_next_rank" => "alwaysSkipToNext",
        "exhaust_if_multiple_continuing" => "exhaustIfMultipleContinuing",
        _ => return None,
    }))
}

fn with<const N: usize>(mut method: Value, rules: [(&str, Option<Value>); N]) -> Value {
    for (name, rule) in rules {
        if let Some(rule) = rule {
            method[name] = rule;
        }
    }
    method
}

/// A row on its way to being votes.
struct Alike {
    row: u64,
    /// Ballots in the rows before.
    begun: u64,
    count: u64,
    weight: Option<String>,
    ballot: Result<Box<RawValue>, String>,
    prefix: String,
}

impl Alike {
    fn lines(self) -> Box<dyn Iterator<Item = Result<Line, Unusable>>> {
        let Self { row, begun, count, weight, ballot, prefix } = self;
        Box::new((1..=count).map(move |number| {
            let place = Place::Ballot { row, number };
            let ballot = ballot.clone().map_err(|reason| Unusable { place, reason })?;
            let voter = format!("{prefix}-{row}-{number}");
            let vote =
                Vote { voter, ballot, demographics: None, weight: weight.clone(), idempotency_key: None };
            Ok(vote.into_line(place, begun + number))
        }))
    }
}

impl Row {
    fn ballot(&self, ids: &[String], first_preferences: bool, takes_one: bool) -> Result<Value, String> {
        let id =
            |index: &usize| ids.get(*index).map(String::as_str).ok_or(format!("there is no option {index}"));
        let marked = |marks: &mut dyn Iterator<Item = (usize, i32)>| {
            marks
                .map(|(index, mark)| Ok((id(&index)?.to_owned(), Value::from(mark))))
                .collect::<Result<Map<_, _>, String>>()
        };
        match self {
            Self { ranking: Some(marks), .. } if first_preferences => match first_preference(marks)? {
                Some(index) => Ok(json!({"choice": id(&index)?})),
                None => Err("the ballot has no single first preference".to_owned()),
            },
            Self { ranking: Some(marks), .. } => Ok(
                json!({"ranking": marks.iter().map(|mark| rank(mark, id)).collect::<Result<Vec<_>, _>>()?}),
            ),
            Self { choices: Some(choices), .. } => match &choices[..] {
                [one] if takes_one => Ok(json!({"choice": id(one)?})),
                all => Ok(json!({"choices": all.iter().map(id).collect::<Result<Vec<_>, _>>()?})),
            },
            Self { scores: Some(scores), .. } => {
                let mut given =
                    scores.iter().enumerate().filter_map(|(index, score)| Some((index, (*score)?)));
                Ok(json!({"scores": marked(&mut given)?}))
            }
            Self { votes: Some(votes), .. } => {
                let mut given = votes.iter().copied().enumerate().filter(|(_, votes)| *votes != 0);
                Ok(json!({"allocation": marked(&mut given)?}))
            }
            _ => Err("the row has no ballot".to_owned()),
        }
    }
}

/// The option at the highest rank that was not skipped; none if there is none, or several share it.
fn first_preference(marks: &[Mark]) -> Result<Option<usize>, String> {
    match marks.iter().find(|mark| !matches!(mark, Mark::Skipped)) {
        Some(Mark::One(index)) => Ok(Some(*index)),
        Some(Mark::Equal(indexes)) if indexes.len() == 1 => Ok(indexes.first().copied()),
        Some(Mark::Word(word)) if word != "overvote" => Err(format!("a rank cannot be {word:?}")),
        _ => Ok(None),
    }
}

fn rank<'a>(mark: &Mark, id: impl Fn(&usize) -> Result<&'a str, String>) -> Result<Value, String> {
    match mark {
        Mark::One(index) => Ok(Value::from(id(index)?)),
        Mark::Equal(indexes) => indexes.iter().map(|index| id(index).map(Value::from)).collect(),
        Mark::Skipped => Ok(Value::Null),
        Mark::Word(word) => Err(format!("a rank that says only {word:?} cannot be sent")),
    }
}
