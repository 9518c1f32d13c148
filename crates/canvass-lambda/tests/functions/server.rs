//! A server over the functions' tables, in this process.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use canvass_dynamodb::{DynamoStore, Options};
use canvass_server::{App, Edge as _, Settings, SystemEdge, router};
use http::Request;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::{harness::ADMIN, world::random};

/// Patient with a machine that does other things too.
pub(crate) fn patient(prefix: &str, endpoint: String) -> Options {
    // Transactions are named by it, for all who use DynamoDB Local.
    let mut instance = [0; 16];
    instance[..8].copy_from_slice(&random().to_be_bytes());
    let usual = Options::new(prefix, Some(endpoint), instance);
    Options { attempt_wait_max: Duration::from_secs(10), write_wait_max: Duration::from_secs(10), ..usual }
}

/// A store that folds nothing by itself.
pub(crate) async fn store_without_tasks(options: Options) -> Arc<DynamoStore> {
    let clock = SystemEdge::default();
    Arc::new(DynamoStore::open_without_tasks(options, Arc::new(move || clock.now())).await)
}

/// Every route over a store.
pub(crate) async fn over(store: Arc<DynamoStore>, settings: Settings) -> Router {
    let settings = Settings { admin_key: Some(ADMIN.to_owned()), ..settings };
    let app = App::new(store, SystemEdge::default(), settings);
    app.bootstrap().await.expect("tables that can be read");
    router(app)
}

/// Asks as the administrator; answers with status and body.
pub(crate) async fn ask(server: &Router, method: &str, path: &str, body: String) -> (u16, String) {
    let kind = if path.ends_with("/batch") { "application/x-ndjson" } else { "application/json" };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("x-api-key", ADMIN)
        .header("content-type", kind)
        .body(Body::from(body))
        .expect("a request");
    let Ok(response) = server.clone().oneshot(request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}
