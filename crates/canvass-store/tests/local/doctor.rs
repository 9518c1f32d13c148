//! The doctor finds what is wrong with a directory, and nothing in a healthy one.

use std::{fs, sync::Arc};

use canvass_domain::{
    Ballot, Sequence, Timestamp, VoteId, Weight,
    decide::decide_create,
    poll::NewPoll,
    record::{
        Chain, Kind, Place, PollEvent, Record, Setting, Step, VoteBody, encode_event, encode_vote,
        hexadecimal, link,
    },
    vote::{Operation, Personal},
};
use canvass_ledger::{Batch, FileDisk, Ledger};
use canvass_store::{
    Store,
    conformance::TestClock,
    local::{Report, examine},
};

use crate::support::{Home, SMALL, run, tell_script, world};

/// A closed directory after the script.
fn closed() -> Home {
    let (clock, home) = (TestClock::default(), Home::new());
    let (store, _) = home.open(&clock).unwrap();
    run(tell_script(&world(&store, &clock)));
    home
}

/// Examines a directory after something was done to it, and compares the beginnings of what is found.
fn check(home: &Home, change: impl FnOnce(&Home), expected: &[&str]) -> Report {
    change(home);
    let report = examine(home.path()).unwrap();
    let found: Vec<_> = report.findings.iter().map(|finding| finding.what.as_str()).collect();
    let is_as_expected =
        found.len() == expected.len() && found.iter().zip(expected).all(|(found, part)| found.contains(part));
    assert!(is_as_expected, "{found:?} instead of {expected:?}");
    report
}

#[test]
fn nothing_is_wrong_with_a_healthy_directory() {
    let home = closed();
    let report = check(&home, |_| (), &[]);
    assert_eq!((report.polls, report.votes, report.erased, report.torn_bytes), (3, 16, 0, 0));
    assert!(report.records > 30 && report.segments > 2 && report.ledger_bytes > 4096);
    check(&home, |home| fs::remove_file(home.checkpoint()).unwrap(), &[]);
    check(&closed().copy(), |_| (), &[]);
}

#[test]
fn a_directory_without_a_ledger_is_none() {
    let home = Home::new();
    assert!(examine(home.path()).is_err());
}

#[test]
fn damage_is_found() {
    let flip = |at: usize| {
        move |home: &Home| {
            let segment = home.path().join("ledger/0000000000000000.segment");
            let mut bytes = fs::read(&segment).unwrap();
            bytes[at] ^= 4;
            fs::write(segment, bytes).unwrap();
        }
    };
    for at in [10, 64, 200, 1_000, 4_090] {
        check(&closed(), flip(at), &["0000000000000000.segment"]);
    }
    check(
        &closed(),
        |home| fs::remove_file(home.path().join("ledger/0000000000000000.segment")).unwrap(),
        &["missing"],
    );
}

/// A checkpoint of another ledger, longer or shorter, is told from this one's.
#[test]
fn a_strange_checkpoint_is_found() {
    let (clock, other) = (TestClock::default(), Home::new());
    let (store, _) = other.open(&clock).unwrap();
    let polls = run(tell_script(&world(&store, &clock)));
    run(world(&store, &clock).tell(&polls[0], "zoe casts a"));
    drop(store);
    let longer = closed();
    fs::copy(other.checkpoint(), longer.checkpoint()).unwrap();
    check(&longer, |_| (), &["the checkpoint stands at"]);
    // Of the same length, but another vote.
    let same = Home::new();
    let (store, _) = same.open(&clock).unwrap();
    let polls = run(tell_script(&world(&store, &clock)));
    run(world(&store, &clock).tell(&polls[0], "zoe casts b"));
    drop(store);
    fs::copy(other.checkpoint(), same.checkpoint()).unwrap();
    check(&same, |_| (), &["the checkpoint disagrees with the ledger on poll script-0"]);
    // The same polls, but another secret.
    let (here, there) = (with_pepper("0f"), with_pepper("1f"));
    fs::copy(there.checkpoint(), here.checkpoint()).unwrap();
    check(&here, |_| (), &["the checkpoint disagrees with the ledger on keys and settings"]);
    // The same secret, but another poll.
    let (here, there) = (with_poll("p1"), with_poll("p2"));
    fs::copy(there.checkpoint(), here.checkpoint()).unwrap();
    check(&here, |_| (), &["on poll p1"]);
}

/// A closed directory with one setting.
fn with_pepper(value: &str) -> Home {
    let home = Home::new();
    let (store, _) = home.open(&TestClock::default()).unwrap();
    let pepper = Setting { name: "pepper".into(), value: value.into() };
    run(async { store.setting(pepper).await }).unwrap();
    home
}

/// A closed directory with one draft.
fn with_poll(id: &str) -> Home {
    let (clock, home) = (TestClock::default(), Home::new());
    let (store, _) = home.open(&clock).unwrap();
    let poll = format!(r#"{{"id": "{id}", "title": "T", "options": [{{"id": "a"}}]}}"#);
    run(async { world(&store, &clock).create(&poll).await });
    home
}

/// A ledger that no server would write: its bytes are whole, but what they say is not.
struct Forged {
    ledger: Ledger,
    chain: Chain,
    sequence: u64,
}

impl Forged {
    fn begin(home: &Home) -> Self {
        let disk = FileDisk::new(home.path().join("ledger")).unwrap();
        let (ledger, _) = Ledger::open(Arc::new(disk), SMALL).unwrap();
        let mut forged = Self { ledger, chain: Chain::default(), sequence: 0 };
        let steps = decide_create(NewPoll::new("T", &["a", "b"]), "p".parse().unwrap(), Timestamp::default());
        forged.event(Step::Created, &steps.unwrap()[0].1, hexadecimal(&Chain::default()));
        forged
    }

    fn place(&mut self) -> Place {
        self.sequence += 1;
        Place { poll: 1, sequence: Sequence(self.sequence), at: Timestamp::default() }
    }

    fn event(&mut self, step: Step, poll: &canvass_domain::Poll, chain: String) {
        let event = PollEvent { step, actor: "key:test".into(), poll: poll.clone(), chain };
        let mut body = Vec::new();
        let place = self.place();
        encode_event(&mut body, place, &Record::Poll(Box::new(event)));
        self.append(Kind::Poll, &body, &[]);
    }

    fn vote(&mut self, voter: &str, operation: Operation, previous: Option<u64>) {
        let mut personal = Vec::new();
        let part = Personal {
            salt: [1; 16],
            voter: voter.parse().unwrap(),
            answers: Vec::new(),
            replaced: Vec::new(),
            idempotency: None,
        };
        part.encode(&mut personal);
        let (hash, mut body) = (Personal::hash(&personal), Vec::new());
        let ballot = Ballot::Choices(vec![0]);
        let marks = Some((&ballot, Weight::ONE));
        let vote = VoteBody {
            vote_id: VoteId::from_bytes([1; 16]),
            operation,
            previous: previous.map(Sequence),
            revision: 0,
            personal_hash: &hash,
            added: marks.filter(|_| operation != Operation::Withdraw),
            removed: marks.filter(|_| operation != Operation::Cast),
        };
        let place = self.place();
        encode_vote(&mut body, place, &vote);
        self.append(Kind::Vote, &body, &personal);
    }

    fn append(&mut self, kind: Kind, body: &[u8], personal: &[u8]) {
        let mut batch = Batch::new();
        batch.begin(self.ledger.end());
        batch.push(kind as u8, body, personal).unwrap();
        self.ledger.append(&mut batch).unwrap();
        self.chain = link(&self.chain, kind, body);
    }
}

/// Examines a forged ledger.
fn check_forged(forge: impl FnOnce(&mut Forged), expected: &[&str]) {
    let home = Home::new();
    fs::create_dir_all(home.path()).unwrap();
    let mut forged = Forged::begin(&home);
    forge(&mut forged);
    drop(forged);
    check(&home, |_| (), expected);
}

#[test]
fn a_forged_ledger_is_found() {
    check_forged(
        |ledger| {
            ledger.vote("ada", Operation::Cast, None);
            ledger.vote("bob", Operation::Cast, None);
            ledger.vote("bob", Operation::Withdraw, Some(3));
            ledger.vote("bob", Operation::Cast, Some(4));
        },
        &[],
    );
    check_forged(
        |ledger| {
            ledger.vote("ada", Operation::Cast, None);
            ledger.vote("ada", Operation::Cast, None);
        },
        &["record 3: the voter's vote counts twice"],
    );
    check_forged(
        |ledger| {
            ledger.vote("bob", Operation::Cast, None);
            ledger.vote("ada", Operation::Change, Some(2));
        },
        &["record 3: the voter's vote counts twice, or one that is not there is changed"],
    );
    check_forged(|ledger| ledger.sequence += 1, &[]);
    check_forged(
        |ledger| {
            ledger.sequence += 1;
            ledger.vote("ada", Operation::Cast, None);
        },
        &["it does not follow the record before"],
    );
    check_forged(|ledger| ledger.append(Kind::Vote, b"\x01", &[]), &["cannot be read"]);
    check_forged(|ledger| ledger.append(Kind::Poll, b"\x07\x01\0\0\0\0\0\0\0\0{}", &[]), &["cannot be read"]);
    check_forged(
        |ledger| {
            let steps = decide_create(NewPoll::new("T", &["a"]), "p".parse().unwrap(), Timestamp::default());
            ledger.event(Step::Changed, &steps.unwrap()[0].1, "00".repeat(32));
        },
        &["the chain of records before it does not lead here"],
    );
}
