//! The function `export` and a bucket, on moto's S3: what it writes is what its manifests name, once.

use canvass_domain::record::hexadecimal;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    gateway::Api,
    s3::S3,
    world::{Functions, Variables},
};

/// What names moto's address.
const SERVER: &str = "CANVASS_TEST_S3";
const POLL: &str = r#"{"id":"lunch","title":"T","options":[{"id":"a"},{"id":"b"}],"status":"open"}"#;

/// Every file that a manifest names is in the bucket with its size and checksum, and nothing else is but manifests and
/// what the exporter remembers; answers with the manifests' lines.
fn check(bucket: &S3) -> Vec<Value> {
    let (mut named, mut lines) = (Vec::new(), Vec::new());
    let keys = bucket.keys();
    for manifest in keys.iter().filter(|key| key.starts_with("out/manifests/")) {
        for line in String::from_utf8(bucket.get(manifest)).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let key = format!("out/{}", line["key"].as_str().unwrap());
            let bytes = bucket.get(&key);
            assert_eq!(line["bytes"], bytes.len(), "{key}");
            assert_eq!(line["sha256"], hexadecimal(&Sha256::digest(&bytes)), "{key}");
            named.push(key);
            lines.push(line);
        }
    }
    named.sort();
    let beside = ["out/manifests/", "out/quicksight/"];
    let is_beside =
        |key: &&String| beside.iter().any(|begin| key.starts_with(begin)) || key.ends_with("state.json");
    let others: Vec<_> = keys.iter().filter(|key| !is_beside(key)).cloned().collect();
    assert_eq!(others, named);
    lines
}

#[tokio::test]
async fn exports_go_to_a_bucket_once_with_their_checksums() {
    let usual = Variables::default();
    let name = usual.prefix.clone();
    let bucket = S3::new(SERVER, &name);
    let export_to = format!("s3://{name}/out");
    let s3 = Some(format!("http://{}", bucket.server()));
    let mut functions = Functions::start(Variables { export_to, s3, ..usual }, Api::Http).await;
    functions.json("POST", "/v1/polls", POLL);
    for voter in ["ada", "bob"] {
        let vote = json!({"voterId": voter, "ballot": {"choice": "a"}});
        functions.json("POST", "/v1/polls/lunch/votes", &vote.to_string());
    }
    functions.count().await;
    let count = |written: &Value| written["written"].as_array().unwrap().len();
    assert_eq!(count(&functions.export()), 2, "the votes so far, and a snapshot");
    let (lines, keys) = (check(&bucket), bucket.keys());
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(count(&functions.export()), 0, "nothing has changed");
    assert_eq!(bucket.keys(), keys);

    functions.json("POST", "/v1/polls/lunch/close", "");
    functions.count().await;
    assert_eq!(count(&functions.export()), 1, "the last votes");
    let finals: Vec<_> =
        check(&bucket).into_iter().map(|line| line["final"].clone()).filter(Value::is_boolean).collect();
    assert_eq!(finals, [json!(false), json!(true)]);
    assert_eq!(count(&functions.export()), 0, "it is over");
    assert!(bucket.uploads().is_empty());
}
