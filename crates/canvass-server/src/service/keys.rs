//! API keys: looked up by the hash of their secret, made, rotated and revoked.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use canvass_domain::{
    KeyId, Timestamp,
    key::{Key, Plan, Rate, Scope, Secret, SecretHash},
};
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Deserializer, Serialize};
use subtle::ConstantTimeEq as _;
use tokio::sync::Mutex;

use crate::{
    app::App,
    limits::{KEY_NAME_BYTES_MAX, KEYS_MAX, RATE_MAX, ROTATION_HOURS_DEFAULT},
    service::{
        Failure,
        limiting::{EdgeClock, KeyLimits},
    },
};

/// A key with what it has used of its limits.
#[derive(Debug)]
pub(crate) struct LiveKey {
    pub(crate) key: Arc<Key>,
    pub(crate) limits: Arc<KeyLimits>,
}

/// Every key.
pub(crate) struct KeyRing {
    clock: EdgeClock,
    keys: RwLock<Keys>,
    /// Held while a key is changed, so that no two changes undo each other.
    changing: Mutex<()>,
}

#[derive(Default)]
struct Keys {
    by_id: BTreeMap<KeyId, Arc<LiveKey>>,
    by_hash: FxHashMap<[u8; 32], Arc<LiveKey>>,
}

impl KeyRing {
    pub(crate) fn new(clock: EdgeClock) -> Self {
        Self { clock, keys: RwLock::default(), changing: Mutex::new(()) }
    }

    /// Takes in a key, new or changed. What it used of its limits stays, unless they changed.
    pub(crate) fn put(&self, key: Arc<Key>) {
        let mut keys = self.keys.write();
        let before = keys.by_id.get(&key.id).cloned();
        let limits = match &before {
            Some(live) if live.key.plan == key.plan => Arc::clone(&live.limits),
            _ => Arc::new(KeyLimits::new(key.plan, self.clock.clone())),
        };
        for secret in before.iter().flat_map(|live| &live.key.secrets) {
            keys.by_hash.remove(secret.hash.as_bytes());
        }
        let live = Arc::new(LiveKey { key, limits });
        for secret in &live.key.secrets {
            keys.by_hash.insert(*secret.hash.as_bytes(), Arc::clone(&live));
        }
        keys.by_id.insert(live.key.id.clone(), live);
    }

    /// The key that a secret belongs to, if it is accepted now.
    pub(crate) fn find(&self, secret: &str, now: Timestamp) -> Option<Arc<LiveKey>> {
        let hash = SecretHash::of(secret);
        let live = self.keys.read().by_hash.get(hash.as_bytes()).cloned()?;
        let same = |known: &&Secret| bool::from(known.hash.as_bytes().ct_eq(hash.as_bytes()));
        let accepted = live.key.secrets.iter().find(same).is_some_and(|known| live.key.is_live(known, now));
        accepted.then_some(live)
    }

    pub(crate) fn get(&self, id: &KeyId) -> Result<Arc<LiveKey>, Failure> {
        self.keys.read().by_id.get(id).cloned().ok_or(Failure::KeyNotFound)
    }

    fn all(&self) -> Vec<Arc<Key>> {
        let mut keys: Vec<_> = self.keys.read().by_id.values().map(|live| Arc::clone(&live.key)).collect();
        keys.sort_by_key(|key| std::cmp::Reverse(key.created_at));
        keys
    }
}

/// What a caller asks for when making a key.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a key as an object")]
#[expect(clippy::option_option, reason = "absent, null and a value are three things")]
pub(crate) struct NewKey {
    /// What people call it: 1 to 200 bytes.
    name: String,
    /// What it may be used for: one at least.
    scopes: Vec<Scope>,
    /// Where the limits that are not given come from; `standard` if absent.
    #[serde(default)]
    plan: PlanName,
    /// Requests a second over time; null for no limit. Given, it replaces the plan's own limits for votes.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>))]
    rate: Option<Option<u32>>,
    /// Requests at once after a pause; twice the rate if absent.
    #[serde(default)]
    burst: Option<u32>,
    /// Votes cast, changed or withdrawn; null for no limit of their own.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Rate>))]
    post_votes: Option<Option<Rate>>,
    /// Single votes read; null for no limit of their own.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Rate>))]
    read_votes: Option<Option<Rate>>,
    /// Requests in one day of UTC; null for no limit.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    quota_per_day: Option<Option<u64>>,
    /// From when the key is no longer accepted.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    expires_at: Option<Timestamp>,
}

/// A plan by its name.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
enum PlanName {
    /// 100 requests a second, 10 votes a second, 10,000 requests a day.
    #[default]
    Standard,
    /// No limits.
    Unlimited,
}

/// Tells `null` from an absent field.
#[expect(clippy::option_option, reason = "absent, null and a value are three things")]
fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// What a caller asks for when replacing a key's secret.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a rotation as an object")]
pub(crate) struct Rotation {
    /// From when the secret before is no longer accepted; in 24 hours if absent.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    expire_previous_at: Option<Timestamp>,
}

/// A key as callers see it. Its secrets are shown by their times only.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Key))]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyView {
    /// Its id, no secret.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub(crate) id: KeyId,
    /// The secret, shown this once: in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
    /// What people call it.
    pub(crate) name: String,
    /// What it may be used for.
    pub(crate) scopes: Vec<Scope>,
    /// Requests a second over time; null for no limit.
    pub(crate) rate: Option<u32>,
    /// Requests at once after a pause; null for no limit.
    burst: Option<u32>,
    /// Votes cast, changed or withdrawn; null for no limit of their own.
    post_votes: Option<Rate>,
    /// Single votes read; null for no limit of their own.
    read_votes: Option<Rate>,
    /// Requests in one day of UTC; null for no limit.
    pub(crate) quota_per_day: Option<u64>,
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    created_at: Timestamp,
    /// From when it is no longer accepted.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub(crate) expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub(crate) revoked_at: Option<Timestamp>,
    /// One, or two while it is being rotated.
    secrets: Vec<SecretView>,
}

/// When one of a key's secrets was made, and until when it is accepted.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Secret))]
#[serde(rename_all = "camelCase")]
struct SecretView {
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    created_at: Timestamp,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    expires_at: Option<Timestamp>,
}

impl KeyView {
    fn new(key: &Key, secret: Option<String>) -> Self {
        let times =
            |secret: &Secret| SecretView { created_at: secret.created_at, expires_at: secret.expires_at };
        Self {
            id: key.id.clone(),
            secret,
            name: key.name.clone(),
            scopes: key.scopes.clone(),
            rate: key.plan.api.map(|api| api.rate),
            burst: key.plan.api.map(|api| api.burst),
            post_votes: key.plan.post_votes,
            read_votes: key.plan.read_votes,
            quota_per_day: key.plan.quota_per_day,
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            secrets: key.secrets.iter().map(times).collect(),
        }
    }
}

/// Secrets of one key at once.
const SECRETS_MAX: usize = 2;

impl App {
    /// Makes a key; its secret is in the answer and nowhere else.
    pub(crate) async fn create_key(&self, request: NewKey) -> Result<KeyView, Failure> {
        let _changing = self.parts.keys.changing.lock().await;
        if self.parts.keys.all().len() >= KEYS_MAX {
            return Err(Failure::invalid(
                "name",
                format!("there are {KEYS_MAX} keys, and no more can be made"),
            ));
        }
        let now = self.edge().now();
        let plan = plan_of(&request)?;
        check_key(&request, now)?;
        let secret = self.make_secret();
        let key = Key {
            id: self.make_key_id(),
            name: request.name,
            scopes: distinct(request.scopes),
            plan,
            expires_at: request.expires_at,
            created_at: now,
            revoked_at: None,
            secrets: vec![Secret { hash: SecretHash::of(&secret), created_at: now, expires_at: None }],
        };
        self.keep_key(key, Some(secret)).await
    }

    /// Every key, newest first, without secrets.
    pub(crate) fn list_keys(&self) -> Vec<KeyView> {
        self.parts.keys.all().iter().map(|key| KeyView::new(key, None)).collect()
    }

    /// Gives a key another secret. The one before is accepted for a while, older ones no longer.
    pub(crate) async fn rotate_key(&self, id: &KeyId, request: &Rotation) -> Result<KeyView, Failure> {
        let _changing = self.parts.keys.changing.lock().await;
        let now = self.edge().now();
        let mut key = Key::clone(&self.parts.keys.get(id)?.key);
        if key.revoked_at.is_some() {
            return Err(Failure::KeyNotFound);
        }
        let until =
            request.expire_previous_at.unwrap_or_else(|| now.plus_seconds(ROTATION_HOURS_DEFAULT * 3_600));
        if let Some(previous) = key.secrets.last_mut() {
            previous.expires_at = Some(previous.expires_at.map_or(until, |before| before.min(until)));
        }
        let secret = self.make_secret();
        key.secrets.push(Secret { hash: SecretHash::of(&secret), created_at: now, expires_at: None });
        let surplus = key.secrets.len().saturating_sub(SECRETS_MAX);
        key.secrets.drain(..surplus);
        self.keep_key(key, Some(secret)).await
    }

    /// Ends a key for good.
    pub(crate) async fn revoke_key(&self, id: &KeyId) -> Result<(), Failure> {
        let _changing = self.parts.keys.changing.lock().await;
        let now = self.edge().now();
        let mut key = Key::clone(&self.parts.keys.get(id)?.key);
        if key.revoked_at.is_some() {
            return Ok(());
        }
        let administers = |key: &Key| {
            key.scopes.contains(&Scope::Admin) && key.secrets.iter().any(|secret| key.is_live(secret, now))
        };
        let others = self.parts.keys.all().iter().any(|other| other.id != key.id && administers(other));
        if administers(&key) && !others {
            return Err(Failure::LastAdminKey);
        }
        key.revoked_at = Some(now);
        self.keep_key(key, None).await.map(|_| ())
    }

    async fn keep_key(&self, key: Key, secret: Option<String>) -> Result<KeyView, Failure> {
        self.store().put_key(key.clone()).await.map_err(|error| self.failed(error))?;
        let view = KeyView::new(&key, secret);
        self.parts.keys.put(Arc::new(key));
        Ok(view)
    }

    /// A secret of 256 random bits: `canvass_` and 43 letters, digits, `-` and `_`.
    pub(crate) fn make_secret(&self) -> String {
        format!("canvass_{}", BASE64_URL_SAFE_NO_PAD.encode(self.random::<32>()))
    }

    /// An id in the order of creation.
    pub(crate) fn make_key_id(&self) -> KeyId {
        self.make_id().parse().expect("a UUID makes an id")
    }

    /// A UUID of version 7, as text.
    pub(crate) fn make_id(&self) -> String {
        let milliseconds = u64::try_from(self.edge().now().microseconds() / 1_000).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(milliseconds, &self.random()).into_uuid().to_string()
    }
}

fn check_key(request: &NewKey, now: Timestamp) -> Result<(), Failure> {
    let name_fits = (1..=KEY_NAME_BYTES_MAX).contains(&request.name.len());
    if !name_fits || request.name.chars().any(char::is_control) {
        let reason = format!("1 to {KEY_NAME_BYTES_MAX} bytes of text without control characters");
        return Err(Failure::invalid("name", reason));
    }
    if request.scopes.is_empty() {
        return Err(Failure::invalid("scopes", "one scope at least"));
    }
    if request.expires_at.is_some_and(|expires| expires <= now) {
        return Err(Failure::invalid("expiresAt", "must lie in the future"));
    }
    Ok(())
}

/// The limits that a request asks for. A rate replaces the plan's own limits for votes, which would else be lower.
fn plan_of(request: &NewKey) -> Result<Plan, Failure> {
    let mut plan = match request.plan {
        PlanName::Standard => Plan::STANDARD,
        PlanName::Unlimited => Plan::UNLIMITED,
    };
    if let Some(rate) = request.rate {
        plan.api = rate.map(|rate| Rate { rate, burst: rate.saturating_mul(2) });
        plan.post_votes = None;
        plan.read_votes = None;
    }
    if let Some(burst) = request.burst {
        let api = plan.api.as_mut().ok_or_else(|| Failure::invalid("burst", "needs a rate"))?;
        api.burst = burst;
    }
    plan.post_votes = request.post_votes.unwrap_or(plan.post_votes);
    plan.read_votes = request.read_votes.unwrap_or(plan.read_votes);
    plan.quota_per_day = request.quota_per_day.unwrap_or(plan.quota_per_day);
    for (field, rate) in [("rate", plan.api), ("postVotes", plan.post_votes), ("readVotes", plan.read_votes)]
    {
        check_rate(field, rate)?;
    }
    Ok(plan)
}

fn check_rate(field: &str, rate: Option<Rate>) -> Result<(), Failure> {
    let fits = |number| (1..=RATE_MAX).contains(&number);
    match rate {
        Some(rate) if !fits(rate.rate) || !fits(rate.burst) => {
            Err(Failure::invalid(field, format!("rate and burst are from 1 to {RATE_MAX}")))
        }
        _ => Ok(()),
    }
}

fn distinct(mut scopes: Vec<Scope>) -> Vec<Scope> {
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}
