//! API keys: who may do what, how fast, and until when.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{identifier::KeyId, time::Timestamp};

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Scope {
    /// Create and change polls.
    #[serde(rename = "polls:write")]
    PollsWrite,
    /// Read polls.
    #[serde(rename = "polls:read")]
    PollsRead,
    /// Cast, change and withdraw votes.
    #[serde(rename = "votes:write")]
    VotesWrite,
    /// Read single votes.
    #[serde(rename = "votes:read")]
    VotesRead,
    /// Read results.
    #[serde(rename = "results:read")]
    ResultsRead,
    /// Export votes.
    #[serde(rename = "exports:read")]
    ExportsRead,
    /// All of them, and keys.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// The name that callers use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PollsWrite => "polls:write",
            Self::PollsRead => "polls:read",
            Self::VotesWrite => "votes:write",
            Self::VotesRead => "votes:read",
            Self::ResultsRead => "results:read",
            Self::ExportsRead => "exports:read",
            Self::Admin => "admin",
        }
    }
}

/// A rate with its burst, for the generic cell rate algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rate {
    /// Requests a second over time.
    pub rate: u32,
    /// Requests at once after a pause.
    pub burst: u32,
}

/// How fast a key may be used. None means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Everything together.
    pub api: Option<Rate>,
    /// Votes that are cast, changed or withdrawn.
    pub post_votes: Option<Rate>,
    /// Single votes that are read.
    pub read_votes: Option<Rate>,
    /// Requests in one day of UTC.
    pub quota_per_day: Option<u64>,
}

impl Plan {
    /// The plan that both seed documents set.
    pub const STANDARD: Self = Self {
        api: Some(Rate { rate: 100, burst: 200 }),
        post_votes: Some(Rate { rate: 10, burst: 20 }),
        read_votes: Some(Rate { rate: 50, burst: 100 }),
        quota_per_day: Some(10_000),
    };
    /// No limits, for batch senders.
    pub const UNLIMITED: Self = Self { api: None, post_votes: None, read_votes: None, quota_per_day: None };
}

/// The SHA-256 of a key's secret. Secrets that the program makes carry 256 random bits, so a plain hash keeps them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of a secret.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// The bytes, to compare in constant time.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretHash(…)")
    }
}

impl Serialize for SecretHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&crate::record::hexadecimal(&self.0))
    }
}

impl<'de> Deserialize<'de> for SecretHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit =
            |at: usize| text.get(at * 2..at * 2 + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let mut hash = [0; 32];
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = digit(at).ok_or_else(|| serde::de::Error::custom("a hash is 64 hexadecimal digits"))?;
        }
        Ok(Self(hash))
    }
}

/// One of a key's secrets. A key has two at most, so that one can be replaced without a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// Its hash.
    pub hash: SecretHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when it is no longer accepted.
    pub expires_at: Option<Timestamp>,
}

/// A key as it stands. The secrets themselves are shown once and kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// Its id, no secret.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// How fast.
    pub plan: Plan,
    /// From when it is no longer accepted.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// One, or two while it is being rotated.
    pub secrets: Vec<Secret>,
}

impl Key {
    /// Whether the key, by one of its secrets, is accepted at a moment.
    pub fn is_live(&self, secret: &Secret, now: Timestamp) -> bool {
        let before = |moment: Option<Timestamp>| moment.is_none_or(|moment| now < moment);
        self.revoked_at.is_none() && before(self.expires_at) && before(secret.expires_at)
    }

    /// Whether the key may be used for something.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&Scope::Admin) || self.scopes.contains(&scope)
    }
}
