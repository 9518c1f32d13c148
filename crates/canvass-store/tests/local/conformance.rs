//! The suite of every engine, on a real directory.

use canvass_store::conformance::{TestClock, World};

use crate::support::Home;

async fn open(clock: TestClock) -> World {
    let home = Home::new();
    let (store, _) = home.open(&clock).unwrap();
    World::new(store, clock, home)
}

canvass_store::conformance!(open);
