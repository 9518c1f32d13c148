//! How a poll is counted, and with it which marks its ballots may carry.

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
    /// A score for each option; the highest sum wins.
    Score {
        /// Lowest score.
        #[serde(default)]
        min: i32,
        /// Highest score.
        #[serde(default = "score_max_default")]
        max: i32,
    },
    /// Scores from 0 to 5, then an automatic runoff of the two highest.
    Star {},
    /// Instant-runoff voting on rankings.
    Irv {},
    /// Single transferable vote by the Scottish Local Government Elections Order 2007.
    StvScottish {},
    /// Single transferable vote by Meek's rule.
    StvMeek {},
    /// Schulze's method on rankings.
    Schulze {},
    /// Tideman's ranked pairs.
    RankedPairs {},
    /// Minimax on rankings.
    Minimax {},
    /// Borda's points by rank.
    Borda {},
    /// Votes bought with credits, each option's cost being the square of its votes.
    Quadratic {
        /// Credits of one ballot.
        credits: u32,
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
            Self::Irv {} => "irv",
            Self::StvScottish {} => "stvScottish",
            Self::StvMeek {} => "stvMeek",
            Self::Schulze {} => "schulze",
            Self::RankedPairs {} => "rankedPairs",
            Self::Minimax {} => "minimax",
            Self::Borda {} => "borda",
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
            Self::Irv {}
            | Self::StvScottish {}
            | Self::StvMeek {}
            | Self::Schulze {}
            | Self::RankedPairs {}
            | Self::Minimax {}
            | Self::Borda {} => BallotForm::Ranking,
            Self::Quadratic { .. } | Self::Dot { .. } => BallotForm::Allocation,
        }
    }

    /// Whether this version of the program counts the method.
    pub fn is_offered(&self) -> bool {
        matches!(self, Self::Plurality {} | Self::Approval { .. })
    }

    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let sound = match self {
            Self::Approval { max_choices: Some(0) } => false,
            Self::Score { min, max } => min < max && *min >= -SCORE_MAX && *max <= SCORE_MAX,
            Self::Quadratic { credits } => (1..=CREDITS_MAX).contains(credits),
            Self::Dot { dots, max_per_option } => {
                (1..=CREDITS_MAX).contains(dots) && *max_per_option != Some(0)
            }
            _ => true,
        };
        if !sound {
            return Err(Invalid::new(
                "method",
                "the method's numbers are out of range or in the wrong order",
            ));
        }
        if !self.is_offered() {
            return Err(Invalid::new(
                "method",
                "this version counts plurality and approval; choose one of them",
            ));
        }
        Ok(())
    }
}

fn score_max_default() -> i32 {
    5
}
