//! Where time and randomness come in, so that everything behind it gives the same answers for the same input.

use std::time::{Duration, Instant, SystemTime};

use canvass_domain::Timestamp;
use rand::Rng as _;

/// Time and randomness.
pub trait Edge: Send + Sync + 'static {
    /// The time of day. It may jump.
    fn now(&self) -> Timestamp;

    /// The time since some moment, which never goes back: for rates and waits.
    fn elapsed(&self) -> Duration;

    /// Fills a slice with random bytes that nobody can guess.
    fn random(&self, into: &mut [u8]);
}

/// The system's clocks, and a generator per thread that the system seeds.
#[derive(Debug)]
pub struct SystemEdge {
    started: Instant,
}

impl Default for SystemEdge {
    #[expect(clippy::disallowed_methods, reason = "this is the edge")]
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Edge for SystemEdge {
    #[expect(clippy::disallowed_methods, reason = "this is the edge")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_microseconds(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn random(&self, into: &mut [u8]) {
        rand::rng().fill_bytes(into);
    }
}
