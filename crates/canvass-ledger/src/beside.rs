//! Reads a ledger that another program may be writing to, without a word between the two.
//!
//! What is seen can be in the middle of a write or an erasure. So the end is where zeros are seen, whatever is unsound
//! is looked at again, and only what stays unsound is a torn write or damage.

use std::{io, sync::Arc, thread, time::Duration};

use crate::{
    Disk, OpenError, Position, Reader,
    format::{BATCH_HEADER_BYTES, Seal, is_zero},
    limits::{SETTLE_MS, SETTLE_TRIES},
    reader::Shared,
    recovery::{ends_batch, find_cut, missing, open_segments, sound_batch_end},
    segment::{Segment, Window},
};

impl Reader {
    /// A reader of a ledger that another program may be writing to, up to where it is durable now. All batches from
    /// `verified_to` on are verified, and what the other program may not have synced yet is synced here first.
    /// Nothing is changed.
    ///
    /// # Errors
    /// As [`Ledger::open`](crate::Ledger::open). What looks like damage is looked at again for about a second.
    pub fn beside(disk: Arc<dyn Disk>, verified_to: Position) -> Result<Self, OpenError> {
        let mut segments = open_segments(&*disk)?;
        let mut at = start(&segments, verified_to)?;
        let mut tries = 0;
        let end = loop {
            let before = at;
            match look(&segments, &mut at)? {
                Look::End => break at,
                Look::Continued => {
                    segments = open_segments(&*disk)?;
                    if segments.last().is_none_or(|last| last.base < at) {
                        return Err(missing(at).into());
                    }
                }
                // What was read just before was old already: the writer is at work.
                Look::Unsound(_) if at > before => tries = 0,
                Look::Unsound(position) => {
                    if tries == SETTLE_TRIES {
                        judge(&segments, position)?;
                        break at;
                    }
                    tries += 1;
                    thread::sleep(Duration::from_millis(SETTLE_MS));
                }
            }
        };
        if end < verified_to {
            return Err(OpenError::Short { end, verified_to });
        }
        // A segment is durable before the next one is begun, so only the last two can hold what is not.
        segments.iter().rev().take(2).try_for_each(Segment::sync_data)?;
        disk.sync_directory()?;
        let segments = segments.into_iter().map(Arc::new).collect();
        Ok(Self::new(Arc::new(Shared::new(disk, segments, end))))
    }
}

/// What lies where the sound batches end.
enum Look {
    /// Nothing yet.
    End,
    /// The ledger goes on in a segment that was not there before.
    Continued,
    /// Something that is no batch, or not yet.
    Unsound(Position),
}

/// Where to begin: at the place vouched for if a batch ends there, else with its segment.
fn start(segments: &[Segment], verified_to: Position) -> Result<Position, OpenError> {
    if segments.first().is_none_or(|first| first.base != Position::ZERO) {
        return Err(missing(Position::ZERO).into());
    }
    let segment = &segments[holding(segments, verified_to)];
    Ok(if ends_batch(segment, verified_to)? { verified_to } else { segment.base })
}

/// The index of the segment that holds a position.
fn holding(segments: &[Segment], position: Position) -> usize {
    segments.partition_point(|segment| segment.base <= position).saturating_sub(1)
}

/// Goes on over sound batches, and looks at what follows them.
fn look(segments: &[Segment], at: &mut Position) -> io::Result<Look> {
    // Nothing that was read before is looked at again: it may have changed since.
    let mut window = Window::default();
    for (index, segment) in segments.iter().enumerate().skip(holding(segments, *at)) {
        while let Some(end) = sound_batch_end(&mut window, segment, *at)? {
            *at = end;
        }
        match segments.get(index + 1) {
            Some(next) if next.base == *at => {}
            Some(_) => return Ok(Look::Unsound(*at)),
            None => return look_at_end(segment, *at),
        }
    }
    Ok(Look::Unsound(*at))
}

fn look_at_end(segment: &Segment, at: Position) -> io::Result<Look> {
    let offset = segment.offset_of(at);
    let room = usize::try_from(segment.seal_offset() - offset).unwrap_or(usize::MAX);
    let mut block = [0; BATCH_HEADER_BYTES];
    let block = &mut block[..room.min(BATCH_HEADER_BYTES)];
    segment.read_at(offset, block)?;
    if !is_zero(block) {
        return Ok(Look::Unsound(at));
    }
    let mut seal = [0; 64];
    segment.read_at(segment.seal_offset(), &mut seal)?;
    if is_zero(&seal) {
        return Ok(Look::End);
    }
    let is_continued = Seal::decode(&seal).is_some_and(|seal| seal.base == segment.base && seal.end == at);
    Ok(if is_continued { Look::Continued } else { Look::Unsound(at) })
}

/// Whether what stays unsound is the remains of a write that was never acknowledged; everything else is damage.
fn judge(segments: &[Segment], at: Position) -> Result<(), OpenError> {
    let index = holding(segments, at);
    let segment = &segments[index];
    let is_last = index + 1 == segments.len();
    if find_cut(segment, at)?.is_some() && is_last {
        return Ok(());
    }
    let fault = if is_last { crate::Fault::Seal } else { crate::Fault::BatchHeader };
    Err(segment.damage(segment.offset_of(at), fault).into())
}
