//! Borda: points by rank.

use crate::{
    BordaPoints, Count, Figure, Score, WEIGHT_UNIT,
    election::elect,
    intake::{self},
    method::Task,
    preference::{self, Order},
    tie_break::Ties,
};

/// Counts points by rank, under one of the conventions for unranked options.
pub(crate) fn count_borda(task: &Task<'_>, points: BordaPoints) -> Count {
    let (ballots, votes) = intake::read(task.profile, preference::order);
    let mut count = Count::new(task, ballots);
    let mut totals = vec![0; count.option_count];
    let mut raters = vec![0; count.option_count];
    for (order, weight) in &votes {
        add_points(&mut totals, &mut raters, points, order, *weight);
    }
    let mut ties = Ties::new(task.tie_break);
    if count.is_contested() {
        let election = elect((0..).zip(totals.iter().copied()), task.seats, 1, &mut ties);
        count = count.close(election, ties);
    }
    let halves = 2 * u128::from(WEIGHT_UNIT);
    let score = |(&total, &raters)| Score {
        total: Figure::fraction(total, halves),
        raters: Figure::millionths(raters),
        mean: None,
    };
    count.scores = Some(totals.iter().zip(&raters).map(score).collect());
    count
}

/// Adds one order's points to the totals, which are in half millionths because two options that share the points of
/// two places get a half each.
fn add_points(totals: &mut [i128], raters: &mut [i128], points: BordaPoints, order: &Order, weight: i128) {
    let signed = |number: usize| i128::try_from(number).unwrap_or(i128::MAX);
    let option_count = signed(totals.len());
    let ranked = signed(order.iter().map(Vec::len).sum());
    let top = match points {
        BordaPoints::UnrankedShareAverage | BordaPoints::UnrankedZero => option_count - 1,
        BordaPoints::UnrankedZeroTopIsCount => option_count,
        BordaPoints::BallotLength => ranked,
    };
    let mut best = top;
    for group in order {
        let size = signed(group.len());
        // The places best, best - 1, … of a group, twice their average.
        let doubled = 2 * best - (size - 1);
        for &option in group {
            totals[usize::from(option)] += doubled * weight;
            raters[usize::from(option)] += weight;
        }
        best -= size;
    }
    if points == BordaPoints::UnrankedShareAverage && ranked < option_count {
        let mut unranked = vec![true; totals.len()];
        order.iter().flatten().for_each(|&option| unranked[usize::from(option)] = false);
        for (total, _) in totals.iter_mut().zip(unranked).filter(|(_, unranked)| *unranked) {
            *total += best * weight;
        }
    }
}
