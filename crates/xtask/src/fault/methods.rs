//! Elections with known outcomes, imported into polls of their own methods and counted there: winners and rounds.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{
    Bench, Verdict,
    elections::{absent, folder, list, start},
};
use crate::{
    outcome::{Context, Outcome, ensure},
    server::{ADMIN_KEY, Server},
};

/// Every election that a poll can hold.
pub(super) fn by_their_methods(bench: &Bench<'_>) -> Outcome<Verdict> {
    let Some(folder) = folder() else { return Ok(absent()) };
    let server = start(bench)?;
    let (mut counted, mut unfit) = (0, 0);
    for kind in ["own", "third-party"] {
        for entry in std::fs::read_dir(folder.join(kind))? {
            let path = entry?.path();
            let election: Value = serde_json::from_slice(&std::fs::read(&path)?).context(path.display())?;
            if is_fit(&election) {
                counted += 1;
                import(bench, &server, &path, &election)?;
                compare(&server, &election)?;
            } else {
                unfit += 1;
            }
        }
    }
    Ok(Verdict::Held(format!(
        "{counted} elections by their own methods: winners and rounds as known; {unfit} cannot be polls"
    )))
}

/// Whether a poll can hold it: its method is one of polls, and its ballots are known and mark what a vote can.
fn is_fit(election: &Value) -> bool {
    let rows = list(&election["ballots"]);
    election["method"] != "stv_wigm_rctab"
        && election["pairwise_input"].is_null()
        && !election["ballots"].to_string().contains("overvote")
        && !rows.iter().any(repeats)
}

/// Whether a ballot ranks an option again.
fn repeats(row: &Value) -> bool {
    let mut seen = BTreeSet::new();
    let one = |rank: &Value| rank.as_array().cloned().unwrap_or_else(|| vec![rank.clone()]);
    let mut marked = list(&row["ranking"]).iter().flat_map(one).filter_map(|option| option.as_u64());
    marked.any(|option| !seen.insert(option))
}

fn import(bench: &Bench<'_>, server: &Server, path: &Path, election: &Value) -> Outcome {
    let mut command = Command::new(bench.program.path());
    command.arg("import").arg(path).args(["--create", "--poll"]).arg(name(election));
    command.env("CANVASS_SERVER", format!("http://{}", server.address)).env("CANVASS_KEY", ADMIN_KEY);
    let output = command.stdin(Stdio::null()).output().context("canvass import")?;
    // A ballot that its method does not allow is refused when it is cast.
    let refuses = election["expected"]["counts"]["rejected_ballots"].as_u64().is_some_and(|count| count > 0);
    ensure(output.status.code() == Some(i32::from(refuses)), || {
        format!("{}: {}", name(election), String::from_utf8_lossy(&output.stderr))
    })
}

fn name(election: &Value) -> &str {
    election["name"].as_str().unwrap_or_default()
}

fn compare(server: &Server, election: &Value) -> Outcome {
    let results = server.client().get(&format!("/v1/polls/{}/results", name(election)))?.json();
    let expected = &election["expected"];
    let ids: Vec<&str> =
        list(&results["options"]).iter().filter_map(|option| option["id"].as_str()).collect();
    let known = |field: &str| -> BTreeSet<&str> {
        let indexes = list(&expected[field]).iter().filter_map(Value::as_u64);
        indexes.filter_map(|index| ids.get(usize::try_from(index).ok()?).copied()).collect()
    };
    let found =
        |field: &str| -> BTreeSet<&str> { list(&results[field]).iter().filter_map(Value::as_str).collect() };
    // Where the known outcome hangs on a lot that was drawn elsewhere, the poll leaves the tie open.
    let is_open = list(&results["ties"]).iter().any(|tie| tie["by"] == "open") && known("tied").is_empty();
    let is_same = if is_open {
        found("winners").is_subset(&known("winners"))
    } else {
        found("winners") == known("winners") && found("tied") == known("tied")
    };
    ensure(is_same, || format!("{}: {results}", name(election)))?;
    let rounds = list(&expected["rounds"]);
    if rounds.is_empty() || is_open || !expected["tolerance"].is_null() {
        return Ok(());
    }
    ensure(list(&results["rounds"]).len() == rounds.len(), || format!("{}: {results}", name(election)))?;
    for (found, known) in list(&results["rounds"]).iter().zip(rounds) {
        for (option, votes) in known["tally"].as_object().into_iter().flatten() {
            let id = ids.get(option.parse::<usize>()?).ok_or("a round names an option that is not there")?;
            let is_same = number(&found["tally"][*id]) == number(votes);
            ensure(is_same, || format!("{}: {} is not {votes}", name(election), found["tally"][*id]))?;
        }
    }
    Ok(())
}

/// A figure in hundred-thousandths, to which all of them are exact.
fn number(figure: &Value) -> Option<i128> {
    let text = figure.as_str().map_or_else(|| figure.to_string(), str::to_owned);
    let (whole, places) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}{places:0<5.5}").parse().ok()
}
