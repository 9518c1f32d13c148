//! Elections with known outcomes, sent as votes: one request a ballot, a batch, a file.
//!
//! Ballots that rank options are sent as votes for the option ranked first. The expected figures are the files' own:
//! the first round of a run-off, else the number of ballots that put an option first.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use super::{Bench, Verdict, books::votes_for};
use crate::{
    load::{self, Load, Pace},
    outcome::{Context, Outcome, ensure},
    server::{ADMIN_KEY, Server, free_address},
    shell,
};

/// The largest one, which is also sent as a batch and as a file.
const LARGEST: &str = "real_alaska_2022_special_house";

/// An election as votes for one option each.
struct Election {
    name: String,
    path: PathBuf,
    options: Vec<String>,
    /// Option and number of ballots, in the file's order.
    ballots: Vec<(usize, u64)>,
    expected: Vec<u64>,
}

impl Election {
    /// Reads a file; none if its ballots name no single first option.
    fn read(path: &Path) -> Outcome<Option<Self>> {
        let text = std::fs::read_to_string(path).context(path.display())?;
        let file: Value = serde_json::from_str(&text).context(path.display())?;
        let options: Vec<String> =
            list(&file["options"]).iter().map(|name| name.as_str().unwrap_or_default().to_owned()).collect();
        let rows = list(&file["ballots"]);
        let Some(ballots) = rows.iter().map(first_choice).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let is_empty_by_intent = ballots.is_empty() && file["pairwise_input"].is_null();
        if ballots.is_empty() && !is_empty_by_intent {
            return Ok(None);
        }
        let expected = expected(&file, &ballots, options.len())?;
        let name = file["name"].as_str().unwrap_or_default().to_owned();
        Ok(Some(Self { name, path: path.to_owned(), options, ballots, expected }))
    }

    fn votes(&self) -> u64 {
        self.expected.iter().sum()
    }

    fn poll(&self) -> Value {
        let options: Vec<_> = self
            .options
            .iter()
            .enumerate()
            .map(|(index, label)| json!({"id": index.to_string(), "label": label}))
            .collect();
        json!({
            "id": self.name, "title": self.name, "options": options, "method": {"type": "plurality"}, "status": "open"
        })
    }

    /// The body of each vote, one a ballot.
    fn bodies(&self) -> impl Iterator<Item = String> {
        let ballots = self.ballots.iter().flat_map(|(option, count)| (0..*count).map(move |_| option));
        ballots.enumerate().map(|(number, option)| {
            format!(r#"{{"voterId":"ballot-{number}","ballot":{{"choice":"{option}"}}}}"#)
        })
    }

    /// Fails unless the server counts what the file expects.
    fn must_count(&self, server: &Server, poll: &str) -> Outcome {
        let results = server.client().get(&format!("/v1/polls/{poll}/results"))?.json();
        let by_label = |label: &String| {
            let found = list(&results["options"]).iter().find(|option| option["label"] == label.as_str());
            found.and_then(|option| option["id"].as_str()).map_or(0, |id| votes_for(&results, id))
        };
        let counted: Vec<_> = self.options.iter().map(by_label).collect();
        ensure(counted == self.expected, || {
            format!("{poll}: counted {counted:?}, expected {:?}", self.expected)
        })
    }
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A row's first option and its count. A first rank that is skipped leaves the next; one that is shared fits no vote.
fn first_choice(row: &Value) -> Option<(usize, u64)> {
    let ranks =
        row["ranking"].as_array().or_else(|| row["choices"].as_array().filter(|ids| ids.len() == 1))?;
    let first = ranks.iter().find(|rank| !rank.is_null())?;
    let has_weight = !row["weight"].is_null();
    (!has_weight).then_some((usize::try_from(first.as_u64()?).ok()?, row["count"].as_u64()?))
}

/// First preferences as the file tells them; where it tells none, as its ballots do.
fn expected(file: &Value, ballots: &[(usize, u64)], options: usize) -> Outcome<Vec<u64>> {
    let mut own = vec![0; options];
    for (option, count) in ballots {
        *own.get_mut(*option).ok_or("a ballot names an option that is not there")? += count;
    }
    let first_round = &file["expected"]["rounds"][0]["tally"];
    if file["method"] != "irv" || first_round.is_null() {
        return Ok(own);
    }
    let told = (0..options).map(|index| first_round[index.to_string()].as_u64().unwrap_or(0));
    Ok(told.collect())
}

/// Where elections lie, if they do.
pub(super) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("CANVASS_ELECTIONS")
        .map_or_else(|| shell::root().join("../shared/elections"), PathBuf::from);
    folder.is_dir().then_some(folder)
}

pub(super) fn absent() -> Verdict {
    Verdict::Absent("no elections; name their folder in CANVASS_ELECTIONS".into())
}

fn read_all(folder: &Path) -> Outcome<(Vec<Election>, usize)> {
    let (mut elections, mut unfit) = (Vec::new(), 0);
    for kind in ["own", "third-party"] {
        let mut files: Vec<_> = std::fs::read_dir(folder.join(kind))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.sort();
        for file in files {
            match Election::read(&file)? {
                Some(election) => elections.push(election),
                None => unfit += 1,
            }
        }
    }
    Ok((elections, unfit))
}

fn largest(folder: &Path) -> Outcome<Election> {
    let path = folder.join("own").join(format!("{LARGEST}.json"));
    Ok(Election::read(&path)?.ok_or("the largest election does not fit")?)
}

pub(super) fn start(bench: &Bench<'_>) -> Outcome<Server> {
    bench.program.start(&bench.directory.join("data"), free_address()?)
}

/// Every election that fits, one request a ballot.
pub(super) fn one_vote_a_ballot(bench: &Bench<'_>) -> Outcome<Verdict> {
    let Some(folder) = folder() else { return Ok(absent()) };
    let (elections, unfit) = read_all(&folder)?;
    let server = start(bench)?;
    for election in &elections {
        make(&server, election)?;
        send_singly(&server, election)?;
        election.must_count(&server, &election.name)?;
    }
    let votes: u64 = elections.iter().map(Election::votes).sum();
    Ok(Verdict::Held(format!(
        "{} elections, {votes} ballots, a request each: all counts as expected; {unfit} have other ballots",
        elections.len()
    )))
}

fn make(server: &Server, election: &Election) -> Outcome {
    let answer = server.client().post("/v1/polls", &election.poll())?;
    ensure(answer.status == 201, || format!("{}: {}", election.name, answer.shown()))
}

fn send_singly(server: &Server, election: &Election) -> Outcome {
    let mut bodies = election.bodies();
    let path = format!("/v1/polls/{}/votes", election.name);
    let mut next = |into: &mut Vec<u8>| {
        let Some(body) = bodies.next() else { return false };
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {ADMIN_KEY}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        into.extend_from_slice(head.as_bytes());
        into.extend_from_slice(body.as_bytes());
        true
    };
    let load = Load {
        address: server.address,
        connections: 64,
        pace: Pace::Closed,
        warm_up: Duration::ZERO,
        measured: None,
    };
    let measured = load::run(&load, &mut next)?;
    ensure(measured.refused == 0 && measured.created == election.votes(), || {
        format!("{}: {} votes recorded, {:?}", election.name, measured.created, measured.first_refusal)
    })
}

/// The largest election through the batch route, twice: the second time every ballot is there already.
pub(super) fn batch_twice(bench: &Bench<'_>) -> Outcome<Verdict> {
    let Some(folder) = folder() else { return Ok(absent()) };
    let election = largest(&folder)?;
    let server = start(bench)?;
    make(&server, &election)?;
    let mut body = String::new();
    election.bodies().for_each(|vote| {
        body.push_str(&vote);
        body.push('\n');
    });
    for expected in [201, 409] {
        let path = format!("/v1/polls/{LARGEST}/votes/batch");
        let answer = server.client().send(
            "POST",
            &path,
            &[("content-type", "application/x-ndjson")],
            body.as_bytes(),
        )?;
        let wanted = format!("\"status\":{expected}");
        let answered = memchr::memmem::find_iter(&answer.body, &wanted).count() as u64;
        ensure(answered == election.votes(), || format!("{answered} lines were answered {expected}"))?;
        election.must_count(&server, LARGEST)?;
    }
    Ok(Verdict::Held(format!(
        "{} ballots in a batch, twice: 201 and then 409, the same result",
        election.votes()
    )))
}

/// The largest election by `canvass import`, twice.
pub(super) fn import_twice(bench: &Bench<'_>) -> Outcome<Verdict> {
    const POLL: &str = "imported";
    let Some(folder) = folder() else { return Ok(absent()) };
    let election = largest(&folder)?;
    let server = start(bench)?;
    for _ in 0..2 {
        let mut command = Command::new(bench.program.path());
        command.arg("import").arg(&election.path).args(["--poll", POLL, "--create", "--first-preferences"]);
        command.env("CANVASS_SERVER", format!("http://{}", server.address)).env("CANVASS_KEY", ADMIN_KEY);
        let output = command.stdin(Stdio::null()).output().context("canvass import")?;
        ensure(output.status.success(), || {
            format!(
                "canvass import ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            )
        })?;
        election.must_count(&server, POLL)?;
    }
    Ok(Verdict::Held(format!("{} ballots by `canvass import`, twice: the same result", election.votes())))
}
