//! Every bound of the functions, in one place.

use std::time::Duration;

/// Bytes of an answer's body. Lambda takes 6 MB with all around it, and bytes that are no text grow by a third.
pub(crate) const ANSWER_BYTES_MAX: usize = 4_500_000;
/// Bytes of a body that is answered as text. Quotes in it take two bytes each in the event, so a large one is told as
/// bytes that are no text.
pub(crate) const TEXT_BYTES_MAX: usize = 1_000_000;
/// How long keys that others made or revoked, and steps that time has made due, may go unnoticed.
pub(crate) const CATCH_UP_PAUSE: Duration = Duration::from_secs(5);
/// Votes after which a snapshot of all results is exported; 0 is never.
pub(crate) const SNAPSHOT_VOTES: u64 = 0;
/// Minutes after which it is, if something changed.
pub(crate) const SNAPSHOT_MINUTES: i64 = 60;
/// How long the secret's own service may take to answer.
pub(crate) const SECRET_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long the counts of a poll that has ended may lack votes before they are told to be wrong. The tally is seconds
/// behind, and another alarm tells when it is more than a minute.
pub(crate) const TALLY_WAIT_MAX: Duration = Duration::from_mins(2);
/// Time between two looks at such counts.
pub(crate) const TALLY_PAUSE: Duration = Duration::from_secs(10);
/// Time between two looks whether a poll is to be erased, while those whose time is up are looked for.
pub(crate) const ERASURE_PAUSE: Duration = Duration::from_secs(1);
