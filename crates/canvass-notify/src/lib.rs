//! Telling others: messages that are signed, delivered where they may go, and mail.
//!
//! The crate knows no routes, no stores and no polls: it is given bytes, a name for them and where they are to go.

mod address;
mod deliver;
pub mod limits;
#[cfg(feature = "tls")]
mod mail;
mod signing;
mod target;
#[cfg(feature = "tls")]
mod tls;

pub use address::is_public;
pub use deliver::{Delivery, Message, Sender};
#[cfg(feature = "tls")]
pub use mail::{Letter, MailError, Mailer};
pub use signing::{KeyError, SigningKey};
pub use target::{Target, TargetError};
