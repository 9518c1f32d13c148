//! JSON Lines: a vote's request on each line, as the API takes it or as an export writes it.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read as _},
    path::Path,
};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Line, Place, Source, Unusable, Vote};
use crate::failure::Failure;

/// Bytes of a line; the server takes no longer ones.
const LINE_BYTES_MAX: u64 = canvass_server::limits::VOTE_BODY_BYTES_MAX as u64;

/// What is read of a line. An export's line says more, which the server makes anew.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    voter_id: String,
    ballot: Box<RawValue>,
    #[serde(default)]
    demographics: Option<Box<RawValue>>,
    #[serde(default)]
    weight: Option<String>,
    #[serde(default)]
    idempotency_key: Option<String>,
}

pub(super) fn open(path: &Path) -> Result<Source, Failure> {
    let failed = |error: std::io::Error| Failure::file(path, &error);
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let lines = Lines { reader: BufReader::new(file), number: 0, reached: 0, ended: false };
    Ok(Source { lines: Box::new(lines), length })
}

struct Lines {
    reader: BufReader<File>,
    number: u64,
    reached: u64,
    ended: bool,
}

impl Iterator for Lines {
    type Item = Result<Line, Unusable>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.ended {
                return None;
            }
            self.number += 1;
            let place = Place::Line(self.number);
            match self.read_line() {
                Err(reason) => return Some(Err(Unusable { place, reason })),
                Ok(None) => return None,
                Ok(Some(text)) if text.trim_ascii().is_empty() => {}
                Ok(Some(text)) => return Some(read(&text, place, self.reached)),
            }
        }
    }
}

impl Lines {
    fn read_line(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut text = Vec::new();
        let read = (&mut self.reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut text);
        let bytes = read.map_err(|error| {
            self.ended = true;
            format!("the file cannot be read on: {error}")
        })?;
        self.reached += bytes as u64;
        if bytes as u64 == LINE_BYTES_MAX && text.last() != Some(&b'\n') {
            let skipped = self.reader.skip_until(b'\n').unwrap_or(0);
            self.reached += skipped as u64;
            return Err(format!("the line is longer than {LINE_BYTES_MAX} bytes"));
        }
        Ok((bytes > 0).then_some(text))
    }
}

fn read(text: &[u8], place: Place, reached: u64) -> Result<Line, Unusable> {
    let request: Request = serde_json::from_slice(text)
        .map_err(|error| Unusable { place, reason: format!("no vote: {error}") })?;
    let vote = Vote {
        voter: request.voter_id,
        ballot: request.ballot,
        demographics: request.demographics,
        weight: request.weight,
        idempotency_key: request.idempotency_key,
    };
    Ok(vote.into_line(place, reached))
}
