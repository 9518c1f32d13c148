//! Every bound of the engine, in one place.

use std::time::Duration;

/// Partitions that a poll's votes are spread over. Each takes about 1,000 votes a second before DynamoDB splits it.
pub(crate) const BUCKETS: u32 = 16;
/// Voters whose votes are with DynamoDB at once; others wait.
pub(crate) const WRITES_AT_ONCE_MAX: usize = 64;
/// Votes that are erased in one transaction. Each is two of the hundred steps that it may have, and the items of both
/// must fit in 4 MB.
pub(crate) const ERASED_AT_ONCE_MAX: i32 = 25;
/// Buckets of a poll that are read at once.
pub(crate) const BUCKETS_READ_AT_ONCE_MAX: usize = 4;
/// How long DynamoDB may take to say that it makes a table. Nobody's vote waits for it.
pub(crate) const TABLE_WAIT_MAX: Duration = Duration::from_secs(30);
/// Bytes of a poll's JSON: it must fit an item of 400 KB beside its names.
pub(crate) const POLL_BYTES_MAX: usize = 350_000;
/// Polls that are kept as they were read last.
pub(crate) const POLLS_KNOWN_MAX: usize = 10_000;
/// Polls whose records are kept numbered, for whoever reads them page by page.
pub(crate) const LISTINGS_MAX: usize = 4;
/// How long they are kept after they were last asked for.
pub(crate) const LISTING_KEPT: Duration = Duration::from_mins(2);
/// Bytes of ballots that one item of a poll's ballot log holds.
pub(crate) const BALLOT_LOG_BYTES_MAX: usize = 300_000;
/// Records that are taken from a shard of the stream at once; the most that it gives.
pub(crate) const STREAM_RECORDS_MAX: i32 = 1_000;
/// Times in one turn that a shard is asked for more.
pub(crate) const STREAM_READS_MAX: usize = 10;
/// How often shards are looked for that have come up.
pub(crate) const SHARDS_LOOKED_FOR: Duration = Duration::from_secs(5);
/// How long a finished shard's checkpoints stay in the counters: a server that was stopped for so long and goes on
/// with what it read before could count it again, so this is far longer than any pause.
pub(crate) const CHECKPOINTS_KEPT_SECONDS: i64 = 3_600;
/// How often a step is tried again that others were in the way of.
pub(crate) const CONFLICTS_MAX: usize = 200;
/// A first pause before DynamoDB is asked again; it doubles up to [`RETRY_PAUSE_MAX`].
pub(crate) const RETRY_PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest pause before DynamoDB is asked again.
pub(crate) const RETRY_PAUSE_MAX: Duration = Duration::from_millis(400);
/// A fence that has stood for so long was left by a server that ended; it is taken away.
pub(crate) const FENCE_LEFT: Duration = Duration::from_secs(10);
/// How far servers' clocks may lie apart. More makes a poll open or close at different moments on different servers.
pub(crate) const CLOCKS_APART_SECONDS_MAX: i64 = 2;
/// Hashes of codes in one item.
pub(crate) const CODES_ITEM_MAX: usize = 10_000;
/// Items of codes that are written at once.
pub(crate) const CODES_WRITTEN_AT_ONCE_MAX: usize = 16;
/// Bytes of a result that is kept in Redis; a larger one is read from the tables.
pub(crate) const RESULT_BYTES_MAX: usize = 4 << 20;
/// How long a connection to Redis may take to make.
pub(crate) const REDIS_CONNECT_WAIT_MAX: Duration = Duration::from_secs(1);
/// The same where a request waits for it.
pub(crate) const REDIS_LOOKED_FOR_WAIT_MAX: Duration = Duration::from_millis(250);
/// How long Redis is left alone after it failed.
pub(crate) const REDIS_RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// How often a connection that nobody uses is tried.
pub(crate) const REDIS_LOOKED_AFTER: Duration = Duration::from_secs(1);
/// Words of new results that wait for this server.
pub(crate) const TOLD_WAITING_MAX: usize = 1_024;
/// Records of a data directory that are read ahead while it is carried to tables.
pub(crate) const CARRIED_AHEAD_MAX: usize = 1_024;
/// How long the counts may stand still before what was carried is given up.
pub(crate) const CARRIED_COUNTS_WAIT_MAX: Duration = Duration::from_mins(1);
/// How often they are looked at meanwhile.
pub(crate) const CARRIED_COUNTS_LOOKED_AT: Duration = Duration::from_millis(200);
