//! `canvass dynamodb create` and the deployment's template make the same tables.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use canvass_dynamodb::{Options, create_tables};
use serde_json::Value;

use crate::{
    proxy::{Fate, begin},
    support::{Tables, endpoint},
};

/// What makes a table what it is, besides its protection: DynamoDB Local knows of none, so it is not asked for there.
const PROPERTIES: [&str; 4] = ["AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema"];

/// The properties of a table, by the end of its name; the order of attributes means nothing, and a template leaves out
/// what a stream's view implies.
fn described(name: &str, table: &Value) -> (String, String) {
    let mut properties: BTreeMap<&str, Value> =
        PROPERTIES.into_iter().map(|property| (property, table[property].clone())).collect();
    if let Some(attributes) = properties.get_mut("AttributeDefinitions").and_then(Value::as_array_mut) {
        attributes.sort_by_key(Value::to_string);
    }
    properties.insert("StreamViewType", table["StreamSpecification"]["StreamViewType"].clone());
    let end = name.rsplit('-').next().unwrap_or_default().to_owned();
    (end, serde_json::to_string_pretty(&properties).unwrap())
}

/// The tables of the template.
fn deployed() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/canvass.template.json");
    let template: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let resources = template["Resources"].as_object().unwrap().values();
    let tables = resources.filter(|resource| resource["Type"] == "AWS::DynamoDB::Table");
    tables
        .map(|table| {
            let table = &table["Properties"];
            described(table["TableName"]["Fn::Join"][1][1].as_str().unwrap(), table)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local: cargo xtask test"]
async fn the_command_and_the_template_make_the_same_tables() {
    let asked = Arc::new(Mutex::new(BTreeMap::new()));
    let noted = Arc::clone(&asked);
    let proxy = begin(&endpoint(), move |operation, body| {
        if operation == "CreateTable" {
            let table: Value = serde_json::from_str(body).unwrap();
            let (name, properties) = described(table["TableName"].as_str().unwrap(), &table);
            noted.lock().unwrap().insert(name, properties);
        }
        Fate::Done
    })
    .await;
    let options = Tables::make().await.options();
    let table_prefix = format!("{}b", options.table_prefix);
    create_tables(&Options { table_prefix, endpoint: Some(proxy.endpoint.clone()), ..options })
        .await
        .unwrap();
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked, deployed());
}
