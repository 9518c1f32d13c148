//! Looks at the segments of a ledger, verifies them and finds its end, without changing anything.

use std::{io, ops::Range};

use crate::{
    Cut, Damage, Disk, Fault, OpenError, Position,
    format::{
        BATCH_TRAILER_BYTES, SEAL_BYTES, SEGMENT_HEADER_BYTES, Seal, SegmentHeader, VERSION, base_of_name,
        check_batch, first_not_zero, is_trailer, is_zero, segment_name,
    },
    limits::{BATCH_BYTES_MAX, SCAN_BYTES},
    segment::{Segment, Window, sector_offset},
    torn::{Verdict, judge},
};

/// What was found.
pub(crate) struct Examined {
    /// In order; none for a new ledger.
    pub(crate) segments: Vec<Segment>,
    pub(crate) end: Position,
    /// What the last write left behind, if it was lost in part.
    pub(crate) cut: Option<Cut>,
    /// The last batch, where it was scanned: the one write that nothing after it proves durable.
    pub(crate) last_batch: Option<Range<Position>>,
}

/// Verifies every segment's header and seal, and all batches from `verified_to` on.
pub(crate) fn examine(disk: &dyn Disk, verified_to: Position) -> Result<Examined, OpenError> {
    let segments = open_segments(disk)?;
    let is_last_but_one_sealed = check_seals(&segments)?;
    let mut examined = Examined { segments, end: Position::ZERO, cut: None, last_batch: None };
    scan(&mut examined, verified_to)?;
    if examined.end < verified_to {
        return Err(OpenError::Short { end: examined.end, verified_to });
    }
    if !is_last_but_one_sealed {
        check_last_is_untouched(&examined)?;
    }
    Ok(examined)
}

pub(crate) fn open_segments(disk: &dyn Disk) -> Result<Vec<Segment>, OpenError> {
    let mut bases: Vec<Position> = disk.list()?.iter().filter_map(|name| base_of_name(name)).collect();
    bases.sort_unstable();
    bases.into_iter().map(|base| open_segment(disk, base)).collect()
}

fn open_segment(disk: &dyn Disk, base: Position) -> Result<Segment, OpenError> {
    let name = segment_name(base);
    let file = disk.open(&name)?;
    let length = file.length()?;
    let damage = |fault| Damage { segment: name.clone(), offset: 0, position: base, fault };
    if length < SEGMENT_HEADER_BYTES + SEAL_BYTES {
        return Err(damage(Fault::SegmentLength).into());
    }
    let mut block = [0; 64];
    file.read_at(0, &mut block)?;
    let header = SegmentHeader::decode(&block).ok_or_else(|| damage(Fault::SegmentHeader))?;
    if header.version > VERSION {
        return Err(OpenError::Newer { segment: name, version: header.version });
    }
    if header.base != base {
        return Err(damage(Fault::SegmentHeader).into());
    }
    if header.length != length {
        return Err(damage(Fault::SegmentLength).into());
    }
    Ok(Segment::new(base, length, file))
}

/// Checks that every segment leads to the next, and gives whether the last but one is sealed. It may lack its seal,
/// for that is written after its successor has been made.
fn check_seals(segments: &[Segment]) -> Result<bool, OpenError> {
    if let Some(first) = segments.first()
        && first.base != Position::ZERO
    {
        return Err(missing(Position::ZERO).into());
    }
    let mut is_last_but_one_sealed = true;
    for (index, segment) in segments.iter().enumerate() {
        let next_base = segments.get(index + 1).map(|next| next.base);
        let mut block = [0; 64];
        segment.read_at(segment.seal_offset(), &mut block)?;
        let seal = Seal::decode(&block).filter(|seal| seal.base == segment.base);
        match (seal, next_base) {
            (Some(seal), next) if next == Some(seal.end) => {}
            (Some(seal), _) => return Err(missing(seal.end).into()),
            (None, None) if is_zero(&block) => {}
            (None, Some(_)) if is_zero(&block) && index + 2 == segments.len() => {
                is_last_but_one_sealed = false;
            }
            (None, _) => return Err(segment.damage(segment.seal_offset(), Fault::Seal).into()),
        }
    }
    Ok(is_last_but_one_sealed)
}

pub(crate) fn missing(base: Position) -> Damage {
    Damage { segment: segment_name(base), offset: 0, position: base, fault: Fault::SegmentMissing }
}

/// Nothing is written into a segment before the one before it is sealed.
fn check_last_is_untouched(examined: &Examined) -> Result<(), OpenError> {
    let [.., before, last] = &examined.segments[..] else { return Ok(()) };
    if examined.end == last.base && examined.cut.is_none() {
        return Ok(());
    }
    Err(before.damage(before.seal_offset(), Fault::Seal).into())
}

/// Verifies the batches from `from` on and finds the end.
fn scan(examined: &mut Examined, from: Position) -> Result<(), OpenError> {
    let mut window = Window::default();
    let first = examined.segments.partition_point(|segment| segment.base <= from).saturating_sub(1);
    let Some(first_segment) = examined.segments.get(first) else { return Ok(()) };
    // Where no batch ends at the place that the caller gave, the ledger is not what it was: its true end is looked for.
    let mut at = if ends_batch(first_segment, from)? { from } else { first_segment.base };
    for index in first..examined.segments.len() {
        let segment = &examined.segments[index];
        let next_base = examined.segments.get(index + 1).map(|next| next.base);
        while let Some(end) = sound_batch_end(&mut window, segment, at)? {
            examined.last_batch = Some(at..end);
            at = end;
        }
        match next_base {
            Some(next_base) => check_rest_of_sealed(segment, at, next_base)?,
            None => examined.cut = find_cut(segment, at)?,
        }
    }
    examined.end = at;
    Ok(())
}

/// Whether a batch ends at `position`, or the segment begins there.
pub(crate) fn ends_batch(segment: &Segment, position: Position) -> io::Result<bool> {
    let offset = segment.offset_of(position);
    if position == segment.base || offset > segment.seal_offset() {
        return Ok(position == segment.base);
    }
    let mut trailer = [0; BATCH_TRAILER_BYTES];
    segment.read_at(offset - trailer.len() as u64, &mut trailer)?;
    Ok(is_trailer(trailer))
}

/// Where the batch at `at` ends, if it is sound; nothing at the end and where something is wrong.
pub(crate) fn sound_batch_end(
    window: &mut Window,
    segment: &Segment,
    at: Position,
) -> io::Result<Option<Position>> {
    let offset = segment.offset_of(at);
    let Some(found) = window.batch(segment, offset, segment.seal_offset())? else { return Ok(None) };
    let is_sound = check_batch(found.bytes, found.header, sector_offset(offset)).is_ok();
    Ok(is_sound.then(|| at.plus(found.bytes.len())))
}

/// In a segment that another follows, batches go up to that one's base, and zeros from there to the seal.
fn check_rest_of_sealed(segment: &Segment, at: Position, next_base: Position) -> Result<(), OpenError> {
    let tail = read_tail(segment, at)?;
    if at > next_base {
        return Err(segment.damage(segment.seal_offset(), Fault::Seal).into());
    }
    if at < next_base {
        return Err(match &tail {
            Some(tail) => damage_of(segment, at, tail),
            None => segment.damage(segment.offset_of(at), Fault::BatchHeader),
        }
        .into());
    }
    match tail {
        None => Ok(()),
        Some(tail) => {
            let offset = segment.offset_of(at) + first_not_zero(&tail).unwrap_or(0) as u64;
            Err(segment.damage(offset, Fault::NotZero).into())
        }
    }
}

/// What is to be cut from the last segment, whose last sound batch ends at `at`.
pub(crate) fn find_cut(segment: &Segment, at: Position) -> Result<Option<Cut>, OpenError> {
    let Some(tail) = read_tail(segment, at)? else { return Ok(None) };
    match judge(&tail, at, sector_offset(segment.offset_of(at))) {
        // One write cannot have reached so far.
        Verdict::Torn if tail.len() > BATCH_BYTES_MAX => Err(damage_of(segment, at, &tail).into()),
        Verdict::Torn => Ok(Some(Cut { from: at, bytes: tail.len() as u64 })),
        Verdict::Damaged(flaw) => Err(segment.damage_after(segment.offset_of(at), flaw).into()),
    }
}

/// The damage to report for a tail that cannot be a torn write.
fn damage_of(segment: &Segment, at: Position, tail: &[u8]) -> Damage {
    let flaw = match judge(tail, at, sector_offset(segment.offset_of(at))) {
        Verdict::Damaged(flaw) => flaw,
        Verdict::Torn => crate::format::Flaw { at: 0, fault: Fault::BatchHeader },
    };
    segment.damage_after(segment.offset_of(at), flaw)
}

/// The bytes from `at` to the last one that is not zero, or enough of them to know that they are more than one write;
/// nothing if all are zero up to the seal.
fn read_tail(segment: &Segment, at: Position) -> io::Result<Option<Vec<u8>>> {
    let (start, limit) = (segment.offset_of(at), segment.seal_offset());
    let mut window = Window::default();
    let mut tail_end = None;
    let mut offset = start;
    while offset < limit {
        let length = usize::try_from(limit - offset).unwrap_or(usize::MAX).min(SCAN_BYTES);
        let bytes = window.bytes(segment, offset, length, limit)?;
        // Most of a segment's rest is zero, which is quicker to see than where the last other byte lies.
        if !is_zero(bytes)
            && let Some(last) = bytes.iter().rposition(|&byte| byte != 0)
        {
            tail_end = Some(offset + last as u64 + 1);
        }
        offset += length as u64;
    }
    let Some(tail_end) = tail_end else { return Ok(None) };
    let length = usize::try_from(tail_end - start).unwrap_or(usize::MAX).min(BATCH_BYTES_MAX + 1);
    let mut tail = vec![0; length];
    segment.read_at(start, &mut tail)?;
    Ok(Some(tail))
}
