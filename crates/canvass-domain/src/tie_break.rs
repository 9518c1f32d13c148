//! What breaks a tie that a poll's counting method leaves open.

use std::collections::HashSet;

use canvass_counting as counting;
use serde::{Deserialize, Serialize};

use crate::{
    identifier::OptionId,
    limits::{OPTIONS_MAX, SEED_BYTES_MAX},
    poll::Poll,
    refusal::Invalid,
};

/// How a tie is broken that the counting method itself does not break. It can be changed until the poll is certified,
/// because a lot is best drawn, and a chair can only decide, when the votes are in; the change is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum TieBreak {
    /// Not at all: the tie is the result.
    Report {},
    /// By an order of the options, the most favoured first. Options that it leaves out come last, in the poll's order;
    /// without any, the poll's order is the order.
    Order {
        /// Option ids.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
        options: Vec<OptionId>,
    },
    /// By lot: for the n-th lot of a count, the tied option with the smallest SHA-256 of `SEED/n/OPTION`, where OPTION
    /// is its number from 1 in the poll, is the most favoured.
    Lot {
        /// A text that nobody can foresee or choose, best drawn in public after the votes are in.
        seed: String,
    },
    /// By decisions of the chair.
    Chair {
        /// Each a list of tied options from the most favoured down. A tie takes the decision that lists exactly its
        /// options; without one it is the result.
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<Vec<String>>))]
        decisions: Vec<Vec<OptionId>>,
    },
}

impl Default for TieBreak {
    fn default() -> Self {
        Self::Report {}
    }
}

impl TieBreak {
    /// Whether ties are only reported.
    pub fn is_report(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn check(&self, poll: &Poll) -> Result<(), Invalid> {
        const FIELD: &str = "tieBreak";
        match self {
            Self::Order { options } => check_ids(poll, options),
            Self::Lot { seed } if seed.is_empty() || seed.len() > SEED_BYTES_MAX => {
                Err(Invalid::new(FIELD, format!("a seed of 1 to {SEED_BYTES_MAX} bytes")))
            }
            Self::Lot { seed } if seed.chars().any(char::is_control) => {
                Err(Invalid::new(FIELD, "a seed without control characters"))
            }
            Self::Report {} | Self::Lot { .. } => Ok(()),
            Self::Chair { decisions } if decisions.len() > OPTIONS_MAX => {
                Err(Invalid::new(FIELD, format!("at most {OPTIONS_MAX} decisions")))
            }
            Self::Chair { decisions } => decisions.iter().try_for_each(|ids| check_ids(poll, ids)),
        }
    }

    /// As the count knows it, by option index.
    pub(crate) fn rule(&self, poll: &Poll) -> counting::TieBreak {
        let indexes =
            |ids: &Vec<OptionId>| ids.iter().filter_map(|id| poll.option_index(id.as_str())).collect();
        match self {
            Self::Report {} => counting::TieBreak::Report,
            Self::Order { options } => counting::TieBreak::Order(indexes(options)),
            Self::Lot { seed } => counting::TieBreak::Lot { seed: seed.clone() },
            Self::Chair { decisions } => counting::TieBreak::Chair(decisions.iter().map(indexes).collect()),
        }
    }
}

fn check_ids(poll: &Poll, ids: &[OptionId]) -> Result<(), Invalid> {
    let mut seen = HashSet::new();
    for id in ids {
        if poll.option_index(id.as_str()).is_none() {
            return Err(Invalid::new("tieBreak", "names an option that the poll does not have"));
        }
        if !seen.insert(id) {
            return Err(Invalid::new("tieBreak", format!("names {id} more than once")));
        }
    }
    Ok(())
}
