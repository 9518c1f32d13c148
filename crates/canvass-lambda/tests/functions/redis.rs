//! Functions that run at once share a Redis: what one has read costs the others nothing, limits are counted together, and
//! nothing is wrong when it is gone.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{
    emulator::Lambda,
    gateway::{Api, open},
    harness::ADMIN,
    proxy::{Fate, Proxy, begin},
    redis_server::RedisServer,
    stream::TALLY_AGE_MAX,
    world::{Functions, Program, Variables, ask_as, endpoint},
};

const POLL: &str = r#"{"id":"lunch","title":"T","options":[{"id":"a"}],"status":"open"}"#;
const RESULTS: &str = "/v1/polls/lunch/results";
/// How long a result may be shown: as long as Redis keeps it, and as long as a function does.
const RESULT_AGE_MAX: Duration = Duration::from_millis(1_000 + 450);
/// After so long a function looks for a Redis that was lost, and for keys that others made.
const CATCH_UP: Duration = Duration::from_millis(5_200);

/// Two functions of the API with one Redis, and what they read of the counters.
struct Shared {
    functions: Functions,
    second: Arc<Lambda>,
    gateways: [SocketAddr; 2],
    redis: RedisServer,
    reads: Arc<AtomicUsize>,
    _proxy: Proxy,
}

impl Shared {
    async fn start() -> Self {
        let (redis, reads) = (RedisServer::start().await, Arc::new(AtomicUsize::new(0)));
        let usual = Variables::default();
        let (counted, counters) = (Arc::clone(&reads), format!("\"{}-tally\"", usual.prefix));
        let proxy = begin(&endpoint(), move |operation, body| {
            let is_read = matches!(operation, "GetItem" | "Query") && body.contains(&counters);
            counted.fetch_add(usize::from(is_read), Ordering::SeqCst);
            Fate::Done
        })
        .await;
        let variables =
            Variables { redis: Some(redis.address()), endpoint: Some(proxy.endpoint.clone()), ..usual };
        let functions = Functions::start(variables, Api::Rest).await;
        let second = Arc::new(functions.launch(Program::Api));
        let gateways = [functions.gateway, open(Arc::clone(&second), Api::Http)];
        functions.json("POST", "/v1/polls", POLL);
        Self { functions, second, gateways, redis, reads, _proxy: proxy }
    }

    /// One more votes, and all of them are counted.
    async fn vote(&mut self, voter: &str) {
        let vote = format!("{{\"voterId\":\"{voter}\",\"ballot\":{{\"choice\":\"a\"}}}}");
        self.functions.json("POST", "/v1/polls/lunch/votes", &vote);
        self.functions.count().await;
        tokio::time::sleep(RESULT_AGE_MAX).await;
    }

    /// What both functions say.
    fn votes(&self) -> [u64; 2] {
        self.gateways.map(|gateway| {
            let (status, text) = ask_as(ADMIN, gateway, "GET", RESULTS, "");
            assert_eq!(status, 200, "{text}");
            serde_json::from_str::<serde_json::Value>(&text).unwrap()["votes"].as_u64().unwrap()
        })
    }

    /// How often of six times the second function reads no counters where the first has just been asked.
    async fn looks_without_reads(&self) -> usize {
        let mut without = 0;
        for _ in 0..6 {
            tokio::time::sleep(TALLY_AGE_MAX).await;
            ask_as(ADMIN, self.gateways[0], "GET", RESULTS, "");
            let before = self.reads.load(Ordering::SeqCst);
            ask_as(ADMIN, self.gateways[1], "GET", RESULTS, "");
            without += usize::from(self.reads.load(Ordering::SeqCst) == before);
        }
        without
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_from_redis_cost_no_read_and_without_redis_they_are_right() {
    let mut shared = Shared::start().await;
    shared.vote("u1").await;
    assert_eq!(shared.votes(), [1, 1]);
    // What Redis keeps may pass its time between one question and the next, now and then.
    let without = shared.looks_without_reads().await;
    assert!(without >= 4, "{without} of 6");

    shared.redis.kill();
    shared.vote("u2").await;
    assert_eq!(shared.votes(), [2, 2]);
    assert_eq!(shared.looks_without_reads().await, 0, "the control reads the tables");

    shared.redis.restart().await;
    tokio::time::sleep(CATCH_UP).await;
    shared.vote("u3").await;
    assert_eq!(shared.votes(), [3, 3]);
    let without = shared.looks_without_reads().await;
    assert!(without >= 4, "{without} of 6");

    // A function that stands still hears nothing of a connection that ends.
    shared.second.freeze(true);
    shared.redis.kill();
    shared.redis.restart().await;
    shared.vote("u4").await;
    shared.second.freeze(false);
    assert_eq!(shared.votes(), [4, 4]);
    let printed = shared.functions.api.printed() + &shared.second.printed();
    assert!(printed.contains("Redis failed") && !printed.contains(&shared.redis.address()), "{printed}");
}

/// Of so many requests that one key may make in a day, each function would allow all by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_is_counted_together_through_redis() {
    const QUOTA: usize = 8;
    const TRIES_MAX: usize = 3;
    let shared = Shared::start().await;
    let mut allowed = Vec::new();
    // Redis has a tenth of a second to answer, which a busy machine may miss: then a function counts for itself.
    while allowed.last() != Some(&QUOTA) && allowed.len() < TRIES_MAX {
        let key = format!(r#"{{"name":"some","scopes":["results:read"],"rate":null,"quotaPerDay":{QUOTA}}}"#);
        let made = shared.functions.json("POST", "/v1/keys", &key);
        let secret = made["secret"].as_str().unwrap();
        let ask = |turn: usize| ask_as(secret, shared.gateways[turn % 2], "GET", RESULTS, "").0;
        while ask(1) == 401 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        allowed.push(1 + (0..2 * QUOTA + 2).filter(|turn| ask(*turn) == 200).count());
    }
    assert_eq!(allowed.last(), Some(&QUOTA), "{allowed:?}");
}
