//! What servers on the same tables share through Redis: results as a whole, word of new ones, and limits.
//!
//! Architecture invariant: nothing here is the truth. A result is kept for a moment only, under the time at which Redis
//! was asked before the tables were read; whatever Redis does, loses or keeps too long, a server that cannot use it
//! reads the tables, and nothing that a caller was told becomes wrong.

mod link;
mod results;
mod taking;

use std::{collections::BTreeSet, sync::Arc};

use canvass_domain::{PollId, Sequence};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

pub use link::{RedisUrl, RedisUrlError};
pub(crate) use results::Found;

use crate::{
    limits::{REDIS_LOOKED_FOR_WAIT_MAX, TOLD_WAITING_MAX},
    options::Options,
};
use link::{Hearing, Link};
use results::Results;
use taking::Taking;

/// The way to what is shared.
pub(crate) struct Shared {
    link: Arc<Link>,
    results: Results,
    taking: Taking,
    /// Polls whose results have changed and are to be shared.
    changed: Mutex<BTreeSet<PollId>>,
    has_changed: Notify,
}

/// Word of a poll's new result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) poll: PollId,
    pub(crate) sequence: Sequence,
}

impl Shared {
    /// The way to a Redis, for the servers on the tables of one prefix; and the word that comes from other servers.
    pub(crate) fn new(url: &RedisUrl, options: &Options) -> (Self, mpsc::Receiver<Told>) {
        let (sender, told) = mpsc::channel(TOLD_WAITING_MAX);
        (Self::with(url, options, Some(sender)), told)
    }

    /// The same without word, for functions.
    pub(crate) fn without_word(url: &RedisUrl, options: &Options) -> Self {
        Self::with(url, options, None)
    }

    fn with(url: &RedisUrl, options: &Options, told: Option<mpsc::Sender<Told>>) -> Self {
        let Options { table_prefix, result_age_max, redis_wait_max, .. } = options;
        let results = Results::new(table_prefix, *result_age_max);
        let hearing = told.map(|told| Hearing { channel: results.channel.clone(), told });
        let link = Arc::new(Link::new(url, *redis_wait_max, hearing));
        let taking = Taking::new(table_prefix);
        Self { link, results, taking, changed: Mutex::default(), has_changed: Notify::new() }
    }

    /// Connects if there is no connection, for a short while at most.
    pub(crate) async fn look_for(&self) {
        self.link.look_for(REDIS_LOOKED_FOR_WAIT_MAX).await;
    }

    /// Keeps the connection for as long as it is polled.
    pub(crate) async fn keep(&self) {
        self.link.keep().await;
    }

    /// Notes that a poll's result has changed. Who hears no word has no task that shares it either: that is done when it
    /// is next asked for.
    pub(crate) fn note(&self, poll: &PollId) {
        if self.link.hears() {
            self.changed.lock().insert(poll.clone());
            self.has_changed.notify_one();
        }
    }

    /// The polls whose results have changed since this was asked last, once there are some.
    pub(crate) async fn changed(&self) -> BTreeSet<PollId> {
        loop {
            let changed = std::mem::take(&mut *self.changed.lock());
            if !changed.is_empty() {
                return changed;
            }
            self.has_changed.notified().await;
        }
    }

    /// Named figures for metrics.
    #[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
    pub(crate) fn figures(&self) -> [(&'static str, f64); 4] {
        [
            ("canvass_redis_up", f64::from(u8::from(self.link.is_up()))),
            ("canvass_redis_failures_total", self.link.failures() as f64),
            ("canvass_redis_results_total", self.results.found() as f64),
            ("canvass_redis_results_missed_total", self.results.missed() as f64),
        ]
    }
}
