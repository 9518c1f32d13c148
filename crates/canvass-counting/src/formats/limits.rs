//! Every bound of what is read from a file, in one place. A file beyond one is refused with the place where it is.

/// Bytes of a file. What is read takes a small multiple of it in memory.
pub const FILE_BYTES_MAX: usize = 1 << 30;
/// Options of an election, as of a poll.
pub const OPTIONS_MAX: usize = 500;
/// Characters of an option's name or a title.
pub const NAME_CHARACTERS_MAX: usize = 1_000;
/// Ranks of a ballot.
pub const RANKS_MAX: usize = 1_000;
/// Ballots that one row stands for.
pub const COUNT_MAX: u64 = 1_000_000_000_000;
/// The highest score, and as a negative number the lowest; also of dots and votes on one option.
pub const SCORE_MAX: i32 = 1_000_000_000;
