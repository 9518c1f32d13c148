//! Power lost, or the program killed, at every single operation: what was acknowledged is there, and nothing that was
//! not is there in part.

use canvass_ledger::{Batch, testing::SimulatedDisk};

use crate::support::{Input, Output, fill, open, read_all, record};

/// How a stopped disk goes on.
type Resume = fn(&SimulatedDisk);

const SEEDS: u64 = 12;

/// What became of a run.
#[derive(Default)]
struct Run {
    acknowledged: Vec<Output>,
    /// The batch that was being appended when everything stopped.
    in_flight: Vec<Output>,
}

fn batches(seed: u64) -> Vec<Vec<Input>> {
    let size = |number: u64| usize::try_from((number * 7919 + seed * 104_729) % 1300 + 8).unwrap();
    let batch =
        |number: u8| (0..=number % 3).map(|each| record(each, size(u64::from(number + each)))).collect();
    (0..9).map(batch).collect()
}

/// Appends the batches to what is there until one fails.
fn run(disk: &SimulatedDisk, batches: &[Vec<Input>]) -> Result<Run, String> {
    let Ok((mut ledger, _)) = open(disk) else { return Ok(Run::default()) };
    let acknowledged = read_all(&ledger.reader()).map_err(|error| error.to_string())?;
    let mut run = Run { acknowledged, in_flight: Vec::new() };
    let mut batch = Batch::new();
    for records in batches {
        run.in_flight = fill(&mut batch, ledger.end(), records);
        if ledger.append(&mut batch).is_err() {
            return Ok(run);
        }
        run.acknowledged.append(&mut run.in_flight);
    }
    Ok(run)
}

/// Checks what a start after a run finds.
fn check_run(run: &Run, disk: &SimulatedDisk) -> Result<(), String> {
    let (ledger, _) = open(disk).map_err(|error| error.to_string())?;
    let found = read_all(&ledger.reader()).map_err(|error| error.to_string())?;
    let with_in_flight = [&run.acknowledged[..], &run.in_flight].concat();
    if found == run.acknowledged || found == with_in_flight {
        return Ok(());
    }
    Err(format!("{} records found, {} acknowledged", found.len(), run.acknowledged.len()))
}

/// Stops a run at one operation and goes on with `resume`, stops the next start as well, and then runs again until
/// power is lost once more.
fn check_operation(
    disk: &SimulatedDisk,
    operation: u64,
    batches: &[Vec<Input>],
    resume: Resume,
) -> Result<(), String> {
    disk.stop_at(operation);
    let first = run(disk, batches)?;
    resume(disk);
    disk.stop_at(disk.operations() + operation % 7);
    drop(open(disk));
    resume(disk);
    check_run(&first, disk)?;
    let second = run(disk, &batches[..2])?;
    disk.lose_power();
    check_run(&second, disk)
}

fn check_every_operation(seed: u64, prepare: impl Fn(&SimulatedDisk)) -> Result<(), String> {
    let batches = batches(seed);
    let whole = SimulatedDisk::new(seed);
    run(&whole, &batches)?;
    assert!(whole.operations() > 30, "the run reaches over several segments");
    for operation in 1..=whole.operations() + 1 {
        let ways: [(&str, Resume); 2] =
            [("power lost", SimulatedDisk::lose_power), ("killed", SimulatedDisk::restart)];
        for (way, resume) in ways {
            let disk = SimulatedDisk::new(seed * 1000 + operation);
            prepare(&disk);
            check_operation(&disk, operation, &batches, resume)
                .map_err(|error| format!("seed {seed}, {way} at operation {operation}: {error}"))?;
        }
    }
    Ok(())
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_else_appears() {
    for seed in 0..SEEDS {
        check_every_operation(seed, |_| ()).unwrap();
    }
}

#[test]
fn the_control_without_syncs_fails() {
    let is_lost = |&seed: &u64| check_every_operation(seed, SimulatedDisk::ignore_syncs).is_err();
    let failed = (0..SEEDS).filter(is_lost).count();
    assert_eq!(failed, usize::try_from(SEEDS).unwrap(), "this test can tell a disk that keeps nothing");
}
