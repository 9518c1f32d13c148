//! The names of things, parsed once at the edge and never passed about as bare text.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use crate::limits::{ID_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, VOTER_BYTES_MAX};

/// Why a text is not an identifier of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// A poll's, option's or key's id.
    #[error("an id is 1 to {ID_BYTES_MAX} characters of a-z A-Z 0-9 . _ -")]
    Id,
    /// A voter's id.
    #[error("a voter's id is 1 to {VOTER_BYTES_MAX} bytes of text without control characters")]
    Voter,
    /// An idempotency key.
    #[error("an idempotency key is 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters")]
    IdempotencyKey,
    /// A vote's id.
    #[error("a vote's id is a UUID")]
    Vote,
}

/// Text types that are checked when parsed and cheap to clone.
macro_rules! text_identifier {
    ($(#[$meta:meta])* $name:ident, $check:expr, $error:expr) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdentifierError;

            fn from_str(text: &str) -> Result<Self, IdentifierError> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.into())) } else { Err($error) }
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

text_identifier!(
    /// A poll's id: 1 to 64 of `a-z A-Z 0-9 . _ -`.
    PollId, is_id, IdentifierError::Id
);
text_identifier!(
    /// An option's id within its poll: 1 to 64 of `a-z A-Z 0-9 . _ -`.
    OptionId, is_id, IdentifierError::Id
);
text_identifier!(
    /// An API key's id, which is no secret.
    KeyId, is_id, IdentifierError::Id
);
text_identifier!(
    /// Who votes: 1 to 256 bytes of any text without control characters. It is personal data: it can be printed only
    /// by asking for it, never by accident.
    VoterId, is_voter, IdentifierError::Voter
);
text_identifier!(
    /// The caller's name for one request, so that sending it again has no second effect: 1 to 256 visible ASCII
    /// characters.
    IdempotencyKey, is_idempotency_key, IdentifierError::IdempotencyKey
);

/// Identifiers that are no secret print as their text.
macro_rules! printed {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, formatter)
            }
        }
    )*};
}

printed!(PollId, OptionId, KeyId);

/// Personal identifiers print as dots, so that no log or panic message can hold one.
macro_rules! hidden {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

hidden!(VoterId, IdempotencyKey);

/// One vote's id, a random UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VoteId(Uuid);

impl VoteId {
    /// An id from 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// A random (version 4) id from 16 random bytes.
    pub const fn from_random(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for VoteId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for VoteId {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        Uuid::parse_str(text).map(Self).map_err(|_| IdentifierError::Vote)
    }
}

/// How many of a poll's records came before and with this one: the first has 1, and 0 means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

fn is_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_voter(text: &str) -> bool {
    let is_plain = |byte: u8| (0x20..0x7f).contains(&byte);
    (1..=VOTER_BYTES_MAX).contains(&text.len())
        && (text.bytes().all(is_plain) || !text.chars().any(char::is_control))
}

fn is_idempotency_key(text: &str) -> bool {
    (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}
