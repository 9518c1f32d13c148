//! What a count gives: the outcome with its whole story, as data.
//!
//! One shape for all methods, so that pages, exports and the command line show any of them. A method fills what it
//! has: rounds where there are rounds, scores where options are scored, a matrix where options are compared in pairs.

use crate::{
    Comparison, Figure, Method, OptionIndex, Pairwise, Tie, election::Election, method::Task, tie_break::Ties,
};

/// The outcome of a count and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The rule that counted.
    pub method: Method,
    /// The seats to fill. Methods that elect one option only fill one at most.
    pub seats: usize,
    /// The options that could be elected.
    pub option_count: usize,
    /// Who is elected, in the order of election.
    pub winners: Vec<OptionIndex>,
    /// The options between which no rule and no lot decided, ascending; `winners` is short then.
    pub tied: Vec<OptionIndex>,
    /// How many ballots were cast, and what became of them.
    pub ballots: BallotCounts,
    /// The rounds or stages in order. Empty where nobody cast a valid vote.
    pub rounds: Vec<Round>,
    /// What each option was given, by option; for methods that add up points.
    pub scores: Option<Vec<Score>>,
    /// How many ballots prefer one option to another, for methods that compare pairs.
    pub pairwise: Option<Pairwise>,
    /// How a Condorcet method weighed the pairs.
    pub comparison: Option<Comparison>,
    /// Every tie met and how it was broken, in order.
    pub ties: Vec<Tie>,
}

/// The weight of the ballots cast: `cast = counted + blank + rejected`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BallotCounts {
    /// All of them.
    pub cast: Figure,
    /// Valid and not blank.
    pub counted: Figure,
    /// Without any mark.
    pub blank: Figure,
    /// With marks that the method does not allow.
    pub rejected: Figure,
}

/// One round or stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// What was done to reach this tally.
    pub step: Step,
    /// The votes of each option that is still in the count or elected, ascending by option.
    pub tally: Vec<(OptionIndex, Figure)>,
    /// The votes that elect: quota, threshold or majority.
    pub threshold: Option<Figure>,
    /// Who is elected on this tally, in order.
    pub elected: Vec<Elected>,
    /// Who is eliminated on this tally.
    pub eliminated: Vec<Eliminated>,
    /// Votes that no longer count for an option.
    pub inactive: Inactive,
    /// How votes move after this round.
    pub transfers: Vec<Transfer>,
}

/// What leads to a round's tally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The ballots as they were cast.
    FirstCount,
    /// The surplus of one elected option was transferred.
    Surplus(OptionIndex),
    /// The votes of options just eliminated, or the surpluses of options just elected, were transferred.
    Transfer,
    /// The votes of one excluded option were transferred.
    Exclusion(OptionIndex),
    /// Votes were distributed until the surpluses vanished (Meek).
    Iteration {
        /// How often they were distributed in this round.
        distributions: usize,
    },
    /// The finalists of the scoring were compared (STAR).
    Runoff,
}

/// An election and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elected {
    /// Who.
    pub option: OptionIndex,
    /// Why.
    pub because: ElectedBecause,
}

/// Why an option is elected, or goes on as a finalist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectedBecause {
    /// It has the most votes or points.
    Most,
    /// It reaches the quota or threshold.
    Threshold,
    /// As many options are left as seats.
    SeatsLeft,
    /// It is one of the two with the highest scores, and goes on to the runoff.
    Finalist,
}

/// An elimination and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eliminated {
    /// Who.
    pub option: OptionIndex,
    /// Why.
    pub because: EliminatedBecause,
}

/// Why an option is eliminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EliminatedBecause {
    /// It has the fewest votes.
    Fewest,
    /// It and all with fewer votes have together less than the next, so none of them can win.
    Batch,
    /// It has less than the minimum of votes.
    BelowMinimum,
    /// It stands for write-ins that were not declared.
    UndeclaredWriteIn,
    /// All seats are filled.
    SeatsFilled,
}

/// Votes that no longer count for an option, by the reason. Rules that know one reason only (Scottish STV's
/// non-transferable votes, Meek's) give `exhausted_choices`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inactive {
    /// No option that is left is ranked.
    pub exhausted_choices: Figure,
    /// Several options share the rank that counts.
    pub overvotes: Figure,
    /// An option is ranked again, and the rule ends the ballot there.
    pub repeated_rankings: Figure,
    /// More ranks are skipped than the rule allows.
    pub skipped_rankings: Figure,
    /// Surplus of the last elected, which nobody needs any more.
    pub final_surplus: Figure,
    /// Votes lost where fractions are cut off.
    pub residual: Figure,
}

impl Inactive {
    /// Nothing inactive.
    pub const NONE: Self = Self {
        exhausted_choices: Figure::ZERO,
        overvotes: Figure::ZERO,
        repeated_rankings: Figure::ZERO,
        skipped_rankings: Figure::ZERO,
        final_surplus: Figure::ZERO,
        residual: Figure::ZERO,
    };
}

/// Votes that move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// From whom.
    pub from: OptionIndex,
    /// Where to.
    pub to: Destination,
    /// How much.
    pub votes: Figure,
}

/// Where votes move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Destination {
    /// To another option.
    Option(OptionIndex),
    /// Out of the count.
    Inactive,
    /// Lost where fractions are cut off.
    Residual,
}

/// What an option was given by all ballots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    /// The sum of its points.
    pub total: Figure,
    /// How many ballots gave it points (zero points count where they are a score, a blank does not).
    pub raters: Figure,
    /// The total divided by the raters, where there are any and the method speaks of a mean.
    pub mean: Option<Figure>,
}

impl Count {
    /// A count of nothing yet.
    pub(crate) fn new(task: &Task<'_>, ballots: BallotCounts) -> Self {
        Self {
            method: task.method.clone(),
            seats: task.seats,
            option_count: task.profile.option_count(),
            winners: Vec::new(),
            tied: Vec::new(),
            ballots,
            rounds: Vec::new(),
            scores: None,
            pairwise: None,
            comparison: None,
            ties: Vec::new(),
        }
    }

    /// Whether there is anything to count: an option, a seat and a valid vote.
    pub(crate) fn is_contested(&self) -> bool {
        self.option_count > 0 && self.seats > 0 && self.ballots.counted > Figure::ZERO
    }

    /// The count with its outcome.
    pub(crate) fn close(self, election: Election, ties: Ties<'_>) -> Self {
        let mut tied = election.tied;
        tied.sort_unstable();
        Self { winners: election.elected, tied, ties: ties.met, ..self }
    }
}

impl Round {
    /// A round with a tally and nothing decided on it.
    pub(crate) fn new(step: Step, tally: Vec<(OptionIndex, Figure)>) -> Self {
        Self {
            step,
            tally,
            threshold: None,
            elected: Vec::new(),
            eliminated: Vec::new(),
            inactive: Inactive::NONE,
            transfers: Vec::new(),
        }
    }

    /// Notes who is elected on this tally.
    pub(crate) fn elect(&mut self, options: &[OptionIndex], because: ElectedBecause) {
        self.elected.extend(options.iter().map(|&option| Elected { option, because }));
    }

    /// Notes who is eliminated on this tally.
    pub(crate) fn eliminate(&mut self, options: &[OptionIndex], because: EliminatedBecause) {
        self.eliminated.extend(options.iter().map(|&option| Eliminated { option, because }));
    }
}
