//! Instant runoff and the weighted inclusive Gregory method, as RCTab (the Ranked Choice Voting Resource Center's
//! tabulator) has them.
//!
//! Both are one procedure: in each round the ballots lie with the options that they count for; options at the threshold
//! are elected, else some are eliminated, and only the ballots of those move. The vocabulary and the order of the tests
//! follow RCTab's documentation, so that its reports can be compared figure by figure.

use crate::{
    Count, Destination, ElectedBecause, EliminatedBecause, Figure, Inactive, IrvRules, OptionIndex,
    RankingRules, Round, Step, TiePurpose, TieRule, Total, Transfer, WEIGHT_UNIT, WigmRules, WinnerMode,
    election::Election,
    findings::Moving,
    method::Task,
    piles::{InactiveVotes, Moved, Onward, Release, State},
    tie_break::Ties,
    wide::multiply_divide,
};

/// Counts by instant runoff.
pub(crate) fn count_irv(task: &Task<'_>, rules: &IrvRules) -> Count {
    let procedure = Procedure {
        ranking: &rules.ranking,
        batch_elimination: rules.batch_elimination,
        continue_until_two: rules.continue_until_two,
        first_round_sets_threshold: rules.first_round_sets_threshold,
        winners: WinnerMode::SeveralPerRound,
        hare_quota: false,
        fractional_quota: false,
        decimals: 0,
    };
    Tabulation::run(task, &procedure)
}

/// Counts by the weighted inclusive Gregory method.
pub(crate) fn count_wigm(task: &Task<'_>, rules: &WigmRules) -> Count {
    let procedure = Procedure {
        ranking: &rules.ranking,
        batch_elimination: false,
        continue_until_two: false,
        first_round_sets_threshold: false,
        winners: rules.winners,
        hare_quota: rules.hare_quota,
        fractional_quota: rules.fractional_quota,
        decimals: rules.decimals.min(WigmRules::DECIMALS_MAX),
    };
    Tabulation::run(task, &procedure)
}

/// The rules of both methods in one.
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own, on or off")]
struct Procedure<'a> {
    ranking: &'a RankingRules,
    batch_elimination: bool,
    continue_until_two: bool,
    first_round_sets_threshold: bool,
    winners: WinnerMode,
    hare_quota: bool,
    fractional_quota: bool,
    decimals: u32,
}

/// A count under way. All votes are in units of the last place, times millionths.
struct Tabulation<'a> {
    procedure: &'a Procedure<'a>,
    seats: usize,
    /// One vote of weight one.
    one: u64,
    ballots: Moving<'a>,
    tally: Vec<i128>,
    states: Vec<State>,
    elected: Vec<OptionIndex>,
    eliminated_count: usize,
    inactive: InactiveVotes,
    residual: i128,
    threshold: i128,
    rounds: Vec<Round>,
    /// The tally of each earlier round, for ties.
    history: Vec<Vec<i128>>,
}

/// Why a count is over.
enum End {
    Done,
    Tied(Vec<OptionIndex>),
}

impl<'a> Tabulation<'a> {
    fn run(task: &Task<'a>, procedure: &'a Procedure<'a>) -> Count {
        let one = 10u64.pow(procedure.decimals);
        // With one seat there are no surpluses, so ballots move whole.
        let ballots = Moving::new(task.profile, procedure.ranking, one, task.seats == 1);
        let mut count = Count::new(task, ballots.cast.figures());
        if !count.is_contested() {
            return count;
        }
        let option_count = count.option_count;
        let mut tabulation = Self {
            procedure,
            seats: task.seats,
            one,
            ballots,
            tally: vec![0; option_count],
            states: vec![State::Continuing; option_count],
            elected: Vec::new(),
            eliminated_count: 0,
            inactive: InactiveVotes::default(),
            residual: 0,
            threshold: 0,
            rounds: Vec::new(),
            history: Vec::new(),
        };
        let mut ties = Ties::new(task.tie_break);
        let end = tabulation.count(&mut ties);
        let tied = match end {
            // A count that goes on until two are left can get stuck after its winner is found, which harms nobody.
            End::Tied(tied) if tabulation.elected.len() < task.seats => tied,
            End::Done | End::Tied(_) => Vec::new(),
        };
        tabulation.ballots.finish();
        count.rounds = tabulation.rounds;
        count.close(Election { elected: tabulation.elected, tied }, ties)
    }

    fn count(&mut self, ties: &mut Ties<'_>) -> End {
        let dealt = self.ballots.dealt();
        self.take(&dealt);
        let mut step = Step::FirstCount;
        loop {
            let round = self.open_round(step);
            self.rounds.push(round);
            let releases = match self.decide_round(ties) {
                Ok(releases) => releases,
                Err(end) => return end,
            };
            self.history.push(self.tally.clone());
            if !self.goes_on(&releases) {
                return End::Done;
            }
            let transfers = self.release(&releases);
            self.this_round().transfers = transfers;
            step = Step::Transfer;
        }
    }

    fn this_round(&mut self) -> &mut Round {
        self.rounds.last_mut().expect("a round is pushed before anything is decided on it")
    }

    fn round_number(&self) -> usize {
        self.rounds.len()
    }

    /// The tally as it stands, and the threshold where this round sets one.
    fn open_round(&mut self, step: Step) -> Round {
        let is_first = self.rounds.is_empty();
        let keeps_threshold = !is_first
            && (self.seats > 1
                || self.procedure.first_round_sets_threshold
                || self.procedure.continue_until_two && !self.elected.is_empty());
        if !keeps_threshold {
            self.threshold = self.compute_threshold();
        }
        let shown = (0..).zip(&self.tally).filter(|&(option, _)| self.state(option) != State::Eliminated);
        let tally = shown.map(|(option, &votes)| (option, self.figure(votes))).collect();
        let mut round = Round::new(step, tally);
        round.threshold = Some(self.figure(self.threshold));
        round.inactive = self.inactive_figures();
        round
    }

    /// Elects or eliminates on the tally of this round, and says whose ballots move.
    fn decide_round(&mut self, ties: &mut Ties<'_>) -> Result<Vec<Release>, End> {
        let continuing = self.continuing();
        let nobody_has_votes = continuing.iter().all(|&option| self.votes(option) == 0);
        if continuing.is_empty() || nobody_has_votes && self.elected.is_empty() {
            return Err(End::Done);
        }
        let (winners, because) = self.identify_winners(&continuing, ties)?;
        if !winners.is_empty() {
            return Ok(self.elect(&winners, because));
        }
        let needs_elimination = self.elected.len() < self.seats
            || self.procedure.continue_until_two && self.eliminated_count + 2 < self.states.len();
        if !needs_elimination {
            return Ok(Vec::new());
        }
        let (losers, because) = self.choose_losers(&continuing, ties)?;
        self.eliminate(&losers, because);
        if losers.len() == continuing.len() {
            return Err(End::Done);
        }
        Ok(losers.iter().map(|&option| Release { option, fraction: self.one, is_winner: false }).collect())
    }

    fn elect(&mut self, winners: &[OptionIndex], because: ElectedBecause) -> Vec<Release> {
        self.this_round().elect(winners, because);
        self.elected.extend(winners);
        if !self.uses_surpluses() {
            return Vec::new();
        }
        let mut releases = Vec::new();
        for &option in winners {
            self.states[usize::from(option)] = State::Elected;
            let fraction = self.surplus_fraction(self.votes(option));
            releases.push(Release { option, fraction, is_winner: true });
        }
        releases
    }

    fn eliminate(&mut self, losers: &[OptionIndex], because: EliminatedBecause) {
        self.this_round().eliminate(losers, because);
        self.eliminated_count += losers.len();
        for &option in losers {
            self.states[usize::from(option)] = State::Eliminated;
        }
    }

    /// Whether there is another round after this one. A round after the last election shows where its surpluses went.
    fn goes_on(&self, releases: &[Release]) -> bool {
        let everyone_is_elected = self.elected.len() == self.states.len() && self.seats > self.states.len();
        if everyone_is_elected {
            false
        } else if self.procedure.continue_until_two {
            let eliminated_now = releases.iter().any(|release| !release.is_winner);
            self.eliminated_count + self.elected.len() + 1 < self.states.len() || eliminated_now
        } else if !self.uses_surpluses() {
            self.elected.is_empty()
        } else {
            self.elected.len() < self.seats || releases.iter().any(|release| release.is_winner)
        }
    }

    /// Who is elected in this round, the most votes first.
    fn identify_winners(
        &self,
        continuing: &[OptionIndex],
        ties: &mut Ties<'_>,
    ) -> Result<(Vec<OptionIndex>, ElectedBecause), End> {
        let nobody = (Vec::new(), ElectedBecause::Threshold);
        let write_ins = self.procedure.ranking.undeclared_write_ins;
        if write_ins.is_some_and(|option| self.is_continuing(option) && self.votes(option) > 0) {
            return Ok(nobody);
        }
        let electable: Vec<_> =
            continuing.iter().copied().filter(|&option| Some(option) != write_ins).collect();
        let by_votes = |mut options: Vec<OptionIndex>| {
            options.sort_by_key(|&option| (-self.votes(option), option));
            options
        };
        let seats_left = self.seats.saturating_sub(self.elected.len());
        if seats_left == 0 {
            return Ok(nobody);
        }
        let first_sets = self.procedure.first_round_sets_threshold;
        let reach: Vec<_> =
            electable.iter().copied().filter(|&option| self.votes(option) >= self.threshold).collect();
        if continuing.len() <= seats_left {
            let because = if reach.len() == electable.len() {
                ElectedBecause::Threshold
            } else {
                ElectedBecause::SeatsLeft
            };
            return Ok((by_votes(electable), because));
        }
        let is_last_but_one = first_sets && continuing.len() - 1 == self.seats;
        let found = match self.procedure.winners {
            WinnerMode::BottomsUp => Vec::new(),
            _ if is_last_but_one => electable.clone(),
            _ => reach,
        };
        let one_at_a_time = self.procedure.winners == WinnerMode::OnePerRound || first_sets;
        let votes_min = self.units(self.procedure.ranking.votes_min.signed_millionths());
        let is_final_pair = self.seats == 1
            && found.is_empty()
            && continuing.len() == 2
            && continuing.iter().all(|&option| self.votes(option) >= votes_min);
        if found.len() > 1 && one_at_a_time || is_final_pair {
            let top = self.top_of(if found.is_empty() { &electable } else { &found }, ties)?;
            let because = if self.votes(top) >= self.threshold {
                ElectedBecause::Threshold
            } else {
                ElectedBecause::Most
            };
            return Ok((vec![top], because));
        }
        Ok((by_votes(found), ElectedBecause::Threshold))
    }

    /// The option with the most votes, a tie broken.
    fn top_of(&self, options: &[OptionIndex], ties: &mut Ties<'_>) -> Result<OptionIndex, End> {
        let most = options.iter().map(|&option| self.votes(option)).max().unwrap_or(0);
        let top: Vec<_> = options.iter().copied().filter(|&option| self.votes(option) == most).collect();
        self.break_tie(top, TiePurpose::Election, ties)
    }

    /// Who is eliminated in this round; RCTab's four ways in their order.
    fn choose_losers(
        &self,
        continuing: &[OptionIndex],
        ties: &mut Ties<'_>,
    ) -> Result<(Vec<OptionIndex>, EliminatedBecause), End> {
        let ranking = self.procedure.ranking;
        if let Some(option) = ranking.undeclared_write_ins
            && self.is_continuing(option)
            && self.votes(option) > 0
        {
            return Ok((vec![option], EliminatedBecause::UndeclaredWriteIn));
        }
        let votes_min = self.units(ranking.votes_min.signed_millionths());
        let below: Vec<_> =
            continuing.iter().copied().filter(|&option| self.votes(option) < votes_min).collect();
        if !below.is_empty() {
            return Ok((below, EliminatedBecause::BelowMinimum));
        }
        if self.procedure.batch_elimination {
            let batch = self.batch(continuing);
            if batch.len() > 1 {
                return Ok((batch, EliminatedBecause::Batch));
            }
        }
        let fewest = continuing.iter().map(|&option| self.votes(option)).min().unwrap_or(0);
        let last: Vec<_> =
            continuing.iter().copied().filter(|&option| self.votes(option) == fewest).collect();
        Ok((vec![self.break_tie(last, TiePurpose::Elimination, ties)?], EliminatedBecause::Fewest))
    }

    /// The options that cannot win: those that together have less than the next one above them.
    fn batch(&self, continuing: &[OptionIndex]) -> Vec<OptionIndex> {
        let mut sorted: Vec<_> = continuing.iter().map(|&option| (self.votes(option), option)).collect();
        sorted.sort_unstable();
        let (mut total, mut size, mut size_before) = (0, 0, 0);
        let mut start = 0;
        for group in sorted.chunk_by(|a, b| a.0 == b.0) {
            if total < group[0].0 {
                (size_before, size) = (size, start);
            }
            total += group[0].0 * i128::try_from(group.len()).unwrap_or(i128::MAX);
            start += group.len();
        }
        // With only one option left after the batch, a count until two would end with one.
        if self.procedure.continue_until_two && size + self.eliminated_count + 1 == self.states.len() {
            size = size_before;
        }
        sorted[..size].iter().map(|&(_, option)| option).collect()
    }

    fn break_tie(
        &self,
        mut tied: Vec<OptionIndex>,
        purpose: TiePurpose,
        ties: &mut Ties<'_>,
    ) -> Result<OptionIndex, End> {
        let round = self.round_number();
        if self.procedure.ranking.ties_by_earlier_rounds && tied.len() > 1 {
            tied = narrow_by_history(&self.history, round, tied, purpose, ties);
        }
        if let [only] = tied[..] {
            return Ok(only);
        }
        let chosen = ties.choose(round, purpose, &tied, 1);
        chosen.and_then(|chosen| chosen.first().copied()).ok_or(End::Tied(tied))
    }

    /// Moves the ballots of the options that were elected or eliminated.
    fn release(&mut self, releases: &[Release]) -> Vec<Transfer> {
        let onward = if self.uses_surpluses() && self.elected.len() >= self.seats {
            Onward::FinalSurplus
        } else if self.decides_next_round() {
            Onward::Last
        } else {
            Onward::Next
        };
        let moves = self.ballots.release(releases, &self.states, onward);
        let mut transfers = Vec::new();
        for (release, moved) in releases.iter().zip(moves) {
            self.take(&moved);
            let residual = if release.is_winner { (moved.kept - self.threshold).max(0) } else { 0 };
            self.residual += residual;
            self.tally[usize::from(release.option)] = moved.kept - residual;
            let to_options = (0..).map(Destination::Option).zip(moved.to_options);
            let others =
                [(Destination::Inactive, moved.to_inactive.sum()), (Destination::Residual, residual)];
            let paths = to_options.chain(others);
            let transfer = |(to, votes)| Transfer { from: release.option, to, votes: self.figure(votes) };
            transfers.extend(paths.filter(|(_, votes)| *votes > 0).map(transfer));
        }
        transfers.sort_unstable_by_key(|transfer| (transfer.from, transfer.to));
        transfers
    }

    /// Adds votes to where they came.
    fn take(&mut self, moved: &Moved) {
        self.tally.iter_mut().zip(&moved.to_options).for_each(|(votes, more)| *votes += more);
        self.inactive += moved.to_inactive;
    }

    /// Whether the next round elects whoever has more votes, and is the last.
    fn decides_next_round(&self) -> bool {
        let ranking = self.procedure.ranking;
        self.seats == 1
            && !self.procedure.continue_until_two
            && ranking.undeclared_write_ins.is_none()
            && ranking.votes_min == Total::ZERO
            && self.continuing().len() <= 2
    }

    fn compute_threshold(&self) -> i128 {
        let active: i128 = self.continuing().iter().map(|&option| self.votes(option)).sum();
        let seats = i128::try_from(self.seats).unwrap_or(i128::MAX - 1);
        let vote = i128::from(self.one) * i128::from(WEIGHT_UNIT);
        // Among whole votes a majority is one vote more than half, and not a millionth more.
        let unit = if !self.ballots.are_whole_votes {
            i128::from(self.one)
        } else if self.procedure.fractional_quota {
            i128::from(WEIGHT_UNIT)
        } else {
            vote
        };
        let active = active / unit;
        // Rounded up it is reached by equality; rounded down and one more, by exceeding.
        let quota =
            if self.procedure.hare_quota { (active + seats - 1) / seats } else { active / (seats + 1) + 1 };
        quota * unit
    }

    /// The part of each vote that an elected option can pass on, in units of the last place, rest cut off.
    fn surplus_fraction(&self, votes: i128) -> u64 {
        let surplus = (votes - self.threshold).max(0).unsigned_abs();
        let quotient = multiply_divide(surplus, u128::from(self.one), votes.unsigned_abs());
        quotient.and_then(|(fraction, _)| u64::try_from(fraction).ok()).unwrap_or(0)
    }

    fn uses_surpluses(&self) -> bool {
        self.seats > 1
            && matches!(self.procedure.winners, WinnerMode::SeveralPerRound | WinnerMode::OnePerRound)
    }

    fn state(&self, option: OptionIndex) -> State {
        self.states[usize::from(option)]
    }

    fn is_continuing(&self, option: OptionIndex) -> bool {
        self.state(option) == State::Continuing
    }

    fn continuing(&self) -> Vec<OptionIndex> {
        (0..)
            .zip(&self.states)
            .filter(|(_, state)| **state == State::Continuing)
            .map(|(option, _)| option)
            .collect()
    }

    fn votes(&self, option: OptionIndex) -> i128 {
        self.tally[usize::from(option)]
    }

    fn units(&self, millionths: i128) -> i128 {
        millionths * i128::from(self.one)
    }

    fn figure(&self, votes: i128) -> Figure {
        Figure::fraction(votes, u128::from(self.one) * u128::from(WEIGHT_UNIT))
    }

    fn inactive_figures(&self) -> Inactive {
        let votes = self.inactive;
        Inactive {
            exhausted_choices: self.figure(votes.exhausted_choices),
            overvotes: self.figure(votes.overvotes),
            repeated_rankings: self.figure(votes.repeated_rankings),
            skipped_rankings: self.figure(votes.skipped_rankings),
            final_surplus: self.figure(votes.final_surplus),
            residual: self.figure(self.residual),
        }
    }
}

/// The tied options that differ from the others in the latest earlier round where any do, then in the one before, and
/// so on: those with the most votes for an election or a surplus, those with the fewest for an elimination.
pub(crate) fn narrow_by_history(
    history: &[Vec<i128>],
    round: usize,
    mut tied: Vec<OptionIndex>,
    purpose: TiePurpose,
    ties: &mut Ties<'_>,
) -> Vec<OptionIndex> {
    for (index, tally) in history.iter().enumerate().rev() {
        // The votes of an option in the running never fall, so before a round without votes there are none either.
        if tied.iter().all(|&option| tally[usize::from(option)] == 0) {
            break;
        }
        let key = |option: OptionIndex| {
            let votes = tally[usize::from(option)];
            if purpose == TiePurpose::Elimination { -votes } else { votes }
        };
        let best = tied.iter().map(|&option| key(option)).max();
        let chosen: Vec<_> = tied.iter().copied().filter(|&option| Some(key(option)) == best).collect();
        if chosen.len() < tied.len() {
            ties.record(round, purpose, &tied, TieRule::EarlierRound(index + 1), &chosen);
            tied = chosen;
        }
        if tied.len() == 1 {
            break;
        }
    }
    tied
}
