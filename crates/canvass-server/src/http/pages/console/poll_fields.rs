//! The fields of the form that makes and changes a poll, and the JSON that the API takes for the same.
//!
//! The form sends texts. A change is what differs from the texts that the poll itself would be shown with, so a form
//! never touches what it did not show, such as the seconds of a time or the finer rules of a method.

use std::collections::BTreeSet;

use canvass_domain::{Poll, PollId, Timestamp, poll::Status, tie_break::TieBreak};
use serde_json::{Map, Value, json};

use crate::{http::pages::entered::Entered, service::Failure};

/// A field of the API, with the fields of the form that say it.
type Field = (&'static str, &'static [&'static str]);

const FIELDS: [Field; 16] = [
    ("title", &["title"]),
    ("description", &["description"]),
    ("options", &["options"]),
    ("method", METHOD_FIELDS),
    ("seats", &["seats"]),
    ("tieBreak", &["tieBreak", "seed"]),
    ("access", &["access"]),
    ("revote", &["revote"]),
    ("resultsVisible", &["resultsVisible"]),
    ("opensAt", &["opensAt"]),
    ("closesAt", &["closesAt"]),
    ("demographics", &["demographics"]),
    ("minimumCell", &["minimumCell"]),
    ("weighted", &["weighted"]),
    ("writeIn", &["writeIn"]),
    ("id", &["id"]),
];

const METHOD_FIELDS: &[&str] =
    &["method", "maxChoices", "min", "max", "aggregate", "credits", "dots", "maxPerOption"];

const WHOLE: &str = "a whole number";

/// Which rules of a method the form asks for.
fn rules_of(method: &str) -> &'static [&'static str] {
    match method {
        "approval" => &["maxChoices"],
        "score" => &["min", "max", "aggregate"],
        "quadratic" => &["credits"],
        "dot" => &["dots", "maxPerOption"],
        _ => &[],
    }
}

/// The fields of a form as a poll would fill them in.
pub(super) fn fields_of(poll: &Poll) -> Entered {
    let value = serde_json::to_value(poll).unwrap_or_default();
    let text = |name: &str| match &value[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let mut fields = vec![
        ("title", text("title")),
        ("description", text("description")),
        ("options", poll.options.iter().map(|option| one_line(&option.label)).collect::<Vec<_>>().join("\n")),
        ("method", poll.method.name().to_owned()),
        ("seats", text("seats")),
        ("tieBreak", value["tieBreak"]["type"].as_str().unwrap_or("report").to_owned()),
        ("access", text("access")),
        ("revote", text("revote")),
        ("resultsVisible", text("resultsVisible")),
        ("opensAt", poll.opens_at.map(minute).unwrap_or_default()),
        ("closesAt", poll.closes_at.map(minute).unwrap_or_default()),
        ("demographics", dimensions(poll)),
        ("minimumCell", text("minimumCell")),
        ("id", poll.id.to_string()),
    ];
    if let TieBreak::Lot { seed } = &poll.tie_break {
        fields.push(("seed", seed.clone()));
    }
    for name in rules_of(poll.method.name()) {
        match &value["method"][name] {
            Value::Null => {}
            Value::String(text) => fields.push((name, text.clone())),
            other => fields.push((name, other.to_string())),
        }
    }
    for (name, is_on) in [("weighted", poll.weighted), ("writeIn", poll.write_in)] {
        if is_on {
            fields.push((name, "yes".to_owned()));
        }
    }
    Entered::of(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The request that creates a poll.
pub(super) fn creation(entered: &Entered) -> Result<Value, Failure> {
    let mut request = Map::new();
    for (field, _) in FIELDS {
        if let Some(value) = value_of(field, entered, None)? {
            request.insert(field.to_owned(), value);
        }
    }
    let start = match entered.text("start") {
        "open" => Status::Open,
        "scheduled" => Status::Scheduled,
        _ => Status::Draft,
    };
    request.insert("status".to_owned(), json!(start));
    Ok(request.into())
}

/// The request that changes a poll into what was entered.
pub(super) fn change(entered: &Entered, poll: &Poll) -> Result<Value, Failure> {
    let shown = fields_of(poll);
    let differs = |names: &[&str]| names.iter().any(|name| entered.text(name) != shown.text(name));
    let mut request = Map::new();
    for (field, names) in FIELDS.into_iter().filter(|(field, _)| !matches!(*field, "id" | "writeIn")) {
        if differs(names) {
            let value = value_of(field, entered, Some(poll))?;
            request.insert(field.to_owned(), value.unwrap_or(Value::Null));
        }
    }
    if let Ok(version) = entered.text("version").parse::<u64>() {
        request.insert("version".to_owned(), version.into());
    }
    Ok(request.into())
}

/// What the form says of one field of the API; nothing where that is left to its default.
fn value_of(field: &'static str, entered: &Entered, poll: Option<&Poll>) -> Result<Option<Value>, Failure> {
    let text = entered.text(field);
    let filled = Some(text).filter(|text| !text.is_empty());
    Ok(match field {
        "options" => Some(options(text, poll)),
        "method" => Some(method(entered, poll)?),
        "seats" | "minimumCell" => filled.map(|text| whole(field, text)).transpose()?,
        "tieBreak" => filled.map(|kind| match kind {
            "lot" => json!({"type": "lot", "seed": entered.text("seed")}),
            kind => json!({"type": kind}),
        }),
        "opensAt" | "closesAt" => filled.map(|text| at(field, text)).transpose()?,
        "demographics" => Some(declared(text)),
        "weighted" | "writeIn" => Some((!text.is_empty()).into()),
        "title" | "description" => Some(text.into()),
        "id" => filled.map(id).transpose()?,
        _ => filled.map(Value::from),
    })
}

/// Options from lines. One that stays keeps its id, by its place where votes have fixed the options, else by its label.
fn options(text: &str, poll: Option<&Poll>) -> Value {
    let labels: Vec<&str> = lines(text).collect();
    let known = poll.map(|poll| poll.options.as_slice()).unwrap_or_default();
    let mut taken = BTreeSet::new();
    let same_number = known.len() == labels.len();
    let all_known = labels.iter().all(|label| known.iter().any(|option| one_line(&option.label) == *label));
    let mut ids: Vec<Option<String>> = Vec::with_capacity(labels.len());
    for (place, label) in labels.iter().enumerate() {
        let by_place = known.get(place).filter(|_| same_number && !all_known);
        let by_label = known.iter().find(|option| one_line(&option.label) == *label);
        let id = by_place.or(by_label).map(|option| option.id.to_string());
        ids.push(id.filter(|id| taken.insert(id.clone())));
    }
    let complete = |(place, (label, id)): (usize, (&&str, Option<String>))| {
        let id = id.unwrap_or_else(|| free_id(label, place, &mut taken));
        json!({"id": id, "label": label})
    };
    labels.iter().zip(ids).enumerate().map(complete).collect()
}

/// An id that says the label as far as it can, and that no other option has.
fn free_id(label: &str, place: usize, taken: &mut BTreeSet<String>) -> String {
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { ' ' }
    };
    let spaced: String = label.chars().filter(char::is_ascii).map(plain).collect();
    let said = spaced.split_whitespace().collect::<Vec<_>>().join("-");
    let mut id: String = said.chars().take(40).collect();
    if id.is_empty() || taken.contains(&id) {
        id = format!("option-{}", place + 1);
    }
    let mut number = place + 1;
    while !taken.insert(id.clone()) {
        number += 1;
        id = format!("option-{number}");
    }
    id
}

/// The method, over the finer rules that the poll has where it stays the same.
fn method(entered: &Entered, poll: Option<&Poll>) -> Result<Value, Failure> {
    let name = entered.text("method");
    let known = poll.filter(|poll| poll.method.name() == name).map(|poll| json!(poll.method));
    let mut method = known.unwrap_or_else(|| json!({"type": name}));
    for rule in rules_of(name) {
        match (*rule, entered.text(rule)) {
            // Without these there is no such method.
            ("credits" | "dots", "") => return Err(Failure::invalid(*rule, WHOLE)),
            (_, "") => {
                method.as_object_mut().and_then(|rules| rules.remove(*rule));
            }
            ("aggregate", text) => method[*rule] = text.into(),
            (rule, text) => method[rule] = whole(rule, text)?,
        }
    }
    Ok(method)
}

fn id(text: &str) -> Result<Value, Failure> {
    let id: Result<PollId, _> = text.parse();
    id.map(|id| json!(id)).map_err(|error| Failure::invalid("id", error.to_string()))
}

fn whole(field: &'static str, text: &str) -> Result<Value, Failure> {
    text.parse::<i64>().map(Value::from).map_err(|_| Failure::invalid(field, WHOLE))
}

/// A date and a time of UTC, as browsers send them: `2026-12-01T12:00`.
fn at(field: &'static str, text: &str) -> Result<Value, Failure> {
    let seconds = if text.len() == "2026-12-01T12:00".len() { ":00Z" } else { "Z" };
    let moment: Result<Timestamp, _> = format!("{text}{seconds}").parse();
    moment.map(|moment| json!(moment)).map_err(|_| Failure::invalid(field, "a date and a time"))
}

/// Dimensions from lines: `team: red, blue`, or a name alone where any answer goes.
fn declared(text: &str) -> Value {
    let dimension = |line: &str| {
        let (name, values) = line.split_once(':').unwrap_or((line, ""));
        let values: Vec<&str> = values.split(',').map(str::trim).filter(|value| !value.is_empty()).collect();
        (name.trim().to_owned(), if values.is_empty() { Value::Null } else { values.into() })
    };
    Value::Object(lines(text).map(dimension).collect())
}

fn dimensions(poll: &Poll) -> String {
    let line = |(name, values): (&String, &Option<Vec<String>>)| match values {
        Some(values) => format!("{name}: {}", values.join(", ")),
        None => name.clone(),
    };
    poll.demographics.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// A label on one line, as the form shows and takes it.
fn one_line(label: &str) -> String {
    label.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A moment as a browser's control for it takes it: to the minute, in UTC.
fn minute(at: Timestamp) -> String {
    at.to_string().chars().take("2026-12-01T12:00".len()).collect()
}
