//! Elections: options, and rows of ballots that were cast by many voters alike. Each ballot becomes one vote, of a voter
//! whose id is made of the file's name, the row and the ballot's number, so that it is the same each time.

use std::{collections::BTreeMap, path::Path};

use canvass_counting::{
    Ballot, BordaPoints, IrvRules, Method, MinimaxMeasure, OptionIndex, OvervoteRule, PairStrength, Rank,
    ScoreAggregate, TieBreak, Weight,
    formats::{self, Instructions, Row, Rules},
};
use serde_json::{Map, Value, json, value::RawValue};
use sha2::{Digest, Sha256};

use super::{Line, Place, Source, Unusable, Vote, hexadecimal, raw};
use crate::{failure::Failure, option_ids::option_ids};

/// An election's file.
#[derive(Debug)]
pub(crate) struct Election(formats::Election);

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
        let election = formats::Election::read(&bytes);
        election.map(Self).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
    }

    /// The request that creates a poll for these ballots.
    pub(crate) fn creation(&self, poll: &str, reading: Reading<'_>) -> Result<Value, Failure> {
        let labels: Vec<&str> = self.0.options.iter().map(String::as_str).collect();
        let ids = option_ids(&labels);
        let options: Vec<_> =
            labels.iter().zip(&ids).map(|(label, id)| json!({"id": id, "label": label})).collect();
        let (method, tie_break) = if reading.first_preferences {
            (json!({"type": "plurality"}), None)
        } else {
            (self.method()?, self.tie_break(&ids)?)
        };
        let poll = json!({
            "id": poll,
            "title": self.0.title.as_deref().unwrap_or(poll),
            "options": options,
            "method": method,
            "seats": self.0.seats.unwrap_or(1),
            "weighted": self.0.rows.iter().any(|row| row.weight != Weight::ONE),
            "status": "open",
        });
        Ok(joined(poll, json!({"tieBreak": tie_break})))
    }

    fn instructions(&self) -> Result<Instructions, Failure> {
        let instructions = self.0.instructions(None, &Rules::default());
        instructions.map_err(|error| Failure::failed(error.to_string()))
    }

    /// The poll's method: what the file names, or what its ballots are made for.
    fn method(&self) -> Result<Value, Failure> {
        let method = self.instructions()?.method;
        let rules = match &method {
            Method::Score(aggregate) => {
                let range =
                    json!({"min": self.0.rules.get("min_score"), "max": self.0.rules.get("max_score")});
                joined(range, aggregate_rules(*aggregate))
            }
            Method::Irv(rules) => irv_rules(rules),
            Method::RankedPairs(PairStrength::Margins) => json!({"strength": "margins"}),
            Method::RankedPairs(PairStrength::WinningVotes) => json!({"strength": "winningVotes"}),
            Method::Minimax(measure) => json!({"measure": match measure {
                MinimaxMeasure::Margins => "margins",
                MinimaxMeasure::WinningVotes => "winningVotes",
                MinimaxMeasure::Opposition => "opposition",
            }}),
            Method::Borda(points) => json!({"points": match points {
                BordaPoints::UnrankedShareAverage => "unrankedShareAverage",
                BordaPoints::UnrankedZero => "unrankedZero",
                BordaPoints::UnrankedZeroTopIsCount => "unrankedZeroTopIsCount",
                BordaPoints::BallotLength => "ballotLength",
            }}),
            Method::Quadratic { credits, negative_votes } => {
                json!({"credits": credits, "negativeVotes": negative_votes})
            }
            Method::Dot { dots, per_option_max } => json!({"dots": dots, "maxPerOption": per_option_max}),
            Method::StvWigm(_) => {
                return Err(Failure::failed(
                    "polls are not counted by the method stv_wigm; create the poll yourself, or give --first-preferences",
                ));
            }
            Method::Plurality
            | Method::Approval
            | Method::Star { .. }
            | Method::StvScottish
            | Method::StvMeek
            | Method::Schulze => json!({}),
        };
        Ok(joined(json!({"type": method.name()}), rules))
    }

    /// What breaks ties, where polls can do it too; else they are reported.
    fn tie_break(&self, ids: &[String]) -> Result<Option<Value>, Failure> {
        let named = |options: &[OptionIndex]| -> Vec<&str> {
            options.iter().filter_map(|option| Some(ids.get(usize::from(*option))?.as_str())).collect()
        };
        Ok(match self.instructions()?.tie_break {
            TieBreak::Order(order) => Some(json!({"type": "order", "options": named(&order)})),
            TieBreak::Lot { seed } => Some(json!({"type": "lot", "seed": seed})),
            TieBreak::Chair(decisions) => {
                let decisions: Vec<_> = decisions.iter().map(|decision| named(decision)).collect();
                Some(json!({"type": "chair", "decisions": decisions}))
            }
            TieBreak::Report | TieBreak::DrawOrder(_) => None,
        })
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
        let length = self.0.rows.iter().map(|row| row.count).sum();
        let mut before = 0;
        let rows = self.0.rows.into_iter().zip(1..).map(move |(row, number)| {
            let begun = before;
            before += row.count;
            let ballot = in_poll(&row.ballot, &ids, first_preferences, takes_one).map(|ballot| raw(&ballot));
            Alike {
                row: number,
                begun,
                count: row.count,
                weight: weight_of(&row),
                ballot,
                prefix: prefix.clone(),
            }
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
        self.0.options.iter().map(id).collect()
    }
}

fn aggregate_rules(aggregate: ScoreAggregate) -> Value {
    match aggregate {
        ScoreAggregate::Sum => json!({"aggregate": "sum"}),
        ScoreAggregate::Mean { raters_min } => json!({"aggregate": "mean", "ratersMin": raters_min}),
    }
}

fn irv_rules(rules: &IrvRules) -> Value {
    let ranking = &rules.ranking;
    let overvote = match ranking.overvote {
        OvervoteRule::ExhaustImmediately => "exhaustImmediately",
        OvervoteRule::AlwaysSkipToNext => "alwaysSkipToNext",
        OvervoteRule::ExhaustIfMultipleContinuing => "exhaustIfMultipleContinuing",
    };
    json!({
        "overvote": overvote,
        "skippedRanksMax": ranking.skipped_ranks_max,
        "batchElimination": rules.batch_elimination,
        "untilTwo": rules.continue_until_two,
        "votesMin": ranking.votes_min.to_string().parse::<u64>().ok(),
        "tiesByEarlierRounds": ranking.ties_by_earlier_rounds,
    })
}

/// An object with what another says; null says nothing.
fn joined(mut object: Value, more: Value) -> Value {
    if let Value::Object(more) = more {
        more.into_iter().filter(|(_, value)| !value.is_null()).for_each(|(name, value)| object[name] = value);
    }
    object
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

/// A weight that must be sent.
fn weight_of(row: &Row) -> Option<String> {
    (row.weight != Weight::ONE).then(|| row.weight.to_string())
}

/// A ballot as the poll takes it.
fn in_poll(
    ballot: &Ballot,
    ids: &[String],
    first_preferences: bool,
    takes_one: bool,
) -> Result<Value, String> {
    let id = |option: &OptionIndex| ids.get(usize::from(*option)).map_or("", String::as_str);
    let marked = |marks: &[(OptionIndex, i32)]| {
        marks.iter().map(|(option, mark)| (id(option).to_owned(), Value::from(*mark))).collect::<Map<_, _>>()
    };
    Ok(match ballot {
        Ballot::Ranking(ranks) if first_preferences => match first_preference(ranks) {
            Some(option) => json!({"choice": id(&option)}),
            None => return Err("the ballot has no single first preference".to_owned()),
        },
        Ballot::Ranking(ranks) => {
            json!({"ranking": ranks.iter().map(|mark| rank(mark, &id)).collect::<Result<Vec<_>, _>>()?})
        }
        Ballot::Choices(choices) => match &choices[..] {
            [one] if takes_one => json!({"choice": id(one)}),
            all => json!({"choices": all.iter().map(id).collect::<Vec<_>>()}),
        },
        Ballot::Scores(marks) => json!({"scores": marked(marks)}),
        Ballot::Allocation(marks) => json!({"allocation": marked(marks)}),
    })
}

/// The option at the highest rank that was not skipped; none if there is none, or several share it.
fn first_preference(ranks: &[Rank]) -> Option<OptionIndex> {
    match ranks.iter().find(|rank| **rank != Rank::Skipped) {
        Some(Rank::One(option)) => Some(*option),
        _ => None,
    }
}

fn rank<'a>(rank: &Rank, id: &impl Fn(&OptionIndex) -> &'a str) -> Result<Value, String> {
    match rank {
        Rank::One(option) => Ok(Value::from(id(option))),
        Rank::Equal(options) => Ok(options.iter().map(|option| Value::from(id(option))).collect()),
        Rank::Skipped => Ok(Value::Null),
        Rank::Overvote => Err("a rank that says only \"overvote\" cannot be sent".to_owned()),
    }
}
