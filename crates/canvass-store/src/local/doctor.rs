//! The doctor: reads a data directory that no server uses from its first byte, and says what it found.

use std::{collections::HashSet, fs, ops::ControlFlow, path::Path, sync::Arc};

use canvass_domain::{
    Sequence,
    record::{Kind, PollNumber, decode_place},
    vote::{Operation, Personal},
};
use canvass_ledger::{Erasable, FileDisk, Ledger, Options, Position, RecordRef};
use rustc_hash::FxHashMap;

use super::{
    checkpoint,
    open::{Fold, OpenError, lock},
    restore::{self, Restored},
    shared::{decode, hash_voter},
};

/// What the doctor found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Bytes of ledger.
    pub ledger_bytes: u64,
    /// Segment files.
    pub segments: usize,
    /// Records, all of whose checksums are right.
    pub records: u64,
    /// Polls that exist.
    pub polls: usize,
    /// Votes that count.
    pub votes: u64,
    /// Votes whose personal part was erased.
    pub erased: u64,
    /// Bytes of a last write that was never acknowledged; the next start cuts them off.
    pub torn_bytes: u64,
    /// Where the directory came from, if it was restored from a backup.
    pub restored: Option<Restored>,
    /// What is wrong; empty if all is well.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where and what.
    pub what: String,
    /// What to do about it.
    pub advice: &'static str,
}

impl Finding {
    fn new(what: impl Into<String>, advice: &'static str) -> Self {
        Self { what: what.into(), advice }
    }
}

const RESTORE: &str = "keep a copy of the directory as it is, and restore the last backup";
const DROP_CHECKPOINT: &str =
    "delete the file `checkpoint` while no server runs; the next start makes a new one";

/// Examines a data directory: every segment, every record and checksum, every poll's chain, whether any voter counts
/// twice, and whether the checkpoint agrees with the ledger. Nothing is changed but the remains of a torn last write,
/// which are cut off as a start would.
///
/// # Errors
/// If a server uses the directory, or it cannot be read. What is wrong with its contents is in the report.
pub fn examine(directory: &Path) -> Result<Report, OpenError> {
    let unusable = |source| OpenError::Directory { path: directory.to_owned(), source };
    let ledger_directory = directory.join("ledger");
    fs::metadata(&ledger_directory).map_err(unusable)?;
    let _lock = lock(directory)?;
    let disk = Arc::new(FileDisk::new(ledger_directory).map_err(unusable)?);
    let mut report = Report { restored: restore::read_mark(directory)?, ..Report::default() };
    match Ledger::open(disk, Options::default()) {
        Ok((ledger, recovery)) => {
            report.ledger_bytes = recovery.end.get();
            report.segments = recovery.segments;
            report.torn_bytes = recovery.cut.map_or(0, |cut| cut.bytes);
            examine_records(&ledger, directory, &mut report);
        }
        Err(canvass_ledger::OpenError::Disk(source)) => return Err(unusable(source)),
        Err(error) => report.findings.push(Finding::new(error.to_string(), RESTORE)),
    }
    Ok(report)
}

fn examine_records(ledger: &Ledger, directory: &Path, report: &mut Report) {
    let reader = ledger.reader();
    let mut voters = Voters::default();
    let scanned = reader.scan(Position::ZERO, reader.durable_end(), &mut |record| {
        report.records += 1;
        if let Err(what) = voters.take(record, report) {
            report.findings.push(Finding::new(what, RESTORE));
        }
        ControlFlow::Continue(())
    });
    if let Err(error) = scanned {
        report.findings.push(Finding::new(error.to_string(), RESTORE));
        return;
    }
    let mut fold = Fold::new(None, [0; 16]);
    match fold.take_in(ledger, Position::ZERO) {
        Ok(_) => {
            report.polls = fold.states.len();
            report.votes = fold.states.values().map(|state| state.cell.snapshot.read().tally.votes).sum();
            compare_checkpoint(directory, ledger, &fold, report);
        }
        Err(error) => report.findings.push(Finding::new(error.to_string(), RESTORE)),
    }
}

/// Who counts now, to find one who counts twice. A voter is known by a 64-bit hash: that two voters of a poll share
/// one is less likely than one in a hundred thousand at ten million voters.
#[derive(Default)]
struct Voters {
    polls: FxHashMap<PollNumber, HashSet<u64>>,
}

impl Voters {
    fn take(&mut self, record: RecordRef<'_>, report: &mut Report) -> Result<(), String> {
        if record.kind != Kind::Vote as u8 {
            return Ok(());
        }
        let Erasable::Present(personal) = record.erasable else {
            report.erased += 1;
            return Ok(());
        };
        let place = decode_place(record.body).map_err(|error| error.to_string())?;
        let (entry, _) = decode(record).map_err(|error| error.to_string())?;
        let canvass_domain::record::Record::Vote(vote) = entry.record else { return Ok(()) };
        let voter = Personal::voter_of(personal).map_err(|error| error.to_string())?;
        let hash = hash_voter(b"canvass's doctor", voter);
        let counting = self.polls.entry(place.poll).or_default();
        let fits = match vote.operation {
            Operation::Cast => counting.insert(hash),
            Operation::Change => counting.contains(&hash),
            Operation::Withdraw => counting.remove(&hash),
        };
        if fits {
            return Ok(());
        }
        Err(format!(
            "poll {}, record {}: the voter's vote counts twice, or one that is not there is changed",
            place.poll, place.sequence
        ))
    }
}

fn compare_checkpoint(directory: &Path, ledger: &Ledger, fold: &Fold, report: &mut Report) {
    let Some(loaded) = checkpoint::load(directory) else { return };
    if loaded.position > ledger.end() {
        let what =
            format!("the checkpoint stands at {}, but the ledger ends at {}", loaded.position, ledger.end());
        report.findings.push(Finding::new(what, RESTORE));
        return;
    }
    let resumed = match Fold::of(ledger, Some(loaded), [0; 16]) {
        Ok((resumed, _)) => resumed,
        Err(error) => {
            report.findings.push(Finding::new(format!("from the checkpoint: {error}"), DROP_CHECKPOINT));
            return;
        }
    };
    let disagrees = |on: String| {
        Finding::new(format!("the checkpoint disagrees with the ledger on {on}"), DROP_CHECKPOINT)
    };
    if resumed.registry != fold.registry {
        report.findings.push(disagrees("keys and settings".to_owned()));
    }
    for (number, state) in &resumed.states {
        if !fold.states.contains_key(number) {
            report
                .findings
                .push(disagrees(format!("poll {}, which the ledger does not have", state.poll.id)));
        }
    }
    for (number, state) in &fold.states {
        let agrees = resumed.states.get(number).is_some_and(|other| {
            state.sequence == other.sequence
                && state.chain == other.chain
                && *state.cell.snapshot.read().tally == *other.cell.snapshot.read().tally
                && state.cell.voters.read().index.len() == other.cell.voters.read().index.len()
                && places_agree(state.sequence, &state.cell, &other.cell)
        });
        if !agrees {
            report.findings.push(disagrees(format!("poll {}", state.poll.id)));
        }
    }
}

fn places_agree(sequence: Sequence, a: &super::PollCell, b: &super::PollCell) -> bool {
    let count = usize::try_from(sequence.0).unwrap_or(usize::MAX);
    let (a, b) = (a.voters.read(), b.voters.read());
    a.places.after(Sequence(0), count).eq(b.places.after(Sequence(0), count))
}
