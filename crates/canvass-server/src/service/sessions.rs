//! Sessions of the console: what shows that a browser signed in with a key, for a while, without holding its secret.
//!
//! A session is signed and not stored, so it outlives a restart and holds on every server over the same store. It names
//! the key and is signed over the hash of the secret that signed in: it ends with that secret, when the key is revoked,
//! expires or is rotated. Which sessions were signed out is kept in this server's memory alone, until they would have
//! ended anyway.

use std::sync::Arc;

use canvass_domain::{
    KeyId,
    key::{Secret, SecretHash},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use sha2::Sha256;

use crate::{
    app::App,
    limits::{SESSION_SECONDS_MAX, SESSIONS_ENDED_MAX},
    service::{
        Failure,
        devices::{DeviceSecret, hexadecimal, unhexadecimal},
        keys::LiveKey,
    },
};

/// What tells a session from every other of the same key.
type SessionId = [u8; 16];

/// The sessions that were signed out, with the second at which each would have ended.
#[derive(Default)]
pub(crate) struct EndedSessions(Mutex<FxHashMap<SessionId, i64>>);

/// A session as its cookie says it, not yet believed.
struct Claim<'a> {
    key: KeyId,
    /// When it began, in seconds since 1970.
    began: i64,
    id: SessionId,
    signature: &'a str,
}

impl<'a> Claim<'a> {
    fn read(token: &'a str) -> Option<Self> {
        let mut parts = token.split('~');
        let claim = Self {
            key: parts.next()?.parse().ok()?,
            began: parts.next()?.parse().ok()?,
            id: unhexadecimal(parts.next()?)?,
            signature: parts.next()?,
        };
        parts.next().is_none().then_some(claim)
    }

    fn is_signed(&self, server: &DeviceSecret, secret: &SecretHash) -> bool {
        let signature = unhexadecimal::<32>(self.signature);
        signature.is_some_and(|signature| {
            mac(server, &self.key, secret, self.began, &self.id).verify_slice(&signature).is_ok()
        })
    }

    fn ends(&self) -> i64 {
        self.began.saturating_add(SESSION_SECONDS_MAX)
    }
}

impl EndedSessions {
    fn has(&self, id: &SessionId) -> bool {
        self.0.lock().contains_key(id)
    }

    fn put(&self, id: SessionId, ends: i64, now: i64) {
        let mut ended = self.0.lock();
        if ended.len() >= SESSIONS_ENDED_MAX {
            ended.retain(|_, ends| *ends > now);
        }
        ended.insert(id, ends);
    }
}

impl App {
    /// Begins a session for whoever sends a key's secret.
    ///
    /// # Errors
    /// The secret is no live key's.
    pub(crate) async fn begin_session(&self, secret: &str) -> Result<String, Failure> {
        let server = self.device_secret().await.map_err(|error| self.failed(error))?;
        let now = self.edge().now();
        let live = self.parts.keys.find(secret, now).ok_or(Failure::UnknownKey)?;
        let (id, began): (SessionId, _) = (self.random(), now.seconds());
        let signature = mac(&server, &live.key.id, &SecretHash::of(secret), began, &id);
        let signature: [u8; 32] = signature.finalize().into_bytes().into();
        Ok(format!("{}~{began}~{}~{}", live.key.id, hexadecimal(&id), hexadecimal(&signature)))
    }

    /// The key that a session stands for, if the session is one and has not ended.
    pub(crate) fn session(&self, token: &str) -> Option<Arc<LiveKey>> {
        let (claim, now) = (Claim::read(token)?, self.edge().now());
        if claim.ends() <= now.seconds() || self.parts.ended_sessions.has(&claim.id) {
            return None;
        }
        let live = self.parts.keys.get(&claim.key).ok()?;
        let server = self.known_device_secret()?;
        let signs = |secret: &Secret| live.key.is_live(secret, now) && claim.is_signed(server, &secret.hash);
        live.key.secrets.iter().any(signs).then_some(live)
    }

    /// Ends a session before its time.
    pub(crate) fn end_session(&self, token: &str) {
        if let Some(claim) = Claim::read(token).filter(|_| self.session(token).is_some()) {
            self.parts.ended_sessions.put(claim.id, claim.ends(), self.edge().now().seconds());
        }
    }
}

/// No id of a key holds a zero byte, and all else has a fixed length, so no other session gives the same bytes.
fn mac(server: &DeviceSecret, key: &KeyId, secret: &SecretHash, began: i64, id: &SessionId) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(server).expect("HMAC takes a key of any length");
    mac.update(b"canvass session ");
    mac.update(key.as_str().as_bytes());
    mac.update(&[0]);
    mac.update(secret.as_bytes());
    mac.update(&began.to_le_bytes());
    mac.update(id);
    mac
}
