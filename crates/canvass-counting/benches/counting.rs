//! How long counts take: `cargo bench -p canvass-counting`. Prints the median and the fastest of several runs.
//!
//! The ballot boxes are made from a fixed seed, so that runs can be compared. They have no structure that would make
//! ballots alike, which is harder than a real election of the size.

use std::time::Duration;

use canvass_counting::{
    Ballot, IrvRules, Method, MinimaxMeasure, OptionIndex, PairStrength, Profile, Rank, TieBreak, Total,
    Weight, WigmRules, count,
};

fn main() {
    let city = ballot_box(254_016, 13, 5);
    let ward = ballot_box(10_000, 11, 11);
    let poll = ballot_box(1_000_000, 10, 10);
    let distinct = full_rankings(1_000_000, 10);
    let hostile = ballot_box(500, 500, 500);
    let irv = Method::Irv(IrvRules::default());
    measure("IRV, 254,016 ballots, 13 options, 5 ranks", &city, &irv, 1);
    measure("Scottish STV, 10,000 ballots, 11 options", &ward, &Method::StvScottish, 4);
    measure("Meek STV, 10,000 ballots, 11 options", &ward, &Method::StvMeek, 4);
    measure("WIGM STV, 10,000 ballots, 11 options", &ward, &Method::StvWigm(WigmRules::default()), 4);
    measure("Schulze, 10,000 ballots, 11 options", &ward, &Method::Schulze, 1);
    measure("IRV, 1,000,000 ballots, 10 options", &poll, &irv, 1);
    measure("IRV, 1,000,000 ballots that rank 10 options each", &distinct, &irv, 1);
    measure("Scottish STV, 1,000,000 ballots, 10 options", &poll, &Method::StvScottish, 4);
    for method in [
        irv,
        Method::StvScottish,
        Method::StvMeek,
        Method::Schulze,
        Method::RankedPairs(PairStrength::Margins),
        Method::Minimax(MinimaxMeasure::Margins),
    ] {
        measure(&format!("{}, 500 ballots of 500 ranks, 500 options", method.name()), &hostile, &method, 10);
    }
}

/// Ballots that rank up to so many options; options with a low number are liked more.
fn ballot_box(ballots: usize, options: OptionIndex, ranks_max: usize) -> Profile {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut profile = Profile::new(usize::from(options));
    for _ in 0..ballots {
        let mut left: Vec<OptionIndex> = (0..options).collect();
        let length = usize::try_from(next(ranks_max as u64)).expect("a length fits") + 1;
        let ranks = (0..length).map(|_| {
            let size = left.len() as u64;
            let place = next(size).min(next(size));
            Rank::One(left.remove(usize::try_from(place).expect("a place fits")))
        });
        profile.add_total(&Ballot::Ranking(ranks.collect()), Total::from_votes(1));
    }
    profile
}

/// Ballots that rank all options in a random order: hardly two are alike.
fn full_rankings(ballots: usize, options: OptionIndex) -> Profile {
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut profile = Profile::new(usize::from(options));
    for _ in 0..ballots {
        let mut order: Vec<OptionIndex> = (0..options).collect();
        for place in (1..order.len()).rev() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let other = usize::try_from(state % (place as u64 + 1)).expect("a place fits");
            order.swap(place, other);
        }
        profile.add(&Ballot::Ranking(order.into_iter().map(Rank::One).collect()), Weight::ONE);
    }
    profile
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn measure(name: &str, profile: &Profile, method: &Method, seats: usize) {
    let tie_break = TieBreak::Lot { seed: name.to_owned() };
    let mut times: Vec<Duration> = (0..9)
        .map(|_| {
            let start = std::time::Instant::now();
            let count = count(profile, method, seats, &tie_break);
            assert!(!count.winners.is_empty());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("{name}: {:.2?} median, {:.2?} fastest, {} distinct ballots", times[4], times[0], profile.len());
}
