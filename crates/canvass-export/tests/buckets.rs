//! Exports to a bucket, against moto's S3 server, through a proxy that is slow, cuts requests, or is not there.
//!
//! `cargo xtask test` starts the servers; without them these tests are shown as ignored.

#![cfg(feature = "object-stores")]
#![expect(clippy::unwrap_used, reason = "in a test a failed step is a failed test")]

#[path = "buckets/proxy.rs"]
mod proxy;
#[path = "buckets/s3.rs"]
mod s3;

use std::{sync::Arc, time::Duration};

use canvass_domain::{PollId, record::hexadecimal};
use canvass_export::{Access, Destination, Exporter, ExporterOptions, TurnError, Voters};
use canvass_store::{
    Store,
    conformance::{TestClock, World},
    local::{Clock as _, LocalOptions, LocalStore},
};
use proxy::Proxy;
use s3::S3;
use sha2::Digest as _;
use tempfile::TempDir;

/// A store with an open poll, and an exporter to a bucket of its own behind a proxy.
struct Scene {
    _home: TempDir,
    clock: TestClock,
    world: World,
    poll: PollId,
    bucket: S3,
    proxy: Proxy,
    exporter: Exporter,
}

impl Scene {
    /// `server` is the variable that names the server; `name` is the bucket's.
    async fn new(server: &str, name: &str) -> Self {
        let (home, clock) = (TempDir::new().unwrap(), TestClock::default());
        let options = LocalOptions::new(home.path().join("data"), [7; 16]);
        let (store, _) = LocalStore::open(&options, Arc::new(clock.clone())).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let poll: PollId = "lunch".parse().unwrap();
        let request = r#"{"title": "?", "options": [{"id": "a"}, {"id": "b"}], "status": "open"}"#;
        store.create_poll(serde_json::from_str(request).unwrap(), poll.clone(), "key:test").await.unwrap();
        let world = World::new(store, clock.clone(), ());
        let bucket = S3::new(server, name);
        let proxy = Proxy::start(bucket.server());
        let exporter = exporter(&world, &clock, name, &proxy.address());
        Self { _home: home, clock, world, poll, bucket, proxy, exporter }
    }

    /// Votes of voters with long names: 300 bytes of CSV each.
    async fn vote(&self, voters: std::ops::Range<u32>) {
        let poll = self.world.store.poll(&self.poll).await.unwrap();
        let long = "x".repeat(200);
        let commands: Vec<_> =
            voters.map(|voter| self.world.command(&poll, &format!("{long}-{voter} casts a"))).collect();
        for chunk in commands.chunks(5_000) {
            let results = self.world.store.vote(&self.poll, chunk.to_vec()).await.unwrap();
            assert!(results.iter().all(Result::is_ok));
        }
    }

    async fn turn(&mut self, moment: &str) -> Result<Vec<String>, TurnError> {
        self.clock.set(moment);
        self.exporter.turn(self.clock.now()).await.map(|turn| turn.written)
    }

    /// Every object that a manifest names is there with its checksum; the number of lines of CSV in each.
    fn exports(&self) -> Vec<(String, usize)> {
        let manifests = self.bucket.keys().into_iter().filter(|key| key.starts_with("a/b/manifests/"));
        let mut exports = Vec::new();
        for manifest in manifests {
            for line in String::from_utf8(self.bucket.get(&manifest)).unwrap().lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                let key = format!("a/b/{}", line["key"].as_str().unwrap());
                let bytes = self.bucket.get(&key);
                let digest = hexadecimal(&sha2::Sha256::digest(&bytes));
                assert_eq!(line["sha256"], *digest, "{key}");
                exports.push((key, bytes.split(|byte| *byte == b'\n').count() - 1));
            }
        }
        exports
    }
}

fn exporter(world: &World, clock: &TestClock, bucket: &str, endpoint: &str) -> Exporter {
    let access = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
        ("AWS_REGION", "us-east-1"),
    ];
    let options = ExporterOptions {
        destination: format!("s3://{bucket}/a/b").parse::<Destination>().unwrap(),
        access: Access::of(access.map(|(name, value)| (name.to_owned(), value.to_owned()))),
        url: None,
        schedule: "0 * * * *".parse().unwrap(),
        voters: Voters::Given,
        snapshot_minutes: 0,
        snapshot_votes: 0,
    };
    Exporter::open(Arc::clone(&world.store), options, clock.now()).unwrap()
}

const OPEN: &str = "CANVASS_TEST_S3";
/// A server that asks for signatures whenever a test tells it to; that test has it for itself.
const STRICT: &str = "CANVASS_TEST_S3_STRICT";
/// 300 bytes each, so that an export has two parts.
const MANY: u32 = 40_000;

#[tokio::test]
#[ignore = "needs moto: cargo xtask test"]
async fn an_export_in_parts_is_whole_in_the_bucket_although_the_way_is_slow() {
    let mut scene = Scene::new(OPEN, "slow").await;
    scene.proxy.delay(Duration::from_millis(5));
    scene.vote(0..MANY).await;
    assert_eq!(scene.turn("01T00:00:00").await.unwrap(), Vec::<String>::new());
    assert_eq!(scene.turn("01T01:00:00").await.unwrap(), ["exports/lunch/20260101_010000_results.csv"]);
    let expected = ("a/b/exports/lunch/20260101_010000_results.csv".to_owned(), MANY as usize + 1);
    assert_eq!(scene.exports(), [expected]);
    assert_eq!(
        scene.bucket.keys(),
        [
            "a/b/exports/lunch/20260101_010000_results.csv",
            "a/b/manifests/20260101-010000.jsonl",
            "a/b/quicksight/manifest.json",
            "a/b/state.json"
        ]
    );
    let quicksight = String::from_utf8(scene.bucket.get("a/b/quicksight/manifest.json")).unwrap();
    assert!(quicksight.contains("s3://slow/a/b/exports/lunch/20260101_010000_results.csv"), "{quicksight}");
    assert!(scene.bucket.uploads().is_empty());
    // Another program on the same bucket goes on from there.
    let mut next = exporter(&scene.world, &scene.clock, "slow", &scene.proxy.address());
    assert_eq!(next.turn(scene.clock.now()).await.unwrap().written, Vec::<String>::new());
}

/// Cuts every request that begins with some text: no half object is there, and the next turn catches up.
async fn check(bucket: &str, cut: &str, is_aborted: bool) {
    let mut scene = Scene::new(OPEN, bucket).await;
    scene.turn("01T00:00:00").await.unwrap();
    scene.vote(0..MANY).await;
    scene.proxy.cut(Some(cut));
    scene.turn("01T01:00:00").await.unwrap_err();
    assert_eq!(scene.bucket.keys(), ["a/b/state.json"]);
    assert_eq!(scene.bucket.uploads().is_empty(), is_aborted);
    scene.proxy.cut(None);
    scene.vote(MANY..MANY + 1).await;
    let written = scene.turn("01T01:01:00").await.unwrap();
    assert_eq!(written, ["exports/lunch/20260101_010100_results.csv"]);
    assert_eq!(scene.exports(), [(format!("a/b/{}", written[0]), MANY as usize + 2)]);
    // What is caught up is not due again.
    assert_eq!(scene.turn("01T01:02:00").await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs moto: cargo xtask test"]
async fn a_part_that_fails_aborts_the_upload_to_the_bucket() {
    check("part", "partNumber=2&", true).await;
}

#[tokio::test]
#[ignore = "needs moto: cargo xtask test"]
async fn a_bucket_that_is_gone_midway_holds_no_half_object() {
    // The first part is there before it is gone, so the upload can be aborted by nobody.
    check("gone", "uploadId=", false).await;
}

#[tokio::test]
#[ignore = "needs moto: cargo xtask test"]
async fn a_manifest_that_fails_reaches_the_bucket_by_the_next_turn() {
    let mut scene = Scene::new(OPEN, "manifest").await;
    scene.turn("01T00:00:00").await.unwrap();
    scene.vote(0..1).await;
    scene.proxy.cut(Some("PUT /manifest/a/b/manifests/"));
    scene.turn("01T01:00:00").await.unwrap_err();
    let export = "a/b/exports/lunch/20260101_010000_results.csv";
    assert_eq!(scene.bucket.keys(), [export, "a/b/quicksight/manifest.json", "a/b/state.json"]);
    scene.proxy.cut(None);
    scene.turn("01T01:01:00").await.unwrap();
    assert_eq!(scene.exports(), [(export.to_owned(), 2)]);
}

#[tokio::test]
#[ignore = "needs moto: cargo xtask test"]
async fn two_programs_on_one_bucket_notice_each_other() {
    let mut scene = Scene::new(OPEN, "two").await;
    let mut other = exporter(&scene.world, &scene.clock, "two", &scene.proxy.address());
    scene.turn("01T00:00:00").await.unwrap();
    other.turn(scene.clock.now()).await.unwrap();
    scene.vote(0..1).await;
    assert_eq!(scene.turn("01T01:00:00").await.unwrap(), ["exports/lunch/20260101_010000_results.csv"]);
    // It had read what was there before, and wrote beside the first one, over nothing.
    let error = other.turn(scene.clock.now()).await.unwrap_err();
    assert!(error.to_string().contains("state.json"), "{error}");
    assert_eq!(scene.exports().len(), 2);
    // From then on it goes on from what the first one did.
    assert_eq!(other.turn(scene.clock.now()).await.unwrap().written, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs moto: cargo xtask test"]
async fn wrong_credentials_for_a_bucket_are_told_without_the_secret() {
    let mut scene = Scene::new(STRICT, "strict").await;
    scene.vote(0..1).await;
    scene.bucket.ask_for_signatures(true);
    let error = scene.turn("01T01:00:00").await.unwrap_err();
    scene.bucket.ask_for_signatures(false);
    let text = error.to_string();
    assert!(text.contains("InvalidAccessKeyId") && !text.contains("canary"), "{text}");
    assert_eq!(scene.bucket.keys(), Vec::<String>::new());
    // The first turn that reaches the bucket goes on from when the exporter was opened.
    assert_eq!(scene.turn("01T01:01:00").await.unwrap().len(), 1);
}
