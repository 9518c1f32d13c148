//! STAR's official tie-breaks, each deciding where the next would decide otherwise.

use canvass_counting::{Ballot, Method, Profile, TieBreak, Total, count};

/// Counts ballots of one score an option, and compares `winners | round: tied -> chosen by rule; …`.
#[track_caller]
fn check(ballots: &[(u64, &[i32])], expected: &str) {
    let mut profile = Profile::new(ballots[0].1.len());
    for (votes, scores) in ballots {
        profile.add_total(
            &Ballot::Scores((0..).zip(scores.iter().copied()).collect()),
            Total::from_votes(*votes),
        );
    }
    let count = count(&profile, &Method::Star { score_max: 5 }, 1, &TieBreak::Report);
    let ties: Vec<_> = count
        .ties
        .iter()
        .map(|tie| format!("{}: {:?} -> {:?} by {:?}", tie.round, tie.tied, tie.chosen, tie.by))
        .collect();
    assert_eq!(format!("{:?} | {}", count.winners, ties.join("; ")), expected);
}

#[test]
fn a_tie_for_the_runoff_is_broken_by_pairs_and_then_by_top_scores() {
    check(&[(3, &[5, 2, 1]), (1, &[5, 2, 5])], "[0] | 1: [1, 2] -> [1] by HeadToHead");
    check(&[(1, &[5, 5, 2]), (1, &[5, 1, 4])], "[0] | 1: [1, 2] -> [1] by TopScores");
    check(&[(1, &[5, 3, 3])], "[] | 1: [1, 2] -> [] by Open");
}

#[test]
fn a_tie_in_the_runoff_is_broken_by_score_and_then_by_top_scores() {
    check(&[(1, &[4, 0]), (1, &[4, 5])], "[0] | 2: [0, 1] -> [0] by Score");
    check(&[(1, &[5, 2]), (1, &[1, 4])], "[0] | 2: [0, 1] -> [0] by TopScores");
    check(&[(1, &[4, 2]), (1, &[2, 4])], "[] | 2: [0, 1] -> [] by Open");
}
