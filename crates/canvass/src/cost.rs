//! What the functions, tables and a Redis cost in a month, by how many votes come: pure arithmetic on `prices.toml`.

use serde::{Deserialize, Serialize};

/// Everything that the cost is computed from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Basis {
    pub(crate) prices: Prices,
    measured: Measured,
    assumed: Assumed,
    pub(crate) compared: Compared,
    case: Vec<Case>,
}

/// List prices in dollars.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prices {
    /// Where and when.
    pub(crate) stated: String,
    dynamodb_million_writes: f64,
    dynamodb_million_reads: f64,
    dynamodb_gigabyte_month: f64,
    dynamodb_recovery_gigabyte_month: f64,
    lambda_million_calls: f64,
    lambda_gigabyte_second: f64,
    http_api_million_calls: f64,
    logs_gigabyte: f64,
    alarm_month: f64,
    s3_thousand_writes: f64,
    s3_gigabyte_month: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Measured {
    write_units_a_vote: f64,
    write_units_a_window: f64,
    read_units_a_window: f64,
    read_units_a_result: f64,
    read_units_a_poll: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Assumed {
    days_a_month: f64,
    window_seconds: f64,
    votes_a_second_and_shard: f64,
    calls_a_vote: f64,
    function_gigabytes: f64,
    function_seconds_a_call: f64,
    function_seconds_a_window: f64,
    vote_bytes: f64,
    months_kept: f64,
    log_bytes_a_call: f64,
    alarms: f64,
    exports_a_month: f64,
    export_gigabytes: f64,
}

/// What another design is said to cost.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Compared {
    pub(crate) dollars_least: f64,
    pub(crate) dollars_most: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    votes_a_day: f64,
    days: f64,
    hours_a_day: f64,
    #[serde(default)]
    redis_dollars_an_hour: f64,
    #[serde(default)]
    redis_hours: f64,
}

/// One case's month, in dollars where nothing else is said.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Month {
    pub(crate) votes: String,
    pub(crate) write_units_a_vote: f64,
    pub(crate) writes: f64,
    pub(crate) reads: f64,
    pub(crate) storage: f64,
    pub(crate) functions: f64,
    pub(crate) http: f64,
    pub(crate) redis: f64,
    /// Logs, alarms and exports.
    pub(crate) other: f64,
    pub(crate) total: f64,
}

const MILLION: f64 = 1e6;
const GIGABYTE: f64 = 1e9;
const SECONDS_AN_HOUR: f64 = 3_600.0;

impl Basis {
    /// What this program was built with.
    pub(crate) fn built_in() -> Result<Self, toml::de::Error> {
        toml::from_str(include_str!("prices.toml"))
    }

    /// Each case's month.
    pub(crate) fn months(&self) -> Vec<Month> {
        self.case.iter().map(|case| self.month(case)).collect()
    }

    fn month(&self, case: &Case) -> Month {
        let Self { prices, measured, assumed, .. } = self;
        let votes = case.votes_a_day * case.days;
        let seconds = case.days * case.hours_a_day * SECONDS_AN_HOUR;
        let windows = windows(votes, seconds, assumed);
        let write_units = votes * measured.write_units_a_vote + windows * measured.write_units_a_window;
        let shows_from_tables = if case.redis_hours > 0.0 { seconds } else { votes };
        let read_units = windows * measured.read_units_a_window
            + votes * 2.0 * measured.read_units_a_poll
            + shows_from_tables * measured.read_units_a_result;
        let calls = votes * assumed.calls_a_vote;
        let function_seconds =
            calls * assumed.function_seconds_a_call + windows * assumed.function_seconds_a_window;
        let stored = case.votes_a_day * case.days.min(assumed.days_a_month) * assumed.vote_bytes / GIGABYTE
            * if case.days < assumed.days_a_month { 1.0 } else { assumed.months_kept };
        let logged = (calls + windows) * assumed.log_bytes_a_call / GIGABYTE;

        let writes = write_units / MILLION * prices.dynamodb_million_writes;
        let reads = read_units / MILLION * prices.dynamodb_million_reads;
        let storage = stored * (prices.dynamodb_gigabyte_month + prices.dynamodb_recovery_gigabyte_month);
        let functions = (calls + windows) / MILLION * prices.lambda_million_calls
            + function_seconds * assumed.function_gigabytes * prices.lambda_gigabyte_second;
        let http = calls / MILLION * prices.http_api_million_calls;
        let redis = case.redis_hours * case.redis_dollars_an_hour;
        let other = logged * prices.logs_gigabyte
            + assumed.alarms * prices.alarm_month
            + assumed.exports_a_month / 1_000.0 * prices.s3_thousand_writes
            + assumed.export_gigabytes * prices.s3_gigabyte_month;
        let total = writes + reads + storage + functions + http + redis + other;
        let write_units_a_vote = write_units / votes;
        let votes = case.name.clone();
        Month { votes, write_units_a_vote, writes, reads, storage, functions, http, redis, other, total }
    }
}

/// Windows in which a shard has something to fold: at most one for each vote.
fn windows(votes: f64, seconds: f64, assumed: &Assumed) -> f64 {
    let shards = (votes / seconds / assumed.votes_a_second_and_shard).ceil().max(1.0);
    votes.min(seconds / assumed.window_seconds * shards)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The write units of one vote at a rate, for an hour.
    fn check(votes_a_second: f64) -> String {
        let basis = Basis::built_in().unwrap();
        let case = Case {
            name: "a test".to_owned(),
            votes_a_day: votes_a_second * SECONDS_AN_HOUR,
            days: 1.0,
            hours_a_day: 1.0,
            redis_dollars_an_hour: 0.0,
            redis_hours: 0.0,
        };
        format!("{:.3}", basis.month(&case).write_units_a_vote)
    }

    #[test]
    fn a_vote_shares_its_window_with_those_that_come_in_the_same_second() {
        assert_eq!(check(0.01), "4.000");
        assert_eq!(check(1.0), "4.000");
        // What the test of the engine measures there, but for the lease of a server: 1.032.
        assert_eq!(check(100.0), "1.030");
        assert_eq!(check(13_889.0), "1.003");
    }

    #[test]
    fn five_thousand_a_day_cost_less_than_three_dollars_a_month() {
        let basis = Basis::built_in().unwrap();
        let month = &basis.months()[0];
        assert!(month.total < 3.0, "{month:?}");
        assert!(month.total < basis.compared.dollars_least / 10.0, "{month:?}");
    }
}
