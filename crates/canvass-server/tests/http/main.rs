//! The real router over the real local store: scripts of requests, and their whole answers.

mod analytics;
mod batch;
mod console;
mod contract;
mod defects;
mod dialects;
mod documents;
mod embed;
mod erasure;
mod garbage;
mod harness;
mod idempotency;
mod keys;
mod limits;
mod methods;
mod pages;
mod place;
mod polls;
mod results;
mod stream;
mod troubles;
mod votes;
mod webhooks;
