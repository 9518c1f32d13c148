//! Score and STAR: scores are added up, and for STAR the two best meet in a runoff on the same ballots.

use crate::{
    Count, ElectedBecause, Figure, OptionIndex, Pairwise, Round, Score, ScoreAggregate, Step, TiePurpose,
    TieRule, Total,
    election::{Election, elect, highest},
    intake::{self, Reading},
    method::Task,
    packed::{Marks, PackedBallot},
    tie_break::Ties,
};

/// Adds up numbers that ballots give to options: for each option the sum, and the weight of the ballots that mark it.
/// Both in millionths.
pub(crate) fn sum_marks(option_count: usize, votes: &[(Marks<'_>, i128)]) -> Vec<(i128, i128)> {
    let mut sums = vec![(0i128, 0i128); option_count];
    for &(marks, weight) in votes {
        for (option, mark) in marks.iter() {
            let (sum, raters) = &mut sums[usize::from(option)];
            *sum += weight * i128::from(mark);
            *raters += weight;
        }
    }
    sums
}

/// Counts scores by their sum or their mean.
pub(crate) fn count_score(task: &Task<'_>, aggregate: ScoreAggregate) -> Count {
    let (ballots, votes) = intake::read(task.profile, |ballot| match ballot {
        PackedBallot::Scores(marks) if marks.is_empty() => Reading::Blank,
        PackedBallot::Scores(marks) if marks.are_distinct() => Reading::Vote(marks),
        _ => Reading::Rejected,
    });
    let mut count = Count::new(task, ballots);
    let sums = sum_marks(count.option_count, &votes);
    let scores: Vec<Score> = sums
        .iter()
        .map(|&(sum, raters)| Score {
            total: Figure::millionths(sum),
            raters: Figure::millionths(raters),
            mean: (raters > 0).then(|| Figure::fraction(sum, raters.unsigned_abs())),
        })
        .collect();
    let mut ties = Ties::new(task.tie_break);
    let keys = (0..).zip(&scores).filter_map(|(option, score)| Some((option, key(aggregate, score)?)));
    let election = elect(keys, task.seats, 1, &mut ties);
    count.scores = Some(scores);
    count.close(election, ties)
}

/// What an option is ordered by; nothing where it cannot be elected.
fn key(aggregate: ScoreAggregate, score: &Score) -> Option<Figure> {
    let mean = score.mean?;
    match aggregate {
        ScoreAggregate::Sum => Some(score.total),
        ScoreAggregate::Mean { raters_min } => {
            (score.raters >= Figure::from(Total::from_votes(raters_min))).then_some(mean)
        }
    }
}

/// The numbers that STAR decides by, all by option and in millionths.
struct Standing {
    scores: Vec<i128>,
    top_scores: Vec<i128>,
    pairwise: Pairwise,
}

/// Counts by score, then automatic runoff.
///
/// The tie-breaks are those of STAR Voting: for the finalists, head-to-head preferences among the tied and then the
/// number of top scores; in the runoff, the score and then the number of top scores.
pub(crate) fn count_star(task: &Task<'_>, score_max: i32) -> Count {
    let (ballots, votes) = intake::read(task.profile, |ballot| match ballot {
        PackedBallot::Scores(marks) if marks.is_empty() => Reading::Blank,
        PackedBallot::Scores(marks)
            if marks.are_distinct() && marks.iter().all(|(_, score)| (0..=score_max).contains(&score)) =>
        {
            Reading::Vote(marks)
        }
        _ => Reading::Rejected,
    });
    let mut count = Count::new(task, ballots);
    let sums = sum_marks(count.option_count, &votes);
    count.scores = Some(
        sums.iter()
            .map(|&(sum, raters)| Score {
                total: Figure::millionths(sum),
                raters: Figure::millionths(raters),
                mean: None,
            })
            .collect(),
    );
    let standing = Standing {
        scores: sums.iter().map(|&(sum, _)| sum).collect(),
        top_scores: count_top_scores(count.option_count, score_max, &votes),
        pairwise: Pairwise::from_orders(
            count.option_count,
            votes.iter().map(|&(marks, weight)| (order_by_score(marks), weight)),
        ),
    };
    let mut ties = Ties::new(task.tie_break);
    if !count.is_contested() {
        count.pairwise = Some(standing.pairwise);
        return count;
    }
    let election = decide_star(&standing, &mut count.rounds, &mut ties);
    count.pairwise = Some(standing.pairwise);
    count.close(election, ties)
}

/// How much weight gave each option the highest score.
fn count_top_scores(option_count: usize, score_max: i32, votes: &[(Marks<'_>, i128)]) -> Vec<i128> {
    let mut counts = vec![0; option_count];
    for &(marks, weight) in votes {
        for (option, _) in marks.iter().filter(|&(_, score)| score == score_max) {
            counts[usize::from(option)] += weight;
        }
    }
    counts
}

/// A ballot's order of preference. Zero is the same as blank in STAR, so both are unranked.
fn order_by_score(marks: Marks<'_>) -> Vec<Vec<OptionIndex>> {
    let mut scored: Vec<_> = marks.iter().filter(|&(_, score)| score > 0).collect();
    scored.sort_by_key(|&(option, score)| (-score, option));
    scored
        .chunk_by(|a, b| a.1 == b.1)
        .map(|group| group.iter().map(|&(option, _)| option).collect())
        .collect()
}

fn decide_star(standing: &Standing, rounds: &mut Vec<Round>, ties: &mut Ties<'_>) -> Election {
    let options = 0..;
    let tally =
        options.zip(&standing.scores).map(|(option, &score)| (option, Figure::millionths(score))).collect();
    let mut scoring = Round::new(Step::FirstCount, tally);
    let finalists = match choose_finalists(standing, ties) {
        Ok(finalists) => finalists,
        Err(tied) => {
            rounds.push(scoring);
            return Election { elected: Vec::new(), tied };
        }
    };
    let [first, second] = finalists[..] else {
        scoring.elect(&finalists, ElectedBecause::SeatsLeft);
        rounds.push(scoring);
        return Election { elected: finalists, tied: Vec::new() };
    };
    scoring.elect(&finalists, ElectedBecause::Finalist);
    rounds.push(scoring);
    let preferences = |a, b| standing.pairwise.millionths(a, b);
    let mut pair = [(first, preferences(first, second)), (second, preferences(second, first))];
    pair.sort_unstable();
    let mut runoff = Round::new(
        Step::Runoff,
        pair.iter().map(|&(option, votes)| (option, Figure::millionths(votes))).collect(),
    );
    let election = decide_runoff(standing, pair, ties);
    runoff.elect(&election.elected, ElectedBecause::Most);
    rounds.push(runoff);
    election
}

/// The two finalists, best first, or one where there is only one option; or those that stay tied for it.
fn choose_finalists(standing: &Standing, ties: &mut Ties<'_>) -> Result<Vec<OptionIndex>, Vec<OptionIndex>> {
    let purpose = TiePurpose::Finalist;
    let scores = (0..).zip(standing.scores.iter().copied());
    let (mut finalists, mut tied) = highest(scores, 2);
    for rule in [TieRule::HeadToHead, TieRule::TopScores] {
        if tied.is_empty() {
            break;
        }
        let key = |option: OptionIndex| match rule {
            TieRule::HeadToHead => {
                tied.iter().map(|&other| standing.pairwise.millionths(option, other)).sum()
            }
            _ => standing.top_scores[usize::from(option)],
        };
        let (chosen, still_tied) =
            highest(tied.iter().map(|&option| (option, key(option))), 2 - finalists.len());
        if still_tied.len() < tied.len() {
            let favoured = [chosen.as_slice(), &still_tied].concat();
            ties.record(1, purpose, &tied, rule, &favoured);
        }
        finalists.extend(chosen);
        tied = still_tied;
    }
    if !tied.is_empty() {
        finalists.extend(ties.choose(1, purpose, &tied, 2 - finalists.len()).ok_or(tied)?);
    }
    Ok(finalists)
}

fn decide_runoff(standing: &Standing, pair: [(OptionIndex, i128); 2], ties: &mut Ties<'_>) -> Election {
    let options = pair.map(|(option, _)| option);
    let (elected, tied) = highest(pair, 1);
    if tied.is_empty() {
        return Election { elected, tied };
    }
    for (rule, keys) in [(TieRule::Score, &standing.scores), (TieRule::TopScores, &standing.top_scores)] {
        let (elected, tied) = highest(options.map(|option| (option, keys[usize::from(option)])), 1);
        if tied.is_empty() {
            ties.record(2, TiePurpose::Election, &options, rule, &elected);
            return Election { elected, tied };
        }
    }
    match ties.choose(2, TiePurpose::Election, &options, 1) {
        Some(elected) => Election { elected, tied: Vec::new() },
        None => Election { elected: Vec::new(), tied: options.to_vec() },
    }
}
