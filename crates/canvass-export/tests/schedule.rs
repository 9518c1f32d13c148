//! A month of hours in seconds: each due export once, and what was missed is caught up once.

#![expect(clippy::unwrap_used, reason = "in a test a failed step is a failed test")]

use std::{fs, path::Path, sync::Arc};

use canvass_domain::PollId;
use canvass_export::{Access, Destination, Exporter, ExporterOptions, Retention, Voters};
use canvass_store::{
    Store,
    conformance::{TestClock, World},
    local::{Clock as _, LocalOptions, LocalStore},
};
use tempfile::TempDir;

/// A store whose clock the test sets, with two open polls, and a folder.
struct Scene {
    home: TempDir,
    clock: TestClock,
    world: World,
    polls: [PollId; 2],
}

impl Scene {
    async fn new() -> Self {
        let (home, clock) = (TempDir::new().unwrap(), TestClock::default());
        let options = LocalOptions::new(home.path().join("data"), [7; 16]);
        let (store, _) = LocalStore::open(&options, Arc::new(clock.clone())).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let polls = ["busy", ".."].map(|id| id.parse::<PollId>().unwrap());
        for id in &polls {
            let poll = r#"{"title": "?", "options": [{"id": "a"}, {"id": "b"}], "status": "open"}"#;
            let request = serde_json::from_str(poll).unwrap();
            store.create_poll(request, id.clone(), "key:test").await.unwrap();
        }
        let world = World::new(store, clock.clone(), ());
        Self { home, clock, world, polls }
    }

    fn exporter(&self) -> Exporter {
        self.exporter_with(Retention::default())
    }

    fn exporter_with(&self, retention: Retention) -> Exporter {
        let options = ExporterOptions {
            destination: Destination::Folder(self.folder()),
            access: Access::default(),
            url: Some("s3://bucket/".into()),
            schedule: "0 * * * *".parse().unwrap(),
            voters: Voters::Omitted,
            snapshot_minutes: 24 * 60,
            snapshot_votes: 0,
            retention,
        };
        Exporter::open(Arc::clone(&self.world.store), options, self.clock.now()).unwrap()
    }

    fn folder(&self) -> std::path::PathBuf {
        self.home.path().join("exports")
    }

    async fn vote(&self, poll: usize, voter: usize) {
        self.world.tell(&self.polls[poll], &format!("voter-{voter} casts a")).await;
    }

    /// The names in one of the exporter's folders, in order.
    fn files(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.folder().join(folder)) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn each_due_export_is_made_once_in_a_month_of_hours() {
    let scene = Scene::new().await;
    let mut exporter = Some(scene.exporter());
    let mut due = Vec::new();
    // Whether the busy poll changed since it was last exported; it was made.
    let mut has_changed = true;
    for hour in 1..31 * 24 {
        let (day, hour_of_day) = (hour / 24 + 1, hour % 24);
        // For two days no server runs.
        let is_down = (10..12).contains(&day);
        if is_down {
            exporter = None;
        } else if exporter.is_none() {
            scene.clock.set(&format!("{day:02}T{hour_of_day:02}:00:00"));
            exporter = Some(scene.exporter());
        }
        for minute in ["00:00", "00:01", "20:00", "59:59"] {
            scene.clock.set(&format!("{day:02}T{hour_of_day:02}:{minute}"));
            if let Some(exporter) = &mut exporter {
                exporter.turn(scene.clock.now()).await.unwrap();
                if std::mem::take(&mut has_changed) {
                    due.push(format!("202601{day:02}_{hour_of_day:02}0000_results.csv"));
                }
            }
        }
        if hour % 3 != 0 {
            scene.vote(0, hour).await;
            has_changed = true;
        }
    }
    assert_eq!(scene.files("exports/busy"), due);
    assert!(due.len() > 400, "{}", due.len());
    // The other poll was made, and nothing else happened to it.
    assert_eq!(scene.files("exports/%2E%2E"), ["20260101_010000_results.csv"]);
    // One each midnight but the first and the two without a server.
    assert_eq!(scene.files("snapshots").len(), 28);
    assert_eq!(scene.files("partial"), Vec::<String>::new());
}

#[tokio::test]
async fn a_clock_that_was_ahead_keeps_nothing_waiting() {
    let scene = Scene::new().await;
    let mut exporter = scene.exporter();
    scene.vote(0, 1).await;
    scene.clock.set("20T00:00:00");
    assert_eq!(exporter.turn(scene.clock.now()).await.unwrap().written.len(), 3);
    scene.clock.set("02T00:30:00");
    scene.vote(0, 2).await;
    assert_eq!(exporter.turn(scene.clock.now()).await.unwrap().written, Vec::<String>::new());
    scene.clock.set("02T01:00:00");
    let written = exporter.turn(scene.clock.now()).await.unwrap().written;
    assert_eq!(written, ["exports/busy/20260102_010000_results.csv"]);
    scene.clock.set("03T01:00:00");
    let written = exporter.turn(scene.clock.now()).await.unwrap().written;
    assert_eq!(written, ["snapshots/results-20260103-010000.json"]);
}

#[tokio::test]
async fn a_poll_that_ends_is_exported_a_last_time_at_once() {
    let scene = Scene::new().await;
    let mut exporter = scene.exporter();
    scene.vote(0, 1).await;
    assert_eq!(exporter.turn(scene.clock.now()).await.unwrap().written, Vec::<String>::new());
    scene.clock.set("01T01:00:00");
    let written = exporter.turn(scene.clock.now()).await.unwrap().written;
    assert_eq!(
        written,
        ["exports/%2E%2E/20260101_010000_results.csv", "exports/busy/20260101_010000_results.csv"]
    );
    scene.vote(0, 2).await;
    scene.world.tell(&scene.polls[0], "close").await;
    let last = exporter.turn(scene.clock.now()).await.unwrap().written;
    assert_eq!(last, ["exports/busy/20260101_010001_results.csv"]);
    scene.world.tell(&scene.polls[0], "certify").await;
    scene.clock.set("01T02:00:00");
    assert_eq!(exporter.turn(scene.clock.now()).await.unwrap().written, Vec::<String>::new());
    check_manifest(&scene.folder(), 3);
    let csv = fs::read_to_string(scene.folder().join(&last[0])).unwrap();
    assert_eq!(csv.lines().count(), 3, "{csv}");
    let quicksight = fs::read_to_string(scene.folder().join("quicksight/manifest.json")).unwrap();
    assert!(quicksight.contains("s3://bucket/exports/busy/20260101_010001_results.csv"), "{quicksight}");
}

/// Every file in the manifest is there with its checksum.
fn check_manifest(folder: &Path, count: usize) {
    use sha2::Digest as _;
    let mut manifests: Vec<_> =
        fs::read_dir(folder.join("manifests")).unwrap().map(|entry| entry.unwrap().path()).collect();
    manifests.sort();
    let manifest: String = manifests.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    assert_eq!(manifest.lines().count(), count);
    for line in manifest.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let bytes = fs::read(folder.join(line["key"].as_str().unwrap())).unwrap();
        let digest = canvass_domain::record::hexadecimal(&sha2::Sha256::digest(&bytes));
        assert_eq!(
            (line["sha256"].as_str(), line["bytes"].as_u64()),
            (Some(&*digest), Some(bytes.len() as u64))
        );
    }
}

#[tokio::test]
async fn a_snapshot_holds_the_results_of_every_poll() {
    let scene = Scene::new().await;
    let mut exporter = scene.exporter();
    scene.vote(0, 1).await;
    scene.clock.set("02T00:00:00");
    exporter.turn(scene.clock.now()).await.unwrap();
    assert_eq!(scene.files("snapshots"), ["results-20260102-000000.json"]);
    let snapshot = fs::read(scene.folder().join("snapshots/results-20260102-000000.json")).unwrap();
    let snapshot: serde_json::Value = serde_json::from_slice(&snapshot).unwrap();
    assert_eq!(snapshot["timestamp"], "2026-01-02T00:00:00.000000Z");
    let votes: Vec<_> = snapshot["results"].as_array().unwrap().iter().map(|poll| &poll["votes"]).collect();
    assert_eq!(votes, [0, 1]);
    // Nothing has changed a day later.
    scene.clock.set("03T00:00:00");
    exporter.turn(scene.clock.now()).await.unwrap();
    assert_eq!(scene.files("snapshots").len(), 1);
}

#[tokio::test]
async fn a_second_exporter_and_a_folder_that_cannot_be_written_are_refused() {
    let scene = Scene::new().await;
    let mut exporter = scene.exporter();
    let options = ExporterOptions {
        destination: Destination::Folder(scene.folder()),
        access: Access::default(),
        url: None,
        schedule: "0 * * * *".parse().unwrap(),
        voters: Voters::Given,
        snapshot_minutes: 0,
        snapshot_votes: 0,
        retention: Retention::default(),
    };
    let second = Exporter::open(Arc::clone(&scene.world.store), options, scene.clock.now());
    assert!(second.is_err_and(|error| error.to_string().contains("another program")));
    // A file where a folder must be: nothing appears under a final name, and the next turn does it, but not again what
    // was exported before the failure, though more votes have come.
    fs::create_dir(scene.folder().join("exports")).unwrap();
    fs::write(scene.folder().join("exports/busy"), "").unwrap();
    scene.clock.set("01T01:00:00");
    assert!(exporter.turn(scene.clock.now()).await.is_err());
    assert_eq!(scene.files("exports/%2E%2E"), ["20260101_010000_results.csv"]);
    fs::remove_file(scene.folder().join("exports/busy")).unwrap();
    scene.vote(1, 1).await;
    scene.clock.set("01T01:00:30");
    let written = exporter.turn(scene.clock.now()).await.unwrap().written;
    assert_eq!(written, ["exports/busy/20260101_010030_results.csv"]);
}

/// Exports on two days, and looks at the folder on two later ones.
async fn check_ages(archive: &str, first: &[&str], second: &[&str], archived: &[&str]) {
    let scene = Scene::new().await;
    let store = scene.home.path().join("archive");
    let archive = archive.replace("ARCHIVE", &store.display().to_string()).parse().unwrap();
    let mut exporter = scene.exporter_with(Retention { compress_days: 10, archive_days: 20, archive });
    scene.vote(0, 1).await;
    scene.clock.set("01T01:00:00");
    exporter.turn(scene.clock.now()).await.unwrap();
    scene.vote(0, 2).await;
    scene.clock.set("02T02:00:00");
    exporter.turn(scene.clock.now()).await.unwrap();
    let csv = fs::read(scene.folder().join("exports/busy/20260101_010000_results.csv")).unwrap();
    fs::write(scene.folder().join("exports/busy/mine.csv"), "").unwrap();
    let mut last = None;
    for (moment, expected) in [("11T03:00:00", first), ("21T04:00:00", second)] {
        scene.clock.set(moment);
        exporter.turn(scene.clock.now()).await.unwrap();
        assert_eq!(scene.files("exports/busy"), expected, "{moment}");
        last = fs::read(scene.folder().join("exports/busy/20260101_010000_results.csv.gz")).ok().or(last);
    }
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&last.unwrap()[..]), &mut unpacked).unwrap();
    assert_eq!(unpacked, csv);
    let names = fs::read_dir(store.join("exports/busy")).into_iter().flatten();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, archived);
    // The newest export of a poll is named as it is now, or not at all.
    let quicksight = fs::read_to_string(scene.folder().join("quicksight/manifest.json")).unwrap();
    assert!(quicksight.contains("exports/busy/20260102_020000_results.csv.gz\""), "{quicksight}");
    assert_eq!(quicksight.contains("%2E%2E"), archived.is_empty() && second.len() > 2, "{quicksight}");
    assert_eq!(scene.files("partial"), Vec::<String>::new());
}

#[tokio::test]
async fn old_files_are_compressed_and_then_moved_or_deleted() {
    let compressed = &["20260101_010000_results.csv.gz", "20260102_020000_results.csv", "mine.csv"][..];
    let moved = &["20260102_020000_results.csv.gz", "mine.csv"][..];
    let kept = &["20260101_010000_results.csv.gz", "20260102_020000_results.csv.gz", "mine.csv"][..];
    check_ages("ARCHIVE", compressed, moved, &["20260101_010000_results.csv.gz"]).await;
    check_ages("delete", compressed, moved, &[]).await;
    check_ages("", compressed, kept, &[]).await;
}
