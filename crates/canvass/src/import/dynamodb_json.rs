//! Votes of the two documents' stacks, as DynamoDB writes their tables: an export to S3, or what a scan prints.
//!
//! Document A keeps a vote under its voter and poll: `userId`, `pollId`, `choice`, `timestamp`. Document B keeps it
//! under an id that is another each time, so that a voter may be there several times in one poll: `voteId`, `pollId`,
//! `optionId`, `voterId`, `timestamp`, `demographics`. Of those the first vote is kept, whatever the files' order.
//!
//! All is read before anything is sent, so that a file that is damaged or missing leaves nothing half done. It takes
//! about 200 bytes of memory a vote.

mod files;

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    net::IpAddr,
    path::Path,
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Line, Place, Source, Unusable, Vote, raw};
use crate::failure::Failure;

/// What the tables of a document's stack hold.
#[derive(Default)]
pub(crate) struct Stack {
    polls: BTreeMap<String, Votes>,
    /// Items that are no votes, such as counts, polls and idempotency keys.
    pub(crate) other_items: u64,
    /// Values of demographics that are no text, number or truth value.
    pub(crate) values_left_out: u64,
    items: u64,
}

/// The votes of one poll.
#[derive(Default)]
pub(crate) struct Votes {
    by_voter: HashMap<String, Found>,
}

/// A vote as an item has it.
struct Found {
    choice: String,
    demographics: BTreeMap<String, String>,
    /// Seconds since 1970; none in document A, where no voter is there twice.
    cast_at: f64,
    /// What tells apart votes of the same moment.
    id: String,
    item: u64,
    /// What the voter's other votes chose.
    others: Vec<String>,
}

/// An attribute as DynamoDB writes it: by the name of its type. Types that no vote needs are left unread.
#[derive(Deserialize)]
struct Attribute {
    #[serde(rename = "S", alias = "N")]
    text: Option<String>,
    #[serde(rename = "BOOL")]
    truth: Option<bool>,
    #[serde(rename = "NULL")]
    nothing: Option<bool>,
    #[serde(rename = "M")]
    map: Option<BTreeMap<String, Attribute>>,
}

type Item = BTreeMap<String, Attribute>;

impl Stack {
    /// Reads an export's folder or file, or a scan's output. `only` is the one poll that is wanted.
    pub(crate) fn read(path: &Path, only: Option<&str>) -> Result<Self, Failure> {
        let mut stack = Self::default();
        files::read(path, &mut |item| stack.take(item, only))?;
        Ok(stack)
    }

    /// The polls that there are votes in.
    pub(crate) fn polls(self) -> BTreeMap<String, Votes> {
        self.polls
    }

    fn take(&mut self, mut item: Item, only: Option<&str>) {
        self.items += 1;
        let mut text = |name: &str| item.remove(name)?.text;
        let voter = text("userId").or_else(|| text("voterId"));
        let choice = text("choice").or_else(|| text("optionId"));
        let (poll, id, cast_at) = (text("pollId"), text("voteId"), text("timestamp"));
        let (Some(voter), Some(choice), Some(poll)) = (voter, choice, poll) else {
            self.other_items += 1;
            return;
        };
        if only.is_some_and(|only| only != poll) {
            return;
        }
        let demographics = item.remove("demographics").and_then(|demographics| demographics.map);
        let demographics = self.demographics(demographics.unwrap_or_default());
        // Document A writes moments as texts, and has each voter once.
        let cast_at = cast_at.and_then(|moment| moment.parse().ok()).unwrap_or(f64::INFINITY);
        let id = id.unwrap_or_default();
        let found = Found { choice, demographics, cast_at, id, item: self.items, others: Vec::new() };
        self.polls.entry(poll).or_default().take(voter, found);
    }

    fn demographics(&mut self, values: BTreeMap<String, Attribute>) -> BTreeMap<String, String> {
        let mut told = BTreeMap::new();
        for (dimension, Attribute { text, truth, nothing, .. }) in values {
            match text.or_else(|| Some(truth?.to_string())) {
                Some(text) if !text.is_empty() => {
                    told.insert(dimension, text);
                }
                None if nothing.is_none() => self.values_left_out += 1,
                // Nothing was told.
                _ => {}
            }
        }
        told
    }
}

impl Votes {
    fn take(&mut self, voter: String, found: Found) {
        match self.by_voter.entry(voter) {
            Entry::Vacant(place) => {
                place.insert(found);
            }
            Entry::Occupied(mut kept) => {
                let kept = kept.get_mut();
                let mut later = found;
                if (later.cast_at, &later.id) < (kept.cast_at, &kept.id) {
                    std::mem::swap(kept, &mut later);
                    kept.others = std::mem::take(&mut later.others);
                }
                kept.others.push(later.choice);
            }
        }
    }

    /// Later votes of voters who had one already.
    pub(crate) fn repeated(&self) -> u64 {
        self.by_voter.values().map(|found| found.others.len() as u64).sum()
    }

    /// How many of those chose another option than the vote that is kept.
    pub(crate) fn contradicting(&self) -> u64 {
        let others =
            self.by_voter.values().flat_map(|kept| kept.others.iter().filter(|other| **other != kept.choice));
        others.count() as u64
    }

    /// Voters who are addresses: document B takes the caller's where no voter is named, so whoever shared one is one.
    pub(crate) fn addresses(&self) -> u64 {
        self.by_voter.keys().filter(|voter| voter.parse::<IpAddr>().is_ok()).count() as u64
    }

    /// The dimensions of demographics that the votes have, each with how many have it.
    pub(crate) fn dimensions(&self) -> BTreeMap<&str, u64> {
        let mut dimensions = BTreeMap::new();
        for found in self.by_voter.values() {
            for dimension in found.demographics.keys() {
                *dimensions.entry(dimension.as_str()).or_default() += 1;
            }
        }
        dimensions
    }

    /// Takes a dimension out of all votes.
    pub(crate) fn leave_out(&mut self, dimension: &str) {
        for found in self.by_voter.values_mut() {
            found.demographics.remove(dimension);
        }
    }

    /// The request that creates a poll for these votes: an option for each choice, a dimension for all that was told.
    pub(crate) fn creation(&self, poll: &str) -> Value {
        let mut choices: Vec<_> = self.by_voter.values().map(|found| found.choice.as_str()).collect();
        choices.sort_unstable();
        choices.dedup();
        let ids = crate::option_ids::option_ids(&choices);
        let option = |(choice, slug): (&&str, String)| {
            let is_id = choice.parse::<canvass_domain::OptionId>().is_ok();
            json!({"id": if is_id { *choice } else { slug.as_str() }, "label": choice})
        };
        let options: Vec<_> = choices.iter().zip(ids).map(option).collect();
        let dimensions: BTreeMap<_, _> =
            self.dimensions().into_keys().map(|name| (name, Value::Null)).collect();
        json!({"id": poll, "title": poll, "options": options, "demographics": dimensions, "status": "open"})
    }

    /// The votes in the order in which they were cast, for a poll as the server has it.
    pub(crate) fn open(self, poll: &Value) -> Source {
        let options = options(poll);
        let mut votes: Vec<_> = self.by_voter.into_iter().collect();
        votes.sort_by(|(_, one), (_, other)| {
            one.cast_at.total_cmp(&other.cast_at).then(one.item.cmp(&other.item))
        });
        let length = votes.len() as u64;
        let line = move |(reached, (voter, found)): (u64, (String, Found))| -> Result<Line, Unusable> {
            let place = Place::Item(found.item);
            let option = options.get(&found.choice).map_or(found.choice.as_str(), String::as_str);
            let demographics = (!found.demographics.is_empty()).then(|| raw(&json!(found.demographics)));
            let ballot = raw(&json!({"choice": option}));
            let vote = Vote { voter, ballot, demographics, weight: None, idempotency_key: None };
            Ok(vote.into_line(place, reached))
        };
        Source { lines: Box::new((1..).zip(votes).map(line)), length }
    }
}

/// Options by what the documents call them: an id, or a label where the text could be no id.
fn options(poll: &Value) -> HashMap<String, String> {
    let text = |option: &Value, name: &str| option[name].as_str().unwrap_or_default().to_owned();
    let options = poll["options"].as_array().into_iter().flatten();
    let mut known: HashMap<_, _> =
        options.clone().map(|option| (text(option, "label"), text(option, "id"))).collect();
    known.extend(options.map(|option| (text(option, "id"), text(option, "id"))));
    known
}
