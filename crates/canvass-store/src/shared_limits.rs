//! Limits that several servers on one store count together: what a server asks, and what it is told.

use std::{future::Future, pin::Pin, time::Duration};

use canvass_domain::key::Rate;

/// What counts requests for all servers on a store.
pub trait SharedLimits: Send + Sync {
    /// Counts one request against each of these in turn, up to the first that refuses it. None where nobody can be
    /// asked now: the server then counts for itself.
    fn take<'a>(
        &'a self,
        demands: &'a [Demand],
    ) -> Pin<Box<dyn Future<Output = Option<Vec<Taken>>> + Send + 'a>>;
}

/// A limit that a request counts against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Whose limit it is: the same text on all servers, and no secret.
    pub who: String,
    /// The limit's name, as callers are told it.
    pub name: &'static str,
    /// How much it allows.
    pub most: Most,
}

/// How much a limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Most {
    /// Requests over time, by the generic cell rate algorithm.
    Rate(Rate),
    /// Requests in one day of UTC.
    PerDay(u64),
}

/// What a limit said to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether it allows the request.
    pub is_allowed: bool,
    /// How many more it would allow at once.
    pub left: u64,
    /// Of a rate that refused: when it allows one again. Of a day: when the next begins.
    pub wait: Duration,
}
