//! `canvass demo`: a server with four lively polls, whose voters come in waves, in a directory that goes with it.

use std::{net::SocketAddr, thread, time::Duration};

use clap::Args;
use http::Method;
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::SmallRng};
use serde_json::{Value, json};

use crate::{
    client::Client,
    config::Settings,
    edge,
    failure::Failure,
    logging, output,
    start::{Server, raise_file_limit, stop_signal},
};

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(
        long,
        env = "CANVASS_LISTEN",
        hide_env_values = true,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080"
    )]
    listen: SocketAddr,
}

/// How often voters come.
const PERIOD: Duration = Duration::from_millis(250);
/// Voters that come in one period at the height of a wave, over all polls.
const VOTERS_MAX: f64 = 3.0;
/// Seconds from one wave to the next.
const WAVE_SECONDS: f64 = 40.0;

pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let directory = tempfile::Builder::new().prefix("canvass-demo-").tempdir();
    let directory = directory.map_err(|error| Failure::failed(format!("no temporary directory: {error}")))?;
    let settings = Settings::demo(directory.path().to_owned(), args.listen);
    logging::start(&settings)?;
    raise_file_limit();
    let server = Server::start(&settings)?;
    let (url, key) = (server.url(), server.made_key.clone());
    // The voters end with the program.
    thread::spawn(move || live(&url, key.as_deref()));
    server.run(stop_signal()).map(|_| ())
}

fn greet(url: &str, key: &str) -> std::io::Result<()> {
    output::line(format_args!("A demonstration runs on {url} until Ctrl-C. Its data go with it."))?;
    for poll in polls() {
        output::line(format_args!("  {}  {url}/p/{}/results", output::pad(poll.title, 34), poll.id))?;
    }
    output::line(format_args!(
        "\nWatch one:   canvass results lunch --watch --server {url}\nThe console: {url}/console, signed in with the admin key\nAdmin key:   {key}\nThe API:     {url}/docs"
    ))
}

/// One of the demonstration's polls, with what its voters tend to.
struct Lively {
    id: &'static str,
    title: &'static str,
    method: &'static str,
    options: &'static [(&'static str, &'static str, f64)],
    /// Each of these with its values.
    demographics: &'static [(&'static str, &'static [&'static str])],
}

fn polls() -> [Lively; 4] {
    [
        Lively {
            id: "lunch",
            title: "What is for lunch?",
            method: "plurality",
            options: &[
                ("pizza", "Pizza", 5.0),
                ("curry", "Curry", 4.0),
                ("soup", "Soup of the day", 2.0),
                ("salad", "Salad", 1.5),
            ],
            demographics: &[],
        },
        Lively {
            id: "talks",
            title: "Which talks shall be repeated?",
            method: "approval",
            options: &[
                ("ledgers", "Ledgers that cannot lie", 3.0),
                ("ties", "A tie is a result", 2.5),
                ("queues", "Queues all the way down", 2.0),
                ("lunch", "Lunch as a distributed system", 1.0),
            ],
            demographics: &[],
        },
        Lively {
            id: "trip",
            title: "Where does the club's trip go?",
            method: "irv",
            options: &[
                ("coast", "To the coast", 4.0),
                ("mountains", "To the mountains", 3.5),
                ("museum", "To the museum", 2.0),
                ("home", "Nowhere", 1.0),
            ],
            demographics: &[],
        },
        Lively {
            id: "square",
            title: "What becomes of the town square?",
            method: "plurality",
            options: &[("trees", "Trees", 4.0), ("market", "A market", 3.5), ("parking", "Parking", 2.0)],
            demographics: &[
                ("ageGroup", &["16-24", "25-44", "45-64", "65+"]),
                ("district", &["North", "East", "South", "West"]),
            ],
        },
    ]
}

/// Creates the polls, says where they are, and votes in them until the server is gone.
fn live(url: &str, key: Option<&str>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let outcome = runtime.block_on(async {
        let mut client = Client::new(url, key.map(str::to_owned))?;
        for poll in polls() {
            client.send_json(Method::POST, "/v1/polls", &creation(&poll)).await?;
        }
        // Only now is there something behind the addresses.
        greet(url, key.unwrap_or_default())?;
        vote_in_waves(&mut client).await
    });
    if let Err(failure) = outcome {
        tracing::info!(%failure, "the simulated voters have gone");
    }
}

async fn vote_in_waves(client: &mut Client) -> Result<(), Failure> {
    let mut random = SmallRng::from_seed(edge::random());
    let mut due = 0.0;
    for period in 0_u32.. {
        tokio::time::sleep(PERIOD).await;
        let seconds = f64::from(period) * PERIOD.as_secs_f64();
        let height = 0.55 + 0.45 * (seconds / WAVE_SECONDS * std::f64::consts::TAU).sin();
        due += VOTERS_MAX * height * random.random::<f64>();
        while due >= 1.0 {
            due -= 1.0;
            vote(client, &mut random, seconds).await?;
        }
    }
    Ok(())
}

async fn vote(client: &mut Client, random: &mut SmallRng, seconds: f64) -> Result<(), Failure> {
    let polls = polls();
    let poll = &polls[random.random_range(0..polls.len())];
    let request = json!({
        "voterId": format!("simulated-{:016x}", random.next_u64()),
        "ballot": ballot(poll, random, seconds),
        "demographics": demographics(poll, random),
    });
    client.send_json(Method::POST, &format!("/v1/polls/{}/votes", poll.id), &request).await.map(|_| ())
}

fn creation(poll: &Lively) -> Value {
    let options: Vec<_> =
        poll.options.iter().map(|(id, label, _)| json!({"id": id, "label": label})).collect();
    let demographics =
        poll.demographics.iter().map(|(name, values)| ((*name).to_owned(), json!(values))).collect();
    json!({
        "id": poll.id, "title": poll.title, "options": options, "method": {"type": poll.method},
        "access": "public", "demographics": Value::Object(demographics), "status": "open",
    })
}

/// Leanings drift with time, so that the lead changes now and then.
fn ballot(poll: &Lively, random: &mut SmallRng, seconds: f64) -> Value {
    let leaning = |index: u32, base: f64| base * (1.3 + (seconds / 30.0 + f64::from(index) * 1.7).sin());
    let leanings: Vec<f64> =
        (0..).zip(poll.options).map(|(index, (_, _, base))| leaning(index, *base)).collect();
    let most = leanings.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    if poll.method == "approval" {
        let approved = poll
            .options
            .iter()
            .zip(&leanings)
            .filter(|(_, leaning)| random.random::<f64>() < *leaning / most * 0.8);
        return json!({"choices": approved.map(|((id, ..), _)| *id).collect::<Vec<_>>()});
    }
    if poll.method == "irv" {
        let mut left: Vec<_> = poll.options.iter().map(|(id, ..)| *id).zip(leanings).collect();
        let ranks = random.random_range(1..=left.len());
        let ranking = (0..ranks).map(|_| {
            let chosen = draw(left.iter().map(|(_, leaning)| *leaning), random);
            left.remove(chosen).0
        });
        return json!({"ranking": ranking.collect::<Vec<_>>()});
    }
    json!({"choice": poll.options[draw(leanings.into_iter(), random)].0})
}

/// The place of one of several leanings, the likelier the larger it is.
fn draw(leanings: impl Iterator<Item = f64> + Clone, random: &mut SmallRng) -> usize {
    let mut left = random.random::<f64>() * leanings.clone().sum::<f64>();
    let mut leanings = leanings;
    let chosen = leanings.position(|leaning| {
        left -= leaning;
        left <= 0.0
    });
    chosen.unwrap_or(0)
}

fn demographics(poll: &Lively, random: &mut SmallRng) -> Value {
    let one = |(name, values): &(&str, &[&str])| {
        ((*name).to_owned(), json!(values[random.random_range(0..values.len())]))
    };
    Value::Object(poll.demographics.iter().map(one).collect())
}
