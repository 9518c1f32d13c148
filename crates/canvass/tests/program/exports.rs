//! Exports by the clock beside a real server.

use std::{fs, path::Path, thread, time::Duration};

use crate::harness::{Server, run};

/// The one file in a folder, when it is there.
fn file_in(folder: &Path) -> String {
    for _ in 0..200 {
        if let Some(entry) = fs::read_dir(folder).ok().and_then(|mut entries| entries.next()) {
            return fs::read_to_string(entry.unwrap().path()).unwrap();
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("nothing was exported to {}", folder.display());
}

#[test]
fn a_poll_that_is_closed_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("exports").display().to_string();
    let arguments = ["--export-to", &to, "--export-voters", "pseudonyms", "--snapshot-votes", "2"];
    let mut server = Server::start(&arguments);
    server.poll("p", &["A", "B"]);
    for voter in ["ada", "bob"] {
        assert_eq!(server.run(&["vote", "p", "--voter", voter, "--choice", "a"]).code, 0);
    }
    let snapshot = file_in(&Path::new(&to).join("snapshots"));
    assert!(snapshot.contains(r#""votes":2"#), "{snapshot}");
    assert_eq!(server.run(&["poll", "close", "p"]).code, 0);
    let exported = file_in(&Path::new(&to).join("exports/p"));
    assert!(exported.lines().count() == 3 && !exported.contains("ada"), "{exported}");
    // An export asked for names voters as the scheduled one does.
    let asked = server.run(&["export", "p", "--voters", "pseudonyms"]);
    assert_eq!((asked.code, asked.stdout), (0, exported));
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_schedule_that_is_none_is_a_misuse() {
    let output = run(&["serve", "--export-schedule", "hourly"]);
    assert!(output.code == 2 && output.stderr.contains("write five fields and a zone"), "{output:?}");
}
