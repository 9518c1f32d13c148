//! Brings a server up: the store, the service over it, and the sockets; the same for `serve` and `demo`.

use std::sync::Arc;

use canvass_server::{
    App, SystemEdge, router,
    serve::{Drained, Listeners},
};
use tokio::runtime::Builder;

use crate::{
    config::Settings,
    engine::Engine,
    exports::{self, Exports},
    failure::Failure,
    notices::{Notices, Told},
    tls,
};

/// A server that is about to serve.
pub(crate) struct Server {
    /// Its sockets.
    pub(crate) listeners: Listeners,
    /// Whether they speak TLS.
    is_secure: bool,
    /// The admin key, if one was made just now.
    pub(crate) made_key: Option<String>,
    app: App,
    /// What it keeps polls and votes in.
    pub(crate) engine: Engine,
    exports: Option<Exports>,
    notices: Notices,
}

impl Server {
    /// Opens the store, listens, and makes the admin key where there is none.
    ///
    /// The key that is made at the first start is shown once, so whatever can fail comes before it, and what the settings
    /// alone decide before anything is written.
    pub(crate) fn start(settings: &Settings) -> Result<Self, Failure> {
        let tls = tls::prepare(settings)?;
        exports::check(settings)?;
        let told = Told::prepare(settings)?;
        let engine = Engine::open(settings)?;
        let listeners = Listeners::bind(settings.listen, settings.serve_options())
            .map_err(|error| Failure::failed(error.to_string()))?;
        let is_secure = tls.is_some();
        let listeners = match tls {
            Some(tls) => tls.over(listeners)?,
            None => listeners,
        };
        let app = App::new(Arc::clone(&engine.store), SystemEdge::default(), settings.service_settings());
        let exports = Exports::start(settings, Arc::clone(&engine.store), app.clone())?;
        let made_key = block_on(app.bootstrap())?
            .map_err(|error| Failure::failed(format!("the API keys cannot be read or made: {error}")))?;
        engine.share_keys(&app);
        let notices = Notices::start(told, app.clone())?;
        Ok(Self { listeners, is_secure, made_key, app, engine, exports, notices })
    }

    /// Serves until `shutdown` is done, and leaves the store in order.
    pub(crate) fn run(self, shutdown: impl Future<Output = ()>) -> Result<Drained, Failure> {
        let app = self.app.clone();
        let shutdown = async move {
            shutdown.await;
            app.end_streams();
        };
        let drained = self
            .listeners
            .serve(router(self.app), shutdown)
            .map_err(|error| Failure::failed(error.to_string()))?;
        drop(self.notices);
        drop(self.exports);
        self.engine.close();
        Ok(drained)
    }

    /// The address as a caller on this machine writes it.
    pub(crate) fn url(&self) -> String {
        let mut address = self.listeners.address();
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        format!("{}://{address}", if self.is_secure { "https" } else { "http" })
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?.block_on(future))
}

/// Done at the first SIGTERM or SIGINT. A second one ends the program at once: what was acknowledged is durable.
///
/// A service manager is told that the program serves when such a signal ends it in order, and not before.
pub(crate) async fn stop_signal() {
    let first = signal();
    tell_manager(Moment::Ready);
    first.await;
    tell_manager(Moment::Stopping);
    tracing::info!("stopping: requests in flight are finished first; a second signal stops at once");
    tokio::spawn(async {
        signal().await;
        std::process::exit(1);
    });
}

/// The next signal to stop, from this call on.
#[cfg(unix)]
fn signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async {
        let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
            tracing::error!("signals cannot be received; only a kill ends this server");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

/// What the program tells the service manager that started it, if there is one.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// It serves.
    Ready,
    /// It finishes what is in flight.
    Stopping,
}

/// Tells the service manager, by the protocol of systemd (`sd_notify(3)`). Without one this does nothing.
#[cfg(target_os = "linux")]
fn tell_manager(moment: Moment) {
    let state = match moment {
        Moment::Ready => sd_notify::NotifyState::Ready,
        Moment::Stopping => sd_notify::NotifyState::Stopping,
    };
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager was not told");
    }
}

#[cfg(not(target_os = "linux"))]
fn tell_manager(_: Moment) {}

/// Has the system back memory by small pages. A connection's buffers are mostly empty, and with pages of two megabytes,
/// which the allocator asks for, all of what is empty is held: 22 KB a connection instead of 14.
#[cfg(target_os = "linux")]
pub(crate) fn keep_pages_small() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "memory stays in large pages");
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn keep_pages_small() {}

/// Has this thread, and those that it starts, leave the processors to others that need them: votes go before exports.
#[cfg(target_os = "linux")]
pub(crate) fn give_way() {
    /// A tenth of the weight of other threads.
    const NICENESS: i32 = 10;
    // On Linux no process means the calling thread.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn give_way() {}

/// Lets the program open as many files as the system allows it: each connection is one.
#[cfg(unix)]
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Other systems have no such limit.
#[cfg(not(unix))]
pub(crate) fn raise_file_limit() {}
