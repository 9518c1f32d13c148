//! Devices that vote in public polls: a random id that the server signs, so that nobody makes up another one.
//!
//! A device is told its id with the first poll it reads, before it votes: if the answer to its vote is lost, the same
//! device asks again, and its vote counts once.

use canvass_domain::VoterId;
use canvass_store::StoreError;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::app::App;

/// A device that was just given its id.
#[derive(Clone, Debug)]
pub(crate) struct NewDevice {
    /// The voter that it stands for.
    pub(crate) voter: VoterId,
    /// What it must send back to be known: the id and its signature.
    pub(crate) token: String,
}

/// What the server signs devices' ids with.
pub(crate) type DeviceSecret = [u8; 32];

const ID_BYTES: usize = 16;

impl App {
    /// Gives a new device its id.
    pub(crate) async fn new_device(&self) -> Result<NewDevice, StoreError> {
        let secret = self.device_secret().await?;
        let id: [u8; ID_BYTES] = self.random();
        let token = format!("{}.{}", hexadecimal(&id), hexadecimal(&sign(&secret, &id)));
        Ok(NewDevice { voter: voter_of(&id), token })
    }
}

/// The voter that a token stands for; none if it was not signed here.
pub(crate) fn read_token(secret: &DeviceSecret, token: &str) -> Option<VoterId> {
    let (id, signature) = token.split_once('.')?;
    let id: [u8; ID_BYTES] = unhexadecimal(id)?;
    let signature: [u8; 32] = unhexadecimal(signature)?;
    mac(secret, &id).verify_slice(&signature).ok()?;
    Some(voter_of(&id))
}

fn sign(secret: &DeviceSecret, id: &[u8; ID_BYTES]) -> [u8; 32] {
    mac(secret, id).finalize().into_bytes().into()
}

fn mac(secret: &DeviceSecret, id: &[u8; ID_BYTES]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(b"canvass device ");
    mac.update(id);
    mac
}

fn voter_of(id: &[u8; ID_BYTES]) -> VoterId {
    format!("device-{}", hexadecimal(id)).parse().expect("lower-case hexadecimal digits make a voter's id")
}

pub(crate) use canvass_domain::record::{hexadecimal, unhexadecimal};
