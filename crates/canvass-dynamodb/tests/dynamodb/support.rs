//! What every test here needs: tables of its own in DynamoDB Local, and a store opened on them.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use canvass_dynamodb::{DynamoStore, Options, create_tables};
use canvass_store::local::Clock;

/// What names DynamoDB Local's address.
const ENDPOINT: &str = "CANVASS_TEST_DYNAMODB";

/// Where DynamoDB Local is.
#[expect(clippy::disallowed_methods, reason = "a test's edge")]
pub(crate) fn endpoint() -> String {
    std::env::var(ENDPOINT).unwrap_or_else(|_| {
        panic!("{ENDPOINT} does not say where DynamoDB Local is; `cargo xtask test` starts it and sets it")
    })
}

/// A number that no other test draws, in this process or another.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Tables that no other test uses.
pub(crate) struct Tables {
    prefix: String,
}

impl Tables {
    pub(crate) async fn make() -> Self {
        // Another test of this process may have set it.
        let _ = tracing_subscriber::fmt().with_test_writer().try_init();
        let tables = Self { prefix: format!("t{:016x}", random()) };
        create_tables(&tables.options()).await.unwrap();
        tables
    }

    /// Quick enough for tests, and patient with a machine that does other things too. The grace is shorter than it must
    /// be: in these tests one server decides all votes of a poll unless a test says otherwise.
    pub(crate) fn options(&self) -> Options {
        let mut instance = [0; 16];
        instance[..8].copy_from_slice(&random().to_be_bytes());
        let usual = Options::new(&self.prefix, Some(endpoint()), instance);
        Options {
            poll_age_max: Duration::from_millis(50),
            tally_age_max: Duration::from_millis(10),
            window: Duration::from_millis(200),
            write_wait_max: Duration::from_secs(10),
            attempt_wait_max: Duration::from_secs(10),
            grace: Duration::from_millis(100),
            lease_beat: Duration::from_millis(500),
            lease_lost: Duration::from_secs(3),
            redis_wait_max: Duration::from_secs(1),
            ..usual
        }
    }

    pub(crate) async fn open(&self, clock: impl Clock + 'static) -> Arc<DynamoStore> {
        open(self.options(), clock).await
    }

    /// The same by another way to DynamoDB.
    pub(crate) async fn open_at(&self, endpoint: &str, clock: impl Clock + 'static) -> Arc<DynamoStore> {
        open(Options { endpoint: Some(endpoint.to_owned()), ..self.options() }, clock).await
    }

    /// One that gives up soon.
    pub(crate) async fn open_impatient(
        &self,
        endpoint: &str,
        clock: impl Clock + 'static,
    ) -> Arc<DynamoStore> {
        let wait = Duration::from_millis(400);
        let endpoint = Some(endpoint.to_owned());
        open(Options { endpoint, write_wait_max: wait, ..self.options() }, clock).await
    }

    /// One with a grace that holds between servers.
    pub(crate) async fn open_patient(&self, clock: impl Clock + 'static) -> Arc<DynamoStore> {
        open(Options { grace: Duration::from_secs(2), ..self.options() }, clock).await
    }

    /// One as in production, in which every second takes several, and that is patient.
    pub(crate) async fn open_slower(
        &self,
        endpoint: &str,
        slower: u32,
        clock: impl Clock + 'static,
    ) -> Arc<DynamoStore> {
        let patient = self.options();
        let usual = Options::new(&self.prefix, Some(endpoint.to_owned()), patient.instance);
        let Options { attempt_wait_max, write_wait_max, .. } = patient;
        let (window, lease_beat) = (usual.window * slower, usual.lease_beat * slower);
        open(Options { attempt_wait_max, write_wait_max, window, lease_beat, ..usual }, clock).await
    }
}

async fn open(options: Options, clock: impl Clock + 'static) -> Arc<DynamoStore> {
    Arc::new(DynamoStore::open(options, Arc::new(clock)).await.unwrap())
}
