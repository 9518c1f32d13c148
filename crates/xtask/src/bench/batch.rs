//! The batch route, against the ledger alone.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use canvass_ledger::{Batch, FileDisk, Ledger};
use memchr::memmem;

use super::{
    Bench,
    servers::Kind,
    table::{median, print, rate, ratio},
    votes::Voters,
};
use crate::{
    http, machine,
    outcome::{Context, Outcome, ensure},
    server::ADMIN_KEY,
    vote::{VOTE_BYTES, append_lines},
};

/// Lines that are made and written together.
const WRITE_LINES: u64 = 2_048;
/// Batches that are sent at the same time.
const STREAMS: [u64; 2] = [1, 2];
/// Records of one append to the plain ledger.
const APPEND_RECORDS: u64 = 4_096;

/// What sending a batch came to.
pub(crate) struct Sent {
    /// Lines answered 201.
    pub(crate) accepted: u64,
    /// Votes a second, from the first byte sent to the last answer.
    pub(crate) per_second: f64,
}

pub(super) fn run(bench: &Bench<'_>) -> Outcome {
    let votes = bench.options.batch_votes;
    let server = Kind::Durable.start(&bench.program, &bench.new_directory("batch")?)?;
    let mut voters = Voters::new();
    let mut by_streams: Vec<Vec<f64>> = vec![Vec::new(); STREAMS.len()];
    let mut processor = Vec::new();
    let mut appended = Vec::new();
    for round in 0..bench.options.rounds {
        for (streams, figures) in STREAMS.into_iter().zip(&mut by_streams) {
            let before = machine::processor_seconds(server.process())?;
            let sent = send_streams(server.address, streams, votes, voters.fresh())?;
            let seconds = machine::processor_seconds(server.process())? - before;
            processor.push(seconds * 1e6 / as_float(votes));
            ensure(sent.accepted == votes, || format!("{} of {votes} votes were accepted", sent.accepted))?;
            eprintln!("round {round}, {streams} batches at once: {:.0}", sent.per_second);
            figures.push(sent.per_second);
        }
        appended.push(append_plainly(&bench.new_directory("append")?, votes)?);
        eprintln!("round {round}, plain append log: {:.0}", appended[appended.len() - 1]);
    }
    server.kill()?;
    super::remove(&bench.directory.join("batch"))?;
    super::remove(&bench.directory.join("append"))?;
    let row = |name: String, figures: &[f64]| vec![name, rate(median(figures)), ratio(figures, &appended)];
    let mut rows: Vec<_> = STREAMS
        .into_iter()
        .zip(&by_streams)
        .map(|(streams, figures)| row(format!("batch route, {streams} at once"), figures))
        .collect();
    rows.push(row("plain append log".to_owned(), &appended));
    println!("The server's processor time for a vote of a batch: {:.2} µs.\n", median(&processor));
    print(
        &format!("{votes} votes of {VOTE_BYTES} bytes"),
        &["what", "votes/s", "of the plain append log"],
        &rows,
    );
    Ok(())
}

/// Sends votes of voters from a number on, in some batches at the same time.
pub(crate) fn send_streams(address: SocketAddr, streams: u64, votes: u64, first_voter: u64) -> Outcome<Sent> {
    let started = Instant::now();
    let share =
        |stream: u64| first_voter + votes * stream / streams..first_voter + votes * (stream + 1) / streams;
    let accepted = thread::scope(|scope| {
        let senders: Vec<_> =
            (0..streams).map(|stream| scope.spawn(move || send(address, share(stream)))).collect();
        senders
            .into_iter()
            .map(|sender| sender.join().expect("a sender does not panic"))
            .sum::<Outcome<u64>>()
    })?;
    Ok(Sent { accepted, per_second: as_float(votes) / started.elapsed().as_secs_f64() })
}

#[expect(clippy::cast_precision_loss, reason = "counts of votes are far below 2^53")]
fn as_float(votes: u64) -> f64 {
    votes as f64
}

/// Sends one batch; a thread of its own writes while this one reads.
fn send(address: SocketAddr, voters: std::ops::Range<u64>) -> Outcome<u64> {
    let stream = http::connect(address, Duration::from_mins(1))?;
    let length = (voters.end - voters.start) * VOTE_BYTES as u64;
    let head = format!(
        "POST /v1/polls/bench/votes/batch HTTP/1.1\r\nhost: localhost\r\nx-api-key: {ADMIN_KEY}\r\n\
         content-type: application/x-ndjson\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    let mut writing = stream.try_clone()?;
    writing.write_all(head.as_bytes())?;
    thread::scope(|scope| {
        let writer = scope.spawn(move || write_lines(&mut writing, voters));
        let accepted = count_accepted(stream);
        writer.join().expect("a writer does not panic").context("sending a batch")?;
        accepted
    })
}

fn write_lines(into: &mut TcpStream, voters: std::ops::Range<u64>) -> io::Result<()> {
    let mut lines = Vec::new();
    for start in voters.clone().step_by(usize::try_from(WRITE_LINES).unwrap_or(usize::MAX)) {
        lines.clear();
        append_lines(&mut lines, start..voters.end.min(start + WRITE_LINES));
        into.write_all(&lines)?;
    }
    Ok(())
}

/// Counts the answers 201 without taking the chunks apart: the server ends a chunk only with a line. What a read cuts
/// is looked at again with the next bytes.
fn count_accepted(stream: TcpStream) -> Outcome<u64> {
    const ACCEPTED: &[u8] = b"\"status\":201";
    let mut from = BufReader::new(stream);
    let mut status = String::new();
    from.read_line(&mut status)?;
    ensure(status.contains(" 200 "), || format!("the batch was answered {status}"))?;
    let (mut buffer, mut kept) = (vec![0; 256 * 1024], 0);
    let mut accepted = 0;
    loop {
        let count = from.read(&mut buffer[kept..])?;
        if count == 0 {
            return Ok(accepted);
        }
        let filled = kept + count;
        let mut seen = 0;
        for at in memmem::find_iter(&buffer[..filled], ACCEPTED) {
            accepted += 1;
            seen = at + ACCEPTED.len();
        }
        let keep_from = seen.max(filled.saturating_sub(ACCEPTED.len() - 1));
        buffer.copy_within(keep_from..filled, 0);
        kept = filled - keep_from;
    }
}

/// Appends records of a vote's size to a new ledger, each batch synced; answers with records a second.
fn append_plainly(directory: &Path, records: u64) -> Outcome<f64> {
    let (mut ledger, _) =
        Ledger::open(Arc::new(FileDisk::new(directory)?), canvass_ledger::Options::default())?;
    let mut batch = Batch::new();
    let mut record = [7; VOTE_BYTES];
    batch.begin(ledger.end());
    let started = Instant::now();
    for start in (0..records).step_by(usize::try_from(APPEND_RECORDS)?) {
        for number in start..records.min(start + APPEND_RECORDS) {
            record[..8].copy_from_slice(&number.to_le_bytes());
            batch.push(1, &record, &[])?;
        }
        ledger.append(&mut batch)?;
    }
    Ok(as_float(records) / started.elapsed().as_secs_f64())
}
