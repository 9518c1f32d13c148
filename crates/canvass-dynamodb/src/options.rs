//! How the engine is set up. The usual values hold for servers whose clocks agree to within a second.

use std::time::Duration;

use crate::shared::RedisUrl;

/// How the engine is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the names of the tables begin with.
    pub table_prefix: String,
    /// Where DynamoDB is; none for Amazon's in the region that the environment names.
    pub endpoint: Option<String>,
    /// The Redis that the servers on the tables share; none if they share nothing else.
    pub redis: Option<RedisUrl>,
    /// How long an answer of Redis is waited for. One that is slower is as good as none.
    pub redis_wait_max: Duration,
    /// How long a result is kept in Redis after the tables were asked for it: what bounds its age, whatever happens.
    pub result_age_max: Duration,
    /// 16 random bytes that name this server among those on the same tables.
    pub instance: [u8; 16],
    /// How long a poll is taken to stand as it was read last.
    pub poll_age_max: Duration,
    /// How long a tally is shown before it is looked for anew.
    pub tally_age_max: Duration,
    /// The grace: how long a step waits that ends voting or changes its rules, after all servers were told to hold votes
    /// back. A vote that was decided before is written by then or was given up, so it is as long as the age of a poll
    /// and the time for a write together.
    pub grace: Duration,
    /// How often the stream's records are folded into the tally.
    pub window: Duration,
    /// How long one attempt may take.
    pub attempt_wait_max: Duration,
    /// How long after it was decided a vote's last attempt may begin.
    pub write_wait_max: Duration,
    /// How often the server that folds the stream says that it still does.
    pub lease_beat: Duration,
    /// How long another server waits without a beat before it takes over.
    pub lease_lost: Duration,
}

impl Options {
    /// The usual options.
    pub fn new(table_prefix: impl Into<String>, endpoint: Option<String>, instance: [u8; 16]) -> Self {
        Self {
            table_prefix: table_prefix.into(),
            endpoint,
            redis: None,
            redis_wait_max: Duration::from_millis(100),
            result_age_max: Duration::from_secs(1),
            instance,
            poll_age_max: Duration::from_millis(400),
            tally_age_max: Duration::from_millis(400),
            grace: Duration::from_millis(400 + 900 + 1_000),
            window: Duration::from_secs(1),
            attempt_wait_max: Duration::from_secs(1),
            write_wait_max: Duration::from_millis(900),
            lease_beat: Duration::from_secs(3),
            lease_lost: Duration::from_secs(7),
        }
    }
}
