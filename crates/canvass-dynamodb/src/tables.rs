//! The tables: their names, their keys, and how they are made.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::{
    config,
    error::ProvideErrorMetadata,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
        PointInTimeRecoverySpecification, Projection, ProjectionType, ScalarAttributeType,
        StreamSpecification, StreamViewType, TableStatus,
    },
};

use crate::{
    client::{Clients, is_local},
    limits::TABLE_WAIT_MAX,
    options::Options,
};

/// What each table's items are found by.
pub(crate) const PARTITION: &str = "pk";
/// What they are sorted by within a partition.
pub(crate) const SORT: &str = "sk";
/// The index of polls by where they stand, newest first.
pub(crate) const BY_STATUS: &str = "by-status";
/// The index of polls that time changes, by when.
pub(crate) const BY_DUE: &str = "by-due";

/// The names of the tables.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// Polls, their events, codes, keys and settings.
    pub(crate) main: String,
    /// Votes: one item for each vote cast, changed or withdrawn, never changed again.
    pub(crate) votes: String,
    /// Counters, with how far the stream is folded into each.
    pub(crate) tally: String,
}

impl Names {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            main: format!("{prefix}-main"),
            votes: format!("{prefix}-votes"),
            tally: format!("{prefix}-tally"),
        }
    }
}

/// Why the tables cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// DynamoDB says no; the text is its own.
    #[error("DynamoDB refused to {what} {table}: {reason}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// Of which table.
        table: String,
        /// Why not.
        reason: String,
    },
    /// There is no such table.
    #[error("there is no table {0}; `canvass dynamodb create` makes it")]
    Missing(String),
    /// The table of votes has no stream.
    #[error("the table {0} has no stream of new images, so nothing could be counted")]
    NoStream(String),
}

const TABLE_WAIT: Duration = Duration::from_millis(200);
const TABLE_WAITS_MAX: usize = 600;

/// Makes the tables that are missing; says which were made. Those of a real account are on demand, can be restored to
/// any second of the last 35 days, and cannot be deleted by mistake. A local one knows none of that.
///
/// # Errors
/// Whatever DynamoDB refuses.
pub async fn create_tables(options: &Options) -> Result<Vec<String>, TableError> {
    let clients = Clients::new(options).await;
    let names = Names::new(&options.table_prefix);
    let is_plain = options.endpoint.as_deref().is_some_and(is_local);
    let mut made = Vec::new();
    for (name, is_main, is_streamed) in
        [(&names.main, true, false), (&names.votes, false, true), (&names.tally, false, false)]
    {
        if create_table(&clients, name, is_main, is_streamed, is_plain).await? {
            made.push(name.clone());
        }
        wait_until_active(&clients, name).await?;
        if !is_plain {
            protect(&clients, name).await?;
        }
    }
    Ok(made)
}

async fn create_table(
    clients: &Clients,
    name: &str,
    is_main: bool,
    is_streamed: bool,
    is_plain: bool,
) -> Result<bool, TableError> {
    let refused = |reason: String| TableError::Refused { what: "create", table: name.to_owned(), reason };
    let mut request = clients
        .tables
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(schema(PARTITION, SORT).map_err(refused)?))
        .set_attribute_definitions(Some(
            attributes(&[(PARTITION, ScalarAttributeType::S), (SORT, ScalarAttributeType::S)])
                .map_err(refused)?,
        ));
    if is_main {
        for (partition, sort) in [("status", "age"), ("due-kind", "due")] {
            let kind = if sort == "due" { ScalarAttributeType::N } else { ScalarAttributeType::S };
            for definition in
                attributes(&[(partition, ScalarAttributeType::S), (sort, kind)]).map_err(refused)?
            {
                request = request.attribute_definitions(definition);
            }
        }
        request = request
            .global_secondary_indexes(
                index(BY_STATUS, "status", "age", ProjectionType::All).map_err(refused)?,
            )
            .global_secondary_indexes(
                index(BY_DUE, "due-kind", "due", ProjectionType::KeysOnly).map_err(refused)?,
            );
    }
    if is_streamed {
        let stream = StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(StreamViewType::NewAndOldImages)
            .build()
            .map_err(|error| refused(error.to_string()))?;
        request = request.stream_specification(stream);
    }
    if !is_plain {
        request = request.deletion_protection_enabled(true);
    }
    let patience = TimeoutConfig::builder().operation_attempt_timeout(TABLE_WAIT_MAX).build();
    let patient = config::Builder::default().timeout_config(patience);
    match request.customize().config_override(patient).send().await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ResourceInUseException") => Ok(false),
        Err(error) => Err(refused(told(&error))),
    }
}

fn told<E: ProvideErrorMetadata>(error: &E) -> String {
    let code = error.code().unwrap_or("it does not answer");
    error.message().map_or(code.to_owned(), |message| format!("{code}: {message}"))
}

fn schema(partition: &str, sort: &str) -> Result<Vec<KeySchemaElement>, String> {
    [(partition, KeyType::Hash), (sort, KeyType::Range)]
        .into_iter()
        .map(|(name, kind)| KeySchemaElement::builder().attribute_name(name).key_type(kind).build())
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

fn attributes(named: &[(&str, ScalarAttributeType)]) -> Result<Vec<AttributeDefinition>, String> {
    named
        .iter()
        .map(|(name, kind)| {
            AttributeDefinition::builder().attribute_name(*name).attribute_type(kind.clone()).build()
        })
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

fn index(
    name: &str,
    partition: &str,
    sort: &str,
    projected: ProjectionType,
) -> Result<GlobalSecondaryIndex, String> {
    GlobalSecondaryIndex::builder()
        .index_name(name)
        .set_key_schema(Some(schema(partition, sort)?))
        .projection(Projection::builder().projection_type(projected).build())
        .build()
        .map_err(|error| error.to_string())
}

async fn wait_until_active(clients: &Clients, name: &str) -> Result<(), TableError> {
    let mut described = Err(TableError::Missing(name.to_owned()));
    for _ in 0..TABLE_WAITS_MAX {
        described = describe(clients, name).await;
        if matches!(described, Ok((TableStatus::Active, _))) {
            return Ok(());
        }
        tokio::time::sleep(TABLE_WAIT).await;
    }
    described.map(|_| ())
}

async fn protect(clients: &Clients, name: &str) -> Result<(), TableError> {
    let refused =
        |reason: String| TableError::Refused { what: "turn on recovery for", table: name.to_owned(), reason };
    let specification = PointInTimeRecoverySpecification::builder()
        .point_in_time_recovery_enabled(true)
        .build()
        .map_err(|error| refused(error.to_string()))?;
    let request = clients
        .tables
        .update_continuous_backups()
        .table_name(name)
        .point_in_time_recovery_specification(specification);
    request.send().await.map(|_| ()).map_err(|error| refused(told(&error)))
}

async fn describe(clients: &Clients, name: &str) -> Result<(TableStatus, Option<String>), TableError> {
    match clients.tables.describe_table().table_name(name).send().await {
        Ok(described) => {
            let table = described.table.ok_or_else(|| TableError::Missing(name.to_owned()))?;
            let status = table.table_status.unwrap_or(TableStatus::Creating);
            Ok((status, table.latest_stream_arn))
        }
        Err(error) if error.code() == Some("ResourceNotFoundException") => {
            Err(TableError::Missing(name.to_owned()))
        }
        Err(error) => {
            Err(TableError::Refused { what: "describe", table: name.to_owned(), reason: told(&error) })
        }
    }
}

/// The stream of the table of votes, once all tables are seen to be there.
pub(crate) async fn find_stream(clients: &Clients, names: &Names) -> Result<String, TableError> {
    describe(clients, &names.main).await?;
    describe(clients, &names.tally).await?;
    let (_, stream) = describe(clients, &names.votes).await?;
    stream.ok_or_else(|| TableError::NoStream(names.votes.clone()))
}
