//! The counting methods by name, with their rule options, and the one function that counts by any of them.

use crate::{
    Count, OptionIndex, Pairwise, Profile, TieBreak, Total, borda, budget, choices, condorcet, rctab, score,
    stv_meek, stv_scottish,
};

/// A counting method with its rule options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// One choice a ballot, the most votes win. A ranked ballot counts for its first rank.
    Plurality,
    /// Any number of choices a ballot, the most approvals win.
    Approval,
    /// Scores are added up or averaged, the highest win.
    Score(ScoreAggregate),
    /// Score then automatic runoff, by the official tie-breaking of STAR Voting. Elects one. A blank is a zero.
    Star {
        /// The highest score that a ballot can give; ballots with scores outside 0 to this are rejected.
        score_max: i32,
    },
    /// Instant-runoff voting in RCTab's vocabulary. Elects one.
    Irv(IrvRules),
    /// The single transferable vote by the Scottish Local Government Elections Order 2007 (SSI 2007/42, schedule 1),
    /// rules 45 to 52.
    StvScottish,
    /// The single transferable vote by Meek's method, as the Proportional Representation Foundation's reference rule
    /// has it: nine places, omega 0.000001.
    StvMeek,
    /// The single transferable vote by the weighted inclusive Gregory method, in RCTab's vocabulary.
    StvWigm(WigmRules),
    /// Condorcet by the Schulze method on winning votes. Elects one.
    Schulze,
    /// Condorcet by ranked pairs (Tideman). Elects one.
    RankedPairs(PairStrength),
    /// Condorcet by minimax (Simpson, Kramer). Elects one.
    Minimax(MinimaxMeasure),
    /// Points by rank.
    Borda(BordaPoints),
    /// Dots shared out over the options (cumulative voting).
    Dot {
        /// How many dots a ballot has; it may leave some unused. A ballot that uses more is rejected whole.
        dots: u32,
        /// The most dots on one option, where that is limited.
        per_option_max: Option<u32>,
    },
    /// Votes bought with credits: n votes for one option cost n² credits.
    Quadratic {
        /// How many credits a ballot has; it may leave some unused. A ballot that spends more is rejected whole.
        credits: u64,
        /// Whether votes against an option can be bought. They cost the same.
        negative_votes: bool,
    },
}

/// How scores of one option become one number. A blank is never a zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreAggregate {
    /// The sum of the scores given.
    Sum,
    /// The mean of the scores given.
    Mean {
        /// An option that fewer votes have scored cannot be elected, so that one high score alone does not win.
        raters_min: u64,
    },
}

/// What makes one pairwise defeat stronger than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairStrength {
    /// The votes for the winner of the pair less those for its loser; Tideman's own measure.
    Margins,
    /// The votes for the winner of the pair.
    WinningVotes,
}

/// How bad a pairwise result is for an option; minimax elects the one whose worst is least bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinimaxMeasure {
    /// By how much it loses. Below zero where it wins every pair.
    Margins,
    /// How many votes the other has, if the other wins the pair.
    WinningVotes,
    /// How many votes the other has, whoever wins the pair.
    Opposition,
}

/// The points of the ranks, with n options of which a ballot ranks k. Options at an equal rank share the average of
/// the points of the places that they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BordaPoints {
    /// n−1 for the first place, one less for each next; unranked options share the average of what is left.
    UnrankedShareAverage,
    /// n−1 for the first place, one less for each next; nothing for unranked options.
    UnrankedZero,
    /// n for the first place, one less for each next; nothing for unranked options.
    UnrankedZeroTopIsCount,
    /// k for the first place, one less for each next; nothing for unranked options.
    BallotLength,
}

/// What a rule in RCTab's vocabulary makes of marks on a ranked ballot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankingRules {
    /// What happens at a rank with several options.
    pub overvote: OvervoteRule,
    /// How many ranks in a row may be skipped; at more the ballot is exhausted. No limit by default.
    pub skipped_ranks_max: Option<usize>,
    /// What happens where an option is ranked again.
    pub repeated_ranking: RepeatedRankingRule,
    /// The option that stands for all write-ins that were not declared: eliminated first, and never elected.
    pub undeclared_write_ins: Option<OptionIndex>,
    /// Options with fewer votes are eliminated together, in any round. Zero turns it off.
    pub votes_min: Total,
    /// Whether a tie is first decided by the latest earlier round in which the tied options differ.
    pub ties_by_earlier_rounds: bool,
}

/// RCTab's overvote rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OvervoteRule {
    /// `exhaust_immediately`: the ballot is exhausted when it gets to the overvote.
    ExhaustImmediately,
    /// `always_skip_to_next`: as if nothing were marked at that rank.
    AlwaysSkipToNext,
    /// `exhaust_if_multiple_continuing`: where just one of the options is continuing the ballot counts for it, where
    /// none is, the next rank counts; where several are, the ballot is exhausted, and stays so. An overvote whose
    /// options are not known exhausts the ballot.
    ExhaustIfMultipleContinuing,
}

/// What happens where an option is ranked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepeatedRankingRule {
    /// The repeated rank does nothing.
    Skip,
    /// The ballot is exhausted when it gets there.
    Exhaust,
}

impl Default for RankingRules {
    fn default() -> Self {
        Self {
            overvote: OvervoteRule::ExhaustIfMultipleContinuing,
            skipped_ranks_max: None,
            repeated_ranking: RepeatedRankingRule::Skip,
            undeclared_write_ins: None,
            votes_min: Total::ZERO,
            ties_by_earlier_rounds: false,
        }
    }
}

/// The rules of an instant-runoff count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IrvRules {
    /// What marks mean.
    pub ranking: RankingRules,
    /// Whether options that cannot win even together are eliminated in one round.
    pub batch_elimination: bool,
    /// Whether elimination goes on until two options are left, although one has a majority before.
    pub continue_until_two: bool,
    /// Whether the majority is that of the first round, and not of each round's continuing ballots.
    pub first_round_sets_threshold: bool,
}

/// The rules of a count by the weighted inclusive Gregory method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WigmRules {
    /// What marks mean.
    pub ranking: RankingRules,
    /// When options are elected.
    pub winners: WinnerMode,
    /// The quota divides the votes by the seats (Hare) and not by one more than the seats (Droop).
    pub hare_quota: bool,
    /// The quota has places after the point, and is not rounded to whole votes.
    pub fractional_quota: bool,
    /// The places that transfer values and votes are cut to: up to [`WigmRules::DECIMALS_MAX`].
    pub decimals: u32,
}

impl WigmRules {
    /// The most places after the point; more in `decimals` count as so many.
    pub const DECIMALS_MAX: u32 = 9;
}

impl Default for WigmRules {
    fn default() -> Self {
        Self {
            ranking: RankingRules::default(),
            winners: WinnerMode::SeveralPerRound,
            hare_quota: false,
            fractional_quota: false,
            decimals: 4,
        }
    }
}

/// When options are elected in a count for several seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WinnerMode {
    /// All that reach the quota in a round are elected in it.
    SeveralPerRound,
    /// Only the one with the most votes of those that reach the quota; the others follow in later rounds.
    OnePerRound,
    /// Nobody is elected, and no surplus transferred, until as many options are left as seats (bottoms-up).
    BottomsUp,
}

impl Method {
    /// The name of the method as polls write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Plurality => "plurality",
            Self::Approval => "approval",
            Self::Score(_) => "score",
            Self::Star { .. } => "star",
            Self::Irv(_) => "irv",
            Self::StvScottish => "stvScottish",
            Self::StvMeek => "stvMeek",
            Self::StvWigm(_) => "stvWigm",
            Self::Schulze => "schulze",
            Self::RankedPairs(_) => "rankedPairs",
            Self::Minimax(_) => "minimax",
            Self::Borda(_) => "borda",
            Self::Dot { .. } => "dot",
            Self::Quadratic { .. } => "quadratic",
        }
    }

    /// Whether the method elects one option only, however many seats there are.
    pub fn elects_one(&self) -> bool {
        match self {
            Self::Star { .. } | Self::Irv(_) | Self::Schulze | Self::RankedPairs(_) | Self::Minimax(_) => {
                true
            }
            Self::Plurality
            | Self::Approval
            | Self::Score(_)
            | Self::StvScottish
            | Self::StvMeek
            | Self::StvWigm(_)
            | Self::Borda(_)
            | Self::Dot { .. }
            | Self::Quadratic { .. } => false,
        }
    }
}

/// What every rule counts: the ballots, the method in full, how many to elect, and what breaks an open tie.
pub(crate) struct Task<'a> {
    pub(crate) profile: &'a Profile,
    pub(crate) method: &'a Method,
    pub(crate) seats: usize,
    pub(crate) tie_break: &'a TieBreak,
}

/// Counts a profile.
///
/// Any profile can be counted: ballots that the method does not allow are rejected and reported, and nobody is elected
/// where nobody cast a valid vote. With fewer options than seats, seats stay empty. The order of ballots and how equal
/// ones are split up change nothing.
pub fn count(profile: &Profile, method: &Method, seats: usize, tie_break: &TieBreak) -> Count {
    let seats = if method.elects_one() { seats.min(1) } else { seats };
    let task = Task { profile, method, seats, tie_break };
    match method {
        Method::Plurality => choices::count_plurality(&task),
        Method::Approval => choices::count_approval(&task),
        Method::Score(aggregate) => score::count_score(&task, *aggregate),
        Method::Star { score_max } => score::count_star(&task, *score_max),
        Method::Irv(rules) => rctab::count_irv(&task, rules),
        Method::StvScottish => stv_scottish::count_scottish(&task),
        Method::StvMeek => stv_meek::count_meek(&task),
        Method::StvWigm(rules) => rctab::count_wigm(&task, rules),
        Method::Schulze | Method::RankedPairs(_) | Method::Minimax(_) => condorcet::count_condorcet(&task),
        Method::Borda(points) => borda::count_borda(&task, *points),
        Method::Dot { dots, per_option_max } => budget::count_dot(&task, *dots, *per_option_max),
        Method::Quadratic { credits, negative_votes } => {
            budget::count_quadratic(&task, *credits, *negative_votes)
        }
    }
}

/// Counts a published matrix of pairs, for elections whose ballots are not known. Nothing for a method that needs
/// more than the matrix.
pub fn count_pairwise(pairwise: Pairwise, method: &Method, tie_break: &TieBreak) -> Option<Count> {
    let profile = &Profile::new(pairwise.option_count());
    let task = Task { profile, method, seats: 1, tie_break };
    matches!(method, Method::Schulze | Method::RankedPairs(_) | Method::Minimax(_))
        .then(|| condorcet::count_matrix(&task, pairwise))
}
