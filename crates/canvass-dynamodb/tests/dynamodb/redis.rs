//! Servers that share a Redis: nothing that it does makes a result wrong, and it is made up for when it is gone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use canvass_domain::{PollId, Sequence, key::Rate};
use canvass_dynamodb::{DynamoStore, Options};
use canvass_store::{
    Demand, Most, Snapshot, Store,
    conformance::{TestClock, World},
};
use tokio::time::Instant;

use crate::{
    proxy::{Fate, begin},
    redis_server::{Gate, RedisServer},
    support::{Tables, endpoint},
};

const POLL: &str = r#"{"title": "T", "options": [{"id": "a"}, {"id": "b"}], "status": "open",
    "demographics": {"age": null}}"#;
/// A poll that is created open has two events.
const EVENTS: u64 = 2;
/// How old a result may be: the window, the age in Redis, the age on the server and the time of a fold; and what a busy
/// machine adds.
const AGE_MAX: Duration = Duration::from_secs(6);

/// Votes that were acknowledged, and when.
#[derive(Default)]
struct Acknowledged(parking_lot::Mutex<Vec<Instant>>);

impl Acknowledged {
    fn note(&self) {
        self.0.lock().push(Instant::now());
    }

    fn before(&self, moment: Instant) -> usize {
        self.0.lock().iter().filter(|at| **at < moment).count()
    }
}

/// Two servers, each with a Redis behind a gate of its own.
struct Servers {
    redis: RedisServer,
    gates: [Gate; 2],
    stores: [Arc<DynamoStore>; 2],
    tables: Tables,
    world: World,
    poll: PollId,
}

impl Servers {
    async fn start() -> Self {
        Self::start_with(|options| options).await
    }

    async fn start_with(change: impl Fn(Options) -> Options) -> Self {
        let redis = RedisServer::start().await;
        let gates = [Gate::before(&redis).await, Gate::before(&redis).await];
        let (tables, clock) = (Tables::make().await, TestClock::default());
        let open = |gate: &Gate| {
            let options = change(Options { redis: Some(gate.url()), ..tables.options() });
            let clock = clock.clone();
            async move { Arc::new(DynamoStore::open(options, Arc::new(clock)).await.unwrap()) }
        };
        let stores = [open(&gates[0]).await, open(&gates[1]).await];
        let world = World::new(stores[0].clone(), clock, ());
        let poll = world.create(POLL).await;
        Self { redis, gates, stores, tables, world, poll }
    }

    async fn vote(&self, voter: usize) {
        let option = ["a", "b"][voter % 2];
        let line = format!("v{voter} casts {option} age {}", voter % 3);
        assert_eq!(self.world.tell(&self.poll, &line).await, "cast");
    }

    /// Which of them folds the stream.
    fn folding(&self) -> usize {
        usize::from(figure(&self.stores[1], "canvass_dynamodb_folds") > 0.5)
    }

    async fn wait_until_redis(&self, is_up: bool) {
        for store in &self.stores {
            let began = Instant::now();
            while (figure(store, "canvass_redis_up") > 0.5) != is_up {
                assert!(began.elapsed() < Duration::from_secs(10), "Redis is not seen to be there or gone");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

fn figure(store: &DynamoStore, name: &str) -> f64 {
    store.health().figures.iter().find(|(known, _)| *known == name).unwrap().1
}

/// What no result may be: one that does not add up, that goes back, that counts more than was cast, or that is too old.
struct Reader {
    acknowledged: Arc<Acknowledged>,
    cast: Arc<AtomicUsize>,
    last: Sequence,
}

impl Reader {
    fn judge(&mut self, began: Instant, snapshot: &Snapshot) {
        let tally = &snapshot.tally;
        let votes = tally.votes;
        assert_eq!(tally.sequence.0, votes + EVENTS, "a result of records that are not there");
        let options: u128 = tally.options.iter().map(|total| total.millionths()).sum();
        assert_eq!(options, u128::from(votes) * 1_000_000, "the options do not add up");
        let ages: u64 = tally.breakdowns[0].values.values().map(|value| value.votes).sum();
        assert!(ages >= votes, "a breakdown lacks votes");
        assert!(tally.sequence >= self.last, "a result went back");
        self.last = tally.sequence;
        assert!(votes <= self.cast.load(Ordering::SeqCst) as u64, "more votes than were cast");
        let known = self.acknowledged.before(began.checked_sub(AGE_MAX).unwrap_or(began));
        assert!(votes >= known as u64, "a result without votes that were acknowledged {AGE_MAX:?} before");
    }
}

/// Votes go on, and both servers are asked all the time, while Redis is killed, restarted, flushed, filled with rubbish
/// and cut off, from one server or both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local and Redis: cargo xtask test"]
async fn results_are_right_whatever_redis_does() {
    let mut servers = Servers::start().await;
    let (acknowledged, cast) = (Arc::new(Acknowledged::default()), Arc::new(AtomicUsize::new(0)));
    let is_over = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = servers
        .stores
        .iter()
        .map(|store| {
            let (store, poll, is_over, asked) =
                (store.clone(), servers.poll.clone(), is_over.clone(), asked.clone());
            let mut reader =
                Reader { acknowledged: acknowledged.clone(), cast: cast.clone(), last: Sequence(0) };
            tokio::spawn(async move {
                while !is_over.load(Ordering::SeqCst) {
                    let began = Instant::now();
                    let snapshot = store.tally(&poll).await.unwrap();
                    reader.judge(began, &snapshot);
                    asked.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(15)).await;
                }
            })
        })
        .collect();
    servers.wait_until_redis(true).await;
    let mut voter = 0;
    for turn in 0..9 {
        match turn {
            1 => servers.redis.kill(),
            2 => servers.redis.restart().await,
            3 => servers.redis.tell("FLUSHALL").await,
            // The other server finds nothing new there for longer than a result may be old.
            4 => servers.gates[servers.folding()].stall(),
            5 => servers.gates.iter().for_each(Gate::stall),
            6 => servers.gates.iter().for_each(Gate::open),
            7 => servers.redis.tell("SCRIPT FLUSH").await,
            8 => {
                let script = "EVAL \"for _, key in ipairs(redis.call('KEYS', '*:result:*')) do redis.call('HSET', key, \
                     'sequence', 9000, 'at', redis.call('TIME')[1] * 1000, 'value', 'rubbish') end return 1\" 0";
                servers.redis.tell(script).await;
            }
            _ => {}
        }
        let takes = if turn == 4 { AGE_MAX + Duration::from_secs(2) } else { Duration::from_millis(2_500) };
        let ends = Instant::now() + takes;
        while Instant::now() < ends {
            cast.fetch_add(1, Ordering::SeqCst);
            servers.vote(voter).await;
            acknowledged.note();
            voter += 1;
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
    servers.wait_until_redis(true).await;
    is_over.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
    let tally = servers.world.check_records(&servers.poll).await;
    assert_eq!(tally.votes, voter as u64);
    let from_redis: f64 =
        servers.stores.iter().map(|store| figure(store, "canvass_redis_results_total")).sum();
    println!(
        "{voter} votes; {} results asked for, {from_redis} looks found one in Redis",
        asked.load(Ordering::Relaxed)
    );
    assert!(from_redis > 50.0, "Redis was of use");
}

/// A result that another server keeps in Redis takes no request to DynamoDB at all; without Redis each takes one at
/// least.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local and Redis: cargo xtask test"]
async fn a_result_from_redis_takes_no_read_units() {
    let longer = |options| Options { result_age_max: Duration::from_secs(20), ..options };
    let servers = Servers::start_with(longer).await;
    servers.wait_until_redis(true).await;
    for voter in 0..5 {
        servers.vote(voter).await;
    }
    servers.world.check_records(&servers.poll).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let (counter, poll) = (Arc::clone(&asked), servers.poll.to_string());
    let proxy = begin(&endpoint(), move |_, body| {
        counter.fetch_add(usize::from(body.contains(&poll)), Ordering::SeqCst);
        Fate::Done
    })
    .await;
    let mut told = Vec::new();
    for redis in [Some(servers.redis.url()), None] {
        let endpoint = Some(proxy.endpoint.clone());
        let options = longer(Options { redis, endpoint, ..servers.tables.options() });
        let is_shared = options.redis.is_some();
        let third = DynamoStore::open(options, Arc::new(TestClock::default())).await.unwrap();
        while is_shared && figure(&third, "canvass_redis_up") < 1.0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Whoever looks first keeps what it finds in the tables, if nothing is kept yet.
        servers.stores[0].tally(&servers.poll).await.unwrap();
        let before = asked.load(Ordering::SeqCst);
        for _ in 0..5 {
            assert_eq!(third.tally(&servers.poll).await.unwrap().tally.votes, 5);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        told.push(asked.load(Ordering::SeqCst) - before);
    }
    println!("requests to DynamoDB for five results: {} with Redis, {} without", told[0], told[1]);
    assert_eq!(told[0], 0);
    assert!(told[1] >= 5, "the control reads the tables");
}

/// A result that was read before another, and comes to Redis after it, is not kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local and Redis: cargo xtask test"]
async fn a_result_that_comes_late_to_redis_is_not_kept() {
    let longer = |options| Options { result_age_max: Duration::from_secs(30), ..options };
    let servers = Servers::start_with(longer).await;
    servers.wait_until_redis(true).await;
    servers.vote(0).await;
    servers.world.check_records(&servers.poll).await;
    let is_slow = Arc::new(AtomicBool::new(false));
    let (slow, poll) = (Arc::clone(&is_slow), servers.poll.to_string());
    let proxy = begin(&endpoint(), move |operation, body| {
        let is_read = operation == "GetItem" && body.contains(&poll) && body.contains("counts");
        let is_slow = is_read && slow.load(Ordering::SeqCst);
        if is_slow { Fate::Slow(Duration::from_secs(3)) } else { Fate::Done }
    })
    .await;
    let open = async |endpoint: String| {
        let (redis, endpoint) = (Some(servers.redis.url()), Some(endpoint));
        let options = longer(Options { redis, endpoint, ..servers.tables.options() });
        let store = Arc::new(DynamoStore::open(options, Arc::new(TestClock::default())).await.unwrap());
        while figure(&store, "canvass_redis_up") < 1.0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        store
    };
    let (late, fresh) = (open(proxy.endpoint.clone()).await, open(endpoint()).await);
    servers.redis.tell("FLUSHALL").await;
    is_slow.store(true, Ordering::SeqCst);
    let (store, poll) = (late.clone(), servers.poll.clone());
    let reading = tokio::spawn(async move { store.tally(&poll).await.unwrap().tally.votes });
    tokio::time::sleep(Duration::from_millis(500)).await;
    servers.vote(1).await;
    assert_eq!(servers.world.check_records(&servers.poll).await.votes, 2);
    assert_eq!(reading.await.unwrap(), 1, "it was read before");
    assert_eq!(fresh.tally(&servers.poll).await.unwrap().tally.votes, 2);
}

/// A server that was cut off from Redis knows more than what is kept there, and does not go back to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local and Redis: cargo xtask test"]
async fn a_result_in_redis_that_is_behind_is_not_taken() {
    let servers =
        Servers::start_with(|options| Options { result_age_max: Duration::from_mins(1), ..options }).await;
    servers.wait_until_redis(true).await;
    servers.vote(0).await;
    servers.world.check_records(&servers.poll).await;
    servers.gates.iter().for_each(Gate::stall);
    servers.wait_until_redis(false).await;
    servers.vote(1).await;
    assert_eq!(servers.world.check_records(&servers.poll).await.votes, 2);
    servers.gates.iter().for_each(Gate::open);
    servers.wait_until_redis(true).await;
    assert_eq!(servers.stores[0].tally(&servers.poll).await.unwrap().tally.votes, 2);
}

/// Who watches on one server is told at once of what another has folded in: here the server would look by itself only
/// after half a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local and Redis: cargo xtask test"]
async fn watchers_are_told_by_another_server() {
    let servers = Servers::start().await;
    let options = Options {
        redis: Some(servers.redis.url()),
        tally_age_max: Duration::from_secs(30),
        ..servers.tables.options()
    };
    let third = DynamoStore::open(options, Arc::new(TestClock::default())).await.unwrap();
    let mut watch = third.watch(&servers.poll).await.unwrap();
    while figure(&third, "canvass_redis_up") < 1.0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    servers.wait_until_redis(true).await;
    servers.vote(1).await;
    let told = tokio::time::timeout(Duration::from_secs(10), watch.changed()).await;
    told.expect("the watcher is told").unwrap();
    assert_eq!(*watch.borrow(), Sequence(EVENTS + 1));
    assert_eq!(third.tally(&servers.poll).await.unwrap().tally.votes, 1);
}

/// Takes from a limit on one server and the other in turn; how often it was allowed, and none if Redis was not asked.
async fn take(servers: &Servers, name: &'static str, most: Most, times: usize) -> Option<usize> {
    let demands = [Demand { who: "key-k".to_owned(), name, most }];
    let mut allowed = 0;
    for turn in 0..times {
        let began = Instant::now();
        let taken = servers.stores[turn % 2].shared_limits().unwrap().take(&demands).await;
        assert!(began.elapsed() < Duration::from_secs(3), "nobody waits for Redis for longer than is said");
        allowed += usize::from(taken?[0].is_allowed);
    }
    Some(allowed)
}

/// Servers count a key's requests together while there is a Redis, and know when there is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local and Redis: cargo xtask test"]
async fn limits_are_shared_while_redis_is_there() {
    let mut servers = Servers::start().await;
    servers.wait_until_redis(true).await;
    let rate = Most::Rate(Rate { rate: 1, burst: 12 });
    let began = Instant::now();
    let allowed = take(&servers, "api", rate, 40).await.unwrap();
    let most = 12 + usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    assert!((12..=most).contains(&allowed), "{allowed} of 40, at most {most}");
    assert_eq!(take(&servers, "day", Most::PerDay(7), 20).await, Some(7));
    let demands = [
        Demand { who: "key-other".to_owned(), name: "api", most: Most::Rate(Rate { rate: 2, burst: 2 }) },
        Demand { who: "key-other".to_owned(), name: "day", most: Most::PerDay(2) },
    ];
    let shared = servers.stores[0].shared_limits().unwrap();
    let mut told = Vec::new();
    for _ in 0..3 {
        let taken = shared.take(&demands).await.unwrap();
        told.push(taken.iter().map(|taken| (taken.is_allowed, taken.left)).collect::<Vec<_>>());
    }
    let of_rate = told[2].first().copied();
    assert_eq!(told[..2], [vec![(true, 1), (true, 1)], vec![(true, 0), (true, 0)]]);
    assert_eq!(of_rate.map(|(_, left)| left), Some(0), "the burst is used up");
    servers.redis.kill();
    assert_eq!(take(&servers, "api", rate, 2).await, None);
    servers.wait_until_redis(false).await;
    servers.redis.restart().await;
    servers.wait_until_redis(true).await;
    assert_eq!(take(&servers, "api", rate, 6).await, Some(6), "what was counted before is gone with Redis");
    servers.gates.iter().for_each(Gate::stall);
    assert_eq!(take(&servers, "api", rate, 2).await, None);
}
