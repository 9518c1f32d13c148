//! Every counting method as a poll: what its ballots may be, and that its live results are right, whatever was cast,
//! changed and withdrawn before.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{World, check};

const OPTIONS: &str = r#""options":[{"id":"a"},{"id":"b"},{"id":"c"},{"id":"d"}],"status":"open","title":"T","revote":"untilClose","demographics":{"team":["red","blue"]}"#;

/// What a poll of each method answers to a few votes, whole.
async fn show(name: &str, method: &str, ballots: &[&str]) {
    let votes: Vec<_> = ballots
        .iter()
        .enumerate()
        .map(|(voter, ballot)| {
            format!(r#"POST /v1/polls/p/votes {{"voterId":"v{voter}","ballot":{ballot},"demographics":{{"team":"red"}}}}"#)
        })
        .collect();
    let mut world = World::new().await;
    world.play(&format!(r#"POST /v1/polls {{"id":"p",{OPTIONS},{method}}}"#)).await;
    world.play(&votes.join("\n")).await;
    world
        .play(
            "GET /v1/polls/p/results
            GET /v1/polls/p/breakdown?by=team
            GET /v1/polls/p/export?format=csv
            POST /v1/polls/p/recount
            POST /v1/polls/p/close
            POST /v1/polls/p/certify
            GET /v1/polls/p/results",
        )
        .await;
    world.compare(&format!("method_{name}"));
}

#[tokio::test]
async fn in_rounds() {
    let ballots = [
        r#"{"ranking":["a","b"]}"#,
        r#"{"ranking":["a",["b","c"]]}"#,
        r#"{"ranking":["b","c"]}"#,
        r#"{"ranking":["c",null,"b"]}"#,
        r#"{"ranking":["c"]}"#,
        r#"{"ranking":[]}"#,
    ];
    show("irv", r#""method":{"type":"irv","untilTwo":true},"tieBreak":{"type":"order"}"#, &ballots).await;
    show(
        "stv_scottish",
        r#""method":{"type":"stvScottish"},"seats":2,"tieBreak":{"type":"lot","seed":"canvass"}"#,
        &ballots,
    )
    .await;
    show("stv_meek", r#""method":{"type":"stvMeek"},"seats":2"#, &ballots).await;
}

#[tokio::test]
async fn in_pairs_and_points() {
    let ballots =
        [r#"{"ranking":["a","b","c"]}"#, r#"{"ranking":["b","c","a"]}"#, r#"{"ranking":["c","a"]}"#];
    show("schulze", r#""method":{"type":"schulze"}"#, &ballots).await;
    show("ranked_pairs", r#""method":{"type":"rankedPairs","strength":"winningVotes"}"#, &ballots).await;
    show(
        "minimax",
        r#""method":{"type":"minimax"},"tieBreak":{"type":"chair","decisions":[["c","a","b"]]}"#,
        &ballots,
    )
    .await;
    show("borda", r#""method":{"type":"borda"},"seats":2"#, &ballots).await;
}

#[tokio::test]
async fn by_numbers() {
    let scores = [
        r#"{"scores":{"a":5,"b":0}}"#,
        r#"{"scores":{"b":4}}"#,
        r#"{"scores":{"b":3,"c":3}}"#,
        r#"{"scores":{}}"#,
    ];
    show("score", r#""method":{"type":"score"}"#, &scores).await;
    show("score_mean", r#""method":{"type":"score","aggregate":"mean","ratersMin":2}"#, &scores).await;
    show("star", r#""method":{"type":"star"}"#, &scores).await;
    let given = [r#"{"allocation":{"a":2,"b":1}}"#, r#"{"allocation":{"a":1}}"#, r#"{"allocation":{"c":2}}"#];
    show("quadratic", r#""method":{"type":"quadratic","credits":9}"#, &given).await;
    show("dot", r#""method":{"type":"dot","dots":3,"maxPerOption":2}"#, &given).await;
    show(
        "approval",
        r#""method":{"type":"approval"},"tieBreak":{"type":"order","options":["b","a"]}"#,
        &[r#"{"choices":["a","b"]}"#],
    )
    .await;
}

#[tokio::test]
async fn what_is_refused() {
    check(
        "method_refusals",
        r#"
        # Polls that cannot be counted so.
        POST /v1/polls {"title":"T","options":[{"id":"a"},{"id":"b"}],"method":{"type":"irv"},"seats":2}
        POST /v1/polls {"title":"T","options":[{"id":"a"},{"id":"b"}],"method":{"type":"schulze"},"seats":2}
        POST /v1/polls {"title":"T","options":[{"id":"a"},{"id":"b"}],"method":{"type":"star"},"seats":2}
        POST /v1/polls {"title":"T","options":[{"id":"a"}],"method":{"type":"score","min":3,"max":3}}
        POST /v1/polls {"title":"T","options":[{"id":"a"}],"method":{"type":"quadratic"}}
        POST /v1/polls {"title":"T","options":[{"id":"a"}],"method":{"type":"irv","quota":2}}
        POST /v1/polls {"title":"T","options":[{"id":"a"}],"method":{"type":"minimax","measure":"best"}}
        POST /v1/polls {"title":"T","options":[{"id":"a"}],"tieBreak":{"type":"lot","seed":""}}
        POST /v1/polls {"title":"T","options":[{"id":"a"}],"tieBreak":{"type":"order","options":["z"]}}
        POST /v1/polls {"title":"T","options":[{"id":"a"}],"tieBreak":{"type":"chair","decisions":[["a","a"]]}}
        # Ballots.
        POST /v1/polls {"id":"ranked","title":"T","options":[{"id":"a"},{"id":"b"}],"method":{"type":"stvMeek"},"status":"open"}
        POST /v1/polls/ranked/votes {"voterId":"v","ballot":{"ranking":["z"]}}
        POST /v1/polls/ranked/votes {"voterId":"v","ballot":{"ranking":["a","a"]}}
        POST /v1/polls/ranked/votes {"voterId":"v","ballot":{"choice":"a"}}
        POST /v1/polls {"id":"scored","title":"T","options":[{"id":"a"},{"id":"b"}],"method":{"type":"star"},"status":"open"}
        POST /v1/polls/scored/votes {"voterId":"v","ballot":{"ranking":["a"]}}
        POST /v1/polls/scored/votes {"voterId":"v","ballot":{"scores":{"a":6}}}
        POST /v1/polls/scored/votes {"voterId":"v","ballot":{"scores":{"z":1}}}
        POST /v1/polls {"id":"bought","title":"T","options":[{"id":"a"},{"id":"b"}],"method":{"type":"quadratic","credits":9,"negativeVotes":false},"status":"open"}
        POST /v1/polls/bought/votes {"voterId":"v","ballot":{"allocation":{"a":3,"b":1}}}
        POST /v1/polls/bought/votes {"voterId":"v","ballot":{"allocation":{"a":-1}}}
        POST /v1/polls {"id":"dotted","title":"T","options":[{"id":"a"},{"id":"b"}],"method":{"type":"dot","dots":3,"maxPerOption":2},"status":"open"}
        POST /v1/polls/dotted/votes {"voterId":"v","ballot":{"allocation":{"a":3}}}
        POST /v1/polls/dotted/votes {"voterId":"v","ballot":{"allocation":{"a":2,"b":2}}}
        POST /v1/polls {"id":"few","title":"T","options":[{"id":"a"},{"id":"b"}],"method":{"type":"approval","maxChoices":1},"status":"open"}
        POST /v1/polls/few/votes {"voterId":"v","ballot":{"choices":["a","b"]}}
        # The documents know votes for one option only.
        POST /votes {"userId":"u","pollId":"ranked","choice":"a"}
        POST /vote {"pollId":"ranked","optionId":"a","voterId":"u"}
        # A chair decides when the votes are in, and until the result is certified.
        POST /v1/polls/few/votes {"voterId":"v","ballot":{"choices":["a"]}}
        POST /v1/polls/few/votes {"voterId":"w","ballot":{"choices":["b"]}}
        POST /v1/polls/few/close
        GET /v1/polls/few/results
        PATCH /v1/polls/few {"tieBreak":{"type":"chair","decisions":[["b","a"]]}}
        GET /v1/polls/few/results
        POST /v1/polls/few/certify
        PATCH /v1/polls/few {"tieBreak":{"type":"report"}}
        # What is hidden stays so.
        POST /v1/polls {"id":"hidden","title":"T","options":[{"id":"a"},{"id":"b"}],"method":{"type":"irv"},"resultsVisible":"afterClose","status":"open"}
        POST /v1/polls/hidden/votes {"voterId":"v","ballot":{"ranking":["a"]}}
        GET /v1/polls/hidden/results
        "#,
    )
    .await;
}

/// A stream of numbers that is the same each time (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn ballot(&mut self, form: &str) -> Value {
        let ids = ["a", "b", "c", "d"];
        let mut numbers = |bound| -> Value {
            let marked =
                ids.iter().filter_map(|id| Some(((*id).to_owned(), self.below(bound).checked_sub(1)?)));
            marked.map(|(id, number)| (id, Value::from(number))).collect::<serde_json::Map<_, _>>().into()
        };
        match form {
            "scores" => json!({"scores": numbers(7)}),
            "allocation" => json!({"allocation": numbers(3)}),
            _ => {
                let mut left = ids.to_vec();
                let mut ranks = Vec::new();
                for _ in 0..self.below(5) {
                    let place = usize::try_from(self.below(left.len() as u64)).expect("small");
                    ranks.push(json!(left.remove(place)));
                }
                if ranks.len() > 1 && self.below(3) == 0 {
                    let last = ranks.pop();
                    let equal = json!([ranks.pop(), last]);
                    ranks.push(equal);
                }
                json!({"ranking": ranks})
            }
        }
    }
}

/// The results without what tells one poll from another with the same votes.
async fn outcome(world: &mut World, poll: &str) -> Value {
    let mut results = world.ask("GET", &format!("/v1/polls/{poll}/results"), String::new()).await.json();
    for field in ["pollId", "sequence", "updatedAt"] {
        results.as_object_mut().expect("an object").remove(field);
    }
    results
}

/// However votes were cast, changed and withdrawn, the live results are those of a poll in which each voter that is
/// left voted once; and so they are after a restart.
#[tokio::test]
async fn changes_leave_no_trace() {
    const CAST: &str = r#""options":[{"id":"a"},{"id":"b"},{"id":"c"},{"id":"d"}],"status":"open","title":"T","revote":"untilClose""#;
    let methods = [
        (r#"{"type":"irv"}"#, "ranking", 1),
        (r#"{"type":"stvScottish"}"#, "ranking", 2),
        (r#"{"type":"stvMeek"}"#, "ranking", 2),
        (r#"{"type":"rankedPairs"}"#, "ranking", 1),
        (r#"{"type":"borda"}"#, "ranking", 1),
        (r#"{"type":"score"}"#, "scores", 1),
        (r#"{"type":"star"}"#, "scores", 1),
        (r#"{"type":"quadratic","credits":16}"#, "allocation", 1),
    ];
    let mut world = World::new().await;
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut told = Vec::new();
    for (number, (method, form, seats)) in methods.into_iter().enumerate() {
        let create = |id: &str| format!(r#"{{"id":"{id}",{CAST},"method":{method},"seats":{seats}}}"#);
        let poll = format!("busy-{number}");
        assert_eq!(world.ask("POST", "/v1/polls", create(&poll)).await.status, 201);
        let mut standing: BTreeMap<u64, Value> = BTreeMap::new();
        for step in 0..60 {
            let voter = random.below(12);
            let path = format!("/v1/polls/{poll}/votes/v{voter}");
            if random.below(4) == 0 {
                let answer = world.ask("DELETE", &path, String::new()).await;
                assert_eq!(answer.status.is_success(), standing.remove(&voter).is_some());
            } else {
                let ballot = random.ballot(form);
                let body = json!({"voterId": format!("v{voter}"), "ballot": ballot}).to_string();
                let answer = world.ask("POST", &format!("/v1/polls/{poll}/votes"), body).await;
                assert!(answer.status.is_success(), "{}", answer.text());
                standing.insert(voter, ballot);
            }
            if step % 20 != 19 {
                continue;
            }
            let fresh = format!("fresh-{number}-{step}");
            assert_eq!(world.ask("POST", "/v1/polls", create(&fresh)).await.status, 201);
            for (voter, ballot) in &standing {
                let body = json!({"voterId": format!("v{voter}"), "ballot": ballot}).to_string();
                assert_eq!(world.ask("POST", &format!("/v1/polls/{fresh}/votes"), body).await.status, 201);
            }
            let live = outcome(&mut world, &poll).await;
            assert_eq!(live, outcome(&mut world, &fresh).await, "{method} after {step}");
        }
        let live = outcome(&mut world, &poll).await;
        told.push((poll, live));
    }
    let mut world = world.restarted().await;
    for (poll, live) in told {
        assert_eq!(outcome(&mut world, &poll).await, live, "{poll} after a restart");
        let recount = world.ask("POST", &format!("/v1/polls/{poll}/recount"), String::new()).await.json();
        assert_eq!(recount["matches"], true, "{recount}");
    }
}

/// Whoever reads the results of a poll that is quickly counted finds the vote just cast.
#[tokio::test]
async fn a_vote_is_counted_at_once() {
    let mut world = World::new().await;
    world.play(&format!(r#"POST /v1/polls {{"id":"p",{OPTIONS},"method":{{"type":"irv"}}}}"#)).await;
    for voter in 0..50 {
        world
            .play(&format!(
                r#"POST /v1/polls/p/votes {{"voterId":"v{voter}","ballot":{{"ranking":["b","a"]}}}}"#
            ))
            .await;
        let results = world.ask("GET", "/v1/polls/p/results", String::new()).await.json();
        assert_eq!(results["rounds"][0]["tally"]["b"], (voter + 1).to_string());
        assert_eq!(results["votes"], voter + 1);
    }
}

/// With many different ballots a count may be older than the newest vote, but says of what it is, never goes back, and
/// is of the last sequence once the poll is over.
#[tokio::test]
async fn a_large_count_is_of_one_sequence() {
    let mut world = World::new().await;
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let options: Vec<_> = ids.iter().map(|id| json!({"id": id})).collect();
    let poll =
        json!({"id": "p", "title": "T", "options": options, "method": {"type": "irv"}, "status": "open"});
    assert_eq!(world.ask("POST", "/v1/polls", poll.to_string()).await.status, 201);
    let mut random = Random(7);
    let mut voter = 0;
    let mut vote = || {
        let mut left = ids.to_vec();
        let mut draw = || left.remove(usize::try_from(random.below(left.len() as u64)).expect("small"));
        let ranking: Vec<_> = (0..ids.len()).map(|_| draw()).collect();
        voter += 1;
        json!({"voterId": format!("v{voter}"), "ballot": {"ranking": ranking}}).to_string()
    };
    let lines: Vec<_> = (0..7_000).map(|_| vote()).collect();
    world.ask("POST", "/v1/polls/p/votes/batch", lines.join("\n")).await;
    let mut before = 0;
    for _ in 0..20 {
        let counted = counted(&mut world).await;
        assert!(counted >= before, "{counted} votes were counted after {before}");
        before = counted;
        assert_eq!(world.ask("POST", "/v1/polls/p/votes", vote()).await.status, 201);
    }
    world.play("POST /v1/polls/p/close").await;
    assert_eq!(counted(&mut world).await, 7_020);
}

/// How many votes the results of the poll count: in all, and in the first round.
async fn counted(world: &mut World) -> u64 {
    let answer = world.ask("GET", "/v1/polls/p/results", String::new()).await;
    let results = answer.json();
    let tag = format!("\"{}\"", results["sequence"]);
    assert_eq!(answer.headers["etag"], tag.as_str());
    let tally = results["rounds"][0]["tally"].as_object().expect("a tally").values();
    let first: u64 = tally.map(|votes| votes.as_str().expect("text").parse::<u64>().expect("a number")).sum();
    assert_eq!(results["votes"], first);
    first
}
