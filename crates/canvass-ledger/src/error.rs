//! What can go wrong, by what the caller can do about it: damage is told apart from a failing disk and a full one.

use std::{io, sync::Arc};

use crate::Position;

/// What was found to be wrong at the place that a [`Damage`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The 64 bytes at the start of a segment.
    #[error("the segment's header is damaged")]
    SegmentHeader,
    /// The file is shorter or longer than its header says.
    #[error("the segment's file does not have the length that its header says")]
    SegmentLength,
    /// The 64 bytes at the end of a segment that another one follows.
    #[error("the segment's seal is damaged or missing")]
    Seal,
    /// A segment that must be there is not.
    #[error("this segment is missing")]
    SegmentMissing,
    /// The 64 bytes at the start of a batch.
    #[error("the batch's header is damaged")]
    BatchHeader,
    /// The 8 bytes at the end of a batch.
    #[error("the batch's trailer is damaged")]
    BatchTrailer,
    /// A record's lengths lead out of its batch.
    #[error("the record's length is damaged")]
    RecordLength,
    /// A record's header or body.
    #[error("the record does not match its checksum")]
    Record,
    /// A record's erasable part, which is neither whole nor erased.
    #[error("the record's erasable part does not match its checksum")]
    Erasable,
    /// Bytes that the format keeps zero.
    #[error("bytes that must be zero are not")]
    NotZero,
    /// No batch holds the position from which reading was to begin.
    #[error("no batch holds this position")]
    NoBatch,
}

/// Acknowledged bytes that are no longer what was written, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{segment}, byte {offset} (position {position}): {fault}")]
pub struct Damage {
    /// The segment's file name.
    pub segment: String,
    /// The byte in that file, from 0.
    pub offset: u64,
    /// The place in the ledger.
    pub position: Position,
    /// What is wrong there.
    pub fault: Fault,
}

/// Why a ledger was not opened. Nothing has been changed on disk, except after [`OpenError::Disk`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Acknowledged bytes are damaged: restore them from a copy.
    #[error("the ledger is damaged: {0}")]
    Damaged(#[from] Damage),
    /// The ledger ends before the place that the caller knows to have been durable.
    #[error("the ledger ends at position {end}, but was known to be durable up to {verified_to}")]
    Short {
        /// Where it ends.
        end: Position,
        /// What [`Options::verified_to`](crate::Options::verified_to) said.
        verified_to: Position,
    },
    /// A newer program wrote this ledger.
    #[error("{segment} has format version {version}, which this program does not know")]
    Newer {
        /// The segment's file name.
        segment: String,
        /// Its format version.
        version: u32,
    },
    /// Reading or writing failed.
    #[error("the ledger's files could not be read or written")]
    Disk(#[from] io::Error),
}

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing durable lies there yet.
    #[error("position {position} is at or past the durable end {end}")]
    BeyondEnd {
        /// What was asked for.
        position: Position,
        /// Where the durable part ended at that time.
        end: Position,
    },
    /// The bytes there are damaged, or the position is not a record's.
    #[error("the ledger is damaged: {0}")]
    Damaged(#[from] Damage),
    /// Reading failed.
    #[error("the ledger's files could not be read")]
    Disk(#[from] io::Error),
}

/// Why a record was not taken into a batch. The batch is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The batch has no room left: append it and push the record into the next.
    #[error("the batch is full")]
    BatchFull,
    /// The record is longer than any batch: [`RECORD_BYTES_MAX`](crate::limits::RECORD_BYTES_MAX).
    #[error("the record is too long for a batch")]
    RecordTooLong,
    /// The erasable part is not of 8 to 65,535 bytes, or its first eight bytes have fewer than two that are not 0xFF,
    /// which could be taken for an erased part.
    #[error("the erasable part has a length or a beginning that is not allowed")]
    Erasable,
}

/// Why a batch was not appended.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// There is no room for a next segment. Nothing was written and nothing is lost: the same batch, or a shorter one,
    /// can be appended when there is space again.
    #[error("there is no room on disk for the ledger's next segment")]
    Full(#[source] Arc<io::Error>),
    /// Writing or syncing failed: whether the batch is durable is not known until the ledger is opened again, and this
    /// one takes no more.
    #[error("the ledger could not be written, and has stopped")]
    Failed(#[source] Arc<io::Error>),
    /// An earlier append failed; nothing was written.
    #[error("the ledger has stopped after a failed write")]
    Stopped,
    /// The batch was begun at another place than the ledger's end; nothing was written.
    #[error("the batch begins at position {batch}, but the ledger ends at {end}")]
    Misplaced {
        /// Where the batch begins.
        batch: Position,
        /// Where the ledger ends.
        end: Position,
    },
}
