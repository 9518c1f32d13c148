//! What a poll may be, how it may change, and what time does to it.

use canvass_domain::{
    Refusal, Timestamp,
    decide::{Facts, PollCommand, decide_create, decide_due, decide_poll},
    poll::{NewPoll, PollPatch},
    results::may_see,
};
use serde_json::{Value, json};

use crate::support::{at, poll};

fn text(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Invalid(invalid) => format!("invalid {}", invalid.field),
        other => other.to_string(),
    }
}

/// What becomes of a request for a poll at noon of the first day.
fn create(fields: &str) -> String {
    let mut request = json!({"title": "T", "options": [{"id": "a"}, {"id": "b"}]});
    let Value::Object(others) = serde_json::from_str(fields).unwrap() else { panic!("{fields}") };
    request.as_object_mut().unwrap().extend(others);
    let request: NewPoll = match serde_json::from_value(request) {
        Ok(request) => request,
        Err(_) => return "malformed".to_owned(),
    };
    match decide_create(request, "given".parse().unwrap(), at("01T12:00")) {
        Err(refusal) => text(&refusal),
        Ok(steps) => steps.iter().map(|(_, poll)| poll.status.name()).collect::<Vec<_>>().join(", "),
    }
}

fn check_create(cases: &[(&str, &str)]) {
    let created: Vec<_> = cases.iter().map(|(fields, _)| (*fields, create(fields))).collect();
    let expected: Vec<_> = cases.iter().map(|(fields, found)| (*fields, (*found).to_owned())).collect();
    assert_eq!(created, expected);
}

#[test]
fn what_may_be_created() {
    check_create(&[
        ("{}", "draft"),
        (r#"{"id": "my.poll_1-x"}"#, "draft"),
        (r#"{"id": ""}"#, "invalid id"),
        (r#"{"id": "a b"}"#, "invalid id"),
        (r#"{"id": "ä"}"#, "invalid id"),
        (r#"{"title": ""}"#, "invalid title"),
        (r#"{"title": "a\nb\tc"}"#, "draft"),
        (r#"{"title": "a\u0000b"}"#, "invalid title"),
        (r#"{"options": []}"#, "invalid options"),
        (r#"{"options": [], "writeIn": true}"#, "draft"),
        (r#"{"options": [{}, {}]}"#, "draft"),
        (r#"{"options": [{"id": "a"}, {"id": "a"}]}"#, "invalid options[1].id"),
        (r#"{"options": [{"id": "option-2"}, {}]}"#, "invalid options[1].id"),
        (r#"{"options": [{"id": "a b"}]}"#, "invalid options[0].id"),
        (r#"{"options": [{"id": "a", "label": ""}]}"#, "invalid options[0].label"),
        (r#"{"options": [{"id": "a", "colour": "red"}]}"#, "malformed"),
        (r#"{"seats": 0}"#, "invalid seats"),
        (r#"{"seats": 2}"#, "draft"),
        (r#"{"seats": 3}"#, "invalid seats"),
        (r#"{"seats": -1}"#, "malformed"),
        (r#"{"method": {"type": "approval", "maxChoices": 0}}"#, "invalid method"),
        (r#"{"method": {"type": "approval", "maxChoices": 9}}"#, "draft"),
        (r#"{"method": {"type": "score", "min": 3, "max": 3}}"#, "invalid method"),
        (r#"{"method": {"type": "score", "max": 1000001}}"#, "invalid method"),
        (r#"{"method": {"type": "quadratic", "credits": 0}}"#, "invalid method"),
        (r#"{"method": {"type": "dot", "dots": 3, "maxPerOption": 0}}"#, "invalid method"),
        (r#"{"method": {"type": "coin"}}"#, "malformed"),
        (r#"{"method": {"type": "approval"}, "writeIn": true}"#, "invalid writeIn"),
        (r#"{"demographics": {"age": ["old", "young"], "city": null}}"#, "draft"),
        (r#"{"demographics": {"age": []}}"#, "invalid demographics.age"),
        (r#"{"demographics": {"age": ["old", "old"]}}"#, "invalid demographics.age"),
        (r#"{"demographics": {"age": [""]}}"#, "invalid demographics.age"),
        (r#"{"demographics": {"": null}}"#, "invalid demographics"),
        (r#"{"version": 7, "form": 7, "createdAt": "then", "updatedAt": null}"#, "draft"),
        (r#"{"colour": "red"}"#, "malformed"),
    ]);
}

#[test]
fn when_it_may_begin() {
    check_create(&[
        (r#"{"status": "open"}"#, "draft, open"),
        (r#"{"status": "open", "opensAt": "2026-01-01T12:00:01Z"}"#, "draft, scheduled"),
        (r#"{"status": "open", "opensAt": "2026-01-01T12:00:00Z"}"#, "draft, open"),
        (r#"{"status": "open", "closesAt": "2026-01-01T12:00:00Z"}"#, "invalid closesAt"),
        (r#"{"status": "open", "closesAt": "2026-01-01T12:00:01Z"}"#, "draft, open"),
        (r#"{"status": "scheduled", "opensAt": "2026-01-01T12:00:01Z"}"#, "draft, scheduled"),
        (r#"{"status": "scheduled", "opensAt": "2026-01-01T12:00:00Z"}"#, "invalid opensAt"),
        (r#"{"status": "scheduled"}"#, "invalid opensAt"),
        (r#"{"status": "paused"}"#, "invalid status"),
        (r#"{"status": "closed"}"#, "invalid status"),
        (r#"{"opensAt": "2026-01-02T00:00:00Z", "closesAt": "2026-01-02T00:00:00Z"}"#, "invalid closesAt"),
        (r#"{"opensAt": "tomorrow"}"#, "malformed"),
    ]);
}

#[test]
fn sizes_have_limits() {
    let long = |length: usize| "x".repeat(length);
    let options = |count: usize| format!(r#"{{"options": [{}{{}}]}}"#, "{},".repeat(count - 1));
    let dimensions = |count: usize| {
        let each: Vec<_> = (0..count).map(|number| format!(r#""d{number}": null"#)).collect();
        format!(r#"{{"demographics": {{{}}}}}"#, each.join(", "))
    };
    let values = |count: usize| {
        let each: Vec<_> = (0..count).map(|number| format!(r#""v{number}""#)).collect();
        format!(r#"{{"demographics": {{"d": [{}]}}}}"#, each.join(", "))
    };
    check_create(&[
        (&format!(r#"{{"title": "{}"}}"#, long(1_000)), "draft"),
        (&format!(r#"{{"title": "{}"}}"#, long(1_001)), "invalid title"),
        (&format!(r#"{{"description": "{}"}}"#, long(20_001)), "invalid description"),
        (&format!(r#"{{"id": "{}"}}"#, long(64)), "draft"),
        (&format!(r#"{{"id": "{}"}}"#, long(65)), "invalid id"),
        (&format!(r#"{{"options": [{{"label": "{}"}}]}}"#, long(1_001)), "invalid options[0].label"),
        (&options(500), "draft"),
        (&options(501), "invalid options"),
        (&dimensions(16), "draft"),
        (&dimensions(17), "invalid demographics"),
        (&values(256), "draft"),
        (&values(257), "invalid demographics.d"),
    ]);
}

/// What a patch does to a poll at noon of the first day: the new version and form, or why not.
fn edit(fields: &str, has_votes: bool, patch: &str) -> String {
    let patch: PollPatch = match serde_json::from_str(patch) {
        Ok(patch) => patch,
        Err(_) => return "malformed".to_owned(),
    };
    let facts = Facts { has_votes, codes: 0 };
    let command = PollCommand::Edit(Box::new(patch));
    match decide_poll(&poll(fields), facts, &command, None, at("01T12:00")) {
        Err(Refusal::WrongStatus { .. }) => "wrong status".to_owned(),
        Err(Refusal::FixedByVotes { field }) => format!("{field} fixed"),
        Err(refusal) => text(&refusal),
        Ok(None) => "same".to_owned(),
        Ok(Some((_, edited))) => format!("v{} form {}", edited.version, edited.form),
    }
}

#[test]
fn patches() {
    let open = r#"{"status": "open"}"#;
    let reordered = r#"{"options": [{"id": "b"}, {"id": "a"}, {"id": "c"}, {"id": "d"}]}"#;
    let relabelled = r#"{"options": [{"id": "a", "label": "X"}, {"id": "b"}, {"id": "c"}, {"id": "d"}]}"#;
    let cases = [
        // (the poll, whether it has votes, the patch, what becomes of it)
        ("{}", false, r#"{"title": "U"}"#, "v2 form 1"),
        ("{}", false, r#"{"title": "T"}"#, "same"),
        ("{}", false, "{}", "same"),
        ("{}", false, r#"{"title": ""}"#, "invalid title"),
        ("{}", false, r#"{"colour": "red"}"#, "malformed"),
        ("{}", false, r#"{"status": "open"}"#, "malformed"),
        ("{}", false, reordered, "v2 form 2"),
        ("{}", false, relabelled, "v2 form 1"),
        ("{}", false, r#"{"demographics": {"age": null}}"#, "v2 form 2"),
        ("{}", false, r#"{"method": {"type": "approval"}}"#, "v2 form 2"),
        ("{}", false, r#"{"opensAt": "2026-01-01T00:00:00Z"}"#, "v2 form 1"),
        (open, false, reordered, "v2 form 2"),
        (open, true, reordered, "options fixed"),
        (open, true, relabelled, "v2 form 1"),
        (open, true, r#"{"resultsVisible": "private", "minimumCell": 3}"#, "v2 form 1"),
        (open, true, r#"{"voterFromAddress": true}"#, "v2 form 1"),
        (open, true, r#"{"revote": "untilClose"}"#, "revote fixed"),
        (open, true, r#"{"revote": "never"}"#, "same"),
        (open, false, r#"{"opensAt": "2026-01-02T00:00:00Z"}"#, "wrong status"),
        (open, false, r#"{"closesAt": "2026-01-01T12:00:00Z"}"#, "invalid closesAt"),
        (open, false, r#"{"closesAt": "2026-01-01T12:00:01Z"}"#, "v2 form 1"),
        (
            r#"{"status": "scheduled", "opensAt": "2026-01-02T00:00:00Z"}"#,
            false,
            r#"{"opensAt": null}"#,
            "invalid opensAt",
        ),
        (
            r#"{"status": "open", "closesAt": "2026-01-02T00:00:00Z"}"#,
            true,
            r#"{"closesAt": null}"#,
            "v2 form 1",
        ),
        (r#"{"status": "closed"}"#, true, r#"{"title": "U"}"#, "v2 form 1"),
        (r#"{"status": "closed"}"#, true, r#"{"closesAt": "2026-01-02T00:00:00Z"}"#, "wrong status"),
        (r#"{"status": "certified"}"#, true, r#"{"title": "U"}"#, "wrong status"),
        (r#"{"status": "archived"}"#, true, r#"{"title": "U"}"#, "wrong status"),
    ];
    for (fields, has_votes, patch, expected) in cases {
        assert_eq!(edit(fields, has_votes, patch), expected, "{fields} {has_votes} {patch}");
    }
}

/// Each option that a voter writes in gets an id of its own, whatever the others are called.
#[test]
fn write_ins_get_ids_of_their_own() {
    let mut written = poll(r#"{"status": "open", "writeIn": true, "options": []}"#);
    for label in ["pizza", "option-3", "Crème brûlée", "pizza", "Pizza", "soup of the day"] {
        let command = PollCommand::WriteIn(label.to_owned());
        let decided = decide_poll(&written, Facts::default(), &command, None, at("01T12:00")).unwrap();
        written = decided.map_or(written, |(_, poll)| poll);
    }
    let options: Vec<_> =
        written.options.iter().map(|option| format!("{}: {}", option.id, option.label)).collect();
    let expected = [
        "pizza: pizza",
        "option-3: option-3",
        "option-4: Crème brûlée",
        "Pizza: Pizza",
        "option-5: soup of the day",
    ];
    assert_eq!(options, expected);
}

/// Where a poll stands at some moments, when it next changes by itself, and the steps that are then recorded.
#[test]
fn what_time_does() {
    let timed = |status: &str| {
        let times = r#""opensAt": "2026-01-02T00:00:00Z", "closesAt": "2026-01-03T00:00:00Z""#;
        poll(&format!(r#"{{"status": "{status}", {times}}}"#))
    };
    let moments = ["01T23:59", "02T00:00", "02T23:59", "03T00:00"].map(at);
    let cases = [
        ("draft", ["draft", "draft", "draft", "draft"], "never", ["", "", "", ""]),
        (
            "scheduled",
            ["scheduled", "open", "open", "closed"],
            "2026-01-02T00:00:00.000000Z",
            ["", "open", "open", "open closed"],
        ),
        ("open", ["open", "open", "open", "closed"], "2026-01-03T00:00:00.000000Z", ["", "", "", "closed"]),
        (
            "paused",
            ["paused", "paused", "paused", "closed"],
            "2026-01-03T00:00:00.000000Z",
            ["", "", "", "closed"],
        ),
        ("closed", ["closed"; 4], "never", ["", "", "", ""]),
        ("certified", ["certified"; 4], "never", ["", "", "", ""]),
        ("archived", ["archived"; 4], "never", ["", "", "", ""]),
    ];
    for (status, standing, next, due) in cases {
        let poll = timed(status);
        assert_eq!(moments.map(|now| poll.status_at(now).name()), standing);
        assert_eq!(poll.next_due().map_or("never".to_owned(), |next: Timestamp| next.to_string()), next);
        let steps =
            |now| decide_due(&poll, now).iter().map(|(_, poll)| poll.status.name()).collect::<Vec<_>>();
        assert_eq!(moments.map(|now| steps(now).join(" ")), due, "{status}");
    }
    let untimed = poll(r#"{"status": "open"}"#);
    assert_eq!((untimed.next_due(), untimed.status_at(at("31T00:00")).name()), (None, "open"));
}

#[test]
fn who_may_see_the_count() {
    let cases = [
        // (rule, in an open poll, to a voter in an open poll, in a closed poll)
        ("live", [true, true, true]),
        ("afterVote", [false, true, true]),
        ("afterClose", [false, false, true]),
        ("private", [false, false, false]),
    ];
    for (rule, expected) in cases {
        let stands = |status: &str| poll(&format!(r#"{{"status": "{status}", "resultsVisible": "{rule}"}}"#));
        let (open, closed) = (stands("open"), stands("closed"));
        assert_eq!(
            [may_see(&open, false), may_see(&open, true), may_see(&closed, false)],
            expected,
            "{rule}"
        );
    }
}
