//! Figures for CloudWatch, in its embedded metric format: lines of JSON on standard output, which cost no request.
//!
//! Each metric has one dimension of few values at most, beside the stack's: CloudWatch charges for each value that comes up.

use std::io::{self, Write as _};

use canvass_domain::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::functions::Function;

/// What all metrics are found under.
pub const NAMESPACE: &str = "Canvass";
/// What figures of one stack are told from another's by: what the names of its tables begin with.
pub const STACK: &str = "Stack";

/// A figure that a function tells.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Who tells it.
    pub function: Function,
    /// Its unit, as CloudWatch names it.
    pub unit: &'static str,
    /// What it is told apart by, if by anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimension: Option<Dimension>,
    /// What it counts.
    pub meaning: &'static str,
}

/// What figures are told apart by.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dimension {
    /// Its name.
    pub name: &'static str,
    /// All that it can be.
    pub values: &'static [&'static str],
}

/// Votes by what became of them.
pub(crate) const VOTES: Metric = Metric {
    name: "Votes",
    function: Function::Api,
    unit: "Count",
    dimension: Some(Dimension {
        name: "Outcome",
        values: &[
            "cast",
            "changed",
            "withdrawn",
            "replayed",
            "already_voted",
            "not_open",
            "refused",
            "unavailable",
        ],
    }),
    meaning: "Votes by what became of them; the first four are accepted",
};

/// How long answers took.
pub(crate) const REQUEST_LATENCY: Metric = Metric {
    name: "RequestLatency",
    function: Function::Api,
    unit: "Milliseconds",
    dimension: Some(Dimension { name: "Route", values: &["votes", "results", "other"] }),
    meaning: "Time from an event to its answer, without the start of the function",
};

/// Requests at fault.
pub(crate) const CLIENT_ERRORS: Metric = Metric {
    name: "ClientErrors",
    function: Function::Api,
    unit: "Count",
    dimension: None,
    meaning: "Answers with a status from 400 to 499",
};

/// Answers at fault.
pub(crate) const SERVER_ERRORS: Metric = Metric {
    name: "ServerErrors",
    function: Function::Api,
    unit: "Count",
    dimension: None,
    meaning: "Answers with a status of 500 or above: the storage cannot be used",
};

/// What was folded.
pub(crate) const RECORDS_FOLDED: Metric = Metric {
    name: "RecordsFolded",
    function: Function::Tally,
    unit: "Count",
    dimension: None,
    meaning: "Records of the stream that are in the counters",
};

/// What cannot be read.
pub(crate) const POISON_RECORDS: Metric = Metric {
    name: "PoisonRecords",
    function: Function::Tally,
    unit: "Count",
    dimension: None,
    meaning: "Records that cannot be read, each time they are delivered; recount the poll",
};

/// How far the tally is behind.
pub(crate) const BATCH_AGE: Metric = Metric {
    name: "BatchAge",
    function: Function::Tally,
    unit: "Seconds",
    dimension: None,
    meaning: "Age of a batch's oldest record once the batch is folded",
};

/// Exports.
pub(crate) const FILES_WRITTEN: Metric = Metric {
    name: "FilesWritten",
    function: Function::Export,
    unit: "Count",
    dimension: None,
    meaning: "Exports and snapshots that were written",
};

/// Exports that came to nothing.
pub(crate) const EXPORT_FAILURES: Metric = Metric {
    name: "ExportFailures",
    function: Function::Export,
    unit: "Count",
    dimension: None,
    meaning: "Runs that did not write all that was due; the next one tries again",
};

/// Counts that are wrong.
pub(crate) const RECOUNT_DIFFERENCES: Metric = Metric {
    name: "RecountDifferences",
    function: Function::Export,
    unit: "Count",
    dimension: None,
    meaning: "Recounts that did not agree: of polls that ended, and, by the function api, where one was asked for",
};

/// Every metric: alarms may be set on them.
pub const METRICS: [Metric; 10] = [
    VOTES,
    REQUEST_LATENCY,
    CLIENT_ERRORS,
    SERVER_ERRORS,
    RECORDS_FOLDED,
    POISON_RECORDS,
    BATCH_AGE,
    FILES_WRITTEN,
    EXPORT_FAILURES,
    RECOUNT_DIFFERENCES,
];

/// A figure.
pub(crate) struct Sample {
    pub(crate) metric: &'static Metric,
    /// The dimension's value, for metrics that have one.
    pub(crate) of: Option<&'static str>,
    pub(crate) value: f64,
}

impl Sample {
    /// A figure of a metric without a dimension.
    pub(crate) const fn plain(metric: &'static Metric, value: f64) -> Self {
        Self { metric, of: None, value }
    }
}

/// A number of things as CloudWatch has it.
#[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
pub(crate) const fn count(number: u64) -> f64 {
    number as f64
}

/// Tells figures of a stack. Whoever collects them may be gone; that is no reason to fail a request.
pub(crate) fn tell(stack: &str, now: Timestamp, samples: impl IntoIterator<Item = Sample>) {
    let mut out = io::stdout().lock();
    for sample in samples {
        let _ = writeln!(out, "{}", line(stack, now, &sample));
    }
    let _ = out.flush();
}

fn line(stack: &str, now: Timestamp, Sample { metric, of, value }: &Sample) -> Value {
    let dimension = metric.dimension.map(|dimension| dimension.name);
    let dimensions: Vec<_> = [STACK].into_iter().chain(dimension).collect();
    let directive = json!({
        "Namespace": NAMESPACE,
        "Dimensions": [dimensions],
        "Metrics": [{"Name": metric.name, "Unit": metric.unit}],
    });
    let mut line = json!({
        "_aws": {"Timestamp": now.microseconds() / 1_000, "CloudWatchMetrics": [directive]},
        STACK: stack,
        metric.name: value,
    });
    if let (Some(dimension), Some(of)) = (dimension, of) {
        line[dimension] = (*of).into();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sample: &Sample, expected: &str) {
        let now = "2026-12-01T12:00:00Z".parse().unwrap();
        assert_eq!(line("canvass", now, sample).to_string(), expected);
    }

    #[test]
    fn lines_are_as_cloudwatch_reads_them() {
        check(
            &Sample { metric: &VOTES, of: Some("cast"), value: count(2) },
            r#"{"Outcome":"cast","Stack":"canvass","Votes":2.0,"_aws":{"CloudWatchMetrics":[{"Dimensions":[["Stack","Outcome"]],"Metrics":[{"Name":"Votes","Unit":"Count"}],"Namespace":"Canvass"}],"Timestamp":1796126400000}}"#,
        );
        check(
            &Sample::plain(&POISON_RECORDS, count(1)),
            r#"{"PoisonRecords":1.0,"Stack":"canvass","_aws":{"CloudWatchMetrics":[{"Dimensions":[["Stack"]],"Metrics":[{"Name":"PoisonRecords","Unit":"Count"}],"Namespace":"Canvass"}],"Timestamp":1796126400000}}"#,
        );
    }
}
