//! Every bound of telling others, in one place.

use std::time::Duration;

/// Bytes of an address that messages are delivered to.
pub const URL_BYTES_MAX: usize = 2_048;
/// Addresses of one name that are tried.
pub const ADDRESSES_TRIED_MAX: usize = 4;
/// Time that resolving a name, connecting, sending and the head of the answer may take together.
pub const DELIVERY_WAIT_MAX: Duration = Duration::from_secs(15);
/// Time that connecting to one address may take.
pub const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
/// Bytes of an answer's head; its body is not read.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Time that a mail may take to be handed over.
pub const MAIL_WAIT_MAX: Duration = Duration::from_secs(30);
/// Time that a message may take to be published to a topic.
pub const TOPIC_WAIT_MAX: Duration = Duration::from_secs(15);
/// Bytes of a topic's name, as Amazon has it.
pub const TOPIC_NAME_BYTES_MAX: usize = 256;
