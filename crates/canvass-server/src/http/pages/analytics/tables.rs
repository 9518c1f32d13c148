//! Tables of figures that a page shows and a file holds: the same figures, in words and as plain numbers.

use std::borrow::Cow;

use axum::{
    http::{HeaderValue, StatusCode, header::CONTENT_DISPOSITION},
    response::Response,
};
use canvass_domain::Timestamp;
use canvass_export::csv::{guarded, write_cells};

use crate::http::{
    pages::{escaped, texts::PageTexts, words},
    reply,
};

/// A table with a heading for each row and column.
pub(super) struct Table {
    /// What the rows are.
    pub(super) corner: String,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
}

/// A column.
pub(super) struct Column {
    pub(super) heading: String,
    /// Whether its counts have a share beside them.
    pub(super) has_shares: bool,
}

/// A row.
pub(super) struct Row {
    pub(super) head: Head,
    pub(super) cells: Vec<Cell>,
}

/// What a row is of.
pub(super) enum Head {
    Text(String),
    Time(Timestamp),
}

/// A figure.
#[derive(Clone, Copy)]
pub(super) enum Cell {
    /// Ballots, and what part of the row's they are, where that is known.
    Count(u64, Option<f64>),
    /// A part, from 0 to 1.
    Share(f64),
    /// A difference of parts.
    Difference(f64),
    /// A figure that would tell of too few people.
    Hidden,
    /// There is none.
    Nothing,
}

impl Cell {
    /// A count that may be hidden, as a part of a whole that may be.
    pub(super) fn part(votes: Option<u64>, whole: Option<u64>) -> Self {
        votes.map_or(Self::Hidden, |votes| Self::Count(votes, whole.map(|whole| share(votes, whole))))
    }

    /// The same without a whole.
    pub(super) fn count(votes: Option<u64>) -> Self {
        votes.map_or(Self::Hidden, |votes| Self::Count(votes, None))
    }

    /// The figure as HTML.
    pub(super) fn html(self, t: &PageTexts) -> String {
        match self {
            Self::Count(votes, None) => t.number.whole(votes),
            Self::Count(votes, Some(share)) => {
                format!(
                    "{} <span class=\"soft\">{}</span>",
                    t.number.whole(votes),
                    escaped(&t.number.percent(share))
                )
            }
            Self::Share(share) => escaped(&t.number.percent(share)),
            Self::Difference(difference) => {
                let sign = if difference > 0.0 { "+" } else { "" };
                format!("{sign}{}", t.number.decimal(&format!("{:.1}", difference * 100.0)))
            }
            Self::Hidden => "<span class=\"hidden\">‹›</span>".to_owned(),
            Self::Nothing => "–".to_owned(),
        }
    }

    /// The figure as a file holds it; empty where it is hidden.
    fn plain(self) -> [String; 2] {
        let shown = |share: f64| format!("{share:.6}");
        match self {
            Self::Count(votes, of) => [votes.to_string(), of.map(shown).unwrap_or_default()],
            Self::Share(share) | Self::Difference(share) => [shown(share), String::new()],
            Self::Hidden | Self::Nothing => Default::default(),
        }
    }
}

impl Head {
    /// The heading as HTML.
    pub(super) fn html(&self) -> String {
        match self {
            Self::Text(text) => escaped(text),
            Self::Time(time) => words::time(*time),
        }
    }
}

impl Table {
    /// Whether any of its figures is hidden.
    pub(super) fn has_hidden(&self) -> bool {
        self.rows.iter().flat_map(|row| &row.cells).any(|cell| matches!(cell, Cell::Hidden))
    }

    /// The table as a file for spreadsheets (RFC 4180). `share` is what columns of shares are called.
    pub(super) fn csv(&self, file_name: &str, share: &str) -> Response {
        let mut csv = Vec::new();
        let headings = self.columns.iter().flat_map(|column| {
            let shares = column.has_shares.then(|| format!("{} ({share})", column.heading));
            [Some(column.heading.clone()), shares].into_iter().flatten()
        });
        let texts = [self.corner.clone()].into_iter().chain(headings);
        write_cells(&mut csv, &texts.map(|text| guarded(text.into())).collect::<Vec<_>>());
        for row in &self.rows {
            let head = match &row.head {
                Head::Text(text) => guarded(text.into()),
                Head::Time(time) => time.to_string().into(),
            };
            let cells = self.columns.iter().zip(&row.cells).flat_map(|(column, cell)| {
                let width = if column.has_shares { 2 } else { 1 };
                cell.plain().into_iter().take(width).map(Cow::from)
            });
            write_cells(&mut csv, &[head].into_iter().chain(cells).collect::<Vec<_>>());
        }
        file("text/csv; charset=utf-8; header=present", file_name, csv)
    }
}

/// An answer to keep as a file.
pub(super) fn file(content_type: &'static str, name: &str, bytes: Vec<u8>) -> Response {
    let mut response = reply::of(StatusCode::OK, HeaderValue::from_static(content_type), bytes);
    let headers = response.headers_mut();
    headers.insert(axum::http::header::CACHE_CONTROL, reply::NO_STORE);
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    // A picture that is opened instead of kept can do nothing.
    headers.insert(
        "content-security-policy",
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    response
}

/// A part of a whole; nothing of nothing.
#[expect(clippy::cast_precision_loss, reason = "for people to read; nothing is decided by it")]
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
