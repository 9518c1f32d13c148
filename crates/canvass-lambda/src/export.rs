//! The function `export`: one turn of the scheduled exports, whenever it is called.

use std::sync::Arc;

use canvass_domain::Timestamp;
use canvass_dynamodb::DynamoStore;
use canvass_export::{Access, Exporter, ExporterOptions, Retention, Schedule, Turn, Voters};
use canvass_server::{Edge as _, SystemEdge};
use canvass_store::Store;
use lambda_runtime::Error;
use serde::Serialize;

use crate::{
    environment::{Environment, clouds},
    functions::EXPORT_TO,
    limits::{SNAPSHOT_MINUTES, SNAPSHOT_VOTES},
    metrics::{self, EXPORT_FAILURES, FILES_WRITTEN, Sample, count},
    run::options,
};

/// When polls that have changed are due: at each call, for the function's own schedule says when that is. Two calls in a
/// minute are one.
const ALWAYS_DUE: &str = "* * * * *";

/// What is exported, and where to.
pub(crate) struct Export {
    store: Arc<DynamoStore>,
    options: ExporterOptions,
    edge: SystemEdge,
}

/// What a call wrote.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    written: Vec<String>,
}

impl Export {
    /// Reaches the tables.
    pub(crate) async fn start(environment: &Environment) -> Result<Self, Error> {
        let clock = SystemEdge::default();
        let store =
            DynamoStore::open_without_tasks(options(environment), Arc::new(move || clock.now())).await;
        let schedule: Schedule = ALWAYS_DUE.parse()?;
        let options = ExporterOptions {
            destination: environment.needed(&EXPORT_TO).parse()?,
            access: Access::of(clouds()),
            url: None,
            schedule,
            voters: Voters::Given,
            snapshot_minutes: SNAPSHOT_MINUTES,
            snapshot_votes: SNAPSHOT_VOTES,
            // A bucket has rules of its own for that.
            retention: Retention::default(),
        };
        Ok(Self { store: Arc::new(store), options, edge: SystemEdge::default() })
    }

    /// Exports each poll that has changed, and each that has ended once more.
    ///
    /// # Errors
    /// Something was not written; what was, is whole.
    pub(crate) async fn write(&self) -> Result<Written, Error> {
        let turn = self.turn().await;
        let sample = match &turn {
            Ok(turn) => Sample::plain(&FILES_WRITTEN, count(turn.written.len() as u64)),
            Err(_) => Sample::plain(&EXPORT_FAILURES, 1.0),
        };
        metrics::tell(self.edge.now(), [sample]);
        let Turn { written } = turn?;
        written.iter().for_each(|key| tracing::info!(key, "exported"));
        Ok(Written { written })
    }

    async fn turn(&self) -> Result<Turn, Error> {
        // A poll that time has closed is to be written for the last time.
        self.store.take_due_steps().await?;
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        // Where nothing was exported before, all is due now.
        let beginning = Timestamp::from_microseconds(0);
        let mut exporter = Exporter::open(store, self.options.clone(), beginning)?;
        Ok(exporter.turn(self.edge.now()).await?)
    }
}
