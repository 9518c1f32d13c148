//! Exports by the clock, on a thread of their own beside the server.

use std::{
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use canvass_export::{Exporter, ExporterOptions, Voters};
use canvass_server::{App, Edge as _, SystemEdge};
use canvass_store::Store;
use tokio::runtime::{Builder, Runtime};

use crate::{
    config::{ExportVoters, Settings},
    edge,
    failure::Failure,
    limits::{EXPORT_PAUSE, EXPORT_RETRY_PAUSE},
};

/// The thread. Dropping it lets the file at hand be finished, and ends it.
pub(crate) struct Exports {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Exports {
    /// Starts exporting, if the settings say where to.
    pub(crate) fn start(
        settings: &Settings,
        store: Arc<dyn Store>,
        app: App,
    ) -> Result<Option<Self>, Failure> {
        let Some(folder) = settings.export_to.get() else { return Ok(None) };
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
            folder: folder.to_owned(),
            url: Some(settings.export_url.clone()).filter(|url| !url.is_empty()),
            schedule: settings.export_schedule.0.clone(),
            voters,
            snapshot_minutes: settings.snapshot_minutes.into(),
            snapshot_votes: settings.snapshot_votes,
        };
        let now = SystemEdge::default().now();
        let exporter = Exporter::open(store, options, now).map_err(|error| failed(&error))?;
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("canvass-export".into())
            .spawn(move || run(&runtime, exporter, &stopped, &app))
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

fn run(runtime: &Runtime, mut exporter: Exporter, stop: &mpsc::Receiver<()>, app: &App) {
    let mut pause = EXPORT_PAUSE;
    while stop.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
        pause = match runtime.block_on(exporter.turn(SystemEdge::default().now())) {
            Ok(turn) => {
                app.count_exports(turn.written.len(), 0);
                turn.written.iter().for_each(|key| tracing::info!(key, "exported"));
                EXPORT_PAUSE
            }
            Err(error) => {
                app.count_exports(0, 1);
                tracing::error!(%error, "an export failed; it is tried again");
                EXPORT_RETRY_PAUSE
            }
        };
    }
}
