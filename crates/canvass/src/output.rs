//! What commands print: text for people, JSON for programs.

use std::io::{self, Write as _};

use serde_json::Value;

use crate::client::Answer;

/// Prints one line on standard output.
pub(crate) fn line(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Prints a JSON value as one line.
pub(crate) fn json(value: &Value) -> io::Result<()> {
    line(value)
}

/// Prints JSON if that was asked for, else the text.
pub(crate) fn either(json_asked: bool, value: &Value, text: impl std::fmt::Display) -> io::Result<()> {
    if json_asked { json(value) } else { line(text) }
}

/// Prints an answer's JSON as the server wrote it.
pub(crate) fn answer(answer: &Answer) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(&answer.body)?;
    out.write_all(b"\n")
}

/// Prints rows in columns that line up. The first row is the heading.
pub(crate) fn table(rows: &[Vec<String>]) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = io::stdout().lock();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| pad(cell, *width)).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// A text with spaces up to a number of characters.
pub(crate) fn pad(text: &str, characters: usize) -> String {
    let missing = characters.saturating_sub(text.chars().count());
    format!("{text}{}", " ".repeat(missing))
}

/// A field of an answer as text: a string without its quotes, nothing for null.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.replace(['\n', '\r', '\t'], " "),
        other => other.to_string(),
    }
}

/// A number with its noun, which takes an s unless the number is one.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
