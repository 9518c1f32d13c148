//! What every test here needs: a poll of which only what matters is said.

use canvass_domain::{Poll, Timestamp};
use serde_json::{Value, json};

/// A moment of January 2026, as day and time: `02T12:00`.
pub(crate) fn at(moment: &str) -> Timestamp {
    format!("2026-01-{moment}:00Z").parse().unwrap()
}

/// A draft with the options a, b, c and d, in which some fields are others.
pub(crate) fn poll(fields: &str) -> Poll {
    let options = ["a", "b", "c", "d"].map(|id| json!({"id": id, "label": id.to_uppercase()}));
    let mut poll = json!({
        "id": "p", "title": "T", "description": "", "seats": 1, "status": "draft",
        "options": options,
        "method": {"type": "plurality"}, "opensAt": null, "closesAt": null, "access": "key",
        "revote": "never", "resultsVisible": "live", "demographics": {}, "minimumCell": 0,
        "version": 1, "form": 1, "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z",
    });
    let Value::Object(others) = serde_json::from_str(fields).unwrap() else { panic!("{fields}") };
    poll.as_object_mut().unwrap().extend(others);
    serde_json::from_value(poll).unwrap()
}
