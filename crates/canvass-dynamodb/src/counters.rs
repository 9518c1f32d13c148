//! The counter items: how they are read and written.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, Put};
use canvass_domain::{
    Timestamp,
    tally::parts::{Figures, PartId},
};
use canvass_store::StoreError;

use crate::{
    client::Item,
    folding::Counters,
    items::{PollKey, blob, damaged, key, number, whole},
    tables::{PARTITION, SORT},
};

/// What stands before a shard's name.
const CHECKPOINT: &str = "ck#";
/// What says that a part keeps no figures any more.
const ERASED: &str = "erased";

/// What a part's item is sorted under.
pub(crate) fn part_sort(id: PartId) -> String {
    match id {
        PartId::Counts => "counts".to_owned(),
        PartId::Dimensions => "dimensions".to_owned(),
        PartId::Hour(hour) => format!("h#{hour:010}"),
    }
}

/// Between these lie all parts but the counts.
pub(crate) const PARTS_BETWEEN: [&str; 2] = ["dimensions", "h#~"];

/// The part that is sorted under this.
pub(crate) fn part_of(sort: &str) -> Option<PartId> {
    match sort.split_once('#') {
        None if sort == "counts" => Some(PartId::Counts),
        None if sort == "dimensions" => Some(PartId::Dimensions),
        Some(("h", hour)) => hour.parse().ok().map(PartId::Hour),
        _ => None,
    }
}

/// What an item of the ballot log is sorted under: how many records the counts held before it.
pub(crate) fn log_sort(records_before: u64) -> String {
    format!("log#{records_before:016}")
}

impl Counters {
    pub(crate) fn encode(&self, poll: &PollKey, id: PartId) -> Item {
        let mut item = key(poll.to_string(), part_sort(id));
        item.insert("n".to_owned(), number(self.records));
        if id == PartId::Counts {
            item.insert("e".to_owned(), number(self.events));
            item.insert("at".to_owned(), number(self.updated_at.microseconds()));
            item.insert("ballots".to_owned(), AttributeValue::Bool(self.logs_ballots));
        }
        if self.is_erased {
            item.insert(ERASED.to_owned(), AttributeValue::Bool(true));
        }
        let figures = self.figures.iter().map(|(name, figure)| (name.clone(), number(figure)));
        let checkpoints = self.checkpoints.iter();
        let checkpoints =
            checkpoints.map(|(shard, at)| (format!("{CHECKPOINT}{shard}"), AttributeValue::S(at.clone())));
        item.extend(figures.chain(checkpoints));
        item
    }

    pub(crate) fn decode(item: &Item) -> Result<Self, StoreError> {
        let mut counters = Self { records: whole(item, "n")?, ..Self::default() };
        for (name, value) in item {
            match (name.as_str(), name.strip_prefix(CHECKPOINT), value) {
                (PARTITION | SORT | "n", ..) => {}
                (ERASED, ..) => counters.is_erased = true,
                ("e", ..) => counters.events = whole(item, "e")?,
                ("at", ..) => counters.updated_at = Timestamp::from_microseconds(whole(item, "at")?),
                ("ballots", ..) => counters.logs_ballots = value.as_bool().is_ok_and(|logs| *logs),
                (_, Some(shard), AttributeValue::S(at)) => {
                    counters.checkpoints.insert(shard.to_owned(), at.clone());
                }
                (_, None, AttributeValue::N(figure)) => {
                    let figure = figure.parse().map_err(|_| damaged(item, name))?;
                    counters.figures.insert(name.clone(), figure);
                }
                _ => return Err(damaged(item, name)),
            }
        }
        Ok(counters)
    }

    /// Writes these where the item still is as it was before.
    pub(crate) fn put(&self, table: &str, poll: &PollKey, id: PartId, before: Option<u64>) -> Put {
        let put = Put::builder().table_name(table).set_item(Some(self.encode(poll, id)));
        let put = match before {
            Some(records) => put
                .condition_expression("n = :before")
                .expression_attribute_values(":before", number(records)),
            None => put.condition_expression("attribute_not_exists(pk)"),
        };
        put.build().expect("a table and an item are given")
    }
}

/// Adds a batch's ballots to the log. A batch is written once: it stands under the counts that it came to.
pub(crate) fn put_log(table: &str, poll: &PollKey, records_before: u64, ballots: Vec<u8>) -> Put {
    let mut item = key(poll.to_string(), log_sort(records_before));
    item.insert("b".to_owned(), blob(ballots));
    let put = Put::builder().table_name(table).set_item(Some(item));
    put.condition_expression("attribute_not_exists(pk)").build().expect("a table and an item are given")
}

/// Parts by their ids.
pub(crate) type Parts = BTreeMap<PartId, Figures>;
