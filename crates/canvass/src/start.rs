//! Brings a server up: the store, the service over it, and the sockets; the same for `serve` and `demo`.

use std::sync::Arc;

use canvass_server::{
    App, Edge as _, SystemEdge, router,
    serve::{Drained, Listeners},
};
use canvass_store::local::{LocalOptions, LocalStore, OpenError, Opened};
use tokio::runtime::Builder;

use crate::{config::Settings, edge, exports::Exports, failure::Failure};

/// A server that is about to serve.
pub(crate) struct Server {
    /// Its sockets.
    pub(crate) listeners: Listeners,
    /// What was found in the data directory.
    pub(crate) opened: Opened,
    /// The admin key, if one was made just now.
    pub(crate) made_key: Option<String>,
    app: App,
    store: Arc<LocalStore>,
    exports: Option<Exports>,
}

impl Server {
    /// Opens the data directory, listens, and makes the admin key where there is none.
    pub(crate) fn start(settings: &Settings) -> Result<Self, Failure> {
        let edge = SystemEdge::default();
        let options = LocalOptions::new(&settings.data, edge::random());
        let (store, opened) = LocalStore::open(&options, Arc::new(move || edge.now()))
            .map_err(|error| not_opened(settings, &error))?;
        if let Some(folder) = settings.backup_to.get() {
            let clock = Arc::new(|| SystemEdge::default().now());
            store
                .back_up_to(folder, settings.backup_pause(), clock)
                .map_err(|error| Failure::failed(error.to_string()))?;
        }
        let store = Arc::new(store);
        let listeners = Listeners::bind(settings.listen, settings.serve_options())
            .map_err(|error| Failure::failed(error.to_string()))?;
        let app = App::new(store.clone(), SystemEdge::default(), settings.service_settings());
        let made_key = block_on(app.bootstrap())?
            .map_err(|error| Failure::failed(format!("the API keys cannot be read or made: {error}")))?;
        let exports = Exports::start(settings, store.clone())?;
        Ok(Self { listeners, opened, made_key, app, store, exports })
    }

    /// Serves until `shutdown` is done, and leaves the data directory in order.
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
        drop(self.exports);
        self.store.close();
        Ok(drained)
    }

    /// The address as a caller on this machine writes it.
    pub(crate) fn url(&self) -> String {
        let mut address = self.listeners.address();
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}")
    }
}

fn not_opened(settings: &Settings, error: &OpenError) -> Failure {
    Failure::failed(match error {
        OpenError::InUse(_) | OpenError::Directory { .. } => error.to_string(),
        OpenError::Ledger(_) | OpenError::Fold(_) => {
            let data = settings.data.display();
            format!("{error}; nothing was changed: `canvass doctor {data}` says what is wrong and what to do")
        }
    })
}

fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?.block_on(future))
}

/// Done at the first SIGTERM or SIGINT. A second one ends the program at once: what was acknowledged is durable.
pub(crate) async fn stop_signal() {
    signal().await;
    tracing::info!("stopping: requests in flight are finished first; a second signal stops at once");
    tokio::spawn(async {
        signal().await;
        std::process::exit(1);
    });
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
        tracing::error!("signals cannot be received; only a kill ends this server");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

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
