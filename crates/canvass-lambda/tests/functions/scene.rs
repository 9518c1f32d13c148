//! A poll, and votes in it that are sent again until each is answered: what tests of the tally begin with.

use std::{collections::BTreeSet, ops::Range};

use serde_json::Value;

pub(crate) const POLL: &str = r#"{"id":"fair","title":"T","options":[{"id":"a"},{"id":"b"},{"id":"c"}],"status":"open","revote":"untilClose","demographics":{"age":null}}"#;

/// What a voter of this number votes first.
pub(crate) fn choice(voter: usize) -> &'static str {
    ["a", "b", "c"][voter % 3]
}

/// Votes of new voters in the poll through the batch route. `send` answers with a status and a text. What a busy machine
/// had no room for, or no answer, is sent again.
pub(crate) async fn vote(voters: Range<usize>, send: impl AsyncFn(&'static str, String) -> (u16, String)) {
    let mut lines: Vec<_> = voters.map(line).collect();
    while !lines.is_empty() {
        let (status, answers) = send("/v1/polls/fair/votes/batch", lines.concat()).await;
        if status == 503 {
            continue;
        }
        assert_eq!(status, 200, "{answers}");
        let mut open = (1..=lines.len()).collect::<BTreeSet<_>>();
        for answer in answers.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            match answer["status"].as_u64() {
                Some(503) => {}
                Some(200 | 201 | 409) => {
                    open.remove(&usize::try_from(answer["line"].as_u64().unwrap()).unwrap());
                }
                _ => panic!("{answer}"),
            }
        }
        lines = open.into_iter().map(|line| lines[line - 1].clone()).collect();
    }
}

fn line(voter: usize) -> String {
    let (choice, age) = (choice(voter), voter % 7);
    format!(
        "{{\"voterId\":\"v{voter}\",\"ballot\":{{\"choice\":\"{choice}\"}},\"demographics\":{{\"age\":\"{age}\"}}}}\n"
    )
}
