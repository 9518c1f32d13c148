//! The function `api`: the server's router behind API Gateway.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::Router;
use canvass_dynamodb::{DynamoStore, Options};
use canvass_server::{App, Edge as _, Settings, SystemEdge, router};
use http::{Method, Request};
use lambda_runtime::Error;
use parking_lot::Mutex;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{
    answer::Answer,
    environment::Environment,
    functions::{ADMIN_KEY_SECRET, EDGE_KEY_SECRET, IMPLICIT_POLLS, REDIS, TABLE_PREFIX},
    gateway::{Asked, Event},
    limits::CATCH_UP_PAUSE,
    metrics::{
        self, CLIENT_ERRORS, RECOUNT_DIFFERENCES, REQUEST_LATENCY, SERVER_ERRORS, Sample, VOTES, count,
    },
    run::options,
    secret,
};

/// The service, and what it was last asked for.
pub(crate) struct Api {
    app: App,
    router: Router,
    store: Arc<DynamoStore>,
    edge: SystemEdge,
    caught_up_at: Mutex<Duration>,
    votes_told: Mutex<BTreeMap<&'static str, u64>>,
    differences_told: AtomicU64,
    stack: String,
    /// What CloudFront shows, where it is in front.
    edge_key: Option<String>,
}

impl Api {
    /// Reaches the tables and reads the keys; at the very first start, makes the secret's the admin key.
    pub(crate) async fn start(environment: &Environment) -> Result<Self, Error> {
        let clock = SystemEdge::default();
        let redis = environment.get(&REDIS).map(str::parse).transpose()?;
        let options = Options { redis, ..options(environment) };
        let store = Arc::new(DynamoStore::open_without_tasks(options, Arc::new(move || clock.now())).await);
        let (admin_key, edge_key, ()) = tokio::join!(
            secret::read(environment.needed(&ADMIN_KEY_SECRET)),
            edge_key(environment.get(&EDGE_KEY_SECRET)),
            store.look_for_redis(),
        );
        let settings = Settings {
            implicit_polls: environment.get(&IMPLICIT_POLLS) == Some("true"),
            admin_key: Some(admin_key?),
            short_polling: true,
            ..Settings::default()
        };
        let edge = SystemEdge::default();
        let app = App::new(Arc::clone(&store) as _, SystemEdge::default(), settings);
        app.bootstrap().await.map_err(|error| format!("the API keys cannot be read or made: {error}"))?;
        Ok(Self {
            router: router(app.clone()),
            app,
            store,
            caught_up_at: Mutex::new(edge.elapsed()),
            edge,
            votes_told: Mutex::default(),
            differences_told: AtomicU64::default(),
            stack: environment.needed(&TABLE_PREFIX).to_owned(),
            edge_key: edge_key?,
        })
    }

    /// Answers an event.
    ///
    /// # Errors
    /// It is no event of API Gateway's.
    pub(crate) async fn answer(&self, event: Value) -> Result<Answer, Error> {
        let began = self.edge.elapsed();
        let event: Event = serde_json::from_value(event)?;
        let asked =
            event.read(self.edge_key.as_deref()).ok_or("this function is for events of API Gateway")?;
        let Asked { request, format, prefix } = asked;
        self.catch_up(began).await;
        let route = route(&request);
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let answer = Answer::of(response, format, &prefix).await;
        self.tell(route, answer.status_code, self.edge.elapsed().saturating_sub(began));
        Ok(answer)
    }

    /// Does what a server does in the background: reads keys that others made or revoked, takes the steps that time has
    /// made due, and looks for a Redis that was lost. A function must do it while it has a request: between requests it
    /// stands still.
    async fn catch_up(&self, now: Duration) {
        {
            let mut caught_up_at = self.caught_up_at.lock();
            if now.saturating_sub(*caught_up_at) < CATCH_UP_PAUSE {
                return;
            }
            *caught_up_at = now;
        }
        let (keys, steps, ()) =
            tokio::join!(self.app.refresh_keys(), self.store.take_due_steps(), self.store.look_for_redis());
        if let Err(error) = keys {
            tracing::warn!(%error, "the keys were not read again");
        }
        if let Err(error) = steps {
            tracing::warn!(%error, "scheduled steps were not looked for");
        }
    }

    fn tell(&self, route: &'static str, status: u16, latency: Duration) {
        let latency_ms = latency.as_secs_f64() * 1_000.0;
        let mut samples = vec![Sample { metric: &REQUEST_LATENCY, of: Some(route), value: latency_ms }];
        match status {
            400..500 => samples.push(Sample::plain(&CLIENT_ERRORS, 1.0)),
            500.. => samples.push(Sample::plain(&SERVER_ERRORS, 1.0)),
            _ => {}
        }
        samples.extend(self.votes_since());
        let differences = self.app.recount_differences();
        let since = differences - self.differences_told.swap(differences, Ordering::Relaxed);
        samples.extend((since > 0).then(|| Sample::plain(&RECOUNT_DIFFERENCES, count(since))));
        metrics::tell(&self.stack, self.edge.now(), samples);
    }

    /// Votes that have not been told yet.
    fn votes_since(&self) -> Vec<Sample> {
        let mut told = self.votes_told.lock();
        let mut samples = Vec::new();
        for (outcome, votes) in self.app.vote_counts() {
            let before = told.insert(outcome, votes).unwrap_or_default();
            if votes > before {
                samples.push(Sample { metric: &VOTES, of: Some(outcome), value: count(votes - before) });
            }
        }
        samples
    }
}

async fn edge_key(secret: Option<&str>) -> Result<Option<String>, String> {
    match secret {
        Some(name) => secret::read(name).await.map(Some),
        None => Ok(None),
    }
}

/// The class of a route, as far as figures are told apart.
fn route<T>(request: &Request<T>) -> &'static str {
    let (path, is_read) = (request.uri().path(), request.method() == Method::GET);
    let ends = |ends: &[&str]| ends.iter().any(|end| path.ends_with(end));
    let parts: Vec<_> = path.split('/').collect();
    match parts[..] {
        ["", "vote" | "votes"] | ["", "v1", "polls", _, "votes", ..] => "votes",
        ["", "p" | "embed", _] if !is_read => "votes",
        _ if ends(&[
            "/results",
            "/results/stream",
            "/breakdown",
            "/timeline",
            "/projector",
            "/analytics",
        ]) =>
        {
            "results"
        }
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str, expected: &str) {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        assert_eq!(route(&request), expected, "{method} {path}");
        let Some(dimension) = REQUEST_LATENCY.dimension else { panic!("routes are told apart") };
        assert!(dimension.values.contains(&expected));
    }

    #[test]
    fn routes_have_classes() {
        check("POST", "/votes", "votes");
        check("POST", "/vote", "votes");
        check("POST", "/v1/polls/lunch/votes/batch", "votes");
        check("POST", "/p/lunch", "votes");
        check("GET", "/p/lunch", "other");
        check("GET", "/results?pollId=lunch", "results");
        check("GET", "/v1/polls/lunch/results/stream", "results");
        check("GET", "/embed/lunch/results", "results");
        check("GET", "/v1/polls", "other");
    }
}
