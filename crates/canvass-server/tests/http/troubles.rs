//! A store that is full, that loses answers, that cannot write: what the caller is told, and that nothing is lost.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use canvass_domain::{
    Poll, PollId, Profile, Sequence, VoterId,
    code::CodeHash,
    decide::PollCommand,
    key::Key,
    poll::NewPoll,
    record::Setting,
    vote::{StoredVote, VoteCommand},
};
use canvass_server::Settings;
use canvass_store::{
    Health, Pending, PollPage, PollQuery, RecordPage, Snapshot, Store, StoreError, VoteResult,
    local::LocalStore,
};
use tokio::sync::watch;

use crate::harness::World;

/// The real store, with troubles in between.
struct Troubled {
    store: Arc<LocalStore>,
    /// Whether what it shows is one vote more than there are.
    miscounts: bool,
    troubles: Arc<Mutex<VecDeque<Trouble>>>,
}

/// What happens to one call of `vote`.
#[derive(Clone, Debug)]
enum Trouble {
    /// Nothing.
    None,
    /// It is turned away.
    Full,
    /// Every second vote of it is turned away.
    HalfFull,
    /// It is done, and the answer is lost.
    Lost,
    /// The disk cannot be written any more.
    Broken,
    /// What is stored cannot be read.
    Corrupt,
}

impl Store for Troubled {
    fn vote<'a>(&'a self, poll: &'a PollId, commands: Vec<VoteCommand>) -> Pending<'a, Vec<VoteResult>> {
        let trouble = self.troubles.lock().expect("no panic").front().cloned().unwrap_or(Trouble::None);
        if !matches!(trouble, Trouble::Broken) {
            self.troubles.lock().expect("no panic").pop_front();
        }
        Box::pin(async move {
            match trouble {
                Trouble::None => self.store.vote(poll, commands).await,
                Trouble::Full => Err(StoreError::busy("full, as the test says")),
                Trouble::HalfFull => {
                    let mut results = Vec::new();
                    for (index, command) in commands.into_iter().enumerate() {
                        results.push(if index % 2 == 0 {
                            self.store.vote(poll, vec![command]).await?.remove(0)
                        } else {
                            Err(StoreError::busy("full, as the test says"))
                        });
                    }
                    Ok(results)
                }
                Trouble::Lost => {
                    self.store.vote(poll, commands).await?;
                    Err(StoreError::OutcomeUnknown)
                }
                Trouble::Broken => Err(StoreError::busy("broken, as the test says")),
                Trouble::Corrupt => Err(StoreError::Corrupt("segment 7, byte 4096".to_owned())),
            }
        })
    }

    fn health(&self) -> Health {
        let is_broken = matches!(self.troubles.lock().expect("no panic").front(), Some(Trouble::Broken));
        let trouble = is_broken.then(|| "fdatasync failed on /secret/path".to_owned());
        Health { trouble, ..self.store.health() }
    }

    fn create_poll<'a>(&'a self, request: NewPoll, id: PollId, actor: &'a str) -> Pending<'a, Arc<Poll>> {
        self.store.create_poll(request, id, actor)
    }

    fn change_poll<'a>(
        &'a self,
        poll: &'a PollId,
        command: PollCommand,
        version: Option<u64>,
        actor: &'a str,
    ) -> Pending<'a, Arc<Poll>> {
        self.store.change_poll(poll, command, version, actor)
    }

    fn add_codes<'a>(&'a self, poll: &'a PollId, hashes: Vec<CodeHash>, actor: &'a str) -> Pending<'a, ()> {
        self.store.add_codes(poll, hashes, actor)
    }

    fn poll<'a>(&'a self, poll: &'a PollId) -> Pending<'a, Arc<Poll>> {
        self.store.poll(poll)
    }

    fn list_polls(&self, query: PollQuery) -> Pending<'_, PollPage> {
        self.store.list_polls(query)
    }

    fn read_vote<'a>(&'a self, poll: &'a PollId, voter: &'a VoterId) -> Pending<'a, Option<StoredVote>> {
        self.store.read_vote(poll, voter)
    }

    fn erase_voter<'a>(&'a self, poll: &'a PollId, voter: &'a VoterId, actor: &'a str) -> Pending<'a, u64> {
        self.store.erase_voter(poll, voter, actor)
    }

    fn tally<'a>(&'a self, poll: &'a PollId) -> Pending<'a, Snapshot> {
        Box::pin(async move {
            let mut snapshot = self.store.tally(poll).await?;
            Arc::make_mut(&mut snapshot.tally).votes += u64::from(self.miscounts);
            Ok(snapshot)
        })
    }

    fn profile<'a>(&'a self, poll: &'a PollId, into: Profile) -> Pending<'a, (Snapshot, Option<Profile>)> {
        Box::pin(async move {
            let (mut snapshot, profile) = self.store.profile(poll, into).await?;
            Arc::make_mut(&mut snapshot.tally).votes += u64::from(self.miscounts);
            Ok((snapshot, profile))
        })
    }

    fn records<'a>(&'a self, poll: &'a PollId, after: Sequence) -> Pending<'a, RecordPage> {
        self.store.records(poll, after)
    }

    fn watch<'a>(&'a self, poll: &'a PollId) -> Pending<'a, watch::Receiver<Sequence>> {
        self.store.watch(poll)
    }

    fn keys(&self) -> Pending<'_, Vec<Arc<Key>>> {
        self.store.keys()
    }

    fn put_key(&self, key: Key) -> Pending<'_, ()> {
        self.store.put_key(key)
    }

    fn setting(&self, setting: Setting) -> Pending<'_, String> {
        self.store.setting(setting)
    }

    fn read_setting<'a>(&'a self, name: &'a str) -> Pending<'a, Option<String>> {
        self.store.read_setting(name)
    }

    fn put_setting(&self, setting: Setting) -> Pending<'_, ()> {
        self.store.put_setting(setting)
    }
}

/// Runs a script after a poll was opened, each vote with the next of the troubles.
async fn check(name: &str, troubles: &[Trouble], script: &str) {
    let queue = Arc::new(Mutex::new(VecDeque::from(troubles.to_vec())));
    let shared = Arc::clone(&queue);
    let wrap =
        move |store| Arc::new(Troubled { store, miscounts: false, troubles: shared }) as Arc<dyn Store>;
    let mut world = World::around(Settings::default(), wrap).await;
    world
        .play(r#"POST /v1/polls {"id":"p","title":"T","options":[{"id":"a"},{"id":"b"}],"status":"open","access":"open"}"#)
        .await;
    world.play(script).await;
    world.compare(name);
}

#[tokio::test]
async fn a_full_store_is_said_and_waited_for_in_a_batch() {
    check(
        "troubles_full",
        &[Trouble::Full, Trouble::Full, Trouble::Full, Trouble::HalfFull, Trouble::Full],
        r#"
        POST /v1/polls/p/votes {"voterId":"u1","ballot":{"choice":"a"}}
        POST /votes {"userId":"u1","pollId":"p","choice":"a"}
        # The batch waits, and gives its answers in order.
        POST /v1/polls/p/votes/batch {"voterId":"u1","ballot":{"choice":"a"}}⏎{"voterId":"u2","ballot":{"choice":"a"}}⏎{"voterId":"u1","ballot":{"choice":"b"}}⏎{"voterId":"u3","ballot":{"choice":"b"}}
        GET /v1/polls/p/results
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_lost_answer_costs_nothing() {
    check(
        "troubles_lost",
        &[Trouble::Lost, Trouble::None, Trouble::Lost, Trouble::None, Trouble::Lost],
        r#"
        with idempotency-key: k
        POST /v1/polls/p/votes {"voterId":"u1","ballot":{"choice":"a"}}
        with idempotency-key: k
        POST /v1/polls/p/votes {"voterId":"u1","ballot":{"choice":"a"}}
        POST /vote {"pollId":"p","optionId":"a","voterId":"u2"}
        POST /vote {"pollId":"p","optionId":"a","voterId":"u2"}
        POST /v1/polls/p/votes/batch {"voterId":"u3","ballot":{"choice":"a"}}
        POST /v1/polls/p/votes/batch {"voterId":"u3","ballot":{"choice":"a"}}
        GET /v1/polls/p/results
        "#,
    )
    .await;
}

/// The operator's words, with their paths and places, go to the log and not to the caller.
#[tokio::test]
async fn a_broken_disk_is_said_without_its_words() {
    check(
        "troubles_broken",
        &[Trouble::Corrupt, Trouble::Broken],
        r#"
        POST /v1/polls/p/votes {"voterId":"u1","ballot":{"choice":"a"}}
        POST /v1/polls/p/votes {"voterId":"u1","ballot":{"choice":"a"}}
        POST /v1/polls/p/votes/batch {"voterId":"u1","ballot":{"choice":"a"}}
        POST /votes {"userId":"u1","pollId":"p","choice":"a"}
        POST /vote {"pollId":"p","optionId":"a","voterId":"u1"}
        GET /readyz
        GET /livez
        # Reading goes on.
        GET /v1/polls/p/results
        "#,
    )
    .await;
}

/// A store that stays full is not waited for without end.
#[tokio::test(start_paused = true)]
async fn a_batch_gives_up_on_a_store_that_stays_full() {
    let started = tokio::time::Instant::now();
    check(
        "troubles_stays_full",
        &vec![Trouble::Full; 1_000],
        r#"POST /v1/polls/p/votes/batch {"voterId":"u1","ballot":{"choice":"a"}}"#,
    )
    .await;
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

/// A count that the records do not bear out is told, and never certified.
#[tokio::test]
async fn a_wrong_count_is_found_and_not_certified() {
    let wrap =
        |store| Arc::new(Troubled { store, miscounts: true, troubles: Arc::default() }) as Arc<dyn Store>;
    let mut world = World::around(Settings::default(), wrap).await;
    world
        .play(
            r#"
        POST /v1/polls {"id":"p","title":"T","options":[{"id":"a"}],"status":"open"}
        POST /v1/polls/p/votes {"voterId":"u1","ballot":{"choice":"a"}}
        POST /v1/polls/p/recount
        POST /v1/polls/p/close
        POST /v1/polls/p/certify
        GET /v1/polls/p
        "#,
        )
        .await;
    world.compare("troubles_miscounted");
}
