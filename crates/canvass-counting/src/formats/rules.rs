//! What an election says of how it is counted, in the words of election files, and what that means here.
//!
//! The program's options are put in as the same words, so that there is one interpretation of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Place, interpret::Reader};
use crate::{Method, OptionIndex, TieBreak};

/// The methods as election files and polls name them; underscores, hyphens and capitals make no difference.
pub const METHOD_NAMES: [&str; 14] = [
    "plurality",
    "approval",
    "score",
    "star",
    "irv",
    "stv_scottish",
    "stv_meek",
    "stv_wigm",
    "schulze",
    "ranked_pairs",
    "minimax",
    "borda",
    "dot",
    "quadratic",
];

/// Rules by name, as a file or a command line gives them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) value: Value,
    /// Where the file has it; none where it was given otherwise.
    pub(super) place: Option<Place>,
}

/// A method with all its options, ready to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instructions {
    /// The method.
    pub method: Method,
    /// What breaks the ties that it leaves open.
    pub tie_break: TieBreak,
    /// At most so many ranks of a ballot are read.
    pub rankings_max: Option<usize>,
    /// What the file says in words that no program can obey, for people to look at.
    pub notes: Vec<String>,
}

/// A rule that cannot be obeyed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", place.map(|place| format!("{place}: ")).unwrap_or_default())]
pub struct RuleError {
    /// Where the file has it; none where it was given otherwise.
    pub place: Option<Place>,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl Rules {
    /// Sets a rule, in place of what the file says.
    pub fn set(&mut self, name: &str, value: Value) {
        self.entries.insert(name.to_owned(), Entry { value, place: None });
    }

    pub(super) fn read(&mut self, name: &str, value: Value, place: Place) {
        self.entries.insert(name.to_owned(), Entry { value, place: Some(place) });
    }

    /// A rule as it was given.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.entries.get(name).map(|entry| &entry.value)
    }

    /// A rule and where it stands.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// All rules and where they stand.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The rules by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), &entry.value))
    }

    /// Only what says nothing about the method: for a count by another method than the file's own.
    #[must_use]
    pub fn for_another_method(&self) -> Self {
        let kept = |name: &str| matches!(name, "min_score" | "max_score");
        let entries = self.entries.iter().filter(|(name, _)| kept(name));
        Self { entries: entries.map(|(name, entry)| (name.clone(), entry.clone())).collect() }
    }

    /// Calls the options in rules by their names, which stay when withdrawn options are left out.
    pub(super) fn name_options(&mut self, names: &[String], withdrawn: &[OptionIndex]) {
        let named = |value: &mut Value| {
            let index = value.as_u64().and_then(|index| OptionIndex::try_from(index).ok());
            if let Some((index, name)) = index.and_then(|index| Some((index, names.get(usize::from(index))?)))
            {
                *value = if withdrawn.contains(&index) { Value::Null } else { Value::from(name.as_str()) };
            }
        };
        if let Some(entry) = self.entries.get_mut("undeclared_write_ins") {
            named(&mut entry.value);
        }
        if let Some(Entry { value: Value::Array(order), .. }) = self.entries.get_mut("tie_break_order") {
            order.iter_mut().for_each(named);
            order.retain(|value| !value.is_null());
        }
    }

    /// What the rules mean for a method, by its name; `title` is the seed of lots where no other is given.
    ///
    /// # Errors
    /// An unknown method, a value that the method does not offer, or a rule that is not known and is more than words.
    pub fn interpret(
        &self,
        method: &str,
        options: &[String],
        title: Option<&str>,
    ) -> Result<Instructions, RuleError> {
        Reader::new(self, options).read(method, title)
    }
}
