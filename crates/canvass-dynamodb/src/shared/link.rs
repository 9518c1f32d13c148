//! One connection to Redis, for commands and for the word that is published.
//!
//! Nobody waits for Redis to come back: where there is no connection that answers in time, there is none at all, and
//! who asks goes on without it. A server's task makes the next one; a function looks for it from time to time.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use canvass_domain::Sequence;
use parking_lot::Mutex;
use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisError, RedisResult, ScriptInvocation, aio::MultiplexedConnection,
};
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};

use super::Told;
use crate::limits::{REDIS_CONNECT_WAIT_MAX, REDIS_LOOKED_AFTER, REDIS_RECONNECT_PAUSE};

/// Where Redis is, and how to sign in: `redis://` or, with TLS, `rediss://`. Its text is shown nowhere, as it may hold a
/// password.
#[derive(Clone)]
pub struct RedisUrl(Client);

/// A text that is no address of a Redis. It is not repeated: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the address of Redis must be redis://HOST:PORT, or rediss:// with TLS, with USER:PASSWORD@ if it asks for them"
)]
pub struct RedisUrlError;

impl FromStr for RedisUrl {
    type Err = RedisUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Only once in a process; another part of it may have chosen the same before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let is_known = text.starts_with("redis://") || text.starts_with("rediss://");
        let information = text.into_connection_info().ok().filter(|_| is_known).ok_or(RedisUrlError)?;
        // Published word and answers come on one connection only in this version of the protocol.
        let settings = information.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        Client::open(information.set_redis_settings(settings)).map(Self).map_err(|_| RedisUrlError)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RedisUrl(…)")
    }
}

/// A connection that answers in time, if there is one.
pub(super) struct Link {
    client: Client,
    wait_max: Duration,
    hearing: Option<Hearing>,
    connection: Mutex<Option<Connected>>,
    lost: Notify,
    /// Whether it was said that Redis is not there.
    is_missed: AtomicBool,
    made: AtomicU64,
    failures: AtomicU64,
}

/// The channel on which word is published, and where it goes. Who stands still between requests must not have it: Redis
/// would keep word for it until it gives the connection up.
pub(super) struct Hearing {
    pub(super) channel: String,
    pub(super) told: mpsc::Sender<Told>,
}

#[derive(Clone)]
struct Connected {
    /// Which of this server's connections it is, so that a late failure of one does not end the next.
    number: u64,
    connection: MultiplexedConnection,
}

impl Link {
    pub(super) fn new(url: &RedisUrl, wait_max: Duration, hearing: Option<Hearing>) -> Self {
        Self {
            client: url.0.clone(),
            wait_max,
            hearing,
            connection: Mutex::new(None),
            lost: Notify::new(),
            is_missed: AtomicBool::new(false),
            made: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.connection.lock().is_some()
    }

    /// Whether word of others comes by it.
    pub(super) fn hears(&self) -> bool {
        self.hearing.is_some()
    }

    /// How often Redis did not answer, or not what was asked.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// What a script answers; none if Redis is not there, too slow, or says anything else.
    pub(super) async fn ask<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Option<T> {
        let connected = self.connection.lock().clone();
        let Connected { number, mut connection } = connected?;
        let answer = timeout(self.wait_max, script.invoke_async(&mut connection)).await;
        self.judge(number, answer.map_err(|_| None).and_then(|answer| answer.map_err(Some)))
    }

    /// An answer; without one the connection is given up.
    fn judge<T>(&self, number: u64, answer: Result<T, Option<RedisError>>) -> Option<T> {
        let error = match answer {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut connection = self.connection.lock();
        if connection.as_ref().is_some_and(|connected| connected.number == number) {
            *connection = None;
            tracing::warn!(reason = reason(error.as_ref()), "Redis failed; going on without it");
            self.lost.notify_one();
        }
        None
    }

    /// Connects, looks after the connection, and connects again.
    pub(super) async fn keep(&self) {
        loop {
            if let Some(number) = self.try_to_connect(REDIS_CONNECT_WAIT_MAX).await {
                self.look_after(number).await;
            }
            tokio::time::sleep(REDIS_RECONNECT_PAUSE).await;
        }
    }

    /// Connects if there is no connection, for a while at most.
    pub(super) async fn look_for(&self, wait_max: Duration) {
        if !self.is_up() {
            self.try_to_connect(wait_max).await;
        }
    }

    /// The number of a new connection; none where Redis is not there, which is logged once.
    async fn try_to_connect(&self, wait_max: Duration) -> Option<u64> {
        match timeout(wait_max, self.connect()).await {
            Ok(Ok(connected)) => {
                let number = connected.number;
                *self.connection.lock() = Some(connected);
                self.is_missed.store(false, Ordering::Relaxed);
                tracing::info!("Redis answers");
                Some(number)
            }
            failed => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                let error = failed.ok().and_then(Result::err);
                if !self.is_missed.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        reason = reason(error.as_ref()),
                        "Redis is not there; going on without it"
                    );
                }
                None
            }
        }
    }

    async fn connect(&self) -> RedisResult<Connected> {
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(REDIS_CONNECT_WAIT_MAX))
            .set_response_timeout(Some(self.wait_max));
        if let Some(Hearing { told, .. }) = &self.hearing {
            let told = told.clone();
            config = config.set_push_sender(move |push: PushInfo| {
                // Word that finds no room is not missed: watched polls are looked at all the same.
                read_word(push).map_or(Ok(()), |word| told.try_send(word))
            });
        }
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        if let Some(Hearing { channel, .. }) = &self.hearing {
            connection.subscribe(channel).await?;
        }
        Ok(Connected { number: self.made.fetch_add(1, Ordering::Relaxed), connection })
    }

    /// Returns when the connection was given up.
    async fn look_after(&self, number: u64) {
        loop {
            tokio::select! {
                () = self.lost.notified() => return,
                () = tokio::time::sleep(REDIS_LOOKED_AFTER) => {}
            }
            let connected = self.connection.lock().clone();
            let Some(Connected { mut connection, .. }) = connected else { continue };
            let pong = timeout(self.wait_max, redis::cmd("PING").query_async::<()>(&mut connection)).await;
            self.judge(number, pong.map_err(|_| None).and_then(|pong| pong.map_err(Some)));
        }
    }
}

/// What kind of failure it was. The error's own text stays out of the log.
fn reason(error: Option<&RedisError>) -> String {
    error.map_or_else(|| "no answer in time".to_owned(), |error| format!("{:?}", error.kind()))
}

/// `SEQUENCE POLL` on the channel.
fn read_word(push: PushInfo) -> Option<Told> {
    if push.kind != PushKind::Message {
        return None;
    }
    let payload: String = redis::from_redis_value(push.data.into_iter().nth(1)?).ok()?;
    let (sequence, poll) = payload.split_once(' ')?;
    Some(Told { poll: poll.parse().ok()?, sequence: Sequence(sequence.parse().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::RedisUrl;

    #[test]
    fn an_address_is_shown_nowhere() {
        let told = [
            "redis://127.0.0.1:6379",
            "rediss://:secret@cache.example.com:6380/1",
            "redis://user:secret@[::1]",
            "http://:secret@example.com",
            "cache.example.com:6379",
            "redis://:secret@host:port",
            "unix:///secret",
        ]
        .map(|text| match text.parse::<RedisUrl>() {
            Ok(url) => format!("{url:?}"),
            Err(error) => error.to_string(),
        });
        assert!(told.iter().all(|text| !text.contains("secret")), "{told:?}");
        assert_eq!(told.map(|text| text == "RedisUrl(…)"), [true, true, true, false, false, false, false]);
    }
}
