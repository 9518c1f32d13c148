//! Segments: names, headers, and the seal that says that another segment follows.

use super::{close_block, is_block, u32_at, u64_at};
use crate::Position;

/// The version of the format that is written.
pub(crate) const VERSION: u32 = 1;
/// Bytes before a segment's first batch.
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 64;
/// Bytes kept at a segment's end for its seal.
pub(crate) const SEAL_BYTES: u64 = 64;
/// The segment that is made ready ahead, before its place in the ledger is known.
pub(crate) const SPARE_NAME: &str = "next.segment";

const SEGMENT_MAGIC: [u8; 8] = *b"CanvSeg\x01";
const SEAL_MAGIC: [u8; 8] = *b"CanvEnd\x01";

/// The file name of the segment whose first batch begins at `base`.
pub(crate) fn segment_name(base: Position) -> String {
    format!("{:016x}.segment", base.get())
}

/// The base that a file name gives; nothing for names of other files.
pub(crate) fn base_of_name(name: &str) -> Option<Position> {
    let base = Position::from(u64::from_str_radix(name.strip_suffix(".segment")?, 16).ok()?);
    (segment_name(base) == name).then_some(base)
}

/// The first 64 bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) version: u32,
    /// The place of the segment's first batch.
    pub(crate) base: Position,
    /// The file's length.
    pub(crate) length: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(self) -> [u8; 64] {
        let mut block = [0; 64];
        block[..8].copy_from_slice(&SEGMENT_MAGIC);
        block[8..12].copy_from_slice(&self.version.to_le_bytes());
        block[16..24].copy_from_slice(&self.base.get().to_le_bytes());
        block[24..32].copy_from_slice(&self.length.to_le_bytes());
        close_block(&mut block);
        block
    }

    pub(crate) fn decode(block: &[u8]) -> Option<Self> {
        is_block(block, SEGMENT_MAGIC).then(|| Self {
            version: u32_at(block, 8),
            base: u64_at(block, 16).into(),
            length: u64_at(block, 24),
        })
    }
}

/// The last 64 bytes of a segment that another one follows; zero in the last segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    /// The place of this segment's first batch.
    pub(crate) base: Position,
    /// Where this segment's batches end, which is the next segment's base.
    pub(crate) end: Position,
}

impl Seal {
    pub(crate) fn encode(self) -> [u8; 64] {
        let mut block = [0; 64];
        block[..8].copy_from_slice(&SEAL_MAGIC);
        block[8..16].copy_from_slice(&self.base.get().to_le_bytes());
        block[16..24].copy_from_slice(&self.end.get().to_le_bytes());
        close_block(&mut block);
        block
    }

    pub(crate) fn decode(block: &[u8]) -> Option<Self> {
        is_block(block, SEAL_MAGIC)
            .then(|| Self { base: u64_at(block, 8).into(), end: u64_at(block, 16).into() })
    }
}
