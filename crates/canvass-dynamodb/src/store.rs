//! The [`Store`] on DynamoDB.

use std::{
    future::Future,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use canvass_domain::{
    Poll, PollId, Profile, Sequence, VoterId,
    code::CodeHash,
    decide::PollCommand,
    key::Key,
    poll::{NewPoll, Status},
    record::Setting,
    vote::{StoredVote, VoteCommand},
};
use canvass_store::{
    Health, Pending, PollCursor, PollPage, PollQuery, RecordPage, SharedLimits, Snapshot, Store, StoreError,
    VoteResult, limits::POLLS_PAGE_MAX, local::Clock,
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    client::{Clients, Failed},
    engine::{ALL, Engine},
    items::{Head, key, string, text},
    options::Options,
    shared::{Shared, Told},
    stream::Task,
    tables::{BY_STATUS, Names, TableError, find_stream},
};

/// A store on DynamoDB. What it is asked runs on the runtime that it was opened on, and is finished even if nobody waits
/// for it any more: a caller who is gone leaves no vote half asked for.
pub struct DynamoStore {
    engine: Arc<Engine>,
    runtime: Handle,
    _tasks: JoinSet<()>,
}

impl DynamoStore {
    /// Opens the tables, which must be there, and starts the tasks: the stream's, the steps that time takes, and
    /// telling those who watch. They end when the store is dropped.
    ///
    /// # Errors
    /// See [`TableError`].
    pub async fn open(options: Options, clock: Arc<dyn Clock>) -> Result<Self, TableError> {
        let clients = Clients::new(&options).await;
        let names = Names::new(&options.table_prefix);
        let stream = find_stream(&clients, &names).await?;
        let (shared, told) = options.redis.as_ref().map(|url| Shared::new(url, &options)).unzip();
        let engine = Arc::new(Engine::new(clients, names, options, shared, clock));
        let mut tasks = JoinSet::new();
        if let Some(told) = told {
            tasks.spawn(keep_shared(Arc::clone(&engine)));
            tasks.spawn(share_results(Arc::clone(&engine)));
            tasks.spawn(hear_of_results(Arc::clone(&engine), told));
        }
        tasks.spawn(Task::new(Arc::clone(&engine), stream).run());
        tasks.spawn(keep_time(Arc::clone(&engine)));
        tasks.spawn(keep_watchers(Arc::clone(&engine)));
        Ok(Self { engine, runtime: Handle::current(), _tasks: tasks })
    }

    /// Reaches the tables, which must be there, without asking for them, and starts no tasks: for functions, which stand
    /// still between requests. Somebody else folds the stream, and steps that time makes due are taken where a vote needs
    /// them and by [`take_due_steps`](Self::take_due_steps); nobody is told who watches. Redis is used once it was found
    /// by [`look_for_redis`](Self::look_for_redis).
    pub async fn open_without_tasks(options: Options, clock: Arc<dyn Clock>) -> Self {
        let (clients, names) = (Clients::new(&options).await, Names::new(&options.table_prefix));
        let shared = options.redis.as_ref().map(|url| Shared::without_word(url, &options));
        let engine = Arc::new(Engine::new(clients, names, options, shared, clock));
        Self { engine, runtime: Handle::current(), _tasks: JoinSet::new() }
    }

    /// Connects to Redis where there is to be one and no connection stands: for whoever runs no tasks. It takes a
    /// quarter of a second at most; without a connection, the tables are read.
    pub async fn look_for_redis(&self) {
        if let Some(shared) = &self.engine.shared {
            shared.look_for().await;
        }
    }

    /// Takes the steps of all polls that time has made due: opening, closing.
    ///
    /// # Errors
    /// DynamoDB does not say which are due. A step that is not taken is tried again by the next call.
    pub async fn take_due_steps(&self) -> Result<(), StoreError> {
        self.run(|engine| async move { engine.take_due_steps().await.map(|_| ()) }).await
    }

    /// Erases all polls that are being erased, one after the other: for functions, where nothing does it beside.
    ///
    /// # Errors
    /// DynamoDB cannot be read or written. What was erased is, and the next call does the rest.
    pub async fn finish_erasures(&self) -> Result<(), StoreError> {
        self.run(|engine| async move {
            for poll in engine.take_due_steps().await? {
                engine.erase_poll(&poll).await?;
            }
            Ok(())
        })
        .await
    }

    /// Gives back the lease on the stream, so that another server can go on with the tally at once.
    pub async fn close(&self) {
        const CLOSING_WAIT_MAX: Duration = Duration::from_secs(3);
        self.engine.closing.notify_one();
        if tokio::time::timeout(CLOSING_WAIT_MAX, self.engine.closed.notified()).await.is_err() {
            tracing::warn!("the stream's task did not end in time");
        }
    }

    fn run<T, F>(&self, work: impl FnOnce(Arc<Engine>) -> F) -> Pending<'static, T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let running = self.runtime.spawn(work(Arc::clone(&self.engine)));
        Box::pin(async move { running.await.unwrap_or(Err(StoreError::OutcomeUnknown)) })
    }
}

/// Takes the steps that time makes due, erases the polls that are to be erased, and gives memory back. Of several
/// servers the one that folds the stream erases, one poll after the other.
async fn keep_time(engine: Arc<Engine>) {
    let mut erasing = JoinSet::new();
    loop {
        match engine.take_due_steps().await {
            Ok(polls) => {
                while erasing.try_join_next().is_some() {}
                let is_mine = erasing.is_empty() && engine.figures.is_folding.load(Ordering::Relaxed);
                if let Some(poll) = polls.into_iter().next().filter(|_| is_mine) {
                    erasing.spawn(erase(Arc::clone(&engine), poll));
                }
            }
            Err(error) => tracing::warn!(%error, "scheduled steps were not looked for"),
        }
        engine.listings.sweep();
        tokio::time::sleep(engine.options.poll_age_max).await;
    }
}

async fn erase(engine: Arc<Engine>, poll: PollId) {
    match engine.erase_poll(&poll).await {
        // A poll that is gone is not erased any more.
        Ok(()) | Err(StoreError::Refused(_)) => {}
        Err(error) => tracing::warn!(%error, %poll, "a poll was not erased; it is tried again"),
    }
}

/// Tells those who watch.
async fn keep_watchers(engine: Arc<Engine>) {
    loop {
        tokio::select! {
            () = engine.tallies.folded.notified() => {}
            () = tokio::time::sleep(engine.options.tally_age_max) => {}
        }
        engine.tell_watchers().await;
    }
}

/// Keeps the way to what is shared.
async fn keep_shared(engine: Arc<Engine>) {
    if let Some(shared) = &engine.shared {
        shared.keep().await;
    }
}

/// Shares results that this server has changed.
async fn share_results(engine: Arc<Engine>) {
    let Some(shared) = &engine.shared else { return };
    loop {
        for poll in shared.changed().await {
            match engine.share_tally(&poll).await {
                // A poll that is gone has no result.
                Ok(()) | Err(StoreError::Refused(_)) => {}
                Err(error) => tracing::warn!(%error, %poll, "a new result was not shared"),
            }
        }
    }
}

/// Tells those who watch of what another server shares.
async fn hear_of_results(engine: Arc<Engine>, mut told: mpsc::Receiver<Told>) {
    while let Some(word) = told.recv().await {
        engine.hear(word).await;
    }
}

impl Store for DynamoStore {
    fn create_poll<'a>(
        &'a self,
        request: NewPoll,
        given_id: PollId,
        actor: &'a str,
    ) -> Pending<'a, Arc<Poll>> {
        let actor = actor.to_owned();
        self.run(|engine| async move { engine.create_poll(request, given_id, &actor).await })
    }

    fn change_poll<'a>(
        &'a self,
        poll: &'a PollId,
        command: PollCommand,
        expected: Option<u64>,
        actor: &'a str,
    ) -> Pending<'a, Arc<Poll>> {
        let (poll, actor) = (poll.clone(), actor.to_owned());
        self.run(|engine| async move { engine.change_poll(&poll, command, expected, &actor).await })
    }

    fn add_codes<'a>(&'a self, poll: &'a PollId, hashes: Vec<CodeHash>, actor: &'a str) -> Pending<'a, ()> {
        let (poll, actor) = (poll.clone(), actor.to_owned());
        self.run(|engine| async move { engine.add_codes(&poll, hashes, &actor).await })
    }

    fn poll<'a>(&'a self, poll: &'a PollId) -> Pending<'a, Arc<Poll>> {
        let poll = poll.clone();
        self.run(|engine| async move { Ok(Arc::clone(&engine.head(&poll).await?.0.poll)) })
    }

    fn list_polls(&self, query: PollQuery) -> Pending<'_, PollPage> {
        self.run(|engine| async move { engine.list_polls(query).await })
    }

    fn vote<'a>(&'a self, poll: &'a PollId, commands: Vec<VoteCommand>) -> Pending<'a, Vec<VoteResult>> {
        let poll = poll.clone();
        self.run(|engine| async move { engine.vote(&poll, commands).await })
    }

    fn read_vote<'a>(&'a self, poll: &'a PollId, voter: &'a VoterId) -> Pending<'a, Option<StoredVote>> {
        let (poll, voter) = (poll.clone(), voter.clone());
        self.run(|engine| async move { engine.read_vote(&poll, &voter).await })
    }

    fn erase_voter<'a>(&'a self, poll: &'a PollId, voter: &'a VoterId, actor: &'a str) -> Pending<'a, u64> {
        let (poll, voter, actor) = (poll.clone(), voter.clone(), actor.to_owned());
        self.run(|engine| async move { engine.erase_voter(&poll, &voter, &actor).await })
    }

    fn tally<'a>(&'a self, poll: &'a PollId) -> Pending<'a, Snapshot> {
        let poll = poll.clone();
        self.run(|engine| async move { engine.tally(&poll).await })
    }

    fn profile<'a>(&'a self, poll: &'a PollId, _into: Profile) -> Pending<'a, (Snapshot, Option<Profile>)> {
        let poll = poll.clone();
        self.run(|engine| async move { engine.profile(&poll).await })
    }

    fn records<'a>(&'a self, poll: &'a PollId, after: Sequence) -> Pending<'a, RecordPage> {
        let poll = poll.clone();
        self.run(|engine| async move { engine.records(&poll, after).await })
    }

    fn watch<'a>(&'a self, poll: &'a PollId) -> Pending<'a, watch::Receiver<Sequence>> {
        let poll = poll.clone();
        self.run(|engine| async move { engine.watch(&poll).await })
    }

    fn keys(&self) -> Pending<'_, Vec<Arc<Key>>> {
        self.run(|engine| async move { engine.keys().await })
    }

    fn put_key(&self, key: Key) -> Pending<'_, ()> {
        self.run(|engine| async move { engine.put_key(&key).await })
    }

    fn setting(&self, setting: Setting) -> Pending<'_, String> {
        self.run(|engine| async move { engine.setting(setting).await })
    }

    fn read_setting<'a>(&'a self, name: &'a str) -> Pending<'a, Option<String>> {
        let name = name.to_owned();
        self.run(|engine| async move {
            let item = engine.get(&engine.names.main, "settings", name).await?;
            let value = item.map(|item| text(&item, "value").map(str::to_owned)).transpose()?;
            // An empty one was removed.
            Ok(value.filter(|value| !value.is_empty()))
        })
    }

    fn put_setting(&self, setting: Setting) -> Pending<'_, ()> {
        self.run(|engine| async move {
            let mut item = key("settings", setting.name);
            item.insert("value".to_owned(), string(setting.value));
            engine.put_plain(item).await
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
    fn health(&self) -> Health {
        let figures = &self.engine.figures;
        let mut figures = vec![
            ("canvass_dynamodb_votes_total", figures.votes_written.load(Ordering::Relaxed) as f64),
            ("canvass_dynamodb_folded_total", figures.records_folded.load(Ordering::Relaxed) as f64),
            ("canvass_dynamodb_unreadable_total", figures.records_unreadable.load(Ordering::Relaxed) as f64),
            ("canvass_dynamodb_retries_total", self.engine.clients.retries() as f64),
            ("canvass_dynamodb_folds", f64::from(u8::from(figures.is_folding.load(Ordering::Relaxed)))),
        ];
        figures.extend(self.engine.shared.iter().flat_map(Shared::figures));
        Health { figures, ..Health::default() }
    }

    fn tally_lag_max(&self) -> Duration {
        // The window, the age of what is shown, and as much again for what DynamoDB takes.
        let Options { window, tally_age_max, lease_lost, .. } = &self.engine.options;
        2 * (*window + *tally_age_max) + *lease_lost
    }

    fn shared_limits(&self) -> Option<&dyn SharedLimits> {
        self.engine.shared.as_ref().map(|shared| shared as &dyn SharedLimits)
    }
}

impl Engine {
    /// Polls, newest first, from the index: it follows the polls by a moment.
    pub(crate) async fn list_polls(&self, query: PollQuery) -> Result<PollPage, StoreError> {
        const STATUSES: [Status; 7] = [
            Status::Draft,
            Status::Scheduled,
            Status::Open,
            Status::Paused,
            Status::Closed,
            Status::Certified,
            Status::Archived,
        ];
        let limit = query.limit.clamp(1, POLLS_PAGE_MAX);
        let statuses = query.status.map_or(STATUSES.to_vec(), |status| vec![status]);
        let after = query.cursor.as_ref().map_or(String::new(), |cursor| {
            format!("{:020}#{}", i64::MAX - cursor.created_at.microseconds(), cursor.id)
        });
        let pages = statuses.into_iter().map(|status| self.list_status(status, &after, limit + 1));
        let mut found: Vec<_> =
            futures_util::future::try_join_all(pages).await?.into_iter().flatten().collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        let has_more = found.len() > limit;
        found.truncate(limit);
        let polls: Vec<_> = found.into_iter().map(|(_, poll)| poll).collect();
        let last = polls.last().filter(|_| has_more);
        let next = last.map(|poll| PollCursor { created_at: poll.created_at, id: poll.id.clone() });
        Ok(PollPage { polls, next })
    }

    async fn list_status(
        &self,
        status: Status,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Arc<Poll>)>, StoreError> {
        let request = self
            .clients
            .tables
            .query()
            .table_name(&self.names.main)
            .index_name(BY_STATUS)
            .key_condition_expression("#status = :status AND age > :after")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":status", string(status.name()))
            .expression_attribute_values(":after", string(if after.is_empty() { " " } else { after }));
        let (mut found, mut from) = (Vec::new(), None);
        while found.len() < limit {
            let left = i32::try_from(limit - found.len()).unwrap_or(i32::MAX);
            let page = request.clone().limit(left).set_exclusive_start_key(from);
            let page = self.clients.read(|| page.clone().send()).await?;
            for item in page.items() {
                found.push((text(item, "age")?.to_owned(), Head::decode(item)?.poll));
            }
            from = page.last_evaluated_key;
            if from.is_none() {
                break;
            }
        }
        Ok(found)
    }

    pub(crate) async fn keys(&self) -> Result<Vec<Arc<Key>>, StoreError> {
        let items = self.query(&self.names.main, "keys", ALL).await?;
        let read = |item| {
            serde_json::from_str(text(item, "key")?)
                .map(Arc::new)
                .map_err(|error| crate::items::damaged(item, &error.to_string()))
        };
        items.iter().map(read).collect()
    }

    pub(crate) async fn put_key(&self, made: &Key) -> Result<(), StoreError> {
        let mut item = key("keys", made.id.as_str());
        let json = serde_json::to_string(made)
            .map_err(|error| StoreError::Corrupt(format!("a key cannot be written: {error}")))?;
        item.insert("key".to_owned(), string(json));
        self.put_plain(item).await
    }

    pub(crate) async fn setting(&self, setting: Setting) -> Result<String, StoreError> {
        let mut item = key("settings", setting.name);
        item.insert("value".to_owned(), string(setting.value.clone()));
        let request = self
            .clients
            .tables
            .put_item()
            .table_name(&self.names.main)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match self.clients.ask(|| request.clone().send()).await {
            Ok(_) => Ok(setting.value),
            Err(Failed::Service(PutItemError::ConditionalCheckFailedException(refused))) => {
                let there = refused.item().ok_or_else(|| StoreError::busy("a setting was not told"))?;
                Ok(text(there, "value")?.to_owned())
            }
            Err(failed) => Err(failed.into_store_error()),
        }
    }
}
