//! Prints how many 80-byte records a second the ledger takes, each batch written and synced before the next.
//!
//! `cargo run --release -p canvass-ledger --example append [DIRECTORY]`: a new directory below it is used and removed.

use std::{error::Error, ops::ControlFlow, path::PathBuf, sync::Arc, time::Instant};

use canvass_ledger::{Batch, FileDisk, Ledger, Options, Position};

/// Bytes of a record without its header, of which the last part can be erased.
const RECORD_BYTES: usize = 80;
const ERASABLE_BYTES: usize = 40;
const RECORDS: u32 = 2_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let parent = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    for batch_records in [256_u32, 4096] {
        let directory = parent.join(format!("canvass-ledger-append-{}", std::process::id()));
        let outcome = run(&directory, batch_records);
        std::fs::remove_dir_all(&directory)?;
        outcome?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "an example that measures time is its own edge")]
fn run(directory: &std::path::Path, batch_records: u32) -> Result<(), Box<dyn Error>> {
    let (mut ledger, _) = Ledger::open(Arc::new(FileDisk::new(directory)?), Options::default())?;
    let body = [7; RECORD_BYTES - ERASABLE_BYTES];
    let mut erasable = [9; ERASABLE_BYTES];
    let mut batch = Batch::new();
    let mut batch_ms = Vec::new();
    batch.begin(ledger.end());
    let started = Instant::now();
    for batch_number in 0..RECORDS / batch_records {
        let batch_started = Instant::now();
        for record in 0..batch_records {
            erasable[..8].copy_from_slice(&u64::from(batch_number * batch_records + record).to_le_bytes());
            batch.push_with(1, &erasable, |bytes| bytes.extend_from_slice(&body))?;
        }
        ledger.append(&mut batch)?;
        batch_ms.push(batch_started.elapsed().as_secs_f64() * 1000.0);
    }
    let seconds = started.elapsed().as_secs_f64();
    let end = ledger.end();
    batch_ms.sort_by(f64::total_cmp);
    let percentile = |share: usize| batch_ms[(batch_ms.len() - 1) * share / 1000];
    let stored = RECORDS / batch_records * batch_records;
    println!(
        "batches of {batch_records}: {:.0} records/s, {} bytes/record, batch ms p50 {:.2} p99 {:.2} p99.9 {:.2} max {:.2}",
        f64::from(stored) / seconds,
        end.get() / u64::from(stored),
        percentile(500),
        percentile(990),
        percentile(999),
        percentile(1000),
    );
    measure_reading(ledger, directory, stored)
}

#[expect(clippy::disallowed_methods, reason = "an example that measures time is its own edge")]
fn measure_reading(ledger: Ledger, directory: &std::path::Path, stored: u32) -> Result<(), Box<dyn Error>> {
    drop(ledger);
    let started = Instant::now();
    let (ledger, recovery) = Ledger::open(Arc::new(FileDisk::new(directory)?), Options::default())?;
    let opened_ms = started.elapsed().as_secs_f64() * 1000.0;
    let started = Instant::now();
    let mut visited = 0;
    ledger.reader().scan(Position::ZERO, recovery.end, &mut |_| {
        visited += 1;
        ControlFlow::Continue(())
    })?;
    let scanned_ms = started.elapsed().as_secs_f64() * 1000.0;
    assert_eq!(visited, stored, "every record is read again");
    let vouched = Options { verified_to: recovery.end, ..Options::default() };
    drop(ledger);
    let started = Instant::now();
    let _ledger = Ledger::open(Arc::new(FileDisk::new(directory)?), vouched)?;
    let vouched_ms = started.elapsed().as_secs_f64() * 1000.0;
    println!(
        "  open and verify {opened_ms:.0} ms, scan {scanned_ms:.0} ms, open with all vouched for {vouched_ms:.0} ms, {} segments",
        recovery.segments
    );
    Ok(())
}
