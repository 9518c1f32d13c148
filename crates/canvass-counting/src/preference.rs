//! Reading a ranked ballot as an order of preference: for rules that compare options and do not walk through ranks.

use crate::{
    OptionIndex,
    intake::{self, Reading},
    packed::PackedBallot,
};

/// Options from the most preferred down, equally preferred ones together; unranked options are left out.
pub(crate) type Order = Vec<Vec<OptionIndex>>;

/// The order of preference of a ranked ballot. A skipped rank changes nothing, nor does an overvote whose options are
/// not known; of an option ranked again the first rank counts.
pub(crate) fn order(ballot: PackedBallot<'_>) -> Reading<Order> {
    let ranks = match intake::ranking(ballot) {
        Reading::Vote(ranks) => ranks,
        Reading::Blank => return Reading::Blank,
        Reading::Rejected => return Reading::Rejected,
    };
    let mut seen = Vec::new();
    let mut order = Order::new();
    for rank in ranks.iter() {
        let new: Vec<_> = rank.options().iter().copied().filter(|&option| see(&mut seen, option)).collect();
        if !new.is_empty() {
            order.push(new);
        }
    }
    if order.is_empty() { Reading::Blank } else { Reading::Vote(order) }
}

/// Whether an option is seen for the first time.
fn see(seen: &mut Vec<bool>, option: OptionIndex) -> bool {
    let place = usize::from(option);
    if place >= seen.len() {
        seen.resize(place + 1, false);
    }
    !std::mem::replace(&mut seen[place], true)
}
