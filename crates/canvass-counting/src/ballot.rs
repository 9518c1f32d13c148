//! The marks a voter can make, with options named by their index.
//!
//! A ballot here is already well-formed for its poll; whether it may be cast is decided elsewhere. What a
//! counting rule makes of odd marks (an overvote, a skipped rank) is that rule's own business, so they are kept.

/// An option's place in its poll, from 0.
pub type OptionIndex = u16;

/// One rank of a ranked ballot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rank {
    /// One option.
    One(OptionIndex),
    /// Several options at the same rank: an equal ranking, or an overvote whose options are known.
    /// Ascending and distinct, two at least.
    Equal(Vec<OptionIndex>),
    /// No option at this rank.
    Skipped,
    /// More than one option was marked and it is not known which.
    Overvote,
}

/// The marks of one ballot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ballot {
    /// The options chosen, ascending and distinct; one for a plurality ballot, none for a blank one.
    Choices(Vec<OptionIndex>),
    /// Ranks from the most preferred down.
    Ranking(Vec<Rank>),
    /// Scores of the options that were scored, ascending by option. An option that is absent was left blank,
    /// which is not a score of zero.
    Scores(Vec<(OptionIndex, i32)>),
    /// Dots or votes given to options, ascending by option; zeros are left out.
    Allocation(Vec<(OptionIndex, i32)>),
}
