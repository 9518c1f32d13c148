//! Reads durable records from any thread, without waiting for the writer, and erases what may be erased.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};

use crate::{
    Disk, DiskFile, Erasable, Fault, Position, ReadError, RecordRef,
    format::{
        ALIGNMENT_BYTES, BATCH_HEADER_BYTES, BatchHeader, ERASED_BYTE, Flaw, RECORD_HEADER_BYTES,
        RecordHeader, Records, check_batch_end, decode_record, erasable_portions,
    },
    limits::{BATCH_BYTES_MAX, READ_BYTES},
    segment::{Found, Segment, Window, sector_offset},
};

/// What the writer shows its readers.
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    /// In order; the writer adds one at a time, before anything in it is durable.
    segments: RwLock<Vec<Arc<Segment>>>,
    durable_end: AtomicU64,
    /// One erasure at a time: its two steps must not mix with another's.
    erasure: Mutex<()>,
    /// How many erasures have ended.
    erasures: AtomicU64,
}

impl Shared {
    pub(crate) fn new(disk: Arc<dyn Disk>, segments: Vec<Arc<Segment>>, end: Position) -> Self {
        Self {
            disk,
            segments: RwLock::new(segments),
            durable_end: AtomicU64::new(end.get()),
            erasure: Mutex::new(()),
            erasures: AtomicU64::new(0),
        }
    }

    pub(crate) fn add_segment(&self, segment: Arc<Segment>) {
        self.segments.write().push(segment);
    }

    pub(crate) fn set_durable_end(&self, end: Position) {
        self.durable_end.store(end.get(), Ordering::Release);
    }

    fn durable_end(&self) -> Position {
        self.durable_end.load(Ordering::Acquire).into()
    }

    /// The segment that holds a position, and where its batches end for now. A position where one segment ends and
    /// the next begins is the next one's.
    fn segment_of(&self, position: Position, durable_end: Position) -> (Arc<Segment>, Position) {
        let segments = self.segments.read();
        let next = segments.partition_point(|segment| segment.base <= position);
        let end = segments.get(next).map_or(durable_end, |next| next.base.min(durable_end));
        (Arc::clone(&segments[next.saturating_sub(1)]), end)
    }
}

/// The bytes of the record read last. Its buffer is used again for the next.
#[derive(Debug, Default)]
pub struct RecordBuffer {
    bytes: Vec<u8>,
}

/// Reads durable records. It can be cloned and sent to other threads at will.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Where the durable part ends for now.
    pub fn durable_end(&self) -> Position {
        self.shared.durable_end()
    }

    /// The segment that holds a position, and where its batches end for now.
    pub(crate) fn segment_of(&self, position: Position) -> (Arc<Segment>, Position) {
        self.shared.segment_of(position, self.durable_end())
    }

    /// The segments that hold what lies before `to`, each with where that ends; always the first.
    pub(crate) fn segments_up_to(&self, to: Position) -> Vec<(Arc<Segment>, Position)> {
        let segments = self.shared.segments.read();
        let ends = segments.iter().skip(1).map(|next| next.base.min(to)).chain([to]);
        let with_ends = segments.iter().cloned().zip(ends);
        with_ends.filter(|(segment, _)| segment.base < to || segment.base == Position::ZERO).collect()
    }

    /// Reads and verifies the record at a position: one read in the usual case, two for a record of over 512 bytes.
    pub fn read<'b>(
        &self,
        position: Position,
        into: &'b mut RecordBuffer,
    ) -> Result<RecordRef<'b>, ReadError> {
        let (segment, _) = self.load(position, into)?;
        let offset = segment.offset_of(position);
        let (record, _) = decode_record(&into.bytes, position, sector_offset(offset))
            .map_err(|flaw| segment.damage_after(offset, flaw))?;
        Ok(record)
    }

    /// Brings the whole record at a position into the buffer, not yet verified.
    fn load(
        &self,
        position: Position,
        into: &mut RecordBuffer,
    ) -> Result<(Arc<Segment>, RecordHeader), ReadError> {
        let durable_end = self.durable_end();
        if position >= durable_end {
            return Err(ReadError::BeyondEnd { position, end: durable_end });
        }
        let (segment, end) = self.shared.segment_of(position, durable_end);
        let offset = segment.offset_of(position);
        let damage = |fault| segment.damage(offset, fault);
        let room = usize::try_from(end.get() - position.get()).unwrap_or(usize::MAX);
        let first = room.min(READ_BYTES);
        into.bytes.resize(first, 0);
        segment.read_at(offset, &mut into.bytes)?;
        if first < RECORD_HEADER_BYTES {
            return Err(damage(Fault::RecordLength).into());
        }
        let header = RecordHeader::decode(&into.bytes);
        let length = header.padded_bytes();
        if length > room.min(BATCH_BYTES_MAX) {
            return Err(damage(Fault::RecordLength).into());
        }
        if length > first {
            into.bytes.resize(length, 0);
            segment.read_at(offset + first as u64, &mut into.bytes[first..])?;
        }
        Ok((segment, header))
    }

    /// Visits the records from `from`, which is the place of a batch or a record, up to `to` or the durable end, in
    /// order and verified, until `visit` breaks. Gives the place to go on from.
    pub fn scan(
        &self,
        from: Position,
        to: Position,
        visit: &mut dyn FnMut(RecordRef<'_>) -> ControlFlow<()>,
    ) -> Result<Position, ReadError> {
        let durable_end = self.durable_end();
        let to = to.min(durable_end);
        if from >= to {
            return Ok(from);
        }
        let mut window = Window::default();
        let mut at = self.batch_start(from, durable_end)?;
        while at < to {
            let (segment, end) = self.shared.segment_of(at, durable_end);
            let offset = segment.offset_of(at);
            let found = window
                .batch(&segment, offset, segment.offset_of(end))?
                .ok_or_else(|| segment.damage(offset, Fault::BatchHeader))?;
            match visit_batch(&found, sector_offset(offset), from..to, visit) {
                Ok(Stop::AtEnd) => at = at.plus(found.bytes.len()),
                Ok(Stop::At(position)) => return Ok(position),
                Err(flaw) => return Err(segment.damage_after(offset, flaw).into()),
            }
        }
        Ok(at)
    }

    /// The start of the batch that holds a position.
    fn batch_start(&self, position: Position, durable_end: Position) -> Result<Position, ReadError> {
        let (segment, end) = self.shared.segment_of(position, durable_end);
        let aligned = position.get() / ALIGNMENT_BYTES as u64 * ALIGNMENT_BYTES as u64;
        let lowest = segment.base.get().max(aligned.saturating_sub(BATCH_BYTES_MAX as u64));
        let mut block = [0; BATCH_HEADER_BYTES];
        for start in (lowest..=aligned).rev().step_by(ALIGNMENT_BYTES).map(Position::from) {
            segment.read_at(segment.offset_of(start), &mut block)?;
            let holds = |header: BatchHeader| {
                let batch_end = start.plus(header.length as usize);
                position < batch_end && batch_end <= end
            };
            if BatchHeader::decode(&block, start).is_some_and(holds) {
                return Ok(start);
            }
        }
        Err(segment.damage(segment.offset_of(position), Fault::NoBatch).into())
    }

    /// Overwrites the erasable parts of the records at `positions` for good; records without one are left alone. When
    /// it returns, the parts are gone from the disk. It may be done again, and must be after an error: any of them
    /// may be erased by then, and no other byte is changed.
    pub fn erase(&self, positions: &[Position]) -> Result<(), ReadError> {
        let _alone = self.shared.erasure.lock();
        let parts = self.erasable_parts(positions)?;
        // The portion in the first sector is what tells that a part is erased, and it changes at once or not at all.
        // Were another portion to reach the disk before it, the rest would look damaged.
        self.overwrite(parts.iter().map(|part| (part, part.offset, part.first)))?;
        let further = parts.iter().filter(|part| part.rest > 0);
        self.overwrite(further.map(|part| (part, part.offset + part.first as u64, part.rest)))?;
        self.shared.erasures.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// How many erasures have ended since the ledger was opened: when it has grown, a copy must be compared again.
    pub fn erasures(&self) -> u64 {
        self.shared.erasures.load(Ordering::Acquire)
    }

    /// Where the erasable parts of the records lie, whether or not they have been erased.
    fn erasable_parts(&self, positions: &[Position]) -> Result<Vec<ErasablePart>, ReadError> {
        let mut parts = Vec::with_capacity(positions.len());
        let mut buffer = RecordBuffer::default();
        for &position in positions {
            let (segment, header) = self.load(position, &mut buffer)?;
            let offset = segment.offset_of(position);
            let (record, _) = decode_record(&buffer.bytes, position, sector_offset(offset))
                .map_err(|flaw| segment.damage_after(offset, flaw))?;
            if record.erasable != Erasable::None {
                let (first, rest) = erasable_portions(sector_offset(offset), header.erasable_length);
                parts.push(ErasablePart {
                    segment,
                    offset: offset + RECORD_HEADER_BYTES as u64,
                    first,
                    rest,
                });
            }
        }
        Ok(parts)
    }

    /// Overwrites so many bytes at each of the offsets, and syncs. It has handles of its own, so that a failure here
    /// is not hidden from the writer's sync, nor one of the writer's from the writer.
    fn overwrite<'p>(
        &self,
        spans: impl Iterator<Item = (&'p ErasablePart, u64, usize)>,
    ) -> Result<(), ReadError> {
        let mut handles: Vec<(Position, Box<dyn DiskFile>)> = Vec::new();
        for (part, offset, length) in spans {
            let base = part.segment.base;
            if !handles.iter().any(|(open, _)| *open == base) {
                handles.push((base, self.shared.disk.open(&part.segment.name())?));
            }
            for (_, handle) in handles.iter().filter(|(open, _)| *open == base) {
                part.segment.erase_at(&**handle, offset, &vec![ERASED_BYTE; length])?;
            }
        }
        handles.iter().try_for_each(|(_, handle)| handle.sync_data())?;
        Ok(())
    }
}

/// The place of an erasable part in a segment's file, and the bytes of it in its first sector and after.
struct ErasablePart {
    segment: Arc<Segment>,
    offset: u64,
    first: usize,
    rest: usize,
}

/// Where a visit to a batch ended.
enum Stop {
    AtEnd,
    At(Position),
}

/// Visits those records of a batch that lie in `range`.
fn visit_batch(
    found: &Found<'_>,
    sector_offset: usize,
    range: std::ops::Range<Position>,
    visit: &mut dyn FnMut(RecordRef<'_>) -> ControlFlow<()>,
) -> Result<Stop, Flaw> {
    let start = found.header.position;
    let mut records = Records::new(found.bytes, start, sector_offset, found.header.record_count);
    while let Some(record) = records.next() {
        let record = record?;
        if record.position >= range.end {
            return Ok(Stop::At(record.position));
        }
        if record.position >= range.start && visit(record).is_break() {
            let next = if records.is_done() { found.bytes.len() } else { records.at() };
            return Ok(Stop::At(start.plus(next)));
        }
    }
    check_batch_end(found.bytes, records.at())?;
    Ok(Stop::AtEnd)
}
