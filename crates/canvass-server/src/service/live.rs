//! Live results: each watched poll has one broadcast of whole results, at a bounded rate and written once for all.
//!
//! A watcher is given the newest results whenever it can take them. What it was too slow for is skipped, so that it
//! costs no memory and nothing has to be caught up. Sequences never go back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use canvass_domain::{Poll, PollId, Sequence, results::may_see};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::{sync::watch, time::Instant};

use crate::{
    app::App,
    limits::{
        LIVE_CHECK, LIVE_HEARTBEAT, LIVE_LIFETIME_MAX, LIVE_PAUSE, LIVE_PAUSE_MAX, LIVE_PAUSE_PER_WATCHER,
        LIVE_RECORDS_QUIET_MAX, WATCHERS_MAX,
    },
    service::{
        Failure,
        results::{Seen, View},
    },
};

/// A poll's results as the events that are sent to watchers.
pub(crate) struct Live {
    poll: Arc<Poll>,
    sequence: Sequence,
    count: Bytes,
    /// For those who may not see the count; none where everybody may.
    turnout: Option<Bytes>,
}

/// What watchers of a poll are told.
#[derive(Default)]
struct News {
    live: Option<Arc<Live>>,
    /// Whether the server stops: then streams end.
    is_over: bool,
}

type Newest = watch::Sender<News>;

/// The broadcasts under way.
#[derive(Default)]
pub(crate) struct Broadcasts {
    by_poll: Mutex<ByPoll>,
    watchers: Arc<AtomicUsize>,
}

#[derive(Default)]
struct ByPoll {
    newest: FxHashMap<PollId, Arc<Newest>>,
    is_over: bool,
}

impl Broadcasts {
    /// How many watch now.
    pub(crate) fn watchers(&self) -> usize {
        self.watchers.load(Ordering::Relaxed)
    }

    /// Ends every stream; who watches connects again, to another server or to this one's successor.
    pub(crate) fn end(&self) {
        let mut by_poll = self.by_poll.lock();
        by_poll.is_over = true;
        by_poll.newest.values().for_each(|newest| newest.send_modify(|news| news.is_over = true));
    }
}

/// A place among the watchers; given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(watchers: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(watchers));
        (watchers.fetch_add(1, Ordering::Relaxed) < WATCHERS_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a watcher is told next.
pub(crate) enum Told {
    /// Newer results, as an event.
    Results(Bytes),
    /// Nothing new for a while: the connection is alive.
    Heartbeat,
}

/// One who watches a poll.
pub(crate) struct Watcher {
    newest: watch::Receiver<News>,
    view: View,
    /// The sequence that was told last, and whether with the count.
    told: Option<(Sequence, bool)>,
    until: Instant,
    _place: Place,
}

impl Watcher {
    /// What comes next; nothing once the stream has to end.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        let silent_until = Instant::now() + LIVE_HEARTBEAT;
        loop {
            if self.newest.borrow().is_over {
                return None;
            }
            if let Some(told) = self.newer() {
                return Some(told);
            }
            tokio::select! {
                biased;
                changed = self.newest.changed() => changed.ok()?,
                () = tokio::time::sleep_until(silent_until.min(self.until)) => {
                    return (Instant::now() < self.until).then_some(Told::Heartbeat);
                }
            }
        }
    }

    fn newer(&mut self) -> Option<Told> {
        let live = self.newest.borrow_and_update().live.clone()?;
        let is_visible = self.view.sees(&live.poll);
        if self.told == Some((live.sequence, is_visible)) {
            return None;
        }
        self.told = Some((live.sequence, is_visible));
        let event = if is_visible { Some(&live.count) } else { live.turnout.as_ref() };
        Some(Told::Results(event?.clone()))
    }
}

impl App {
    /// Begins to watch what is seen. `known` is the sequence that the caller has seen already.
    ///
    /// # Errors
    /// Too many watch.
    pub(crate) fn watch(&self, seen: &Seen, known: Option<Sequence>) -> Result<Watcher, Failure> {
        let live = &self.parts.live;
        let place =
            Place::take(&live.watchers).ok_or(Failure::Busy { retry_after: Duration::from_secs(5) })?;
        // Only where everybody has always seen the count can the sequence alone tell what the caller has.
        let known = known.filter(|_| !seen.restricted);
        Ok(Watcher {
            newest: self.broadcast(&seen.snapshot.poll),
            view: seen.view,
            told: known.map(|sequence| (sequence, true)),
            until: Instant::now() + self.spread(LIVE_LIFETIME_MAX),
            _place: place,
        })
    }

    /// The newest results as the only event, for streams that end at once; nothing if the caller has seen them.
    ///
    /// # Errors
    /// Counting takes too long.
    pub(crate) async fn newest(
        &self,
        seen: &Seen,
        known: Option<Sequence>,
    ) -> Result<Option<Bytes>, Failure> {
        let (json, sequence) = self.results_json(seen).await?;
        let is_known = !seen.restricted && known == Some(sequence);
        Ok((!is_known).then(|| event(sequence, &json)))
    }

    /// Three quarters of a time to all of it, by chance: what ends many streams at once must not bring them all back
    /// at once.
    pub(crate) fn spread(&self, time: Duration) -> Duration {
        let [part] = self.random();
        time * 3 / 4 + time / 4 * u32::from(part) / u32::from(u8::MAX)
    }

    /// The poll's broadcast; begun if nobody watches yet.
    fn broadcast(&self, poll: &Arc<Poll>) -> watch::Receiver<News> {
        let mut by_poll = self.parts.live.by_poll.lock();
        if let Some(newest) = by_poll.newest.get(&poll.id) {
            return newest.subscribe();
        }
        let newest = Arc::new(watch::Sender::new(News { live: None, is_over: by_poll.is_over }));
        let receiver = newest.subscribe();
        by_poll.newest.insert(poll.id.clone(), Arc::clone(&newest));
        let broadcast = Broadcast { app: self.clone(), poll: poll.id.clone(), newest };
        tokio::spawn(broadcast.run());
        receiver
    }
}

/// Tells the watchers of one poll.
struct Broadcast {
    app: App,
    poll: PollId,
    newest: Arc<Newest>,
}

impl Broadcast {
    /// Goes on until nobody watches. If the store fails or the poll is deleted, the streams end with it, and who
    /// connects again is told why.
    async fn run(self) {
        let Ok(mut sequence) = self.app.store().watch(&self.poll).await else { return };
        let mut told = Sequence::default();
        while !self.leave_if_alone() {
            let Some(live) = self.make().await else { return };
            let before = std::mem::replace(&mut told, live.sequence);
            self.newest.send_if_modified(|news| {
                let is_newer = news.live.as_ref().is_none_or(|known| known.sequence < told);
                if is_newer {
                    news.live = Some(Arc::new(live));
                }
                is_newer
            });
            tokio::time::sleep(self.pause(told.0.saturating_sub(before.0))).await;
            // A large poll's count may be behind: then it is asked for again, at the rate at which it is made.
            if *sequence.borrow_and_update() <= told && !self.wait(&mut sequence).await {
                return;
            }
        }
    }

    /// Telling a watcher takes time: where many votes come, many watchers are told less often.
    fn pause(&self, records: u64) -> Duration {
        if records <= LIVE_RECORDS_QUIET_MAX {
            return LIVE_PAUSE;
        }
        let watchers = u32::try_from(self.newest.receiver_count()).unwrap_or(u32::MAX);
        LIVE_PAUSE_PER_WATCHER.saturating_mul(watchers).clamp(LIVE_PAUSE, LIVE_PAUSE_MAX)
    }

    /// Waits for a newer sequence while somebody watches; false once the poll is gone.
    async fn wait(&self, sequence: &mut watch::Receiver<Sequence>) -> bool {
        loop {
            match tokio::time::timeout(LIVE_CHECK, sequence.changed()).await {
                Ok(changed) => return changed.is_ok(),
                Err(_) if self.newest.receiver_count() == 0 => return true,
                Err(_) => {}
            }
        }
    }

    async fn make(&self) -> Option<Live> {
        let snapshot = self.app.store().tally(&self.poll).await.ok()?;
        let poll = Arc::clone(&snapshot.poll);
        let mut seen = Seen::whole(snapshot);
        let (count, sequence) = self.app.results_json(&seen).await.ok()?;
        let count = event(sequence, &count);
        if may_see(&poll, false) {
            return Some(Live { poll, sequence, count, turnout: None });
        }
        seen.visible = false;
        let (turnout, newest) = self.app.results_json(&seen).await.ok()?;
        Some(Live { poll, sequence, count, turnout: Some(event(newest, &turnout)) })
    }

    /// Ends the broadcast if nobody watches. Nobody begins to watch it meanwhile: that takes the same lock.
    fn leave_if_alone(&self) -> bool {
        let mut by_poll = self.app.parts.live.by_poll.lock();
        let is_alone = self.newest.receiver_count() == 0;
        if is_alone {
            by_poll.newest.remove(&self.poll);
        }
        is_alone
    }
}

/// Results as an event. The JSON holds no line's end: those in texts are escaped.
pub(crate) fn event(sequence: Sequence, json: &[u8]) -> Bytes {
    let mut event = format!("event: results\nid: {sequence}\ndata: ").into_bytes();
    event.extend_from_slice(json);
    event.extend_from_slice(b"\n\n");
    event.into()
}

impl Drop for Broadcast {
    /// However it ended, the next watcher begins a new one.
    fn drop(&mut self) {
        let mut by_poll = self.app.parts.live.by_poll.lock();
        if by_poll.newest.get(&self.poll).is_some_and(|newest| Arc::ptr_eq(newest, &self.newest)) {
            by_poll.newest.remove(&self.poll);
        }
    }
}
