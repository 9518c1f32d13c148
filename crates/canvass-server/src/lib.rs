//! The service and its HTTP API: who may do what, said once; a router over it; and the problems it answers with.
//!
//! The crate knows no environment, no files and no engine by name: it is given a [`Store`](canvass_store::Store), an
//! [`Edge`] for time and randomness, and [`Settings`].

mod app;
mod edge;
mod http;
pub mod limits;
mod metrics;
mod origins;
pub mod serve;
mod service;

pub use app::{App, Settings};
pub use edge::{Edge, SystemEdge};
#[cfg(feature = "openapi")]
pub use http::openapi;
pub use http::{PeerAddress, answer_too_large, router};
pub use origins::{Origins, OriginsError};
pub use service::{
    alarms::{AlarmFigure, AlarmNotice, AlarmRule},
    erasing::read_erase_after_days,
    recount::Recounted,
};
