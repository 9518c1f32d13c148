//! Copies of a ledger that follow it while it grows, and ledgers made of such copies: what backups are.
//!
//! A mirror's files have the names and bytes of the ledger's segments, but end where the batches end. Every place in
//! it is the ledger's own, so what was copied once is never copied again, and a record can be erased where it lies.
//! Nothing is copied but whole batches whose checksums are right.

use std::{sync::Arc, thread, time::Duration};

use crate::{
    Damage, Disk, Erasable, Fault, OpenError, Position, ReadError, Reader,
    format::{
        BatchHeader, Records, SEGMENT_HEADER_BYTES, Seal, SegmentHeader, VERSION, base_of_name, check_batch,
        seal_batch, segment_name,
    },
    limits::{ERASED_TOGETHER_MAX, SCAN_BYTES, SETTLE_MS, SETTLE_TRIES},
    reader::Shared,
    segment::{Segment, Window, sector_offset},
    stretch::Stretch,
};

/// Why a mirror does not follow its ledger. It is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The ledger is not the one that was mirrored, or an earlier state of it has been continued in another way.
    #[error("from position {0} on, the ledger is another one than was copied before")]
    Diverged(Position),
    /// The ledger cannot be read.
    #[error("the ledger that is copied: {0}")]
    Source(#[source] ReadError),
    /// The mirror cannot be read or written.
    #[error("the copy: {0}")]
    Mirror(#[source] ReadError),
}

/// A copy of a ledger up to some position.
pub struct Mirror {
    disk: Arc<dyn Disk>,
    segments: Vec<Arc<Segment>>,
    end: Position,
}

impl Mirror {
    /// The mirror on a disk, which is known to be whole up to `end`; what lies behind is left aside. On an empty disk
    /// one is begun, with `end` zero.
    ///
    /// # Errors
    /// [`OpenError::Damaged`] where a file is missing or too short; what the files hold is verified when it is read.
    pub fn open(disk: Arc<dyn Disk>, end: Position) -> Result<Self, OpenError> {
        let mut bases: Vec<_> = disk.list()?.iter().filter_map(|name| base_of_name(name)).collect();
        bases.retain(|base| *base < end);
        bases.sort_unstable();
        if end > Position::ZERO && bases.first() != Some(&Position::ZERO) {
            return Err(damage(Position::ZERO, Fault::SegmentMissing).into());
        }
        let ends = bases.iter().skip(1).copied().chain([end]);
        let segments = bases.iter().zip(ends).map(|(base, end)| open_copy(&*disk, *base, end));
        Ok(Self { segments: segments.collect::<Result<_, _>>()?, disk, end })
    }

    /// Up to where the ledger has been copied.
    pub fn end(&self) -> Position {
        self.end
    }

    /// A reader of the copy.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::new(Shared::new(Arc::clone(&self.disk), self.segments.clone(), self.end)))
    }

    /// Copies what the ledger has had since, up to its durable end; it is durable here when this returns. After an
    /// error it can be done again.
    pub fn follow(&mut self, source: &Reader) -> Result<Position, MirrorError> {
        let to = source.durable_end();
        if to < self.end {
            return Err(MirrorError::Diverged(to));
        }
        let mut touched = Vec::new();
        let mut window = Window::default();
        for (segment, end) in source.segments_up_to(to) {
            let from = segment.base.max(self.end);
            if from < end || self.segments.is_empty() {
                let copy = self.copy_of(segment.base, segment.length).map_err(mirror)?;
                copy_batches(&mut window, (&segment, end), &copy, from..end)?;
                touched.push(copy);
            }
        }
        touched.iter().try_for_each(|copy| copy.sync_data()).map_err(mirror)?;
        self.disk.sync_directory().map_err(mirror)?;
        self.end = to;
        Ok(to)
    }

    /// Compares all that was copied with the ledger, and erases here what has been erased there since; gives how many
    /// records these are. It reads both from their beginning.
    ///
    /// # Errors
    /// [`MirrorError::Diverged`] at the first record that differs otherwise; nothing is changed then.
    pub fn erase_like(&self, source: &Reader) -> Result<usize, MirrorError> {
        if source.durable_end() < self.end {
            return Err(MirrorError::Diverged(source.durable_end()));
        }
        let copy = self.reader();
        let (mut theirs, mut ours) = (Window::default(), Window::default());
        let mut erased = Vec::new();
        let mut at = Position::ZERO;
        while at < self.end {
            let (segment, end) = source.segment_of(at);
            let original = sound_batch(&mut theirs, &segment, at, end).map_err(MirrorError::Source)?;
            let (segment, end) = copy.segment_of(at);
            let copied = sound_batch(&mut ours, &segment, at, end).map_err(MirrorError::Mirror)?;
            if original.bytes != copied.bytes {
                compare(&original, &copied, sector_offset(segment.offset_of(at)), &mut erased)?;
            }
            at = at.plus(original.bytes.len());
        }
        for some in erased.chunks(ERASED_TOGETHER_MAX) {
            copy.erase(some).map_err(MirrorError::Mirror)?;
        }
        Ok(erased.len())
    }

    /// Adds the stretch that comes next. It is durable after the next [`follow`](Self::follow), or never: what is made
    /// of stretches is copied further.
    pub fn append(&mut self, stretch: &Stretch) -> Result<(), MirrorError> {
        if stretch.from() != self.end {
            return Err(MirrorError::Diverged(self.end));
        }
        let copy = self.copy_of(stretch.segment.base, stretch.segment.length).map_err(mirror)?;
        copy.write_at(copy.offset_of(self.end), stretch.bytes()).map_err(mirror)?;
        self.end = stretch.to();
        Ok(())
    }

    /// The file for a segment's copy, made if it is not there yet.
    fn copy_of(&mut self, base: Position, length: u64) -> std::io::Result<Arc<Segment>> {
        if let Some(copy) = self.segments.iter().find(|copy| copy.base == base) {
            return Ok(Arc::clone(copy));
        }
        let copy = Arc::new(create_copy(&*self.disk, base, length)?);
        self.segments.push(Arc::clone(&copy));
        Ok(copy)
    }
}

impl Reader {
    /// Writes the records before `to` as a new ledger onto an empty disk, each at its own position; gives the new
    /// ledger's end. `to` is the place of a record, or where a batch ends.
    pub fn copy_to(&self, disk: &dyn Disk, to: Position) -> Result<Position, MirrorError> {
        let mut window = Window::default();
        let mut new_end = Position::ZERO;
        let mut segments = self.segments_up_to(self.durable_end());
        segments.retain(|(segment, _)| segment.base < to || segment.base == Position::ZERO);
        for (index, (segment, end)) in segments.iter().enumerate() {
            let copy = create_copy(disk, segment.base, segment.length).map_err(mirror)?;
            let wanted = segment.base..to.min(*end);
            new_end = copy_batches(&mut window, (segment, *end), &copy, wanted)?;
            let is_last = index + 1 == segments.len();
            finish(&copy, new_end, is_last).map_err(mirror)?;
        }
        disk.sync_directory().map_err(mirror)?;
        Ok(new_end)
    }
}

fn mirror(error: std::io::Error) -> MirrorError {
    MirrorError::Mirror(error.into())
}

fn damage(base: Position, fault: Fault) -> Damage {
    Damage { segment: segment_name(base), offset: 0, position: base, fault }
}

/// Opens the copy of a segment whose batches end at `end`.
fn open_copy(disk: &dyn Disk, base: Position, end: Position) -> Result<Arc<Segment>, OpenError> {
    let file = disk.open(&segment_name(base))?;
    let bytes = file.length()?;
    let mut block = [0; 64];
    if bytes < SEGMENT_HEADER_BYTES {
        return Err(damage(base, Fault::SegmentLength).into());
    }
    file.read_at(0, &mut block)?;
    let header = SegmentHeader::decode(&block).filter(|header| header.base == base);
    let header = header.ok_or_else(|| damage(base, Fault::SegmentHeader))?;
    if header.version > VERSION {
        return Err(OpenError::Newer { segment: segment_name(base), version: header.version });
    }
    let segment = Segment::new(base, header.length, file);
    if bytes < segment.offset_of(end) {
        return Err(damage(base, Fault::SegmentLength).into());
    }
    Ok(Arc::new(segment))
}

/// Begins the copy of a segment with its header.
fn create_copy(disk: &dyn Disk, base: Position, length: u64) -> std::io::Result<Segment> {
    let file = disk.create(&segment_name(base))?;
    let header = SegmentHeader { version: VERSION, base, length };
    file.write_at(0, &header.encode())?;
    Ok(Segment::new(base, length, file))
}

/// Copies the batches in `range` of a segment that holds them up to `from_end`; one that reaches past the range's end is
/// closed after the last record before it. Gives where the copy ends.
fn copy_batches(
    window: &mut Window,
    (from, from_end): (&Segment, Position),
    to: &Segment,
    range: std::ops::Range<Position>,
) -> Result<Position, MirrorError> {
    let mut at = range.start;
    let mut pending = Vec::new();
    let mut pending_from = to.offset_of(at);
    while at < range.end {
        let batch = sound_batch(window, from, at, from_end).map_err(MirrorError::Source)?;
        let is_cut = at.plus(batch.bytes.len()) > range.end;
        let before = pending.len();
        if is_cut {
            pending.extend(cut(&batch, range.end, sector_offset(from.offset_of(at))));
        } else {
            pending.extend_from_slice(batch.bytes);
        }
        at = at.plus(pending.len() - before);
        if pending.len() >= SCAN_BYTES {
            to.write_at(pending_from, &pending).map_err(mirror)?;
            pending_from += pending.len() as u64;
            pending.clear();
        }
        if is_cut {
            break;
        }
    }
    to.write_at(pending_from, &pending).map_err(mirror)?;
    Ok(at)
}

pub(crate) struct SoundBatch<'w> {
    pub(crate) header: BatchHeader,
    pub(crate) bytes: &'w [u8],
}

impl<'w> SoundBatch<'w> {
    fn records(&self, sector_offset: usize) -> Records<'w> {
        Records::new(self.bytes, self.header.position, sector_offset, self.header.record_count)
    }
}

/// The batch at a position, verified. Where it is not sound it is read again for a while: another program may be
/// erasing in it.
pub(crate) fn sound_batch<'w>(
    window: &'w mut Window,
    segment: &Segment,
    at: Position,
    end: Position,
) -> Result<SoundBatch<'w>, ReadError> {
    let (offset, limit) = (segment.offset_of(at), segment.offset_of(end).min(segment.seal_offset()));
    let mut tries = 0;
    loop {
        let flaw = match window.batch(segment, offset, limit)? {
            Some(found) => check_batch(found.bytes, found.header, sector_offset(offset)).err(),
            None => Some(crate::format::Flaw { at: 0, fault: Fault::BatchHeader }),
        };
        match flaw {
            None => break,
            Some(flaw) if tries == SETTLE_TRIES => return Err(segment.damage_after(offset, flaw).into()),
            Some(_) => tries += 1,
        }
        thread::sleep(Duration::from_millis(SETTLE_MS));
        *window = Window::default();
    }
    let found = window.batch(segment, offset, limit)?;
    let found = found.ok_or_else(|| segment.damage(offset, Fault::BatchHeader))?;
    Ok(SoundBatch { header: found.header, bytes: found.bytes })
}

/// The batch without its records from `to` on; nothing if none is left.
fn cut(batch: &SoundBatch<'_>, to: Position, sector_offset: usize) -> Vec<u8> {
    let start = batch.header.position;
    let mut records = batch.records(sector_offset);
    let (mut count, mut length) = (0, 0);
    while start.plus(records.at()) < to && matches!(records.next(), Some(Ok(_))) {
        count += 1;
        length = records.at();
    }
    if count == 0 {
        return Vec::new();
    }
    let mut kept = batch.bytes[..length].to_vec();
    kept[..crate::format::BATCH_HEADER_BYTES].fill(0);
    seal_batch(&mut kept, start, start, count, sector_offset);
    kept
}

/// Fills a restored segment with zeros to its full length, as every segment is before it is written to, and seals it
/// unless it is the last.
fn finish(segment: &Segment, end: Position, is_last: bool) -> std::io::Result<()> {
    let zeros = vec![0; SCAN_BYTES];
    let mut offset = segment.offset_of(end);
    while offset < segment.length {
        let step = zeros.len().min(usize::try_from(segment.length - offset).unwrap_or(usize::MAX));
        segment.write_at(offset, &zeros[..step])?;
        offset += step as u64;
    }
    if !is_last {
        segment.write_at(segment.seal_offset(), &Seal { base: segment.base, end }.encode())?;
    }
    segment.sync_data()
}

/// Notes what has been erased in the original; any other difference means that it is not the original.
pub(crate) fn compare(
    original: &SoundBatch<'_>,
    copied: &SoundBatch<'_>,
    sector_offset: usize,
    erased: &mut Vec<Position>,
) -> Result<(), MirrorError> {
    let diverged = MirrorError::Diverged;
    if original.header != copied.header {
        return Err(diverged(original.header.position));
    }
    for pair in original.records(sector_offset).zip(copied.records(sector_offset)) {
        let (Ok(theirs), Ok(ours)) = pair else { return Err(diverged(original.header.position)) };
        if (theirs.position, theirs.kind, theirs.body) != (ours.position, ours.kind, ours.body) {
            return Err(diverged(theirs.position));
        }
        if theirs.erasable == Erasable::Erased {
            erased.push(theirs.position);
        }
    }
    Ok(())
}
