//! How many votes a second the local engine makes durable, without HTTP: what its own work costs.

use std::{sync::Arc, time::Instant};

use canvass_domain::{
    Ballot, PollId, Timestamp, VoteId, Weight,
    poll::{NewPoll, Status},
    vote::{Marked, Operation, VoteCommand},
};
use canvass_store::{
    Store, VoteOutcome,
    local::{LocalOptions, LocalStore},
};

const CHUNK: u64 = 1_024;
const IN_FLIGHT: usize = 4;

fn command(number: u64) -> VoteCommand {
    let random = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes();
    VoteCommand {
        voter: format!("voter-{number:012}").parse().expect("a voter's id"),
        operation: Operation::Cast,
        marked: Some(Marked {
            ballot: Ballot::Choices(vec![u16::from(number.is_multiple_of(3))]),
            weight: Weight::ONE,
            answers: Vec::new(),
        }),
        idempotency_key: None,
        vote_id: VoteId::from_random(random),
        salt: random,
        form: 1,
        code: None,
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement takes the time")]
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let votes: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(2_000_000);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let options = LocalOptions::new(directory.path(), [7; 16]);
    let clock = || Timestamp::from_microseconds(jiff::Timestamp::now().as_microsecond());
    let (store, _) = LocalStore::open(&options, Arc::new(clock)).expect("a new store");
    let store = Arc::new(store);
    let poll: PollId = "bench".parse().expect("a poll's id");
    let mut request = NewPoll::new("Bench", &["a", "b"]);
    request.status = Some(Status::Open);
    store.create_poll(request, poll.clone(), "bench").await.expect("a poll");
    let started = Instant::now();
    let mut flying = std::collections::VecDeque::new();
    for chunk in 0..votes / CHUNK {
        let commands = (0..CHUNK).map(|number| command(chunk * CHUNK + number)).collect();
        let (store, poll) = (Arc::clone(&store), poll.clone());
        flying.push_back(tokio::spawn(async move { store.vote(&poll, commands).await }));
        if flying.len() >= IN_FLIGHT {
            let answers = flying.pop_front().expect("one flies").await.expect("no panic").expect("answers");
            assert!(answers.iter().all(|answer| matches!(answer, Ok(VoteOutcome::Accepted(_)))));
        }
    }
    for flight in flying {
        flight.await.expect("no panic").expect("answers");
    }
    let taken = started.elapsed();
    let counted = store.tally(&poll).await.expect("a tally").tally.votes;
    println!("{counted} votes in {taken:.2?}: {:.0} a second", counted as f64 / taken.as_secs_f64());
    for (name, figure) in store.health().figures {
        println!("{name} {figure}");
    }
    let started = Instant::now();
    store.close();
    println!("closed in {:.2?}", started.elapsed());
    drop(store);
    let started = Instant::now();
    let (store, opened) = LocalStore::open(&options, Arc::new(clock)).expect("the store again");
    println!("opened {opened:?} in {:.2?}", started.elapsed());
    store.close();
}
