//! Exports by the clock, on a thread of their own beside the server.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use canvass_export::{Destination, Exporter, ExporterOptions, TurnError, Voters};
use canvass_server::{App, Edge as _, SystemEdge};
use canvass_store::Store;
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::{
    backups::without_buckets,
    config::{ExportVoters, Settings},
    edge,
    failure::Failure,
    limits::{EXPORT_PAUSE, EXPORT_PAUSE_REMOTE, EXPORT_RETRY_PAUSE, EXPORT_STOP_WAIT_MAX},
    start,
};

/// The thread. Dropping it lets the file at hand be finished, if that is soon, and ends it.
pub(crate) struct Exports {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Exports {
    /// Starts exporting, if the settings say where to.
    pub(crate) fn start(
        settings: &Settings,
        store: Arc<dyn Store>,
        app: App,
    ) -> Result<Option<Self>, Failure> {
        let Some(destination) = settings.export_to.get() else { return Ok(None) };
        let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("cannot export: {error}"));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
        let voters = match settings.export_voters {
            ExportVoters::Given => Voters::Given,
            ExportVoters::Omitted => Voters::Omitted,
            ExportVoters::Pseudonyms => runtime
                .block_on(Voters::pseudonyms(&store, edge::random()))
                .map_err(|error| failed(&error))?,
        };
        let options = ExporterOptions {
            destination: destination.clone(),
            access: edge::access(),
            url: Some(settings.export_url.clone()).filter(|url| !url.is_empty()),
            schedule: settings.export_schedule.0.clone(),
            voters,
            snapshot_minutes: settings.snapshot_minutes.into(),
            snapshot_votes: settings.snapshot_votes,
            retention: settings.export_retention(),
        };
        let pause = if store.tally_lag_max().is_zero() { EXPORT_PAUSE } else { EXPORT_PAUSE_REMOTE };
        let exporter = Exporter::open(store, options, SystemEdge::default().now());
        let exporter = exporter.map_err(|error| failed(&error))?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("canvass-export".into())
            .spawn(move || {
                start::give_way();
                run(&runtime, exporter, &app, pause, stopped);
            })
            .map_err(|error| failed(&error))?;
        Ok(Some(Self { stop: Some(stop), thread: Some(thread) }))
    }
}

impl Drop for Exports {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of exports ended with a panic");
        }
    }
}

/// Whether the program was built with what the settings ask for.
///
/// # Errors
/// If it was not.
pub(crate) fn check(settings: &Settings) -> Result<(), Failure> {
    if matches!(settings.export_to.get(), Some(Destination::Bucket(_)))
        && cfg!(not(feature = "object-stores"))
    {
        return Err(without_buckets());
    }
    Ok(())
}

fn run(
    runtime: &Runtime,
    mut exporter: Exporter,
    app: &App,
    pause: Duration,
    mut stopped: oneshot::Receiver<()>,
) {
    runtime.block_on(async {
        let mut wait = pause;
        loop {
            tokio::select! {
                _ = &mut stopped => return,
                () = sleep(wait) => {}
            }
            let mut turn = std::pin::pin!(turn(&mut exporter, app));
            let outcome = tokio::select! {
                outcome = &mut turn => outcome,
                _ = &mut stopped => {
                    if timeout(EXPORT_STOP_WAIT_MAX, turn).await.is_err() {
                        tracing::warn!("an export was broken off; the next server makes it");
                    }
                    return;
                }
            };
            wait = if outcome.is_ok() { pause } else { EXPORT_RETRY_PAUSE };
        }
    });
}

async fn turn(exporter: &mut Exporter, app: &App) -> Result<(), TurnError> {
    let outcome = exporter.turn(SystemEdge::default().now()).await;
    app.count_exports(outcome.as_ref().ok().map(|turn| turn.written.len()));
    match outcome {
        Ok(turn) => {
            turn.written.iter().for_each(|key| tracing::info!(key, "exported"));
            Ok(())
        }
        Err(error) => {
            tracing::error!(%error, "an export failed; it is tried again");
            Err(error)
        }
    }
}
