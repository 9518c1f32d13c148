//! A backup in an object store is whole at every moment, whatever request fails, and nothing erased stays in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    ops::ControlFlow,
    path::Path,
    sync::Arc,
    time::Duration,
};

use canvass_domain::{Timestamp, poll::PersonalData};
use canvass_ledger::{FileDisk, Position, Reader};
use canvass_store::{
    Store as _,
    conformance::TestClock,
    local::{BackupError, BackupPlace, LocalOptions, LocalStore, Vault, back_up, examine, restore},
};
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::support::{Home, SCRIPT, create_polls, run, world};

/// An object store in memory. One of its requests fails, before or after it has taken effect: a real one cannot be told
/// to. `cargo xtask test` has moto's server for the rest.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Held>>);

#[derive(Clone, Default)]
struct Held {
    note: Option<Vec<u8>>,
    revision: u64,
    known: u64,
    parts: BTreeMap<String, Vec<u8>>,
    requests: u64,
    fails_at: u64,
    is_answer_lost: bool,
}

impl Memory {
    fn place(&self) -> BackupPlace {
        BackupPlace::Vault(Box::new(self.clone()))
    }

    /// Does a request, unless it is the one to fail before it is done.
    fn ask<T>(&self, act: impl FnOnce(&mut Held) -> io::Result<T>) -> io::Result<T> {
        let mut held = self.0.lock();
        held.requests += 1;
        let is_failing = held.requests == held.fails_at;
        if is_failing && !held.is_answer_lost {
            return Err(io::Error::other("not done"));
        }
        let done = act(&mut held);
        if is_failing { Err(io::Error::other("the answer is lost")) } else { done }
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().parts.keys().cloned().collect()
    }
}

impl Vault for Memory {
    fn address(&self) -> String {
        "memory://backup".into()
    }

    fn read_note(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.ask(|held| {
            held.known = held.revision;
            Ok(held.note.clone())
        })
    }

    fn replace_note(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        self.ask(|held| {
            if held.known != held.revision {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            held.note = Some(bytes);
            held.revision += 1;
            held.known = held.revision;
            Ok(())
        })
    }

    fn read_part(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.ask(|held| Ok(held.parts.get(name).cloned()))
    }

    fn write_part(&mut self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        self.ask(|held| {
            held.parts.insert(name.to_owned(), bytes);
            Ok(())
        })
    }

    fn remove_part(&mut self, name: &str) -> io::Result<()> {
        self.ask(|held| {
            held.parts.remove(name);
            Ok(())
        })
    }

    fn list_parts(&mut self, _: Timestamp) -> io::Result<Vec<String>> {
        // All of them are old here, so that what a failure left is found.
        self.ask(|held| Ok(held.parts.keys().cloned().collect()))
    }
}

/// Every record of a data directory: its place and what it says.
fn records(data: &Path) -> Vec<(Position, Vec<u8>)> {
    let disk = Arc::new(FileDisk::read_only(data.join("ledger")));
    let reader = Reader::beside(disk, Position::ZERO).unwrap();
    let mut records = Vec::new();
    let mut visit = |record: canvass_ledger::RecordRef<'_>| {
        records.push((record.position, record.body.to_vec()));
        ControlFlow::Continue(())
    };
    reader.scan(Position::ZERO, reader.durable_end(), &mut visit).unwrap();
    records
}

/// What the backup is good for: the records restored from it, which must be all well.
fn restored(memory: &Memory) -> Vec<(Position, Vec<u8>)> {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    restore(memory.place(), &data, None, Timestamp::from_microseconds(0)).unwrap();
    assert_eq!(fs::read_dir(&data).unwrap().count(), 2, "a ledger and a mark");
    assert_eq!(examine(&data).unwrap().findings, []);
    records(&data)
}

/// The data directory of a story at some of its moments.
fn moments() -> Vec<Home> {
    run(async {
        let (clock, home) = (TestClock::default(), Home::new());
        let (store, _) = home.open(&clock).unwrap();
        let world = world(&store, &clock);
        let polls = create_polls(&world).await.unwrap();
        let mut moments = vec![home.copy()];
        for lines in SCRIPT.chunks(16) {
            for (poll, line) in lines {
                world.tell(&polls[*poll], line).await;
            }
            moments.push(home.copy());
        }
        moments
    })
}

#[test]
fn whatever_request_fails_the_backup_is_whole_and_goes_on() {
    let (clock, moments) = (TestClock::default(), moments());
    let all: Vec<_> = moments.iter().map(|home| records(home.path())).collect();
    for is_answer_lost in [false, true] {
        let mut failed = 0;
        for fails_at in 1.. {
            let memory = Memory::default();
            (memory.0.lock().fails_at, memory.0.lock().is_answer_lost) = (fails_at, is_answer_lost);
            for (home, expected) in moments.iter().zip(&all) {
                if back_up(home.path(), memory.place(), &clock).is_err() {
                    failed += 1;
                    let is_begun = memory.0.lock().note.is_some();
                    let found = if is_begun { restored(&memory.copy()) } else { Vec::new() };
                    assert_eq!(found, expected[..found.len()], "request {fails_at}");
                }
            }
            let is_over = memory.0.lock().requests < fails_at;
            // Whatever failed, the next time all is there and nothing else.
            let memory = memory.copy();
            back_up(moments[2].path(), memory.place(), &clock).unwrap();
            assert_eq!(restored(&memory), all[2]);
            assert_eq!(memory.named(), memory.names().into_iter().collect(), "request {fails_at}");
            if is_over {
                break;
            }
        }
        assert!(failed > 10, "{failed}");
    }
}

impl Memory {
    /// Another store with the same content that does not fail.
    fn copy(&self) -> Self {
        let held = Held { fails_at: 0, ..self.0.lock().clone() };
        Self(Arc::new(Mutex::new(held)))
    }

    /// The names of the parts that the note names.
    fn named(&self) -> BTreeSet<String> {
        let note: serde_json::Value = serde_json::from_slice(self.0.lock().note.as_ref().unwrap()).unwrap();
        let name = |part: &serde_json::Value| {
            let (from, to) = (part["from"].as_u64().unwrap(), part["to"].as_u64().unwrap());
            format!("{from:020}-{to:020}-{}", &part["sha256"].as_str().unwrap()[..16])
        };
        note["parts"].as_array().unwrap().iter().map(name).collect()
    }
}

#[test]
fn what_comes_in_drops_makes_few_parts() {
    run(async {
        let (clock, folder) = (TestClock::default(), TempDir::new().unwrap());
        let data = folder.path().join("data");
        let options = LocalOptions::new(&data, [7; 16]);
        let (store, _) = LocalStore::open(&options, Arc::new(clock.clone())).unwrap();
        let store = Arc::new(store);
        let world = world(&store, &clock);
        let polls = create_polls(&world).await.unwrap();
        let memory = Memory::default();
        for voter in 0..100 {
            world.tell(&polls[0], &format!("voter-{voter} casts a")).await;
            back_up(&data, memory.place(), &clock).unwrap();
            assert!(memory.names().len() <= 8, "{:?}", memory.names());
        }
        assert_eq!(restored(&memory), records(&data));
    });
}

#[test]
fn what_is_erased_is_erased_in_a_vault_too() {
    run(async {
        let (clock, home, memory) = (TestClock::default(), Home::new(), Memory::default());
        let (store, _) = home.open(&clock).unwrap();
        let world = world(&store, &clock);
        let poll = create_polls(&world).await.unwrap().swap_remove(0);
        let pause = Duration::from_millis(10);
        store.back_up_to(memory.place(), pause, Arc::new(clock.clone())).unwrap();
        let is_canary_held = || {
            let held = memory.0.lock();
            held.parts.values().any(|part| part.windows(6).any(|window| window == b"canary"))
        };
        let wait_for_canary = async |expected: bool| {
            for _ in 0..500 {
                if is_canary_held() == expected {
                    return;
                }
                tokio::time::sleep(pause).await;
            }
            panic!("a canary is {}there", if expected { "not " } else { "" });
        };
        for line in ["canary-ada casts a age young city canary-oslo", "bob casts b", "close"] {
            world.tell(&poll, line).await;
        }
        wait_for_canary(true).await;
        world.tell(&poll, "erase").await;
        while store.poll(&poll).await.unwrap().personal_data != PersonalData::Erased {
            tokio::time::sleep(pause).await;
        }
        wait_for_canary(false).await;
        store.close();
        assert_eq!(restored(&memory), records(home.path()));
    });
}

#[test]
fn other_data_is_refused_and_damage_is_told() {
    let (clock, moments, memory) = (TestClock::default(), moments(), Memory::default());
    back_up(moments[2].path(), memory.place(), &clock).unwrap();
    let earlier = back_up(moments[1].path(), memory.place(), &clock).unwrap_err();
    assert!(earlier.to_string().contains("is of other data"), "{earlier}");
    let other = run(async {
        let home = Home::new();
        let (store, _) = home.open(&clock).unwrap();
        let world = world(&store, &clock);
        let polls = create_polls(&world).await.unwrap();
        for voter in 0..200 {
            world.tell(&polls[0], &format!("voter-{voter} casts a")).await;
        }
        home.copy()
    });
    let diverged = back_up(other.path(), memory.place(), &clock).unwrap_err();
    assert!(matches!(diverged, BackupError::Diverged { .. }), "{diverged}");
    // The backup is as it was.
    assert_eq!(restored(&memory), records(moments[2].path()));
    for part in memory.0.lock().parts.values_mut() {
        part[100] ^= 1;
    }
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let damaged = restore(memory.place(), &data, None, Timestamp::from_microseconds(0)).unwrap_err();
    assert!(damaged.to_string().contains("0000000000000000.segment, byte 128"), "{damaged}");
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
}
