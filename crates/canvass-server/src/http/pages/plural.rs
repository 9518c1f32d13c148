//! Texts with places to be filled in, and texts that depend on a number.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::escaped;
use crate::http::speech::Language;

/// A text with places such as `{time}`. It cannot be shown before they are filled in.
#[derive(Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Pattern(String);

impl Pattern {
    /// The text with what is named put in. It is escaped where a page shows it.
    pub(crate) fn fill(&self, values: &[(&str, &str)]) -> String {
        let mut text = String::new();
        for part in self.parts() {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Place(name) => text.push_str(value(name, values)),
            }
        }
        text
    }

    /// The same as HTML: `values` are HTML already, and put in as they are.
    pub(crate) fn fill_html(&self, values: &[(&str, &str)]) -> String {
        let mut html = String::new();
        for part in self.parts() {
            match part {
                Part::Text(part) => html.push_str(&escaped(part)),
                Part::Place(name) => html.push_str(value(name, values)),
            }
        }
        html
    }

    /// The text and its places, in turn. What is put in is not looked at again.
    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let mut is_place = true;
        self.0.split(['{', '}']).map(move |part| {
            is_place = !is_place;
            if is_place { Part::Place(part) } else { Part::Text(part) }
        })
    }
}

enum Part<'a> {
    Text(&'a str),
    Place(&'a str),
}

fn value<'a>(name: &str, values: &[(&str, &'a str)]) -> &'a str {
    let known = values.iter().find(|(known, _)| *known == name);
    debug_assert!(known.is_some(), "the program has nothing to put in for {name}");
    known.map_or("", |(_, value)| value)
}

/// A text in a form for each plural category that its language has (CLDR).
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plural {
    #[serde(skip_serializing_if = "Option::is_none")]
    zero: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    one: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    two: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    few: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    many: Option<Pattern>,
    other: Pattern,
}

impl Plural {
    /// The form for a number.
    pub(crate) fn of(&self, language: Language, number: u64) -> &Pattern {
        let form = match category(language, number) {
            Category::Zero => &self.zero,
            Category::One => &self.one,
            Category::Two => &self.two,
            Category::Few => &self.few,
            Category::Many => &self.many,
            Category::Other => &None,
        };
        form.as_ref().unwrap_or(&self.other)
    }
}

/// A plural category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Category {
    Zero,
    One,
    Two,
    Few,
    Many,
    Other,
}

/// The category of a whole number: Unicode CLDR 47, `supplemental/plurals.xml`, cardinal.
fn category(language: Language, number: u64) -> Category {
    match (language, number, number % 100) {
        (Language::Arabic, 0, _) => Category::Zero,
        (_, 1, _) => Category::One,
        (Language::Arabic, 2, _) => Category::Two,
        (Language::Arabic, _, 3..=10) => Category::Few,
        (Language::Arabic, _, 11..=99) => Category::Many,
        _ => Category::Other,
    }
}

/// How a language writes numbers. Digits are 0 to 9 in each.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Numbers {
    decimal: String,
    thousands: String,
    percent: Pattern,
}

impl Numbers {
    /// A whole number with its thousands apart.
    pub(crate) fn whole(&self, number: u64) -> String {
        self.grouped(&number.to_string())
    }

    /// A decimal string, such as `1234.5`, to two places at most.
    pub(crate) fn decimal(&self, text: &str) -> String {
        let Ok(number) = text.parse::<f64>() else { return text.to_owned() };
        let rounded = format!("{:.2}", number.abs());
        let (whole, places) = rounded.split_once('.').unwrap_or((&rounded, ""));
        let places = places.trim_end_matches('0');
        let mut shown = if number < 0.0 && rounded != "0.00" { "-".to_owned() } else { String::new() };
        shown.push_str(&self.grouped(whole));
        if !places.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(shown, "{}{places}", self.decimal);
        }
        shown
    }

    /// A share from 0 to 1 in percent, to one place.
    pub(crate) fn percent(&self, share: f64) -> String {
        let number = format!("{:.1}", share * 100.0).replace('.', &self.decimal);
        self.percent.fill(&[("number", &number)])
    }

    fn grouped(&self, digits: &str) -> String {
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push_str(&self.thousands);
            }
            text.push(digit);
        }
        text
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The names of the forms that a text needs in a language.
    pub(crate) fn forms(language: Language) -> BTreeSet<String> {
        (0..=200)
            .map(|number| format!("{:?}", category(language, number)).to_lowercase())
            .chain(["other".into()])
            .collect()
    }

    fn check(language: Language, numbers: &[u64], expected: Category) {
        for number in numbers {
            assert_eq!(category(language, *number), expected, "{number} in {language:?}");
        }
    }

    /// The examples that CLDR gives beside its rules.
    #[test]
    fn numbers_have_the_categories_that_cldr_lists() {
        for language in [Language::English, Language::German] {
            check(language, &[1], Category::One);
            check(language, &[0, 2, 16, 100, 101, 1_000, 1_000_000], Category::Other);
        }
        check(Language::Arabic, &[0], Category::Zero);
        check(Language::Arabic, &[1], Category::One);
        check(Language::Arabic, &[2], Category::Two);
        check(Language::Arabic, &[3, 10, 103, 110, 1_003], Category::Few);
        check(Language::Arabic, &[11, 26, 111, 1_011], Category::Many);
        check(Language::Arabic, &[100, 102, 200, 202, 1_000, 1_000_000], Category::Other);
    }

    #[test]
    fn what_is_filled_in_is_not_read_again() {
        let pattern = Pattern("<{a}> & {b}".to_owned());
        assert_eq!(pattern.fill(&[("b", "{a}"), ("a", "1")]), "<1> & {a}");
        assert_eq!(pattern.fill_html(&[("a", "<b>1</b>"), ("b", "2")]), "&lt;<b>1</b>&gt; &amp; 2");
    }

    #[test]
    fn numbers_are_written_as_the_language_does() {
        let german =
            Numbers { decimal: ",".into(), thousands: ".".into(), percent: Pattern("{number} %".into()) };
        assert_eq!(german.whole(1_234_567), "1.234.567");
        assert_eq!(german.whole(999), "999");
        assert_eq!(german.decimal("-1234.507"), "-1.234,51");
        assert_eq!(german.decimal("-0.001"), "0");
        assert_eq!(german.decimal("2.50"), "2,5");
        assert_eq!(german.percent(0.1234), "12,3 %");
    }
}
