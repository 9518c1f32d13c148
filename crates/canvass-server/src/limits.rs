//! Every bound of the service and its HTTP API, in one place.

use std::time::Duration;

use canvass_domain::{Sequence, key::Rate};

/// Bytes of one vote's body, and of one line of a batch.
pub const VOTE_BODY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of any other JSON body.
pub const JSON_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Time that a body may take to arrive.
pub const BODY_WAIT_MAX: Duration = Duration::from_secs(10);
/// Time that a batch may go without sending anything.
pub const BATCH_WAIT_MAX: Duration = Duration::from_secs(30);
/// Lines of a batch that are given to the store together.
pub const BATCH_CHUNK_LINES_MAX: usize = 2_048;
/// Bytes of a batch that are read together.
pub const BATCH_CHUNK_BYTES_MAX: usize = 256 * 1024;
/// Chunks of one batch that are with the store at once.
pub const BATCH_CHUNKS_IN_FLIGHT_MAX: usize = 4;
/// Lines of a batch that are counted against shared limits at once.
pub const LIMITS_ASKED_AT_ONCE_MAX: usize = 64;
/// How often lines are sent again to a store that is full, before the caller is told.
pub const BATCH_RETRIES_MAX: u32 = 200;
/// Wait between such tries.
pub const BATCH_RETRY_WAIT: Duration = Duration::from_millis(50);
/// How often a ballot is read again because the poll's options changed meanwhile.
pub const FORM_RETRIES_MAX: u32 = 8;
/// Polls of a page unless the caller says otherwise.
pub const POLLS_PAGE_DEFAULT: usize = 50;
/// Public polls on the first page.
pub const HOME_POLLS_MAX: usize = 50;
/// Open polls that are looked through for them.
pub const HOME_POLLS_READ_MAX: usize = 500;
/// Polls with a figure of their own in the metrics.
pub const POLL_FIGURES_MAX: usize = 20;
/// Open polls, the newest, that are looked through for those with the most votes.
pub const POLL_FIGURES_READ_MAX: usize = 2_000;
/// Scores of an option that a form shows side by side; more are written into a field.
pub const FORM_SCALE_STEPS_MAX: i64 = 11;
/// Ranks that a form lists; more are written into a field.
pub const FORM_RANKS_LISTED_MAX: i64 = 12;
/// Figures of a page's table of rounds; of a longer count only the last rounds are shown.
pub const ROUND_FIGURES_MAX: usize = 4_000;
/// Options that a page compares in pairs.
pub const PAIRS_OPTIONS_MAX: usize = 12;
/// Options and rounds that a picture of a count has room for.
pub const FLOW_OPTIONS_MAX: usize = 12;
/// See [`FLOW_OPTIONS_MAX`].
pub const FLOW_ROUNDS_MAX: usize = 10;
/// Letters of an option's name beside its lane in such a picture.
pub const FLOW_LABEL_LETTERS_MAX: usize = 20;
/// Seconds that a browser keeps the receipt of a vote.
pub const RECEIPT_SECONDS_MAX: u32 = 86_400;
/// Events of a page of the audit trail.
pub const EVENTS_PAGE_MAX: usize = 1_000;
/// Events of a page of all polls' unless the caller says otherwise.
pub const EVENTS_PAGE_DEFAULT: usize = 100;
/// Pages of the ledger that one such request looks through: a million records.
pub const EVENT_PAGES_LOOKED_AT_MAX: usize = 64;
/// Webhooks. Each reads the ledger on its own.
pub const WEBHOOKS_MAX: usize = 50;
/// Polls that a webhook names.
pub const WEBHOOK_POLLS_MAX: usize = 1_000;
/// Alarms that wait to be told to one webhook.
pub const WEBHOOK_ALARMS_WAITING_MAX: usize = 100;
/// Seconds after which changed results are told where nothing else is said.
pub const RESULTS_SECONDS_DEFAULT: u64 = 10;
/// The same, at most.
pub const RESULTS_SECONDS_MAX: u64 = 86_400;
/// Pause between looks for something to deliver.
pub const WEBHOOK_PAUSE: Duration = Duration::from_millis(200);
/// Seconds between two records of how far a webhook has come.
pub const WEBHOOK_KEEP_SECONDS: i64 = 1;
/// Bytes of ledger after which it is recorded also where nothing was delivered.
pub const WEBHOOK_UNKEPT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Seconds after each failed try until the next; three days in all. After the last the webhook is disabled.
pub const WEBHOOK_RETRIES_SECONDS: [i64; 11] =
    [1, 5, 30, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 72_000];
/// Pause between looks whether a poll is due to be erased.
pub const ERASURE_PAUSE: Duration = Duration::from_mins(1);
/// Days that votes may go on telling of persons, if it is not for ever: a hundred years.
pub(crate) const ERASE_AFTER_DAYS_MAX: u32 = 36_500;
/// Pause between looks whether an erasure has ended.
pub const ERASURE_WAIT_PAUSE: Duration = Duration::from_millis(50);
/// Seconds that the clock must go on from a moment before erasure by age believes that it has come.
pub const CLOCK_BELIEVED_AFTER_SECONDS: i64 = 86_400;
/// Seconds between two moments that it believes, at most; a clock that has gone further has jumped, or nobody looked.
pub const CLOCK_GAP_SECONDS_MAX: i64 = 3 * 86_400;
/// Pause between looks at the alarms.
pub const ALARM_PAUSE: Duration = Duration::from_secs(1);
/// Polls whose results are kept ready at once.
pub const RESULTS_READY_MAX: usize = 4_096;
/// Polls whose counts of ballots are kept ready at once.
pub const COUNTS_READY_MAX: usize = 4_096;
/// Breakdowns of polls with small cells that are remembered as they were shown.
pub const BREAKDOWNS_SHOWN_MAX: usize = 4_096;
/// Records of a poll that cross-tables are folded from at most: some seconds' work.
pub const CROSSED_RECORDS_MAX: Sequence = Sequence(2_000_000);
/// Cross-tables that are kept ready.
pub const CROSSINGS_READY_MAX: usize = 64;
/// Filters of one cross-table.
pub const CROSS_FILTERS_MAX: usize = 2;
/// Steps of a picture of votes over time.
pub const CHART_STEPS_MAX: i64 = 1_500;
/// Figures of a page's table; longer ones are left to the download.
pub const ANALYTICS_FIGURES_MAX: usize = 4_000;
/// Polls with at most so many distinct ballots are always counted up to their newest vote. Those with more are counted
/// one at a time, and their count may be older.
pub const COUNTED_NEWEST_MAX: usize = 5_000;
/// How old such a count may be, unless counting takes so long that the next is not due.
pub const COUNT_AGE_MAX: Duration = Duration::from_millis(440);
/// After a count of ballots the poll's next one waits for so many times as long as it took: counts of one poll take at
/// most a quarter of one core's time.
pub const COUNT_PAUSE_PARTS: u32 = 3;
/// But no longer than this, in case the machine stood still while it counted.
pub const COUNT_PAUSE_MAX: Duration = Duration::from_secs(15);
/// Pause between two results sent to the watchers of a poll: ten a second at most.
pub const LIVE_PAUSE: Duration = Duration::from_millis(100);
/// The same for each watcher, where many watch and many vote: 5,000 are told three times a second then, so that telling
/// them leaves most of two cores to voting.
pub const LIVE_PAUSE_PER_WATCHER: Duration = Duration::from_micros(70);
/// Records between two results up to which a poll is quiet, and all are told as soon as may be.
pub const LIVE_RECORDS_QUIET_MAX: u64 = 50;
/// The longest such pause.
pub const LIVE_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often a broadcast looks whether anybody still watches.
pub const LIVE_CHECK: Duration = Duration::from_secs(5);
/// Silence after which a watcher is told that the stream is alive.
pub const LIVE_HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a stream goes on: keys and visibility are looked at anew when the watcher connects again.
pub const LIVE_LIFETIME_MAX: Duration = Duration::from_mins(15);
/// How long a watcher is asked to wait at most before it connects again.
pub const LIVE_RETRY_MAX: Duration = Duration::from_secs(3);
/// How long a watcher is asked to wait where streams end at once.
pub const SHORT_POLLING_PAUSE: Duration = Duration::from_secs(2);
/// How long a cache may keep results there.
pub const SHORT_POLLING_CACHE_SECONDS: u32 = 1;
/// Streams of live results at once; more are told 503. The other connections are left for votes.
pub const WATCHERS_MAX: usize = 15_000;
/// Pixels that an embedded poll is wide at most.
pub const OEMBED_WIDTH_MAX: u32 = 600;
/// Pixels that it is high at most.
pub const OEMBED_HEIGHT_MAX: u32 = 900;
/// Seconds that what is told of embedding may be kept for.
pub const OEMBED_CACHE_SECONDS: u32 = 3_600;
/// Origins of other sites that may embed polls.
pub const ORIGINS_MAX: usize = 100;
/// API keys, revoked ones included.
pub const KEYS_MAX: usize = 100_000;
/// Bytes of a key's name.
pub const KEY_NAME_BYTES_MAX: usize = 200;
/// Requests a second of one key, and its burst.
pub const RATE_MAX: u32 = 1_000_000;
/// Hours that a key's older secret is still accepted for, unless the caller says otherwise.
pub const ROTATION_HOURS_DEFAULT: i64 = 24;
/// Polls that a search of the console looks through, newest first.
pub const POLLS_SEARCHED_MAX: usize = 10_000;
/// Seconds that a session of the console lasts: a working day.
pub const SESSION_SECONDS_MAX: i64 = 12 * 3_600;
/// Sessions that were signed out before their time and are remembered; past this, those whose time is over are forgotten.
pub const SESSIONS_ENDED_MAX: usize = 10_000;
/// Client addresses whose rates are remembered at once. Past this, new ones are told that the server is busy.
pub const ADDRESSES_MAX: usize = 262_144;
/// Votes of one address without a key.
pub const ADDRESS_VOTES: Rate = Rate { rate: 20, burst: 40 };
/// Everything else of one address without a key.
pub const ADDRESS_READS: Rate = Rate { rate: 100, burst: 200 };
/// Days that a device is known by its cookie: as long as browsers keep one.
pub const DEVICE_DAYS_MAX: u32 = 400;
/// Connections in all, over every worker; more are told 503 and closed.
pub const CONNECTIONS_MAX: usize = 20_000;
/// Time to send a request's head, and for a new connection to send its first.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that a connection may stay without a request after its last answer.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// Bytes of answers that wait in the system for each connection, before any of them is sent: enough for a fast reader,
/// and a second or so of live results for one that stalls.
pub const UNSENT_BYTES_MAX: u32 = 64 * 1024;
/// Time that an answer may wait for a client that does not read.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time that requests in flight, uploads of batches included, have to end once the server is told to stop.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Bytes that a connection may hold of what it has read but not handled, and of what it has answered but not sent.
pub const CONNECTION_BUFFER_BYTES_MAX: usize = 128 * 1024;
/// Connections that may wait at one worker to be accepted.
pub const BACKLOG: i32 = 4_096;
/// Pause after the system had no file descriptor to give.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often a recount begins anew where votes come in between, on an engine whose tally follows them.
pub const RECOUNT_TRIES_MAX: u32 = 10;
/// The pause before it does.
pub const RECOUNT_PAUSE: Duration = Duration::from_millis(500);
