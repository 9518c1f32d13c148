//! Figures for Prometheus, in its text format 0.0.4.
//!
//! Counters and histograms are plain atomics that were made with the router: counting on the way of a vote takes no
//! lock and no memory. A recorder from the registry keeps every sample of a histogram until somebody asks, which lets
//! memory grow where nobody does.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use canvass_domain::{Refusal, vote::Operation};
use canvass_store::{Health, Histogram, StoreError, VoteOutcome, VoteResult};
use parking_lot::Mutex;

use crate::service::{alarms::Alarms, limiting::Limited, webhooks::Webhooks};

/// What the server counts.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) votes: VoteFigures,
    /// Requests that were refused because a limit was reached, by the limit.
    limited: [AtomicU64; LIMITS.len()],
    /// Exports that were begun by a caller, written by the schedule, and that failed.
    pub(crate) exports_asked: AtomicU64,
    exports_scheduled: AtomicU64,
    pub(crate) exports_failed: AtomicU64,
    /// Whether the last turn of the schedule failed.
    exports_failing: AtomicBool,
    /// Requests that failed in storage.
    pub(crate) storage_failures: AtomicU64,
    /// Recounts that did not agree with what was shown.
    pub(crate) recount_differences: AtomicU64,
    routes: Mutex<Vec<Arc<RouteFigures>>>,
}

/// What the server counted since it started, as alarms look at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Requests answered.
    pub(crate) requests: u64,
    /// Those with a status of 400 to 499.
    pub(crate) client_errors: u64,
    /// Those with a status of 500 or more.
    pub(crate) server_errors: u64,
    /// Votes cast and changed.
    pub(crate) votes: u64,
    /// See [`Metrics::recount_differences`].
    pub(crate) recount_differences: u64,
    /// See [`Metrics::storage_failures`].
    pub(crate) storage_failures: u64,
}

const LIMITS: [&str; 5] = ["api", "post-votes", "read-votes", "day", "address"];

/// Votes by what became of them.
#[derive(Debug, Default)]
pub(crate) struct VoteFigures([AtomicU64; VOTE_OUTCOMES.len()]);

const VOTE_OUTCOMES: [&str; 8] =
    ["cast", "changed", "withdrawn", "replayed", "already_voted", "not_open", "refused", "unavailable"];

impl VoteFigures {
    /// Counts what one vote's command came to.
    pub(crate) fn count(&self, result: &VoteResult) {
        self.add(Self::outcome(result), 1);
    }

    /// Counts many at once.
    pub(crate) fn count_all(&self, results: &[VoteResult]) {
        let mut counts = [0; VOTE_OUTCOMES.len()];
        results.iter().for_each(|result| counts[Self::outcome(result)] += 1);
        (0..)
            .zip(counts)
            .filter(|(_, count)| *count > 0)
            .for_each(|(outcome, count)| self.add(outcome, count));
    }

    /// The counts so far, each with its outcome's name.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        VOTE_OUTCOMES.into_iter().zip(self.0.iter().map(read))
    }

    fn add(&self, outcome: usize, count: u64) {
        self.0[outcome].fetch_add(count, Ordering::Relaxed);
    }

    fn outcome(result: &VoteResult) -> usize {
        match result {
            Ok(VoteOutcome::Accepted(receipt)) => match receipt.operation {
                Operation::Cast => 0,
                Operation::Change => 1,
                Operation::Withdraw => 2,
            },
            Ok(VoteOutcome::Replayed(_)) => 3,
            Err(StoreError::Refused(Refusal::AlreadyVoted(_))) => 4,
            Err(StoreError::Refused(Refusal::NotOpen { .. })) => 5,
            Err(StoreError::Refused(_)) => 6,
            Err(StoreError::Unavailable { .. } | StoreError::OutcomeUnknown | StoreError::Corrupt(_)) => 7,
        }
    }
}

/// Upper bounds of the latency histogram, in microseconds.
const BOUNDS_MICROSECONDS: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000,
];

/// The requests of one route.
#[derive(Debug)]
pub(crate) struct RouteFigures {
    method: &'static str,
    route: &'static str,
    by_class: [AtomicU64; 5],
    by_latency: [AtomicU64; BOUNDS_MICROSECONDS.len() + 1],
    microseconds: AtomicU64,
}

impl RouteFigures {
    /// Counts an answered request. A stream counts when it begins.
    pub(crate) fn count(&self, status: u16, latency: Duration) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MICROSECONDS.partition_point(|bound| *bound < microseconds);
        self.by_class[class].fetch_add(1, Ordering::Relaxed);
        self.by_latency[bucket].fetch_add(1, Ordering::Relaxed);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Figures for a route.
    pub(crate) fn route(&self, method: &'static str, route: &'static str) -> Arc<RouteFigures> {
        let figures = Arc::new(RouteFigures {
            method,
            route,
            by_class: Default::default(),
            by_latency: Default::default(),
            microseconds: AtomicU64::new(0),
        });
        self.routes.lock().push(Arc::clone(&figures));
        figures
    }

    /// Counts a request that was refused because a limit was reached.
    pub(crate) fn count_limited(&self, limited: &Limited) {
        let name = limited.standing.last().map_or("address", |used| used.name);
        if let Some(place) = LIMITS.iter().position(|known| *known == name) {
            self.limited[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was counted since the start.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals {
            votes: read(&self.votes.0[0]) + read(&self.votes.0[1]),
            recount_differences: read(&self.recount_differences),
            storage_failures: read(&self.storage_failures),
            ..Totals::default()
        };
        for route in self.routes.lock().iter() {
            totals.requests += route.by_class.iter().map(read).sum::<u64>();
            totals.client_errors += read(&route.by_class[3]);
            totals.server_errors += read(&route.by_class[4]);
        }
        totals
    }

    /// Every figure, with those of the store and the number of streams of live results.
    pub(crate) fn render(&self, health: &Health, watchers: usize) -> String {
        let mut text = String::new();
        self.render_votes(&mut text);
        self.render_routes(&mut text);
        self.render_refusals(&mut text);
        self.render_troubles(&mut text);
        let is_ready = u64::from(health.trouble.is_none());
        family(&mut text, "canvass_store_ready", "gauge", "Whether the store can be written.");
        line(&mut text, format_args!("canvass_store_ready {is_ready}"));
        family(&mut text, "canvass_watchers", "gauge", "Streams of live results that are open.");
        line(&mut text, format_args!("canvass_watchers {watchers}"));
        for (name, figure) in &health.figures {
            let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
            family(&mut text, name, kind, help(name));
            line(&mut text, format_args!("{name} {figure}"));
        }
        health.histograms.iter().for_each(|histogram| render_histogram(&mut text, histogram));
        text
    }

    /// How webhooks and alarms do.
    pub(crate) fn render_watch(text: &mut String, webhooks: &Webhooks, alarms: &Alarms) {
        let name = "canvass_webhooks";
        family(text, name, "gauge", "Webhooks by whether they work.");
        for (state, count) in webhooks.by_state() {
            line(text, format_args!("{name}{{state=\"{state}\"}} {count}"));
        }
        let name = "canvass_webhook_deliveries_total";
        family(text, name, "counter", "Tries to deliver to a webhook by what they came to.");
        let figures = &webhooks.figures;
        for (outcome, count) in
            [("accepted", &figures.accepted), ("refused", &figures.refused), ("failed", &figures.failed)]
        {
            line(text, format_args!("{name}{{outcome=\"{outcome}\"}} {}", read(count)));
        }
        let name = "canvass_alarm_active";
        family(text, name, "gauge", "Whether an alarm of the server's own is on.");
        for (alarm, is_on) in alarms.states() {
            line(text, format_args!("{name}{{alarm=\"{alarm}\"}} {}", u8::from(is_on)));
        }
    }

    fn render_refusals(&self, text: &mut String) {
        let name = "canvass_limited_requests_total";
        family(text, name, "counter", "Requests and lines of batches refused by the limit that was reached.");
        for (limit, count) in LIMITS.iter().zip(&self.limited) {
            line(text, format_args!("{name}{{limit=\"{limit}\"}} {}", read(count)));
        }
    }

    /// Counts a turn of the exports by the clock: how many files it wrote, or none if it failed.
    pub(crate) fn count_scheduled_exports(&self, written: Option<usize>) {
        self.exports_failing.store(written.is_none(), Ordering::Relaxed);
        match written {
            Some(files) => self.exports_scheduled.fetch_add(files as u64, Ordering::Relaxed),
            None => self.exports_failed.fetch_add(1, Ordering::Relaxed),
        };
    }

    /// Whether the last turn of the exports by the clock failed.
    pub(crate) fn are_exports_failing(&self) -> bool {
        self.exports_failing.load(Ordering::Relaxed)
    }

    fn render_troubles(&self, text: &mut String) {
        let name = "canvass_exports_total";
        family(text, name, "counter", "Exports by who began them; failed ones are of the schedule.");
        let exports = [
            ("asked", &self.exports_asked),
            ("scheduled", &self.exports_scheduled),
            ("failed", &self.exports_failed),
        ];
        for (kind, count) in exports {
            line(text, format_args!("{name}{{kind=\"{kind}\"}} {}", read(count)));
        }
        let name = "canvass_exports_failing";
        family(text, name, "gauge", "Whether the last turn of the exports by the clock failed.");
        line(text, format_args!("{name} {}", u8::from(self.are_exports_failing())));
        for (name, help, count) in [
            ("canvass_storage_failures_total", "Requests that failed in storage.", &self.storage_failures),
            (
                "canvass_recount_differences_total",
                "Recounts that did not agree with what was shown.",
                &self.recount_differences,
            ),
        ] {
            family(text, name, "counter", help);
            line(text, format_args!("{name} {}", read(count)));
        }
    }

    fn render_votes(&self, text: &mut String) {
        line(text, format_args!("# HELP canvass_votes_total Votes by what became of them."));
        line(text, format_args!("# TYPE canvass_votes_total counter"));
        for (name, count) in self.votes.counts() {
            line(text, format_args!("canvass_votes_total{{outcome=\"{name}\"}} {count}"));
        }
    }

    fn render_routes(&self, text: &mut String) {
        let routes = self.routes.lock();
        line(text, format_args!("# HELP canvass_http_requests_total Requests by route and class of status."));
        line(text, format_args!("# TYPE canvass_http_requests_total counter"));
        for route in routes.iter() {
            for (class, count) in (1..).zip(&route.by_class).filter(|(_, count)| read(count) > 0) {
                let RouteFigures { method, route, .. } = &**route;
                line(
                    text,
                    format_args!(
                        "canvass_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{class}xx\"}} {}",
                        read(count)
                    ),
                );
            }
        }
        line(
            text,
            format_args!("# HELP canvass_http_request_seconds Time from a request's head to its answer's."),
        );
        line(text, format_args!("# TYPE canvass_http_request_seconds histogram"));
        routes.iter().for_each(|route| route.render_latency(text));
    }
}

impl RouteFigures {
    fn render_latency(&self, text: &mut String) {
        let Self { method, route, .. } = self;
        let labels = format!("method=\"{method}\",route=\"{route}\"");
        let mut total = 0;
        let name = "canvass_http_request_seconds";
        if self.by_latency.iter().all(|count| read(count) == 0) {
            return;
        }
        for (bound, count) in BOUNDS_MICROSECONDS.iter().zip(&self.by_latency) {
            total += read(count);
            line(text, format_args!("{name}_bucket{{{labels},le=\"{}\"}} {total}", seconds(*bound)));
        }
        total += read(&self.by_latency[BOUNDS_MICROSECONDS.len()]);
        line(text, format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {total}"));
        line(text, format_args!("{name}_sum{{{labels}}} {}", seconds(read(&self.microseconds))));
        line(text, format_args!("{name}_count{{{labels}}} {total}"));
    }
}

/// What figures of the stores are.
fn help(name: &str) -> &'static str {
    match name {
        "canvass_ledger_bytes" => "Bytes of the ledger that are durable.",
        "canvass_ledger_commits_total" => "Commits that were made durable.",
        "canvass_ledger_records_total" => "Records that were made durable.",
        "canvass_ledger_commit_records" => "Records that were made durable together.",
        "canvass_ledger_commit_seconds" => "Time that writing and syncing a commit took.",
        "canvass_ledger_checkpoint_bytes" => "Bytes of the ledger that the newest checkpoint holds.",
        "canvass_disk_available_bytes" => "Bytes of the data directory's disk that may still be used.",
        "canvass_disk_bytes" => "Bytes of the data directory's disk.",
        "canvass_queue_votes" => "Votes that wait for the writer.",
        "canvass_index_bytes" => "Memory of the index of who has voted.",
        "canvass_index_voters" => "Voters in the index of who has voted.",
        "canvass_profile_bytes" => "Memory of the distinct ballots.",
        "canvass_polls" => "Polls that exist.",
        "canvass_restored_timestamp_seconds" => "When the server's data was restored from a backup.",
        "canvass_backup_bytes" => "Bytes of the ledger that are in the backup.",
        "canvass_backup_failures_total" => "Tries to back up that failed.",
        "canvass_dynamodb_votes_total" => "Votes written to DynamoDB.",
        "canvass_dynamodb_folded_total" => "Records of the stream that were folded.",
        "canvass_dynamodb_unreadable_total" => "Records of the stream that cannot be read.",
        "canvass_dynamodb_retries_total" => "Requests to DynamoDB that were sent again.",
        "canvass_dynamodb_folds" => "Whether this server folds the stream.",
        _ => "A figure of the store.",
    }
}

/// What stands above the figures of one name.
pub(crate) fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    line(text, format_args!("# HELP {name} {help}"));
    line(text, format_args!("# TYPE {name} {kind}"));
}

fn render_histogram(text: &mut String, histogram: &Histogram) {
    let Histogram { name, buckets, sum, count } = histogram;
    family(text, name, "histogram", help(name));
    for (bound, at_most) in buckets {
        line(text, format_args!("{name}_bucket{{le=\"{bound}\"}} {at_most}"));
    }
    line(text, format_args!("{name}_bucket{{le=\"+Inf\"}} {count}"));
    line(text, format_args!("{name}_sum {sum}"));
    line(text, format_args!("{name}_count {count}"));
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn seconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64()
}

pub(crate) fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(arguments);
    text.push('\n');
}
