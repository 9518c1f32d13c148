//! How fast a key or an address may ask: the generic cell rate algorithm by class of request, and a quota by the day.
//!
//! The state is in memory: a restart forgets what was used of a day's quota.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use canvass_domain::{
    Timestamp,
    key::{Plan, Rate},
};
use governor::{
    NotUntil, Quota, RateLimiter,
    clock::Clock,
    middleware::{NoOpMiddleware, StateInformationMiddleware, StateSnapshot},
    state::{InMemoryState, NotKeyed, keyed::HashMapStateStore},
};
use parking_lot::Mutex;

use crate::{edge::Edge, limits::ADDRESSES_MAX, service::Failure};

/// What a request counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Not limited: health, and pages that explain.
    Free,
    /// Everything else.
    Api,
    /// A vote cast, changed or withdrawn.
    PostVotes,
    /// A single vote read.
    ReadVotes,
    /// A batch, whose lines are counted one by one.
    Batch,
}

/// What was used of the limits that a request counted against.
pub(crate) type Standing = Vec<Used>;

/// What was used of one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    /// The limit's name.
    pub(crate) name: &'static str,
    /// Requests that it allows at once.
    pub(crate) quota: u64,
    /// Seconds in which as many are allowed again.
    pub(crate) window_seconds: u64,
    /// Requests that it would still allow.
    pub(crate) remaining: u64,
    /// Seconds until it is as if unused.
    pub(crate) reset_seconds: u64,
}

/// A limit that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limited {
    /// When to try again.
    pub(crate) retry_after: Duration,
    /// Whether it is the day's quota.
    pub(crate) by_day: bool,
    /// What was used.
    pub(crate) standing: Standing,
}

impl fmt::Display for Limited {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.by_day {
            formatter.write_str("today's quota of this key is used up; it begins anew at 00:00 UTC")
        } else {
            formatter.write_str("too many requests at once; wait as long as `Retry-After` says")
        }
    }
}

/// The edge's time as the limiters read it.
#[derive(Clone)]
pub(crate) struct EdgeClock(pub(crate) Arc<dyn Edge>);

impl Clock for EdgeClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// One limit of a key.
struct Limit {
    name: &'static str,
    rate: Rate,
    limiter: RateLimiter<NotKeyed, InMemoryState, EdgeClock, StateInformationMiddleware>,
}

impl Limit {
    fn new(name: &'static str, rate: Option<Rate>, clock: &EdgeClock) -> Option<Self> {
        let rate = rate?;
        let limiter = RateLimiter::direct_with_clock(quota(rate), clock.clone()).with_middleware();
        Some(Self { name, rate, limiter })
    }

    /// Counts a request; tells what is left, and how long to wait if it was refused.
    fn count(&self, clock: &EdgeClock) -> (Used, Option<Duration>) {
        match self.limiter.check() {
            Ok(snapshot) => (self.used(&snapshot), None),
            Err(refused) => (self.used_up(), Some(wait(&refused, clock))),
        }
    }

    fn used(&self, snapshot: &StateSnapshot) -> Used {
        Used::of_rate(self.name, self.rate, u64::from(snapshot.remaining_burst_capacity()))
    }

    fn used_up(&self) -> Used {
        Used::of_rate(self.name, self.rate, 0)
    }
}

impl Used {
    /// What was used of a rate that would still allow so many requests.
    pub(crate) fn of_rate(name: &'static str, rate: Rate, remaining: u64) -> Self {
        let (quota, a_second) = (u64::from(rate.burst), u64::from(rate.rate.max(1)));
        let window_seconds = quota.div_ceil(a_second).max(1);
        let reset_seconds = quota.saturating_sub(remaining).div_ceil(a_second);
        Self { name, quota, window_seconds, remaining, reset_seconds }
    }
}

/// How fast one key may still ask.
pub(crate) struct KeyLimits {
    clock: EdgeClock,
    api: Option<Limit>,
    post_votes: Option<Limit>,
    read_votes: Option<Limit>,
    day: Option<DayQuota>,
}

struct DayQuota {
    limit: u64,
    used: Mutex<(i64, u64)>,
}

/// A day of UTC.
pub(crate) const SECONDS_PER_DAY: i64 = 86_400;

impl KeyLimits {
    /// The limits of a plan, unused.
    pub(crate) fn new(plan: Plan, clock: EdgeClock) -> Self {
        Self {
            api: Limit::new("api", plan.api, &clock),
            post_votes: Limit::new("post-votes", plan.post_votes, &clock),
            read_votes: Limit::new("read-votes", plan.read_votes, &clock),
            day: plan.quota_per_day.map(|limit| DayQuota { limit, used: Mutex::new((0, 0)) }),
            clock,
        }
    }

    /// Whether the key has no limits, so that nothing need be counted.
    pub(crate) fn are_none(&self) -> bool {
        self.api.is_none() && self.post_votes.is_none() && self.read_votes.is_none() && self.day.is_none()
    }

    /// Counts a request of a class.
    pub(crate) fn count(&self, class: Class, now: Timestamp) -> Result<Standing, Failure> {
        if matches!(class, Class::Free | Class::Batch) {
            return Ok(Standing::new());
        }
        let by_class = match class {
            Class::PostVotes => self.post_votes.as_ref(),
            Class::ReadVotes => self.read_votes.as_ref(),
            Class::Api | Class::Free | Class::Batch => None,
        };
        let mut standing = Standing::new();
        for limit in [self.api.as_ref(), by_class].into_iter().flatten() {
            let (used, wait) = limit.count(&self.clock);
            standing.push(used);
            if let Some(retry_after) = wait {
                return Err(Failure::Limited(Box::new(Limited { retry_after, by_day: false, standing })));
            }
        }
        if let Some(day) = &self.day {
            let (used, allowed) = day.count(now);
            standing.push(used);
            if !allowed {
                let retry_after = Duration::from_secs(seconds_left(now));
                return Err(Failure::Limited(Box::new(Limited { retry_after, by_day: true, standing })));
            }
        }
        Ok(standing)
    }
}

impl DayQuota {
    fn count(&self, now: Timestamp) -> (Used, bool) {
        let today = now.seconds().div_euclid(SECONDS_PER_DAY);
        let mut used = self.used.lock();
        // A clock that goes back does not give the day's quota again.
        if today > used.0 {
            *used = (today, 0);
        }
        let allowed = used.1 < self.limit;
        used.1 += u64::from(allowed);
        let remaining = self.limit - used.1;
        let window_seconds = SECONDS_PER_DAY.unsigned_abs();
        let reset_seconds = seconds_left(now);
        (Used { name: "day", quota: self.limit, window_seconds, remaining, reset_seconds }, allowed)
    }
}

impl fmt::Debug for KeyLimits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyLimits")
    }
}

fn seconds_left(now: Timestamp) -> u64 {
    (SECONDS_PER_DAY - now.seconds().rem_euclid(SECONDS_PER_DAY)).unsigned_abs()
}

type AddressLimiter =
    RateLimiter<AddressKey, HashMapStateStore<AddressKey>, EdgeClock, NoOpMiddleware<Duration>>;

/// What counts as one client: an IPv4 address, or an IPv6 network of 64 bits, which is what one household gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AddressKey(IpAddr);

impl AddressKey {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() >> 64 << 64;
                Self(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

impl fmt::Display for AddressKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// How fast callers without a key may ask, by address.
pub(crate) struct AddressLimits {
    clock: EdgeClock,
    votes: Option<AddressTable>,
    reads: Option<AddressTable>,
}

struct AddressTable {
    name: &'static str,
    rate: Rate,
    limiter: AddressLimiter,
    /// How many addresses may be known before those are dropped that have been idle.
    sweep_at: AtomicUsize,
}

const SWEEP_LEAST: usize = 1_024;
/// What the limit on votes of an address is called.
pub(crate) const ADDRESS_VOTES_NAME: &str = "votes";
/// What the one on everything else is called.
pub(crate) const ADDRESS_READS_NAME: &str = "reads";

impl AddressLimits {
    pub(crate) fn new(votes: Option<Rate>, reads: Option<Rate>, clock: EdgeClock) -> Self {
        let table = |name, rate: Rate| AddressTable {
            name,
            rate,
            limiter: RateLimiter::new(quota(rate), HashMapStateStore::default(), clock.clone()),
            sweep_at: AtomicUsize::new(SWEEP_LEAST),
        };
        let votes = votes.map(|rate| table(ADDRESS_VOTES_NAME, rate));
        let reads = reads.map(|rate| table(ADDRESS_READS_NAME, rate));
        Self { clock, votes, reads }
    }

    /// Counts a request of a class. What is left is told with a refusal alone: many ask without a key.
    pub(crate) fn count(&self, class: Class, address: IpAddr) -> Result<(), Failure> {
        let table = match class {
            Class::Free | Class::Batch => None,
            Class::PostVotes => self.votes.as_ref(),
            Class::Api | Class::ReadVotes => self.reads.as_ref(),
        };
        let Some(table) = table else { return Ok(()) };
        if !table.has_room() {
            return Err(Failure::Busy { retry_after: Duration::from_secs(2) });
        }
        table.limiter.check_key(&AddressKey::of(address)).map_err(|refused| {
            let retry_after = wait(&refused, &self.clock);
            let standing = vec![Used::of_rate(table.name, table.rate, 0)];
            Failure::Limited(Box::new(Limited { retry_after, by_day: false, standing }))
        })
    }
}

impl AddressTable {
    /// Whether another address can be remembered, after dropping those that are as if they had never asked.
    fn has_room(&self) -> bool {
        if self.limiter.len() < self.sweep_at.load(Ordering::Relaxed) {
            return true;
        }
        self.limiter.retain_recent();
        let left = self.limiter.len();
        self.sweep_at.store((left * 2).clamp(SWEEP_LEAST, ADDRESSES_MAX), Ordering::Relaxed);
        left < ADDRESSES_MAX
    }
}

impl fmt::Debug for AddressLimits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AddressLimits")
    }
}

fn quota(rate: Rate) -> Quota {
    let least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(least_one(rate.rate)).allow_burst(least_one(rate.burst))
}

/// Whole seconds to wait, one at least, as `Retry-After` can say no less.
fn wait(refused: &NotUntil<Duration>, clock: &EdgeClock) -> Duration {
    let wait = refused.wait_time_from(clock.now());
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(Duration::from_secs(1))
}
