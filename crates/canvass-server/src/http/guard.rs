//! What every route shares: who asks, how fast they may, how a refusal is said, and what is counted.
//!
//! One wrapper does it instead of a stack of middleware, and it is the same for every route, so that it is compiled
//! once: the way of a vote has two futures on the heap, the wrapper's and its own.

use std::{convert::Infallible, net::IpAddr, pin::Pin, sync::Arc};

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    http::{HeaderMap, HeaderValue, Method, header::AUTHORIZATION, request::Parts},
    response::Response,
    routing::{MethodFilter, on},
};

use crate::{
    app::App,
    http::{
        ask::{Ask, cookie},
        pages::FRAMED_DEVICE_COOKIE,
        speech::Speech,
    },
    metrics::RouteFigures,
    service::{
        Caller, Failure,
        devices::read_token,
        keys::LiveKey,
        limiting::{Class, Standing, Used},
        sharing::count_together,
    },
};

/// The client's address as the connection knows it. Whoever accepts connections puts it into each request's
/// extensions; without it, the client is taken to be this machine.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub IpAddr);

/// The cookie by which a device is known.
pub(crate) const DEVICE_COOKIE: &str = "canvass_device";

/// The cookie of a session. Its prefix has browsers take it only over HTTPS or from this machine, and only from this
/// very host (RFC 6265bis, section 4.1.3.2).
pub(crate) const SESSION_COOKIE: &str = "__Host-canvass_session";

/// How a family of routes says a refusal.
#[derive(Clone, Copy)]
pub(crate) enum Refuse {
    /// As programs read it.
    ToProgram(fn(&Failure) -> Response),
    /// As a page, in the reader's language.
    ToPerson(fn(&Failure, Speech) -> Response),
}

impl Refuse {
    /// How its routes speak to whoever asks.
    fn speech(self, head: &Parts) -> Speech {
        match self {
            Self::ToProgram(_) => Speech::default(),
            Self::ToPerson(_) => Speech::of(head),
        }
    }

    fn say(self, failure: &Failure, speech: Speech) -> Response {
        match self {
            Self::ToProgram(refuse) => refuse(failure),
            Self::ToPerson(refuse) => refuse(failure, speech),
        }
    }
}

/// Routes that say refusals alike.
pub(crate) struct Routes {
    app: App,
    refuse: Refuse,
    knows_sessions: bool,
    router: Router<App>,
}

impl Routes {
    pub(crate) fn new(app: &App, refuse: Refuse) -> Self {
        Self { app: app.clone(), refuse, knows_sessions: false, router: Router::new() }
    }

    /// From here on, whoever has signed in at the console asks with that key. Only for pages: what changes anything must
    /// make sure that a page of this server sent it.
    pub(crate) fn with_sessions(mut self) -> Self {
        self.knows_sessions = true;
        self
    }

    /// Adds a route.
    pub(crate) fn on<F, Answer>(
        mut self,
        method: Method,
        path: &'static str,
        class: Class,
        handler: F,
    ) -> Self
    where
        F: Fn(App, Ask) -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<Response, Failure>> + Send + 'static,
    {
        let name = method_name(&method);
        let figures = self.app.parts.metrics.route(name, path);
        let filter = MethodFilter::try_from(method).expect("the routes name methods of HTTP");
        let knows_sessions = self.knows_sessions;
        let handler: Arc<Handle> = Arc::new(move |app, ask| Box::pin(handler(app, ask)));
        let guard = Guard { handler, class, refuse: self.refuse, knows_sessions, figures };
        self.router = self.router.route(path, on(filter, guard));
        self
    }

    pub(crate) fn finish(self) -> Router<App> {
        let refuse = self.refuse;
        self.router.method_not_allowed_fallback(move |request: Request| async move {
            let (head, _) = request.into_parts();
            refuse.say(&Failure::MethodNotAllowed, refuse.speech(&head))
        })
    }
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "GET",
    }
}

type Handle = dyn Fn(App, Ask) -> Later<Result<Response, Failure>> + Send + Sync;
type Later<Output> = Pin<Box<dyn Future<Output = Output> + Send>>;

#[derive(Clone)]
struct Guard {
    handler: Arc<Handle>,
    class: Class,
    refuse: Refuse,
    knows_sessions: bool,
    figures: Arc<RouteFigures>,
}

impl Handler<Infallible, App> for Guard {
    type Future = Later<Response>;

    fn call(self, request: Request, app: App) -> Self::Future {
        Box::pin(async move {
            let started = app.edge().elapsed();
            let (head, body) = request.into_parts();
            let speech = self.refuse.speech(&head);
            let admitted = admit(&app, &head, self.class, self.knows_sessions).await;
            let (answer, standing) = match admitted {
                Ok((caller, standing)) => (
                    (self.handler)(app.clone(), Ask { head, body: Some(body), caller, speech }).await,
                    standing,
                ),
                Err(failure) => (Err(failure), Standing::new()),
            };
            let mut response = match answer {
                Ok(response) => response,
                Err(failure) => {
                    let mut response = self.refuse.say(&failure, speech);
                    if let Failure::Limited(limited) = &failure {
                        tell_limits(response.headers_mut(), &limited.standing);
                    }
                    response
                }
            };
            tell_limits(response.headers_mut(), &standing);
            self.figures.count(response.status().as_u16(), app.edge().elapsed().saturating_sub(started));
            response
        })
    }
}

/// Who asks, if they may ask now.
async fn admit(
    app: &App,
    head: &Parts,
    class: Class,
    knows_sessions: bool,
) -> Result<(Caller, Standing), Failure> {
    let caller = identify(app, head, knows_sessions).await?;
    let standing = count(app, &caller, class).await?;
    Ok((caller, standing))
}

async fn identify(app: &App, head: &Parts, knows_sessions: bool) -> Result<Caller, Failure> {
    let address = address(head, app.parts.settings.trusted_proxies);
    let key = match secret(&head.headers) {
        None if knows_sessions => cookie(&head.headers, SESSION_COOKIE).and_then(|token| app.session(token)),
        None => None,
        Some(secret) => Some(find_key(app, secret, address).await?),
    };
    let token = cookie(&head.headers, DEVICE_COOKIE).or_else(|| cookie(&head.headers, FRAMED_DEVICE_COOKIE));
    let device = token.and_then(|token| read_token(app.known_device_secret()?, token));
    Ok(Caller { key, address, device })
}

async fn find_key(app: &App, secret: &str, address: IpAddr) -> Result<Arc<LiveKey>, Failure> {
    if let Some(key) = app.parts.keys.find(secret, app.edge().now()) {
        return Ok(key);
    }
    let stranger = Caller { key: None, address, device: None };
    count(app, &stranger, Class::Api).await?;
    Err(Failure::UnknownKey)
}

/// Counts a request against what its key or its address may do: with all servers on the store where that can be done,
/// else for this server alone.
pub(crate) async fn count(app: &App, caller: &Caller, class: Class) -> Result<Standing, Failure> {
    let is_limited = caller.key.as_ref().is_none_or(|live| !live.limits.are_none());
    if is_limited
        && app.store().shared_limits().is_some()
        && let Some(counted) = count_together(app, caller, class).await
    {
        return noted(app, counted);
    }
    let counted = match &caller.key {
        Some(live) if live.limits.are_none() => Ok(Standing::new()),
        Some(live) => live.limits.count(class, app.edge().now()),
        None => app.parts.addresses.count(class, caller.address).map(|()| Standing::new()),
    };
    noted(app, counted)
}

/// Counts a refusal among the figures.
fn noted(app: &App, counted: Result<Standing, Failure>) -> Result<Standing, Failure> {
    if let Err(Failure::Limited(limited)) = &counted {
        app.parts.metrics.count_limited(limited);
    }
    counted
}

/// The key's secret: `x-api-key: …`, or `Authorization: Bearer …`. Other schemes may be a proxy's.
fn secret(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get("x-api-key") {
        return Some(value.to_str().unwrap_or_default());
    }
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(secret.trim_ascii())
}

/// Where the request comes from: the peer, or what the outermost of the proxies that are trusted says of it.
fn address(head: &Parts, trusted_proxies: usize) -> IpAddr {
    let peer = head.extensions.get::<PeerAddress>().map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.0);
    if trusted_proxies == 0 {
        return peer;
    }
    let forwarded = head.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let entries: Vec<_> = forwarded.flat_map(|list| list.split(',')).map(str::trim).collect();
    // Counted from the end: what stands before the proxies' own entries is whatever the client wrote.
    let place = entries.len().checked_sub(trusted_proxies);
    place.and_then(|place| entries.get(place)?.parse().ok()).unwrap_or(peer)
}

/// The fields of draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy: "api";q=200;w=2` and
/// `RateLimit: "api";r=199;t=1`.
fn tell_limits(headers: &mut HeaderMap, standing: &[Used]) {
    if standing.is_empty() {
        return;
    }
    let list = |write: fn(&Used) -> String| {
        HeaderValue::try_from(standing.iter().map(write).collect::<Vec<_>>().join(", ")).ok()
    };
    let policy = list(|used| format!("\"{}\";q={};w={}", used.name, used.quota, used.window_seconds));
    let state = list(|used| format!("\"{}\";r={};t={}", used.name, used.remaining, used.reset_seconds));
    if let (Some(policy), Some(state)) = (policy, state) {
        headers.insert("ratelimit-policy", policy);
        headers.insert("ratelimit", state);
    }
}
