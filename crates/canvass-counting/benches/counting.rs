//! How long counts take: `cargo bench -p canvass-counting`.
//!
//! The ballot boxes are made from a fixed seed, so that runs can be compared. They have no structure that would make
//! ballots alike, which is harder than a real election of the size.

use canvass_counting::{
    Ballot, IrvRules, Method, MinimaxMeasure, OptionIndex, PairStrength, Profile, Rank, TieBreak, Total,
    Weight, WigmRules, count,
    formats::{Election, Rules},
};
use criterion::{Criterion, criterion_group, criterion_main};

/// Names a folder of election files to count besides, so that other programs can count the same: see `cargo xtask bench`.
const ELECTIONS: &str = "CANVASS_BENCH_ELECTIONS";

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = sizes, hostile, copies, elections
}
criterion_main!(benches);

/// The sizes that are promised, and a live poll's.
fn sizes(criterion: &mut Criterion) {
    let city = ballot_box(254_016, 13, 5);
    let ward = ballot_box(10_000, 11, 11);
    let poll = ballot_box(1_000_000, 10, 10);
    let distinct = full_rankings(1_000_000, 10);
    let irv = Method::Irv(IrvRules::default());
    let wigm = Method::StvWigm(WigmRules::default());
    measure(criterion, "IRV, 254,016 ballots, 13 options, 5 ranks", &city, &irv, 1);
    measure(criterion, "Scottish STV, 10,000 ballots, 11 options", &ward, &Method::StvScottish, 4);
    measure(criterion, "Meek STV, 10,000 ballots, 11 options", &ward, &Method::StvMeek, 4);
    measure(criterion, "WIGM STV, 10,000 ballots, 11 options", &ward, &wigm, 4);
    measure(criterion, "Schulze, 10,000 ballots, 11 options", &ward, &Method::Schulze, 1);
    measure(criterion, "IRV, 1,000,000 ballots, 10 options", &poll, &irv, 1);
    measure(criterion, "Scottish STV, 1,000,000 ballots, 10 options", &poll, &Method::StvScottish, 4);
    measure(criterion, "IRV, 1,000,000 ballots that rank 10 options each", &distinct, &irv, 1);
    measure(
        criterion,
        "Meek STV, 1,000,000 ballots that rank 10 options each",
        &distinct,
        &Method::StvMeek,
        4,
    );
}

/// As many options and ranks as a poll can have.
fn hostile(criterion: &mut Criterion) {
    let profile = ballot_box(500, 500, 500);
    for method in [
        Method::Irv(IrvRules::default()),
        Method::StvScottish,
        Method::StvMeek,
        Method::Schulze,
        Method::RankedPairs(PairStrength::Margins),
        Method::Minimax(MinimaxMeasure::Margins),
    ] {
        let name = format!("{}, 500 ballots of 500 ranks, 500 options", method.name());
        let seats = if method.elects_one() { 1 } else { 10 };
        measure(criterion, &name, &profile, &method, seats);
    }
}

/// What the writer of votes waits for when a live poll is counted.
fn copies(criterion: &mut Criterion) {
    let mut profile = full_rankings(1_000_000, 10);
    let mut fresh = Profile::new(10);
    criterion.bench_function("a copy of 1,000,000 ballots over one of another poll", |bencher| {
        bencher.iter(|| {
            fresh.clone_from(&Profile::new(10));
            fresh.clone_from(&profile);
        });
    });
    let mut copy = profile.clone();
    let ballot = Ballot::Ranking((0..10).map(Rank::One).collect());
    criterion.bench_function("a copy of 1,000,000 ballots over an earlier one", |bencher| {
        bencher.iter(|| {
            profile.add(&ballot, Weight::ONE);
            copy.clone_from(&profile);
        });
    });
}

/// The election files of a folder, where one is named.
#[expect(clippy::disallowed_methods, reason = "a benchmark is told by its environment what to measure")]
fn elections(criterion: &mut Criterion) {
    let Ok(folder) = std::env::var(ELECTIONS) else { return };
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of elections can be read")
        .map(|entry| entry.expect("the folder of elections can be read").path())
        .collect();
    files.sort();
    for file in files {
        let bytes = std::fs::read(&file).expect("an election file can be read");
        let election = Election::read(&bytes).expect("an election file is one");
        let mut rules = Rules::default();
        rules.set("tie_break", "lot".into());
        let instructions = election.instructions(None, &rules).expect("the file's method is known");
        let profile = election.profile(&instructions);
        let name = file.file_stem().expect("a file has a name").to_string_lossy();
        measure(criterion, &name, &profile, &instructions.method, election.seats.unwrap_or(1));
    }
}

fn measure(criterion: &mut Criterion, name: &str, profile: &Profile, method: &Method, seats: usize) {
    let tie_break = TieBreak::Lot { seed: name.to_owned() };
    assert_eq!(count(profile, method, seats, &tie_break).winners.len(), seats, "a seat is not filled");
    criterion.bench_function(name, |bencher| bencher.iter(|| count(profile, method, seats, &tie_break)));
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
