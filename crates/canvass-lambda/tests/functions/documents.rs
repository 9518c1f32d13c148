//! The aggregator of the seed documents, as a control: it adds what each batch holds to a counter for each choice, and
//! keeps nothing of what it has added.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use canvass_dynamodb::Options;
use serde_json::Value;

use crate::{exactness::Came, scene::choice, stream::client};

/// An item of counters, one for each choice.
pub(crate) struct Aggregator {
    client: Client,
    table: String,
    name: &'static str,
}

impl Aggregator {
    pub(crate) async fn new(options: &Options, name: &'static str) -> Self {
        let endpoint = options.endpoint.clone().expect("DynamoDB Local");
        let client = Client::new(&client(&endpoint).await);
        Self { client, table: format!("{}-tally", options.table_prefix), name }
    }

    /// Adds a batch; where it is killed, the first of its counters only. Changes, which it counts twice anyhow, are kept
    /// from it.
    pub(crate) async fn fold(&self, records: &[Value], came: Came) {
        let mut added: BTreeMap<&str, u64> = BTreeMap::new();
        for voter in records.iter().filter_map(first_vote) {
            *added.entry(choice(voter)).or_default() += 1;
        }
        let counters = match came {
            Came::Answered | Came::AnswerLost => added.len(),
            Came::Killed => 1,
            Came::Failed => 0,
        };
        for (choice, votes) in added.into_iter().take(counters) {
            let update = self.client.update_item().table_name(&self.table);
            let update = self.key().into_iter().fold(update, |update, (name, value)| update.key(name, value));
            let update = update.update_expression("ADD #choice :delta");
            let update = update.expression_attribute_names("#choice", choice);
            let votes = AttributeValue::N(votes.to_string());
            update.expression_attribute_values(":delta", votes).send().await.expect("it is added");
        }
    }

    /// Votes in all counters.
    pub(crate) async fn total(&self) -> u64 {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(self.key().into()));
        let item = request.send().await.expect("an answer").item.expect("counters");
        item.values().filter_map(|value| value.as_n().ok()?.parse::<u64>().ok()).sum()
    }

    fn key(&self) -> [(String, AttributeValue); 2] {
        [("pk", "documents"), ("sk", self.name)]
            .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())))
    }
}

/// The voter's number, if it is the voter's first record.
fn first_vote(record: &Value) -> Option<usize> {
    let sort = record["dynamodb"]["NewImage"]["sk"]["S"].as_str()?;
    let (voter, revision) = sort.strip_prefix('v')?.split_once('\u{1}')?;
    (revision.parse() == Ok(0_u32)).then(|| voter.parse().ok())?
}
