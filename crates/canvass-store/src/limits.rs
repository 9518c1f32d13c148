//! Every bound of the engines, in one place.

use std::time::Duration;

/// Records that one page of [`Store::records`](crate::Store::records) holds at most.
pub const RECORDS_PAGE: usize = 4_096;
/// Records that one page of [`Feed::happenings`](crate::Feed::happenings) looks at.
pub const FEED_RECORDS: usize = 16_384;
/// Votes that may wait for the writer at once; more are turned away with 503.
pub const QUEUE_VOTES_MAX: usize = 65_536;
/// Bytes, about, of the votes that may wait for the writer at once; more are turned away with 503.
pub const QUEUE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Votes decided and made durable in one commit.
pub const COMMIT_VOTES_MAX: usize = 8_192;
/// Bytes of ledger after which a commit takes nothing more: with the largest record it still fits a batch.
pub const COMMIT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Polls that one listing returns at most.
pub const POLLS_PAGE_MAX: usize = 200;
/// Polls that one local store holds.
pub const POLLS_MAX: usize = 1_000_000;
/// Distinct ballots of a poll that are copied on the spot; more are copied by a thread that may take its time.
pub const COPIED_AT_ONCE_MAX: usize = 1_000;
/// How old a backup's own note of the time may become while nothing happens.
pub const BACKUP_NOTE_AGE_SECONDS_MAX: i64 = 60;
/// Pause between looks whether the erasure of one voter has ended.
pub const ERASURE_LOOK_PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked at before whoever asked is told to ask again: a minute.
pub const ERASURE_LOOKS_MAX: u32 = 600;
/// Pause after a backup failed, at least.
pub const BACKUP_RETRY_PAUSE: Duration = Duration::from_secs(15);
/// Time that a backup has to be brought up to date when the store is closed.
pub const BACKUP_STOP_WAIT_MAX: Duration = Duration::from_secs(20);
/// Bytes of one part of a backup in an object store, unless one batch is longer.
pub const BACKUP_PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts that are written before the note says so: what is written again after a program was killed.
pub const BACKUP_PARTS_UNNOTED_MAX: usize = 16;
/// Age at which a part that no note names is nobody's: a program that writes one names it within minutes.
pub const BACKUP_PART_UNNOTED_AGE_MIN: Duration = Duration::from_hours(1);
/// Records that are overwritten together when a poll is erased; each lot takes two syncs.
pub const ERASED_AT_ONCE_MAX: usize = 8_192;
