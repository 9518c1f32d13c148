//! Every limit of the ledger by name, so that callers can refuse early and the format page can quote them.

/// Bytes that a batch takes on disk at most, its header, padding and trailer included. With the segment's own header
/// and seal it fills the smallest segment that is made by default.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024 - 128;

/// Bytes that a record's body and erasable part may have together, alone in its batch: what the headers of batch and
/// record and the batch's trailer leave.
pub const RECORD_BYTES_MAX: usize = BATCH_BYTES_MAX - 64 - 16 - 8;

/// Bytes of a record's erasable part at most.
pub const ERASABLE_BYTES_MAX: usize = u16::MAX as usize;

/// Bytes of an erasable part at least, where there is one: its first eight bytes tell whether it has been erased.
pub const ERASABLE_BYTES_MIN: usize = 8;

/// The size in bytes of a new ledger's first segment, unless the options say otherwise.
pub const SEGMENT_BYTES_MIN: u64 = 4 * 1024 * 1024;

/// The size in bytes up to which each segment is twice as large as the one before.
pub(crate) const SEGMENT_BYTES_DOUBLED_MAX: u64 = 16 * 1024 * 1024;

/// A larger segment is about such a share of the ledger before it, a power of two.
pub(crate) const SEGMENTS_PER_LEDGER: u64 = 128;

/// The size in bytes up to which segments grow, unless the options say otherwise.
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The smallest segment in bytes that is made when the disk is nearly full.
pub const SEGMENT_BYTES_FLOOR: u64 = 64 * 1024;

/// Bytes that a scan reads at a time; a longer batch is read whole.
pub(crate) const SCAN_BYTES: usize = 1024 * 1024;

/// Bytes that reading one record asks for first: enough for most records, so that they take one call.
pub(crate) const READ_BYTES: usize = 512;

/// Milliseconds between attempts to make the next segment on a disk that was full.
pub(crate) const RETRY_MS: u64 = 1000;

/// Milliseconds between looks at what another program may be writing just now.
pub(crate) const SETTLE_MS: u64 = 25;

/// How often that is looked at again before it counts as damage.
pub(crate) const SETTLE_TRIES: u32 = 40;

/// Records that are erased in a copy between two syncs.
pub(crate) const ERASED_TOGETHER_MAX: usize = 65_536;
