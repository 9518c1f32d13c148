//! Records: a header that checks the body, and a part that can be erased without touching anything else.

use super::{BATCH_HEADER_BYTES, BATCH_TRAILER_BYTES, Flaw, SECTOR_BYTES, u32_at};
use crate::{Fault, Position, limits};

/// Bytes of a record before its erasable part and body.
pub(crate) const RECORD_HEADER_BYTES: usize = 16;
/// What an erased part is overwritten with. Not zero, which is what a sector that never reached the disk holds; and
/// not a byte of any text.
pub(crate) const ERASED_BYTE: u8 = 0xFF;

/// The part of a record that can be erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erasable<'a> {
    /// The record was written without one.
    None,
    /// As it was written.
    Present(&'a [u8]),
    /// It has been erased.
    Erased,
}

/// A record whose checksums have been verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Its place in the ledger.
    pub position: Position,
    /// What kind of record it is, which means nothing to the ledger.
    pub kind: u8,
    /// The part that stays.
    pub body: &'a [u8],
    /// The part that can be erased.
    pub erasable: Erasable<'a>,
}

/// Bytes that a record takes.
pub(crate) const fn padded_record_bytes(body: usize, erasable: usize) -> usize {
    (RECORD_HEADER_BYTES + erasable + body).next_multiple_of(8)
}

/// Whether an erasable part has an allowed length and can never be taken for an erased one, not even with a byte
/// changed.
pub(crate) fn is_erasable_allowed(erasable: &[u8]) -> bool {
    if erasable.is_empty() {
        return true;
    }
    (limits::ERASABLE_BYTES_MIN..=limits::ERASABLE_BYTES_MAX).contains(&erasable.len())
        && erasable[..limits::ERASABLE_BYTES_MIN].iter().filter(|&&byte| byte != ERASED_BYTE).count() >= 2
}

/// How many bytes of an erasable part lie in its first sector, and how many after it. The record's header starts
/// `sector_offset` bytes into a sector.
pub(crate) fn erasable_portions(sector_offset: usize, erasable: usize) -> (usize, usize) {
    let room = SECTOR_BYTES - (sector_offset + RECORD_HEADER_BYTES) % SECTOR_BYTES;
    let first = erasable.min(room);
    (first, erasable - first)
}

/// The header of a record at `position`. The lengths have been checked against the limits.
pub(crate) fn encode_record_header(
    position: Position,
    kind: u8,
    body: &[u8],
    erasable: &[u8],
) -> [u8; RECORD_HEADER_BYTES] {
    let erasable_length = u16::try_from(erasable.len()).expect("the erasable part is within its limit");
    let body_length = u32::try_from(body.len()).expect("the body is within its limit");
    let mut header = [0; RECORD_HEADER_BYTES];
    header[4] = kind;
    header[6..8].copy_from_slice(&erasable_length.to_le_bytes());
    header[8..12].copy_from_slice(&body_length.to_le_bytes());
    if !erasable.is_empty() {
        header[12..].copy_from_slice(&crc32c::crc32c(erasable).to_le_bytes());
    }
    let checksum = record_checksum(position, &header, body);
    header[..4].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// The checksum over a record's place, its header without the checksum itself, and its body.
fn record_checksum(position: Position, header: &[u8], body: &[u8]) -> u32 {
    let mut start = [0; 20];
    start[..8].copy_from_slice(&position.get().to_le_bytes());
    start[8..].copy_from_slice(&header[4..RECORD_HEADER_BYTES]);
    crc32c::crc32c_append(crc32c::crc32c(&start), body)
}

/// A record's header, not yet verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordHeader {
    checksum: u32,
    kind: u8,
    flags: u8,
    pub(crate) erasable_length: usize,
    body_length: usize,
    erasable_checksum: u32,
}

impl RecordHeader {
    /// Reads a header; `bytes` are at least 16.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        Self {
            checksum: u32_at(bytes, 0),
            kind: bytes[4],
            flags: bytes[5],
            erasable_length: usize::from(u16::from_le_bytes([bytes[6], bytes[7]])),
            body_length: u32_at(bytes, 8) as usize,
            erasable_checksum: u32_at(bytes, 12),
        }
    }

    /// Bytes that the record takes, its header and padding included.
    pub(crate) const fn padded_bytes(self) -> usize {
        padded_record_bytes(self.body_length, self.erasable_length)
    }
}

/// Verifies the record at the start of `bytes`, which lies at `position` and starts `sector_offset` bytes into a
/// sector. Gives the record and the bytes that it takes.
pub(crate) fn decode_record(
    bytes: &[u8],
    position: Position,
    sector_offset: usize,
) -> Result<(RecordRef<'_>, usize), Flaw> {
    let flaw = |at, fault| Flaw { at, fault };
    if bytes.len() < RECORD_HEADER_BYTES {
        return Err(flaw(0, Fault::RecordLength));
    }
    let header = RecordHeader::decode(bytes);
    let length = header.padded_bytes();
    if length > bytes.len() {
        return Err(flaw(0, Fault::RecordLength));
    }
    let body_start = RECORD_HEADER_BYTES + header.erasable_length;
    let body_end = body_start + header.body_length;
    let body = &bytes[body_start..body_end];
    if header.flags != 0 || header.checksum != record_checksum(position, bytes, body) {
        return Err(flaw(0, Fault::Record));
    }
    let erasable =
        read_erasable(&bytes[RECORD_HEADER_BYTES..body_start], header.erasable_checksum, sector_offset)
            .ok_or(flaw(RECORD_HEADER_BYTES, Fault::Erasable))?;
    if let Some(at) = super::first_not_zero(&bytes[body_end..length]) {
        return Err(flaw(body_end + at, Fault::NotZero));
    }
    Ok((RecordRef { position, kind: header.kind, body, erasable }, length))
}

/// Tells a whole erasable part from an erased one; nothing for a damaged one. One that reaches into further sectors
/// counts as erased as soon as its portion in the first is, so that an interrupted erasure is no damage.
fn read_erasable(erasable: &[u8], checksum: u32, sector_offset: usize) -> Option<Erasable<'_>> {
    if erasable.is_empty() {
        return Some(Erasable::None);
    }
    if crc32c::crc32c(erasable) == checksum {
        return Some(Erasable::Present(erasable));
    }
    let (first, _) = erasable_portions(sector_offset, erasable.len());
    erasable[..first].iter().all(|&byte| byte == ERASED_BYTE).then_some(Erasable::Erased)
}

/// Goes through the records of a batch, verifying each.
pub(crate) struct Records<'a> {
    batch: &'a [u8],
    position: Position,
    sector_offset: usize,
    at: usize,
    left: u32,
}

impl<'a> Records<'a> {
    /// The records of `batch`, all of whose bytes are given, which lies at `position`, `sector_offset` bytes into a
    /// sector, and holds `count` records.
    pub(crate) fn new(batch: &'a [u8], position: Position, sector_offset: usize, count: u32) -> Self {
        Self { batch, position, sector_offset, at: BATCH_HEADER_BYTES, left: count }
    }

    /// How many bytes into the batch the next record starts, or where the padding starts after the last one.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// Whether all records have been given.
    pub(crate) const fn is_done(&self) -> bool {
        self.left == 0
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordRef<'a>, Flaw>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let bytes = &self.batch[self.at..self.batch.len() - BATCH_TRAILER_BYTES];
        let place = (self.position.plus(self.at), (self.sector_offset + self.at) % SECTOR_BYTES);
        Some(match decode_record(bytes, place.0, place.1) {
            Ok((record, length)) => {
                self.at += length;
                self.left -= 1;
                Ok(record)
            }
            Err(flaw) => {
                self.left = 0;
                Err(Flaw { at: self.at + flaw.at, ..flaw })
            }
        })
    }
}
