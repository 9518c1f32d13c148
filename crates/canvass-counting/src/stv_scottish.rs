//! The single transferable vote by the Scottish Local Government Elections Order 2007, schedule 1, rules 45 to 52.
//!
//! The quota is fixed at the first stage; a stage transfers one surplus or excludes one candidate; every paper that a
//! candidate received is transferred, at a value cut to five places (weighted inclusive Gregory).

use rustc_hash::FxHashMap;

use crate::{
    Count, Destination, ElectedBecause, EliminatedBecause, Figure, Inactive, OptionIndex, Round, Step,
    TiePurpose, Transfer, WEIGHT_UNIT,
    election::Election,
    intake::{self, Reading},
    method::Task,
    packed::{PackedBallot, PackedRank, Ranks},
    papers::{Next, Papers},
    rctab::narrow_by_history,
    tie_break::Ties,
    wide::multiply_divide,
};

/// One vote in units of the last of five places.
const ONE: u64 = 100_000;
/// The places that figures are written with.
const PLACES: u32 = 5;
/// One vote of weight one, in the unit of tallies: units of the last place, times millionths.
const VOTE: i128 = ONE as i128 * WEIGHT_UNIT as i128;

/// Counts by the Scottish rules.
pub(crate) fn count_scottish(task: &Task<'_>) -> Count {
    let (cast, papers) = Papers::read(task.profile, preferences, ONE, false);
    let mut count = Count::new(task, cast.figures());
    if !count.is_contested() {
        return count;
    }
    let mut stages = Stages::new(task.seats, count.option_count, papers);
    let mut ties = Ties::new(task.tie_break);
    let tied = stages.count(&mut ties).err().unwrap_or_default();
    count.rounds = stages.rounds;
    count.close(Election { elected: stages.elected, tied }, ties)
}

/// The ranks of a paper. One whose first rank is not a single option is void (rule 43).
fn preferences(ballot: PackedBallot<'_>) -> Reading<Ranks<'_>> {
    match intake::ranking(ballot) {
        Reading::Vote(ranks) if matches!(ranks.at(0), Some((PackedRank::One(_), _))) => Reading::Vote(ranks),
        Reading::Vote(_) => Reading::Rejected,
        other => other,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Continuing,
    /// Elected, and its papers have not been transferred.
    Pending,
    /// Elected, and nothing more moves.
    Settled,
    Excluded,
}

struct Stages<'a> {
    seats: usize,
    quota: i128,
    papers: Papers<'a>,
    piles: Vec<Vec<u32>>,
    tally: Vec<i128>,
    states: Vec<State>,
    elected: Vec<OptionIndex>,
    nontransferable: i128,
    residual: i128,
    rounds: Vec<Round>,
    /// The tally of each earlier stage, for ties.
    history: Vec<Vec<i128>>,
}

/// The votes that move in a stage.
type Moved = FxHashMap<Destination, i128>;

/// Where a paper goes next.
enum Preference {
    /// To an option; the place after its rank.
    Next(OptionIndex, usize),
    /// Its ballots go different ways.
    Apart,
    /// Nowhere.
    End,
}

/// The options between which only a lot could decide, and none is drawn.
type Undecided = Vec<OptionIndex>;

impl<'a> Stages<'a> {
    /// The first stage (rules 45 and 46).
    fn new(seats: usize, option_count: usize, mut papers: Papers<'a>) -> Self {
        let mut piles = vec![Vec::new(); option_count];
        let mut tally = vec![0; option_count];
        for (index, _) in (0..).zip(0..papers.len()) {
            let paper = papers.get_mut(index);
            if let Next::Rank(PackedRank::One([first]), next) = paper.at(0) {
                let first = usize::from(*first);
                paper.place = next;
                tally[first] += paper.votes();
                piles[first].push(index);
            }
        }
        let valid: i128 = tally.iter().sum();
        let divisor = i128::try_from(seats).unwrap_or(i128::MAX - 1) + 1;
        Self {
            seats,
            quota: (valid / VOTE / divisor + 1) * VOTE,
            papers,
            piles,
            tally,
            states: vec![State::Continuing; option_count],
            elected: Vec::new(),
            nontransferable: 0,
            residual: 0,
            rounds: Vec::new(),
            history: Vec::new(),
        }
    }

    fn count(&mut self, ties: &mut Ties<'_>) -> Result<(), Undecided> {
        let mut step = Step::FirstCount;
        loop {
            let round = self.open_stage(step);
            self.rounds.push(round);
            self.elect_quota();
            if self.elected.len() >= self.seats || self.fill_last_vacancies() {
                return Ok(());
            }
            let leaving = self.next_to_transfer(ties)?;
            self.history.push(self.tally.clone());
            step = if self.state(leaving) == State::Pending {
                self.states[usize::from(leaving)] = State::Settled;
                Step::Surplus(leaving)
            } else {
                self.this_round().eliminate(&[leaving], EliminatedBecause::Fewest);
                self.states[usize::from(leaving)] = State::Excluded;
                Step::Exclusion(leaving)
            };
            self.transfer(leaving, step);
        }
    }

    fn open_stage(&self, step: Step) -> Round {
        let shown = (0..).zip(&self.tally).filter(|&(option, _)| self.state(option) != State::Excluded);
        let mut round = Round::new(step, shown.map(|(option, &votes)| (option, figure(votes))).collect());
        round.threshold = Some(Figure::fraction(self.quota, VOTE.unsigned_abs()));
        let (exhausted_choices, residual) = (figure(self.nontransferable), figure(self.residual));
        round.inactive = Inactive { exhausted_choices, residual, ..Inactive::NONE };
        round
    }

    fn this_round(&mut self) -> &mut Round {
        self.rounds.last_mut().expect("a stage is pushed before anything is decided on it")
    }

    /// Rule 47: whoever has the quota is elected.
    fn elect_quota(&mut self) {
        let mut reached: Vec<_> = self
            .in_state(State::Continuing)
            .into_iter()
            .filter(|&option| self.votes(option) >= self.quota)
            .collect();
        reached.sort_by_key(|&option| (-self.votes(option), option));
        self.elect(&reached, ElectedBecause::Threshold);
    }

    /// Rule 52: where as many continue as there are vacancies, they are elected.
    fn fill_last_vacancies(&mut self) -> bool {
        let mut continuing = self.in_state(State::Continuing);
        let fills = continuing.len() + self.elected.len() <= self.seats;
        if fills {
            continuing.sort_by_key(|&option| (-self.votes(option), option));
            self.elect(&continuing, ElectedBecause::SeatsLeft);
        }
        fills
    }

    fn elect(&mut self, options: &[OptionIndex], because: ElectedBecause) {
        for &option in options {
            self.states[usize::from(option)] = State::Pending;
        }
        self.elected.extend(options);
        self.this_round().elect(options, because);
    }

    /// Whose papers are transferred next: the largest surplus (rule 49), else the fewest votes (rules 50 and 51).
    ///
    /// An elected candidate with exactly the quota gets a stage as well, in which nothing moves: published counts by
    /// other programs have it.
    fn next_to_transfer(&self, ties: &mut Ties<'_>) -> Result<OptionIndex, Undecided> {
        let pending = self.in_state(State::Pending);
        let (candidates, purpose) = if pending.is_empty() {
            (self.in_state(State::Continuing), TiePurpose::Elimination)
        } else {
            (pending, TiePurpose::SurplusOrder)
        };
        let key = |option: &OptionIndex| {
            if purpose == TiePurpose::Elimination { -self.votes(*option) } else { self.votes(*option) }
        };
        let best = candidates.iter().map(key).max();
        let tied: Vec<_> = candidates.into_iter().filter(|option| Some(key(option)) == best).collect();
        self.break_tie(tied, purpose, ties)
    }

    fn break_tie(
        &self,
        tied: Vec<OptionIndex>,
        purpose: TiePurpose,
        ties: &mut Ties<'_>,
    ) -> Result<OptionIndex, Undecided> {
        let round = self.rounds.len();
        let nothing_moves = purpose == TiePurpose::SurplusOrder && self.votes(tied[0]) == self.quota;
        if nothing_moves || tied.len() == 1 {
            return Ok(tied[0]);
        }
        let tied = narrow_by_history(&self.history, round, tied, purpose, ties);
        if let [only] = tied[..] {
            return Ok(only);
        }
        let chosen = ties.choose(round, purpose, &tied, 1);
        chosen.and_then(|chosen| chosen.first().copied()).ok_or(tied)
    }

    /// Rules 48 and 50: transfers the papers, at a reduced value where they are those of a surplus.
    fn transfer(&mut self, from: OptionIndex, step: Step) {
        let votes = self.votes(from);
        let surplus = matches!(step, Step::Surplus(_)).then_some(votes - self.quota);
        let mut moved = Moved::default();
        if surplus != Some(0) {
            for index in std::mem::take(&mut self.piles[usize::from(from)]) {
                self.move_paper(index, surplus, votes, &mut moved);
            }
        }
        let transferred: i128 = moved.values().sum();
        let leaving = surplus.unwrap_or(votes);
        let residual = leaving - transferred;
        self.residual += residual;
        self.nontransferable += moved.get(&Destination::Inactive).copied().unwrap_or(0);
        self.tally[usize::from(from)] -= leaving;
        moved.insert(Destination::Residual, residual);
        let mut moved: Vec<_> = moved.into_iter().filter(|(_, votes)| *votes > 0).collect();
        moved.sort_unstable();
        self.this_round().transfers =
            moved.into_iter().map(|(to, votes)| Transfer { from, to, votes: figure(votes) }).collect();
    }

    /// Moves one paper to the next available preference of each of its ballots.
    fn move_paper(&mut self, index: u32, surplus: Option<i128>, votes: i128, moved: &mut Moved) {
        if let Some(surplus) = surplus {
            let paper = self.papers.get_mut(index);
            paper.value = transfer_value(surplus, paper.value, votes);
        }
        match self.next_preference(index) {
            Preference::Apart => {
                for index in self.papers.take_apart(index) {
                    let next = self.next_preference(index);
                    self.put(index, &next, moved);
                }
            }
            next => self.put(index, &next, moved),
        }
    }

    fn put(&mut self, index: u32, next: &Preference, moved: &mut Moved) {
        let paper = self.papers.get_mut(index);
        let moving = paper.votes();
        let destination = match *next {
            Preference::Next(option, place) => {
                paper.place = place;
                self.tally[usize::from(option)] += moving;
                self.piles[usize::from(option)].push(index);
                Destination::Option(option)
            }
            Preference::Apart | Preference::End => Destination::Inactive,
        };
        *moved.entry(destination).or_insert(0) += moving;
    }

    /// The next continuing candidate on a paper. Preferences end where a rank is not a single option: from there on the
    /// paper is non-transferable. A candidate who is named again is not continuing, so that changes nothing.
    fn next_preference(&self, index: u32) -> Preference {
        let paper = self.papers.get(index);
        let mut place = paper.place;
        loop {
            match paper.at(place) {
                Next::Apart => return Preference::Apart,
                Next::Rank(PackedRank::One([option]), next) => {
                    if self.state(*option) == State::Continuing {
                        return Preference::Next(*option, next);
                    }
                    place = next;
                }
                Next::Rank(..) | Next::End => return Preference::End,
            }
        }
    }

    fn state(&self, option: OptionIndex) -> State {
        self.states[usize::from(option)]
    }

    fn votes(&self, option: OptionIndex) -> i128 {
        self.tally[usize::from(option)]
    }

    fn in_state(&self, wanted: State) -> Vec<OptionIndex> {
        (0..).zip(&self.states).filter(|(_, state)| **state == wanted).map(|(option, _)| option).collect()
    }
}

/// Rule 48(3): the surplus times the value of the paper when received, divided by the votes, to five places, any
/// remainder ignored.
fn transfer_value(surplus: i128, value: u64, votes: i128) -> u64 {
    let quotient = multiply_divide(surplus.unsigned_abs(), u128::from(value), votes.unsigned_abs());
    quotient.and_then(|(value, _)| u64::try_from(value).ok()).unwrap_or(0)
}

fn figure(votes: i128) -> Figure {
    Figure::fraction(votes, VOTE.unsigned_abs()).with_places(PLACES)
}
