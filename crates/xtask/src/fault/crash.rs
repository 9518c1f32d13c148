//! Load, and kill -9 at random moments.

use std::{
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{
    Bench, Verdict,
    books::{Acknowledged, Books, Vote, keep_trying, make_poll},
};
use crate::{
    http::Client,
    outcome::{Outcome, ensure},
    random::Random,
    server::{ADMIN_KEY, Server, free_address},
};

const POLL: &str = "killed";
/// Voters that send one vote a request, each on a connection of its own.
const VOTERS: u64 = 6;
/// Senders of batches.
const BATCHERS: u64 = 2;
/// Votes of a batch.
const BATCH_VOTES: u64 = 300;
/// Milliseconds that a server lives at most.
const LIFE_MS_MAX: u64 = 500;

/// What one sender came to.
#[derive(Default)]
struct Sender {
    acknowledged: Vec<Acknowledged>,
    sent_again: u64,
    replayed: u64,
}

/// Kills the server again and again while votes arrive; every vote is sent until it is acknowledged.
pub(super) fn kill_rounds(bench: &Bench<'_>) -> Outcome<Verdict> {
    let data = bench.directory.join("data");
    let address = free_address()?;
    let server = bench.program.start(&data, address)?;
    make_poll(&mut server.client(), POLL, "never")?;
    let stop = AtomicBool::new(false);
    let mut random = Random::from_clock();
    let (senders, server) = thread::scope(|scope| {
        let stop = &stop;
        let singles = (0..VOTERS).map(|number| scope.spawn(move || vote_until(stop, address, number)));
        let batches =
            (0..BATCHERS).map(|number| scope.spawn(move || send_batches_until(stop, address, number)));
        let senders: Vec<_> = singles.chain(batches).collect();
        let survivor = kill_again_and_again(bench, server, &data, &mut random);
        stop.store(true, Ordering::Relaxed);
        let senders = senders.into_iter().map(|sender| sender.join().expect("a sender does not panic"));
        Outcome::Ok((senders.collect::<Outcome<Vec<_>>>(), survivor?))
    })?;
    let senders = senders?;
    let books = balance(&senders, &mut server.client())?;
    let sum = |figure: fn(&Sender) -> u64| senders.iter().map(figure).sum::<u64>();
    Ok(Verdict::Held(format!(
        "{} rounds of kill -9: {books}; {} requests sent again, {} answers replayed",
        bench.options.rounds,
        sum(|sender| sender.sent_again),
        sum(|sender| sender.replayed)
    )))
}

/// Kills a server at random moments, those in which it starts included; gives the last one, ready.
fn kill_again_and_again(
    bench: &Bench<'_>,
    mut server: Server,
    data: &Path,
    random: &mut Random,
) -> Outcome<Server> {
    let address = server.address;
    for _ in 0..bench.options.rounds {
        thread::sleep(Duration::from_millis(random.below(LIFE_MS_MAX)));
        ensure(!server.has_ended()?, || format!("the server ended by itself:\n{}", server.log()))?;
        server.kill()?;
        server = bench.program.start_under(&[], data, address)?;
    }
    server.until_ready()
}

fn balance(senders: &[Sender], client: &mut Client) -> Outcome<Books> {
    let acknowledged: Vec<_> =
        senders.iter().flat_map(|sender| sender.acknowledged.iter().cloned()).collect();
    let books = Books::compare(client, POLL, &acknowledged)?;
    books.must_balance()?;
    Ok(books)
}

fn vote_until(stop: &AtomicBool, address: SocketAddr, sender: u64) -> Outcome<Sender> {
    let mut client = Client::new(address, ADMIN_KEY);
    let mut done = Sender::default();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let vote = Vote::numbered(&format!("s{sender}-"), number);
        let (answer, again) = keep_trying(|| vote.send(&mut client, POLL))?;
        ensure(answer.status == 201, || format!("a vote was answered {}", answer.shown()))?;
        done.sent_again += u64::from(again);
        done.replayed += u64::from(answer.header("idempotency-replayed") == Some("true"));
        done.acknowledged.push(Acknowledged::new(vote.clone(), &answer.json())?);
        if number.is_multiple_of(5) {
            let (replay, _) = keep_trying(|| vote.send(&mut client, POLL))?;
            let is_same = replay.status == 201 && replay.body == answer.body;
            ensure(is_same, || format!("the same key gave {} and then {}", answer.shown(), replay.shown()))?;
            done.replayed += 1;
        }
    }
    Ok(done)
}

fn send_batches_until(stop: &AtomicBool, address: SocketAddr, sender: u64) -> Outcome<Sender> {
    let mut client = Client::new(address, ADMIN_KEY);
    let mut done = Sender::default();
    for batch in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let numbers = batch * BATCH_VOTES..(batch + 1) * BATCH_VOTES;
        let votes: Vec<_> = numbers.map(|number| Vote::numbered(&format!("b{sender}-"), number)).collect();
        let (answers, again) = send_batch(&mut client, &votes)?;
        done.sent_again += u64::from(again);
        for (vote, answer) in votes.into_iter().zip(&answers) {
            done.acknowledged.push(Acknowledged::new(vote, answer)?);
        }
    }
    Ok(done)
}

/// Sends a batch until every line of it is answered 201, in one answer.
fn send_batch(client: &mut Client, votes: &[Vote]) -> Outcome<(Vec<Value>, u32)> {
    let body: String = votes.iter().map(Vote::line).collect();
    let path = format!("/v1/polls/{POLL}/votes/batch");
    let headers = [("content-type", "application/x-ndjson")];
    for again in 0..1_000 {
        let (answer, tries) = keep_trying(|| client.send("POST", &path, &headers, body.as_bytes()))?;
        let answers: Vec<Value> = answer
            .body
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        let all = |status: u64| answers.iter().all(|one| one["status"] == status);
        if answers.len() == votes.len() && all(201) {
            return Ok((answers, again + tries));
        }
        let is_busy = |one: &Value| one["status"] == 201 || one["status"] == 503;
        ensure(answers.iter().all(is_busy), || format!("a batch was answered {}", answer.shown()))?;
    }
    Err("a batch was never accepted as a whole".into())
}
