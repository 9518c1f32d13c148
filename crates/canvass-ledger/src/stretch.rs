//! Pieces of a ledger for places that know no files: whole batches with the segment that they lie in, of which a mirror
//! can be made again.

use crate::{
    Damage, Fault, MirrorError, Position, ReadError, Reader,
    format::{BatchHeader, Flaw, SEGMENT_HEADER_BYTES, check_batch, segment_name},
    mirror::{SoundBatch, compare, sound_batch},
    segment::{Window, sector_offset},
};

/// The segment that a stretch lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentPlace {
    /// The position of its first batch.
    pub base: Position,
    /// Bytes of its file.
    pub length: u64,
}

/// Batches that follow one another in one segment, verified.
#[derive(Debug)]
pub struct Stretch {
    pub(crate) segment: SegmentPlace,
    from: Position,
    bytes: Vec<u8>,
}

impl Stretch {
    /// What was kept of a ledger somewhere else, verified again.
    ///
    /// # Errors
    /// The first damage in it.
    pub fn verify(segment: SegmentPlace, from: Position, bytes: Vec<u8>) -> Result<Self, Damage> {
        let stretch = Self { segment, from: from.max(segment.base), bytes };
        if from < segment.base {
            return Err(stretch.damage(0, Flaw { at: 0, fault: Fault::NoBatch }));
        }
        let mut at = 0;
        while at < stretch.bytes.len() {
            at += stretch.batch(at)?.bytes.len();
        }
        Ok(stretch)
    }

    /// The segment that it lies in.
    pub fn segment(&self) -> SegmentPlace {
        self.segment
    }

    /// Where it begins.
    pub fn from(&self) -> Position {
        self.from
    }

    /// Where it ends.
    pub fn to(&self) -> Position {
        self.from.plus(self.bytes.len())
    }

    /// The same without what lies before a position where one of its batches begins.
    ///
    /// # Errors
    /// No batch begins there.
    pub fn skip_to(mut self, from: Position) -> Result<Self, Damage> {
        let skipped = usize::try_from(from.get().saturating_sub(self.from.get())).unwrap_or(usize::MAX);
        if skipped < self.bytes.len() {
            self.batch(skipped)?;
        }
        self.bytes.drain(..skipped.min(self.bytes.len()));
        self.from = self.from.max(from);
        Ok(self)
    }

    /// All of its batches.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many records of an earlier copy of this stretch have been erased since.
    ///
    /// # Errors
    /// [`MirrorError::Diverged`] at the first record that differs otherwise.
    pub fn erasures_since(&self, copied: &Self) -> Result<usize, MirrorError> {
        let mut erased = Vec::new();
        let mut at = 0;
        while at < copied.bytes.len() {
            let theirs = self.batch(at).map_err(|damage| MirrorError::Diverged(damage.position))?;
            let ours = copied.batch(at).map_err(|damage| MirrorError::Mirror(damage.into()))?;
            if theirs.bytes != ours.bytes {
                compare(&theirs, &ours, self.sector_offset(at), &mut erased)?;
            }
            at += ours.bytes.len();
        }
        if self.bytes.len() != copied.bytes.len() {
            return Err(MirrorError::Diverged(copied.to()));
        }
        Ok(erased.len())
    }

    /// The batch so many bytes after the beginning.
    fn batch(&self, at: usize) -> Result<SoundBatch<'_>, Damage> {
        let rest = self.bytes.get(at..).unwrap_or_default();
        let header = BatchHeader::decode(rest, self.from.plus(at));
        let found = header.and_then(|header| Some((header, rest.get(..header.length as usize)?)));
        let (header, bytes) =
            found.ok_or_else(|| self.damage(at, Flaw { at: 0, fault: Fault::BatchHeader }))?;
        check_batch(bytes, header, self.sector_offset(at)).map_err(|flaw| self.damage(at, flaw))?;
        Ok(SoundBatch { header, bytes })
    }

    /// How far into a sector of the segment's file a byte of the stretch lies.
    fn sector_offset(&self, at: usize) -> usize {
        sector_offset(self.offset(at))
    }

    fn offset(&self, at: usize) -> u64 {
        SEGMENT_HEADER_BYTES + (self.from.plus(at).get() - self.segment.base.get())
    }

    fn damage(&self, at: usize, flaw: Flaw) -> Damage {
        let at = at + flaw.at;
        Damage {
            segment: segment_name(self.segment.base),
            offset: self.offset(at),
            position: self.from.plus(at),
            fault: flaw.fault,
        }
    }
}

impl Reader {
    /// The batches from `from`, where one begins, to the first one that ends at `to` or after it, within one segment;
    /// at least one, and no more than `bytes_max` where that is enough for one. None at the durable end.
    pub fn stretch(
        &self,
        from: Position,
        to: Position,
        bytes_max: usize,
    ) -> Result<Option<Stretch>, ReadError> {
        if from >= self.durable_end() {
            return Ok(None);
        }
        let (segment, end) = self.segment_of(from);
        let mut window = Window::default();
        let mut bytes = Vec::new();
        let mut at = from;
        while at < to.min(end) {
            let batch = sound_batch(&mut window, &segment, at, end)?;
            if !bytes.is_empty() && bytes.len() + batch.bytes.len() > bytes_max {
                break;
            }
            bytes.extend_from_slice(batch.bytes);
            at = from.plus(bytes.len());
        }
        let segment = SegmentPlace { base: segment.base, length: segment.length };
        Ok(Some(Stretch { segment, from, bytes }))
    }
}
