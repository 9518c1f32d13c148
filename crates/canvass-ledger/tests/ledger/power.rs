//! Power lost at every single operation: what was acknowledged is there, and nothing that was not is there in part.

use canvass_ledger::{Batch, Ledger, OpenError, Recovery, testing::SimulatedDisk};

use crate::support::{Input, Output, fill, open, read_all, record};

const SEEDS: u64 = 12;

/// What became of a run until power went.
struct Run {
    acknowledged: Vec<Output>,
    /// The batch that was being appended when power went.
    in_flight: Vec<Output>,
}

fn batches(seed: u64) -> Vec<Vec<Input>> {
    let size = |number: u64| usize::try_from((number * 7919 + seed * 104_729) % 1300 + 8).unwrap();
    let batch =
        |number: u8| (0..=number % 3).map(|each| record(each, size(u64::from(number + each)))).collect();
    (0..9).map(batch).collect()
}

fn run(disk: &SimulatedDisk, batches: &[Vec<Input>]) -> Run {
    let mut run = Run { acknowledged: Vec::new(), in_flight: Vec::new() };
    let Ok((mut ledger, _)) = open(disk) else { return run };
    let mut batch = Batch::new();
    for records in batches {
        run.in_flight = fill(&mut batch, ledger.end(), records);
        if ledger.append(&mut batch).is_err() {
            return run;
        }
        run.acknowledged.append(&mut run.in_flight);
    }
    run
}

/// What a start after a loss of power finds.
fn check_run(run: &Run, opened: Result<(Ledger, Recovery), OpenError>) -> Result<(), String> {
    let (ledger, _) = opened.map_err(|error| error.to_string())?;
    let found = read_all(&ledger.reader()).map_err(|error| error.to_string())?;
    let with_in_flight = [&run.acknowledged[..], &run.in_flight].concat();
    if found == run.acknowledged || found == with_in_flight {
        return Ok(());
    }
    Err(format!("{} records found, {} acknowledged", found.len(), run.acknowledged.len()))
}

/// Loses power at every operation of a run, and again during each start after that, until a start succeeds.
fn check_every_operation(seed: u64, prepare: impl Fn(&SimulatedDisk)) -> Result<u64, String> {
    let batches = batches(seed);
    let whole = SimulatedDisk::new(seed);
    run(&whole, &batches);
    for operation in 1..=whole.operations() + 1 {
        let disk = SimulatedDisk::new(seed * 1000 + operation);
        prepare(&disk);
        disk.lose_power_at(operation);
        let run = run(&disk, &batches);
        disk.lose_power();
        for during_start in 1..4 {
            disk.lose_power_at(disk.operations() + during_start);
            let opened = open(&disk);
            let is_open = opened.is_ok();
            drop(opened);
            disk.lose_power();
            if is_open {
                break;
            }
        }
        check_run(&run, open(&disk))
            .map_err(|error| format!("seed {seed}, operation {operation}: {error}"))?;
    }
    Ok(whole.operations())
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_else_appears() {
    for seed in 0..SEEDS {
        let operations = check_every_operation(seed, |_| ()).unwrap();
        assert!(operations > 30, "the run reaches over several segments: {operations}");
    }
}

#[test]
fn the_control_without_syncs_fails() {
    let failed =
        (0..SEEDS).filter(|&seed| check_every_operation(seed, SimulatedDisk::ignore_syncs).is_err()).count();
    assert_eq!(failed, usize::try_from(SEEDS).unwrap(), "this test can tell a disk that keeps nothing");
}
