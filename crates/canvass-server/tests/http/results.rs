//! Results: who sees what, and that nothing hidden can be had another way.

use crate::harness::check;

#[tokio::test]
async fn results_carry_their_sequence() {
    check(
        "results_live",
        r#"
        key screen {"scopes":["results:read"],"plan":"unlimited"}
        POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"pizza","label":"Pizza"},{"id":"soup","label":"Soup"}],"status":"open","demographics":{"ageGroup":["18-24","25-34"]}}
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"},"demographics":{"ageGroup":"25-34"}}
        wait 3600
        POST /v1/polls/lunch/votes {"voterId":"u2","ballot":{"choice":"pizza"},"demographics":{"ageGroup":"18-24"}}
        POST /v1/polls/lunch/votes {"voterId":"u3","ballot":{"choice":"soup"}}
        as screen
        GET /v1/polls/lunch/results
        with if-none-match: "5"
        GET /v1/polls/lunch/results
        with if-none-match: W/"4", "5"
        GET /v1/polls/lunch/results
        with if-none-match: "4"
        GET /v1/polls/lunch/results
        GET /v1/polls/lunch/breakdown?by=ageGroup
        GET /v1/polls/lunch/breakdown?by=shoe
        GET /v1/polls/lunch/breakdown
        GET /v1/polls/lunch/timeline
        GET /v1/polls/lunch/timeline?step=minute
        GET /v1/polls/lunch/timeline?step=day
        GET /v1/polls/lunch/timeline?step=year
        GET /v1/polls/nowhere/results
        as nobody
        GET /v1/polls/lunch/results
        as admin
        POST /v1/polls/lunch/close
        GET /v1/polls/lunch/results
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_count_is_shown_when_the_poll_says() {
    check(
        "results_visibility",
        r#"
        key screen {"scopes":["results:read"],"plan":"unlimited"}
        key desk {"scopes":["results:read","votes:read"],"plan":"unlimited"}
        POST /v1/polls {"id":"after-close","title":"T","options":[{"id":"a"}],"status":"open","resultsVisible":"afterClose","demographics":{"d":null}}
        POST /v1/polls {"id":"after-vote","title":"T","options":[{"id":"a"}],"status":"open","access":"public","resultsVisible":"afterVote"}
        POST /v1/polls {"id":"private","title":"T","options":[{"id":"a"}],"status":"open","resultsVisible":"private"}
        POST /v1/polls/after-close/votes {"voterId":"u1","ballot":{"choice":"a"}}
        POST /v1/polls/after-vote/votes {"voterId":"u1","ballot":{"choice":"a"}}
        POST /v1/polls/private/votes {"voterId":"u1","ballot":{"choice":"a"}}
        # Not even the administrator, unless by asking for it.
        GET /v1/polls/after-close/results
        GET /v1/polls/after-close/results?reveal=true
        as screen
        GET /v1/polls/after-close/results
        with if-none-match: "3"
        GET /v1/polls/after-close/results
        with if-none-match: "3-turnout"
        GET /v1/polls/after-close/results
        GET /v1/polls/after-close/results?reveal=true
        GET /v1/polls/after-close/results?reveal=maybe
        GET /v1/polls/after-close/breakdown?by=d
        GET /v1/polls/after-close/timeline
        GET /v1/polls/private/results
        GET /v1/polls/after-vote/results?voter=u1
        as desk
        GET /v1/polls/after-vote/results?voter=u2
        GET /v1/polls/after-vote/results?voter=u1
        as nobody
        GET /v1/polls/after-vote/results
        POST /v1/polls/after-vote/votes {"ballot":{"choice":"a"}}
        GET /v1/polls/after-vote/results
        as admin
        POST /v1/polls/after-close/close
        POST /v1/polls/private/close
        as screen
        GET /v1/polls/after-close/results
        GET /v1/polls/private/results
        "#,
    )
    .await;
}

#[tokio::test]
async fn small_cells_stay_hidden() {
    check(
        "results_small_cells",
        r#"
        POST /v1/polls {"id":"p","title":"T","options":[{"id":"a"},{"id":"b"}],"status":"open","minimumCell":3,"demographics":{"d":["x","y","z"]}}
        POST /v1/polls/p/votes/batch {"voterId":"1","ballot":{"choice":"a"},"demographics":{"d":"x"}}⏎{"voterId":"2","ballot":{"choice":"a"},"demographics":{"d":"x"}}⏎{"voterId":"3","ballot":{"choice":"a"},"demographics":{"d":"x"}}⏎{"voterId":"4","ballot":{"choice":"a"},"demographics":{"d":"y"}}⏎{"voterId":"5","ballot":{"choice":"b"},"demographics":{"d":"z"}}⏎{"voterId":"6","ballot":{"choice":"b"},"demographics":{"d":"z"}}⏎{"voterId":"7","ballot":{"choice":"b"},"demographics":{"d":"z"}}⏎{"voterId":"8","ballot":{"choice":"b"},"demographics":{"d":"z"}}
        GET /v1/polls/p/breakdown?by=d
        "#,
    )
    .await;
}

#[tokio::test]
async fn every_vote_that_counts_is_exported_once() {
    check(
        "results_export",
        r#"
        key archivist {"scopes":["exports:read"],"plan":"unlimited"}
        POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"pizza"},{"id":"soup"}],"status":"open","revote":"untilClose","demographics":{"ageGroup":null,"location":null}}
        GET /v1/polls/lunch/export?format=json
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"pizza"},"demographics":{"ageGroup":"25-34","location":"a, \"b\""}}
        POST /v1/polls/lunch/votes {"voterId":"=cmd()","ballot":{"choice":"pizza"},"demographics":{"location":"-1"}}
        POST /v1/polls/lunch/votes {"voterId":"u3","ballot":{"choice":"pizza"}}
        PUT /v1/polls/lunch/votes/u1 {"ballot":{"choice":"soup"},"demographics":{"ageGroup":"35+"}}
        DELETE /v1/polls/lunch/votes/u3
        as archivist
        GET /v1/polls/lunch/export?format=csv
        GET /v1/polls/lunch/export?format=jsonl
        GET /v1/polls/lunch/export?format=json
        GET /v1/polls/lunch/export?format=election
        GET /v1/polls/lunch/export?format=blt
        GET /v1/polls/lunch/export?format=abif
        GET /v1/polls/lunch/export?format=pdf
        GET /v1/polls/lunch/export?format=jsonl&voters=omitted
        GET /v1/polls/lunch/export?voters=omitted
        GET /v1/polls/lunch/export?voters=nicknames
        GET /v1/polls/nowhere/export
        as nobody
        GET /v1/polls/lunch/export
        "#,
    )
    .await;
}
