//! What a vote tells of its voter, what tells requests apart, and what never shows.

use std::borrow::Cow;

use canvass_domain::{
    Ballot, Refusal, VoteId, VoterId, Weight,
    code::{code_from_random, hash_code, voter_of_code},
    vote::{Marked, Operation, Personal, VoteCommand, read_answers},
};

use crate::support::poll;

fn answers(given: &[(&str, &str)]) -> String {
    let poll = poll(r#"{"demographics": {"age": ["old", "young"], "city": null}}"#);
    let pairs = given.iter().map(|(name, value)| (Cow::from(*name), Cow::from(*value)));
    match read_answers(&poll, pairs) {
        Ok(answers) => format!("{answers:?}"),
        Err(invalid) => invalid.to_string(),
    }
}

#[test]
fn demographics() {
    let long = "x".repeat(129);
    let cases: [(&[(&str, &str)], &str); 9] = [
        (&[], "[]"),
        (&[("city", "Oslo"), ("age", "old")], r#"[(0, "old"), (1, "Oslo")]"#),
        (&[("age", "middle")], "demographics.age: is not one of the values that the poll lists"),
        (&[("age", "old"), ("age", "young")], "demographics.age: is given twice"),
        (&[("height", "1")], "demographics: names a dimension that the poll does not declare"),
        (&[("city", "")], "demographics.city: 1 to 128 bytes of text without control characters"),
        (&[("city", "a\nb")], "demographics.city: 1 to 128 bytes of text without control characters"),
        (&[("city", &long)], "demographics.city: 1 to 128 bytes of text without control characters"),
        (&[("city", &long[1..])], &format!("[(1, \"{}\")]", &long[1..])),
    ];
    for (given, expected) in cases {
        assert_eq!(answers(given), expected);
    }
}

fn command(operation: Operation, marked: Option<Marked>) -> VoteCommand {
    VoteCommand {
        voter: "ada".parse().unwrap(),
        operation,
        marked,
        idempotency_key: Some("secret-key".parse().unwrap()),
        vote_id: VoteId::from_bytes([1; 16]),
        salt: [2; 16],
        form: 1,
        code: None,
    }
}

#[test]
fn every_part_of_a_request_tells_it_apart() {
    let marked = |choice: u16, weight: u64, city: Option<&str>| Marked {
        ballot: Ballot::Choices(vec![choice]),
        weight: Weight::from_millionths(weight).unwrap(),
        answers: city.map(|city| (1, city.into())).into_iter().collect(),
    };
    let first = marked(0, 1_000_000, None);
    let others = [
        command(Operation::Change, Some(first.clone())),
        command(Operation::Withdraw, None),
        command(Operation::Cast, Some(marked(1, 1_000_000, None))),
        command(Operation::Cast, Some(marked(0, 2_000_000, None))),
        command(Operation::Cast, Some(marked(0, 1_000_000, Some("Oslo")))),
        command(Operation::Cast, Some(marked(0, 1_000_000, Some("Rome")))),
        command(Operation::Cast, Some(Marked { ballot: Ballot::Ranking(Vec::new()), ..first.clone() })),
    ];
    let mut prints: Vec<_> = others.iter().map(VoteCommand::fingerprint).collect();
    let same = command(Operation::Cast, Some(first));
    prints.push(same.fingerprint());
    let count = prints.len();
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), count);
    // What is drawn anew for each attempt does not tell it apart.
    let again = VoteCommand { vote_id: VoteId::from_bytes([9; 16]), salt: [9; 16], form: 2, ..same.clone() };
    assert_eq!(again.fingerprint(), same.fingerprint());
}

#[test]
fn nobodys_identity_shows() {
    let command = command(Operation::Withdraw, None);
    let mut encoded = Vec::new();
    command.encode_personal(&[], &mut encoded);
    let shown = format!("{command:?} {:?}", Personal::decode(&encoded).unwrap());
    assert!(!shown.contains("ada") && !shown.contains("secret-key"), "{shown}");
    let voted = Refusal::VoteNotFound;
    assert_eq!(voted.to_string(), "this voter has no vote in this poll");
}

#[test]
fn identifiers() {
    let voter = |text: &str| text.parse::<VoterId>().is_ok();
    assert!(voter("ada") && voter("Ada Lovelace, 1815–1852") && voter(&"x".repeat(256)));
    assert!(!voter("") && !voter(&"x".repeat(257)) && !voter("a\0b") && !voter("a\nb"));
}

#[test]
fn codes_are_read_as_people_type_them() {
    let poll = "p".parse().unwrap();
    let code = code_from_random([0, 1, 2, 3, 0xff, 0xfe, 7, 8, 9, 10]);
    assert_eq!((code.len(), code.matches('-').count()), (19, 3));
    let hash = hash_code(&poll, &code);
    for typed in [code.to_lowercase(), code.replace('-', ""), code.replace('-', " "), code.replace('0', "o")]
    {
        assert_eq!(hash_code(&poll, &typed), hash, "{typed}");
    }
    assert_ne!(hash_code(&"q".parse().unwrap(), &code), hash);
    assert_ne!(hash_code(&poll, &code[..18]), hash);
    let voter = voter_of_code(&hash);
    assert!(voter.as_str().starts_with("code-") && !voter.as_str().contains(&code));
}
