//! Webhooks: who is told of what, kept by the store like keys are.
//!
//! Architecture invariant: telling others is never on the way of a vote. It reads the ledger behind the writer, on a
//! thread of its own, and a receiver that is dead costs a connection now and then.

mod delivery;
mod reader;

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use canvass_domain::{PollId, Timestamp};
use canvass_notify::{SigningKey, Target, is_public};
use canvass_store::StoreError;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    limits::{
        RESULTS_SECONDS_DEFAULT, RESULTS_SECONDS_MAX, WEBHOOK_ALARMS_WAITING_MAX, WEBHOOK_POLLS_MAX,
        WEBHOOKS_MAX,
    },
    service::{
        Failure,
        events::{Event, EventKind, Wanted},
    },
};

/// The setting that holds every webhook.
const WEBHOOKS: &str = "webhooks";

/// A webhook as it is kept. It holds a secret, so it cannot be printed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Webhook {
    id: String,
    url: String,
    types: Vec<EventKind>,
    polls: Vec<PollId>,
    results_votes: Option<NonZeroU64>,
    results_seconds: Option<NonZeroU64>,
    key: String,
    created_at: Timestamp,
    /// Where its first event may lie.
    from: u64,
}

/// How far a webhook has come, as it is kept: all events before `position` are delivered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Progress {
    position: u64,
    /// Tries in a row that failed.
    failures: u32,
    failing_since: Option<Timestamp>,
    next_try_at: Option<Timestamp>,
    /// Why the last try failed.
    trouble: Option<String>,
    disabled_at: Option<Timestamp>,
}

/// A webhook at work.
pub(crate) struct LiveWebhook {
    webhook: Webhook,
    /// None where this program cannot deliver there, having been built without TLS.
    target: Option<Target>,
    key: SigningKey,
    progress: Mutex<Progress>,
    /// Alarms that wait to be told; they are no records, so a restart forgets them.
    alarms: Mutex<VecDeque<Event>>,
    /// Goes up when somebody moves the position.
    moves: AtomicU64,
}

impl LiveWebhook {
    fn new(webhook: Webhook, progress: Option<Progress>) -> Option<Self> {
        let progress = progress.unwrap_or(Progress { position: webhook.from, ..Progress::default() });
        Some(Self {
            target: webhook.url.parse().ok(),
            key: webhook.key.parse().ok()?,
            webhook,
            progress: Mutex::new(progress),
            alarms: Mutex::default(),
            moves: AtomicU64::new(0),
        })
    }

    fn wanted(&self) -> Wanted {
        let Webhook { types, polls, results_votes, .. } = &self.webhook;
        Wanted { kinds: types.clone(), polls: polls.clone(), every_votes: *results_votes }
    }
}

/// Every webhook.
#[derive(Default)]
pub(crate) struct Webhooks {
    hooks: RwLock<BTreeMap<String, Arc<LiveWebhook>>>,
    /// Held while the list is changed, so that no two changes undo each other.
    changing: tokio::sync::Mutex<()>,
    pub(crate) figures: DeliveryFigures,
}

/// What tries to deliver came to.
#[derive(Debug, Default)]
pub(crate) struct DeliveryFigures {
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl Webhooks {
    fn all(&self) -> Vec<Arc<LiveWebhook>> {
        self.hooks.read().values().cloned().collect()
    }

    fn get(&self, id: &str) -> Result<Arc<LiveWebhook>, Failure> {
        self.hooks.read().get(id).cloned().ok_or(Failure::WebhookNotFound)
    }

    /// Has those told of an alarm who want it.
    pub(crate) fn tell_alarm(&self, event: &Event) {
        for hook in self.all() {
            let mut alarms = hook.alarms.lock();
            if hook.webhook.types.contains(&EventKind::AlarmChanged)
                && alarms.len() < WEBHOOK_ALARMS_WAITING_MAX
            {
                alarms.push_back(event.clone());
            }
        }
    }

    /// How many are active, failing and disabled.
    pub(crate) fn by_state(&self) -> [(&'static str, usize); 3] {
        let states: Vec<_> = self.all().iter().map(|hook| State::of(&hook.progress.lock())).collect();
        [State::Active, State::Failing, State::Disabled]
            .map(|state| (state.name(), states.iter().filter(|known| **known == state).count()))
    }
}

/// What a caller asks for when making a webhook.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a webhook as an object")]
pub(crate) struct NewWebhook {
    /// Where messages are posted to: http or https.
    url: String,
    /// Which events; if absent `poll.opened`, `poll.closed` and `poll.certified`.
    #[serde(default)]
    types: Option<Vec<EventKind>>,
    /// In which polls; in all, if absent.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    polls: Vec<PollId>,
    /// For `results.changed`: after each so many records of a poll.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    results_votes: Option<NonZeroU64>,
    /// For `results.changed`: so many seconds after a vote that nothing was told of. 10 if neither is given.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    results_seconds: Option<NonZeroU64>,
    /// How messages are signed; `v1` if absent.
    #[serde(default)]
    signature: Signature,
}

/// How messages are signed, by Standard Webhooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
enum Signature {
    /// HMAC-SHA256 by a secret that is shown once.
    #[default]
    V1,
    /// Ed25519; receivers need the public key alone.
    V1a,
}

/// Whether a webhook works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = WebhookState))]
#[serde(rename_all = "camelCase")]
pub(crate) enum State {
    /// The last try succeeded, or there was none yet.
    Active,
    /// The last try failed; another one comes.
    Failing,
    /// It failed for days, or the receiver said that it is gone. It is not tried before somebody asks for redelivery.
    Disabled,
}

impl State {
    fn of(progress: &Progress) -> Self {
        match progress {
            Progress { disabled_at: Some(_), .. } => Self::Disabled,
            Progress { failures: 1.., .. } => Self::Failing,
            _ => Self::Active,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Failing => "failing",
            Self::Disabled => "disabled",
        }
    }
}

/// A webhook as administrators see it.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Webhook))]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebhookView {
    /// Its id, no secret.
    pub(crate) id: String,
    /// What signatures are checked with, shown this once: in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// The public key, for `v1a`.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    pub(crate) url: String,
    pub(crate) types: Vec<EventKind>,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    polls: Vec<PollId>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    results_votes: Option<NonZeroU64>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    results_seconds: Option<NonZeroU64>,
    signature: Signature,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    created_at: Timestamp,
    pub(crate) state: State,
    /// All events before this position are delivered.
    pub(crate) position: u64,
    /// Since when tries fail.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub(crate) failing_since: Option<Timestamp>,
    /// When the next one is due.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    next_try_at: Option<Timestamp>,
    /// Why the last one failed.
    pub(crate) trouble: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    disabled_at: Option<Timestamp>,
}

impl WebhookView {
    fn new(hook: &LiveWebhook, is_new: bool) -> Self {
        let (webhook, progress) = (hook.webhook.clone(), hook.progress.lock().clone());
        let is_private = matches!(hook.key, SigningKey::Private(_));
        Self {
            id: webhook.id,
            secret: (is_new && !is_private).then(|| hook.key.verifier()),
            public_key: is_private.then(|| hook.key.verifier()),
            url: webhook.url,
            types: webhook.types,
            polls: webhook.polls,
            results_votes: webhook.results_votes,
            results_seconds: webhook.results_seconds,
            signature: if is_private { Signature::V1a } else { Signature::V1 },
            created_at: webhook.created_at,
            state: State::of(&progress),
            position: progress.position,
            failing_since: progress.failing_since,
            next_try_at: progress.next_try_at,
            trouble: progress.trouble,
            disabled_at: progress.disabled_at,
        }
    }
}

/// Where deliveries are to go on.
#[derive(Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(crate) struct Redelivery {
    /// Events after this position are delivered again; if absent, it goes on where it is, at once.
    #[serde(default)]
    after: Option<u64>,
}

impl Redelivery {
    /// From behind a position on.
    pub(crate) fn after(position: u64) -> Self {
        Self { after: Some(position) }
    }
}

impl App {
    /// Reads what is kept, at the start.
    pub(crate) async fn load_webhooks(&self) -> Result<(), StoreError> {
        let damaged = |name: &str| StoreError::Corrupt(format!("the setting {name}"));
        let kept: Vec<Webhook> = self.kept(WEBHOOKS).await?.unwrap_or_default();
        for webhook in kept {
            let progress = self.kept(&progress_name(&webhook.id)).await?;
            let hook = LiveWebhook::new(webhook, progress).ok_or_else(|| damaged(WEBHOOKS))?;
            self.parts.webhooks.hooks.write().insert(hook.webhook.id.clone(), Arc::new(hook));
        }
        Ok(())
    }

    /// Makes a webhook, which is told of what happens from now on.
    pub(crate) async fn create_webhook(&self, request: NewWebhook) -> Result<WebhookView, Failure> {
        let feed = self.feed()?;
        let webhooks = &self.parts.webhooks;
        let _changing = webhooks.changing.lock().await;
        if webhooks.hooks.read().len() >= WEBHOOKS_MAX {
            let reason = format!("there are {WEBHOOKS_MAX} webhooks, and no more can be made");
            return Err(Failure::invalid("url", reason));
        }
        let webhook = self.read_webhook(request, feed.end())?;
        let hook = LiveWebhook::new(webhook, None).ok_or(Failure::WebhookNotFound)?;
        let view = WebhookView::new(&hook, true);
        let mut kept: Vec<_> = webhooks.all().iter().map(|hook| hook.webhook.clone()).collect();
        kept.push(hook.webhook.clone());
        self.keep(WEBHOOKS, &kept).await?;
        webhooks.hooks.write().insert(hook.webhook.id.clone(), Arc::new(hook));
        Ok(view)
    }

    fn read_webhook(&self, request: NewWebhook, from: u64) -> Result<Webhook, Failure> {
        let target: Target = request
            .url
            .parse()
            .map_err(|error: canvass_notify::TargetError| Failure::invalid("url", error.to_string()))?;
        let is_private = target.literal_address().is_some_and(|address| !is_public(address));
        if is_private && !self.parts.settings.webhook_private_addresses {
            return Err(Failure::invalid("url", "is a private address, which this server may not reach"));
        }
        let seed = self.random();
        let key = match request.signature {
            Signature::V1 => SigningKey::Shared(seed),
            Signature::V1a if SigningKey::OFFERS_PRIVATE => SigningKey::Private(seed),
            Signature::V1a => {
                let reason = "v1a needs a server that was built with: cargo build --release --features tls";
                return Err(Failure::invalid("signature", reason));
            }
        };
        if request.polls.len() > WEBHOOK_POLLS_MAX {
            return Err(Failure::invalid(
                "polls",
                format!("at most {WEBHOOK_POLLS_MAX}; leave it out for all"),
            ));
        }
        let usual = || vec![EventKind::PollOpened, EventKind::PollClosed, EventKind::PollCertified];
        let types = request.types.unwrap_or_else(usual);
        if types.is_empty() || types.len() > EventKind::ALL.len() {
            return Err(Failure::invalid("types", "one at least, and each once"));
        }
        let results_seconds = results_seconds(&types, request.results_votes, request.results_seconds)?;
        Ok(Webhook {
            id: self.make_id(),
            url: request.url,
            types,
            polls: request.polls,
            results_votes: request.results_votes,
            results_seconds,
            key: key.text(),
            created_at: self.edge().now(),
            from,
        })
    }

    /// Every webhook, oldest first, without secrets.
    pub(crate) fn list_webhooks(&self) -> Result<Vec<WebhookView>, Failure> {
        self.feed()?;
        Ok(self.parts.webhooks.all().iter().map(|hook| WebhookView::new(hook, false)).collect())
    }

    /// Ends a webhook for good.
    pub(crate) async fn delete_webhook(&self, id: &str) -> Result<(), Failure> {
        let webhooks = &self.parts.webhooks;
        let _changing = webhooks.changing.lock().await;
        webhooks.get(id)?;
        let others = webhooks.all().into_iter().filter(|hook| hook.webhook.id != id);
        let kept: Vec<_> = others.map(|hook| hook.webhook.clone()).collect();
        self.keep(WEBHOOKS, &kept).await?;
        webhooks.hooks.write().remove(id);
        self.forget(&progress_name(id)).await
    }

    /// Has a webhook tried at once, also one that was disabled; from an earlier position if one is given.
    pub(crate) async fn redeliver(&self, id: &str, request: &Redelivery) -> Result<WebhookView, Failure> {
        let hook = self.parts.webhooks.get(id)?;
        let position = match request.after {
            None => hook.progress.lock().position,
            Some(after) => after.saturating_add(1),
        };
        if position > self.feed()?.end() {
            return Err(Failure::invalid("after", "lies behind all that has happened here"));
        }
        let progress = Progress { position, ..Progress::default() };
        self.keep(&progress_name(id), &progress).await?;
        {
            let mut current = hook.progress.lock();
            *current = progress;
            hook.moves.fetch_add(1, Ordering::SeqCst);
        }
        Ok(WebhookView::new(&hook, false))
    }
}

/// How long results may go untold: as asked for, or as usual where nothing says when they are told.
fn results_seconds(
    types: &[EventKind],
    votes: Option<NonZeroU64>,
    seconds: Option<NonZeroU64>,
) -> Result<Option<NonZeroU64>, Failure> {
    let tells_results = types.contains(&EventKind::ResultsChanged);
    if !tells_results && (votes.is_some() || seconds.is_some()) {
        return Err(Failure::invalid(
            "types",
            "resultsVotes and resultsSeconds are for the type results.changed",
        ));
    }
    if seconds.is_some_and(|seconds| seconds.get() > RESULTS_SECONDS_MAX) {
        return Err(Failure::invalid("resultsSeconds", format!("1 to {RESULTS_SECONDS_MAX}")));
    }
    let usual =
        if tells_results && votes.is_none() { NonZeroU64::new(RESULTS_SECONDS_DEFAULT) } else { None };
    Ok(seconds.or(usual))
}

fn progress_name(id: &str) -> String {
    format!("webhook-progress-{id}")
}
