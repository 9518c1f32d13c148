//! What holds for every count, tried on random and on hostile profiles.

use canvass_counting::{
    Ballot, BordaPoints, Count, Figure, IrvRules, Method, MinimaxMeasure, OptionIndex, OvervoteRule,
    PairStrength, Profile, Rank, RankingRules, RepeatedRankingRule, ScoreAggregate, TieBreak, Total,
    WEIGHT_UNIT, Weight, WigmRules, WinnerMode, count,
};
use proptest::{collection::vec, prelude::*, sample::select};

/// A profile before it is one: its options, and its ballots with their weights in millionths.
#[derive(Clone, Debug)]
struct BallotBox {
    option_count: OptionIndex,
    ballots: Vec<(Ballot, u128)>,
}

impl BallotBox {
    fn profile(&self) -> Profile {
        let mut profile = Profile::new(usize::from(self.option_count));
        for (ballot, weight) in &self.ballots {
            profile.add_total(ballot, Total::from_millionths(*weight));
        }
        profile
    }

    fn count(&self, method: &Method, seats: usize) -> Count {
        count(&self.profile(), method, seats, &TieBreak::Report)
    }

    /// The same ballots in another order, each cast in two parts.
    fn split_and_reversed(&self) -> Self {
        let parts = |(ballot, weight): &(Ballot, u128)| {
            [(ballot.clone(), weight / 3), (ballot.clone(), weight - weight / 3)]
        };
        let ballots = self.ballots.iter().rev().flat_map(parts).collect();
        Self { ballots, ..self.clone() }
    }

    /// The same ballots with the options named from the last to the first.
    fn renamed(&self) -> Self {
        let rename = |option: OptionIndex| self.option_count - 1 - option;
        let ballots =
            self.ballots.iter().map(|(ballot, weight)| (map_options(ballot, rename), *weight)).collect();
        Self { ballots, ..self.clone() }
    }
}

fn map_options(ballot: &Ballot, rename: impl Fn(OptionIndex) -> OptionIndex) -> Ballot {
    let all = |options: &[OptionIndex]| {
        let mut renamed: Vec<_> = options.iter().map(|&option| rename(option)).collect();
        renamed.sort_unstable();
        renamed
    };
    let marks = |marks: &[(OptionIndex, i32)]| {
        let mut renamed: Vec<_> = marks.iter().map(|&(option, mark)| (rename(option), mark)).collect();
        renamed.sort_unstable();
        renamed
    };
    match ballot {
        Ballot::Choices(options) => Ballot::Choices(all(options)),
        Ballot::Ranking(ranks) => Ballot::Ranking(
            ranks
                .iter()
                .map(|rank| match rank {
                    Rank::One(option) => Rank::One(rename(*option)),
                    Rank::Equal(options) => Rank::Equal(all(options)),
                    Rank::Skipped => Rank::Skipped,
                    Rank::Overvote => Rank::Overvote,
                })
                .collect(),
        ),
        Ballot::Scores(given) => Ballot::Scores(marks(given)),
        Ballot::Allocation(given) => Ballot::Allocation(marks(given)),
    }
}

fn methods() -> Vec<Method> {
    let strict = RankingRules {
        overvote: OvervoteRule::ExhaustImmediately,
        skipped_ranks_max: Some(1),
        repeated_ranking: RepeatedRankingRule::Exhaust,
        ties_by_earlier_rounds: true,
        ..RankingRules::default()
    };
    let lenient = RankingRules {
        overvote: OvervoteRule::AlwaysSkipToNext,
        votes_min: Total::from_votes(2),
        ..RankingRules::default()
    };
    let one_by_one = WigmRules {
        winners: WinnerMode::OnePerRound,
        fractional_quota: true,
        decimals: 9,
        ..WigmRules::default()
    };
    vec![
        Method::Plurality,
        Method::Approval,
        Method::Score(ScoreAggregate::Sum),
        Method::Score(ScoreAggregate::Mean { raters_min: 2 }),
        Method::Star { score_max: 5 },
        Method::Irv(IrvRules::default()),
        Method::Irv(IrvRules {
            ranking: strict.clone(),
            first_round_sets_threshold: true,
            ..IrvRules::default()
        }),
        Method::Irv(IrvRules { ranking: lenient, batch_elimination: true, ..IrvRules::default() }),
        Method::Irv(IrvRules { batch_elimination: true, continue_until_two: true, ..IrvRules::default() }),
        Method::StvScottish,
        Method::StvMeek,
        Method::StvWigm(WigmRules::default()),
        Method::StvWigm(one_by_one),
        Method::StvWigm(WigmRules { ranking: strict, hare_quota: true, ..WigmRules::default() }),
        Method::StvWigm(WigmRules { winners: WinnerMode::BottomsUp, ..WigmRules::default() }),
        Method::Schulze,
        Method::RankedPairs(PairStrength::Margins),
        Method::RankedPairs(PairStrength::WinningVotes),
        Method::Minimax(MinimaxMeasure::Margins),
        Method::Minimax(MinimaxMeasure::WinningVotes),
        Method::Minimax(MinimaxMeasure::Opposition),
        Method::Borda(BordaPoints::UnrankedShareAverage),
        Method::Borda(BordaPoints::UnrankedZero),
        Method::Borda(BordaPoints::UnrankedZeroTopIsCount),
        Method::Borda(BordaPoints::BallotLength),
        Method::Dot { dots: 5, per_option_max: Some(3) },
        Method::Quadratic { credits: 16, negative_votes: true },
    ]
}

fn rank(option_count: OptionIndex) -> impl Strategy<Value = Rank> {
    let one = 0..option_count;
    prop_oneof![
        8 => one.clone().prop_map(Rank::One),
        1 => vec(one, 2..4).prop_map(|mut options| {
            options.sort_unstable();
            options.dedup();
            if options.len() == 1 { Rank::One(options[0]) } else { Rank::Equal(options) }
        }),
        1 => Just(Rank::Skipped),
        1 => Just(Rank::Overvote),
    ]
}

fn ballot(option_count: OptionIndex) -> impl Strategy<Value = Ballot> {
    let marks = vec(prop::option::weighted(0.7, -2..7i32), usize::from(option_count)).prop_map(|marks| {
        (0..).zip(marks).filter_map(|(option, mark)| Some((option, mark?))).collect::<Vec<_>>()
    });
    prop_oneof![
        4 => vec(rank(option_count), 0..7).prop_map(Ballot::Ranking),
        1 => vec(any::<bool>(), usize::from(option_count)).prop_map(|chosen| {
            Ballot::Choices((0..).zip(chosen).filter_map(|(option, chosen)| chosen.then_some(option)).collect())
        }),
        1 => marks.clone().prop_map(Ballot::Scores),
        1 => marks.prop_map(|marks| Ballot::Allocation(marks.into_iter().filter(|mark| mark.1 != 0).collect())),
    ]
}

/// Whole votes mostly, fractions sometimes.
fn ballot_box() -> impl Strategy<Value = BallotBox> {
    (1..7 as OptionIndex).prop_flat_map(|option_count| {
        let weight = prop_oneof![
            4 => (1..20u128).prop_map(|votes| votes * u128::from(WEIGHT_UNIT)),
            1 => 1..5_000_000u128,
        ];
        let ballots = vec((ballot(option_count), weight), 0..25);
        ballots.prop_map(move |ballots| BallotBox { option_count, ballots })
    })
}

/// Only ranked ballots without equal or missing ranks.
fn plain_rankings() -> impl Strategy<Value = BallotBox> {
    (2..6 as OptionIndex).prop_flat_map(|option_count| {
        let order = Just((0..option_count).collect::<Vec<_>>()).prop_shuffle();
        let ballot = order.prop_map(|order| Ballot::Ranking(order.into_iter().map(Rank::One).collect()));
        let ballots = vec((ballot, (1..20u128).prop_map(|votes| votes * u128::from(WEIGHT_UNIT))), 1..12);
        ballots.prop_map(move |ballots| BallotBox { option_count, ballots })
    })
}

/// What the votes of a round add up to, wherever they are, in units small enough for every rule here.
fn sum(figures: impl Iterator<Item = Figure>) -> i128 {
    let unit = 10i128.pow(15);
    figures
        .map(|figure| {
            let (numerator, denominator) = figure.as_fraction();
            numerator * (unit / i128::try_from(denominator).expect("no tally has more than fifteen places"))
        })
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_and_splitting_of_ballots_change_nothing(
        ballots in ballot_box(), method in select(methods()), seats in 0..5usize,
    ) {
        prop_assert_eq!(ballots.count(&method, seats), ballots.split_and_reversed().count(&method, seats));
    }

    #[test]
    fn renaming_options_renames_the_outcome(
        ballots in ballot_box(), method in select(methods()), seats in 0..5usize,
    ) {
        let (count, renamed) = (ballots.count(&method, seats), ballots.renamed().count(&method, seats));
        let sorted = |options: &[OptionIndex]| {
            let mut options: Vec<_> = options.iter().map(|option| ballots.option_count - 1 - option).collect();
            options.sort_unstable();
            options
        };
        let mut winners = renamed.winners.clone();
        winners.sort_unstable();
        prop_assert_eq!(sorted(&count.winners), winners);
        prop_assert_eq!(sorted(&count.tied), renamed.tied);
        prop_assert_eq!(count.rounds.len(), renamed.rounds.len());
    }

    #[test]
    fn votes_are_conserved_in_each_round(
        ballots in ballot_box(), method in select(methods()), seats in 0..5usize,
    ) {
        let count = ballots.count(&method, seats);
        let cast = count.ballots;
        prop_assert_eq!(
            sum([cast.counted, cast.blank, cast.rejected].into_iter()),
            sum([cast.cast].into_iter())
        );
        let has_single_votes = matches!(
            method,
            Method::Plurality | Method::Irv(_) | Method::StvScottish | Method::StvMeek | Method::StvWigm(_)
        );
        for round in count.rounds.iter().filter(|_| has_single_votes) {
            let inactive = round.inactive;
            let elsewhere = [
                inactive.exhausted_choices,
                inactive.overvotes,
                inactive.repeated_rankings,
                inactive.skipped_rankings,
                inactive.final_surplus,
                inactive.residual,
            ];
            let all = round.tally.iter().map(|(_, votes)| *votes).chain(elsewhere);
            prop_assert_eq!(sum(all), sum([cast.counted].into_iter()), "{:?}", round);
        }
    }

    #[test]
    fn seats_are_filled_or_tied_but_never_overfilled(
        ballots in ballot_box(), method in select(methods()), seats in 0..5usize, seed in "[a-z]{3}",
    ) {
        let open = ballots.count(&method, seats);
        let settled = count(&ballots.profile(), &method, seats, &TieBreak::Lot { seed });
        for count in [&open, &settled] {
            let mut winners = count.winners.clone();
            winners.sort_unstable();
            winners.dedup();
            prop_assert_eq!(winners.len(), count.winners.len());
            prop_assert!(winners.len() <= seats);
        }
        prop_assert!(settled.tied.is_empty());
        prop_assert!(open.tied.is_empty() || open.winners.len() < seats);
        if open.tied.is_empty() {
            prop_assert_eq!(open.winners, settled.winners);
        }
    }

    #[test]
    fn a_condorcet_winner_is_elected(ballots in plain_rankings()) {
        for method in methods().into_iter().filter(|method| {
            matches!(method, Method::Schulze | Method::RankedPairs(_) | Method::Minimax(_))
        }) {
            let count = ballots.count(&method, 1);
            let comparison = count.comparison.clone().expect("there are votes");
            if let Some(winner) = comparison.condorcet_winner {
                prop_assert_eq!(&count.winners, &[winner]);
                prop_assert_eq!(&comparison.smith_set, &[winner]);
            }
            let in_smith_set = |option: &OptionIndex| comparison.smith_set.contains(option);
            if !matches!(method, Method::Minimax(_)) {
                prop_assert!(count.winners.iter().chain(&count.tied).all(in_smith_set));
            }
        }
    }
}

#[test]
fn without_a_valid_vote_nobody_is_elected() {
    let blank = [
        Ballot::Choices(Vec::new()),
        Ballot::Ranking(Vec::new()),
        Ballot::Ranking(vec![Rank::Skipped; 1_000]),
        Ballot::Scores(Vec::new()),
        Ballot::Allocation(Vec::new()),
    ];
    let unknown =
        [Ballot::Choices(vec![9]), Ballot::Ranking(vec![Rank::One(9)]), Ballot::Scores(vec![(9, 1)])];
    let million = |ballots: &[Ballot]| ballots.iter().map(|ballot| (ballot.clone(), 1_000_000)).collect();
    for ballots in [Vec::new(), million(&blank), million(&unknown)] {
        for method in methods() {
            for option_count in [0, 1, 3] {
                let count = BallotBox { option_count, ballots: ballots.clone() }.count(&method, 2);
                assert!(count.winners.is_empty() && count.tied.is_empty(), "{method:?}: {count:?}");
                assert!(count.rounds.is_empty(), "{method:?}: {count:?}");
            }
        }
    }
}

/// 500 options, 1,000 ranks, the heaviest profile, everything tied.
#[test]
fn hostile_profiles_are_counted() {
    let option_count = 500;
    let shifted = |start: OptionIndex, length: OptionIndex| {
        Ballot::Ranking((0..length).map(|place| Rank::One((start + place) % option_count)).collect())
    };
    let huge = u128::MAX;
    let cases: [Vec<(Ballot, u128)>; 4] = [
        (0..40).map(|start| (shifted(start * 12, option_count), 1_000_000)).collect(),
        (0..10).map(|start| (shifted(start * 50, 1_000), u128::from(start) + 1)).collect(),
        vec![
            (shifted(3, 2), huge),
            (shifted(2, 2), huge),
            (Ballot::Scores(vec![(1, i32::MAX), (2, i32::MIN)]), huge),
        ],
        vec![(Ballot::Ranking(vec![Rank::Equal((0..option_count).collect()), Rank::Overvote]), 1)],
    ];
    for ballots in cases {
        let ballots = BallotBox { option_count, ballots };
        for method in methods() {
            let count = count(&ballots.profile(), &method, 10, &TieBreak::Lot { seed: "x".to_owned() });
            assert!(count.winners.len() <= 10);
            assert!(!count.report(&[]).to_string().is_empty());
        }
    }
}

proptest! {
    /// Ballots that agree in their first ranks are counted together. A rule that looks at each by itself must come to
    /// the same, and ballots that were taken away again must leave nothing.
    #[test]
    fn counting_ballots_together_changes_nothing(
        orders in vec(Just((0..8).collect::<Vec<OptionIndex>>()).prop_shuffle(), 1..200),
        lengths in vec(0usize..=8, 200),
        gone in 0usize..200,
    ) {
        let ballot = |(order, length): (&Vec<OptionIndex>, &usize)| {
            // Half of the ballots begin alike, so that several share more than their first ranks.
            let mut order = order.clone();
            if length % 2 == 0 {
                order.sort_by_key(|option| if *option < 4 { *option } else { 4 });
            }
            Ballot::Ranking(order.into_iter().take(*length).map(Rank::One).collect())
        };
        let ballots: Vec<_> = orders.iter().zip(&lengths).map(ballot).collect();
        let mut profile = Profile::new(8);
        ballots.iter().for_each(|ballot| profile.add(ballot, Weight::ONE));
        ballots.iter().take(gone).for_each(|ballot| profile.remove(ballot, Weight::ONE));
        let mut fresh = Profile::new(8);
        ballots.iter().skip(gone).for_each(|ballot| fresh.add(ballot, Weight::ONE));
        prop_assert_eq!(&profile, &fresh);
        let alone = RankingRules { repeated_ranking: RepeatedRankingRule::Exhaust, ..RankingRules::default() };
        let rules = [RankingRules::default(), alone];
        for (seats, decimals) in [(1, 0), (3, 4)] {
            let method = |ranking: &RankingRules| match seats {
                1 => Method::Irv(IrvRules { ranking: ranking.clone(), ..IrvRules::default() }),
                _ => Method::StvWigm(WigmRules { ranking: ranking.clone(), decimals, ..WigmRules::default() }),
            };
            let counts = rules.each_ref().map(|rules| {
                let count = count(&profile.clone(), &method(rules), seats, &TieBreak::Order(vec![]));
                (count.winners, count.rounds, count.ballots)
            });
            prop_assert_eq!(&counts[0], &counts[1]);
        }
        let scottish = |profile| count(profile, &Method::StvScottish, 3, &TieBreak::Order(vec![])).rounds;
        prop_assert_eq!(scottish(&profile), scottish(&fresh));
    }
}

proptest! {
    /// A count of a copy goes on from the count of the copy before. It must come to what a count of the same ballots
    /// from nothing does, whoever is eliminated in which round.
    #[test]
    fn a_count_that_goes_on_is_a_whole_count(
        cast in vec(ballot(6), 100..250),
        then in vec(vec((any::<bool>(), ballot(6)), 0..6), 1..6),
        half in prop::option::weighted(0.1, 0..6usize),
        irv in select(methods().into_iter().filter(|one| matches!(one, Method::Irv(_))).collect::<Vec<_>>()),
        seats in prop_oneof![8 => Just(1usize), 1 => Just(0)],
    ) {
        let mut profile = Profile::new(6);
        cast.iter().for_each(|ballot| profile.add(ballot, Weight::ONE));
        let mut copy = profile.clone();
        let mut gone = cast.iter();
        for (number, changes) in then.iter().enumerate() {
            let tie_break = TieBreak::Lot { seed: number.to_string() };
            let goes_on = count(&copy, &irv, seats, &tie_break);
            prop_assert_eq!(goes_on, count(&copy.clone(), &irv, seats, &tie_break));
            for (is_gone, ballot) in changes {
                match gone.next().filter(|_| *is_gone) {
                    Some(ballot) => profile.remove(ballot, Weight::ONE),
                    None => profile.add(ballot, Weight::ONE),
                }
            }
            if half == Some(number) {
                profile.add_total(&cast[0], Total::from_millionths(500_000));
            }
            copy.clone_from(&profile);
        }
        let tie_break = TieBreak::Order(Vec::new());
        prop_assert_eq!(count(&copy, &irv, seats, &tie_break), count(&profile.clone(), &irv, seats, &tie_break));
    }
}

/// What is done to a profile, and to copies of it.
#[derive(Clone, Debug)]
enum Act {
    Add(Ballot),
    /// Takes away the last ballot that was added and is still there.
    Remove,
    /// Copies over the copy that is there.
    Copy,
    /// Adds to the copy, which is one of another profile from then on.
    AddToCopy(Ballot),
    /// Copies back, so that the copy's ballots are the profile's.
    CopyBack,
    /// Copies another profile over the copy: one of the same ballots, in another order.
    CopyOther,
}

/// A ballot for one of two options, or one that ranks these after five others: they are all that is left in the end,
/// when ballots that begin alike go different ways.
fn alike() -> impl Strategy<Value = Ballot> {
    let ranking = |order: Vec<OptionIndex>| Ballot::Ranking(order.into_iter().map(Rank::One).collect());
    let long = (0..5usize, any::<bool>()).prop_map(move |(turned, is_turned)| {
        let mut order = vec![2, 3, 4, 5, 6];
        order.rotate_left(turned);
        order.extend(if is_turned { [1, 0] } else { [0, 1] });
        ranking(order)
    });
    prop_oneof![2 => (0..2u16).prop_map(move |option| ranking(vec![option])), 1 => long]
}

fn act(ballot: BoxedStrategy<Ballot>) -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => ballot.clone().prop_map(Act::Add),
        2 => Just(Act::Remove),
        3 => Just(Act::Copy),
        1 => ballot.prop_map(Act::AddToCopy),
        1 => Just(Act::CopyBack),
        1 => Just(Act::CopyOther),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_copy_over_any_other_is_as_the_profile(
        acts in prop_oneof![vec(act(ballot(7).boxed()), 1..60), vec(act(alike().boxed()), 1..90)],
    ) {
        // Where ties are only reported, those of options without votes end a count before it has begun.
        let lot = TieBreak::Lot { seed: "x".to_owned() };
        let (mut profile, mut added) = (Profile::new(7), Vec::new());
        let (mut copy, mut added_to_copy) = (Profile::new(7), Vec::new());
        for act in acts {
            match act {
                Act::Add(ballot) => {
                    profile.add(&ballot, Weight::ONE);
                    added.push(ballot);
                }
                Act::Remove => {
                    if let Some(ballot) = added.pop() {
                        profile.remove(&ballot, Weight::ONE);
                    }
                }
                Act::Copy => {
                    copy.clone_from(&profile);
                    added_to_copy.clone_from(&added);
                }
                Act::AddToCopy(ballot) => {
                    copy.add(&ballot, Weight::ONE);
                    added_to_copy.push(ballot);
                }
                Act::CopyBack => {
                    profile.clone_from(&copy);
                    added.clone_from(&added_to_copy);
                }
                Act::CopyOther => {
                    added_to_copy = added.iter().rev().cloned().collect();
                    let mut other = Profile::new(7);
                    added_to_copy.iter().for_each(|ballot| other.add(ballot, Weight::ONE));
                    copy.clone_from(&other);
                }
            }
            for (profile, ballots) in [(&profile, &added), (&copy, &added_to_copy)] {
                let mut expected = Profile::new(7);
                ballots.iter().for_each(|ballot| expected.add(ballot, Weight::ONE));
                prop_assert_eq!(profile.sorted(), expected.sorted());
                let count = |profile: &Profile| {
                    count(profile, &Method::Irv(IrvRules::default()), 1, &lot)
                };
                prop_assert_eq!(count(profile), count(&expected));
            }
        }
    }
}
