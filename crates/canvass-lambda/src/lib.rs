//! The functions on AWS Lambda: the API, the tally of the stream of votes, and exports by a schedule.
//!
//! Each is a thin coat: the same service over the same engine as the server. They differ from it where a function stands
//! still between requests: nothing runs in the background, and no answer goes on.
//!
//! Architecture invariant: only `environment` reads the environment, and only `run` starts anything.

mod answer;
mod api;
mod environment;
mod export;
pub mod functions;
mod gateway;
mod limits;
pub mod metrics;
mod run;
mod secret;
mod tally;

pub use functions::Function;
pub use run::run;
