//! Where this program takes time, randomness and what is not its own in the environment from.

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

/// What object stores are reached with. Variables that are no text are none of those.
pub(crate) fn access() -> canvass_export::Access {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        name.into_string().ok().zip(value.into_string().ok())
    };
    canvass_export::Access::of(std::env::vars_os().filter_map(text))
}
