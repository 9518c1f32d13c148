//! Delivers: one task for each webhook, so that a receiver that is slow or dead keeps no other waiting.
//!
//! What is delivered goes out in order, each event again and again until the receiver has it. A position is kept once
//! all before it is delivered: after a restart some events may come twice, under the same id, and none is lost.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use canvass_domain::Timestamp;
use canvass_notify::{Delivery, Message, Sender};
use serde_json::value::RawValue;
use tokio::task::{AbortHandle, JoinSet};

use super::{
    LiveWebhook, Progress, progress_name,
    reader::{Outgoing, Reader},
};
use crate::{
    app::App,
    limits::{WEBHOOK_KEEP_SECONDS, WEBHOOK_PAUSE, WEBHOOK_RETRIES_SECONDS, WEBHOOK_UNKEPT_BYTES_MAX},
    service::{events::Event, results::Seen},
};

impl App {
    /// Delivers what webhooks are to be told, until it is dropped.
    pub async fn deliver_webhooks(self) {
        if self.store().feed().is_none() {
            // Nobody can have made one here.
            return std::future::pending().await;
        }
        let sender = Sender::new(self.parts.settings.webhook_private_addresses);
        let mut tasks = JoinSet::new();
        let mut running: BTreeMap<String, AbortHandle> = BTreeMap::new();
        loop {
            let hooks = self.parts.webhooks.all();
            running.retain(|id, task| {
                let is_kept = hooks.iter().any(|hook| hook.webhook.id == *id);
                if !is_kept {
                    task.abort();
                }
                is_kept
            });
            for hook in hooks {
                let id = hook.webhook.id.clone();
                running.entry(id).or_insert_with(|| {
                    let worker = Worker { app: self.clone(), sender: sender.clone(), hook, kept: None };
                    tasks.spawn(worker.run())
                });
            }
            while tasks.try_join_next().is_some() {}
            tokio::time::sleep(WEBHOOK_PAUSE).await;
        }
    }
}

/// One webhook's task.
struct Worker {
    app: App,
    sender: Sender,
    hook: Arc<LiveWebhook>,
    /// When its progress was kept last, and which position.
    kept: Option<(Timestamp, u64)>,
}

impl Worker {
    async fn run(mut self) {
        loop {
            let moves = self.moves();
            let place = self.hook.progress.lock().position;
            let mut reader = Reader::new(place, self.hook.wanted(), self.hook.webhook.results_seconds);
            while self.moves() == moves {
                if self.hook.progress.lock().disabled_at.is_some() {
                    tokio::time::sleep(WEBHOOK_PAUSE).await;
                    continue;
                }
                // It must not be held while the event is delivered.
                let alarm = self.hook.alarms.lock().pop_front();
                if let Some(event) = alarm {
                    if !self.deliver(event.clone(), moves).await {
                        self.hook.alarms.lock().push_front(event);
                    }
                } else if let Some(Outgoing { event, resume }) = self.next(&mut reader).await {
                    if !self.deliver(event, moves).await {
                        break;
                    }
                    self.advance(resume, moves).await;
                } else {
                    self.rest(&reader, moves).await;
                }
            }
        }
    }

    fn moves(&self) -> u64 {
        self.hook.moves.load(Ordering::SeqCst)
    }

    /// The next event to deliver; none if there is none yet.
    async fn next(&self, reader: &mut Reader) -> Option<Outgoing> {
        let feed = self.app.store().feed()?;
        loop {
            if let Some(outgoing) = reader.next() {
                return Some(outgoing);
            }
            if feed.end() > reader.place {
                match feed.happenings(reader.place).await {
                    Ok(page) => reader.take(page),
                    Err(error) => {
                        tracing::error!(%error, webhook = self.hook.webhook.id, "the ledger cannot be read");
                        return None;
                    }
                }
                continue;
            }
            reader.take_due(self.app.edge().now());
            return reader.next();
        }
    }

    /// Delivers an event, as often as it takes. False if it was given up, because the webhook was disabled or moved.
    async fn deliver(&mut self, event: Event, moves: u64) -> bool {
        let message = self.message(event).await;
        loop {
            if !self.wait_for_turn(moves).await {
                return false;
            }
            let delivery = self.attempt(&message).await;
            if self.moves() != moves {
                return false;
            }
            let figures = &self.app.parts.webhooks.figures;
            match delivery {
                Delivery::Accepted => {
                    figures.accepted.fetch_add(1, Ordering::Relaxed);
                    self.note_success();
                    return true;
                }
                Delivery::Answered(status) => {
                    figures.refused.fetch_add(1, Ordering::Relaxed);
                    self.note_failure(&format!("the receiver answered {status}"), status == GONE).await;
                }
                Delivery::Failed(reason) => {
                    figures.failed.fetch_add(1, Ordering::Relaxed);
                    self.note_failure(reason, false).await;
                }
            }
        }
    }

    /// Waits until the next try is due. False if there will be none.
    async fn wait_for_turn(&self, moves: u64) -> bool {
        loop {
            let Progress { next_try_at, disabled_at, .. } = self.hook.progress.lock().clone();
            if disabled_at.is_some() || self.moves() != moves {
                return false;
            }
            if next_try_at.is_none_or(|due| due <= self.app.edge().now()) {
                return true;
            }
            tokio::time::sleep(WEBHOOK_PAUSE).await;
        }
    }

    async fn attempt(&self, message: &Message) -> Delivery {
        let Some(target) = &self.hook.target else {
            return Delivery::Failed("this server was built without TLS");
        };
        let now = self.app.edge().now().seconds();
        self.sender.deliver(target, message, &self.hook.key, now).await
    }

    /// Results are those of now, as anybody may see them who may see them at all.
    async fn message(&self, mut event: Event) -> Message {
        if let (None, Some(poll)) = (&event.data.poll, &event.data.poll_id)
            && let Ok(snapshot) = self.app.store().tally(poll).await
            && let Ok((json, _)) = self.app.results_json(&Seen::by_anybody(snapshot)).await
        {
            let text = String::from_utf8_lossy(&json).into_owned();
            event.data.results = RawValue::from_string(text).ok();
        }
        let body = serde_json::to_vec(&event).expect("an event can be written");
        Message { id: event.id, body: Bytes::from(body) }
    }

    fn note_success(&self) {
        let mut progress = self.hook.progress.lock();
        *progress = Progress { position: progress.position, ..Progress::default() };
    }

    async fn note_failure(&mut self, reason: &str, is_gone: bool) {
        let now = self.app.edge().now();
        let is_disabled = {
            let mut progress = self.hook.progress.lock();
            let pause =
                usize::try_from(progress.failures).ok().and_then(|tries| WEBHOOK_RETRIES_SECONDS.get(tries));
            progress.failures += 1;
            progress.failing_since = progress.failing_since.or(Some(now));
            progress.trouble = Some(reason.to_owned());
            progress.next_try_at = pause.map(|seconds| now.plus_seconds(*seconds));
            progress.disabled_at = (is_gone || pause.is_none()).then_some(now);
            progress.disabled_at.is_some()
        };
        let id = &self.hook.webhook.id;
        if is_disabled {
            tracing::error!(webhook = id, reason, "a webhook was disabled: it failed for days, or is gone");
        } else {
            tracing::warn!(webhook = id, reason, "a webhook could not be delivered; it is tried again");
        }
        self.keep_progress().await;
    }

    /// Goes on to a place: all before it is delivered. It is kept each second at most, since each time is a record.
    async fn advance(&mut self, resume: u64, moves: u64) {
        self.go_to(resume, moves);
        let due = self.kept.map(|(kept_at, _)| kept_at.plus_seconds(WEBHOOK_KEEP_SECONDS));
        if due.is_none_or(|due| due <= self.app.edge().now()) {
            self.keep_progress().await;
        }
    }

    /// Nothing is to be delivered now. What was delivered is kept, and so is having come far without finding anything.
    async fn rest(&mut self, reader: &Reader, moves: u64) {
        let position = self.hook.progress.lock().position;
        let is_far = reader.is_idle() && reader.place > position + WEBHOOK_UNKEPT_BYTES_MAX;
        if is_far {
            self.go_to(reader.place, moves);
        }
        if is_far || self.kept.is_some_and(|(_, kept)| kept != position) {
            self.keep_progress().await;
        }
        tokio::time::sleep(WEBHOOK_PAUSE).await;
    }

    /// Takes a place over unless somebody has moved the webhook.
    fn go_to(&self, place: u64, moves: u64) {
        let mut progress = self.hook.progress.lock();
        if self.moves() == moves {
            progress.position = place;
        }
    }

    async fn keep_progress(&mut self) {
        if self.app.parts.webhooks.get(&self.hook.webhook.id).is_err() {
            // It was deleted just now, and what was kept of it is forgotten.
            return;
        }
        let progress = self.hook.progress.lock().clone();
        self.kept = Some((self.app.edge().now(), progress.position));
        // A failure was logged. The events are delivered again after a restart.
        let _ = self.app.keep(&progress_name(&self.hook.webhook.id), &progress).await;
    }
}

/// The status by which a receiver says that it wants nothing more (RFC 9110, section 15.5.11).
const GONE: u16 = 410;
