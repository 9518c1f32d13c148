//! The function `export`: one turn of the scheduled exports, whenever it is called.

use std::sync::Arc;

use canvass_domain::{PollId, Timestamp};
use canvass_dynamodb::DynamoStore;
use canvass_export::{Access, Exporter, ExporterOptions, Retention, Schedule, Turn, Voters};
use canvass_server::{App, Edge as _, Recounted, Settings, SystemEdge, read_erase_after_days};
use canvass_store::Store;
use lambda_runtime::Error;
use serde::Serialize;

use crate::{
    environment::{Environment, clouds},
    functions::{ERASE_AFTER_DAYS, EXPORT_TO, TABLE_PREFIX},
    limits::{ERASURE_PAUSE, SNAPSHOT_MINUTES, SNAPSHOT_VOTES, TALLY_PAUSE, TALLY_WAIT_MAX},
    metrics::{self, EXPORT_FAILURES, FILES_WRITTEN, RECOUNT_DIFFERENCES, Sample, count},
    run::options,
};

/// When polls that have changed are due: at each call, for the function's own schedule says when that is. Two calls in a
/// minute are one.
const ALWAYS_DUE: &str = "* * * * *";

/// What is exported, and where to.
pub(crate) struct Export {
    store: Arc<DynamoStore>,
    app: App,
    options: ExporterOptions,
    erase_after_days: Option<u32>,
    stack: String,
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
        let store = Arc::new(store);
        let app = App::new(Arc::clone(&store) as _, SystemEdge::default(), Settings::default());
        let erase_after_days = read_erase_after_days(environment.get(&ERASE_AFTER_DAYS).unwrap_or("90"))?;
        let stack = environment.needed(&TABLE_PREFIX).to_owned();
        Ok(Self { store, app, options, erase_after_days, stack, edge: SystemEdge::default() })
    }

    /// Exports each poll that has changed, and each that has ended once more; and erases voters, those whose time is up
    /// after their polls were exported.
    ///
    /// # Errors
    /// Something was not written or not erased; what was, is whole, and the next call does the rest.
    pub(crate) async fn write(&self) -> Result<Written, Error> {
        // Polls whose voters are being erased cannot be exported before that is done.
        self.store.finish_erasures().await?;
        let turn = self.turn().await;
        let sample = match &turn {
            Ok(turn) => Sample::plain(&FILES_WRITTEN, count(turn.written.len() as u64)),
            Err(_) => Sample::plain(&EXPORT_FAILURES, 1.0),
        };
        metrics::tell(&self.stack, self.edge.now(), [sample]);
        let Turn { written, ended } = turn?;
        self.recount(&ended).await;
        written.iter().for_each(|key| tracing::info!(key, "exported"));
        self.erase_by_age().await?;
        Ok(Written { written })
    }

    /// Erases the polls whose time is up.
    async fn erase_by_age(&self) -> Result<(), Error> {
        let Some(days) = self.erase_after_days else { return Ok(()) };
        // What is begun there is done here: a function has no tasks.
        let finishing = async {
            loop {
                self.store.finish_erasures().await?;
                tokio::time::sleep(ERASURE_PAUSE).await;
            }
        };
        tokio::select! {
            erased = self.app.erase_what_is_due(days, false) => Ok(erased?),
            failed = finishing => failed,
        }
    }

    /// Counts polls that have ended anew, once: all their votes were just read, and none can come any more. What cannot
    /// be told now, whoever certifies the poll is told.
    async fn recount(&self, ended: &[PollId]) {
        let mut differences = 0;
        for poll in ended {
            differences += u64::from(self.is_wrong(poll).await);
        }
        let sample = Sample::plain(&RECOUNT_DIFFERENCES, count(differences));
        metrics::tell(&self.stack, self.edge.now(), (differences > 0).then_some(sample));
    }

    /// Whether a poll's counts are not what its votes add up to. Those that lack votes for longer than the tally takes
    /// lack them for good.
    async fn is_wrong(&self, poll: &PollId) -> bool {
        let began = self.edge.elapsed();
        loop {
            match self.app.look_for_differences(poll).await {
                Recounted::Agrees => return false,
                Recounted::Differs => return true,
                Recounted::Behind if self.edge.elapsed().saturating_sub(began) > TALLY_WAIT_MAX => {
                    tracing::error!(poll = %poll, "votes of a poll that has ended are not counted");
                    return true;
                }
                Recounted::Behind => tokio::time::sleep(TALLY_PAUSE).await,
                Recounted::Unreadable => {
                    tracing::warn!(poll = %poll, "the poll was not recounted");
                    return false;
                }
            }
        }
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
