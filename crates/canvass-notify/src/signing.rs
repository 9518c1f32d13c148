//! Signatures of messages by Standard Webhooks 1.0: `v1` is HMAC-SHA256 by a shared secret, `v1a` is ed25519, of which
//! receivers know the public key alone.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const SHARED: &str = "whsec_";
const PRIVATE: &str = "whsk_";
#[cfg(feature = "tls")]
const PUBLIC: &str = "whpk_";

/// What messages are signed with. It is never shown in a log.
#[derive(Clone, PartialEq, Eq)]
pub enum SigningKey {
    /// For `v1`: 32 random bytes that the receiver knows too.
    Shared([u8; 32]),
    /// For `v1a`: 32 random bytes that the public key comes from.
    Private([u8; 32]),
}

/// Why a text is no key to sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no key to sign with")]
pub struct KeyError;

impl SigningKey {
    /// Whether this program can sign by ed25519: it was built with TLS.
    pub const OFFERS_PRIVATE: bool = cfg!(feature = "tls");

    /// The key as it is kept: `whsec_…` or `whsk_…`.
    pub fn text(&self) -> String {
        match self {
            Self::Shared(bytes) => format!("{SHARED}{}", BASE64_STANDARD.encode(bytes)),
            Self::Private(bytes) => format!("{PRIVATE}{}", BASE64_STANDARD.encode(bytes)),
        }
    }

    /// What a receiver checks signatures with: the shared secret, or the public key as `whpk_…`.
    pub fn verifier(&self) -> String {
        match self {
            Self::Shared(_) => self.text(),
            Self::Private(seed) => public_text(seed),
        }
    }

    /// The name of the scheme, which stands before each signature.
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Shared(_) => "v1",
            Self::Private(_) => "v1a",
        }
    }

    /// The header `webhook-signature` for a message: the scheme, a comma, and the signature of the message's id, the
    /// time of this delivery and the body.
    pub fn sign(&self, id: &str, sent_at_seconds: i64, body: &[u8]) -> String {
        let parts = [id.as_bytes(), b".", sent_at_seconds.to_string().as_bytes(), b".", body].concat();
        let signature = match self {
            Self::Shared(key) => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
                mac.update(&parts);
                BASE64_STANDARD.encode(mac.finalize().into_bytes())
            }
            Self::Private(seed) => sign_by_ed25519(seed, &parts),
        };
        format!("{},{signature}", self.scheme())
    }
}

#[cfg(feature = "tls")]
fn pair(seed: &[u8; 32]) -> ring::signature::Ed25519KeyPair {
    ring::signature::Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes make a key")
}

#[cfg(feature = "tls")]
fn public_text(seed: &[u8; 32]) -> String {
    use ring::signature::KeyPair as _;
    format!("{PUBLIC}{}", BASE64_STANDARD.encode(pair(seed).public_key()))
}

#[cfg(feature = "tls")]
fn sign_by_ed25519(seed: &[u8; 32], parts: &[u8]) -> String {
    BASE64_STANDARD.encode(pair(seed).sign(parts))
}

/// Such a key was made by a program that was built with TLS; receivers refuse an empty signature.
#[cfg(not(feature = "tls"))]
fn public_text(_: &[u8; 32]) -> String {
    String::new()
}

#[cfg(not(feature = "tls"))]
fn sign_by_ed25519(_: &[u8; 32], _: &[u8]) -> String {
    String::new()
}

impl std::str::FromStr for SigningKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = |encoded: &str| {
            BASE64_STANDARD.decode(encoded).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(KeyError)
        };
        match (text.strip_prefix(SHARED), text.strip_prefix(PRIVATE)) {
            (Some(encoded), _) => bytes(encoded).map(Self::Shared),
            (_, Some(encoded)) => bytes(encoded).map(Self::Private),
            _ => Err(KeyError),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({}, …)", self.scheme())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key is 32 bytes of the letter k; the signature is by Python's hmac module.
    #[test]
    fn a_shared_secret_signs_as_others_do() {
        let key = SigningKey::Shared([b'k'; 32]);
        assert_eq!(key.text(), "whsec_a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=");
        assert_eq!(key.text().parse(), Ok(key.clone()));
        let signature = key.sign("msg_1", 1_700_000_000, br#"{"type":"x"}"#);
        assert_eq!(signature, "v1,4ziRo42vIzmCtMZ1LGSR8GBgHNfCV/zqQAzjfWEFYAg=");
        assert_eq!(format!("{key:?}"), "SigningKey(v1, …)");
    }

    #[test]
    fn other_texts_are_no_keys() {
        for text in ["", "whsec_", "whsec_AAAA", "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=", "whpk_AAAA"]
        {
            assert_eq!(text.parse::<SigningKey>(), Err(KeyError), "{text}");
        }
    }
}
