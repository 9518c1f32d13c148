//! Plurality and approval on small ballot boxes, whole answers compared.

use canvass_counting::{Ballot, Method, OptionIndex, Profile, Rank, TieBreak, Total, count};

/// Counts and compares `tally | winners | tied | counted/blank/rejected`.
#[track_caller]
fn check(method: &Method, seats: usize, ballots: &[(Ballot, u64)], expected: &str) {
    let mut profile = Profile::new(3);
    for (ballot, votes) in ballots {
        profile.add_total(ballot, Total::from_votes(*votes));
    }
    let count = count(&profile, method, seats, &TieBreak::Report);
    let tally: Vec<String> =
        count.rounds.iter().flat_map(|round| &round.tally).map(|(_, votes)| votes.to_string()).collect();
    let ballots = count.ballots;
    let answer = format!(
        "{} | {:?} | {:?} | {}/{}/{}",
        tally.join(" "),
        count.winners,
        count.tied,
        ballots.counted,
        ballots.blank,
        ballots.rejected
    );
    assert_eq!(answer, expected);
}

fn choices(options: &[OptionIndex]) -> Ballot {
    Ballot::Choices(options.to_vec())
}

#[test]
fn the_most_votes_win() {
    let votes = [(choices(&[2]), 5), (choices(&[0]), 3), (choices(&[1]), 4)];
    check(&Method::Plurality, 1, &votes, "3 4 5 | [2] | [] | 12/0/0");
    check(&Method::Plurality, 2, &votes, "3 4 5 | [2, 1] | [] | 12/0/0");
    check(&Method::Plurality, 9, &votes, "3 4 5 | [2, 1, 0] | [] | 12/0/0");
    check(&Method::Plurality, 0, &votes, "3 4 5 | [] | [] | 12/0/0");
}

#[test]
fn a_tie_is_a_result() {
    let votes = [(choices(&[2]), 5), (choices(&[0]), 5), (choices(&[1]), 4)];
    check(&Method::Plurality, 1, &votes, "5 4 5 | [] | [0, 2] | 14/0/0");
    check(&Method::Plurality, 2, &votes, "5 4 5 | [0, 2] | [] | 14/0/0");
    let votes = [(choices(&[2]), 5), (choices(&[0]), 4), (choices(&[1]), 4)];
    check(&Method::Plurality, 2, &votes, "4 4 5 | [2] | [0, 1] | 13/0/0");
}

#[test]
fn nobody_is_elected_without_votes() {
    check(&Method::Plurality, 1, &[], " | [] | [] | 0/0/0");
    check(&Method::Plurality, 1, &[(choices(&[]), 7)], " | [] | [] | 0/7/0");
    check(&Method::Plurality, 2, &[(choices(&[1]), 1)], "0 1 0 | [1] | [] | 1/0/0");
}

#[test]
fn what_the_method_does_not_allow_is_rejected() {
    let ranked = |ranks: &[Rank]| Ballot::Ranking(ranks.to_vec());
    let votes = [
        (choices(&[0, 1]), 2),
        (choices(&[3]), 1),
        (Ballot::Scores(vec![(0, 5)]), 1),
        (ranked(&[Rank::One(1), Rank::One(0)]), 10),
        (ranked(&[Rank::Skipped, Rank::One(0)]), 1),
        (ranked(&[Rank::Equal(vec![0, 1])]), 1),
        (ranked(&[Rank::Skipped]), 1),
    ];
    check(&Method::Plurality, 1, &votes, "0 10 0 | [1] | [] | 10/1/6");
}

#[test]
fn every_approval_counts_once() {
    let votes = [(choices(&[0, 2]), 3), (choices(&[1, 2]), 2), (choices(&[0, 0]), 1), (choices(&[]), 4)];
    check(&Method::Approval, 1, &votes, "4 2 5 | [2] | [] | 6/4/0");
    check(&Method::Approval, 2, &votes, "4 2 5 | [2, 0] | [] | 6/4/0");
}
