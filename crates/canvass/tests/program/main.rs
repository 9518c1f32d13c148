//! The real program, run as its users run it: processes, signals, sockets and files.

#![expect(clippy::unwrap_used, reason = "what cannot go on has failed its test")]

#[cfg(feature = "tls")]
mod acme;
mod backups;
mod buckets;
mod canaries;
mod configuration;
mod connections;
mod counts;
mod durability;
mod dynamodb;
mod dynamodb_json;
#[cfg(feature = "dynamodb")]
mod dynamodb_servers;
mod elections;
mod exports;
mod first_steps;
mod harness;
mod imports;
mod tls;
mod topic;
mod usage;
mod webhooks;
