//! Where this program takes time and randomness from.

use canvass_server::{Edge as _, SystemEdge};

/// Random bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemEdge::default().random(&mut bytes);
    bytes
}

/// A random key for one request.
pub(crate) fn request_key() -> String {
    uuid::Builder::from_random_bytes(random()).into_uuid().to_string()
}
