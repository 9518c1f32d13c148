//! The batch that the writer fills: records are encoded in their final place before anything is written.

use crate::{
    Position, PushError,
    format::{
        BATCH_HEADER_BYTES, Erasable, RECORD_HEADER_BYTES, RecordRef, decode_record, encode_record_header,
        is_erasable_allowed, padded_batch_bytes, padded_record_bytes, seal_batch,
    },
    limits::{BATCH_BYTES_MAX, RECORD_BYTES_MAX},
};

/// Records that become durable together, or not at all. Its buffer is used again after each append.
#[derive(Debug)]
pub struct Batch {
    position: Position,
    /// Room for the header, then the records.
    bytes: Vec<u8>,
    record_count: u32,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    /// An empty batch at the beginning of the ledger.
    pub fn new() -> Self {
        Self { position: Position::ZERO, bytes: vec![0; BATCH_HEADER_BYTES], record_count: 0 }
    }

    /// Empties the batch and sets where it will be: [`Ledger::end`](crate::Ledger::end).
    pub fn begin(&mut self, at: Position) {
        self.position = at;
        self.bytes.truncate(BATCH_HEADER_BYTES);
        self.record_count = 0;
    }

    /// Adds a record and gives its final place. `erasable` is empty or begins with random bytes, as
    /// [`PushError::Erasable`] says.
    pub fn push(&mut self, kind: u8, body: &[u8], erasable: &[u8]) -> Result<Position, PushError> {
        self.push_with(kind, erasable, |bytes| bytes.extend_from_slice(body))
    }

    /// As [`push`](Self::push), with a function that appends the body to the bytes that it is given, and must leave
    /// those before alone.
    pub fn push_with(
        &mut self,
        kind: u8,
        erasable: &[u8],
        write_body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Position, PushError> {
        if !is_erasable_allowed(erasable) {
            return Err(PushError::Erasable);
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
        self.bytes.extend_from_slice(erasable);
        let body_start = self.bytes.len();
        write_body(&mut self.bytes);
        assert!(self.bytes.len() >= body_start, "a body is appended; what lies before it is other records");
        let body_length = self.bytes.len() - body_start;
        let length = padded_record_bytes(body_length, erasable.len());
        if padded_batch_bytes(start + length) > BATCH_BYTES_MAX {
            self.bytes.truncate(start);
            let is_too_long = body_length + erasable.len() > RECORD_BYTES_MAX;
            return Err(if is_too_long { PushError::RecordTooLong } else { PushError::BatchFull });
        }
        let position = self.position.plus(start);
        let header = encode_record_header(position, kind, &self.bytes[body_start..], erasable);
        self.bytes[start..start + RECORD_HEADER_BYTES].copy_from_slice(&header);
        self.bytes.resize(start + length, 0);
        self.record_count += 1;
        Ok(position)
    }

    /// Whether it holds no record.
    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// The number of records.
    pub fn record_count(&self) -> u32 {
        self.record_count
    }

    /// The bytes that it would take on disk now.
    pub fn len_bytes(&self) -> usize {
        padded_batch_bytes(self.bytes.len())
    }

    /// Where it begins.
    pub fn position(&self) -> Position {
        self.position
    }

    /// A record that was pushed and not yet appended; nothing if none begins at that place.
    pub fn record_at(&self, position: Position) -> Option<RecordRef<'_>> {
        let at = usize::try_from(position.get().checked_sub(self.position.get())?).ok()?;
        if at < BATCH_HEADER_BYTES {
            return None;
        }
        // Where sectors begin matters to erased parts only, and nothing here has been erased.
        let (record, _) = decode_record(self.bytes.get(at..)?, position, 0).ok()?;
        (record.erasable != Erasable::Erased).then_some(record)
    }

    /// The batch as it goes to disk, `sector_offset` bytes into a sector. It is made once, and only
    /// [`begin`](Self::begin) makes it ready for records again.
    pub(crate) fn seal(&mut self, durable_before: Position, sector_offset: usize) -> &[u8] {
        seal_batch(&mut self.bytes, self.position, durable_before, self.record_count, sector_offset);
        &self.bytes
    }
}
