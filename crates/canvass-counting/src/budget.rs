//! Dot and quadratic voting: every ballot has a budget, and one that overspends is rejected whole.

use crate::{
    Count, Figure, Score,
    election::elect,
    intake::{self, Reading},
    method::Task,
    packed::{Marks, PackedBallot},
    score::sum_marks,
    tie_break::Ties,
};

/// Counts dots.
pub(crate) fn count_dot(task: &Task<'_>, dots: u32, per_option_max: Option<u32>) -> Count {
    let most = i64::from(per_option_max.unwrap_or(dots));
    count_allocations(task, |marks| {
        let within = marks.iter().all(|(_, dots)| (0..=most).contains(&i64::from(dots)));
        within && marks.iter().map(|(_, dots)| i64::from(dots)).sum::<i64>() <= i64::from(dots)
    })
}

/// Counts votes that cost their square.
pub(crate) fn count_quadratic(task: &Task<'_>, credits: u64, negative_votes: bool) -> Count {
    count_allocations(task, |marks| {
        let allowed = negative_votes || marks.iter().all(|(_, votes)| votes >= 0);
        let cost: i128 = marks.iter().map(|(_, votes)| i128::from(votes).pow(2)).sum();
        allowed && cost <= i128::from(credits)
    })
}

fn count_allocations(task: &Task<'_>, within_budget: impl Fn(Marks<'_>) -> bool) -> Count {
    let (ballots, votes) = intake::read(task.profile, |ballot| match ballot {
        PackedBallot::Allocation(marks) if marks.iter().all(|(_, given)| given == 0) => Reading::Blank,
        PackedBallot::Allocation(marks) if marks.are_distinct() && within_budget(marks) => {
            Reading::Vote(marks)
        }
        _ => Reading::Rejected,
    });
    let mut count = Count::new(task, ballots);
    let sums = sum_marks(count.option_count, &votes);
    let mut ties = Ties::new(task.tie_break);
    let marked = (0..).zip(&sums).filter(|(_, (_, raters))| *raters > 0);
    let election = elect(marked.map(|(option, (sum, _))| (option, *sum)), task.seats, 1, &mut ties);
    count.scores = Some(
        sums.iter()
            .map(|&(sum, raters)| Score {
                total: Figure::millionths(sum),
                raters: Figure::millionths(raters),
                mean: None,
            })
            .collect(),
    );
    count.close(election, ties)
}
