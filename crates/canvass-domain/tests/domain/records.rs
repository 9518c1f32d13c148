//! The encoding of records: every kind comes back as it was, odd bytes are refused, what is written stays as it is, and
//! what was written once is read for ever.

use std::{fmt::Write as _, fs, path::PathBuf};

use canvass_domain::{
    Ballot, Rank, Sequence, Timestamp, VoteId, Weight,
    key::{Key, Plan, Rate, Scope, Secret, SecretHash},
    record::{
        CodesAdded, Entry, Kind, Place, PollEvent, Record, Setting, Step, VoteBody, VoteRecord, decode,
        decode_place, encode_event, encode_vote, hexadecimal,
    },
    tally::Books,
    vote::{Operation, Personal},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::support::poll;

const KINDS: [Kind; 5] = [Kind::Poll, Kind::Codes, Kind::Vote, Kind::Key, Kind::Setting];

/// A record's bytes: the kind, the body, and the personal part.
fn encode(entry: &Entry) -> (Kind, Vec<u8>, Option<Vec<u8>>) {
    let mut body = Vec::new();
    let Record::Vote(vote) = &entry.record else {
        let kind = encode_event(&mut body, entry.place, &entry.record);
        return (kind, body, None);
    };
    let parts = VoteBody {
        vote_id: vote.vote_id,
        operation: vote.operation,
        previous: vote.previous,
        revision: vote.revision,
        personal_hash: &vote.personal_hash,
        added: vote.added.as_ref().map(|(ballot, weight)| (ballot, *weight)),
        removed: vote.removed.as_ref().map(|(ballot, weight)| (ballot, *weight)),
    };
    encode_vote(&mut body, entry.place, &parts);
    let personal = vote.personal.as_ref().map(|personal| {
        let mut bytes = Vec::new();
        personal.encode(&mut bytes);
        bytes
    });
    (Kind::Vote, body, personal)
}

fn check(entry: &Entry) {
    let (kind, body, personal) = encode(entry);
    assert_eq!(decode(kind, &body, personal.as_deref()).as_ref(), Ok(entry));
    assert_eq!(decode_place(&body), Ok(entry.place));
    assert_eq!(Kind::from_byte(kind as u8), Some(kind));
}

fn a_place() -> impl Strategy<Value = Place> {
    (any::<u32>(), any::<u64>(), any::<i64>()).prop_map(|(poll, sequence, at)| Place {
        poll,
        sequence: Sequence(sequence),
        at: Timestamp::from_microseconds(at),
    })
}

fn a_ballot() -> impl Strategy<Value = Ballot> {
    let rank = prop_oneof![
        any::<u16>().prop_map(Rank::One),
        vec(any::<u16>(), 2..5).prop_map(Rank::Equal),
        Just(Rank::Skipped),
        Just(Rank::Overvote),
    ];
    let marks = || vec((any::<u16>(), any::<i32>()), 0..20);
    prop_oneof![
        vec(any::<u16>(), 0..500).prop_map(Ballot::Choices),
        vec(rank, 0..50).prop_map(Ballot::Ranking),
        marks().prop_map(Ballot::Scores),
        marks().prop_map(Ballot::Allocation),
    ]
}

fn some_votes() -> impl Strategy<Value = Option<(Ballot, Weight)>> {
    let weight = prop_oneof![Just(1_000_000), 1..=1_000_000_000_000_000_u64];
    option::of((a_ballot(), weight.prop_map(|weight| Weight::from_millionths(weight).unwrap())))
}

fn a_person() -> impl Strategy<Value = Personal> {
    let answers = || vec((any::<u8>(), "[a-zå-ö]{1,40}".prop_map(|value| value.as_str().into())), 0..16);
    let key = option::of(("[!-~]{1,256}", any::<[u8; 16]>()));
    (any::<[u8; 16]>(), "[a-zå-ö0-9 ]{1,100}", answers(), answers(), key).prop_map(
        |(salt, voter, answers, replaced, key)| Personal {
            salt,
            voter: voter.parse().unwrap(),
            answers,
            replaced,
            idempotency: key.map(|(key, fingerprint)| (key.parse().unwrap(), fingerprint)),
        },
    )
}

fn a_vote() -> impl Strategy<Value = Record> {
    let operation = select(vec![Operation::Cast, Operation::Change, Operation::Withdraw]);
    let previous = option::of(1_u64..).prop_map(|sequence| sequence.map(Sequence));
    let ids = (any::<[u8; 16]>(), any::<[u8; 32]>());
    (ids, operation, previous, any::<u32>(), some_votes(), some_votes(), option::of(a_person())).prop_map(
        |((vote_id, personal_hash), operation, previous, revision, added, removed, personal)| {
            let vote_id = VoteId::from_bytes(vote_id);
            let vote = VoteRecord {
                vote_id,
                operation,
                previous,
                revision,
                added,
                removed,
                personal_hash,
                personal,
            };
            Record::Vote(Box::new(vote))
        },
    )
}

fn an_event() -> impl Strategy<Value = Record> {
    let texts = (".{0,200}", "[ -~]{0,200}", "[a-z:]{1,30}");
    let numbers = (any::<u16>(), any::<u32>(), any::<u64>(), any::<bool>());
    (texts, numbers, option::of(any::<i32>())).prop_map(
        |((title, label, actor), (seats, cell, version, write_in), at)| {
            let mut poll = poll("{}");
            poll.options[0].label = label;
            (poll.title, poll.seats, poll.minimum_cell, poll.version) = (title, seats, cell, version);
            poll.write_in = write_in;
            poll.closes_at = at.map(|at| Timestamp::default().plus_seconds(at.into()));
            Record::Poll(Box::new(PollEvent { step: Step::Changed, actor, poll, chain: "00".repeat(32) }))
        },
    )
}

fn another() -> impl Strategy<Value = Record> {
    let codes = ("[a-z:]{1,30}", vec(any::<[u8; 16]>(), 0..50));
    let setting = ("[a-z]{1,30}", "[0-9a-f]{0,64}");
    let key = ("[a-zA-Z0-9._-]{1,64}", ".{0,50}", option::of(any::<u32>()), any::<u64>());
    prop_oneof![
        codes.prop_map(|(actor, hashes)| Record::Codes(CodesAdded { actor, hashes })),
        setting.prop_map(|(name, value)| Record::Setting(Setting { name, value })),
        key.prop_map(|(id, name, expires, quota)| Record::Key(Box::new(a_key(&id, name, expires, quota)))),
    ]
}

fn a_key(id: &str, name: String, expires: Option<u32>, quota: u64) -> Key {
    let expires_at = expires.map(|seconds| Timestamp::default().plus_seconds(seconds.into()));
    let created_at = Timestamp::default();
    Key {
        id: id.parse().unwrap(),
        name,
        scopes: vec![Scope::VotesWrite, Scope::Admin],
        plan: Plan {
            post_votes: Some(Rate { rate: 10, burst: 20 }),
            quota_per_day: Some(quota),
            ..Plan::UNLIMITED
        },
        expires_at,
        created_at,
        revoked_at: None,
        secrets: vec![Secret { hash: SecretHash::of("s"), created_at, expires_at }],
    }
}

/// Bytes go into everything that reads them; whatever comes out, nothing panics.
fn read_anything(bytes: &[u8]) {
    for kind in KINDS {
        for personal in [None, Some(bytes)] {
            let _ = decode(kind, bytes, personal);
        }
    }
    let _ = (Personal::decode(bytes), Personal::voter_of(bytes), decode_place(bytes));
    let _ = Personal::is_of(bytes, &"ada".parse().unwrap());
    let _ = Books::decode(&poll(r#"{"demographics": {"age": null}}"#), bytes);
}

proptest! {
    #[test]
    fn every_record_comes_back(place in a_place(), record in prop_oneof![3 => a_vote(), 1 => an_event(), 1 => another()]) {
        check(&Entry { place, record });
    }

    #[test]
    fn odd_bytes_are_refused(bytes in vec(any::<u8>(), 0..300)) {
        read_anything(&bytes);
    }

    /// What was a record but for a few bytes, or for its end.
    #[test]
    fn damaged_records_are_refused(
        place in a_place(),
        record in prop_oneof![a_vote(), an_event(), another()],
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in any::<prop::sample::Index>(),
    ) {
        let (kind, mut body, _) = encode(&Entry { place, record });
        body.truncate(length.index(body.len() + 1));
        for (at, byte) in changes {
            if let Some(changed) = body.len().checked_sub(1).map(|last| at.index(last + 1)) {
                body[changed] = byte;
            }
        }
        read_anything(&body);
        let _ = decode(kind, &body, None);
    }

    #[test]
    fn longer_records_are_none(place in a_place(), vote in a_vote()) {
        let (_, mut body, _) = encode(&Entry { place, record: vote });
        body.push(0);
        prop_assert!(decode(Kind::Vote, &body, None).is_err());
    }
}

/// A count that asks for endless memory is refused before it is believed.
#[test]
fn endless_counts_are_refused() {
    let mut body = vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    body.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    KINDS.into_iter().for_each(|kind| assert!(decode(kind, &body, None).is_err()));
    read_anything(&body[10..]);
}

fn vote(operation: Operation, added: Option<(Ballot, Weight)>, removed: Option<(Ballot, Weight)>) -> Record {
    let personal = Personal {
        salt: *b"sixteen bytes of",
        voter: "ada".parse().unwrap(),
        answers: vec![(0, "young".into()), (2, "Oslo".into())],
        replaced: removed.iter().map(|_| (1, "before".into())).collect(),
        idempotency: added.iter().map(|_| ("key-1".parse().unwrap(), [7; 16])).next(),
    };
    let mut bytes = Vec::new();
    personal.encode(&mut bytes);
    Record::Vote(Box::new(VoteRecord {
        vote_id: VoteId::from_bytes(*b"a vote's own id."),
        operation,
        previous: removed.as_ref().map(|_| Sequence(300)),
        revision: removed.iter().map(|_| 2).sum(),
        added,
        removed,
        personal_hash: Personal::hash(&bytes),
        personal: Some(personal),
    }))
}

/// One record of each kind, and votes of every form.
fn examples() -> Vec<(&'static str, Record)> {
    let weight = |text: &str| text.parse::<Weight>().unwrap();
    let ranks = vec![Rank::One(300), Rank::Equal(vec![0, 2]), Rank::Skipped, Rank::Overvote];
    let cast = |ballot, weight| vote(Operation::Cast, Some((ballot, weight)), None);
    let event = PollEvent {
        step: Step::Opened,
        actor: "key:admin".to_owned(),
        poll: poll(
            r#"{"status": "open", "method": {"type": "approval", "maxChoices": 2}, "writeIn": false,
            "demographics": {"age": ["old", "young"], "city": null}, "closesAt": "2026-01-03T00:00:00.000001Z"}"#,
        ),
        chain: "ab".repeat(32),
    };
    let erased = match cast(Ballot::Choices(vec![1]), Weight::ONE) {
        Record::Vote(vote) => Record::Vote(Box::new(VoteRecord { personal: None, ..*vote })),
        other => other,
    };
    let plain = match cast(Ballot::Choices(vec![1]), Weight::ONE) {
        Record::Vote(vote) => {
            let personal = vote.personal.clone().unwrap();
            let personal = Personal { answers: Vec::new(), idempotency: None, ..personal };
            Record::Vote(Box::new(VoteRecord { personal: Some(personal), ..*vote }))
        }
        other => other,
    };
    let codes = CodesAdded { actor: "key:admin".to_owned(), hashes: vec![[1; 16], [2; 16]] };
    let setting = Setting { name: "pepper".to_owned(), value: "0f".repeat(16) };
    vec![
        ("poll", Record::Poll(Box::new(event))),
        ("codes", Record::Codes(codes)),
        ("choice", cast(Ballot::Choices(vec![3]), Weight::ONE)),
        ("choices-weighted", cast(Ballot::Choices(vec![0, 499]), weight("2.5"))),
        ("blank", cast(Ballot::Choices(Vec::new()), Weight::ONE)),
        ("ranking", cast(Ballot::Ranking(ranks), Weight::ONE)),
        ("scores", cast(Ballot::Scores(vec![(0, -3), (1, 0), (2, 1_000_000)]), Weight::ONE)),
        ("allocation", cast(Ballot::Allocation(vec![(1, 7), (2, -64)]), Weight::ONE)),
        (
            "change",
            vote(
                Operation::Change,
                Some((Ballot::Choices(vec![1]), Weight::ONE)),
                Some((Ballot::Choices(vec![0]), weight("0.000001"))),
            ),
        ),
        ("withdrawal", vote(Operation::Withdraw, None, Some((Ballot::Choices(vec![1]), Weight::ONE)))),
        ("erased", erased),
        ("key", Record::Key(Box::new(a_key("k1", "Front end".to_owned(), Some(86_400), 10_000)))),
        ("setting", Record::Setting(setting)),
        ("plain", plain),
    ]
}

fn golden_file(version: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/records_v{version}.txt"))
}

fn bytes_of(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// The examples, each at its place.
fn entries() -> Vec<(&'static str, Entry)> {
    (examples().into_iter().enumerate())
        .map(|(number, (name, record))| {
            let at = Timestamp::default().plus_seconds(1_800_000_000 + i64::try_from(number).unwrap());
            let place = Place { poll: 200, sequence: Sequence(number as u64 + 126), at };
            (name, Entry { place, record })
        })
        .collect()
}

/// A golden file is read as the examples, of which an older one has the first.
fn check_read(version: u32, examples: usize) {
    let golden = fs::read_to_string(golden_file(version)).unwrap();
    assert_eq!(golden.lines().count(), examples);
    for (line, (name, entry)) in golden.lines().zip(entries()) {
        let parts: Vec<_> = line.split(' ').collect();
        let kind = Kind::from_byte(parts[1].parse().unwrap()).unwrap();
        let personal = Some(bytes_of(parts[3])).filter(|_| parts[3] != "-");
        let read = decode(kind, &bytes_of(parts[2]), personal.as_deref());
        assert_eq!((parts[0], read), (name, Ok(entry)));
    }
}

/// Version 1 had no short form for the first record of a voter and for what is left out of a personal part.
#[test]
fn version_1_is_read_as_ever() {
    check_read(1, 13);
}

/// Records are written as ever and read as ever: the file never changes.
#[test]
fn version_2_stays_as_it_is() {
    let mut written = String::new();
    for (name, entry) in &entries() {
        let (kind, body, personal) = encode(entry);
        let personal = personal.map_or("-".to_owned(), |bytes| hexadecimal(&bytes));
        writeln!(written, "{name} {} {} {personal}", kind as u8, hexadecimal(&body)).unwrap();
    }
    if !golden_file(2).exists() {
        fs::write(golden_file(2), &written).unwrap();
        panic!("the golden file has been written: look at it, and keep it");
    }
    let golden = fs::read_to_string(golden_file(2)).unwrap();
    assert_eq!(written, golden, "a change of the encoding needs a new kind or a new version");
    check_read(2, 14);
}
