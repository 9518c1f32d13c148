//! A crash at every operation of the disk: what was acknowledged is there, nothing twice, and the tally is the recount.

use canvass_domain::PollId;
use canvass_ledger::testing::SimulatedDisk;
use canvass_store::{
    StoreError,
    conformance::{TestClock, World},
};

use crate::support::{Home, SCRIPT, create_polls, portrait, run, world};

/// How a stopped disk goes on.
type Resume = fn(&SimulatedDisk);

const RESUMES: [Resume; 2] = [SimulatedDisk::lose_power, SimulatedDisk::restart];

/// Tells lines from a place on until one is not answered; gives how many were.
async fn tell_from(world: &World, polls: &[PollId], from: usize) -> usize {
    for (at, (poll, line)) in SCRIPT.iter().enumerate().skip(from) {
        let answer = world.tell(&polls[*poll], line).await;
        if answer.contains("unavailable") || answer.contains("outcome unknown") {
            return at;
        }
    }
    SCRIPT.len()
}

/// An undisturbed run: how the store looks after each line, the results, and how many operations it takes.
struct Undisturbed {
    looks: Vec<Vec<String>>,
    results: Vec<String>,
    operations: u64,
}

fn undisturbed(seed: u64) -> Undisturbed {
    run(async {
        let (clock, home, disk) = (TestClock::default(), Home::new(), SimulatedDisk::new(seed));
        let (store, _) = home.open_on(&disk, &clock).unwrap();
        let world = world(&store, &clock);
        let polls = create_polls(&world).await.unwrap();
        let mut looks = vec![portrait(&store).await];
        for (poll, line) in SCRIPT {
            world.tell(&polls[poll], line).await;
            looks.push(portrait(&store).await);
        }
        Undisturbed { looks, results: results(&world, &polls).await, operations: disk.operations() }
    })
}

/// What the results of all polls come to, whichever way they came about.
async fn results(world: &World, polls: &[PollId]) -> Vec<String> {
    let mut results = Vec::new();
    for poll in polls {
        results.push(world.tell(poll, "results").await);
    }
    results
}

/// Runs until the disk stops, goes on, and compares; then tells the rest.
async fn check_crash(disk: &SimulatedDisk, resume: Resume, whole: &Undisturbed) -> Result<(), String> {
    let (clock, home) = (TestClock::default(), Home::new());
    let mut acknowledged = None;
    if let Ok((store, _)) = home.open_on(disk, &clock) {
        let world = world(&store, &clock);
        let polls: Result<Vec<PollId>, StoreError> = create_polls(&world).await;
        if let Ok(polls) = polls {
            acknowledged = Some(tell_from(&world, &polls, 0).await);
        }
    }
    resume(disk);
    let (store, _) = home.open_on(disk, &clock).map_err(|error| error.to_string())?;
    let Some(acknowledged) = acknowledged else { return Ok(()) };
    let look = portrait(&store).await;
    // The line that was not answered may have happened.
    if !whole.looks.iter().skip(acknowledged).take(2).any(|expected| *expected == look) {
        return Err(format!("after {acknowledged} lines something else was found"));
    }
    let world = world(&store, &clock);
    let polls: Vec<PollId> = (0..3).map(|number| format!("script-{number}").parse().unwrap()).collect();
    if tell_from(&world, &polls, acknowledged).await != SCRIPT.len() {
        return Err("the store did not go on".to_owned());
    }
    portrait(&store).await;
    let found = results(&world, &polls).await;
    if found == whole.results { Ok(()) } else { Err(format!("{found:?} instead of {:?}", whole.results)) }
}

fn check_every_operation(seed: u64, prepare: fn(&SimulatedDisk)) -> Result<(), String> {
    let whole = undisturbed(seed);
    assert!(whole.operations > 80, "the script fills several segments");
    for operation in 1..=whole.operations + 1 {
        for (way, resume) in RESUMES.into_iter().enumerate() {
            let disk = SimulatedDisk::new(seed * 1_000 + operation);
            prepare(&disk);
            disk.stop_at(operation);
            run(check_crash(&disk, resume, &whole))
                .map_err(|error| format!("seed {seed}, operation {operation}, way {way}: {error}"))?;
        }
    }
    Ok(())
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_counts_twice() {
    check_every_operation(1, |_| ()).unwrap();
}

#[test]
fn the_control_without_syncs_fails() {
    assert!(check_every_operation(2, SimulatedDisk::ignore_syncs).is_err());
}
