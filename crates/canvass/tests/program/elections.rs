//! Elections with known outcomes, imported into polls of their own methods by the real program, and counted as known.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::harness::Server;

/// Elections that come with the counting methods.
const FIXTURES: &str = "../canvass-counting/tests/elections";
/// More of them, outside the repository, where they are.
const FOLDER: &str = "../../../shared/elections";
/// Larger ones are left to the fault tests, which run a release build.
const BALLOTS_MAX: u64 = 10_000;

#[test]
fn the_fixtures_come_out_as_known() {
    let counted = check(&files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURES)));
    assert!(counted >= 9, "only {counted} of the fixtures can be polls");
}

#[test]
fn elections_outside_the_repository_come_out_as_known() {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER));
    if files.is_empty() {
        eprintln!("skipped: no elections outside the repository");
        return;
    }
    check(&files);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Imports each election that a poll can hold, and compares; says how many there were.
#[track_caller]
fn check(files: &[PathBuf]) -> usize {
    let server = Server::start(&[]);
    let mut counted = 0;
    for file in files {
        let election: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        if let Some(reason) = unfit(&election) {
            eprintln!("{}: left out, {reason}", file.display());
            continue;
        }
        counted += 1;
        let name = file.file_stem().unwrap().to_str().unwrap();
        let path = file.display().to_string();
        let output = server.run(&["import", &path, "--poll", name, "--create"]);
        // A ballot that its method does not allow is refused when it is cast, and not when it is counted.
        let rejected = election["expected"]["counts"]["rejected_ballots"].as_u64().unwrap_or(0);
        assert_eq!(output.code, i32::from(rejected > 0), "{name}: {} {}", output.stdout, output.stderr);
        let results = server.json(&["results", name]);
        compare(name, &election, &results);
        compare_export(&server, name, &results);
    }
    counted
}

/// Why an election cannot be a poll.
fn unfit(election: &Value) -> Option<&'static str> {
    let rows = election["ballots"].as_array().unwrap();
    let ballots: u64 = rows.iter().map(|row| row["count"].as_u64().unwrap()).sum();
    let text = election["ballots"].to_string();
    if election["method"] == "stv_wigm_rctab" {
        Some("polls have no such method")
    } else if !election["pairwise_input"].is_null() {
        Some("its ballots are not known")
    } else if text.contains("overvote") || rows.iter().any(repeats) {
        Some("a ballot marks what no vote can")
    } else if ballots > BALLOTS_MAX {
        Some("it is large")
    } else {
        None
    }
}

/// Whether a ballot ranks an option again.
fn repeats(row: &Value) -> bool {
    let ranks = row["ranking"].as_array().into_iter().flatten();
    let one = |rank: &Value| rank.as_array().cloned().unwrap_or_else(|| vec![rank.clone()]);
    let mut seen = BTreeSet::new();
    ranks.flat_map(one).filter(|option| !option.is_null()).any(|option| !seen.insert(option.to_string()))
}

fn compare(name: &str, election: &Value, results: &Value) {
    let ids: Vec<&str> =
        results["options"].as_array().unwrap().iter().map(|o| o["id"].as_str().unwrap()).collect();
    let set = |found: &Value| -> BTreeSet<String> {
        found.as_array().into_iter().flatten().map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    let known = |indexes: &Value| -> BTreeSet<String> {
        let indexes = indexes.as_array().into_iter().flatten();
        indexes.map(|index| ids[usize::try_from(index.as_u64().unwrap()).unwrap()].to_owned()).collect()
    };
    let expected = &election["expected"];
    // Where the known outcome hangs on a lot that was drawn elsewhere, the poll leaves the tie open.
    let lots = results["ties"].as_array().into_iter().flatten().any(|tie| tie["by"] == "open")
        && known(&expected["tied"]).is_empty();
    if lots {
        assert!(set(&results["winners"]).is_subset(&known(&expected["winners"])), "{name}: {results}");
    } else {
        assert_eq!(set(&results["winners"]), known(&expected["winners"]), "{name}: {results}");
        assert_eq!(set(&results["tied"]), known(&expected["tied"]), "{name}: {results}");
    }
    let Some(rounds) = expected["rounds"].as_array().filter(|_| expected["tolerance"].is_null() && !lots)
    else {
        return;
    };
    assert_eq!(results["rounds"].as_array().unwrap().len(), rounds.len(), "{name}");
    for (found, round) in results["rounds"].as_array().unwrap().iter().zip(rounds) {
        for (option, votes) in round["tally"].as_object().unwrap() {
            let found = &found["tally"][ids[option.parse::<usize>().unwrap()]];
            let votes = votes.as_str().map_or_else(|| votes.to_string(), str::to_owned);
            let (found, votes): (f64, f64) =
                (found.as_str().unwrap().parse().unwrap(), votes.parse().unwrap());
            assert!((found - votes).abs() < 1e-6, "{name}: {found} is not {votes}");
        }
    }
}

/// What is exported of a poll as an election's file is counted as the poll is: by its rules, in every round.
fn compare_export(server: &Server, name: &str, results: &Value) {
    let exported = server.run(&["export", name, "--format", "election"]);
    assert_eq!(exported.code, 0, "{name}: {}", exported.stderr);
    server.file("exported.json", &exported.stdout);
    let counted = server.run(&["count", "exported.json", "--json"]);
    assert_eq!(counted.code, 0, "{name}: {}", counted.stderr);
    let counted: Value = serde_json::from_str(&counted.stdout).unwrap();
    let options = results["options"].as_array().unwrap();
    let labels = |ids: &Value| -> BTreeSet<String> {
        let named = options.iter().filter(|option| ids.as_array().unwrap().contains(&option["id"]));
        named.map(|option| option["label"].as_str().unwrap().to_owned()).collect()
    };
    let set = |found: &Value| -> BTreeSet<String> {
        found.as_array().unwrap().iter().map(|label| label.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(set(&counted["winners"]), labels(&results["winners"]), "{name}: {counted}");
    assert_eq!(set(&counted["tied"]), labels(&results["tied"]), "{name}: {counted}");
    let Some(rounds) = results["rounds"].as_array() else { return };
    assert_eq!(counted["rounds"].as_array().unwrap().len(), rounds.len(), "{name}");
    for (counted, shown) in counted["rounds"].as_array().unwrap().iter().zip(rounds) {
        for (id, votes) in shown["tally"].as_object().unwrap() {
            let option = options.iter().find(|option| option["id"] == *id).unwrap();
            assert_eq!(counted["tally"][option["label"].as_str().unwrap()], *votes, "{name}: {option}");
        }
    }
}
