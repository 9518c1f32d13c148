//! The Condorcet methods: the option that beats every other wins, and each has its own answer where there is none.

use rustc_hash::FxHashSet;

use crate::{
    BallotCounts, Count, Figure, Method, MinimaxMeasure, OptionIndex, PairStrength, Pairwise, TiePurpose,
    election::Election, intake, method::Task, preference, relation::Relation, tie_break::Ties,
};

/// How a Condorcet method weighed the pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The option that beats every other, if there is one.
    pub condorcet_winner: Option<OptionIndex>,
    /// The smallest set of options that beat every option outside it, ascending.
    pub smith_set: Vec<OptionIndex>,
    /// What the method made of the pairs.
    pub weighing: Weighing,
}

/// What a Condorcet method made of the pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weighing {
    /// Schulze: `paths[x][y]` is the strength of the strongest path of defeats from x to y, zero where there is none.
    Paths(Vec<Vec<Figure>>),
    /// Ranked pairs: the defeats from the strongest down.
    Defeats(Vec<Defeat>),
    /// Minimax: by option, how bad its worst pair is. Nothing for the only option of a poll.
    Worst(Vec<Option<Figure>>),
}

/// One option's defeat of another in ranked pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defeat {
    /// Who wins the pair.
    pub winner: OptionIndex,
    /// Who loses it.
    pub loser: OptionIndex,
    /// How strong the defeat is.
    pub strength: Figure,
    /// What became of it.
    pub fate: DefeatFate,
}

/// What became of a defeat in ranked pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefeatFate {
    /// It holds.
    Locked,
    /// It contradicts stronger ones.
    Dropped,
    /// It holds or not, depending on the order in which equally strong defeats are looked at.
    DependsOnOrder,
}

/// Counts ranked ballots by a Condorcet method.
pub(crate) fn count_condorcet(task: &Task<'_>) -> Count {
    let (ballots, votes) = intake::read(task.profile, preference::order);
    let pairwise = Pairwise::from_orders(task.profile.option_count(), votes.into_iter());
    let only_option = task.profile.option_count() == 1 && ballots.counted > Figure::ZERO;
    decide(task, pairwise, ballots, only_option)
}

/// Decides on a published matrix.
pub(crate) fn count_matrix(task: &Task<'_>, pairwise: Pairwise) -> Count {
    let none = BallotCounts {
        cast: Figure::ZERO,
        counted: Figure::ZERO,
        blank: Figure::ZERO,
        rejected: Figure::ZERO,
    };
    decide(task, pairwise, none, false)
}

fn decide(task: &Task<'_>, pairwise: Pairwise, ballots: BallotCounts, only_option: bool) -> Count {
    let mut count = Count::new(task, ballots);
    // A matrix without any preference comes from ballots that are blank, rank all options equally, or are not there.
    // The second leaves all tied, the others nobody.
    let anyone_voted = count.ballots.counted > Figure::ZERO || !pairwise.is_empty();
    if task.seats == 0 || !anyone_voted {
        count.pairwise = Some(pairwise);
        return count;
    }
    let (best, weighing) = match task.method {
        Method::RankedPairs(strength) => rank_pairs(&pairwise, *strength),
        Method::Minimax(measure) => minimise_worst(&pairwise, *measure),
        _ => compare_paths(&pairwise),
    };
    count.comparison = Some(Comparison {
        condorcet_winner: if only_option { Some(0) } else { pairwise.condorcet_winner() },
        smith_set: if pairwise.is_empty() { pairwise.options().collect() } else { pairwise.smith_set() },
        weighing,
    });
    count.pairwise = Some(pairwise);
    let mut ties = Ties::new(task.tie_break);
    let election = settle(best, &mut ties);
    count.close(election, ties)
}

/// One best option is elected; of several, the one that the tie-break chooses.
fn settle(best: Vec<OptionIndex>, ties: &mut Ties<'_>) -> Election {
    if best.len() <= 1 {
        return Election { elected: best, tied: Vec::new() };
    }
    match ties.choose(1, TiePurpose::Election, &best, 1) {
        Some(elected) => Election { elected, tied: Vec::new() },
        None => Election { elected: Vec::new(), tied: best },
    }
}

/// Schulze: an option is best if its strongest path to each other is at least as strong as the one back.
fn compare_paths(pairwise: &Pairwise) -> (Vec<OptionIndex>, Weighing) {
    let direct = |from, to| if pairwise.beats(from, to) { pairwise.millionths(from, to) } else { 0 };
    let mut paths: Vec<Vec<i128>> =
        pairwise.options().map(|from| pairwise.options().map(|to| direct(from, to)).collect()).collect();
    for through in 0..paths.len() {
        let onward = paths[through].clone();
        for row in &mut paths {
            let reach = row[through];
            if reach > 0 {
                row.iter_mut().zip(&onward).for_each(|(path, &next)| *path = (*path).max(reach.min(next)));
            }
        }
    }
    let unbeaten = |option: &OptionIndex| {
        let own = usize::from(*option);
        (0..paths.len()).all(|other| own == other || paths[own][other] >= paths[other][own])
    };
    let best = pairwise.options().filter(unbeaten).collect();
    for (option, row) in paths.iter_mut().enumerate() {
        row[option] = 0;
    }
    let figures = |row: Vec<i128>| row.into_iter().map(Figure::millionths).collect();
    (best, Weighing::Paths(paths.into_iter().map(figures).collect()))
}

/// Minimax: an option is best if no other's worst pair is less bad.
fn minimise_worst(pairwise: &Pairwise, measure: MinimaxMeasure) -> (Vec<OptionIndex>, Weighing) {
    let badness = |option, other| {
        let (against, own) = (pairwise.millionths(other, option), pairwise.millionths(option, other));
        match measure {
            MinimaxMeasure::Margins => against - own,
            MinimaxMeasure::WinningVotes if against <= own => 0,
            MinimaxMeasure::WinningVotes | MinimaxMeasure::Opposition => against,
        }
    };
    let worst: Vec<Option<i128>> = pairwise
        .options()
        .map(|option| {
            pairwise.options().filter(|&other| other != option).map(|other| badness(option, other)).max()
        })
        .collect();
    let least = worst.iter().min().copied().flatten();
    let best = pairwise.options().filter(|&option| worst[usize::from(option)] == least).collect();
    (best, Weighing::Worst(worst.into_iter().map(|worst| worst.map(Figure::millionths)).collect()))
}

/// A defeat with its strength in millionths.
type Pair = (i128, OptionIndex, OptionIndex);

/// Ranked pairs: defeats are locked from the strongest down, except those that contradict what is locked.
///
/// Where equally strong defeats contradict each other, the outcome depends on their order, which the rule leaves to a
/// lot. So every order is tried, and all options that can win are tied. Beyond a bound on that work (only a profile
/// made for the purpose gets there) the whole Smith set is: one of it wins in any order.
fn rank_pairs(pairwise: &Pairwise, strength: PairStrength) -> (Vec<OptionIndex>, Weighing) {
    let pairs = sorted_pairs(pairwise, strength);
    let mut work = Work::new(pairwise.option_count());
    let mut outcomes = vec![Relation::new(pairwise.option_count())];
    for group in pairs.chunk_by(|a, b| a.0 == b.0) {
        let mut next = FxHashSet::default();
        for locked in outcomes {
            lock_in_every_order(locked, group, &mut next, &mut work);
        }
        outcomes = next.into_iter().collect();
        if work.is_used_up() {
            let weighing = Weighing::Defeats(pairs.iter().map(|&pair| defeat(pair, &[])).collect());
            return (pairwise.smith_set(), weighing);
        }
    }
    let wins =
        |option| outcomes.iter().any(|locked| pairwise.options().all(|other| !locked.has(other, option)));
    let best = if pairs.is_empty() {
        pairwise.options().collect()
    } else {
        pairwise.options().filter(|&o| wins(o)).collect()
    };
    (best, Weighing::Defeats(pairs.iter().map(|&pair| defeat(pair, &outcomes)).collect()))
}

fn sorted_pairs(pairwise: &Pairwise, strength: PairStrength) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    for winner in pairwise.options() {
        for loser in pairwise.options().filter(|&loser| pairwise.beats(winner, loser)) {
            let votes = pairwise.millionths(winner, loser);
            let strength = match strength {
                PairStrength::Margins => votes - pairwise.millionths(loser, winner),
                PairStrength::WinningVotes => votes,
            };
            pairs.push((strength, winner, loser));
        }
    }
    pairs.sort_unstable_by_key(|&(strength, winner, loser)| (std::cmp::Reverse(strength), winner, loser));
    pairs
}

/// How a defeat ended in all outcomes; a pair and its reverse never both hold.
fn defeat((strength, winner, loser): Pair, outcomes: &[Relation]) -> Defeat {
    let locked = outcomes.iter().filter(|outcome| outcome.has(winner, loser)).count();
    let fate = match locked {
        _ if outcomes.is_empty() => DefeatFate::DependsOnOrder,
        0 => DefeatFate::Dropped,
        all if all == outcomes.len() => DefeatFate::Locked,
        _ => DefeatFate::DependsOnOrder,
    };
    Defeat { winner, loser, strength: Figure::millionths(strength), fate }
}

/// How many states may be looked at, so that a profile made to explode ends soon.
struct Work {
    states_left: usize,
}

impl Work {
    /// About a second's work: a state costs the square of the number of options, at the least.
    fn new(option_count: usize) -> Self {
        Self { states_left: (20_000_000 / (option_count * option_count).max(1)).clamp(20, 20_000) }
    }

    fn is_used_up(&self) -> bool {
        self.states_left == 0
    }
}

/// All the relations that can come of locking equally strong defeats on top of one relation.
fn lock_in_every_order(start: Relation, group: &[Pair], outcomes: &mut FxHashSet<Relation>, work: &mut Work) {
    let mut seen = FxHashSet::default();
    let mut open = vec![start];
    while let Some(mut locked) = open.pop() {
        lock_the_undisputed(&mut locked, group);
        let mut is_final = true;
        for &(_, winner, loser) in group.iter().filter(|pair| is_undecided(&locked, pair)) {
            is_final = false;
            if work.is_used_up() {
                return;
            }
            let mut next = locked.clone();
            next.add(winner, loser);
            if seen.insert(next.clone()) {
                work.states_left -= 1;
                open.push(next);
            }
        }
        if is_final {
            outcomes.insert(locked);
        }
    }
}

fn is_undecided(locked: &Relation, &(_, winner, loser): &Pair) -> bool {
    !locked.has(winner, loser) && !locked.has(loser, winner)
}

/// Locks the undecided defeats of a group that are on no cycle with the others: their order does not matter.
fn lock_the_undisputed(locked: &mut Relation, group: &[Pair]) {
    let undecided: Vec<_> = group.iter().filter(|pair| is_undecided(locked, pair)).collect();
    if let [(_, winner, loser)] = undecided[..] {
        locked.add(*winner, *loser);
        return;
    }
    let mut all = locked.clone();
    for (_, winner, loser) in &undecided {
        all.add(*winner, *loser);
    }
    for (_, winner, loser) in undecided {
        if !all.has(*loser, *winner) {
            locked.add(*winner, *loser);
        }
    }
}
