//! Every bound of the program's own, in one place.

use std::time::Duration;

/// Time to connect to a server.
pub(crate) const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);
/// Time that a vote's answer may take before it is sent again.
pub(crate) const VOTE_WAIT_MAX: Duration = Duration::from_secs(15);
/// How often a vote is sent, with the same idempotency key, before giving up.
pub(crate) const VOTE_TRIES_MAX: u32 = 6;
/// The first wait between tries; it doubles each time.
pub(crate) const RETRY_WAIT: Duration = Duration::from_millis(250);
/// The longest wait between tries.
pub(crate) const RETRY_WAIT_MAX: Duration = Duration::from_secs(10);
/// Bytes of an answer that is read as a whole.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often a watched result is asked for.
pub(crate) const WATCH_PERIOD: Duration = Duration::from_millis(500);
/// Votes of an import that may wait for their answers at once.
pub(crate) const IMPORT_WAITING_MAX: usize = 16_384;
/// Bytes of votes that are sent together.
pub(crate) const IMPORT_CHUNK_BYTES: usize = 64 * 1024;
/// Times in a row that an import connects anew without getting a single answer.
pub(crate) const IMPORT_TRIES_MAX: u32 = 8;
/// Refusals that an import tells in full.
pub(crate) const REASONS_SHOWN_MAX: usize = 10;
/// Polls that are asked for at once when all are listed.
pub(crate) const POLLS_PAGE: usize = 200;
/// Pause between looks at whether the files of a certificate have changed.
#[cfg(feature = "tls")]
pub(crate) const CERTIFICATE_LOOK_PAUSE: Duration = Duration::from_secs(2);
/// Domains of one certificate, as Let's Encrypt has it.
pub(crate) const ACME_DOMAINS_MAX: usize = 100;
/// Bytes of a domain (RFC 1035), as it is written.
pub(crate) const DOMAIN_BYTES_MAX: usize = 253;
/// Bytes between its dots.
pub(crate) const DOMAIN_LABEL_BYTES_MAX: usize = 63;
/// Pause after a certificate did not come by ACME, besides the library's own, which doubles.
#[cfg(feature = "tls")]
pub(crate) const ACME_RETRY_PAUSE: Duration = Duration::from_secs(15);
/// Time after which all is asked anew of the authority. Programs that are built for tests do it in the course of one.
#[cfg(feature = "tls")]
pub(crate) const ACME_ANEW_PAUSE: Duration =
    if cfg!(debug_assertions) { Duration::from_secs(12) } else { Duration::from_hours(24) };
/// Pause between looks at whether an export is due.
pub(crate) const EXPORT_PAUSE: Duration = Duration::from_secs(1);
/// The same where each look asks another machine for all polls.
pub(crate) const EXPORT_PAUSE_REMOTE: Duration = Duration::from_secs(15);
/// Pauses after each try to hand over a notice; one more try comes after the last.
pub(crate) const NOTICE_PAUSES: [Duration; 4] =
    [Duration::from_secs(5), Duration::from_mins(1), Duration::from_mins(10), Duration::from_hours(1)];
/// Pause after an export failed.
pub(crate) const EXPORT_RETRY_PAUSE: Duration = Duration::from_mins(1);
/// Time that an export at hand has when the server stops. What is not whole then is begun anew by the next server.
pub(crate) const EXPORT_STOP_WAIT_MAX: Duration = Duration::from_secs(20);
