//! The single transferable vote by Meek's method: the Proportional Representation Foundation's Reference Meek Rule.
//!
//! Each elected candidate keeps just so large a part of every vote that it ends with the quota, and the quota follows
//! the votes that are left. Nine places after the point, and rounded where the rule says how, so that two programs
//! that obey it agree in every digit.

use crate::{
    Count, ElectedBecause, EliminatedBecause, Figure, Inactive, OptionIndex, Round, Step, TiePurpose,
    WEIGHT_UNIT,
    election::Election,
    intake::{self, Reading},
    method::Task,
    packed::PackedBallot,
    preference,
    tie_break::Ties,
    wide::multiply_divide,
};

/// One in units of the last of nine places.
const ONE: u64 = 1_000_000_000;
/// The places that figures are written with.
const PLACES: u32 = 9;
/// A unit of the last place, in the unit of votes: votes are kept times the millionths of a ballot's weight.
const PLACE: i128 = WEIGHT_UNIT as i128;
/// The surplus below which an iteration is finished: 0.000001 of a vote.
const OMEGA: i128 = 1_000 * PLACE;

/// Counts by the reference rule.
pub(crate) fn count_meek(task: &Task<'_>) -> Count {
    let (ballots, votes) = intake::read(task.profile, preferences);
    let mut count = Count::new(task, ballots);
    if !count.is_contested() {
        return count;
    }
    let mut meek = Meek::new(task.seats, count.option_count, &votes);
    let mut ties = Ties::new(task.tie_break);
    let tied = meek.count(&mut ties).err().unwrap_or_default();
    count.rounds = meek.rounds;
    count.close(Election { elected: meek.elected, tied }, ties)
}

/// The options in the order of the ranks. Skipped ranks change nothing; of an option ranked again the first rank
/// counts; several options at one rank end the ballot, as the rule knows no shared ranks.
fn preferences(ballot: PackedBallot<'_>) -> Reading<Vec<OptionIndex>> {
    match preference::order(ballot) {
        Reading::Vote(order) => {
            let single: Vec<_> = order
                .iter()
                .map_while(|group| if let [option] = group[..] { Some(option) } else { None })
                .collect();
            if single.is_empty() { Reading::Rejected } else { Reading::Vote(single) }
        }
        Reading::Blank => Reading::Blank,
        Reading::Rejected => Reading::Rejected,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Hopeful,
    Elected,
    Defeated,
}

struct Meek {
    seats: usize,
    /// All preferences of all ballots, one after another, so that the many iterations read memory in order.
    preferences: Vec<OptionIndex>,
    /// For each ballot its weight in millionths and the end of its preferences.
    ballots: Vec<(i128, usize)>,
    states: Vec<State>,
    /// In units of the last place.
    keep_factors: Vec<u64>,
    votes: Vec<i128>,
    /// What no candidate keeps.
    unkept: i128,
    quota: i128,
    surplus: i128,
    elected: Vec<OptionIndex>,
    rounds: Vec<Round>,
}

/// What ends an iteration.
enum Outcome {
    Elected(Vec<OptionIndex>),
    Stable,
}

impl Meek {
    fn new(seats: usize, option_count: usize, ballots: &[(Vec<OptionIndex>, i128)]) -> Self {
        let mut preferences = Vec::new();
        let mut ends = Vec::with_capacity(ballots.len());
        for (ballot, weight) in ballots {
            preferences.extend(ballot);
            ends.push((*weight, preferences.len()));
        }
        Self {
            seats,
            preferences,
            ballots: ends,
            states: vec![State::Hopeful; option_count],
            keep_factors: vec![ONE; option_count],
            votes: vec![0; option_count],
            unkept: 0,
            quota: 0,
            surplus: 0,
            elected: Vec::new(),
            rounds: Vec::new(),
        }
    }

    /// Steps B and C of the rule. A round of the result is one election or one defeat.
    fn count(&mut self, ties: &mut Ties<'_>) -> Result<(), Vec<OptionIndex>> {
        let mut step = Step::FirstCount;
        while self.elected.len() < self.seats
            && self.in_state(State::Hopeful).len() + self.elected.len() > self.seats
        {
            let (outcome, distributions) = self.iterate();
            if !self.rounds.is_empty() {
                step = Step::Iteration { distributions };
            }
            match outcome {
                Outcome::Elected(options) => {
                    for option in options {
                        self.elect(step, option, ElectedBecause::Threshold);
                    }
                }
                Outcome::Stable => {
                    let round = self.snapshot(step);
                    self.rounds.push(round);
                    let loser = self.lowest(ties)?;
                    self.this_round().eliminate(&[loser], EliminatedBecause::Fewest);
                    self.defeat(loser);
                }
            }
        }
        self.close(step);
        Ok(())
    }

    /// Step C: remaining candidates take the seats that are left, or are defeated.
    fn close(&mut self, step: Step) {
        let seats_are_left = self.elected.len() < self.seats;
        if self.rounds.is_empty() {
            self.distribute();
        }
        for option in self.by_votes(self.in_state(State::Hopeful)) {
            if seats_are_left {
                self.elect(step, option, ElectedBecause::SeatsLeft);
            } else {
                let mut round = self.snapshot(step);
                round.eliminate(&[option], EliminatedBecause::SeatsFilled);
                self.rounds.push(round);
                self.defeat(option);
            }
        }
    }

    /// Step B.2: distributes votes and lowers keep factors until someone is elected or the surplus vanishes.
    fn iterate(&mut self) -> (Outcome, usize) {
        let mut surplus_before = None;
        let mut distributions = 0;
        loop {
            self.distribute();
            distributions += 1;
            let reached: Vec<_> = self
                .in_state(State::Hopeful)
                .into_iter()
                .filter(|&o| self.votes_of(o) >= self.quota)
                .collect();
            let elected = self.in_state(State::Elected).into_iter().chain(reached.iter().copied());
            self.surplus = elected.map(|option| self.votes_of(option) - self.quota).sum::<i128>().max(0);
            if !reached.is_empty() {
                return (Outcome::Elected(self.by_votes(reached)), distributions);
            }
            if self.surplus < OMEGA || surplus_before.is_some_and(|before| self.surplus >= before) {
                return (Outcome::Stable, distributions);
            }
            surplus_before = Some(self.surplus);
            self.update_keep_factors();
        }
    }

    /// Steps B.2.a and B.2.b: each candidate keeps its part of each ballot, rounded up, and the quota follows.
    fn distribute(&mut self) {
        self.votes.fill(0);
        self.unkept = 0;
        let mut start = 0;
        for &(weight, end) in &self.ballots {
            let mut left = ONE;
            for &option in &self.preferences[start..end] {
                let factor = self.keep_factors[usize::from(option)];
                if factor == 0 {
                    continue;
                }
                // Both are at most one, so the product fits.
                let kept = (left * factor).div_ceil(ONE);
                self.votes[usize::from(option)] += i128::from(kept) * weight;
                left -= kept;
                if left == 0 {
                    break;
                }
            }
            self.unkept += i128::from(left) * weight;
            start = end;
        }
        let total: i128 = self.votes.iter().sum();
        let divisor = i128::try_from(self.seats).unwrap_or(i128::MAX - 1) + 1;
        self.quota = (total / PLACE / divisor + 1) * PLACE;
    }

    /// Step B.2.f.
    fn update_keep_factors(&mut self) {
        let quota = (self.quota / PLACE).unsigned_abs();
        for option in self.in_state(State::Elected) {
            let votes = self.votes_of(option).unsigned_abs();
            let factor = &mut self.keep_factors[usize::from(option)];
            let product = divide_up(u128::from(*factor), quota, u128::from(ONE));
            // Votes are kept times the weight's millionths, so the dividend is too.
            let new = product.and_then(|product| divide_up(product, u128::from(ONE * WEIGHT_UNIT), votes));
            *factor = new.and_then(|new| u64::try_from(new).ok()).map_or(*factor, |new| new.min(ONE));
        }
    }

    /// Step B.3: the hopeful with the lowest vote; all within the surplus of it are tied, because the surplus could
    /// still lift them apart.
    fn lowest(&self, ties: &mut Ties<'_>) -> Result<OptionIndex, Vec<OptionIndex>> {
        let hopeful = self.in_state(State::Hopeful);
        let fewest = hopeful.iter().map(|&option| self.votes_of(option)).min().unwrap_or(0);
        let tied: Vec<_> =
            hopeful.into_iter().filter(|&option| self.votes_of(option) <= fewest + self.surplus).collect();
        if let [only] = tied[..] {
            return Ok(only);
        }
        let chosen = ties.choose(self.rounds.len(), TiePurpose::Elimination, &tied, 1);
        chosen.and_then(|chosen| chosen.first().copied()).ok_or(tied)
    }

    fn elect(&mut self, step: Step, option: OptionIndex, because: ElectedBecause) {
        self.states[usize::from(option)] = State::Elected;
        self.elected.push(option);
        let mut round = self.snapshot(step);
        round.elect(&[option], because);
        self.rounds.push(round);
    }

    /// Step B.3's end. Until votes are distributed again, if they are, those of the defeated are with nobody.
    fn defeat(&mut self, option: OptionIndex) {
        let option = usize::from(option);
        self.states[option] = State::Defeated;
        self.keep_factors[option] = 0;
        self.unkept += std::mem::take(&mut self.votes[option]);
    }

    fn snapshot(&self, step: Step) -> Round {
        let shown = (0..).zip(&self.votes).filter(|&(option, _)| self.state(option) != State::Defeated);
        let mut round = Round::new(step, shown.map(|(option, &votes)| (option, figure(votes))).collect());
        round.threshold = Some(figure(self.quota));
        round.inactive = Inactive { exhausted_choices: figure(self.unkept), ..Inactive::NONE };
        round
    }

    fn this_round(&mut self) -> &mut Round {
        self.rounds.last_mut().expect("a round is pushed before anything is decided on it")
    }

    fn by_votes(&self, mut options: Vec<OptionIndex>) -> Vec<OptionIndex> {
        options.sort_by_key(|&option| (-self.votes_of(option), option));
        options
    }

    fn state(&self, option: OptionIndex) -> State {
        self.states[usize::from(option)]
    }

    fn votes_of(&self, option: OptionIndex) -> i128 {
        self.votes[usize::from(option)]
    }

    fn in_state(&self, wanted: State) -> Vec<OptionIndex> {
        (0..).zip(&self.states).filter(|(_, state)| **state == wanted).map(|(option, _)| option).collect()
    }
}

/// `a * b / divisor`, rounded up.
fn divide_up(a: u128, b: u128, divisor: u128) -> Option<u128> {
    let (quotient, remainder) = multiply_divide(a, b, divisor)?;
    Some(quotient + u128::from(remainder > 0))
}

fn figure(votes: i128) -> Figure {
    Figure::fraction(votes, u128::from(ONE) * u128::from(WEIGHT_UNIT)).with_places(PLACES)
}
