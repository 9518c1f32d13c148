//! Telling others: messages that are signed, delivered where they may go, mail, and topics of Amazon SNS.
//!
//! The crate knows no routes, no stores and no polls: it is given bytes, a name for them and where they are to go.

mod address;
mod deliver;
mod letter;
pub mod limits;
#[cfg(feature = "tls")]
mod mail;
mod signing;
mod target;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "sns")]
mod topic;

pub use address::is_public;
pub use deliver::{Delivery, Message, Sender};
pub use letter::Letter;
#[cfg(feature = "tls")]
pub use mail::{MailError, Mailer};
pub use signing::{KeyError, SigningKey};
pub use target::{Target, TargetError};
#[cfg(feature = "sns")]
pub use topic::{Topic, TopicError};
