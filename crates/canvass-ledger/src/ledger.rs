//! The one writer: appends batches, moves on to the next segment, and stops for good when the disk fails.

use std::{io, sync::Arc};

use crate::{
    AppendError, Batch, Disk, OpenError, Position, Preparation, Reader,
    format::{SEAL_BYTES, SEGMENT_HEADER_BYTES, SPARE_NAME, Seal, SegmentHeader, VERSION, segment_name},
    limits,
    preparation::Spares,
    reader::Shared,
    recovery::{Examined, examine},
    segment::{Segment, sector_offset},
};

/// Segments are a whole number of these bytes.
const PAGE_BYTES: u64 = 4096;

/// How a ledger is kept.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The size in bytes of a new ledger's first segment. Later ones are twice as large each, and then a 128th of the
    /// ledger.
    pub segment_bytes_min: u64,
    /// The size in bytes up to which segments grow. A batch that needs more gets more.
    pub segment_bytes_max: u64,
    /// Up to where the caller vouches for what is there, as by a checkpoint: the end of some batch. Opening verifies
    /// the headers of segments before it, and every byte after it.
    pub verified_to: Position,
    /// Who makes the next segment ready.
    pub preparation: Preparation,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes_min: limits::SEGMENT_BYTES_MIN,
            segment_bytes_max: limits::SEGMENT_BYTES_MAX,
            verified_to: Position::ZERO,
            preparation: Preparation::default(),
        }
    }
}

/// What opening found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Where the next batch will begin.
    pub end: Position,
    /// What was cut off, if the last write before was lost in part.
    pub cut: Option<Cut>,
    /// The number of segments.
    pub segments: usize,
}

/// The remains of a write that was never acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Where they began.
    pub from: Position,
    /// How many bytes there were, up to the last that was not zero.
    pub bytes: u64,
}

/// An append-only log of batches of records, and the only one who writes to it. There must be one per directory.
pub struct Ledger {
    shared: Arc<Shared>,
    options: Options,
    spares: Spares,
    tail: Arc<Segment>,
    end: Position,
    is_stopped: bool,
}

impl Ledger {
    /// Opens the ledger on a disk, or begins a new one on an empty disk. What the last write left behind, if it was
    /// lost in part, is cut off; nothing is changed if there is any damage.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<(Self, Recovery), OpenError> {
        let mut examined = examine(&*disk, options.verified_to)?;
        if disk.list()?.iter().any(|name| name == SPARE_NAME) {
            disk.remove(SPARE_NAME)?;
        }
        if examined.segments.is_empty() {
            examined.segments.push(begin(&disk, &options)?);
        } else {
            settle(&*disk, &examined)?;
        }
        let recovery = Recovery { end: examined.end, cut: examined.cut, segments: examined.segments.len() };
        let ledger = Self::over(disk, options, examined)?;
        Ok((ledger, recovery))
    }

    fn over(disk: Arc<dyn Disk>, options: Options, examined: Examined) -> Result<Self, OpenError> {
        let segments: Vec<_> = examined.segments.into_iter().map(Arc::new).collect();
        let tail = Arc::clone(segments.last().expect("a ledger has at least one segment"));
        let spares = Spares::start(Arc::clone(&disk), options.preparation, preferred_after(&tail, &options))?;
        let shared = Arc::new(Shared::new(disk, segments, examined.end));
        Ok(Self { shared, options, spares, tail, end: examined.end, is_stopped: false })
    }

    /// Where the next batch will begin.
    pub fn end(&self) -> Position {
        self.end
    }

    /// A reader of everything that is durable. It goes on working when the ledger has stopped or is gone.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }

    /// Writes the batch, makes it durable, gives the ledger's new end and begins the batch anew there. It costs one
    /// write and one sync, and a few more when a segment is full. After an error the batch is as it was, except after
    /// [`AppendError::Failed`]. An empty batch costs nothing.
    pub fn append(&mut self, batch: &mut Batch) -> Result<Position, AppendError> {
        if self.is_stopped {
            return Err(AppendError::Stopped);
        }
        if batch.position() != self.end {
            return Err(AppendError::Misplaced { batch: batch.position(), end: self.end });
        }
        if batch.is_empty() {
            return Ok(self.end);
        }
        let length = batch.len_bytes();
        if self.tail.offset_of(self.end) + length as u64 > self.tail.seal_offset() {
            let spare_length = self.spares.take(bytes_for(length)).map_err(AppendError::Full)?;
            self.or_stop(|ledger| ledger.move_on(spare_length))?;
        }
        self.or_stop(|ledger| ledger.write(batch))?;
        self.end = self.end.plus(length);
        self.shared.set_durable_end(self.end);
        batch.begin(self.end);
        Ok(self.end)
    }

    /// A failed write or sync is never tried again: the system may have dropped the very bytes that it could not
    /// write, and would call the next sync a success.
    fn or_stop(&mut self, step: impl FnOnce(&mut Self) -> io::Result<()>) -> Result<(), AppendError> {
        step(self).map_err(|error| {
            self.is_stopped = true;
            AppendError::Failed(Arc::new(error))
        })
    }

    fn write(&mut self, batch: &mut Batch) -> io::Result<()> {
        let offset = self.tail.offset_of(self.end);
        let bytes = batch.seal(self.end, sector_offset(offset));
        self.tail.write_at(offset, bytes)?;
        self.tail.sync_data()
    }

    /// Makes the spare the next segment. Its header and name are durable before the seal of the one before says that
    /// it is there, and the seal is durable before its first batch is written.
    fn move_on(&mut self, spare_length: u64) -> io::Result<()> {
        let next = Arc::new(name_spare(&*self.shared.disk, self.end, spare_length)?);
        write_seal(&self.tail, self.end)?;
        self.spares.used(preferred_after(&next, &self.options));
        self.shared.add_segment(Arc::clone(&next));
        self.tail = next;
        Ok(())
    }
}

/// Bytes of a segment that holds one batch.
const fn bytes_for(batch: usize) -> u64 {
    page_multiple(SEGMENT_HEADER_BYTES + batch as u64 + SEAL_BYTES)
}

/// The size in bytes, rounded up so that no segment's seal lies in two sectors.
const fn page_multiple(bytes: u64) -> u64 {
    if bytes == 0 { PAGE_BYTES } else { bytes.next_multiple_of(PAGE_BYTES) }
}

/// The size that the segment after `segment` should have: what is not written yet, in the last segment and in the one
/// that is made ready, stays a small share of what is, and so does what is left at a segment's end because the next
/// batch did not fit.
fn preferred_after(segment: &Segment, options: &Options) -> u64 {
    let largest = options.segment_bytes_max.max(options.segment_bytes_min);
    let doubled = (segment.length * 2).min(limits::SEGMENT_BYTES_DOUBLED_MAX);
    let share = (segment.base.get() + segment.length) / limits::SEGMENTS_PER_LEDGER;
    let length = share.checked_ilog2().map_or(0, |power| 1 << power);
    page_multiple(length.max(doubled).clamp(options.segment_bytes_min, largest))
}

/// Gives the spare its header and name.
fn name_spare(disk: &dyn Disk, base: Position, length: u64) -> io::Result<Segment> {
    let file = disk.open(SPARE_NAME)?;
    file.write_at(0, &SegmentHeader { version: VERSION, base, length }.encode())?;
    file.sync_data()?;
    disk.rename(SPARE_NAME, &segment_name(base))?;
    disk.sync_directory()?;
    Ok(Segment::new(base, length, file))
}

fn write_seal(segment: &Segment, end: Position) -> io::Result<()> {
    segment.write_at(segment.seal_offset(), &Seal { base: segment.base, end }.encode())?;
    segment.sync_data()
}

/// Makes the first segment of a new ledger.
fn begin(disk: &Arc<dyn Disk>, options: &Options) -> Result<Segment, OpenError> {
    let mut spares =
        Spares::Inline { disk: Arc::clone(disk), preferred: page_multiple(options.segment_bytes_min) };
    // The caller gets the first error alone: nobody else holds it.
    let length = spares.take(0).map_err(|error| io::Error::new(error.kind(), error))?;
    Ok(name_spare(&**disk, Position::ZERO, length)?)
}

/// Brings the disk to what was found. The program before may have been killed before its sync returned, or have
/// stopped because a sync failed: then what was read just now may be in memory only, and marked as written. So the
/// last batch and the last seal are written again before they are synced.
fn settle(disk: &dyn Disk, examined: &Examined) -> io::Result<()> {
    let Some(tail) = examined.segments.last() else { return Ok(()) };
    if let Some(cut) = examined.cut {
        zero(tail, tail.offset_of(cut.from), cut.bytes)?;
    }
    if let Some(batch) = &examined.last_batch
        && batch.start >= tail.base
    {
        let length = usize::try_from(batch.end.get() - batch.start.get()).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        tail.read_at(tail.offset_of(batch.start), &mut bytes)?;
        tail.write_at(tail.offset_of(batch.start), &bytes)?;
    }
    // The seal says that its successor is there to stay, so names come first.
    disk.sync_directory()?;
    if let [.., before, last] = &examined.segments[..]
        && examined.end == last.base
    {
        write_seal(before, last.base)?;
    }
    tail.sync_data()
}

/// Overwrites bytes with zeros, so that what was cut never comes back behind a later batch.
fn zero(segment: &Segment, offset: u64, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
    segment.write_at(offset, &zeros)
}
