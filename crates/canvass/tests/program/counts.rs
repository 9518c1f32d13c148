//! `canvass count` on elections with known outcomes: what it prints as JSON is what is known, in every figure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;

use crate::harness::{Server, program, run};

/// The fixtures of the counting methods, and more where they lie beside the project.
fn elections() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = here.join("../../../shared/elections");
    if !beside.exists() {
        eprintln!("skipped in part: no elections lie beside the project");
    }
    let folders =
        [here.join("../canvass-counting/tests/elections"), beside.join("own"), beside.join("third-party")];
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let mut paths: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths
}

fn count(path: &Path, options: &[&str]) -> Value {
    let output = run(&[&["count", path.to_str().unwrap(), "--json"], options].concat());
    assert_eq!(output.code, 0, "{}: {}", path.display(), output.stderr);
    serde_json::from_str(&output.stdout).unwrap()
}

#[test]
fn elections_are_counted_as_is_known() {
    let (mut differences, mut seen) = (Vec::new(), 0);
    for path in elections() {
        let known: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let found = count(&path, &[]);
        let mut case = Case { known: &known, path: &path, differences: Vec::new() };
        case.compare(&found);
        case.compare_other_methods();
        differences.extend(case.differences);
        seen += 1;
    }
    eprintln!("{seen} elections");
    assert!(seen >= 13, "the fixtures are not all there");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

struct Case<'a> {
    known: &'a Value,
    path: &'a Path,
    differences: Vec<String>,
}

impl Case<'_> {
    fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: &T, known: &T) {
        if found != known {
            self.differences.push(format!("{}: {what}: {found:?}, known {known:?}", self.path.display()));
        }
    }

    /// Names of indexes in a list, or of one that is a text.
    fn names(&self, indexes: &Value) -> BTreeSet<String> {
        indexes.as_array().into_iter().flatten().map(|index| self.name(&index.to_string())).collect()
    }

    fn name(&self, index: &str) -> String {
        self.known["options"][index.parse::<usize>().unwrap()].as_str().unwrap().to_owned()
    }

    fn compare(&mut self, found: &Value) {
        let expected = &self.known["expected"];
        self.same("winners", &texts(&found["winners"]), &self.names(&expected["winners"]));
        self.same("tied", &texts(&found["tied"]), &self.names(&expected["tied"]));
        if let Some(known) = expected.get("pairwise") {
            let rows = |matrix: &Value| matrix.as_array().unwrap().iter().map(row).collect::<Vec<_>>();
            self.same("pairwise", &rows(&found["pairwise"]), &rows(known));
        }
        for known in [
            &expected["scores"],
            &expected["score_totals"],
            &expected["counts"]["votes"],
            &expected["counts"]["sum"],
        ] {
            self.compare_scores(found, known, "total");
        }
        self.compare_scores(found, &expected["mean_given"], "mean");
        let Some(rounds) = expected["rounds"].as_array() else { return };
        self.same("number of rounds", &found["rounds"].as_array().unwrap().len(), &rounds.len());
        for (number, (found, known)) in found["rounds"].as_array().unwrap().iter().zip(rounds).enumerate() {
            self.compare_round(&format!("round {}", number + 1), found, known);
        }
    }

    fn compare_scores(&mut self, found: &Value, known: &Value, field: &str) {
        for (index, known) in known.as_array().into_iter().flatten().enumerate() {
            let name = self.name(&index.to_string());
            self.same(
                &format!("{field} of {name}"),
                &fraction(&found["scores"][&name][field]),
                &fraction(known),
            );
        }
    }

    fn compare_round(&mut self, round: &str, found: &Value, known: &Value) {
        let tolerance = self.known["expected"]["tolerance"].as_f64();
        let tally = |tally: &Value, name: &dyn Fn(&str) -> String| -> BTreeMap<String, Value> {
            tally.as_object().unwrap().iter().map(|(option, votes)| (name(option), votes.clone())).collect()
        };
        let found_tally = tally(&found["tally"], &str::to_owned);
        let known_tally = tally(&known["tally"], &|index| self.name(index));
        for (name, votes) in &known_tally {
            let is_same = match (tolerance, found_tally.get(name)) {
                (_, None) => false,
                (Some(tolerance), Some(found)) => (decimal(found) - decimal(votes)).abs() <= tolerance,
                // Scottish figures have five places, written out.
                (None, Some(found)) if known.get("residual").is_some() => found == votes,
                (None, Some(found)) => fraction(found) == fraction(votes),
            };
            self.same(&format!("{round}: {name} {:?} is {votes}", found_tally.get(name)), &is_same, &true);
        }
        if tolerance.is_none() {
            self.same(&format!("{round}: options"), &found_tally.len(), &known_tally.len());
        }
        for (kind, known) in known["inactive"].as_object().into_iter().flatten() {
            self.same(&format!("{round}: {kind}"), &fraction(&found["inactive"][kind]), &fraction(known));
        }
        for kind in ["nontransferable", "residual"] {
            if let Some(known) = known.get(kind) {
                self.same(&format!("{round}: {kind}"), &found["inactive"][kind], known);
            }
        }
        for (kind, field) in
            [("elected", "elected"), ("elected_after", "elected"), ("eliminated", "eliminated")]
        {
            if let Some(known) = known.get(kind) {
                self.same(&format!("{round}: {kind}"), &texts(&found[field]), &self.names(known));
            }
        }
    }

    /// What other methods make of the same ballots, by `--method`.
    fn compare_other_methods(&mut self) {
        let other = &self.known["also_expected"];
        let methods: [(&Value, &[&str]); 11] = [
            (&other["plurality"], &["--method", "plurality"]),
            (&other["schulze"], &["--method", "schulze"]),
            (&other["ranked_pairs"], &["--method", "ranked_pairs"]),
            (&other["minimax"]["margins"], &["--method", "minimax", "--minimax", "margins"]),
            (&other["minimax"]["winning_votes"], &["--method", "minimax", "--minimax", "winning_votes"]),
            (
                &other["minimax"]["pairwise_opposition"],
                &["--method", "minimax", "--minimax", "pairwise_opposition"],
            ),
            (&other["stv_meek"]["winners"], &["--method", "stvMeek"]),
            (&other["score"]["winners"], &["--method", "score"]),
            (&other["score_sum_or_blank_as_zero"]["winners"], &["--method", "score", "--aggregate", "sum"]),
            (
                &other["mean_given_min_raters_5"]["winners"],
                &["--method", "score", "--min-raters", "5", "--aggregate", "mean"],
            ),
            (
                &other["votelib"]["ranked_pairs_wv"],
                &["--method", "rankedPairs", "--measure", "winning_votes"],
            ),
        ];
        for (known, options) in methods {
            let known = known.get("tied").unwrap_or(known);
            if known.is_null() {
                continue;
            }
            let found = count(self.path, options);
            let elected = &texts(&found["winners"]) | &texts(&found["tied"]);
            self.same(&options.join(" "), &elected, &self.names(known));
        }
        for name in [
            "unranked_share_average",
            "unranked_zero_top_is_n_minus_1",
            "unranked_zero_top_is_n",
            "points_by_ballot_length",
        ] {
            let known = other["borda"].get(name).or_else(|| other[name].get("scores"));
            if let Some(known) = known {
                let found = count(self.path, &["--method", "borda", "--borda", name]);
                self.compare_scores(&found, known, "total");
            }
        }
    }
}

fn texts(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

fn row(row: &Value) -> Vec<(i128, i128)> {
    row.as_array().unwrap().iter().map(fraction).collect()
}

fn decimal(value: &Value) -> f64 {
    value.as_str().map_or_else(|| value.as_f64().unwrap(), |text| text.parse().unwrap())
}

/// A number, a decimal string or a fraction such as `33/2`, in lowest terms.
fn fraction(json: &Value) -> (i128, i128) {
    let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
    let (numerator, denominator): (i128, i128) = match (text.split_once('/'), text.split_once('.')) {
        (Some((a, b)), _) => (a.parse().unwrap(), b.parse().unwrap()),
        (None, Some((whole, places))) => {
            let unit = 10i128.pow(u32::try_from(places.len()).unwrap());
            (format!("{whole}{places}").parse().unwrap(), unit)
        }
        (None, None) => (text.parse().unwrap(), 1),
    };
    let (mut a, mut b) = (numerator.abs(), denominator);
    while a != 0 {
        (a, b) = (b % a, a);
    }
    (numerator / b, denominator / b)
}

/// Counts a file's content from standard input; gives the exit code and both outputs.
fn count_text(content: &str, options: &[&str]) -> (i32, String, String) {
    let mut command = program();
    command.arg("count").arg("-").args(options);
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A usage error ends the program before it reads.
    let _ = process.stdin.take().unwrap().write_all(content.as_bytes());
    let output = process.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

const TIED: &str = "3 1\n4 1 2 0\n4 2 1 0\n3 3 0\n1 3 1 0\n0\n\"Ada\"\n\"Bob\"\n\"Cyd\"\n\"Chair\"\n";

#[test]
fn a_count_is_told_as_text_and_as_json() {
    insta::assert_snapshot!("count_text", count_text(TIED, &["--lot-seed", "noon"]).1);
    insta::assert_snapshot!("count_json", count_text(TIED, &["--json"]).1);
}

/// Who is elected and who is tied, after options on the command line.
#[track_caller]
fn check_options(options: &[&str], winners: &[&str], tied: &[&str]) {
    let (code, stdout, stderr) = count_text(TIED, &[options, &["--json"]].concat());
    assert_eq!(code, 0, "{stderr}");
    let said: Value = serde_json::from_str(&stdout).unwrap();
    let listed = |name: &str| {
        said[name]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (listed("winners"), listed("tied")),
        (winners.iter().map(ToString::to_string).collect(), tied.iter().map(ToString::to_string).collect()),
        "{options:?}"
    );
}

#[test]
fn options_override_the_file() {
    check_options(&[], &[], &["Ada", "Bob", "Cyd"]);
    check_options(&["--tie-break", "useCandidateOrder"], &["Ada"], &[]);
    check_options(&["--tie-break", "draw_order"], &["Bob"], &[]);
    check_options(&["--tie-break-order", "Cyd > 2 > Ada"], &["Bob"], &[]);
    check_options(&["--chair", "Bob > Cyd > Ada"], &["Bob"], &[]);
    check_options(&["--method", "stvScottish", "--seats", "3"], &["Ada", "Bob", "Cyd"], &[]);
    check_options(&["--method", "plurality", "--seats", "2"], &[], &["Ada", "Bob", "Cyd"]);
    check_options(&["--minimum-vote-threshold", "5"], &[], &[]);
}

/// What is said on standard error, and the exit code.
#[track_caller]
fn check_refused(content: &str, options: &[&str], code: i32, expected: &str) {
    let (found, _, stderr) = count_text(content, options);
    assert_eq!((found, stderr.as_str()), (code, expected));
}

#[test]
fn what_cannot_be_counted_is_told_with_its_place() {
    check_refused(
        "3 1\n4 1 9 0\n0\n",
        &[],
        1,
        "canvass: -: line 2, column 5: \"9\" is no option; expected a number from 1 to 3\n",
    );
    check_refused(
        "hello",
        &[],
        1,
        "canvass: -: line 1, column 1: this is no election file; expected election JSON, cast vote records in JSON, BLT, ABIF or PrefLib\n",
    );
    check_refused(
        TIED,
        &["--method", "dictator"],
        2,
        "canvass: -: the method \"dictator\" is not known; there are plurality, approval, score, star, irv, stv_scottish, stv_meek, stv_wigm, schulze, ranked_pairs, minimax, borda, dot, quadratic\n",
    );
    check_refused(
        TIED,
        &["--method", "schulze", "--overvote", "skip"],
        2,
        "canvass: -: the rule \"overvote\" has no meaning for this method\n",
    );
    check_refused(
        TIED,
        &["--method", "dot"],
        2,
        "canvass: -: the method needs the rule \"dots\", a whole number\n",
    );
    check_refused(
        "{\"options\":[\"a\"],\"method\":\"irv\",\n \"rules\":{\"overvote\":\"wait\"},\"ballots\":[]}",
        &[],
        1,
        "canvass: -: line 2, column 22: the rule \"overvote\" is \"\\\"wait\\\"\" here; expected one of exhaustimmediately, alwaysskiptonext, alwaysskiptonextrank, skiptonextrank, exhaustifmultiplecontinuing\n",
    );
    let unknown = "{\"options\":[\"a\"],\"method\":\"dictator\",\"ballots\":[]}";
    assert_eq!(count_text(unknown, &[]).0, 1);
    assert_eq!(count_text(unknown, &["--method", "irv"]).0, 0);
    assert_eq!(run(&["count", "nowhere.blt"]).code, 1);
    assert_eq!(run(&["count"]).code, 2);
}

/// What is exported of a poll and counted has the result that the poll shows.
#[track_caller]
fn check_round_trip(create: &[&str], ballots: &[&str], formats: &[&str]) {
    let server = Server::start(&[]);
    let created =
        server.run(&[&["poll", "create", "Q?", "Ada", "Bob", "Cyd", "--open", "--id", "p"], create].concat());
    assert_eq!(created.code, 0, "{}", created.stderr);
    let line = |(number, ballot)| format!("{{\"voterId\":\"secret{number}\",\"ballot\":{ballot}}}\n");
    server.file("votes.jsonl", &ballots.iter().enumerate().map(line).collect::<String>());
    assert_eq!(server.run(&["import", "votes.jsonl", "--poll", "p"]).code, 0);
    let results = server.json(&["results", "p"]);
    for format in formats {
        let exported = server.run(&["export", "p", "--format", format]);
        assert_eq!(exported.code, 0, "{format}: {}", exported.stderr);
        assert!(!exported.stdout.contains("secret"), "{format} names a voter");
        let (code, stdout, stderr) = count_text(
            &exported.stdout,
            &["--json", "--method", results["method"]["type"].as_str().unwrap()],
        );
        assert_eq!(code, 0, "{format}: {stderr}");
        let counted: Value = serde_json::from_str(&stdout).unwrap();
        for option in results["options"].as_array().unwrap() {
            let votes = &counted["rounds"][0]["tally"][option["label"].as_str().unwrap()];
            assert_eq!(fraction(votes), fraction(&option["votes"]), "{format}: {option}");
        }
        let labels = |ids: &Value| -> BTreeSet<String> {
            let options = results["options"].as_array().unwrap().iter();
            let winners = options.filter(|option| ids.as_array().unwrap().contains(&option["id"]));
            winners.map(|option| option["label"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(texts(&counted["winners"]), labels(&results["winners"]), "{format}");
        assert_eq!(texts(&counted["tied"]), labels(&results["tied"]), "{format}");
    }
}

#[test]
fn an_exported_poll_counts_as_the_poll() {
    let choices = [r#"{"choice":"ada"}"#, r#"{"choice":"bob"}"#, r#"{"choice":"bob"}"#];
    check_round_trip(&[], &choices, &["election", "blt", "abif"]);
    check_round_trip(&[], &choices[..2], &["election", "blt", "abif"]);
    let approvals = [r#"{"choices":["ada","cyd"]}"#, r#"{"choices":[]}"#, r#"{"choices":["cyd"]}"#];
    check_round_trip(&["--method", "approval"], &approvals, &["election", "abif"]);
}
