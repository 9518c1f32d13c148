//! Ballots of all five forms, good and bad.

use canvass_domain::ballot::{BallotInput, BallotView};

use crate::support::poll;

/// What a ballot is read as, or what is wrong with it. What was read must be readable again as it is shown.
fn read(method: &str, ballot: &str) -> String {
    let poll = poll(&format!(r#"{{"method": {method}}}"#));
    let input: BallotInput<'_> = match serde_json::from_str(ballot) {
        Ok(input) => input,
        Err(_) => return "malformed".to_owned(),
    };
    match input.read(&poll) {
        Err(invalid) => invalid.to_string(),
        Ok(ballot) => {
            let shown = serde_json::to_string(&BallotView { poll: &poll, ballot: &ballot }).unwrap();
            let again: BallotInput<'_> = serde_json::from_str(&shown).unwrap();
            assert_eq!(again.read(&poll), Ok(ballot.clone()), "{shown}");
            shown
        }
    }
}

fn check(method: &str, cases: &[(&str, &str)]) {
    let read: Vec<_> = cases.iter().map(|(ballot, _)| (*ballot, read(method, ballot))).collect();
    let expected: Vec<_> = cases.iter().map(|(ballot, read)| (*ballot, (*read).to_owned())).collect();
    assert_eq!(read, expected);
}

#[test]
fn one_choice() {
    let wrong_form = r#"ballot: a ballot of plurality is written {"choice": "…"}"#;
    check(
        r#"{"type": "plurality"}"#,
        &[
            (r#"{"choice": "b"}"#, r#"{"choice":"b"}"#),
            (r#"{"choice": "\u0062"}"#, r#"{"choice":"b"}"#),
            (r#"{"choice": "B"}"#, "ballot.choice: names an option that the poll does not have"),
            (r#"{"choice": ""}"#, "ballot.choice: names an option that the poll does not have"),
            (r#"{"choice": null}"#, wrong_form),
            (r#"{"choices": ["b"]}"#, wrong_form),
            (r#"{"choice": "b", "ranking": ["b"]}"#, wrong_form),
            ("{}", wrong_form),
            (r#"{"choice": "b", "choice": "c"}"#, "malformed"),
            (r#"{"choice": ["b"]}"#, "malformed"),
            (r#"{"choice": 1}"#, "malformed"),
            (r#"{"vote": "b"}"#, "malformed"),
        ],
    );
}

#[test]
fn several_choices() {
    let cases = [
        (r#"{"choices": ["c", "a"]}"#, r#"{"choices":["a","c"]}"#),
        (r#"{"choices": []}"#, r#"{"choices":[]}"#),
        (r#"{"choices": ["a", "a"]}"#, "ballot.choices: names a more than once"),
        (r#"{"choices": ["a", "z"]}"#, "ballot.choices: names an option that the poll does not have"),
        (r#"{"choice": "a"}"#, r#"ballot: a ballot of approval is written {"choices": ["…"]}"#),
        (r#"{"choices": [null]}"#, "malformed"),
    ];
    check(r#"{"type": "approval"}"#, &cases);
    check(r#"{"type": "approval", "maxChoices": 2}"#, &cases);
    check(
        r#"{"type": "approval", "maxChoices": 2}"#,
        &[(r#"{"choices": ["a", "b", "c"]}"#, "ballot.choices: at most 2 choices")],
    );
    let endless = format!(r#"{{"choices": [{}"a"]}}"#, r#""a","#.repeat(600));
    assert_eq!(read(r#"{"type": "approval"}"#, &endless), "ballot.choices: more entries than options");
}

#[test]
fn rankings() {
    check(
        r#"{"type": "irv"}"#,
        &[
            (r#"{"ranking": ["c", "a"]}"#, r#"{"ranking":["c","a"]}"#),
            (r#"{"ranking": ["c", ["b", "a"], "d"]}"#, r#"{"ranking":["c",["a","b"],"d"]}"#),
            (r#"{"ranking": [null, "c", [], "a", null, []]}"#, r#"{"ranking":[null,"c",null,"a"]}"#),
            (r#"{"ranking": [["a"]]}"#, r#"{"ranking":["a"]}"#),
            (r#"{"ranking": []}"#, r#"{"ranking":[]}"#),
            (r#"{"ranking": ["a", "a"]}"#, "ballot.ranking: names a more than once"),
            (r#"{"ranking": ["a", ["b", "a"]]}"#, "ballot.ranking: names a more than once"),
            (r#"{"ranking": [["a", "a"]]}"#, "ballot.ranking: names a more than once"),
            (r#"{"ranking": ["z"]}"#, "ballot.ranking: names an option that the poll does not have"),
            (r#"{"ranking": [1]}"#, "malformed"),
            (r#"{"ranking": "a"}"#, "malformed"),
            (r#"{"scores": {"a": 1}}"#, r#"ballot: a ballot of irv is written {"ranking": ["…"]}"#),
        ],
    );
    let endless = format!(r#"{{"ranking": [{}"a"]}}"#, "null,".repeat(1_000));
    assert_eq!(read(r#"{"type": "irv"}"#, &endless), "ballot.ranking: at most 1000 ranks");
}

#[test]
fn scores() {
    check(
        r#"{"type": "score", "min": -2, "max": 3}"#,
        &[
            (r#"{"scores": {"c": 3, "a": -2, "b": 0}}"#, r#"{"scores":{"a":-2,"b":0,"c":3}}"#),
            (r#"{"scores": {}}"#, r#"{"scores":{}}"#),
            (r#"{"scores": {"a": 4}}"#, "ballot.scores: scores from -2 to 3"),
            (r#"{"scores": {"a": -3}}"#, "ballot.scores: scores from -2 to 3"),
            (r#"{"scores": {"a": 1, "a": 1}}"#, "ballot.scores: names a more than once"),
            (r#"{"scores": {"z": 1}}"#, "ballot.scores: names an option that the poll does not have"),
            (r#"{"scores": {"a": 1.5}}"#, "malformed"),
            (r#"{"scores": {"a": 9999999999}}"#, "malformed"),
            (r#"{"scores": {"a": null}}"#, "malformed"),
            (r#"{"scores": [1]}"#, "malformed"),
        ],
    );
    check(
        r#"{"type": "star"}"#,
        &[
            (r#"{"scores": {"a": 5}}"#, r#"{"scores":{"a":5}}"#),
            (r#"{"scores": {"a": 6}}"#, "ballot.scores: scores from 0 to 5"),
            (r#"{"scores": {"a": -1}}"#, "ballot.scores: scores from 0 to 5"),
        ],
    );
}

#[test]
fn allocations() {
    check(
        r#"{"type": "quadratic", "credits": 10}"#,
        &[
            (r#"{"allocation": {"b": -1, "a": 3}}"#, r#"{"allocation":{"a":3,"b":-1}}"#),
            (r#"{"allocation": {"a": 0}}"#, r#"{"allocation":{}}"#),
            (r#"{"allocation": {"a": 3, "b": 2}}"#, "ballot.allocation: these votes cost 13 of 10 credits"),
            (r#"{"allocation": {"a": -4}}"#, "ballot.allocation: these votes cost 16 of 10 credits"),
            (
                r#"{"allocation": {"a": 2147483647, "b": -2147483648, "c": 2147483647}}"#,
                "ballot.allocation: these votes cost 9223372036854775807 of 10 credits",
            ),
            (r#"{"allocation": {"a": 1, "a": 0}}"#, "ballot.allocation: names a more than once"),
            (r#"{"allocation": {"z": 0}}"#, "ballot.allocation: names an option that the poll does not have"),
        ],
    );
    check(
        r#"{"type": "dot", "dots": 5, "maxPerOption": 3}"#,
        &[
            (r#"{"allocation": {"b": 2, "a": 3}}"#, r#"{"allocation":{"a":3,"b":2}}"#),
            (r#"{"allocation": {"a": 4}}"#, "ballot.allocation: at most 3 dots for one option"),
            (r#"{"allocation": {"a": 3, "b": 3}}"#, "ballot.allocation: 6 of 5 dots were given"),
            (r#"{"allocation": {"a": 3, "b": 3, "c": -1}}"#, "ballot.allocation: dots are 0 or more"),
            (
                r#"{"allocation": {"a": 2147483647, "b": 2147483647}}"#,
                "ballot.allocation: 4294967294 of 5 dots were given",
            ),
        ],
    );
}
