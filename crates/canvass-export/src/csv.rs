//! Comma-separated values with a header (RFC 4180), for spreadsheets and dashboards.

use std::borrow::Cow;

use canvass_domain::Poll;

use crate::row::{COLUMNS, Row, dimension_columns};

/// Appends the header.
pub(crate) fn write_header(piece: &mut Vec<u8>, poll: &Poll) {
    let dimensions = dimension_columns(poll);
    let names = COLUMNS.into_iter().map(Cow::Borrowed).chain(dimensions.map(Cow::Owned));
    let cells: Vec<_> = names.map(guarded).collect();
    write_cells(piece, &cells);
}

/// Appends a vote.
pub(crate) fn write_row(piece: &mut Vec<u8>, row: Row<'_>) {
    let mut cells = vec![
        row.vote_id.into(),
        row.poll_id.into(),
        guarded(row.option_id.unwrap_or_default().into()),
        guarded(row.voter_id.unwrap_or_default()),
        row.timestamp.to_string().into(),
        row.demographics.into(),
        row.ballot.into(),
        row.weight.to_string().into(),
    ];
    cells.extend(row.answers.into_iter().map(|answer| guarded(answer.unwrap_or_default().into())));
    write_cells(piece, &cells);
}

/// A cell that no spreadsheet takes for a formula: one that begins like one gets an apostrophe in front.
pub fn guarded(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}").into() } else { text }
}

/// Appends a row of cells, quoted where they need it.
pub fn write_cells(piece: &mut Vec<u8>, cells: &[Cow<'_, str>]) {
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            piece.push(b',');
        }
        if cell.contains([',', '"', '\r', '\n']) {
            piece.push(b'"');
            piece.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
            piece.push(b'"');
        } else {
            piece.extend_from_slice(cell.as_bytes());
        }
    }
    piece.extend_from_slice(b"\r\n");
}
