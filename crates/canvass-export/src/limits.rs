//! Every bound of exports, in one place.

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
/// Polls that are asked for at once.
pub const POLLS_PAGE: usize = 200;
