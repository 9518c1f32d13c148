//! Batches: what one write holds, made so that a write that was lost in part can be told from damage.

use super::{
    ALIGNMENT_BYTES, Flaw, Records, SECTOR_BYTES, close_block, first_not_zero, is_block, u32_at, u64_at,
};
use crate::{Fault, Position, limits::BATCH_BYTES_MAX};

/// Bytes before a batch's first record.
pub(crate) const BATCH_HEADER_BYTES: usize = 64;
/// Bytes at the very end of a batch.
pub(crate) const BATCH_TRAILER_BYTES: usize = 8;

const BATCH_MAGIC: [u8; 8] = *b"CanvBat\x01";
/// The last bytes of a batch, none of them zero.
const TRAILER_MAGIC: &[u8; 4] = b"tail";

/// Bytes that a batch takes whose header and records take `used`.
pub(crate) const fn padded_batch_bytes(used: usize) -> usize {
    (used + BATCH_TRAILER_BYTES).next_multiple_of(ALIGNMENT_BYTES)
}

/// The first 64 bytes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    /// The batch's place.
    pub(crate) position: Position,
    /// Up to where all was durable when the batch was written.
    pub(crate) durable_before: Position,
    /// Bytes of the whole batch.
    pub(crate) length: u32,
    pub(crate) record_count: u32,
    /// The sectors of the batch as it was written.
    pub(crate) sectors: SectorCount,
}

/// How many sectors hold so little that their loss looks like something else. A sector counts with that share of it
/// that the batch fills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SectorCount {
    /// Sectors that are zero throughout.
    pub(crate) zero: u32,
    /// Sectors with a single byte that is not zero: were it changed to zero, that would look like a lost sector.
    pub(crate) faint: u32,
}

impl BatchHeader {
    pub(crate) fn encode(self) -> [u8; BATCH_HEADER_BYTES] {
        let mut block = [0; BATCH_HEADER_BYTES];
        block[..8].copy_from_slice(&BATCH_MAGIC);
        block[8..16].copy_from_slice(&self.position.get().to_le_bytes());
        block[16..24].copy_from_slice(&self.durable_before.get().to_le_bytes());
        block[24..28].copy_from_slice(&self.length.to_le_bytes());
        block[28..32].copy_from_slice(&self.record_count.to_le_bytes());
        block[32..36].copy_from_slice(&self.sectors.zero.to_le_bytes());
        block[36..40].copy_from_slice(&self.sectors.faint.to_le_bytes());
        close_block(&mut block);
        block
    }

    /// The header at the start of `bytes`, if they hold a sound one that was written for `position`.
    pub(crate) fn decode(bytes: &[u8], position: Position) -> Option<Self> {
        if !is_block(bytes.get(..BATCH_HEADER_BYTES)?, BATCH_MAGIC) {
            return None;
        }
        let header = Self {
            position: u64_at(bytes, 8).into(),
            durable_before: u64_at(bytes, 16).into(),
            length: u32_at(bytes, 24),
            record_count: u32_at(bytes, 28),
            sectors: SectorCount { zero: u32_at(bytes, 32), faint: u32_at(bytes, 36) },
        };
        let length = header.length as usize;
        let is_length_sound = length.is_multiple_of(ALIGNMENT_BYTES)
            && (BATCH_HEADER_BYTES + ALIGNMENT_BYTES..=BATCH_BYTES_MAX).contains(&length);
        (header.position == position && is_length_sound).then_some(header)
    }
}

/// Pads a batch whose records are in place behind 64 bytes left free, and writes its trailer and header.
pub(crate) fn seal_batch(
    batch: &mut Vec<u8>,
    position: Position,
    durable_before: Position,
    record_count: u32,
    sector_offset: usize,
) {
    let length = padded_batch_bytes(batch.len());
    batch.resize(length, 0);
    let mut header = BatchHeader {
        position,
        durable_before,
        length: u32::try_from(length).expect("a batch is within its limit"),
        record_count,
        sectors: SectorCount::default(),
    };
    // Header and trailer only ever add to sectors that hold them, so the counts can be taken before they are known.
    batch[..8].copy_from_slice(&BATCH_MAGIC);
    batch[length - 4..].copy_from_slice(TRAILER_MAGIC);
    header.sectors = count_sectors(batch, sector_offset);
    let header = header.encode();
    batch[..BATCH_HEADER_BYTES].copy_from_slice(&header);
    batch[length - BATCH_TRAILER_BYTES..length - 4].copy_from_slice(&header[60..]);
}

/// Counts the sectors of a batch that starts `sector_offset` bytes into one.
pub(crate) fn count_sectors(batch: &[u8], sector_offset: usize) -> SectorCount {
    let (first, rest) = batch.split_at(batch.len().min(SECTOR_BYTES - sector_offset));
    let mut count = SectorCount::default();
    for share in std::iter::once(first).chain(rest.chunks(SECTOR_BYTES)) {
        match share.iter().filter(|&&byte| byte != 0).take(2).count() {
            0 => count.zero += 1,
            1 => count.faint += 1,
            _ => {}
        }
    }
    count
}

/// Verifies a whole batch against its header. It lies `sector_offset` bytes into a sector.
pub(crate) fn check_batch(batch: &[u8], header: BatchHeader, sector_offset: usize) -> Result<(), Flaw> {
    let mut records = Records::new(batch, header.position, sector_offset, header.record_count);
    for record in &mut records {
        record?;
    }
    check_batch_end(batch, records.at())
}

/// Verifies the padding after the last record, which ends at `records_end`, and the trailer.
pub(crate) fn check_batch_end(batch: &[u8], records_end: usize) -> Result<(), Flaw> {
    let (before, trailer) = batch.split_at(batch.len() - BATCH_TRAILER_BYTES);
    if let Some(at) = first_not_zero(&before[records_end..]) {
        return Err(Flaw { at: records_end + at, fault: Fault::NotZero });
    }
    if trailer[..4] != batch[60..64] || trailer[4..] != TRAILER_MAGIC[..] {
        return Err(Flaw { at: before.len(), fault: Fault::BatchTrailer });
    }
    Ok(())
}

/// Whether the last bytes of a batch look like a trailer of whichever batch.
pub(crate) fn is_trailer(bytes: [u8; BATCH_TRAILER_BYTES]) -> bool {
    bytes.ends_with(TRAILER_MAGIC)
}

/// Whether the end of the batch was never written. Both of the last bytes must be zero: a single one could have been
/// changed.
pub(crate) fn trailer_never_written(batch: &[u8]) -> bool {
    batch.ends_with(&[0, 0])
}

/// Whether `bytes` start as a batch does, or are the first few bytes of one.
pub(crate) fn has_magic_prefix(bytes: &[u8]) -> bool {
    bytes.iter().zip(&BATCH_MAGIC).all(|(found, expected)| found == expected)
}
