//! Every bound of exports, in one place.

use std::time::Duration;

/// Rows of one sheet of a workbook, its header included: the most that spreadsheets read.
pub const SHEET_ROWS_MAX: usize = 1_048_576;
/// Bytes of one sheet before it is compressed; more votes go to the next sheet.
pub const SHEET_BYTES_MAX: usize = 2 * 1024 * 1024 * 1024;
/// Characters of a cell, counted as spreadsheets do: in units of UTF-16.
pub const CELL_CHARACTERS_MAX: usize = 32_767;
/// Rows of one row group of a Parquet file, all of which are held until it is written.
pub const ROW_GROUP_ROWS_MAX: usize = 65_536;
/// Bytes of text that a row group holds at most before it is written.
pub const ROW_GROUP_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Seconds by which the clock may have been ahead without anything being exported again.
pub const CLOCK_AHEAD_SECONDS_MAX: i64 = 60;
/// After each piece of an export by the clock the next waits for so many times as long as that took, if votes came in
/// meanwhile: an export takes at most a tenth of one core's time from them.
pub const PAUSE_PARTS: u32 = 9;
/// But no longer than this: what took long was mostly kept from the processor, or the machine stood still.
pub const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Polls that are asked for at once.
pub const POLLS_PAGE: usize = 200;
/// Bytes of one part of an object that is uploaded in parts: 10,000 parts, the most there may be, are 80 GB.
#[cfg(feature = "object-stores")]
pub const PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts that are on their way at once.
#[cfg(feature = "object-stores")]
pub const PARTS_WAITING_MAX: usize = 2;
/// Time to connect to an object store.
#[cfg(feature = "object-stores")]
pub const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
/// Time that one request to an object store may take.
#[cfg(feature = "object-stores")]
pub const REQUEST_WAIT_MAX: Duration = Duration::from_mins(1);
/// How often a request that failed for a moment is sent again.
#[cfg(feature = "object-stores")]
pub const REQUEST_TRIES_MAX: usize = 4;
/// The first wait between tries; it grows at random.
#[cfg(feature = "object-stores")]
pub const RETRY_WAIT: Duration = Duration::from_millis(200);
/// The longest wait between tries.
#[cfg(feature = "object-stores")]
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(10);
/// Time after which a request is not sent again.
#[cfg(feature = "object-stores")]
pub const RETRYING_MAX: Duration = Duration::from_mins(1);
