//! Every bound of the domain, in one place, so that none is hidden in the code that keeps it.

/// Options of a poll.
pub const OPTIONS_MAX: usize = 500;
/// Bytes of a poll's title.
pub const TITLE_BYTES_MAX: usize = 1_000;
/// Bytes of a poll's description.
pub const DESCRIPTION_BYTES_MAX: usize = 20_000;
/// Bytes of an option's label.
pub const LABEL_BYTES_MAX: usize = 1_000;
/// Characters of a poll's or an option's id.
pub const ID_BYTES_MAX: usize = 64;
/// Bytes of a voter's id.
pub const VOTER_BYTES_MAX: usize = 256;
/// Bytes of an idempotency key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;
/// Dimensions that a poll may declare.
pub const DIMENSIONS_MAX: usize = 16;
/// Bytes of a dimension's name and of one of its values.
pub const DIMENSION_BYTES_MAX: usize = 128;
/// Values that a closed dimension may list.
pub const DIMENSION_VALUES_MAX: usize = 256;
/// Values of an open dimension that are counted apart; the surplus counts as [`OTHER_VALUE`].
pub const OPEN_VALUES_MAX: usize = 256;
/// What the surplus of an open dimension counts as.
pub const OTHER_VALUE: &str = "other";
/// Ranks of one ranked ballot.
pub const RANKS_MAX: usize = 1_000;
/// The farthest a score may lie from zero.
pub const SCORE_MAX: i32 = 1_000_000;
/// Bytes of the seed that ties are drawn from.
pub const SEED_BYTES_MAX: usize = 200;
/// Distinct ballots up to which every ranked poll shows how its options compare in pairs. Beyond, only methods that
/// count pairs do: for the others it would make each live count slower.
pub const PAIRWISE_BALLOTS_MAX: usize = 20_000;
/// Credits or dots of one ballot.
pub const CREDITS_MAX: u32 = 1_000_000;
/// Figures of dimensions that a tally in parts keeps apart: with the longest values they take 280 KB.
pub const PART_FIGURES_MAX: usize = 2_000;
/// One-time codes made in one lot.
pub const CODES_LOT_MAX: usize = 100_000;
/// One-time codes of one poll.
pub const CODES_POLL_MAX: usize = 2_000_000;
/// Minutes of which a timeline keeps the votes apart; older ones are kept by the hour.
pub const TIMELINE_MINUTES_MAX: usize = 10_080;
/// Bytes of an actor's name in the audit trail.
pub const ACTOR_BYTES_MAX: usize = 200;
/// How long an idempotency key is honoured at least: a record younger than this is always looked at.
pub const IDEMPOTENCY_HOURS_MIN: i64 = 24;
/// How often one voter's vote may be changed or withdrawn.
pub const REVISIONS_MAX: u32 = 1_000;
