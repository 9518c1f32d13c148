//! Who is asking: a key, an address, a device.

use std::{net::IpAddr, sync::Arc};

use canvass_domain::{VoterId, key::Scope};

use crate::service::{Failure, keys::LiveKey};

/// Who is asking.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The key that was sent, known and live.
    pub(crate) key: Option<Arc<LiveKey>>,
    /// Where the request comes from.
    pub(crate) address: IpAddr,
    /// The voter that the device's cookie stands for.
    pub(crate) device: Option<VoterId>,
}

impl Caller {
    /// Whether the caller has a key for this.
    pub(crate) fn has(&self, scope: Scope) -> bool {
        self.key.as_ref().is_some_and(|live| live.key.has(scope))
    }

    /// Refuses a caller without a key for this.
    pub(crate) fn require(&self, scope: Scope) -> Result<(), Failure> {
        match &self.key {
            None => Err(Failure::MissingKey),
            Some(live) if live.key.has(scope) => Ok(()),
            Some(_) => Err(Failure::MissingScope(scope)),
        }
    }

    /// The name of the caller in the audit trail.
    pub(crate) fn actor(&self) -> String {
        self.key.as_ref().map_or_else(|| "anyone".to_owned(), |live| format!("key:{}", live.key.id))
    }
}
