//! The suite of every engine, with a Redis of each test's own between it and the tables.

use std::sync::Arc;

use canvass_dynamodb::{DynamoStore, Options};
use canvass_store::conformance::{TestClock, World};

use crate::{redis_server::RedisServer, support::Tables};

async fn open(clock: TestClock) -> World {
    let (tables, redis) = (Tables::make().await, RedisServer::start().await);
    let options = Options { redis: Some(redis.url()), ..tables.options() };
    let store = DynamoStore::open(options, Arc::new(clock.clone())).await.unwrap();
    World::new(Arc::new(store), clock, (tables, redis))
}

canvass_store::conformance!(
    #[ignore = "needs DynamoDB Local and Redis: cargo xtask test"]
    open
);
