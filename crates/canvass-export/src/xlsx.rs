//! XLSX (ECMA-376): a workbook written from front to back, so that it can be sent while it is made.
//!
//! The libraries for workbooks keep them in memory, or in temporary files that hold every voter. A sheet of votes needs
//! little of the format: texts that stand in their cells, numbers, and one style for moments. Texts are marked as such,
//! so no spreadsheet takes one for a formula.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, Write as _},
};

use canvass_domain::{Poll, Timestamp};
use zip::{
    CompressionMethod, ZipWriter,
    result::ZipResult,
    write::{SimpleFileOptions, StreamWriter},
};

use crate::{
    limits::{CELL_CHARACTERS_MAX, SHEET_BYTES_MAX, SHEET_ROWS_MAX},
    row::{COLUMNS, Row, dimension_columns},
    sink::Sink,
};

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#;
const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";
const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const TYPES: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml";
/// Days from the first day of spreadsheets' calendar to 1970.
const DAYS_TO_1970: f64 = 25_569.0;
const MICROSECONDS_PER_DAY: f64 = 86_400_000_000.0;

/// A workbook being written.
pub(crate) struct Writer {
    archive: ZipWriter<StreamWriter<Sink>>,
    header: Vec<String>,
    sheets: usize,
    /// Of the sheet at hand.
    rows: usize,
    bytes: usize,
    line: String,
}

impl Writer {
    pub(crate) fn begin(sink: Sink, poll: &Poll) -> ZipResult<Self> {
        let own = COLUMNS.into_iter().chain(["sequence"]).map(str::to_owned);
        let mut writer = Self {
            archive: ZipWriter::new_stream(sink),
            header: own.chain(dimension_columns(poll)).collect(),
            sheets: 0,
            rows: 0,
            bytes: 0,
            line: String::new(),
        };
        writer.begin_sheet()?;
        Ok(writer)
    }

    /// Adds a vote.
    pub(crate) fn add(&mut self, row: &Row<'_>) -> ZipResult<()> {
        if self.rows == SHEET_ROWS_MAX || self.bytes >= SHEET_BYTES_MAX {
            self.end_sheet()?;
            self.begin_sheet()?;
        }
        self.line.push_str("<row>");
        add_text(&mut self.line, Some(&row.vote_id));
        add_text(&mut self.line, Some(row.poll_id));
        add_text(&mut self.line, row.option_id);
        add_text(&mut self.line, row.voter_id.as_deref());
        add_moment(&mut self.line, row.timestamp);
        add_text(&mut self.line, Some(&row.demographics));
        add_text(&mut self.line, Some(&row.ballot));
        add_number(&mut self.line, Some(row.weight));
        add_number(&mut self.line, row.sequence);
        row.answers.iter().for_each(|answer| add_text(&mut self.line, *answer));
        Ok(self.end_row()?)
    }

    /// Writes the parts that name the sheets, and the archive's directory.
    pub(crate) fn end(mut self) -> ZipResult<()> {
        self.end_sheet()?;
        let sheets = self.sheets;
        let each = |write: &dyn Fn(usize) -> String| (1..=sheets).map(write).collect::<String>();
        let list =
            each(&|number| format!(r#"<sheet name="Votes {number}" sheetId="{number}" r:id="r{number}"/>"#));
        let relations = each(&|number| {
            relation(&format!("r{number}"), "worksheet", &format!("worksheets/sheet{number}.xml"))
        });
        let parts = each(&|number| part(&format!("/xl/worksheets/sheet{number}.xml"), "worksheet"));
        let relations_of = |relations: &str| {
            format!(r#"{HEAD}<Relationships xmlns="{PACKAGE}/relationships">{relations}</Relationships>"#)
        };
        self.part(
            "xl/workbook.xml",
            &format!(
                r#"{HEAD}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{list}</sheets></workbook>"#
            ),
        )?;
        let styles = relation("styles", "styles", "styles.xml");
        self.part("xl/_rels/workbook.xml.rels", &relations_of(&(relations + &styles)))?;
        self.part("xl/styles.xml", &styles_part())?;
        self.part("_rels/.rels", &relations_of(&relation("r1", "officeDocument", "xl/workbook.xml")))?;
        let own = part("/xl/workbook.xml", "sheet.main") + &part("/xl/styles.xml", "styles");
        self.part("[Content_Types].xml", &format!(
            r#"{HEAD}<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>{own}{parts}</Types>"#
        ))?;
        self.archive.finish().map(|_| ())
    }

    fn begin_sheet(&mut self) -> ZipResult<()> {
        self.sheets += 1;
        (self.rows, self.bytes) = (0, 0);
        self.archive.start_file(format!("xl/worksheets/sheet{}.xml", self.sheets), options())?;
        write!(self.archive, r#"{HEAD}<worksheet xmlns="{MAIN}"><sheetData>"#)?;
        self.line.push_str("<row>");
        self.header.iter().for_each(|name| add_text(&mut self.line, Some(name)));
        Ok(self.end_row()?)
    }

    fn end_row(&mut self) -> io::Result<()> {
        self.line.push_str("</row>");
        self.archive.write_all(self.line.as_bytes())?;
        self.rows += 1;
        self.bytes += self.line.len();
        self.line.clear();
        Ok(())
    }

    fn end_sheet(&mut self) -> io::Result<()> {
        self.archive.write_all(b"</sheetData></worksheet>")
    }

    fn part(&mut self, name: &str, text: &str) -> ZipResult<()> {
        self.archive.start_file(name, options())?;
        Ok(self.archive.write_all(text.as_bytes())?)
    }
}

fn options() -> SimpleFileOptions {
    // A vote's time stands in its row; the archive's own would make each export of the same votes another file.
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).compression_level(Some(3))
}

fn relation(id: &str, kind: &str, target: &str) -> String {
    format!(r#"<Relationship Id="{id}" Type="{OFFICE}/{kind}" Target="{target}"/>"#)
}

fn part(name: &str, kind: &str) -> String {
    format!(r#"<Override PartName="{name}" ContentType="{TYPES}.{kind}+xml"/>"#)
}

/// Two styles: the usual one, and that of moments.
fn styles_part() -> String {
    format!(
        r#"{HEAD}<styleSheet xmlns="{MAIN}"><numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\-mm\-dd\ hh:mm:ss.000"/></numFmts><fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/><xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"#
    )
}

/// A cell with a text, or an empty one.
fn add_text(line: &mut String, text: Option<&str>) {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return line.push_str("<c/>") };
    line.push_str(r#"<c t="inlineStr"><is><t xml:space="preserve">"#);
    let text = fitting(text);
    for (at, character) in text.char_indices() {
        match character {
            '<' => line.push_str("&lt;"),
            '>' => line.push_str("&gt;"),
            '&' => line.push_str("&amp;"),
            '_' if is_escape(&text[at..]) => line.push_str("_x005F_"),
            '\t' | '\n' => line.push(character),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => {
                write!(line, "_x{:04X}_", u32::from(character)).expect("a string takes every character");
            }
            _ => line.push(character),
        }
    }
    line.push_str("</t></is></c>");
}

/// Whether a text begins like what spreadsheets read as an escape: `_x0041_` is an A.
fn is_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 7
        && bytes.starts_with(b"_x")
        && bytes[6] == b'_'
        && bytes[2..6].iter().all(u8::is_ascii_hexdigit)
}

/// A text that no cell can hold is not cut, which nobody would see.
fn fitting(text: &str) -> Cow<'_, str> {
    let characters = text.encode_utf16().count();
    if characters <= CELL_CHARACTERS_MAX {
        return text.into();
    }
    format!("({characters} characters, more than a cell holds: use another format)").into()
}

fn add_number(line: &mut String, number: Option<impl std::fmt::Display>) {
    match number {
        Some(number) => write!(line, "<c><v>{number}</v></c>").expect("a string takes every character"),
        None => line.push_str("<c/>"),
    }
}

/// A moment in UTC: spreadsheets know no zones.
fn add_moment(line: &mut String, moment: Timestamp) {
    #[expect(clippy::cast_precision_loss, reason = "a double holds the milliseconds that the cell shows")]
    let days = moment.microseconds() as f64 / MICROSECONDS_PER_DAY + DAYS_TO_1970;
    write!(line, r#"<c s="1"><v>{days}</v></c>"#).expect("a string takes every character");
}
