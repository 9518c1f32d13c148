//! The stream of votes of DynamoDB Local, as the events in which Lambda hands it to the function `tally`.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_dynamodbstreams::{
    Client,
    primitives::DateTime,
    types::{AttributeValue, OperationType, Record, ShardIteratorType},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

/// A reader of one table's stream, from its beginning.
pub(crate) struct Stream {
    client: Client,
    resource_name: String,
    shards: BTreeMap<String, Place>,
}

/// How far a shard was read.
#[derive(Default)]
struct Place {
    iterator: Option<String>,
    /// The last record that was read.
    last: Option<String>,
}

impl Stream {
    pub(crate) async fn open(endpoint: &str, table: &str) -> Self {
        let client = Client::new(&client(endpoint).await);
        let streams = client.list_streams().table_name(table).send().await.expect("streams");
        let resource_name = streams.streams()[0].stream_arn().expect("a name").to_owned();
        Self { client, resource_name, shards: BTreeMap::new() }
    }

    /// What is new, each shard's in order.
    pub(crate) async fn read(&mut self) -> Vec<(String, Vec<Value>)> {
        self.look_for_shards().await;
        let mut read = Vec::new();
        for (shard, place) in &mut self.shards {
            let mut records = Vec::new();
            while let Some(at) = place.iterator.take() {
                let Ok(page) = self.client.get_records().shard_iterator(at).send().await else {
                    // DynamoDB Local forgets iterators now and then; the place is looked for anew.
                    place.iterator = iterator(&self.client, &self.resource_name, shard, place).await;
                    break;
                };
                place.iterator.clone_from(&page.next_shard_iterator);
                let found = page.records();
                records.extend(found.iter().map(|record| told(record, &self.resource_name)));
                let last = found.last().and_then(|record| record.dynamodb()?.sequence_number());
                place.last = last.map(str::to_owned).or(place.last.take());
                if found.is_empty() {
                    break;
                }
            }
            if !records.is_empty() {
                read.push((shard.clone(), records));
            }
        }
        read
    }

    async fn look_for_shards(&mut self) {
        let described = self.client.describe_stream().stream_arn(&self.resource_name).send().await;
        let described = described.expect("a stream").stream_description.expect("a description");
        for shard in described.shards() {
            let shard = shard.shard_id().expect("a shard's name");
            if self.shards.contains_key(shard) {
                continue;
            }
            let iterator = iterator(&self.client, &self.resource_name, shard, &Place::default()).await;
            self.shards.insert(shard.to_owned(), Place { iterator, last: None });
        }
    }
}

/// Behind the last record that was read; else at the shard's beginning.
async fn iterator(client: &Client, stream: &str, shard: &str, place: &Place) -> Option<String> {
    let request = client.get_shard_iterator().stream_arn(stream).shard_id(shard);
    let request = match &place.last {
        Some(last) => {
            request.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).sequence_number(last)
        }
        None => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
    };
    request.send().await.expect("an iterator").shard_iterator
}

/// How DynamoDB Local is asked.
pub(crate) async fn client(endpoint: &str) -> aws_config::SdkConfig {
    let anyone = aws_sdk_dynamodbstreams::config::Credentials::new("canvass", "canvass", None, None, "test");
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
            aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https();
    aws_config::defaults(aws_config::BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(endpoint)
        .region("local")
        .credentials_provider(anyone)
        .load()
        .await
}

/// An event with some of a shard's records, in a tumbling window.
pub(crate) fn event(shard: &str, records: &[Value]) -> Value {
    json!({
        "window": {"start": "2026-12-01T12:00:00Z", "end": "2026-12-01T12:00:01Z"},
        "state": {"kept": "as it came"},
        "shardId": shard,
        "isFinalInvokeForWindow": false,
        "isWindowTerminatedEarly": false,
        "Records": records,
    })
}

fn told(record: &Record, resource_name: &str) -> Value {
    let change = record.dynamodb().expect("a change");
    let written = change.approximate_creation_date_time().map(DateTime::as_secs_f64);
    let mut told = json!({
        "ApproximateCreationDateTime": written,
        "SequenceNumber": change.sequence_number(),
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    });
    for (name, image) in [("NewImage", change.new_image()), ("OldImage", change.old_image())] {
        if let Some(image) = image {
            let image: Map<_, _> =
                image.iter().map(|(name, value)| (name.clone(), attribute(value))).collect();
            told[name] = image.into();
        }
    }
    json!({
        "eventID": record.event_id(),
        "eventName": record.event_name().map(OperationType::as_str),
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "local",
        "dynamodb": told,
        "eventSourceARN": resource_name,
    })
}

fn attribute(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::B(bytes) => json!({"B": STANDARD.encode(bytes)}),
        AttributeValue::Bool(is) => json!({"BOOL": is}),
        other => panic!("votes have no {other:?}"),
    }
}

/// Longer than the API shows a tally before it looks for it anew.
pub(crate) const TALLY_AGE_MAX: Duration = Duration::from_millis(450);
