//! How a poll is counted, and with it which marks its ballots may carry.

use canvass_counting as counting;
use serde::{Deserialize, Serialize};

use crate::{
    limits::{CREDITS_MAX, SCORE_MAX},
    refusal::Invalid,
};

/// The counting method of a poll with its own rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Method {
    /// One choice; the most votes win.
    Plurality {},
    /// Any number of choices, or at most `maxChoices`; the most approvals win.
    Approval {
        /// Most choices on one ballot; any number if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_choices: Option<u16>,
    },
    /// A score for each option; the highest sum or mean wins. An option that is not scored is left out, not given 0.
    Score {
        /// Lowest score; 0 if absent.
        #[serde(default)]
        min: i32,
        /// Highest score; 5 if absent.
        #[serde(default = "score_max_default")]
        max: i32,
        /// What becomes of an option's scores; `sum` if absent.
        #[serde(default)]
        aggregate: Aggregate,
        /// With `mean`: an option that fewer votes have scored cannot win; 1 if absent.
        #[serde(default = "raters_min_default")]
        raters_min: u32,
    },
    /// Scores from 0 to 5, then an automatic runoff of the two highest. Elects one.
    Star {},
    /// Instant-runoff voting on rankings, in the words of RCTab. Elects one.
    Irv {
        /// What happens at a rank with several options; `exhaustIfMultipleContinuing` if absent.
        #[serde(default)]
        overvote: Overvote,
        /// Ranks in a row that may be skipped; at more the ballot is exhausted. No limit if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        skipped_ranks_max: Option<u16>,
        /// Whether options that cannot win even together are eliminated in one round.
        #[serde(default)]
        batch_elimination: bool,
        /// Whether elimination goes on until two options are left, although one has a majority before.
        #[serde(default)]
        until_two: bool,
        /// Options with fewer votes are eliminated together, in any round; 0 if absent, which turns it off.
        #[serde(default)]
        votes_min: u32,
        /// Whether a tie is first decided by the latest earlier round in which the tied options differ.
        #[serde(default)]
        ties_by_earlier_rounds: bool,
    },
    /// Single transferable vote by the Scottish Local Government Elections Order 2007.
    StvScottish {},
    /// Single transferable vote by Meek's rule.
    StvMeek {},
    /// Schulze's method on rankings. Elects one.
    Schulze {},
    /// Tideman's ranked pairs. Elects one.
    RankedPairs {
        /// What makes one defeat stronger than another; `margins` if absent.
        #[serde(default)]
        strength: Strength,
    },
    /// Minimax on rankings. Elects one.
    Minimax {
        /// How bad a defeat is; `margins` if absent.
        #[serde(default)]
        measure: Measure,
    },
    /// Borda's points by rank.
    Borda {
        /// What the ranks are worth; `unrankedShareAverage` if absent.
        #[serde(default)]
        points: Points,
    },
    /// Votes bought with credits, each option's cost being the square of its votes.
    Quadratic {
        /// Credits of one ballot.
        credits: u32,
        /// Whether votes against an option can be bought, at the same cost; true if absent.
        #[serde(default = "negative_votes_default")]
        negative_votes: bool,
    },
    /// Dots spread over options.
    Dot {
        /// Dots of one ballot.
        dots: u32,
        /// Most dots on one option; all of them if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_per_option: Option<u32>,
    },
}

/// What becomes of an option's scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Aggregate {
    /// They are added up.
    #[default]
    Sum,
    /// Their mean is taken over the votes that score the option.
    Mean,
}

/// What an instant runoff makes of a rank with several options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Overvote {
    /// Where one of the options is continuing the ballot counts for it, where none is the next rank counts; where
    /// several are, the ballot is exhausted.
    #[default]
    ExhaustIfMultipleContinuing,
    /// The ballot is exhausted when it gets there.
    ExhaustImmediately,
    /// As if nothing were marked at that rank.
    AlwaysSkipToNext,
}

/// What makes one pairwise defeat stronger than another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Strength {
    /// The votes for the winner of the pair less those for its loser.
    #[default]
    Margins,
    /// The votes for the winner of the pair.
    WinningVotes,
}

/// How bad a pairwise result is; minimax elects the option whose worst is least bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// By how much the option loses.
    #[default]
    Margins,
    /// How many votes the other has, if the other wins.
    WinningVotes,
    /// How many votes the other has, whoever wins.
    Opposition,
}

/// Borda's points, with n options of which a ballot ranks k.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Points {
    /// n−1 for the first, one less for each next; unranked options share the average of what is left.
    #[default]
    UnrankedShareAverage,
    /// n−1 for the first, one less for each next; nothing for unranked options.
    UnrankedZero,
    /// n for the first, one less for each next; nothing for unranked options.
    UnrankedZeroTopIsCount,
    /// k for the first, one less for each next; nothing for unranked options.
    BallotLength,
}

/// Which of the five ballot forms a method asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BallotForm {
    /// `{"choice": …}`
    Choice,
    /// `{"choices": […]}`
    Choices,
    /// `{"ranking": […]}`
    Ranking,
    /// `{"scores": {…}}`
    Scores,
    /// `{"allocation": {…}}`
    Allocation,
}

impl Method {
    /// The name callers use, as in `method.type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Plurality {} => "plurality",
            Self::Approval { .. } => "approval",
            Self::Score { .. } => "score",
            Self::Star {} => "star",
            Self::Irv { .. } => "irv",
            Self::StvScottish {} => "stvScottish",
            Self::StvMeek {} => "stvMeek",
            Self::Schulze {} => "schulze",
            Self::RankedPairs { .. } => "rankedPairs",
            Self::Minimax { .. } => "minimax",
            Self::Borda { .. } => "borda",
            Self::Quadratic { .. } => "quadratic",
            Self::Dot { .. } => "dot",
        }
    }

    /// The form of ballot it counts.
    pub fn form(&self) -> BallotForm {
        match self {
            Self::Plurality {} => BallotForm::Choice,
            Self::Approval { .. } => BallotForm::Choices,
            Self::Score { .. } | Self::Star {} => BallotForm::Scores,
            Self::Irv { .. }
            | Self::StvScottish {}
            | Self::StvMeek {}
            | Self::Schulze {}
            | Self::RankedPairs { .. }
            | Self::Minimax { .. }
            | Self::Borda { .. } => BallotForm::Ranking,
            Self::Quadratic { .. } | Self::Dot { .. } => BallotForm::Allocation,
        }
    }

    /// Whether the distinct ballots are needed to count it, and not only how many mark each option.
    pub fn counts_ballots(&self) -> bool {
        !matches!(self.form(), BallotForm::Choice | BallotForm::Choices)
    }

    /// The rule that counts it.
    pub fn rule(&self) -> counting::Method {
        match *self {
            Self::Plurality {} => counting::Method::Plurality,
            Self::Approval { .. } => counting::Method::Approval,
            Self::Score { aggregate: Aggregate::Sum, .. } => {
                counting::Method::Score(counting::ScoreAggregate::Sum)
            }
            Self::Score { aggregate: Aggregate::Mean, raters_min, .. } => {
                counting::Method::Score(counting::ScoreAggregate::Mean { raters_min: raters_min.into() })
            }
            Self::Star {} => counting::Method::Star { score_max: STAR_SCORE_MAX },
            Self::Irv { .. } => counting::Method::Irv(self.irv_rules()),
            Self::StvScottish {} => counting::Method::StvScottish,
            Self::StvMeek {} => counting::Method::StvMeek,
            Self::Schulze {} => counting::Method::Schulze,
            Self::RankedPairs { strength } => counting::Method::RankedPairs(match strength {
                Strength::Margins => counting::PairStrength::Margins,
                Strength::WinningVotes => counting::PairStrength::WinningVotes,
            }),
            Self::Minimax { measure } => counting::Method::Minimax(match measure {
                Measure::Margins => counting::MinimaxMeasure::Margins,
                Measure::WinningVotes => counting::MinimaxMeasure::WinningVotes,
                Measure::Opposition => counting::MinimaxMeasure::Opposition,
            }),
            Self::Borda { points } => counting::Method::Borda(match points {
                Points::UnrankedShareAverage => counting::BordaPoints::UnrankedShareAverage,
                Points::UnrankedZero => counting::BordaPoints::UnrankedZero,
                Points::UnrankedZeroTopIsCount => counting::BordaPoints::UnrankedZeroTopIsCount,
                Points::BallotLength => counting::BordaPoints::BallotLength,
            }),
            Self::Quadratic { credits, negative_votes } => {
                counting::Method::Quadratic { credits: credits.into(), negative_votes }
            }
            Self::Dot { dots, max_per_option } => {
                counting::Method::Dot { dots, per_option_max: max_per_option }
            }
        }
    }

    /// The rules of an instant runoff. Ballots that rank an option twice are refused when they are cast, so no rule
    /// speaks of them.
    fn irv_rules(&self) -> counting::IrvRules {
        let Self::Irv {
            overvote,
            skipped_ranks_max,
            batch_elimination,
            until_two,
            votes_min,
            ties_by_earlier_rounds,
        } = *self
        else {
            return counting::IrvRules::default();
        };
        let ranking = counting::RankingRules {
            overvote: match overvote {
                Overvote::ExhaustIfMultipleContinuing => counting::OvervoteRule::ExhaustIfMultipleContinuing,
                Overvote::ExhaustImmediately => counting::OvervoteRule::ExhaustImmediately,
                Overvote::AlwaysSkipToNext => counting::OvervoteRule::AlwaysSkipToNext,
            },
            skipped_ranks_max: skipped_ranks_max.map(usize::from),
            votes_min: counting::Total::from_votes(votes_min.into()),
            ties_by_earlier_rounds,
            ..counting::RankingRules::default()
        };
        counting::IrvRules {
            ranking,
            batch_elimination,
            continue_until_two: until_two,
            first_round_sets_threshold: false,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let sound = match self {
            Self::Approval { max_choices: Some(0) } | Self::Score { raters_min: 0, .. } => false,
            Self::Score { min, max, .. } => min < max && *min >= -SCORE_MAX && *max <= SCORE_MAX,
            Self::Quadratic { credits, .. } => (1..=CREDITS_MAX).contains(credits),
            Self::Dot { dots, max_per_option } => {
                (1..=CREDITS_MAX).contains(dots) && *max_per_option != Some(0)
            }
            _ => true,
        };
        if sound {
            return Ok(());
        }
        Err(Invalid::new("method", "the method's numbers are out of range or in the wrong order"))
    }
}

/// The highest score of a STAR ballot; the lowest is 0.
pub(crate) const STAR_SCORE_MAX: i32 = 5;

fn score_max_default() -> i32 {
    5
}

fn raters_min_default() -> u32 {
    1
}

fn negative_votes_default() -> bool {
    true
}
