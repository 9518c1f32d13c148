//! How an export names voters.

use std::{borrow::Cow, sync::Arc};

use canvass_domain::{
    PollId, VoterId,
    record::{Setting, hexadecimal, unhexadecimal},
};
use canvass_store::{Store, StoreError};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What pseudonyms are made with. Whoever has it can find out which of the voters that they know a pseudonym is.
pub type PseudonymKey = [u8; 32];

/// How voters are named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Voters {
    /// As they were given.
    #[default]
    Given,
    /// By a keyed hash: the same voter has the same name in each export of one poll, and another name in another poll.
    Pseudonyms(PseudonymKey),
    /// Not at all.
    Omitted,
}

impl Voters {
    /// By pseudonyms, under the key that the store keeps, so that every server on it gives a voter the same one. `made`
    /// are random bytes, which become the key where there is none yet.
    ///
    /// # Errors
    /// Whatever keeps the store from reading or making it.
    pub async fn pseudonyms(store: &Arc<dyn Store>, made: PseudonymKey) -> Result<Self, StoreError> {
        let setting = Setting { name: "pseudonym-key".to_owned(), value: hexadecimal(&made) };
        let key = unhexadecimal(&store.setting(setting).await?);
        key.map(Self::Pseudonyms).ok_or_else(|| StoreError::Corrupt("the setting pseudonym-key".to_owned()))
    }

    /// What a voter is called.
    pub(crate) fn name<'a>(&self, poll: &PollId, voter: &'a VoterId) -> Option<Cow<'a, str>> {
        match self {
            Self::Given => Some(voter.as_str().into()),
            Self::Pseudonyms(key) => Some(pseudonym(key, poll, voter).into()),
            Self::Omitted => None,
        }
    }
}

/// HMAC-SHA-256 (RFC 2104), cut to 16 bytes. A poll's id has no zero byte, so no two pairs are hashed alike.
fn pseudonym(key: &PseudonymKey, poll: &PollId, voter: &VoterId) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(b"canvass voter ");
    mac.update(poll.as_str().as_bytes());
    mac.update(&[0]);
    mac.update(voter.as_str().as_bytes());
    hexadecimal(&mac.finalize().into_bytes()[..16])
}
