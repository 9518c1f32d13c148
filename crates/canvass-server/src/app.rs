//! What the routes share: the store, the edge, the keys, and what is kept ready.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use canvass_domain::{
    key::{Key, Plan, Rate, Scope, Secret, SecretHash},
    record::Setting,
};
use canvass_store::{Store, StoreError};
use tokio::sync::OnceCell;

use crate::{
    edge::Edge,
    limits,
    metrics::Metrics,
    origins::Origins,
    service::{
        alarms::{AlarmRule, Alarms},
        breakdowns::BreakdownsShown,
        counting::Counts,
        crossing::Crossings,
        devices::{DeviceSecret, hexadecimal, unhexadecimal},
        keys::KeyRing,
        limiting::{AddressLimits, EdgeClock},
        live::Broadcasts,
        results::ResultsReady,
        sessions::EndedSessions,
        webhooks::Webhooks,
    },
};

/// What the operator can choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether a vote in one of the documents' dialects opens a poll that nobody created.
    pub implicit_polls: bool,
    /// The admin key's secret at the first start; one is made if absent.
    pub admin_key: Option<String>,
    /// Proxies in front of the server, whose `X-Forwarded-For` is believed; with 0 the field is not looked at.
    pub trusted_proxies: usize,
    /// Other sites that may show polls in a frame, and whose scripts may use the API.
    pub embed_origins: Origins,
    /// Votes of one address without a key; none means no limit.
    pub address_votes: Option<Rate>,
    /// Other requests of one address without a key; none means no limit.
    pub address_reads: Option<Rate>,
    /// Whether webhooks may go to addresses that are not of the public internet.
    pub webhook_private_addresses: bool,
    /// Days after closing after which what a poll's votes tell of persons is erased; none is never.
    pub erase_after_days: Option<u32>,
    /// When alarms begin; each name once.
    pub alarms: Vec<AlarmRule>,
    /// Whether answers cannot go on: then the stream of results ends with the newest, watchers come again and again, and
    /// caches may keep results for a second.
    pub short_polling: bool,
    /// Time that a body may take to arrive.
    pub body_wait_max: Duration,
    /// Time that a batch may go without sending anything.
    pub batch_wait_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            implicit_polls: false,
            admin_key: None,
            trusted_proxies: 0,
            embed_origins: Origins::default(),
            address_votes: Some(limits::ADDRESS_VOTES),
            address_reads: Some(limits::ADDRESS_READS),
            webhook_private_addresses: false,
            erase_after_days: None,
            alarms: Vec::new(),
            short_polling: false,
            body_wait_max: limits::BODY_WAIT_MAX,
            batch_wait_max: limits::BATCH_WAIT_MAX,
        }
    }
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct App {
    pub(crate) parts: Arc<Parts>,
}

/// What an [`App`] holds.
pub(crate) struct Parts {
    store: Arc<dyn Store>,
    edge: Arc<dyn Edge>,
    pub(crate) settings: Settings,
    pub(crate) keys: KeyRing,
    pub(crate) addresses: AddressLimits,
    pub(crate) results: ResultsReady,
    pub(crate) counts: Counts,
    pub(crate) breakdowns: BreakdownsShown,
    pub(crate) crossings: Crossings,
    pub(crate) live: Broadcasts,
    pub(crate) ended_sessions: EndedSessions,
    pub(crate) metrics: Metrics,
    pub(crate) webhooks: Webhooks,
    pub(crate) alarms: Alarms,
    device_secret: OnceCell<DeviceSecret>,
}

impl fmt::Debug for App {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("App").finish_non_exhaustive()
    }
}

impl App {
    /// The service over a store. It knows no keys before [`App::bootstrap`].
    pub fn new(store: Arc<dyn Store>, edge: impl Edge, settings: Settings) -> Self {
        let edge: Arc<dyn Edge> = Arc::new(edge);
        let clock = EdgeClock(Arc::clone(&edge));
        let addresses = AddressLimits::new(settings.address_votes, settings.address_reads, clock.clone());
        let parts = Parts {
            store,
            edge,
            keys: KeyRing::new(clock),
            addresses,
            results: ResultsReady::default(),
            counts: Counts::default(),
            breakdowns: BreakdownsShown::default(),
            crossings: Crossings::default(),
            live: Broadcasts::default(),
            ended_sessions: EndedSessions::default(),
            metrics: Metrics::default(),
            webhooks: Webhooks::default(),
            alarms: Alarms::new(&settings.alarms),
            device_secret: OnceCell::new(),
            settings,
        };
        Self { parts: Arc::new(parts) }
    }

    /// Reads the keys. At the first start, when the store holds none for administration, it makes one, and answers
    /// with its secret unless [`Settings::admin_key`] chose it.
    ///
    /// # Errors
    /// Whatever keeps the store from being read or written.
    pub async fn bootstrap(&self) -> Result<Option<String>, StoreError> {
        let keys = self.store().keys().await?;
        let has_admin = keys.iter().any(|key| key.scopes.contains(&Scope::Admin));
        keys.into_iter().for_each(|key| self.parts.keys.put(key));
        self.device_secret().await?;
        if self.store().feed().is_some() {
            self.load_webhooks().await?;
            self.load_alarms().await?;
        }
        if has_admin {
            return Ok(None);
        }
        let chosen = self.parts.settings.admin_key.clone();
        let made = if chosen.is_none() { Some(self.make_secret()) } else { None };
        if let Some(secret) = chosen.as_ref().or(made.as_ref()) {
            self.add_admin_key(secret).await?;
        }
        Ok(made)
    }

    /// Reads the keys again: another server on the same store may have made, changed or revoked some.
    ///
    /// # Errors
    /// Whatever keeps the store from being read; the keys stay as they are.
    pub async fn refresh_keys(&self) -> Result<(), StoreError> {
        let keys = self.store().keys().await?;
        keys.into_iter().for_each(|key| self.parts.keys.put(key));
        Ok(())
    }

    /// Votes since the start by what became of them: cast, changed, withdrawn, and why not. The names are always the same.
    pub fn vote_counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.parts.metrics.votes.counts()
    }

    /// Recounts since the start that did not agree with what the store shows.
    pub fn recount_differences(&self) -> u64 {
        self.parts.metrics.recount_differences.load(Ordering::Relaxed)
    }

    /// Ends the streams of live results, for a server that stops: the other requests in flight end by themselves.
    pub fn end_streams(&self) {
        self.parts.live.end();
    }

    /// Counts a turn of the exports by the clock: how many files it wrote, or none if it failed.
    pub fn count_exports(&self, written: Option<usize>) {
        self.parts.metrics.count_scheduled_exports(written);
    }

    async fn add_admin_key(&self, secret: &str) -> Result<(), StoreError> {
        let now = self.edge().now();
        let key = Key {
            id: self.make_key_id(),
            name: "admin".to_owned(),
            scopes: vec![Scope::Admin],
            plan: Plan::UNLIMITED,
            expires_at: None,
            created_at: now,
            revoked_at: None,
            secrets: vec![Secret { hash: SecretHash::of(secret), created_at: now, expires_at: None }],
        };
        self.store().put_key(key.clone()).await?;
        self.parts.keys.put(Arc::new(key));
        Ok(())
    }

    /// What devices' ids are signed with: made once and kept by the store, so that every server on it knows them.
    pub(crate) async fn device_secret(&self) -> Result<DeviceSecret, StoreError> {
        let read = || async {
            let made: DeviceSecret = self.random();
            let setting = Setting { name: "device-secret".to_owned(), value: hexadecimal(&made) };
            let value = self.store().setting(setting).await?;
            unhexadecimal(&value).ok_or_else(|| StoreError::Corrupt("the setting device-secret".to_owned()))
        };
        self.parts.device_secret.get_or_try_init(read).await.copied()
    }

    /// The same, if it was read before.
    pub(crate) fn known_device_secret(&self) -> Option<&DeviceSecret> {
        self.parts.device_secret.get()
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.parts.store
    }

    pub(crate) fn edge(&self) -> &dyn Edge {
        &*self.parts.edge
    }

    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.parts.edge.random(&mut bytes);
        bytes
    }
}
