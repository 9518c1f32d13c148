//! A transitive relation between options, which ranked pairs builds up defeat by defeat.

use crate::OptionIndex;

/// Which options are above which; whatever follows from what was added is in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Relation {
    words_per_row: usize,
    /// A bit for each option below, row by row of the options above.
    below: Vec<u64>,
}

impl Relation {
    pub(crate) fn new(option_count: usize) -> Self {
        let words_per_row = option_count.div_ceil(64);
        Self { words_per_row, below: vec![0; option_count * words_per_row] }
    }

    /// Whether one option is above another.
    pub(crate) fn has(&self, above: OptionIndex, below: OptionIndex) -> bool {
        let (above, below) = (usize::from(above), usize::from(below));
        self.below[above * self.words_per_row + below / 64] >> (below % 64) & 1 == 1
    }

    /// Puts one option above another, and so everything above the one over everything below the other.
    pub(crate) fn add(&mut self, above: OptionIndex, below: OptionIndex) {
        if self.has(above, below) {
            return;
        }
        let (above, below) = (usize::from(above), usize::from(below));
        let mut gained = self.below[below * self.words_per_row..][..self.words_per_row].to_vec();
        gained[below / 64] |= 1 << (below % 64);
        for (option, row) in self.below.chunks_exact_mut(self.words_per_row).enumerate() {
            let is_above = option == above || row[above / 64] >> (above % 64) & 1 == 1;
            if is_above {
                row.iter_mut().zip(&gained).for_each(|(word, more)| *word |= more);
            }
        }
    }
}
