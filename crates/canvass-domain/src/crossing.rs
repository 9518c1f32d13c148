//! Tables of what voters told, crossed with each other or filtered: a fold of the votes that count, with its small
//! figures hidden.

use std::collections::BTreeMap;

use crate::{
    limits::OTHER_VALUE,
    poll::Poll,
    results::{hide, too_small},
    tally::{Tally, each_mark},
    vote::Marked,
};

/// Which table is asked for. Dimensions are named by their place among the poll's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// The dimension whose values are the rows.
    pub rows: usize,
    /// The dimension whose values are the columns; none for the options.
    pub columns: Option<usize>,
    /// Only voters who told these values, each of another dimension.
    pub filters: Vec<(usize, String)>,
}

/// The table under way: figures by row and by all values of the filters' dimensions, so that what is hidden does not
/// depend on which values are asked for. Otherwise the tables for two values would tell the figure of a third.
#[derive(Clone, Debug)]
pub struct Cube {
    crossing: Crossing,
    /// Values by dimension, of the dimensions that are needed; who told none comes after the last.
    values: BTreeMap<usize, Vec<String>>,
    width: usize,
    cells: BTreeMap<Vec<usize>, Vec<u64>>,
}

/// A finished table. None stands for a hidden figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrossTable {
    /// The rows' values; voters who told none are one row more.
    pub rows: Vec<String>,
    /// The columns: values, and after them voters who told none; or the options, by their place.
    pub columns: Vec<String>,
    /// For each row the ballots in all, then by column.
    pub figures: Vec<Vec<Option<u64>>>,
}

impl Cube {
    /// An empty table for a poll; the tally knows which values of open dimensions may be named. None if a dimension
    /// is not the poll's or stands twice.
    pub fn new(poll: &Poll, tally: &Tally, crossing: Crossing) -> Option<Self> {
        let mut values: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        let filtered = crossing.filters.iter().map(|(dimension, _)| *dimension);
        for dimension in [crossing.rows].into_iter().chain(crossing.columns).chain(filtered) {
            let known = tally.breakdowns.get(dimension)?.nameable(poll.minimum_cell);
            let known = known.into_keys().map(str::to_owned).collect();
            if values.insert(dimension, known).is_some() {
                return None;
            }
        }
        let options = poll.options.len();
        let width = crossing.columns.map_or(options, |dimension| values[&dimension].len() + 1);
        Some(Self { crossing, values, width, cells: BTreeMap::new() })
    }

    /// Counts a vote.
    pub fn add(&mut self, marked: &Marked) {
        let filtered = self.crossing.filters.iter().map(|(dimension, _)| self.place(*dimension, marked));
        let place = [self.place(self.crossing.rows, marked)].into_iter().chain(filtered).collect();
        let column = self.crossing.columns.map(|dimension| self.place(dimension, marked));
        let figures = self.cells.entry(place).or_insert_with(|| vec![0; self.width + 1]);
        figures[0] += 1;
        let mut count = |column: usize| {
            if let Some(figure) = figures.get_mut(column + 1) {
                *figure += 1;
            }
        };
        match column {
            Some(column) => count(column),
            None => each_mark(&marked.ballot, count),
        }
    }

    /// The place of a vote's value among its dimension's.
    fn place(&self, dimension: usize, marked: &Marked) -> usize {
        let values = &self.values[&dimension];
        let told = marked.answers.iter().find(|(known, _)| usize::from(*known) == dimension);
        let Some((_, value)) = told else { return values.len() };
        let find = |value: &str| values.binary_search_by(|known| known.as_str().cmp(value)).ok();
        find(value).or_else(|| find(OTHER_VALUE)).unwrap_or(values.len())
    }

    /// The table, of which no figure below `minimum` can be seen, nor be had by subtracting tables from each other.
    pub fn table(&self, minimum: u32) -> CrossTable {
        let minimum = u64::from(minimum);
        let rows = &self.values[&self.crossing.rows];
        let wanted: Vec<usize> =
            self.crossing.filters.iter().map(|(name, value)| self.index(*name, value)).collect();
        let mut figures = vec![vec![0; self.width + 1]; rows.len() + 1];
        let mut secrets = vec![vec![false; self.width + 1]; rows.len() + 1];
        for (place, slice) in &self.cells {
            let (row, filtered) = (place[0], &place[1..]);
            for (column, is_small) in too_small(slice, minimum).into_iter().enumerate() {
                secrets[row][column] |= is_small;
                if *filtered == wanted[..] {
                    figures[row][column] += slice[column];
                }
            }
        }
        for (row, figures) in figures.iter().enumerate() {
            let small = too_small(figures, minimum);
            secrets[row].iter_mut().zip(small).for_each(|(secret, is_small)| *secret |= is_small);
        }
        let hidden = hide(&figures, &secrets);
        let shown = |(row, figures): (usize, &Vec<u64>)| {
            figures.iter().zip(&hidden[row]).map(|(figure, hidden)| (!hidden).then_some(*figure)).collect()
        };
        CrossTable {
            rows: rows.clone(),
            columns: self
                .crossing
                .columns
                .map(|dimension| self.values[&dimension].clone())
                .unwrap_or_default(),
            figures: figures.iter().enumerate().map(shown).collect(),
        }
    }

    /// The place of a value that is filtered by; that of nobody, if no vote tells it.
    fn index(&self, dimension: usize, value: &str) -> usize {
        self.values[&dimension].iter().position(|known| known == value).unwrap_or(usize::MAX)
    }
}
