//! What every test here needs: small segments, records that own their bytes, and reading all of a ledger.

use std::{ops::ControlFlow, sync::Arc};

use canvass_ledger::{
    Batch, Disk, Erasable, Ledger, OpenError, Options, Position, Preparation, ReadError, Reader,
    RecordBuffer, RecordRef, Recovery, testing::SimulatedDisk,
};

/// A record to push: kind, body, erasable part.
pub(crate) type Input = (u8, Vec<u8>, Vec<u8>);

/// A record as it was read, with what is left of its erasable part: nothing if it was erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) position: Position,
    pub(crate) kind: u8,
    pub(crate) body: Vec<u8>,
    pub(crate) erasable: Option<Vec<u8>>,
}

impl From<RecordRef<'_>> for Output {
    fn from(record: RecordRef<'_>) -> Self {
        let erasable = match record.erasable {
            Erasable::None => Some(Vec::new()),
            Erasable::Present(bytes) => Some(bytes.to_vec()),
            Erasable::Erased => None,
        };
        Self { position: record.position, kind: record.kind, body: record.body.to_vec(), erasable }
    }
}

/// The smallest segments there are, made when they are needed, so that a few records fill several.
pub(crate) const SMALL: Options = Options {
    segment_bytes_min: 4096,
    segment_bytes_max: 4096,
    verified_to: Position::ZERO,
    preparation: Preparation::Inline,
};

pub(crate) fn open(disk: &SimulatedDisk) -> Result<(Ledger, Recovery), OpenError> {
    Ledger::open(Arc::new(disk.clone()), SMALL)
}

/// Appends one batch of records, and gives them as they must be read.
pub(crate) fn append(ledger: &mut Ledger, records: &[Input]) -> Vec<Output> {
    let mut batch = Batch::new();
    let outputs = fill(&mut batch, ledger.end(), records);
    ledger.append(&mut batch).unwrap();
    outputs
}

/// Fills a batch that begins at `at`, and gives its records as they must be read.
pub(crate) fn fill(batch: &mut Batch, at: Position, records: &[Input]) -> Vec<Output> {
    batch.begin(at);
    let push = |(kind, body, erasable): &Input| Output {
        position: batch.push(*kind, body, erasable).unwrap(),
        kind: *kind,
        body: body.clone(),
        erasable: Some(erasable.clone()),
    };
    records.iter().map(push).collect()
}

/// Every record, by scanning; each must also be found by its position.
pub(crate) fn read_all(reader: &Reader) -> Result<Vec<Output>, ReadError> {
    let mut outputs = Vec::new();
    let end = reader.durable_end();
    let reached = reader.scan(Position::ZERO, end, &mut |record| {
        outputs.push(Output::from(record));
        ControlFlow::Continue(())
    })?;
    assert_eq!(reached, end);
    let mut buffer = RecordBuffer::default();
    for output in &outputs {
        assert_eq!(Output::from(reader.read(output.position, &mut buffer)?), *output);
    }
    Ok(outputs)
}

/// Opens the ledger on a disk and compares every record.
pub(crate) fn check_contents(disk: &SimulatedDisk, expected: &[Output]) -> (Ledger, Recovery) {
    let (ledger, recovery) = open(disk).unwrap();
    assert_eq!(read_all(&ledger.reader()).unwrap(), expected);
    (ledger, recovery)
}

/// A record of so many bytes that are neither zero nor the same throughout, half of them erasable.
pub(crate) fn record(kind: u8, bytes: usize) -> Input {
    let text =
        |length: usize| (0..length).map(|at| b'a' + u8::try_from((at + usize::from(kind)) % 26).unwrap());
    let erasable = if bytes < 16 { 0 } else { bytes / 2 };
    (kind, text(bytes - erasable).collect(), text(erasable).collect())
}

/// The names of all segments, in order.
pub(crate) fn segment_names(disk: &SimulatedDisk) -> Vec<String> {
    disk.list().unwrap()
}
