//! Receipts: what shows that whoever holds it cast the vote of a voter in a poll. The server signs it, so that in polls
//! where voters are named, nobody reads the vote of another by naming them.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use canvass_domain::{PollId, VoterId};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::service::devices::{DeviceSecret, hexadecimal, unhexadecimal};

/// A voter's receipt in a poll: the voter and a signature.
pub(crate) fn write_receipt(secret: &DeviceSecret, poll: &PollId, voter: &VoterId) -> String {
    let signature: [u8; 32] = mac(secret, poll, voter).finalize().into_bytes().into();
    format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(voter.as_str()), hexadecimal(&signature))
}

/// The voter whose receipt in a poll this is; none if it was not signed here.
pub(crate) fn read_receipt(secret: &DeviceSecret, poll: &PollId, receipt: &str) -> Option<VoterId> {
    let (voter, signature) = receipt.split_once('.')?;
    let voter = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(voter).ok()?).ok()?.parse().ok()?;
    let signature: [u8; 32] = unhexadecimal(signature)?;
    mac(secret, poll, &voter).verify_slice(&signature).ok()?;
    Some(voter)
}

/// A poll's id holds no zero byte, so no other poll and voter give the same text.
fn mac(secret: &DeviceSecret, poll: &PollId, voter: &VoterId) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(b"canvass receipt ");
    mac.update(poll.as_str().as_bytes());
    mac.update(&[0]);
    mac.update(voter.as_str().as_bytes());
    mac
}
