//! The function `tally`: folds what the stream of votes tells into the counters.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use canvass_dynamodb::{StreamItem, StreamTally};
use canvass_server::{Edge as _, SystemEdge};
use lambda_runtime::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::{
    environment::Environment,
    functions::TABLE_PREFIX,
    metrics::{self, BATCH_AGE, POISON_RECORDS, RECORDS_FOLDED, Sample, count},
    run::options,
};

/// The counters, as they were written last.
pub(crate) struct Tally {
    counters: Mutex<StreamTally>,
    stack: String,
    edge: SystemEdge,
}

/// An event of a stream with a tumbling window, which names the shard. Nothing in it is taken for granted: a record that
/// is not as it should be must not keep the others from being counted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "Records", default)]
    records: Vec<Record>,
    shard_id: Option<String>,
    #[serde(default)]
    state: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    event_name: Option<String>,
    #[serde(rename = "eventSourceARN")]
    stream: Option<String>,
    #[serde(default)]
    dynamodb: Change,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    sequence_number: Option<String>,
    #[serde(default)]
    new_image: BTreeMap<String, Value>,
    #[serde(default)]
    approximate_creation_date_time: Value,
}

/// What Lambda is told: the window's state as it came, and the records to deliver again.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    state: Value,
    batch_item_failures: Vec<ItemFailure>,
}

/// A record that was not counted. An empty name is all of the batch.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemFailure {
    item_identifier: String,
}

impl Tally {
    /// Reaches the tables.
    pub(crate) async fn start(environment: &Environment) -> Self {
        let clock = SystemEdge::default();
        let tally = StreamTally::open(options(environment), Arc::new(move || clock.now())).await;
        let stack = environment.needed(&TABLE_PREFIX).to_owned();
        Self { counters: Mutex::new(tally), stack, edge: SystemEdge::default() }
    }

    /// Folds a batch.
    ///
    /// # Errors
    /// It names no shard, or DynamoDB cannot be read or written: all of it is to be delivered again.
    pub(crate) async fn fold(&self, event: Value) -> Result<Answer, Error> {
        let event: Event = serde_json::from_value(event)?;
        let items: Vec<_> = event.records.iter().map(Record::item).collect();
        let Some(stream) = event.records.iter().find_map(|record| record.stream.as_deref()) else {
            return Ok(Answer::of(event.state, Vec::new()));
        };
        let shard = event.shard_id.as_deref();
        let shard = shard.ok_or("the event names no shard: turn on a tumbling window for this function")?;
        let folded = self.counters.lock().await.fold(stream, shard, &items).await?;
        let unreadable = folded.unreadable.len();
        if unreadable > 0 {
            tracing::error!(
                shard,
                places = ?folded.unreadable,
                "records of the stream cannot be read and are not counted; recount the polls"
            );
        }
        let mut samples = vec![Sample::plain(&RECORDS_FOLDED, count(folded.records as u64))];
        samples.extend((unreadable > 0).then(|| Sample::plain(&POISON_RECORDS, count(unreadable as u64))));
        samples.extend(self.age(&event.records).map(|age| Sample::plain(&BATCH_AGE, age)));
        metrics::tell(&self.stack, self.edge.now(), samples);
        Ok(Answer::of(event.state, folded.unreadable))
    }

    /// Seconds since the oldest record was written.
    fn age(&self, records: &[Record]) -> Option<f64> {
        let times =
            records.iter().filter_map(|record| record.dynamodb.approximate_creation_date_time.as_f64());
        let oldest = times.min_by(f64::total_cmp)?;
        Some((count(self.edge.now().seconds().unsigned_abs()) - oldest).max(0.0))
    }
}

impl Answer {
    fn of(state: Value, unreadable: Vec<String>) -> Self {
        let state = if state.is_object() { state } else { Value::Object(serde_json::Map::new()) };
        let failures = unreadable.into_iter().map(|item_identifier| ItemFailure { item_identifier });
        Self { state, batch_item_failures: failures.collect() }
    }
}

impl Record {
    fn item(&self) -> StreamItem {
        let image = &self.dynamodb.new_image;
        StreamItem {
            place: self.dynamodb.sequence_number.clone().unwrap_or_default(),
            is_new: self.event_name.as_deref() == Some("INSERT") && !image.contains_key("m"),
            partition: image.get("pk").and_then(|value| value["S"].as_str()).map(str::to_owned),
            body: image.get("b").and_then(bytes),
            personal: image.get("p").and_then(bytes),
        }
    }
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(value["B"].as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(record: &str, expected: &str) {
        let record: Record = serde_json::from_str(record).unwrap();
        assert_eq!(format!("{:?}", record.item()), format!("StreamItem {{ {expected} }}"));
    }

    #[test]
    fn records_are_read_as_the_stream_tells_them() {
        check(
            r#"{"eventID":"1","eventName":"INSERT","eventSourceARN":"arn:aws:dynamodb:…","dynamodb":{"ApproximateCreationDateTime":1796126400.0,"Keys":{"pk":{"S":"lunch#1#3"}},
                "NewImage":{"pk":{"S":"lunch#1#3"},"sk":{"S":"u1"},"e":{"N":"2"},"b":{"B":"AQI="},"p":{"B":"Aw=="}},"SequenceNumber":"000000001","SizeBytes":1}}"#,
            r#"place: "000000001", is_new: true, partition: Some("lunch#1#3"), body: Some([1, 2]), personal: Some([3])"#,
        );
        check(
            r#"{"eventName":"INSERT","dynamodb":{"NewImage":{"pk":{"S":"lunch#1#3"},"b":{"B":"AQI="},"m":{"BOOL":true}},"SequenceNumber":"1"}}"#,
            r#"place: "1", is_new: false, partition: Some("lunch#1#3"), body: Some([1, 2]), personal: None"#,
        );
        check(
            r#"{"eventName":"REMOVE","dynamodb":{"SequenceNumber":"2","OldImage":{}}}"#,
            r#"place: "2", is_new: false, partition: None, body: None, personal: None"#,
        );
        check(
            r#"{"eventName":"INSERT","dynamodb":{"SequenceNumber":"3","NewImage":{"pk":{"N":"1"},"b":{"B":"no base64"},"p":7}}}"#,
            r#"place: "3", is_new: true, partition: None, body: None, personal: None"#,
        );
    }
}
