//! Counting methods over a profile of distinct ballots: exact, without I/O, usable alone.
//!
//! A [`Profile`] holds every distinct [`Ballot`] of an election with its [`Weight`]; a method counts it. Nothing
//! here knows polls or voters, and no result holds a floating-point number.

mod ballot;
mod borda;
mod budget;
mod choices;
mod condorcet;
mod count;
mod election;
mod figure;
mod findings;
pub mod formats;
mod intake;
mod method;
mod packed;
mod pairwise;
mod papers;
mod piles;
mod preference;
mod profile;
mod rctab;
mod relation;
mod report;
mod score;
mod stv_meek;
mod stv_scottish;
mod tie_break;
mod weight;
mod wide;

pub use ballot::{Ballot, OptionIndex, Rank};
pub use condorcet::{Comparison, Defeat, DefeatFate, Weighing};
pub use count::{
    BallotCounts, Count, Destination, Elected, ElectedBecause, Eliminated, EliminatedBecause, Inactive,
    Round, Score, Step, Transfer,
};
pub use figure::Figure;
pub use method::{
    BordaPoints, IrvRules, Method, MinimaxMeasure, OvervoteRule, PairStrength, RankingRules,
    RepeatedRankingRule, ScoreAggregate, WigmRules, WinnerMode, count, count_pairwise,
};
pub use pairwise::Pairwise;
pub use profile::{PROFILE_VOTES_MAX, Profile};
pub use report::Report;
pub use tie_break::{Tie, TieBreak, TiePurpose, TieRule};
pub use weight::{Total, WEIGHT_DECIMALS, WEIGHT_MAX, WEIGHT_UNIT, Weight, WeightError};
