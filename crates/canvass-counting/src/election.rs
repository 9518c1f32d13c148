//! Electing the highest: the last step of every method that ends with one number for each option.

use std::cmp::Reverse;

use crate::{
    OptionIndex,
    tie_break::{TiePurpose, Ties},
};

/// Who is elected, best first, and who is tied for the seats that stay open.
pub(crate) struct Election {
    pub(crate) elected: Vec<OptionIndex>,
    pub(crate) tied: Vec<OptionIndex>,
}

/// The options with the highest keys, as many as are needed.
///
/// Gives those that are certain, best first, and those with one and the same key that would be too many: some of them
/// have to be chosen to reach the number.
pub(crate) fn highest<K: Ord>(
    options: impl IntoIterator<Item = (OptionIndex, K)>,
    needed: usize,
) -> (Vec<OptionIndex>, Vec<OptionIndex>) {
    let mut sorted: Vec<_> = options.into_iter().map(|(option, key)| (Reverse(key), option)).collect();
    sorted.sort();
    let mut certain = Vec::new();
    for group in sorted.chunk_by(|a, b| a.0 == b.0) {
        let group = group.iter().map(|&(_, option)| option);
        if certain.len() + group.len() > needed {
            let boundary = if certain.len() < needed { group.collect() } else { Vec::new() };
            return (certain, boundary);
        }
        certain.extend(group);
    }
    (certain, Vec::new())
}

/// Elects the options with the highest keys; a tie for the last seats is put to the tie-break.
pub(crate) fn elect<K: Ord>(
    options: impl IntoIterator<Item = (OptionIndex, K)>,
    seats: usize,
    round: usize,
    ties: &mut Ties<'_>,
) -> Election {
    let (mut elected, boundary) = highest(options, seats);
    if boundary.is_empty() {
        return Election { elected, tied: boundary };
    }
    match ties.choose(round, TiePurpose::Election, &boundary, seats - elected.len()) {
        Some(chosen) => {
            elected.extend(chosen);
            Election { elected, tied: Vec::new() }
        }
        None => Election { elected, tied: boundary },
    }
}
