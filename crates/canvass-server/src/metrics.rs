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
use canvass_store::{Health, StoreError, VoteOutcome, VoteResult};
use parking_lot::Mutex;

/// What the server counts.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) votes: VoteFigures,
    pub(crate) exports: ExportFigures,
    routes: Mutex<Vec<Arc<RouteFigures>>>,
}

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

/// Exports by the clock.
#[derive(Debug, Default)]
pub(crate) struct ExportFigures {
    written: AtomicU64,
    failures: AtomicU64,
    is_failing: AtomicBool,
}

impl ExportFigures {
    /// Counts a turn: the files that it wrote, or none if it failed.
    pub(crate) fn count(&self, written: Option<usize>) {
        self.is_failing.store(written.is_none(), Ordering::Relaxed);
        match written {
            Some(files) => self.written.fetch_add(files as u64, Ordering::Relaxed),
            None => self.failures.fetch_add(1, Ordering::Relaxed),
        };
    }

    fn render(&self, text: &mut String) {
        let figures = [
            (
                "canvass_exports_total",
                "counter",
                "Files that exports by the clock wrote.",
                read(&self.written),
            ),
            (
                "canvass_export_failures_total",
                "counter",
                "Turns of exports by the clock that failed.",
                read(&self.failures),
            ),
            (
                "canvass_exports_failing",
                "gauge",
                "Whether the last turn of exports by the clock failed.",
                self.is_failing.load(Ordering::Relaxed).into(),
            ),
        ];
        for (name, kind, help, figure) in figures {
            line(text, format_args!("# HELP {name} {help}"));
            line(text, format_args!("# TYPE {name} {kind}"));
            line(text, format_args!("{name} {figure}"));
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

    /// Every figure, with those of the store and the number of streams of live results.
    pub(crate) fn render(&self, health: &Health, watchers: usize) -> String {
        let mut text = String::new();
        self.render_votes(&mut text);
        self.render_routes(&mut text);
        self.exports.render(&mut text);
        line(&mut text, format_args!("# HELP canvass_store_ready Whether the store can be written."));
        line(&mut text, format_args!("# TYPE canvass_store_ready gauge"));
        line(&mut text, format_args!("canvass_store_ready {}", u8::from(health.trouble.is_none())));
        line(&mut text, format_args!("# HELP canvass_watchers Streams of live results that are open."));
        line(&mut text, format_args!("# TYPE canvass_watchers gauge"));
        line(&mut text, format_args!("canvass_watchers {watchers}"));
        for (name, figure) in &health.figures {
            line(&mut text, format_args!("# HELP {name} A figure of the store."));
            line(&mut text, format_args!("# TYPE {name} untyped"));
            line(&mut text, format_args!("{name} {figure}"));
        }
        text
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

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn seconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64()
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(arguments);
    text.push('\n');
}
