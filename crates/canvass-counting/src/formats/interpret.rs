//! What the words of an election file mean: from rules to a method with its options.

use std::{cell::RefCell, collections::BTreeSet};

use serde_json::Value;

use super::{
    rules::{Instructions, METHOD_NAMES, RuleError, Rules},
    text::shown,
};
use crate::{
    BordaPoints, IrvRules, Method, MinimaxMeasure, OptionIndex, OvervoteRule, PairStrength, RankingRules,
    RepeatedRankingRule, ScoreAggregate, TieBreak, Total, WigmRules, WinnerMode,
};

/// Words of files that describe what the method does anyway, or are of no use without ballots of that kind.
const DESCRIPTIONS: [&str; 17] = [
    "family",
    "standard",
    "arithmetic",
    "omega",
    "surplus_order",
    "input",
    "cost",
    "overspent",
    "unspent",
    "invalid_ballot",
    "blank",
    "min_score",
    "max_score",
    "winner",
    "notes",
    "scale",
    "ballot",
];

/// Rules of one method that files give for others of their family as well.
const OF_A_FAMILY: [&str; 19] = [
    "winner_mode",
    "overvote",
    "max_skipped_ranks",
    "max_rankings",
    "duplicate",
    "batch_elimination",
    "continue_until_two",
    "first_round_sets_threshold",
    "quota",
    "quota_fractional",
    "decimal_places",
    "minimum_vote_threshold",
    "tie_break",
    "undeclared_write_ins",
    "stop",
    "measure",
    "unranked",
    "aggregate",
    "ties_by_earlier_rounds",
];

/// One interpretation; it remembers what was asked for, so that a rule that nobody asked for is noticed.
pub(super) struct Reader<'a> {
    rules: &'a Rules,
    options: &'a [String],
    used: RefCell<BTreeSet<String>>,
    notes: RefCell<Vec<String>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(rules: &'a Rules, options: &'a [String]) -> Self {
        Self { rules, options, used: RefCell::default(), notes: RefCell::default() }
    }

    /// The instructions for a method, by its name.
    pub(super) fn read(self, method: &str, title: Option<&str>) -> Result<Instructions, RuleError> {
        let method = self.method(method)?;
        let tie_break = self.tie_break(title)?;
        let rankings_max = self.number("max_rankings")?;
        self.check_unused()?;
        Ok(Instructions { method, tie_break, rankings_max, notes: self.notes.into_inner() })
    }

    fn method(&self, name: &str) -> Result<Method, RuleError> {
        Ok(match word(name).as_str() {
            "plurality" => Method::Plurality,
            "approval" => Method::Approval,
            "score" => Method::Score(self.aggregate()?),
            "star" => Method::Star { score_max: self.number("max_score")?.unwrap_or(5) },
            "irv" => Method::Irv(self.irv()?),
            "stvscottish" => Method::StvScottish,
            "stvmeek" => Method::StvMeek,
            "stvwigm" | "stvwigmrctab" => Method::StvWigm(self.wigm()?),
            "schulze" => {
                self.one_of("measure", &[("winningvotes", ())])?;
                Method::Schulze
            }
            "rankedpairs" => Method::RankedPairs(
                self.one_of(
                    "measure",
                    &[("margins", PairStrength::Margins), ("winningvotes", PairStrength::WinningVotes)],
                )?
                .unwrap_or(PairStrength::Margins),
            ),
            "minimax" => Method::Minimax(self.minimax()?),
            "borda" => Method::Borda(self.borda()?),
            "dot" => {
                Method::Dot { dots: self.needed("dots")?, per_option_max: self.number("max_per_option")? }
            }
            "quadratic" => Method::Quadratic {
                credits: self.needed("budget")?,
                negative_votes: self.flag("negative_votes")?,
            },
            _ => {
                let known = METHOD_NAMES.join(", ");
                let message = format!("the method {} is not known; there are {known}", shown(name));
                return Err(RuleError { place: None, message });
            }
        })
    }

    fn aggregate(&self) -> Result<ScoreAggregate, RuleError> {
        let raters_min = self.number("min_raters")?;
        let mean = ScoreAggregate::Mean { raters_min: raters_min.unwrap_or(1) };
        let known = [
            ("sum", ScoreAggregate::Sum),
            ("total", ScoreAggregate::Sum),
            ("sumofgivenscores", ScoreAggregate::Sum),
            ("mean", mean),
            ("meanofgivenscores", mean),
        ];
        let default = if raters_min.is_some() { mean } else { ScoreAggregate::Sum };
        Ok(self.one_of("aggregate", &known)?.unwrap_or(default))
    }

    fn minimax(&self) -> Result<MinimaxMeasure, RuleError> {
        let known = [
            ("margins", MinimaxMeasure::Margins),
            ("winningvotes", MinimaxMeasure::WinningVotes),
            ("opposition", MinimaxMeasure::Opposition),
            ("pairwiseopposition", MinimaxMeasure::Opposition),
        ];
        Ok(self.one_of("measure", &known)?.unwrap_or(MinimaxMeasure::Margins))
    }

    fn borda(&self) -> Result<BordaPoints, RuleError> {
        let known = [
            ("unrankedshareaverage", BordaPoints::UnrankedShareAverage),
            ("sharetheaverageoftheremainingpoints", BordaPoints::UnrankedShareAverage),
            ("average", BordaPoints::UnrankedShareAverage),
            ("zero", BordaPoints::UnrankedZero),
            ("unrankedzero", BordaPoints::UnrankedZero),
            ("unrankedzerotopisnminus1", BordaPoints::UnrankedZero),
            ("unrankedzerotopisn", BordaPoints::UnrankedZeroTopIsCount),
            ("unrankedzerotopiscount", BordaPoints::UnrankedZeroTopIsCount),
            ("pointsbyballotlength", BordaPoints::BallotLength),
            ("ballotlength", BordaPoints::BallotLength),
        ];
        Ok(self.one_of("unranked", &known)?.unwrap_or(BordaPoints::UnrankedShareAverage))
    }

    fn irv(&self) -> Result<IrvRules, RuleError> {
        self.one_of("winner_mode", &[("singlewinnermajority", ())])?;
        let stops = [("majorityofcontinuing", false), ("twocontinuing", true), ("untiltwo", true)];
        let until_two = self.one_of("stop", &stops)?.unwrap_or(false);
        Ok(IrvRules {
            ranking: self.ranking()?,
            batch_elimination: self.flag("batch_elimination")?,
            continue_until_two: self.flag("continue_until_two")? || until_two,
            first_round_sets_threshold: self.flag("first_round_sets_threshold")?,
        })
    }

    fn wigm(&self) -> Result<WigmRules, RuleError> {
        let modes = [
            ("multiwinnerallowmultiplewinnersperround", WinnerMode::SeveralPerRound),
            ("multiwinnerallowonlyonewinnerperround", WinnerMode::OnePerRound),
            ("bottomsup", WinnerMode::BottomsUp),
            // With one seat there is nothing to choose.
            ("singlewinnermajority", WinnerMode::SeveralPerRound),
        ];
        let default = WigmRules::default();
        let decimals = self.number("decimal_places")?.unwrap_or(default.decimals);
        if decimals > WigmRules::DECIMALS_MAX {
            let most = WigmRules::DECIMALS_MAX;
            return Err(self.wrong("decimal_places", &format!("at most {most} places")));
        }
        Ok(WigmRules {
            ranking: self.ranking()?,
            winners: self.one_of("winner_mode", &modes)?.unwrap_or(default.winners),
            hare_quota: self.one_of("quota", &[("droop", false), ("hare", true)])?.unwrap_or(false),
            fractional_quota: self.flag("quota_fractional")?,
            decimals,
        })
    }

    fn ranking(&self) -> Result<RankingRules, RuleError> {
        let overvotes = [
            ("exhaustimmediately", OvervoteRule::ExhaustImmediately),
            ("alwaysskiptonext", OvervoteRule::AlwaysSkipToNext),
            ("alwaysskiptonextrank", OvervoteRule::AlwaysSkipToNext),
            ("skiptonextrank", OvervoteRule::AlwaysSkipToNext),
            ("exhaustifmultiplecontinuing", OvervoteRule::ExhaustIfMultipleContinuing),
        ];
        let duplicates = [("skip", RepeatedRankingRule::Skip), ("exhaust", RepeatedRankingRule::Exhaust)];
        let default = RankingRules::default();
        Ok(RankingRules {
            overvote: self.one_of("overvote", &overvotes)?.unwrap_or(default.overvote),
            skipped_ranks_max: self.number("max_skipped_ranks")?,
            repeated_ranking: self.one_of("duplicate", &duplicates)?.unwrap_or(default.repeated_ranking),
            undeclared_write_ins: self.write_ins()?,
            votes_min: self.number("minimum_vote_threshold")?.map_or(Total::ZERO, Total::from_votes),
            ties_by_earlier_rounds: self.flag("ties_by_earlier_rounds")?
                || self.value("tie_break").and_then(Value::as_str).is_some_and(|text| {
                    let text = word(text);
                    text.contains("previousround") || text.contains("earlierround")
                }),
        })
    }

    /// The option that stands for write-ins. A name that no option has is that of marks which no ballot bears.
    fn write_ins(&self) -> Result<Option<OptionIndex>, RuleError> {
        const USUAL: [&str; 3] = ["undeclaredwriteins", "undeclaredwritein", "uwi"];
        match self.value("undeclared_write_ins") {
            None | Some(Value::Bool(false)) => Ok(None),
            Some(Value::String(name)) => {
                let place =
                    |test: &dyn Fn(&String) -> bool| (0..).zip(self.options).find(|(_, own)| test(own));
                let found =
                    place(&|own| own == name).or_else(|| place(&|own| USUAL.contains(&word(own).as_str())));
                Ok(found.map(|(option, _)| option))
            }
            Some(value) => self.option("undeclared_write_ins", value).map(Some),
        }
    }

    fn tie_break(&self, title: Option<&str>) -> Result<TieBreak, RuleError> {
        let text = match self.value("tie_break") {
            None => String::new(),
            Some(Value::String(text)) => word(text),
            Some(_) => return Err(self.wrong("tie_break", "a text")),
        };
        let natural = || (0..).take(self.options.len()).collect::<Vec<OptionIndex>>();
        let order = self.list("tie_break_order")?;
        let decisions = self.chair()?;
        let seed = self
            .value("tie_break_seed")
            .map(|seed| seed.as_str().map_or_else(|| seed.to_string(), str::to_owned));
        let lot =
            || TieBreak::Lot { seed: seed.clone().or_else(|| title.map(str::to_owned)).unwrap_or_default() };
        Ok(match text.as_str() {
            "chair" => TieBreak::Chair(decisions.unwrap_or_default()),
            "optionorder" | "draworder" => TieBreak::DrawOrder(order.unwrap_or_else(natural)),
            "usecandidateorder" | "candidateorder" | "order" => {
                TieBreak::Order(order.unwrap_or_else(natural))
            }
            "lot" | "random" | "previousroundcountsthenrandom" | "generatepermutation" => lot(),
            "" if decisions.is_some() => TieBreak::Chair(decisions.unwrap_or_default()),
            "" if order.is_some() => TieBreak::Order(order.unwrap_or_default()),
            _ if seed.is_some() => lot(),
            text if text.ends_with("thenlot") => TieBreak::DrawOrder(order.unwrap_or_else(natural)),
            text if text.contains("listedlateriseliminatedfirst") => TieBreak::Order(natural()),
            ""
            | "report"
            | "none"
            | "na"
            | "notneeded"
            | "stopcountingandask"
            | "previousroundcountsthenask" => TieBreak::Report,
            text => {
                // A tie that is reported is never decided wrongly, whatever the words ask for.
                if !text.starts_with("starofficial") && !text.contains("reportatie") {
                    self.note("tie_break", "ties that the method leaves open are reported");
                }
                TieBreak::Report
            }
        })
    }

    fn chair(&self) -> Result<Option<Vec<Vec<OptionIndex>>>, RuleError> {
        const NAME: &str = "tie_break_chair";
        let Some(value) = self.value(NAME) else { return Ok(None) };
        let decisions = value.as_array().ok_or_else(|| self.wrong(NAME, "a list of lists of options"))?;
        let read = |decision: &Value| {
            let options =
                decision.as_array().ok_or_else(|| self.wrong(NAME, "a list of lists of options"))?;
            options.iter().map(|option| self.option(NAME, option)).collect()
        };
        decisions.iter().map(read).collect::<Result<_, _>>().map(Some)
    }

    fn list(&self, name: &str) -> Result<Option<Vec<OptionIndex>>, RuleError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let options = value.as_array().ok_or_else(|| self.wrong(name, "a list of options"))?;
        options.iter().map(|option| self.option(name, option)).collect::<Result<_, _>>().map(Some)
    }

    /// An option by its index from 0, by its name, or by its number from 1 as a text.
    fn option(&self, rule: &str, value: &Value) -> Result<OptionIndex, RuleError> {
        let index = match value {
            Value::Number(index) => index.as_u64().and_then(|index| usize::try_from(index).ok()),
            Value::String(name) => self
                .options
                .iter()
                .position(|own| own == name)
                .or_else(|| name.parse::<usize>().ok()?.checked_sub(1)),
            _ => None,
        };
        let index = index.filter(|index| *index < self.options.len());
        let index = index.and_then(|index| OptionIndex::try_from(index).ok());
        index.ok_or_else(|| self.wrong(rule, "an option of the election"))
    }

    /// A rule that says something; null says nothing.
    fn value(&self, name: &str) -> Option<&'a Value> {
        self.used.borrow_mut().insert(name.to_owned());
        self.rules.get(name).filter(|value| !value.is_null())
    }

    fn flag(&self, name: &str) -> Result<bool, RuleError> {
        match self.value(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    /// A whole number; `unlimited` and `max` are no limit, as RCTab writes it.
    fn number<N: TryFrom<u64>>(&self, name: &str) -> Result<Option<N>, RuleError> {
        let number = match self.value(name) {
            None => return Ok(None),
            Some(Value::String(text)) if matches!(word(text).as_str(), "unlimited" | "max") => {
                return Ok(None);
            }
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_u64(),
        };
        let number = number.and_then(|number| N::try_from(number).ok());
        number.map(Some).ok_or_else(|| self.wrong(name, "a whole number that is not too large"))
    }

    fn needed<N: TryFrom<u64>>(&self, name: &str) -> Result<N, RuleError> {
        self.number(name)?.ok_or_else(|| {
            let message = format!("the method needs the rule {name:?}, a whole number");
            RuleError { place: None, message }
        })
    }

    fn one_of<T: Clone>(&self, name: &str, known: &[(&str, T)]) -> Result<Option<T>, RuleError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let given = value.as_str().map(word);
        let found = known.iter().find(|(own, _)| given.as_deref() == Some(own));
        found.map(|(_, meaning)| Some(meaning.clone())).ok_or_else(|| {
            let names: Vec<_> = known.iter().map(|(own, _)| *own).collect();
            self.wrong(name, &format!("one of {}", names.join(", ")))
        })
    }

    fn wrong(&self, name: &str, expected: &str) -> RuleError {
        let entry = self.rules.entry(name);
        let given =
            entry.map_or_else(String::new, |entry| format!(" is {} here", shown(&entry.value.to_string())));
        RuleError {
            place: entry.and_then(|entry| entry.place),
            message: format!("the rule {name:?}{given}; expected {expected}"),
        }
    }

    fn note(&self, name: &str, what: &str) {
        let value = self.rules.get(name).map_or_else(String::new, Value::to_string);
        self.notes.borrow_mut().push(format!("the rule {name:?} says {value}: {what}"));
    }

    /// A rule that was not asked for: from a command line it is a mistake; in a file it may belong to another method
    /// of a family or be a description, but a switch or a number that is not known must not be passed over.
    fn check_unused(&self) -> Result<(), RuleError> {
        let used = self.used.take();
        for (name, entry) in self.rules.entries() {
            if used.contains(name) || DESCRIPTIONS.contains(&name) {
                continue;
            }
            let Some(place) = entry.place else {
                let message = format!("the rule {name:?} has no meaning for this method");
                return Err(RuleError { place: None, message });
            };
            if OF_A_FAMILY.contains(&name) {
                continue;
            }
            match &entry.value {
                Value::Null | Value::Bool(false) => {}
                Value::String(_) => self.note(name, "it is not known and changes nothing"),
                _ => {
                    let message = format!("the rule {} is not known", shown(name));
                    return Err(RuleError { place: Some(place), message });
                }
            }
        }
        Ok(())
    }
}

/// A word as files and programs write it in many ways: only its letters and digits, in lower case.
fn word(text: &str) -> String {
    text.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
