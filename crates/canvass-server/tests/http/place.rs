//! Where the scripts' requests are answered: by the router in this process, whose time is the test's.

use axum::Router;
use canvass_server::{App, Settings};

use crate::harness::TestEdge;

/// What answers.
#[expect(clippy::unused_async, reason = "elsewhere a function is started first")]
pub(crate) async fn router(app: &App, _: &Settings) -> Router {
    canvass_server::router(app.clone())
}

/// Compares a transcript with the one that is kept.
pub(crate) fn compare(name: &str, transcript: &str) {
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(name, transcript);
    });
}

/// Lets seconds pass.
pub(crate) fn wait(edge: &TestEdge, seconds: i64) {
    edge.wait(seconds);
}
