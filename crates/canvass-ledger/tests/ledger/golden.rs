//! The bytes of version 1, which every later program must read: the files beside this test never change.

use std::{fs, path::PathBuf};

use canvass_ledger::testing::SimulatedDisk;

use crate::support::{Output, append, check_contents, open, record, segment_names};

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// A ledger of three segments with an erased record and one without an erasable part.
fn build(disk: &SimulatedDisk) -> Vec<Output> {
    let (mut ledger, _) = open(disk).unwrap();
    let mut expected = append(&mut ledger, &[record(1, 100), (2, b"no personal part".to_vec(), vec![])]);
    expected.extend(append(&mut ledger, &[(3, vec![0; 1500], b"salt5678voter".to_vec()), record(255, 40)]));
    expected.extend(append(&mut ledger, &[record(4, 3000)]));
    expected.extend(append(&mut ledger, &[record(5, 3000)]));
    ledger.reader().erase(&[expected[0].position]).unwrap();
    expected[0].erasable = None;
    expected
}

#[test]
fn version_1_is_written_as_ever() {
    let disk = SimulatedDisk::new(1);
    build(&disk);
    let names = segment_names(&disk);
    let missing: Vec<_> = names.iter().filter(|name| !directory().join(name).exists()).collect();
    for name in &missing {
        fs::create_dir_all(directory()).unwrap();
        fs::write(directory().join(name), disk.contents(name)).unwrap();
    }
    assert!(missing.is_empty(), "{missing:?} have been written: look at them, and keep them");
    for name in &names {
        let is_same = fs::read(directory().join(name)).unwrap() == disk.contents(name);
        assert!(is_same, "{name} differs: a change of format needs a new version");
    }
}

#[test]
fn version_1_is_read_as_ever() {
    let expected = build(&SimulatedDisk::new(1));
    let disk = SimulatedDisk::new(2);
    for entry in fs::read_dir(directory()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        canvass_ledger::Disk::create(&disk, &name).unwrap();
        disk.damage(&name, |bytes| *bytes = fs::read(entry.path()).unwrap());
    }
    let (_, recovery) = check_contents(&disk, &expected);
    assert_eq!((recovery.segments, recovery.cut), (3, None));
}
