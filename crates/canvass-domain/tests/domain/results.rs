//! Totals, shares, winners and ties; timelines.

use canvass_domain::{
    Ballot, Sequence, Timestamp, Weight,
    results::{Results, TimelineWidth, count, results, timeline},
    tally::Tally,
    vote::Marked,
};

use crate::support::{at, poll};

/// A tally in which the options got so many votes.
fn tally(fields: &str, votes: &[u64]) -> Tally {
    let mut tally = Tally::new(&poll(fields));
    for (option, count) in votes.iter().enumerate() {
        for _ in 0..*count {
            let ballot = Ballot::Choices(vec![u16::try_from(option).unwrap()]);
            let marked = Marked { ballot, weight: Weight::ONE, answers: Vec::new() };
            tally.fold_vote(tally.sequence.next(), at("01T00:00"), None, Some(&marked));
        }
    }
    tally
}

/// The results of a poll with a tally.
fn shown(fields: &str, tally: &Tally) -> Results {
    let poll = poll(fields);
    results(&poll, tally, Some(&count(&poll, tally, None)))
}

/// The winners and the tied of a poll with so many seats.
fn lead(seats: u16, votes: &[u64]) -> (String, String) {
    let fields = format!(r#"{{"seats": {seats}}}"#);
    let found = shown(&fields, &tally(&fields, votes));
    let ids = |ids: &[canvass_domain::OptionId]| ids.iter().map(ToString::to_string).collect::<String>();
    (ids(&found.winners), ids(&found.tied))
}

#[test]
fn winners_and_ties() {
    let cases: [(u16, [u64; 4], &str, &str); 13] = [
        // (seats, votes, winners, tied)
        (1, [0, 0, 0, 0], "", ""),
        (1, [0, 1, 0, 0], "b", ""),
        (1, [2, 3, 1, 0], "b", ""),
        (1, [2, 2, 1, 0], "", "ab"),
        (1, [1, 1, 1, 1], "", "abcd"),
        (2, [3, 2, 1, 0], "ab", ""),
        (2, [1, 2, 3, 0], "cb", ""),
        (2, [3, 2, 2, 0], "a", "bc"),
        (2, [2, 2, 1, 0], "ab", ""),
        (2, [2, 2, 2, 0], "", "abc"),
        (3, [5, 5, 1, 1], "ab", "cd"),
        (3, [1, 1, 0, 0], "ab", ""),
        (4, [1, 1, 1, 1], "abcd", ""),
    ];
    for (seats, votes, winners, tied) in cases {
        assert_eq!(lead(seats, &votes), (winners.to_owned(), tied.to_owned()), "{seats} of {votes:?}");
    }
}

#[test]
fn as_callers_see_them() {
    let fields = r#"{"status": "closed"}"#;
    let tally = tally(fields, &[2, 1]);
    assert_eq!(
        serde_json::to_string(&shown(fields, &tally)).unwrap(),
        r#"{"pollId":"p","title":"T","status":"closed","method":{"type":"plurality"},"sequence":3,"votes":3,"#
            .to_owned()
            + r#""options":[{"id":"a","label":"A","votes":2,"share":0.666667},"#
            + r#"{"id":"b","label":"B","votes":1,"share":0.333333},{"id":"c","label":"C","votes":0,"share":0.0},"#
            + r#"{"id":"d","label":"D","votes":0,"share":0.0}],"winners":["a"],"tied":[],"visible":true,"#
            + r#""final":true,"updatedAt":"2026-01-01T00:00:00.000000Z"}"#
    );
    assert_eq!(
        serde_json::to_string(&results(&poll(fields), &tally, None)).unwrap(),
        r#"{"pollId":"p","title":"T","status":"closed","method":{"type":"plurality"},"sequence":3,"votes":3,"#
            .to_owned()
            + r#""options":[{"id":"a","label":"A"},{"id":"b","label":"B"},{"id":"c","label":"C"},"#
            + r#"{"id":"d","label":"D"}],"winners":[],"tied":[],"visible":false,"final":true,"#
            + r#""updatedAt":"2026-01-01T00:00:00.000000Z"}"#
    );
}

#[test]
fn weights_show_as_decimals() {
    let fields = r#"{"weighted": true}"#;
    let mut tally = Tally::new(&poll(fields));
    for (option, weight) in [(0, "0.1"), (0, "0.2"), (1, "3")] {
        let weight = weight.parse().unwrap();
        let marked = Marked { ballot: Ballot::Choices(vec![option]), weight, answers: Vec::new() };
        tally.fold_vote(tally.sequence.next(), at("01T00:00"), None, Some(&marked));
    }
    let found = serde_json::to_value(shown(fields, &tally)).unwrap();
    assert_eq!(found["options"][0]["votes"], "0.3");
    assert_eq!(found["options"][1]["votes"], "3");
    assert_eq!(found["options"][1]["share"], 0.909_091);
}

#[test]
fn timelines() {
    let fields = "{}";
    let mut tally = Tally::new(&poll(fields));
    let marked = Marked { ballot: Ballot::Choices(vec![0]), weight: Weight::ONE, answers: Vec::new() };
    let moments = ["01T10:00", "01T10:00", "01T10:59", "01T11:00", "02T00:00"];
    for (number, moment) in moments.into_iter().enumerate() {
        let removed = (number == 2).then_some(&marked);
        tally.fold_vote(Sequence(number as u64 + 1), at(moment), removed, Some(&marked));
    }
    tally.fold_vote(Sequence(9), at("02T00:01"), Some(&marked), None);
    let steps = |width| {
        let view = timeline(&poll(fields), &tally, width);
        let step = |row: &canvass_domain::results::TimelineRow| {
            format!("{} {} {} {}", &row.at.to_string()[8..16], row.votes, row.changed, row.withdrawn)
        };
        view.steps.iter().map(step).collect::<Vec<_>>()
    };
    let minutes = ["01T10:00 2 0 0", "01T10:59 0 1 0", "01T11:00 1 0 0", "02T00:00 1 0 0", "02T00:01 0 0 1"];
    assert_eq!(steps(TimelineWidth::Minute), minutes);
    assert_eq!(steps(TimelineWidth::Hour), ["01T10:00 2 1 0", "01T11:00 1 0 0", "02T00:00 1 0 1"]);
    assert_eq!(steps(TimelineWidth::Day), ["01T00:00 3 1 0", "02T00:00 1 0 1"]);
}

/// However long a poll runs, what is kept of its course is bounded.
#[test]
fn a_long_timeline_keeps_its_hours() {
    let mut tally = Tally::new(&poll("{}"));
    let marked = Marked { ballot: Ballot::Choices(vec![0]), weight: Weight::ONE, answers: Vec::new() };
    for minute in 0..10_200 {
        let at = Timestamp::default().plus_seconds(minute * 60);
        tally.fold_vote(tally.sequence.next(), at, None, Some(&marked));
    }
    assert_eq!(tally.timeline.minutes().count(), 10_080);
    assert_eq!(tally.timeline.hours().map(|(_, step)| step.cast).sum::<u64>(), 10_200);
}
