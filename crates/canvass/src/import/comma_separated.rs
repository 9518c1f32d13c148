//! Comma-separated values with a heading: `voterId`, then `choice` or `ballot` (JSON), perhaps `weight` and
//! `idempotencyKey`, and a column for each demographic dimension. An export's file can be read back.

use std::{fs::File, path::Path};

use csv::{Reader, ReaderBuilder, StringRecord, Trim};
use serde_json::{Map, Value, json};

use super::{Line, Place, Source, Unusable, Vote, raw};
use crate::failure::Failure;

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Column {
    Voter,
    Choice,
    Ballot,
    Weight,
    IdempotencyKey,
    /// All dimensions as one JSON object, as an export has them.
    Demographics,
    Dimension(String),
    /// What the server makes anew.
    Ignored,
}

pub(super) fn open(path: &Path, poll: &Value) -> Result<Source, Failure> {
    let failed = |error: std::io::Error| Failure::file(path, &error);
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(file);
    let headings = reader.headers().map_err(|error| wrong(path, &error.to_string()))?;
    let columns = headings
        .iter()
        .map(|heading| column(heading, poll))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|reason| wrong(path, &reason))?;
    let has = |column: &Column| columns.contains(column);
    if !has(&Column::Voter) || !(has(&Column::Choice) || has(&Column::Ballot)) {
        return Err(wrong(
            path,
            "the first line must name the columns voterId and choice, or voterId and ballot",
        ));
    }
    let weighted = poll["weighted"] == Value::Bool(true);
    Ok(Source { lines: Box::new(Rows { reader, columns, weighted, row: 1, ended: false }), length })
}

fn wrong(path: &Path, reason: &str) -> Failure {
    Failure::failed(format!("{}: {reason}", path.display()))
}

fn column(heading: &str, poll: &Value) -> Result<Column, String> {
    Ok(match heading.trim_start_matches('\u{feff}') {
        "voterId" => Column::Voter,
        "choice" | "optionId" => Column::Choice,
        "ballot" => Column::Ballot,
        "weight" => Column::Weight,
        "idempotencyKey" => Column::IdempotencyKey,
        "demographics" => Column::Demographics,
        "voteId" | "pollId" | "timestamp" | "castAt" | "sequence" => Column::Ignored,
        name if poll["demographics"].get(name).is_some() => Column::Dimension(name.to_owned()),
        name => {
            return Err(format!(
                "the column {name:?} is none of voterId, choice, ballot, weight, idempotencyKey, and no dimension of the poll"
            ));
        }
    })
}

struct Rows {
    reader: Reader<File>,
    columns: Vec<Column>,
    /// Whether the poll has weights; elsewhere an export writes 1 for each.
    weighted: bool,
    row: u64,
    ended: bool,
}

impl Iterator for Rows {
    type Item = Result<Line, Unusable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let mut record = StringRecord::new();
        let outcome = self.reader.read_record(&mut record);
        self.row += 1;
        let place = Place::Row(self.row);
        let vote = match outcome {
            Ok(false) => return None,
            Ok(true) => read(&record, &self.columns),
            Err(error) => {
                self.ended = matches!(error.kind(), csv::ErrorKind::Io(_));
                Err(error.to_string())
            }
        };
        Some(match vote {
            Ok(mut vote) => {
                vote.weight = vote.weight.filter(|weight| self.weighted || weight != "1");
                Ok(vote.into_line(place, self.reader.position().byte()))
            }
            Err(reason) => Err(Unusable { place, reason }),
        })
    }
}

fn read(record: &StringRecord, columns: &[Column]) -> Result<Vote, String> {
    if record.len() != columns.len() {
        return Err(format!("{} fields where the heading has {}", record.len(), columns.len()));
    }
    let mut demographics = Map::new();
    let (mut voter, mut ballot, mut weight, mut key) = (None, None, None, None);
    // An export leaves the ballot empty where the option says it all, and the other way round.
    for (field, column) in record.iter().zip(columns).filter(|(field, _)| !field.is_empty()) {
        match column {
            Column::Voter => voter = Some(field.to_owned()),
            Column::Choice => ballot = Some(json!({"choice": field})),
            Column::Ballot => ballot = Some(parse("ballot", field)?),
            Column::Weight => weight = Some(field.to_owned()),
            Column::IdempotencyKey => key = Some(field.to_owned()),
            Column::Demographics => match parse("demographics", field)? {
                Value::Object(given) => demographics.extend(given),
                _ => return Err("demographics: write a JSON object".to_owned()),
            },
            Column::Dimension(name) => {
                demographics.insert(name.clone(), Value::from(field));
            }
            Column::Ignored => {}
        }
    }
    Ok(Vote {
        voter: voter.ok_or("the voterId is missing")?,
        ballot: raw(&ballot.ok_or("the choice or ballot is missing")?),
        demographics: (!demographics.is_empty()).then(|| raw(&Value::Object(demographics))),
        weight,
        idempotency_key: key,
    })
}

fn parse(name: &str, text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{name}: not JSON: {error}"))
}
