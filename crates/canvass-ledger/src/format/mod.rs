//! Version 1 of the format, byte by byte: pure functions between bytes and what they mean, without any file.
//! `docs/ledger-format.md` describes the same for people.

mod batch;
mod record;
mod segment;

pub(crate) use batch::{
    BATCH_HEADER_BYTES, BATCH_TRAILER_BYTES, BatchHeader, check_batch, check_batch_end, count_sectors,
    has_magic_prefix, is_trailer, padded_batch_bytes, seal_batch, trailer_never_written,
};
pub(crate) use record::{
    ERASED_BYTE, RECORD_HEADER_BYTES, RecordHeader, Records, decode_record, encode_record_header,
    erasable_portions, is_erasable_allowed, padded_record_bytes,
};
pub use record::{Erasable, RecordRef};
pub(crate) use segment::{
    SEAL_BYTES, SEGMENT_HEADER_BYTES, SPARE_NAME, Seal, SegmentHeader, VERSION, base_of_name, segment_name,
};

use crate::Fault;

/// The unit in which a disk keeps or loses what was written.
pub(crate) const SECTOR_BYTES: usize = 512;
/// Where batches may begin: headers of this size never lie in two sectors.
pub(crate) const ALIGNMENT_BYTES: usize = 64;

/// Something wrong, so many bytes after the start of what was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) at: usize,
    pub(crate) fault: Fault,
}

/// Reads a little-endian number from a place that is known to be there.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes were cut out"))
}

/// Reads a little-endian number from a place that is known to be there.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were cut out"))
}

/// Ends a 64-byte block with the checksum of its first 60 bytes.
fn close_block(block: &mut [u8; 64]) {
    let checksum = crc32c::crc32c(&block[..60]);
    block[60..].copy_from_slice(&checksum.to_le_bytes());
}

/// Whether a 64-byte block starts with its magic bytes and ends with its checksum.
fn is_block(block: &[u8], magic: [u8; 8]) -> bool {
    block.len() >= 64 && block[..8] == magic && u32_at(block, 60) == crc32c::crc32c(&block[..60])
}

/// Whether all bytes are zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    first_not_zero(bytes).is_none()
}

/// Where the first byte lies that is not zero.
pub(crate) fn first_not_zero(bytes: &[u8]) -> Option<usize> {
    // Whole blocks first: the compiler makes wide comparisons of them, and this runs over megabytes of zeros.
    let clean =
        bytes.chunks_exact(64).take_while(|block| block.iter().fold(0, |all, byte| all | byte) == 0).count();
    bytes[clean * 64..].iter().position(|&byte| byte != 0).map(|at| clean * 64 + at)
}
