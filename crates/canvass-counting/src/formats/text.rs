//! Texts as they come: with a byte order mark or without, in UTF-8 or in an old code page, in lines of any kind.

use std::borrow::Cow;

use super::{FormatError, Place};

/// The text of a file. What is not UTF-8 is read as Windows-1252, which holds Latin-1 but for controls.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, FormatError> {
    let start = Place { line: 1, column: 1 };
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(FormatError::new(start, "the file is UTF-16; save it as UTF-8"));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    Ok(match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|byte| windows_1252(*byte)).collect()),
    })
}

/// The characters from 0x80 to 0x9F; the five that the code page leaves out are controls, as in Latin-1.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

fn windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9F => WINDOWS_1252[usize::from(byte - 0x80)],
        other => char::from(other),
    }
}

/// One line of a text, without its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: usize,
    /// The line as it stands in the text.
    pub(super) text: &'a str,
}

impl<'a> Line<'a> {
    /// The place of a part of this line.
    pub(super) fn place(&self, part: &str) -> Place {
        let bytes = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let before = self.text.get(..bytes).unwrap_or(self.text);
        Place { line: self.number, column: before.chars().count() + 1 }
    }

    /// An error at a part of this line.
    pub(super) fn error(&self, part: &str, message: impl Into<String>) -> FormatError {
        FormatError::new(self.place(part), message)
    }

    /// A part of this line without the white space around it.
    pub(super) fn trimmed(&self) -> &'a str {
        self.text.trim()
    }
}

/// The lines of a text that hold anything, ended by LF, CRLF or CR alone.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> + Clone {
    // A CR alone ends lines only where the text has no LF at all: files of old Macintoshes.
    let end = if text.contains('\n') { '\n' } else { '\r' };
    let all = text.split(end).zip(1..).map(|(text, number)| Line { number, text });
    all.filter(|line| !line.trimmed().is_empty())
}

/// Where the text ends: where something that should come is missing.
pub(super) fn end_of(text: &str) -> Place {
    Place::of(text, text.trim_end().len())
}

/// A part of a text for an error: short, and in quotation marks.
pub(super) fn shown(part: &str) -> String {
    const CHARACTERS_MAX: usize = 40;
    let short: String = part.chars().take(CHARACTERS_MAX).collect();
    let more = if short.len() < part.len() { "…" } else { "" };
    format!("{short:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        assert_eq!(decode(bytes).unwrap(), expected);
    }

    #[test]
    fn texts_are_read_whatever_wrote_them() {
        check(b"\xEF\xBB\xBFJosep", "Josep");
        check("José".as_bytes(), "José");
        check(b"Jos\xE9 \x80 \x93x\x94", "José € “x”");
        assert!(decode(b"\xFF\xFE4\0").is_err());
    }

    #[test]
    fn lines_end_in_three_ways() {
        let numbers = |text| lines(text).map(|line| (line.number, line.trimmed())).collect::<Vec<_>>();
        assert_eq!(numbers("a\r\n\r\nb"), [(1, "a"), (3, "b")]);
        assert_eq!(numbers("a\n\nb\n"), [(1, "a"), (3, "b")]);
        assert_eq!(numbers("a\r\rb"), [(1, "a"), (3, "b")]);
    }
}
