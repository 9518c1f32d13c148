//! A checkpoint is a shortcut: whatever happens to it, opening gives what the ledger says.

use std::fs;

use canvass_ledger::testing::SimulatedDisk;
use canvass_store::{
    conformance::TestClock,
    local::{OpenError, Opened},
};

use crate::support::{Home, SCRIPT, create_polls, portrait, run, tell_script, world};

/// A closed store with a checkpoint, on a disk in memory, and its portrait.
struct Closed {
    home: Home,
    disk: SimulatedDisk,
    checkpoint: Vec<u8>,
    before: Vec<String>,
}

fn closed() -> Closed {
    let (clock, home) = (TestClock::default(), Home::new());
    let disk = SimulatedDisk::new(1);
    let (store, _) = home.open_on(&disk, &clock).unwrap();
    let before = run(async {
        tell_script(&world(&store, &clock)).await;
        portrait(&store).await
    });
    drop(store);
    let checkpoint = fs::read(home.checkpoint()).unwrap();
    Closed { home, disk, checkpoint, before }
}

impl Closed {
    /// What opening finds with other bytes for a checkpoint.
    fn open_with(&self, checkpoint: &[u8]) -> Opened {
        fs::write(self.home.checkpoint(), checkpoint).unwrap();
        let (store, opened) = self.home.open_on(&self.disk, &TestClock::default()).unwrap();
        assert_eq!(run(portrait(&store)), self.before);
        opened
    }
}

#[test]
fn a_sound_one_saves_the_fold() {
    let closed = closed();
    assert_eq!(closed.open_with(&closed.checkpoint).records_folded, 0);
}

#[test]
fn a_flipped_byte_is_never_believed() {
    let closed = closed();
    // Every byte of the beginning, and of the rest enough to meet every part of it.
    let step = (closed.checkpoint.len() / 120).max(1);
    for at in (0..40).chain((40..closed.checkpoint.len()).step_by(step)) {
        let mut damaged = closed.checkpoint.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(closed.open_with(&damaged).records_folded > 30, "byte {at} was believed");
    }
}

#[test]
fn a_cut_one_is_never_believed() {
    let closed = closed();
    for length in (0..closed.checkpoint.len()).step_by(397) {
        let opened = closed.open_with(&closed.checkpoint[..length]);
        assert!(opened.records_folded > 30, "{length} bytes were believed");
    }
}

/// An older checkpoint and the tail after it, at every place of the script.
#[test]
fn an_older_one_is_gone_on_from() {
    let clock = TestClock::default();
    for stop in [0, 3, 9, 17, 27] {
        run(async {
            let home = Home::new();
            let (store, _) = home.open(&clock).unwrap();
            let first = world(&store, &clock);
            let polls = create_polls(&first).await.unwrap();
            for (poll, line) in &SCRIPT[..stop] {
                first.tell(&polls[*poll], line).await;
            }
            drop((first, store));
            let older = fs::read(home.checkpoint()).unwrap();
            let (store, _) = home.open(&clock).unwrap();
            let second = world(&store, &clock);
            for (poll, line) in &SCRIPT[stop..] {
                second.tell(&polls[*poll], line).await;
            }
            let before = portrait(&store).await;
            drop((second, store));
            fs::write(home.checkpoint(), older).unwrap();
            let (store, opened) = home.open(&clock).unwrap();
            assert_eq!(portrait(&store).await, before);
            assert!(opened.records_folded >= SCRIPT.len() as u64 - stop as u64);
        });
    }
}

/// A checkpoint of records that the ledger does not have: the ledger is not what it was, and that is told.
#[test]
fn one_from_the_future_is_told() {
    let clock = TestClock::default();
    let home = Home::new();
    let (store, _) = home.open(&clock).unwrap();
    let polls = run(tell_script(&world(&store, &clock)));
    let earlier = home.copy();
    run(world(&store, &clock).tell(&polls[0], "zoe casts a"));
    drop(store);
    fs::copy(home.checkpoint(), earlier.checkpoint()).unwrap();
    let Err(error) = earlier.open(&clock) else { panic!("a shorter ledger was taken for the whole") };
    assert!(matches!(error, OpenError::Ledger(canvass_ledger::OpenError::Short { .. })), "{error}");
}

/// While votes go on, checkpoints are written beside them, and each can be opened from.
#[test]
fn one_is_written_each_so_many_bytes() {
    run(async {
        let clock = TestClock::default();
        let mut home = Home::new();
        home.options.checkpoint_bytes = 4_000;
        let (store, _) = home.open(&clock).unwrap();
        let world = world(&store, &clock);
        let polls = create_polls(&world).await.unwrap();
        for voter in 0..200 {
            world.tell(&polls[0], &format!("v{voter} casts a")).await;
        }
        let crashed = home.copy();
        let (reopened, opened) = crashed.open(&clock).unwrap();
        assert!(opened.records_folded < 150, "{} records were folded", opened.records_folded);
        assert_eq!(portrait(&reopened).await, portrait(&store).await);
    });
}
