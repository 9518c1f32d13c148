//! Random commands, restarts, crashes and clocks that jump, against a simple model: every answer is compared.

use std::collections::{BTreeMap, VecDeque};

use canvass_domain::PollId;
use canvass_ledger::testing::SimulatedDisk;
use canvass_store::conformance::{TestClock, World};

use crate::support::{Home, Random, run, world};

const POLLS: u64 = 3;
const STEPS: usize = 150;
const VERBS: [&str; 3] = ["casts", "changes", "withdraws"];
const PARTICIPLES: [&str; 3] = ["cast", "changed", "withdrawn"];

/// One vote's record: what was recorded, for which option, and what was asked under which key.
#[derive(Clone)]
struct Voted {
    operation: usize,
    option: u64,
    request: Option<(u64, usize, u64)>,
}

/// A poll in its plainest form.
#[derive(Clone)]
struct ModelPoll {
    status: &'static str,
    is_free: bool,
    closes_at: Option<u64>,
    version: u64,
    sequence: u64,
    /// The minute of its newest record.
    latest: u64,
    voters: BTreeMap<u64, Vec<Voted>>,
}

/// What one step of a run does.
#[derive(Clone, Debug)]
enum Step {
    Vote { voter: u64, verb: usize, option: u64, key: Option<u64> },
    Turn(&'static str),
    CloseAt(u64),
    Read(u64),
}

impl ModelPoll {
    fn new(is_free: bool) -> Self {
        Self {
            status: "open",
            is_free,
            closes_at: None,
            version: 1,
            sequence: 2,
            latest: 0,
            voters: BTreeMap::new(),
        }
    }

    fn record(&mut self, now: u64) {
        self.sequence += 1;
        self.latest = self.latest.max(now);
    }

    fn turn(&mut self, status: &'static str, now: u64) {
        self.status = status;
        self.version += 1;
        self.record(now);
    }

    fn take_due(&mut self, now: u64) {
        let now = now.max(self.latest);
        if self.status != "closed" && self.closes_at.is_some_and(|closes| closes <= now) {
            self.turn("closed", now);
        }
    }

    /// What the step is answered, and what it does.
    fn take(&mut self, step: &Step, now: u64) -> String {
        match *step {
            Step::Read(voter) => self.read(voter),
            Step::Vote { voter, verb, option, key } => self.vote(voter, verb, option, key, now),
            Step::CloseAt(minute) => {
                self.take_due(now);
                if self.closes_at == Some(minute) {
                    return format!("{} v{}", self.status, self.version);
                }
                if self.status == "closed" {
                    return "closed cannot be given another closing time".to_owned();
                }
                if minute <= now.max(self.latest) {
                    return "invalid closesAt".to_owned();
                }
                self.closes_at = Some(minute);
                self.turn(self.status, now);
                format!("{} v{}", self.status, self.version)
            }
            Step::Turn(verb) => {
                self.take_due(now);
                let (status, participle) = match verb {
                    "open" => ("open", "opened"),
                    "pause" => ("paused", "paused"),
                    _ => ("closed", "closed"),
                };
                if self.status != status {
                    if self.status == "closed" {
                        return format!("closed cannot be {participle}");
                    }
                    self.turn(status, now);
                }
                format!("{} v{}", self.status, self.version)
            }
        }
    }

    fn read(&self, voter: u64) -> String {
        let history = self.voters.get(&voter).map_or(&[][..], Vec::as_slice);
        match history.last() {
            Some(vote) if vote.operation != 2 => format!("o{} r{}", vote.option, history.len() - 1),
            _ => "no vote".to_owned(),
        }
    }

    fn vote(&mut self, voter: u64, verb: usize, option: u64, key: Option<u64>, now: u64) -> String {
        self.take_due(now);
        let history = self.voters.entry(voter).or_default();
        let known = history.iter().rev().find_map(|vote| {
            let (known, verb, option) = vote.request?;
            (Some(known) == key).then_some((verb, option, vote.operation))
        });
        if let Some((asked_verb, asked_option, operation)) = known {
            let is_same = asked_verb == verb && (verb == 2 || asked_option == option);
            return if is_same {
                format!("replayed {}", PARTICIPLES[operation])
            } else {
                "key reused".to_owned()
            };
        }
        if self.status != "open" {
            return format!("not open: {}", self.status);
        }
        let standing = history.last().is_some_and(|vote| vote.operation != 2);
        let operation = match (verb, standing) {
            (0, false) => 0,
            (_, false) => return "no vote".to_owned(),
            (_, true) if !self.is_free => return format!("voted r{}", history.len() - 1),
            (2, true) => 2,
            (_, true) => 1,
        };
        history.push(Voted { operation, option, request: key.map(|key| (key, verb, option)) });
        self.record(now);
        PARTICIPLES[operation].to_owned()
    }

    fn results(&self) -> String {
        let standing: Vec<u64> = self
            .voters
            .values()
            .filter_map(|history| history.last().filter(|vote| vote.operation != 2))
            .map(|vote| vote.option)
            .collect();
        let count = |option: u64| standing.iter().filter(|chosen| **chosen == option).count();
        format!("o0 {}, o1 {}, o2 {} of {}", count(0), count(1), count(2), standing.len())
    }
}

impl Step {
    fn random(random: &mut Random, now: u64) -> Self {
        match random.below(20) {
            0 => Self::Turn("pause"),
            1 => Self::Turn("open"),
            2 if random.below(3) == 0 => Self::Turn("close"),
            3 => Self::CloseAt((now + random.below(40)).saturating_sub(5)),
            4 => Self::Read(random.below(6)),
            _ => Self::Vote {
                voter: random.below(6),
                verb: usize::try_from(random.below(3)).unwrap(),
                option: random.below(3),
                key: Some(random.below(4)).filter(|key| *key > 0),
            },
        }
    }

    fn line(&self) -> String {
        match *self {
            Self::Turn(verb) => verb.to_owned(),
            Self::CloseAt(minute) => format!(r#"edit {{"closesAt": "2026-01-{}Z"}}"#, moment(minute)),
            Self::Read(voter) => format!("v{voter} reads"),
            Self::Vote { voter, verb, option, key } => {
                let option = if verb == 2 { String::new() } else { format!(" o{option}") };
                let key = key.map_or(String::new(), |key| format!(" key k{key}"));
                format!("v{voter} {}{option}{key}", VERBS[verb])
            }
        }
    }
}

/// A minute of January as a clock shows it.
fn moment(minute: u64) -> String {
    format!("{:02}T{:02}:{:02}:00", 1 + minute / 1_440, minute / 60 % 24, minute % 60)
}

/// A run: the store, the model, and what has happened so far.
struct Run {
    random: Random,
    home: Home,
    disk: SimulatedDisk,
    clock: TestClock,
    now: u64,
    model: Vec<ModelPoll>,
    polls: Vec<PollId>,
    told: Vec<String>,
}

impl Run {
    async fn start(seed: u64) -> (Self, World) {
        let (clock, mut home, disk) = (TestClock::default(), Home::new(), SimulatedDisk::new(seed));
        home.options.checkpoint_bytes = [1, 1_500, u64::MAX][usize::try_from(seed % 3).unwrap()];
        let (store, _) = home.open_on(&disk, &clock).unwrap();
        let world = world(&store, &clock);
        let (mut polls, mut model) = (Vec::new(), Vec::new());
        for number in 0..POLLS {
            let revote = if number == 0 { "never" } else { "untilClose" };
            // Ballots that rank one option are kept as distinct ballots, and tell the same as choices.
            let method = if number == 2 { "irv" } else { "plurality" };
            let poll = format!(
                r#"{{"title": "T", "options": [{{"id": "o0"}}, {{"id": "o1"}}, {{"id": "o2"}}],
                "status": "open", "revote": "{revote}", "method": {{"type": "{method}"}}}}"#
            );
            polls.push(world.create(&poll).await);
            model.push(ModelPoll::new(number > 0));
        }
        let run = Self { random: Random(seed), home, disk, clock, now: 0, model, polls, told: Vec::new() };
        (run, world)
    }

    async fn go(&mut self, mut world: World, has_faults: bool) {
        for _ in 0..STEPS {
            let mut steps = VecDeque::new();
            match self.random.below(30) {
                0 | 1 => {
                    self.now = if self.random.below(3) == 0 {
                        self.now.saturating_sub(1_440)
                    } else {
                        self.now + self.random.below(60)
                    };
                    self.clock.set(&moment(self.now));
                    self.told.push(format!("clock {}", moment(self.now)));
                    // The writer may or may not have noticed what is due by now: asking each poll settles it.
                    let ask = Step::Vote { voter: 99, verb: 2, option: 0, key: None };
                    (0..self.model.len()).for_each(|poll| steps.push_back((poll, ask.clone())));
                }
                2 => world = self.reopen(world).await,
                3 if has_faults => self.disk.stop_at(self.disk.operations() + 1 + self.random.below(4)),
                4 if has_faults => self.disk.fail_next_sync(),
                _ => {
                    let poll = usize::try_from(self.random.below(POLLS)).unwrap();
                    steps.push_back((poll, Step::random(&mut self.random, self.now)));
                }
            }
            for (poll, step) in steps {
                world = self.tell(world, poll, &step).await;
            }
        }
        self.reopen(world).await;
    }

    async fn tell(&mut self, world: World, poll: usize, step: &Step) -> World {
        let mut after = self.model[poll].clone();
        let expected = after.take(step, self.now);
        let answer = world.tell(&self.polls[poll], &step.line()).await;
        self.told.push(format!("{poll}: {} => {answer}", step.line()));
        if answer == "unavailable" || answer == "outcome unknown" {
            let world = self.reopen(world).await;
            self.settle(&world, poll, after).await;
            return world;
        }
        assert_eq!(answer, expected, "after\n{}", self.told.join("\n"));
        self.model[poll] = after;
        world
    }

    /// After a step without an answer, the ledger says whether it happened.
    async fn settle(&mut self, world: &World, asked: usize, after: ModelPoll) {
        for poll in 0..self.model.len() {
            let found = world.store.tally(&self.polls[poll]).await.unwrap().tally.sequence.0;
            let mut due = self.model[poll].clone();
            due.take_due(self.now);
            let mut possible = vec![self.model[poll].clone(), due];
            possible.extend((poll == asked).then(|| after.clone()));
            self.model[poll] = possible
                .into_iter()
                .find(|poll| poll.sequence == found)
                .unwrap_or_else(|| panic!("{found} records in poll {poll} after\n{}", self.told.join("\n")));
        }
    }

    /// Ends the store in one way or another, and opens it again.
    async fn reopen(&mut self, before: World) -> World {
        drop(before);
        match self.random.below(3) {
            0 => self.disk.lose_power(),
            1 => self.disk.restart(),
            _ => {
                let _ = std::fs::remove_file(self.home.checkpoint());
                self.disk.lose_power();
            }
        }
        self.told.push("opened again".to_owned());
        // A failure that is still to come may hit the start.
        let opened = self.home.open_on(&self.disk, &self.clock);
        let (store, _) = opened.or_else(|_| self.home.open_on(&self.disk, &self.clock)).unwrap();
        let world = world(&store, &self.clock);
        for poll in &self.polls {
            world.check_records(poll).await;
        }
        world
    }

    async fn compare(&self, world: &World) {
        for (poll, model) in self.polls.iter().zip(&self.model) {
            assert_eq!(world.tell(poll, "results").await, model.results(), "after\n{}", self.told.join("\n"));
            for voter in 0..6 {
                assert_eq!(world.tell(poll, &format!("v{voter} reads")).await, model.read(voter));
            }
        }
    }
}

fn check_runs(seeds: std::ops::Range<u64>, has_faults: bool) {
    for seed in seeds {
        run(async {
            let (mut run, world) = Run::start(seed).await;
            run.go(world, has_faults).await;
            let (store, _) = run.home.open_on(&run.disk, &run.clock).unwrap();
            run.compare(&crate::support::world(&store, &run.clock)).await;
        });
    }
}

#[test]
fn every_answer_is_the_models() {
    check_runs(0..30, false);
}

#[test]
fn every_answer_is_the_models_on_a_failing_disk() {
    check_runs(100..140, true);
}
