//! The suite of every engine, on tables of each test's own.

use canvass_store::conformance::{TestClock, World};

use crate::support::Tables;

async fn open(clock: TestClock) -> World {
    let tables = Tables::make().await;
    let store = tables.open(clock.clone()).await;
    World::new(store, clock, tables)
}

canvass_store::conformance!(
    #[ignore = "needs DynamoDB Local: cargo xtask test"]
    open
);
