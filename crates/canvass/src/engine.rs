//! Opens the engine that the configuration names. Only this file knows that there are several.

use std::sync::Arc;

use canvass_server::{App, Edge as _, SystemEdge};
use canvass_store::{
    Store,
    local::{LocalOptions, LocalStore, OpenError, Restored},
};

use crate::{
    backups,
    config::{Settings, StoreKind},
    edge,
    failure::Failure,
    output::counted,
};

/// An engine that is open.
pub(crate) struct Engine {
    pub(crate) store: Arc<dyn Store>,
    /// What was found, for people.
    pub(crate) found: String,
    /// Where the data came from, if it was restored from a backup.
    pub(crate) restored: Option<Restored>,
    kind: Kind,
}

enum Kind {
    Local(Arc<LocalStore>),
    #[cfg(feature = "dynamodb")]
    DynamoDb(Arc<canvass_dynamodb::DynamoStore>, tokio::runtime::Runtime),
}

impl Engine {
    /// Opens what the configuration names.
    ///
    /// # Errors
    /// Whatever keeps it from being opened, with what to do.
    pub(crate) fn open(settings: &Settings) -> Result<Self, Failure> {
        match settings.store {
            StoreKind::Local if settings.redis.get().is_some() => Err(Failure::usage(
                "--redis is what servers on DynamoDB share; a data directory has one server and needs none",
            )),
            StoreKind::Local => open_local(settings),
            StoreKind::DynamoDb if settings.backup_to.get().is_some() => Err(Failure::usage(
                "--backup-to copies a data directory; DynamoDB has its own backups: see point-in-time recovery in docs/dynamodb.md",
            )),
            StoreKind::DynamoDb => dynamodb::open(settings),
        }
    }

    /// Keeps the service's keys as the store has them, where other servers may change them.
    #[cfg_attr(
        not(feature = "dynamodb"),
        expect(
            unused_variables,
            reason = "a data directory has one server, so nobody else changes its keys"
        )
    )]
    pub(crate) fn share_keys(&self, app: &App) {
        match &self.kind {
            Kind::Local(_) => {}
            #[cfg(feature = "dynamodb")]
            Kind::DynamoDb(_, runtime) => {
                runtime.spawn(dynamodb::refresh_keys(app.clone()));
            }
        }
    }

    /// Leaves all in order.
    pub(crate) fn close(self) {
        match self.kind {
            Kind::Local(store) => store.close(),
            #[cfg(feature = "dynamodb")]
            Kind::DynamoDb(store, runtime) => {
                runtime.block_on(store.close());
                runtime.shutdown_background();
            }
        }
    }
}

fn open_local(settings: &Settings) -> Result<Engine, Failure> {
    let place = settings.backup_to.get().map(backups::place).transpose()?;
    let system = SystemEdge::default();
    let options = LocalOptions::new(&settings.data, edge::random());
    let (store, opened) = LocalStore::open(&options, Arc::new(move || system.now()))
        .map_err(|error| not_opened(settings, &error))?;
    if let Some(place) = place {
        let clock = Arc::new(|| SystemEdge::default().now());
        store
            .back_up_to(place, settings.backup_pause(), clock)
            .map_err(|error| Failure::failed(error.to_string()))?;
    }
    let store = Arc::new(store);
    let (polls, votes) = (counted(opened.polls as u64, "poll"), counted(opened.votes, "vote"));
    let found = format!("{} ({polls}, {votes})", settings.data.display());
    let restored = opened.restored;
    Ok(Engine { store: Arc::clone(&store) as Arc<dyn Store>, found, restored, kind: Kind::Local(store) })
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

/// Makes the tables that are missing; says which were made.
pub(crate) use dynamodb::create as create_tables;
/// Carries everything from a data directory to tables or back.
pub(crate) use dynamodb::migrate;

#[cfg(feature = "dynamodb")]
mod dynamodb {
    //! The engine on DynamoDB, on a runtime of its own: its tasks go on whatever a worker does.

    use std::{sync::Arc, time::Duration};

    use canvass_dynamodb::{
        DynamoStore, MigrateError, Migrated, Options, RedisUrl, RedisUrlError, carry_in, carry_out,
        create_tables, is_local,
    };
    use canvass_server::{App, Edge as _, SystemEdge};
    use canvass_store::Store;
    use tokio::runtime::{Builder, Runtime};

    use super::{Engine, Kind};
    use crate::{
        command::migrate::{Carried, Way},
        config::Settings,
        edge,
        failure::Failure,
    };

    pub(super) fn open(settings: &Settings) -> Result<Engine, Failure> {
        let options = Options { redis: redis(settings)?, ..options(settings) };
        let runtime = runtime()?;
        let system = SystemEdge::default();
        let prefix = options.table_prefix.clone();
        let opening = async {
            let is_local = options.endpoint.as_deref().is_some_and(is_local);
            let made = if is_local { create_tables(&options).await? } else { Vec::new() };
            let store = DynamoStore::open(options, Arc::new(move || system.now())).await?;
            Ok::<_, canvass_dynamodb::TableError>((store, !made.is_empty()))
        };
        let (store, are_made) =
            runtime.block_on(opening).map_err(|error| Failure::failed(error.to_string()))?;
        let found = format!("DynamoDB, tables {prefix}-*{}", if are_made { " (new)" } else { "" });
        let store = Arc::new(store);
        Ok(Engine {
            store: Arc::clone(&store) as Arc<dyn Store>,
            found,
            restored: None,
            kind: Kind::DynamoDb(store, runtime),
        })
    }

    /// How long a key that another server revoked may still be accepted.
    const KEYS_AGE_MAX: Duration = Duration::from_secs(5);

    pub(super) async fn refresh_keys(app: App) {
        loop {
            tokio::time::sleep(KEYS_AGE_MAX).await;
            if let Err(error) = app.refresh_keys().await {
                tracing::warn!(%error, "the keys were not read again");
            }
        }
    }

    pub(crate) fn create(settings: &Settings) -> Result<Vec<String>, Failure> {
        let made = runtime()?.block_on(create_tables(&options(settings)));
        made.map_err(|error| Failure::failed(error.to_string()))
    }

    pub(crate) fn migrate(way: &Way, endpoint: Option<&str>) -> Result<Carried, Failure> {
        let system = SystemEdge::default();
        let clock = Arc::new(move || system.now());
        let failed = |error: MigrateError| Failure::failed(error.to_string());
        let options = |prefix: &str| Options::new(prefix, endpoint.map(str::to_owned), edge::random());
        let migrated = match way {
            Way::In(directory, prefix) => {
                let options = options(prefix);
                runtime()?.block_on(async {
                    if options.endpoint.as_deref().is_some_and(is_local) {
                        create_tables(&options).await.map_err(MigrateError::from)?;
                    }
                    carry_in(options, clock, directory).await
                })
            }
            Way::Out(prefix, directory) => runtime()?.block_on(carry_out(options(prefix), clock, directory)),
        };
        let Migrated { polls, records, votes, keys, left } = migrated.map_err(failed)?;
        Ok(Carried { polls: polls as u64, records, votes, keys: keys as u64, left })
    }

    fn options(settings: &Settings) -> Options {
        let endpoint = Some(settings.dynamodb_endpoint.clone()).filter(|endpoint| !endpoint.is_empty());
        Options::new(&settings.table_prefix, endpoint, edge::random())
    }

    fn redis(settings: &Settings) -> Result<Option<RedisUrl>, Failure> {
        let url = settings.redis.get().map(str::parse).transpose();
        url.map_err(|error: RedisUrlError| Failure::usage(error.to_string()))
    }

    fn runtime() -> Result<Runtime, Failure> {
        Builder::new_multi_thread()
            .thread_name("canvass-dynamodb")
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(format!("cannot start: {error}")))
    }
}

#[cfg(not(feature = "dynamodb"))]
mod dynamodb {
    //! What is said where the engine on DynamoDB was left out.

    use super::Engine;
    use crate::{
        command::migrate::{Carried, Way},
        config::Settings,
        failure::Failure,
    };

    pub(super) fn open(_: &Settings) -> Result<Engine, Failure> {
        Err(left_out())
    }

    pub(crate) fn create(_: &Settings) -> Result<Vec<String>, Failure> {
        Err(left_out())
    }

    pub(crate) fn migrate(_: &Way, _: Option<&str>) -> Result<Carried, Failure> {
        Err(left_out())
    }

    fn left_out() -> Failure {
        Failure::usage(
            "this program was built without DynamoDB; build it with: cargo build --release --features dynamodb",
        )
    }
}
