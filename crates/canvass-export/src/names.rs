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

/// The moment in the name of an export or a snapshot; none if it is neither.
pub(crate) fn moment(key: &str) -> Option<Timestamp> {
    let name = key.rsplit('/').next()?;
    let name = name.strip_prefix("results-").unwrap_or(name);
    let (day, time) = (name.get(..8)?, name.get(9..15)?);
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(day) || !is_digits(time) {
        return None;
    }
    let (year, month, day) = (&day[..4], &day[4..6], &day[6..]);
    let (hour, minute, second) = (&time[..2], &time[2..4], &time[4..]);
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, expected: Option<&str>) {
        assert_eq!(moment(key), expected.map(|moment| moment.parse().unwrap()), "{key}");
    }

    #[test]
    fn a_name_tells_its_moment() {
        let now: Timestamp = "2026-12-01T12:00:59Z".parse().unwrap();
        let poll: PollId = "lunch".parse().unwrap();
        check(&export(&poll, now), Some("2026-12-01T12:00:59Z"));
        check(&format!("{}.gz", snapshot(now)), Some("2026-12-01T12:00:59Z"));
        for key in [
            "exports/lunch/mine.csv",
            "exports/lunch/20261301_120000_results.csv",
            "snapshots/é0261201-120000",
        ] {
            check(key, None);
        }
    }
}
