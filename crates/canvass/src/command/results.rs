//! `canvass results`: a poll's results once, or for as long as they change.

use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;
use http::{Method, StatusCode};
use serde_json::Value;

use crate::{
    cli::Access,
    client::{Client, Outcome, segment},
    failure::Failure,
    limits::{RETRY_WAIT_MAX, WATCH_PERIOD},
    output,
};

/// Characters of the longest bar.
const BAR_CHARACTERS: usize = 40;

#[derive(Debug, Args)]
pub(crate) struct ResultsArgs {
    /// The poll's id
    poll: String,
    /// Show them anew whenever they change, until they are final
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    access: Access,
}

pub(crate) async fn run(args: ResultsArgs) -> Result<(), Failure> {
    let mut client = args.access.client()?;
    let path = format!("/v1/polls/{}/results", segment(&args.poll));
    if args.watch {
        return watch(&mut client, &path, args.access.json).await;
    }
    let answer = client.get(&path).await?;
    if args.access.json {
        return Ok(output::answer(&answer)?);
    }
    Ok(io::stdout().lock().write_all(picture(&answer.json()?).as_bytes())?)
}

/// Asks by ETag, so that an unchanged result costs the server next to nothing.
async fn watch(client: &mut Client, path: &str, json: bool) -> Result<(), Failure> {
    let mut screen = Screen { redraws: !json && io::stdout().is_terminal(), lines: 0 };
    let mut tag = String::new();
    loop {
        let outcome = client.exchange(Method::GET, path, &[("if-none-match", &tag)], None).await;
        let wait = match outcome {
            Outcome::Done(answer) if answer.status == StatusCode::NOT_MODIFIED => WATCH_PERIOD,
            Outcome::Done(answer) => {
                let results = answer.json()?;
                if json {
                    output::answer(&answer)?;
                } else {
                    screen.show(&results)?;
                }
                if results["final"] == Value::Bool(true) {
                    return Ok(());
                }
                answer.header("etag").unwrap_or_default().clone_into(&mut tag);
                WATCH_PERIOD
            }
            Outcome::Refused(problem) => match problem.retry_after {
                Some(wait) => wait.min(RETRY_WAIT_MAX),
                None => return Err(problem.into()),
            },
            // Whoever watches an evening long outlasts a restart of the server.
            Outcome::Lost(_) if !tag.is_empty() => WATCH_PERIOD.saturating_mul(4),
            Outcome::Lost(lost) => return Err(client.lost(&lost)),
        };
        tokio::time::sleep(wait).await;
    }
}

/// Where results are shown: drawn over the ones before on a terminal, else a line for each.
struct Screen {
    redraws: bool,
    lines: usize,
}

impl Screen {
    fn show(&mut self, results: &Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if !self.redraws {
            writeln!(out, "{}", summary(results))?;
            return out.flush();
        }
        if self.lines > 0 {
            // Up to the first line, and clear from there.
            write!(out, "\x1b[{}A\x1b[J", self.lines)?;
        }
        let picture = picture(results);
        self.lines = picture.lines().count();
        write!(out, "{picture}")?;
        out.flush()
    }
}

fn summary(results: &Value) -> String {
    let option =
        |option: &Value| format!("{} {}", output::text(&option["id"]), output::text(&option["votes"]));
    let options: Vec<_> = options(results).map(option).collect();
    format!(
        "{} sequence {}: {}; {}",
        output::text(&results["updatedAt"]),
        results["sequence"],
        output::counted(results["votes"].as_u64().unwrap_or(0), "vote"),
        options.join(", "),
    )
}

fn options(results: &Value) -> impl Iterator<Item = &Value> {
    results["options"].as_array().into_iter().flatten()
}

/// The results as bars; the longest is the option with the most votes.
fn picture(results: &Value) -> String {
    let votes = output::counted(results["votes"].as_u64().unwrap_or(0), "vote");
    let heading = format!(
        "{}\n{} · {votes} · sequence {}\n",
        output::text(&results["title"]),
        output::text(&results["status"]),
        results["sequence"],
    );
    if results["visible"] == Value::Bool(false) {
        return format!("{heading}The count may not be seen yet.\n");
    }
    let label_width =
        options(results).map(|option| output::text(&option["label"]).chars().count()).max().unwrap_or(0);
    let votes_width = options(results).map(|option| output::text(&option["votes"]).len()).max().unwrap_or(0);
    let share_max = options(results).map(share).fold(0.0, f64::max);
    let row = |option: &Value| {
        format!(
            "  {}  {}  {:>votes_width$}  {:>5.1} %\n",
            output::pad(&output::text(&option["label"]), label_width),
            output::pad(&bar(share(option), share_max), BAR_CHARACTERS),
            output::text(&option["votes"]),
            share(option) * 100.0,
        )
    };
    heading
        + &options(results).map(row).collect::<String>()
        + &totals(results)
        + &rounds(results)
        + &outcome(results)
}

/// What each option was given in all, where the method adds that up.
fn totals(results: &Value) -> String {
    let rows = options(results).filter(|option| !option["total"].is_null()).map(|option| {
        let mean = option["mean"].as_str().map(|mean| format!(", mean {mean}")).unwrap_or_default();
        format!("  {}: {}{mean}\n", output::text(&option["label"]), output::text(&option["total"]))
    });
    let rows: String = rows.collect();
    if rows.is_empty() { rows } else { format!("Total\n{rows}") }
}

/// The rounds of a count, one below the other: each option that is left with its votes and what became of it.
fn rounds(results: &Value) -> String {
    results["rounds"]
        .as_array()
        .into_iter()
        .flatten()
        .zip(1..)
        .map(|(round, number)| picture_round(results, round, number))
        .collect()
}

fn picture_round(results: &Value, round: &Value, number: usize) -> String {
    let threshold = round["threshold"].as_str().map(|votes| format!(", {votes} elects")).unwrap_or_default();
    let left: Vec<_> = options(results)
        .filter_map(|option| Some((option, round["tally"].get(option["id"].as_str()?)?)))
        .map(|(option, votes)| (output::text(&option["label"]), output::text(votes), option["id"].as_str()))
        .collect();
    let label_width = left.iter().map(|(label, ..)| label.chars().count()).max().unwrap_or(0);
    let votes_width = left.iter().map(|(_, votes, _)| votes.len()).max().unwrap_or(0);
    let row = |(label, votes, id): &(String, String, Option<&str>)| {
        let names =
            |field: &str| round[field].as_array().into_iter().flatten().any(|named| named.as_str() == *id);
        let fate = match (names("elected"), names("eliminated")) {
            (true, _) if round["because"][id.unwrap_or_default()] == "finalist" => "  goes on",
            (true, _) => "  elected",
            (_, true) => "  eliminated",
            _ => "",
        };
        format!("  {}  {votes:>votes_width$}{fate}\n", output::pad(label, label_width))
    };
    let ties = results["ties"].as_array().into_iter().flatten().filter(|tie| tie["round"] == number);
    let ties = ties.map(|tie| {
        let list = |field: &str| {
            tie[field]
                .as_array()
                .into_iter()
                .flatten()
                .map(|id| label(results, id))
                .collect::<Vec<_>>()
                .join(", ")
        };
        match tie["by"].as_str() {
            Some("open") | None => format!("  Tied: {}\n", list("tied")),
            Some(by) => format!("  Tied: {}; {} by {by}\n", list("tied"), list("chosen")),
        }
    });
    format!(
        "Round {number}{threshold}\n{}{}{}",
        left.iter().map(row).collect::<String>(),
        inactive(&round["inactive"]),
        ties.collect::<String>()
    )
}

/// Votes that no longer count, where there are any.
fn inactive(votes: &Value) -> String {
    let kinds = [
        ("exhaustedChoices", "no option left"),
        ("overvotes", "overvote"),
        ("skippedRankings", "skipped ranks"),
        ("residual", "lost to rounding"),
    ];
    let is_some = |votes: &Value| {
        votes.as_str().is_some_and(|votes| votes.bytes().any(|byte| (b'1'..=b'9').contains(&byte)))
    };
    let shown: Vec<_> = kinds
        .iter()
        .filter(|(kind, _)| is_some(&votes[kind]))
        .map(|(kind, name)| format!("{name} {}", output::text(&votes[kind])))
        .collect();
    if shown.is_empty() { String::new() } else { format!("  Inactive: {}\n", shown.join(", ")) }
}

/// An option's label by its id.
fn label(results: &Value, id: &Value) -> String {
    let named = options(results).find(|option| option["id"] == *id);
    output::text(named.map_or(id, |option| &option["label"]))
}

fn share(option: &Value) -> f64 {
    option["share"].as_f64().unwrap_or(0.0)
}

/// A bar in eighths of a character.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a few hundred eighths"
)]
fn bar(share: f64, share_max: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if share_max <= 0.0 {
        return String::new();
    }
    let eighths = (share / share_max * (BAR_CHARACTERS * 8) as f64).round() as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

fn outcome(results: &Value) -> String {
    let list = |field: &str| -> Vec<String> {
        results[field].as_array().into_iter().flatten().map(|id| label(results, id)).collect()
    };
    let (winners, tied) = (list("winners"), list("tied"));
    let leads = if results["final"] == Value::Bool(true) { "Elected" } else { "Ahead" };
    let part = |name: &str, labels: &[String]| match labels {
        [] => String::new(),
        _ => format!("{name}: {}\n", labels.join(", ")),
    };
    part(leads, &winners) + &part("Tied", &tied)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bars_are_in_proportion() {
        let option = |id, votes, share| json!({"id": id, "label": id, "votes": votes, "share": share});
        let results = json!({
            "title": "Lunch?", "status": "open", "votes": 3, "sequence": 5, "visible": true, "final": false,
            "options": [option("pizza", 2, 0.666_667), option("soup", 1, 0.333_333)],
            "winners": ["pizza"], "tied": [],
        });
        let expected = format!(
            "Lunch?\nopen · 3 votes · sequence 5\n  pizza  {}  2   66.7 %\n  soup   {}{}  1   33.3 %\nAhead: pizza\n",
            "█".repeat(40),
            "█".repeat(20),
            " ".repeat(20),
        );
        assert_eq!(picture(&results), expected);
    }

    #[test]
    fn rounds_tell_what_became_of_whom() {
        let option = |id: &str, total| json!({"id": id, "label": id.to_uppercase(), "votes": 1, "share": 0.5, "total": total});
        let results = json!({
            "title": "T", "status": "open", "votes": 2, "sequence": 5, "visible": true, "final": false,
            "options": [option("a", "2"), option("b", "1.5")],
            "rounds": [{
                "tally": {"a": "1", "b": "1"}, "threshold": "2", "elected": [], "eliminated": ["b"], "because": {},
                "inactive": {"exhaustedChoices": "1", "overvotes": "0", "skippedRankings": "0", "residual": "0.00"},
            }],
            "ties": [{"round": 1, "tied": ["a", "b"], "chosen": ["b"], "by": "lot"}],
            "winners": [], "tied": [],
        });
        let expected = "Total\n  A: 2\n  B: 1.5\nRound 1, 2 elects\n  A  1\n  B  1  eliminated\n  \
                        Inactive: no option left 1\n  Tied: A, B; B by lot\n";
        assert!(picture(&results).ends_with(expected), "{}", picture(&results));
    }
}
