//! An open segment file, and reading its batches one after another.

use std::io;

use parking_lot::RwLock;

use crate::{
    Damage, DiskFile, Fault, Position,
    format::{
        BATCH_HEADER_BYTES, BatchHeader, Flaw, SEAL_BYTES, SECTOR_BYTES, SEGMENT_HEADER_BYTES, segment_name,
    },
    limits::SCAN_BYTES,
};

/// A segment that has its place in the ledger.
pub(crate) struct Segment {
    pub(crate) base: Position,
    /// Bytes of the file.
    pub(crate) length: u64,
    file: Box<dyn DiskFile>,
    /// Held for writing while bytes of durable records are overwritten, so that no read sees half of an erasure.
    erasing: RwLock<()>,
}

impl Segment {
    pub(crate) fn new(base: Position, length: u64, file: Box<dyn DiskFile>) -> Self {
        Self { base, length, file, erasing: RwLock::new(()) }
    }

    pub(crate) fn name(&self) -> String {
        segment_name(self.base)
    }

    /// The byte of the file where a position lies that is not before the base.
    pub(crate) const fn offset_of(&self, position: Position) -> u64 {
        SEGMENT_HEADER_BYTES + (position.get() - self.base.get())
    }

    /// The position that a byte of the file is for.
    pub(crate) fn position_of(&self, offset: u64) -> Position {
        Position::from(self.base.get() + offset.saturating_sub(SEGMENT_HEADER_BYTES))
    }

    /// The byte of the file where the room for batches ends.
    pub(crate) const fn seal_offset(&self) -> u64 {
        self.length - SEAL_BYTES
    }

    pub(crate) fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let _not_erasing = self.erasing.read();
        self.file.read_at(offset, into)
    }

    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    /// Overwrites bytes of durable records through a handle of the caller's own.
    pub(crate) fn erase_at(&self, handle: &dyn DiskFile, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let _erasing = self.erasing.write();
        handle.write_at(offset, bytes)
    }

    pub(crate) fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Damage at a byte of this file.
    pub(crate) fn damage(&self, offset: u64, fault: Fault) -> Damage {
        Damage { segment: self.name(), offset, position: self.position_of(offset), fault }
    }

    /// Damage that was found so many bytes after `offset`.
    pub(crate) fn damage_after(&self, offset: u64, flaw: Flaw) -> Damage {
        self.damage(offset + flaw.at as u64, flaw.fault)
    }
}

/// How far into its sector a byte of a file lies.
#[expect(clippy::cast_possible_truncation, reason = "a remainder of 512 fits")]
pub(crate) const fn sector_offset(offset: u64) -> usize {
    (offset % SECTOR_BYTES as u64) as usize
}

/// A batch in a window's buffer.
pub(crate) struct Found<'w> {
    pub(crate) header: BatchHeader,
    pub(crate) bytes: &'w [u8],
}

/// Large sequential reads of segments, of which batches are cut.
#[derive(Default)]
pub(crate) struct Window {
    buffer: Vec<u8>,
    /// The segment and the byte of its file where the buffer's bytes begin.
    from: (Position, u64),
    filled: usize,
}

impl Window {
    /// The batch whose header lies at `offset`; nothing if there is no sound header, or if the batch would reach past
    /// `limit`, the byte of the file where reading must end.
    pub(crate) fn batch(
        &mut self,
        segment: &Segment,
        offset: u64,
        limit: u64,
    ) -> io::Result<Option<Found<'_>>> {
        if offset + BATCH_HEADER_BYTES as u64 > limit {
            return Ok(None);
        }
        let block = self.bytes(segment, offset, BATCH_HEADER_BYTES, limit)?;
        let Some(header) = BatchHeader::decode(block, segment.position_of(offset)) else { return Ok(None) };
        if offset + u64::from(header.length) > limit {
            return Ok(None);
        }
        let bytes = self.bytes(segment, offset, header.length as usize, limit)?;
        Ok(Some(Found { header, bytes }))
    }

    /// The `length` bytes at `offset`, which end before `limit`; what follows them is read ahead.
    pub(crate) fn bytes(
        &mut self,
        segment: &Segment,
        offset: u64,
        length: usize,
        limit: u64,
    ) -> io::Result<&[u8]> {
        let start = match self.start_of(segment, offset, length) {
            Some(start) => start,
            None => self.fill(segment, offset, length, limit)?,
        };
        Ok(&self.buffer[start..start + length])
    }

    /// Where in the buffer the bytes lie, if all of them do.
    fn start_of(&self, segment: &Segment, offset: u64, length: usize) -> Option<usize> {
        if self.from.0 != segment.base {
            return None;
        }
        let start = usize::try_from(offset.checked_sub(self.from.1)?).ok()?;
        (start + length <= self.filled).then_some(start)
    }

    /// Reads from `offset` on, and gives where in the buffer that is: its start.
    fn fill(&mut self, segment: &Segment, offset: u64, length: usize, limit: u64) -> io::Result<usize> {
        let left = usize::try_from(limit - offset).unwrap_or(usize::MAX);
        let wanted = left.min(length.max(SCAN_BYTES));
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        self.filled = 0;
        segment.read_at(offset, &mut self.buffer[..wanted])?;
        self.from = (segment.base, offset);
        self.filled = wanted;
        Ok(0)
    }
}
