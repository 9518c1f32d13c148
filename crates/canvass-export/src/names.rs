//! What the exported files are called. The names are those of the documents that this project grew from.

use canvass_domain::{PollId, Timestamp};

pub(crate) const STATE: &str = "state.json";
pub(crate) const QUICKSIGHT: &str = "quicksight/manifest.json";

/// The votes of a poll, as they were at a moment.
pub(crate) fn export(poll: &PollId, moment: Timestamp) -> String {
    format!("exports/{}/{}_results.csv", folder(poll), digits(moment).replace('-', "_"))
}

/// The results of all polls at a moment.
pub(crate) fn snapshot(moment: Timestamp) -> String {
    format!("snapshots/results-{}.json", digits(moment))
}

/// What was written in a turn.
pub(crate) fn manifest(moment: Timestamp) -> String {
    format!("manifests/{}.jsonl", digits(moment))
}

/// A moment as `20261201-120000`, in UTC.
fn digits(moment: Timestamp) -> String {
    let text = moment.to_string();
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    let time = time.split('.').next().unwrap_or_default();
    format!("{}-{}", day.replace('-', ""), time.replace(':', ""))
}

/// A poll's id as a folder's name; ids of points alone would name other folders.
fn folder(poll: &PollId) -> String {
    let id = poll.as_str();
    if id.bytes().all(|byte| byte == b'.') { id.replace('.', "%2E") } else { id.to_owned() }
}
