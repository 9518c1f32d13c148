//! What every test here needs: a directory of its own, a small ledger, and a store opened on it.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use canvass_domain::{
    PollId,
    record::{Setting, hexadecimal},
};
use canvass_ledger::{Options, Position, Preparation, testing::SimulatedDisk};
use canvass_store::{
    PollQuery, Store, StoreError,
    conformance::{TestClock, World},
    local::{LocalOptions, LocalStore, OpenError, Opened},
};
use tempfile::TempDir;

/// The smallest segments there are, made when they are needed, so that a few votes fill several and the same commands
/// give the same operations.
pub(crate) const SMALL: Options = Options {
    segment_bytes_min: 4096,
    segment_bytes_max: 4096,
    verified_to: Position::ZERO,
    preparation: Preparation::Inline,
};

/// A data directory that goes with the test.
pub(crate) struct Home {
    _directory: TempDir,
    pub(crate) options: LocalOptions,
}

impl Home {
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let mut options = LocalOptions::new(directory.path().join("data"), [7; 16]);
        options.ledger = SMALL;
        Self { _directory: directory, options }
    }

    pub(crate) fn open(&self, clock: &TestClock) -> Result<(Arc<LocalStore>, Opened), OpenError> {
        let (store, opened) = LocalStore::open(&self.options, Arc::new(clock.clone()))?;
        Ok((Arc::new(store), opened))
    }

    pub(crate) fn open_on(
        &self,
        disk: &SimulatedDisk,
        clock: &TestClock,
    ) -> Result<(Arc<LocalStore>, Opened), OpenError> {
        let (store, opened) =
            LocalStore::open_on(Arc::new(disk.clone()), &self.options, Arc::new(clock.clone()))?;
        Ok((Arc::new(store), opened))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.options.directory
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.path().join("checkpoint")
    }

    /// The directory as a crash would leave it now.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        fs::create_dir_all(copy.path().join("ledger")).unwrap();
        for folder in ["", "ledger"] {
            for entry in fs::read_dir(self.path().join(folder)).unwrap().map(Result::unwrap) {
                if entry.path().is_dir() {
                    continue;
                }
                match fs::copy(entry.path(), copy.path().join(folder).join(entry.file_name())) {
                    // A checkpoint that was being written has just got its name.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    copied => drop(copied.unwrap()),
                }
            }
        }
        copy
    }
}

/// A world on a store that the test keeps too.
pub(crate) fn world(store: &Arc<LocalStore>, clock: &TestClock) -> World {
    World::new(Arc::clone(store) as _, clock.clone(), ())
}

/// Something done to one of a script's polls, by its place among them.
pub(crate) type Line = (usize, &'static str);

/// The polls of the script: one that is free, one that is not, and one with codes.
const POLLS: [&str; 3] = [
    r#"{"title": "Free", "options": [{"id": "a"}, {"id": "b"}], "status": "open", "revote": "untilClose",
        "demographics": {"age": ["old", "young"], "city": null}}"#,
    r#"{"title": "Once", "options": [{"id": "a"}, {"id": "b"}, {"id": "c"}], "weighted": true}"#,
    r#"{"title": "Coded", "options": [{"id": "a"}, {"id": "b"}], "access": "code"}"#,
];

/// A little of everything.
pub(crate) const SCRIPT: [Line; 31] = [
    (0, "ada casts a age young city Oslo key k1"),
    (1, "open"),
    (1, "ada casts a weight 2.5"),
    (0, "bob casts b age old"),
    (2, "codes one,two,three"),
    (0, "ada changes b city Rome key k2"),
    (1, "bob casts c"),
    (2, "open"),
    (2, "x casts a code one key k"),
    (0, "cyd casts a + dan casts b key k + eve casts a city Oslo"),
    (0, "bob withdraws"),
    (1, r#"edit {"options": [{"id": "a", "label": "A!"}, {"id": "b"}, {"id": "c"}]}"#),
    (1, "cyd casts b weight 0.5 key long-key-of-a-careful-caller"),
    (0, "bob casts a age old"),
    (2, "x casts b code two"),
    (1, "pause"),
    (0, "eve casts b city Rome age old"),
    (0, "ada casts a key k3"),
    (1, "open"),
    (1, "dan casts a"),
    (0, "dan withdraws key w"),
    (2, "codes four"),
    (2, "x casts b code four"),
    (0, "fay casts a age young + gus casts a age young + hal casts b age young"),
    (1, "eve casts a weight 3"),
    (0, "gus casts b city Oslo"),
    (2, "close"),
    (1, "close"),
    (1, "certify"),
    (1, "archive"),
    (0, "ian casts b"),
];

/// The script's polls in a new store.
pub(crate) async fn create_polls(world: &World) -> Result<Vec<PollId>, StoreError> {
    let mut polls = Vec::new();
    for (number, poll) in POLLS.into_iter().enumerate() {
        let id: PollId = format!("script-{number}").parse().unwrap();
        let request = serde_json::from_str(poll).unwrap();
        polls.push(world.store.create_poll(request, id, "key:test").await?.id.clone());
    }
    Ok(polls)
}

/// Does all that the script says.
pub(crate) async fn tell_script(world: &World) -> Vec<PollId> {
    let polls = create_polls(world).await.unwrap();
    for (poll, line) in SCRIPT {
        let answer = world.tell(&polls[poll], line).await;
        assert!(!answer.contains("un") && !answer.contains("invalid"), "{line}: {answer}");
    }
    world.store.setting(Setting { name: "pepper".into(), value: "0f".into() }).await.unwrap();
    polls
}

/// Everything that a store tells, checked against its records: two stores with the same portrait are the same.
pub(crate) async fn portrait(store: &Arc<LocalStore>) -> Vec<String> {
    let world = world(store, &TestClock::default());
    let query = PollQuery { status: None, limit: 100, cursor: None };
    let mut portrait = Vec::new();
    for poll in store.list_polls(query).await.unwrap().polls {
        portrait.push(serde_json::to_string(&*poll).unwrap());
        portrait.push(format!("{:?}", world.check_records(&poll.id).await));
        let records = world.all_records(&poll.id).await.unwrap();
        let chain = records
            .iter()
            .fold([0; 32], |chain, recorded| recorded.chain_input.as_ref().unwrap().link(&chain));
        portrait.push(hexadecimal(&chain));
        for voter in ["ada", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ian"] {
            let read = store.read_vote(&poll.id, &voter.parse().unwrap()).await.unwrap();
            portrait.push(format!("{voter} {read:?}"));
        }
    }
    let mut keys: Vec<_> = store.keys().await.unwrap().iter().map(|key| format!("{key:?}")).collect();
    keys.sort();
    portrait.extend(keys);
    portrait
}

/// Runs a future to its end on a runtime of its own.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// Random numbers that follow from a seed (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, numbers: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % numbers
    }
}
