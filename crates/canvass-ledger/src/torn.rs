//! Tells a write that was lost in part, which may be cut, from damage to acknowledged bytes, which must never be.
//!
//! A lost write leaves sectors as they were, which is zero; a changed byte does not. So every rule here asks for bytes
//! that were never written, and whatever shows none is damage.

use crate::{
    Fault, Position,
    format::{
        ALIGNMENT_BYTES, BATCH_HEADER_BYTES, BatchHeader, Flaw, SECTOR_BYTES, check_batch, count_sectors,
        has_magic_prefix, is_zero, trailer_never_written,
    },
};

/// What the end of the ledger turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The last write was lost in part, before it was acknowledged.
    Torn,
    /// Acknowledged bytes are damaged.
    Damaged(Flaw),
}

/// Judges what follows the last sound batch: `tail` begins at `position`, `sector_offset` bytes into a sector, and
/// ends with the last byte of the segment that is not zero.
pub(crate) fn judge(tail: &[u8], position: Position, sector_offset: usize) -> Verdict {
    match BatchHeader::decode(tail, position) {
        Some(header) => judge_with_header(tail, header, sector_offset),
        None if is_torn_without_header(tail, position, sector_offset) => Verdict::Torn,
        None => Verdict::Damaged(Flaw { at: 0, fault: Fault::BatchHeader }),
    }
}

fn judge_with_header(tail: &[u8], header: BatchHeader, sector_offset: usize) -> Verdict {
    let length = header.length as usize;
    let mut batch = tail[..length.min(tail.len())].to_vec();
    batch.resize(length, 0);
    let Err(flaw) = check_batch(&batch, header, sector_offset) else {
        // Not what follows the last sound batch, then: no caller asks that, and nothing may be cut.
        return Verdict::Damaged(Flaw { at: length, fault: Fault::NotZero });
    };
    let is_followed = tail.len() > length;
    if !is_followed && (trailer_never_written(&batch) || has_lost_sectors(&batch, header, sector_offset)) {
        return Verdict::Torn;
    }
    Verdict::Damaged(flaw)
}

/// Whether sectors are zero that were not when the batch was written.
fn has_lost_sectors(batch: &[u8], header: BatchHeader, sector_offset: usize) -> bool {
    let now = count_sectors(batch, sector_offset);
    let lost = now.zero.saturating_sub(header.sectors.zero);
    // One sector lost, which had held a single byte: that byte may as well have been changed to zero, long after the
    // batch was acknowledged.
    let may_be_one_changed_byte = lost == 1 && now.faint < header.sectors.faint;
    lost > 0 && !may_be_one_changed_byte
}

/// A header lies in one sector, so it is lost whole, with all that the batch had in that sector. It is lost in part
/// only where the write stopped within the header, so that nothing at all follows.
fn is_torn_without_header(tail: &[u8], position: Position, sector_offset: usize) -> bool {
    if tail.len() <= BATCH_HEADER_BYTES {
        return has_magic_prefix(tail);
    }
    let first_share = tail.len().min(SECTOR_BYTES - sector_offset);
    is_zero(&tail[..first_share]) && !has_later_batch(tail, position)
}

/// Whether a later batch says that all was durable up to some place after `position`.
fn has_later_batch(tail: &[u8], position: Position) -> bool {
    (ALIGNMENT_BYTES..tail.len()).step_by(ALIGNMENT_BYTES).any(|at| {
        BatchHeader::decode(&tail[at..], position.plus(at))
            .is_some_and(|later| later.durable_before > position)
    })
}
