//! The use cases: who may do what, and what it does. Nothing here knows HTTP.

pub(crate) mod alarms;
pub(crate) mod answer;
pub(crate) mod breakdowns;
pub(crate) mod caller;
pub(crate) mod codes;
pub(crate) mod counting;
pub(crate) mod crossing;
pub(crate) mod devices;
pub(crate) mod election;
pub(crate) mod erasing;
pub(crate) mod events;
pub(crate) mod export;
pub(crate) mod failure;
pub(crate) mod figures;
pub(crate) mod kept;
pub(crate) mod keys;
pub(crate) mod limiting;
pub(crate) mod live;
pub(crate) mod polls;
pub(crate) mod receipts;
pub(crate) mod recount;
pub(crate) mod results;
pub(crate) mod sessions;
pub(crate) mod sharing;
pub(crate) mod vote_request;
pub(crate) mod votes;
pub(crate) mod webhooks;

pub(crate) use caller::Caller;
pub(crate) use failure::Failure;
