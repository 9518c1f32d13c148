//! What every engine must do, as one suite: an engine stands when all of it passes.
//!
//! A test is a story: what callers do, line by line, with the answer to each. After every story the poll's records are
//! read back, and the tally must be their fold. [`conformance!`](crate::conformance) makes tests of all of it.

use std::{
    any::Any,
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use canvass_domain::{
    Ballot, KeyId, Poll, PollId, Profile, Rank, Refusal, Sequence, Timestamp, VoteId, VoterId, Weight,
    ballot::{BallotInput, Marks, RankInput},
    code::{CodeHash, hash_code, voter_of_code},
    decide::PollCommand,
    key::{Key, Plan, Scope},
    method::BallotForm,
    poll::{NewPoll, PersonalData, Status},
    record::{Chain, Record, Setting, VoteRecord, hexadecimal},
    results::breakdown,
    tally::{Books, Tally},
    vote::{Marked, Operation, StoredVote, VoteCommand, read_answers},
};
use futures_util::future::join_all;

use crate::{
    PollCursor, PollQuery, Receipt, RecordedEntry, Snapshot, Store, StoreError, VoteOutcome, VoteResult,
    limits::RECORDS_PAGE, local::Clock,
};

/// A clock that shows what it was set to. Clones are the same clock.
#[derive(Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl Default for TestClock {
    /// The first moment of 2026.
    fn default() -> Self {
        let clock = Self(Arc::default());
        clock.set("01T00:00:00");
        clock
    }
}

impl TestClock {
    /// Sets a day of January 2026 and the time of that day: `02T12:00:00`.
    ///
    /// # Panics
    /// If the text is something else.
    pub fn set(&self, moment: &str) {
        let moment: Timestamp = format!("2026-01-{moment}Z").parse().expect("a day and a time of January");
        self.0.store(moment.microseconds(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microseconds(self.0.load(Ordering::SeqCst))
    }
}

/// An engine that was opened empty for one test.
pub struct World {
    /// The engine.
    pub store: Arc<dyn Store>,
    /// What it takes the time from.
    pub clock: TestClock,
    /// What must outlive it, such as its directory.
    pub kept: Box<dyn Any + Send + Sync>,
    /// The number of the last id that was drawn.
    pub drawn: AtomicU64,
}

/// Makes a test of each part of the suite. The argument is an `async fn(TestClock) -> World`; attributes before it
/// stand on each test.
#[macro_export]
macro_rules! conformance {
    ($(#[$attribute:meta])? $open:path) => {
        $crate::conformance!(@each ($(#[$attribute])?) $open:
            steps_of_a_life
            versions
            edits_before_and_after_votes
            votes_by_the_clock
            steps_that_time_takes
            voting_once
            voting_again
            idempotency_keys
            one_commit
            many_changes
            one_time_codes
            weights
            approvals
            rankings
            scores_and_dots
            demographics
            write_ins
            unknown_polls
            ids_taken_and_free_again
            listing
            records_in_pages
            watching
            keys_and_settings
            a_thousand_voters_at_once
            a_thousand_votes_of_one_voter_at_once
            forms_that_change_under_way
            options_that_change_before_the_first_vote
            erasing_a_poll
            erasing_voters
        );
    };
    (@each $attribute:tt $open:path: $($name:ident)*) => {$(
        $crate::conformance!(@one $attribute $open: $name);
    )*};
    (@one ($(#[$attribute:meta])?) $open:path: $name:ident) => {
        $(#[$attribute])?
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let clock = $crate::conformance::TestClock::default();
            $crate::conformance::$name($open(clock).await).await;
        }
    };
}

/// Three options and nothing else said.
const DRAFT: &str = r#"{"title": "T", "options": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}"#;
/// The same, taking votes.
const OPEN: &str = r#"{"title": "T", "options": [{"id": "a"}, {"id": "b"}, {"id": "c"}], "status": "open"}"#;
/// The same, with votes that may change.
const FREE: &str = r#"{"title": "T", "options": [{"id": "a"}, {"id": "b"}, {"id": "c"}], "status": "open",
    "revote": "untilClose"}"#;

/// Creates a poll, tells a story and compares every answer; then the records, the tally and the votes.
///
/// # Panics
/// If anything differs.
pub async fn check(world: &World, poll: &str, story: &[(&str, &str)]) -> PollId {
    let id = world.create(poll).await;
    check_on(world, &id, story).await;
    id
}

/// Tells a story about a poll that exists, and compares as [`check`] does.
async fn check_on(world: &World, poll: &PollId, story: &[(&str, &str)]) {
    let (mut told, mut expected) = (Vec::new(), Vec::new());
    for (line, answer) in story {
        told.push(format!("{line} => {}", world.tell(poll, line).await));
        expected.push(format!("{line} => {answer}"));
    }
    assert_eq!(told, expected);
    if world.store.poll(poll).await.is_ok() {
        world.check_records(poll).await;
    }
}

impl World {
    /// A world with an engine.
    pub fn new(store: Arc<dyn Store>, clock: TestClock, kept: impl Any + Send + Sync) -> Self {
        Self { store, clock, kept: Box::new(kept), drawn: AtomicU64::new(0) }
    }

    /// Whether records are numbered and chained when they are written, and tallies follow at once.
    fn is_ordered(&self) -> bool {
        self.store.tally_lag_max().is_zero()
    }

    fn draw(&self) -> u64 {
        self.drawn.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Creates a poll from its JSON; it is given an id if it asks for none.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn create(&self, poll: &str) -> PollId {
        self.try_create(poll).await.expect("the poll is allowed").id.clone()
    }

    async fn try_create(&self, poll: &str) -> Result<Arc<Poll>, StoreError> {
        let request: NewPoll = serde_json::from_str(poll).expect("a poll's JSON");
        let given_id = format!("poll-{}", self.draw()).parse().expect("an id");
        self.store.create_poll(request, given_id, "key:test").await
    }

    /// Does what one line of a story says, and gives the answer in a few words.
    ///
    /// Lines: `clock 02T12:00:00`; `open`, `pause`, `close`, `certify`, `archive`, `delete`, `edit {…}`, `write-in
    /// label`, each also after `if version`; `codes a,b`; `results`; `ada reads`; `ada is erased`; `ada casts a`, `ada changes a`, `ada
    /// withdraws`, each followed by any of `key k`, `weight 2`, `code c`, `form 1` and demographics such as `age
    /// young`; and several of these joined by ` + ` for one request.
    ///
    /// # Panics
    /// If the line is none of these.
    pub async fn tell(&self, poll: &PollId, line: &str) -> String {
        self.try_tell(poll, line).await.unwrap_or_else(|error| error_text(&error))
    }

    async fn try_tell(&self, poll: &PollId, line: &str) -> Result<String, StoreError> {
        let (condition, words) = match line.strip_prefix("if ") {
            Some(rest) => rest.split_once(' ').map_or((None, rest), |(version, rest)| (Some(version), rest)),
            None => (None, line),
        };
        let expected = condition.map(|version| version.parse().expect("a version"));
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        let command = match verb {
            "open" => PollCommand::Open,
            "pause" => PollCommand::Pause,
            "close" => PollCommand::Close,
            "certify" => PollCommand::Certify,
            "archive" => PollCommand::Archive,
            "erase" => PollCommand::Erase,
            "delete" => PollCommand::Delete,
            "write-in" => PollCommand::WriteIn(rest.to_owned()),
            "edit" => PollCommand::Edit(Box::new(serde_json::from_str(rest).expect("a patch"))),
            "clock" => {
                self.clock.set(rest);
                return Ok(String::new());
            }
            "codes" => {
                let hashes = rest.split(',').map(|code| hash_code(poll, code)).collect();
                return self.store.add_codes(poll, hashes, "key:test").await.map(|()| "added".to_owned());
            }
            "results" => return Ok(results_text(&self.newest(poll).await?)),
            voter if rest == "is erased" => {
                let voter = voter.parse().expect("a voter");
                let records = self.store.erase_voter(poll, &voter, "key:test").await?;
                return Ok(format!("{records} records erased"));
            }
            voter if rest == "reads" => return self.read(poll, voter).await,
            _ => return self.vote(poll, words).await,
        };
        let changed = self.store.change_poll(poll, command, expected, "key:test").await?;
        if verb == "delete" {
            // An engine may have erased it first, in steps of its own.
            return Ok("deleted".to_owned());
        }
        Ok(format!("{} v{}", changed.status, changed.version))
    }

    async fn read(&self, poll: &PollId, voter: &str) -> Result<String, StoreError> {
        let vote = self.store.read_vote(poll, &voter.parse().expect("a voter")).await?;
        let current = self.store.poll(poll).await?;
        Ok(vote.map_or("no vote".to_owned(), |vote| {
            format!("{} r{}", marks_text(&current, vote.marked.as_ref()), vote.revision)
        }))
    }

    async fn vote(&self, poll: &PollId, words: &str) -> Result<String, StoreError> {
        let current = self.store.poll(poll).await?;
        let commands = words.split(" + ").map(|words| self.command(&current, words)).collect();
        let answers = self.store.vote(poll, commands).await?;
        Ok(answers.iter().map(|answer| self.answer_text(answer)).collect::<Vec<_>>().join(" + "))
    }

    /// The command that a part of a line stands for, read against the poll as it is given.
    ///
    /// # Panics
    /// If the part is none.
    pub fn command(&self, poll: &Poll, words: &str) -> VoteCommand {
        let words: Vec<&str> = words.split_whitespace().collect();
        let (voter, operation, mut rest) = match words.as_slice() {
            [voter, "casts", rest @ ..] => (*voter, Operation::Cast, rest),
            [voter, "changes", rest @ ..] => (*voter, Operation::Change, rest),
            [voter, "withdraws", rest @ ..] => (*voter, Operation::Withdraw, rest),
            _ => panic!("{words:?} is no line of a story"),
        };
        let number = self.draw();
        let mut command = VoteCommand {
            voter: voter.parse().expect("a voter"),
            operation,
            marked: None,
            idempotency_key: None,
            vote_id: VoteId::from_random(sixteen(number)),
            salt: sixteen(number),
            form: poll.form,
            code: None,
        };
        let (mut weight, mut answers) = (Weight::ONE, Vec::new());
        let choice =
            rest.split_first().filter(|_| operation != Operation::Withdraw).map(|(choice, after)| {
                rest = after;
                *choice
            });
        for pair in rest.chunks(2) {
            match *pair {
                ["key", key] => command.idempotency_key = Some(key.parse().expect("a key")),
                ["weight", text] => weight = text.parse().expect("a weight"),
                ["form", form] => command.form = form.parse().expect("a form"),
                ["code", code] => {
                    let hash = hash_code(&poll.id, code);
                    (command.voter, command.code) = (voter_of_code(&hash), Some(hash));
                }
                [name, value] => answers.push((Cow::from(name.to_owned()), Cow::from(value.to_owned()))),
                _ => panic!("{words:?} ends too early"),
            }
        }
        command.marked = choice.map(|choice| Marked {
            ballot: read_ballot(poll, choice),
            weight,
            answers: read_answers(poll, answers).expect("declared answers"),
        });
        command
    }

    fn answer_text(&self, answer: &VoteResult) -> String {
        match answer {
            Ok(VoteOutcome::Accepted(Receipt { operation, sequence, .. })) => {
                assert_eq!(sequence.is_some(), self.is_ordered());
                operation_text(*operation).to_owned()
            }
            Ok(VoteOutcome::Replayed(vote)) => format!("replayed {}", operation_text(vote.operation)),
            Err(error) => error_text(error),
        }
    }

    /// All of a poll's records.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn all_records(&self, poll: &PollId) -> Result<Vec<RecordedEntry>, StoreError> {
        let mut entries: Vec<RecordedEntry> = Vec::new();
        loop {
            let after = entries.last().map_or(Sequence(0), |last| last.entry.place.sequence);
            let page = self.store.records(poll, after).await?.entries;
            assert!(page.len() <= RECORDS_PAGE);
            if page.is_empty() {
                return Ok(entries);
            }
            entries.extend(page);
        }
    }

    /// A poll with its tally, once it holds the poll's record of this sequence.
    async fn settled(&self, poll: &PollId, last: u64) -> Result<Snapshot, StoreError> {
        for _ in 0..=self.store.tally_lag_max().as_millis() / 20 {
            let snapshot = self.store.tally(poll).await?;
            if snapshot.tally.sequence.0 >= last {
                return Ok(snapshot);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the tally does not follow the votes");
    }

    /// A poll with its tally, once it holds all of the poll's records.
    async fn newest(&self, poll: &PollId) -> Result<Snapshot, StoreError> {
        if self.is_ordered() {
            return self.store.tally(poll).await;
        }
        self.settled(poll, self.all_records(poll).await?.len() as u64).await
    }

    /// Reads everything about a poll back: its records must follow one another, each voter's must replace one another,
    /// no vote may have come while the poll took none, and the tally must be their fold.
    ///
    /// # Panics
    /// If anything does not fit.
    pub async fn check_records(&self, poll: &PollId) -> Tally {
        let mut entries = self.all_records(poll).await.expect("the records can be read");
        let mut snapshot = self.settled(poll, entries.len() as u64).await.expect("the tally can be read");
        // A step that time made due may be recorded between the two.
        while snapshot.tally.sequence.0 > entries.len() as u64 {
            entries = self.all_records(poll).await.expect("the records can be read");
            snapshot = self.settled(poll, entries.len() as u64).await.expect("the tally can be read");
        }
        let folded = Replay::of(&entries);
        assert_eq!(*snapshot.tally, folded.books.tally, "the tally is not what its records add up to");
        assert_eq!(*snapshot.poll, folded.poll, "the poll is not as its last event left it");
        let (_, profile) =
            self.store.profile(poll, Profile::default()).await.expect("the profile can be read");
        assert_eq!(profile, folded.books.profile, "the distinct ballots are not what the records add up to");
        let mut encoded = Vec::new();
        Books::encode(&folded.books.tally, folded.books.profile.as_ref(), &mut encoded);
        assert_eq!(Books::decode(&folded.poll, &encoded).as_ref(), Ok(&folded.books));
        for (voter, latest) in folded.voters.iter().take(200) {
            let standing = Some(latest.clone()).filter(|vote| vote.operation != Operation::Withdraw);
            let standing = standing.map(|vote| if self.is_ordered() { vote } else { unnumbered(vote) });
            assert_eq!(self.store.read_vote(poll, voter).await, Ok(standing));
        }
        folded.books.tally
    }

    /// How many of a poll's votes, changes and withdrawals tell who voted.
    async fn records_of_voters(&self, poll: &PollId) -> usize {
        let entries = self.all_records(poll).await.expect("the records can be read");
        let tells = |recorded: &&RecordedEntry| match &recorded.entry.record {
            Record::Vote(vote) => vote.personal.is_some(),
            _ => false,
        };
        entries.iter().filter(tells).count()
    }

    /// Waits until nothing that a poll's votes told of persons is left.
    ///
    /// # Panics
    /// If that does not come.
    pub async fn wait_until_erased(&self, poll: &PollId) {
        for _ in 0..1_000 {
            if self.store.poll(poll).await.expect("the poll is there").personal_data == PersonalData::Erased {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the erasure has no end");
    }

    /// Waits until time alone has brought a poll where it should be.
    async fn wait_for(&self, poll: &PollId, status: Status) {
        for _ in 0..500 {
            if self.store.poll(poll).await.expect("the poll is there").status == status {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the poll never was {status}");
    }
}

/// What is counted, without what voters told of themselves.
fn counted(tally: &Tally) -> Tally {
    Tally { breakdowns: Vec::new(), sequence: Sequence(0), updated_at: Timestamp::default(), ..tally.clone() }
}

/// The values of a dimension that somebody gave.
fn given(tally: &Tally, dimension: usize) -> Vec<String> {
    let values = tally.breakdowns[dimension].values.iter().filter(|(_, count)| count.votes > 0);
    values.map(|(value, count)| format!("{value} {}", count.votes)).collect()
}

/// What a poll's records say when they are read one after another.
struct Replay {
    poll: Poll,
    books: Books,
    voters: HashMap<VoterId, StoredVote>,
    chain: Chain,
    latest: Timestamp,
}

impl Replay {
    fn of(entries: &[RecordedEntry]) -> Self {
        let first = entries.first().expect("a poll has records");
        let Record::Poll(created) = &first.entry.record else { panic!("a poll begins with its creation") };
        let mut replay = Self {
            poll: created.poll.clone(),
            books: Books::new(&created.poll),
            voters: HashMap::new(),
            chain: Chain::default(),
            latest: first.entry.place.at,
        };
        for (before, recorded) in entries.iter().enumerate() {
            assert_eq!(recorded.entry.place.sequence, Sequence(before as u64 + 1));
            replay.take(recorded);
        }
        replay
    }

    fn take(&mut self, recorded: &RecordedEntry) {
        let place = recorded.entry.place;
        assert!(place.at >= self.latest, "a poll's records never go back in time");
        match &recorded.entry.record {
            Record::Poll(event) => {
                if recorded.chain_input.is_some() {
                    assert_eq!(
                        event.chain,
                        hexadecimal(&self.chain),
                        "the chain leads from record to record"
                    );
                }
                self.poll = event.poll.clone();
            }
            Record::Vote(vote) => {
                let status = self.poll.status_at(place.at);
                assert_eq!(status, Status::Open, "record {} is a vote in a closed poll", place.sequence);
                // An erased vote tells no voter, and so not which others are the same voter's.
                if let Some(stored) = vote.stored(place) {
                    self.take_vote(vote, stored);
                }
            }
            Record::Codes(_) => {}
            Record::Key(_) | Record::Setting(_) => panic!("a poll's records are about the poll"),
        }
        self.books.fold(&recorded.entry);
        if let Some(input) = &recorded.chain_input {
            self.chain = input.link(&self.chain);
        }
        self.latest = place.at;
    }

    fn take_vote(&mut self, vote: &VoteRecord, stored: StoredVote) {
        let before = self.voters.get(&stored.voter);
        let standing = before.filter(|vote| vote.operation != Operation::Withdraw);
        assert_eq!(vote.removed(), standing.and_then(|vote| vote.marked.clone()));
        assert_eq!(stored.previous, before.and_then(|vote| vote.sequence));
        assert_eq!(stored.revision, before.map_or(0, |vote| vote.revision + 1));
        assert_eq!(stored.vote_id, before.map_or(stored.vote_id, |vote| vote.vote_id));
        self.voters.insert(stored.voter.clone(), stored);
    }
}

/// A vote as an engine knows it that numbers records only when all are read.
fn unnumbered(vote: StoredVote) -> StoredVote {
    StoredVote { sequence: None, previous: None, ..vote }
}

fn sixteen(number: u64) -> [u8; 16] {
    let mut bytes = [0x5a; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn read_ballot(poll: &Poll, choice: &str) -> Ballot {
    let input = match poll.method.form() {
        BallotForm::Choice => BallotInput::choice(choice),
        BallotForm::Choices => {
            let choices = choice.split(',').filter(|id| !id.is_empty() && *id != "-").map(Cow::from);
            BallotInput { choices: Some(choices.collect()), ..BallotInput::default() }
        }
        BallotForm::Ranking => {
            let rank =
                |rank: &'_ str| RankInput::Equal(rank.split('=').map(|id| id.to_owned().into()).collect());
            let ranks = choice.split('>').filter(|rank| *rank != "-").map(rank);
            BallotInput { ranking: Some(ranks.collect()), ..BallotInput::default() }
        }
        form @ (BallotForm::Scores | BallotForm::Allocation) => {
            let mark = |mark: &'_ str| {
                let (id, number) = mark.split_once(':').expect("a number follows a colon");
                (Cow::from(id.to_owned()), number.parse().expect("a number"))
            };
            let marks = Some(Marks(choice.split(',').filter(|mark| *mark != "-").map(mark).collect()));
            match form {
                BallotForm::Scores => BallotInput { scores: marks, ..BallotInput::default() },
                _ => BallotInput { allocation: marks, ..BallotInput::default() },
            }
        }
    };
    input.read(poll).expect("a ballot of this poll")
}

/// A ballot as stories write it: `a,b` chosen, `a>b=c` ranked, `a:5,b:0` scored or given.
fn marks_text(poll: &Poll, marked: Option<&Marked>) -> String {
    let id = |index: &u16| poll.options[usize::from(*index)].id.as_str();
    let ids = |indexes: &[u16], between: &str| indexes.iter().map(id).collect::<Vec<_>>().join(between);
    match marked.map(|marked| &marked.ballot) {
        Some(Ballot::Choices(choices)) => ids(choices, ","),
        Some(Ballot::Ranking(ranks)) => {
            let rank = |rank: &Rank| match rank {
                Rank::One(option) => id(option).to_owned(),
                Rank::Equal(options) => ids(options, "="),
                Rank::Skipped | Rank::Overvote => String::new(),
            };
            ranks.iter().map(rank).collect::<Vec<_>>().join(">")
        }
        Some(Ballot::Scores(marks) | Ballot::Allocation(marks)) => {
            let mark = |(index, number): &(u16, i32)| format!("{}:{number}", id(index));
            marks.iter().map(mark).collect::<Vec<_>>().join(",")
        }
        None => String::new(),
    }
}

fn results_text(snapshot: &Snapshot) -> String {
    let totals = snapshot.poll.options.iter().zip(&snapshot.tally.options);
    let options: Vec<_> = totals.map(|(option, total)| format!("{} {total}", option.id)).collect();
    format!("{} of {}", options.join(", "), snapshot.tally.votes)
}

fn operation_text(operation: Operation) -> &'static str {
    match operation {
        Operation::Cast => "cast",
        Operation::Change => "changed",
        Operation::Withdraw => "withdrawn",
    }
}

/// An error in a few words.
pub fn error_text(error: &StoreError) -> String {
    let refusal = match error {
        StoreError::Refused(refusal) => refusal,
        StoreError::Unavailable { .. } => return "unavailable".to_owned(),
        StoreError::OutcomeUnknown => return "outcome unknown".to_owned(),
        StoreError::Corrupt(what) => return format!("corrupt: {what}"),
    };
    match refusal {
        Refusal::PollNotFound => "no poll".to_owned(),
        Refusal::PollExists => "poll exists".to_owned(),
        Refusal::Invalid(invalid) => format!("invalid {}", invalid.field),
        Refusal::NotOpen { status } => format!("not open: {status}"),
        Refusal::WrongStatus { status, step } => format!("{status} cannot be {step}"),
        Refusal::VersionConflict { current } => format!("conflict with v{current}"),
        Refusal::FixedByVotes { field } => format!("{field} fixed"),
        Refusal::AlreadyVoted(vote) => format!("voted r{}", vote.revision),
        Refusal::VoteNotFound => "no vote".to_owned(),
        Refusal::KeyReused => "key reused".to_owned(),
        Refusal::CodeUnknown => "unknown code".to_owned(),
        Refusal::TooManyRevisions => "too many changes".to_owned(),
        Refusal::FormChanged => "form changed".to_owned(),
        Refusal::TooManyCodes => "too many codes".to_owned(),
    }
}

/// Every step of a poll's life, its repeats, and the steps that its state forbids.
pub async fn steps_of_a_life(world: World) {
    let life = [
        ("ada casts a", "not open: draft"),
        ("pause", "draft cannot be paused"),
        ("close", "draft cannot be closed"),
        ("certify", "draft cannot be certified"),
        ("archive", "draft cannot be archived"),
        ("open", "open v2"),
        ("open", "open v2"),
        ("delete", "open cannot be deleted"),
        ("certify", "open cannot be certified"),
        ("pause", "paused v3"),
        ("pause", "paused v3"),
        ("ada casts a", "not open: paused"),
        ("open", "open v4"),
        ("ada casts a", "cast"),
        ("close", "closed v5"),
        ("close", "closed v5"),
        ("open", "closed cannot be opened"),
        ("pause", "closed cannot be paused"),
        ("bob casts a", "not open: closed"),
        (r#"edit {"title": "Corrected"}"#, "closed v6"),
        ("archive", "closed cannot be archived"),
        ("certify", "certified v7"),
        ("certify", "certified v7"),
        ("bob casts a", "not open: certified"),
        (r#"edit {"title": "Too late"}"#, "certified cannot be changed"),
        ("delete", "certified cannot be deleted"),
        ("archive", "archived v8"),
        ("archive", "archived v8"),
        ("results", "a 1, b 0, c 0 of 1"),
    ];
    let poll = check(&world, DRAFT, &life).await;
    let end = [("delete", "deleted"), ("delete", "no poll"), ("ada casts a", "no poll")];
    check_on(&world, &poll, &end).await;
    check(&world, DRAFT, &[("delete", "deleted"), ("open", "no poll"), ("results", "no poll")]).await;
    check(
        &world,
        OPEN,
        &[("pause", "paused v2"), ("close", "closed v3"), ("open", "closed cannot be opened")],
    )
    .await;
}

/// Changes meant for another version are refused; changes of nothing keep the version.
pub async fn versions(world: World) {
    let story = [
        (r#"if 1 edit {"title": "Second"}"#, "draft v2"),
        (r#"if 1 edit {"title": "Third"}"#, "conflict with v2"),
        (r#"edit {"title": "Third", "version": 1}"#, "conflict with v2"),
        (r#"edit {"title": "Third", "version": 2}"#, "draft v3"),
        (r#"edit {"title": "Third"}"#, "draft v3"),
        ("if 2 open", "conflict with v3"),
        ("if 3 open", "open v4"),
        ("ada casts a", "cast"),
        ("if 4 pause", "paused v5"),
        ("if 4 delete", "conflict with v5"),
    ];
    check(&world, DRAFT, &story).await;
}

/// What may be edited when.
pub async fn edits_before_and_after_votes(world: World) {
    let story = [
        (r#"edit {"options": [{"id": "x"}, {"id": "y"}]}"#, "open v2"),
        ("ada casts x form 1", "form changed"),
        (r#"edit {"options": []}"#, "invalid options"),
        (r#"edit {"options": [{"id": "x"}, {"id": "x"}]}"#, "invalid options[1].id"),
        (r#"edit {"seats": 3}"#, "invalid seats"),
        (r#"edit {"revote": "untilClose"}"#, "open v3"),
        (r#"edit {"opensAt": "2026-01-01T01:00:00Z"}"#, "open cannot be given another opening time"),
        (r#"edit {"closesAt": "2025-12-31T00:00:00Z"}"#, "invalid closesAt"),
        ("ada casts y", "cast"),
        (r#"edit {"options": [{"id": "y"}, {"id": "x"}]}"#, "options fixed"),
        (r#"edit {"options": [{"id": "x"}]}"#, "options fixed"),
        (r#"edit {"options": [{"id": "x", "label": "Xylo"}, {"id": "y"}]}"#, "open v4"),
        (r#"edit {"method": {"type": "approval"}}"#, "method fixed"),
        (r#"edit {"seats": 2}"#, "seats fixed"),
        (r#"edit {"access": "public"}"#, "access fixed"),
        (r#"edit {"revote": "never"}"#, "revote fixed"),
        (r#"edit {"demographics": {"age": null}}"#, "demographics fixed"),
        (r#"edit {"weighted": true}"#, "weighted fixed"),
        (r#"edit {"resultsVisible": "private", "minimumCell": 5, "description": "D"}"#, "open v5"),
        ("ada withdraws", "withdrawn"),
        (r#"edit {"options": [{"id": "y"}, {"id": "x"}]}"#, "options fixed"),
        (r#"edit {"closesAt": "2026-01-01T12:00:00Z"}"#, "open v6"),
        (r#"edit {"closesAt": null}"#, "open v7"),
        ("close", "closed v8"),
        (r#"edit {"closesAt": "2026-01-01T12:00:00Z"}"#, "closed cannot be given another closing time"),
        (r#"edit {"options": [{"id": "x", "label": "X"}, {"id": "y"}]}"#, "closed v9"),
        ("results", "x 0, y 0 of 0"),
    ];
    check(&world, OPEN, &story).await;
}

/// No vote before the poll opens, while it is paused, or from the moment at which it closes, whatever the clock does.
pub async fn votes_by_the_clock(world: World) {
    let timed = |status: &str| {
        format!(
            r#"{{"title": "T", "options": [{{"id": "a"}}, {{"id": "b"}}], "status": "{status}",
            "opensAt": "2026-01-02T00:00:00Z", "closesAt": "2026-01-03T00:00:00Z", "revote": "untilClose"}}"#
        )
    };
    let by_schedule = [
        ("ada casts a", "not open: scheduled"),
        ("clock 01T23:59:59.999999", ""),
        ("ada casts a", "not open: scheduled"),
        ("clock 02T00:00:00", ""),
        ("ada casts a key k", "cast"),
        ("clock 01T12:00:00", ""),
        ("bob casts b", "cast"),
        ("clock 02T23:59:59.999999", ""),
        ("cyd casts a", "cast"),
        ("clock 03T00:00:00", ""),
        ("dan casts a", "not open: closed"),
        ("ada changes b", "not open: closed"),
        ("ada withdraws", "not open: closed"),
        ("clock 02T12:00:00", ""),
        ("dan casts a", "not open: closed"),
        ("clock 01T12:00:00", ""),
        ("dan casts a", "not open: closed"),
        ("open", "closed cannot be opened"),
        ("ada casts a key k", "replayed cast"),
        ("clock 04T00:00:00", ""),
        ("dan casts a", "not open: closed"),
        ("results", "a 2, b 1 of 3"),
    ];
    check(&world, &timed("scheduled"), &by_schedule).await;
    world.clock.set("01T00:00:00");
    let jumping = [
        ("clock 03T12:00:00", ""),
        ("ada casts a", "not open: closed"),
        ("clock 02T12:00:00", ""),
        ("ada casts a", "not open: closed"),
    ];
    check(&world, &timed("scheduled"), &jumping).await;
    world.clock.set("01T00:00:00");
    let paused = [
        ("open", "scheduled v2"),
        ("pause", "scheduled cannot be paused"),
        ("open", "open v3"),
        ("ada casts a", "cast"),
        ("pause", "paused v4"),
        ("clock 02T12:00:00", ""),
        ("bob casts a", "not open: paused"),
        ("clock 03T00:00:00", ""),
        ("open", "closed cannot be opened"),
        ("bob casts a", "not open: closed"),
    ];
    check(&world, &timed("draft"), &paused).await;
    world.clock.set("01T00:00:00");
    let shortened = [
        ("ada casts a", "cast"),
        (r#"edit {"closesAt": "2026-01-01T06:00:00Z"}"#, "open v2"),
        ("clock 01T06:00:00", ""),
        ("bob casts a", "not open: closed"),
        (r#"edit {"closesAt": "2026-01-09T00:00:00Z"}"#, "closed cannot be given another closing time"),
        ("bob casts a", "not open: closed"),
    ];
    check(&world, OPEN, &shortened).await;
}

/// A poll opens and closes by itself; nobody need ask.
pub async fn steps_that_time_takes(world: World) {
    let timed = r#"{"title": "T", "options": [{"id": "a"}], "status": "scheduled",
        "opensAt": "2026-01-02T00:00:00Z", "closesAt": "2026-01-03T00:00:00Z"}"#;
    let (twice, whole) = (world.create(timed).await, world.create(timed).await);
    world.clock.set("02T00:00:00");
    world.wait_for(&twice, Status::Open).await;
    world.clock.set("03T00:00:00");
    world.wait_for(&twice, Status::Closed).await;
    world.wait_for(&whole, Status::Closed).await;
    for poll in [&twice, &whole] {
        world.check_records(poll).await;
        assert_eq!(world.store.poll(poll).await.map(|poll| poll.version), Ok(3));
    }
    let late = world.try_create(timed).await.map_err(|error| error_text(&error));
    assert_eq!(late, Err("invalid opensAt".to_owned()));
}

/// Where votes may not change, the first one stands.
pub async fn voting_once(world: World) {
    let story = [
        ("ada reads", "no vote"),
        ("ada changes a", "no vote"),
        ("ada withdraws", "no vote"),
        ("ada casts a", "cast"),
        ("ada casts b", "voted r0"),
        ("ada casts a", "voted r0"),
        ("ada changes b", "voted r0"),
        ("ada withdraws", "voted r0"),
        ("Ada casts b", "cast"),
        ("ada reads", "a r0"),
        ("results", "a 1, b 1, c 0 of 2"),
    ];
    check(&world, OPEN, &story).await;
}

/// Where votes may change, each voter's newest counts, and only that.
pub async fn voting_again(world: World) {
    let story = [
        ("ada casts a", "cast"),
        ("ada casts b", "changed"),
        ("ada reads", "b r1"),
        ("ada changes c", "changed"),
        ("bob casts c", "cast"),
        ("results", "a 0, b 0, c 2 of 2"),
        ("ada withdraws", "withdrawn"),
        ("ada reads", "no vote"),
        ("ada withdraws", "no vote"),
        ("ada changes a", "no vote"),
        ("results", "a 0, b 0, c 1 of 1"),
        ("ada casts a", "cast"),
        ("ada reads", "a r4"),
        ("results", "a 1, b 0, c 1 of 2"),
    ];
    check(&world, FREE, &story).await;
}

/// The same key gives the same answer again, for as long as the poll is there.
pub async fn idempotency_keys(world: World) {
    let free = [
        ("ada casts a key k1", "cast"),
        ("ada casts a key k1", "replayed cast"),
        ("ada casts b key k1", "key reused"),
        ("ada casts a weight 2 key k1", "key reused"),
        ("ada changes a key k1", "key reused"),
        ("bob casts b key k1", "cast"),
        ("ada changes b key k2", "changed"),
        ("ada casts a key k1", "replayed cast"),
        ("ada changes b key k2", "replayed changed"),
        ("ada withdraws key k3", "withdrawn"),
        ("ada withdraws key k3", "replayed withdrawn"),
        ("ada casts a key k1", "replayed cast"),
        ("ada withdraws", "no vote"),
        ("ada casts c", "cast"),
        ("ada casts c", "changed"),
        ("ada casts a key k1", "replayed cast"),
        ("pause", "paused v2"),
        ("ada casts a key k1", "replayed cast"),
        ("close", "closed v3"),
        ("ada casts a key k1", "replayed cast"),
        ("ada withdraws key k3", "replayed withdrawn"),
        ("ada casts b key k1", "key reused"),
        ("ada casts b key k9", "not open: closed"),
        ("bob casts b key k1", "replayed cast"),
        ("results", "a 0, b 1, c 1 of 2"),
    ];
    check(&world, FREE, &free).await;
    let once = [
        ("ada casts a key k1", "cast"),
        ("ada casts b key k2", "voted r0"),
        ("ada casts a key k1", "replayed cast"),
        ("ada casts b key k2", "voted r0"),
    ];
    check(&world, OPEN, &once).await;
}

/// Several commands in one request see one another.
pub async fn one_commit(world: World) {
    let story = [
        ("ada casts a key k + ada casts a key k + ada casts b key k", "cast + replayed cast + key reused"),
        ("bob casts a + bob casts b + bob withdraws + bob casts c", "cast + changed + withdrawn + cast"),
        ("cyd casts a key 1 + cyd casts b key 2 + cyd casts a key 1", "cast + changed + replayed cast"),
        ("dan withdraws + dan casts a + dan casts a form 7", "no vote + cast + form changed"),
        ("bob reads", "c r3"),
        ("results", "a 2, b 1, c 1 of 4"),
    ];
    check(&world, FREE, &story).await;
    let once = [("ada casts a + bob casts b + ada casts b", "cast + cast + voted r0")];
    check(&world, OPEN, &once).await;
}

/// A vote can be changed a thousand times, and the first key is still honoured then.
pub async fn many_changes(world: World) {
    let id = world.create(FREE).await;
    let poll = world.store.poll(&id).await.expect("the poll is there");
    check_on(&world, &id, &[("ada casts a key first", "cast")]).await;
    let changes = (0..1_000).map(|number| if number % 2 == 0 { "ada casts b" } else { "ada casts c" });
    let commands = changes.map(|words| world.command(&poll, words)).collect();
    let answers = world.store.vote(&id, commands).await.expect("the votes are decided");
    assert!(answers.iter().all(|answer| world.answer_text(answer) == "changed"));
    let story = [
        ("ada casts a", "too many changes"),
        ("ada withdraws", "too many changes"),
        ("ada casts a key first", "replayed cast"),
        ("ada casts b key first", "key reused"),
        ("ada reads", "c r1000"),
        ("results", "a 0, b 0, c 1 of 1"),
    ];
    check_on(&world, &id, &story).await;
}

/// A code gives one vote.
pub async fn one_time_codes(world: World) {
    let coded = r#"{"title": "T", "options": [{"id": "a"}, {"id": "b"}], "access": "code"}"#;
    let story = [
        ("codes one,two", "added"),
        ("x casts a code one", "not open: draft"),
        ("open", "open v2"),
        ("x casts a code one", "cast"),
        ("y casts b code one", "voted r0"),
        ("y casts b code ONE", "voted r0"),
        ("y casts b code other", "unknown code"),
        ("y casts b", "unknown code"),
        ("codes three", "added"),
        ("y casts b code three key k", "cast"),
        ("y casts b code three key k", "replayed cast"),
        ("x casts a code two + y casts a code two", "cast + voted r0"),
        ("close", "closed v3"),
        ("codes four", "closed cannot be given codes"),
        ("results", "a 2, b 1 of 3"),
    ];
    let poll = check(&world, coded, &story).await;
    check(&world, OPEN, &[("codes one", "invalid access")]).await;
    let many: Vec<CodeHash> = (0..=100_000).map(sixteen).collect();
    for hashes in [Vec::new(), many] {
        let other = world.create(coded).await;
        let refused = world.store.add_codes(&other, hashes, "key:test").await;
        assert_eq!(refused.map_err(|error| error_text(&error)), Err("invalid count".to_owned()));
    }
    // A code is one poll's: its hash holds the poll's id.
    let other = world.create(coded).await;
    let story = [("codes one", "added"), ("open", "open v2"), ("x casts a code one", "cast")];
    check_on(&world, &other, &story).await;
    assert_ne!(hash_code(&poll, "one"), hash_code(&other, "one"));
}

/// Weights add up exactly.
pub async fn weights(world: World) {
    let weighted = FREE.replace(r#""title""#, r#""weighted": true, "title""#);
    let story = [
        ("ada casts a weight 0.1", "cast"),
        ("bob casts a weight 0.2", "cast"),
        ("cyd casts b weight 1000000000", "cast"),
        ("results", "a 0.3, b 1000000000, c 0 of 3"),
        ("bob changes b weight 0.000001", "changed"),
        ("ada withdraws", "withdrawn"),
        ("results", "a 0, b 1000000000.000001, c 0 of 2"),
    ];
    check(&world, &weighted, &story).await;
}

/// Several choices on one ballot, or none.
pub async fn approvals(world: World) {
    let approval = FREE.replace(r#""title""#, r#""method": {"type": "approval"}, "title""#);
    let story = [
        ("ada casts c,a", "cast"),
        ("bob casts -", "cast"),
        ("cyd casts a", "cast"),
        ("ada reads", "a,c r0"),
        ("results", "a 2, b 0, c 1 of 3"),
        ("ada casts b,c", "changed"),
        ("results", "a 1, b 1, c 1 of 3"),
    ];
    check(&world, &approval, &story).await;
}

/// Distinct ballots follow every change, so that a count of them is always one of the ballots that count.
pub async fn rankings(world: World) {
    let poll = r#"{"title": "T", "options": [{"id": "a"}, {"id": "b"}, {"id": "c"}], "method": {"type": "irv"},
        "status": "open", "revote": "untilClose"}"#;
    let story = [
        ("x casts a>b=c", "cast"),
        ("y casts a>b=c", "cast"),
        ("z casts c>a", "cast"),
        ("w casts -", "cast"),
        ("x reads", "a>b=c r0"),
        ("results", "a 2, b 0, c 1 of 4"),
        ("x changes b>a", "changed"),
        ("results", "a 1, b 1, c 1 of 4"),
        ("y withdraws", "withdrawn"),
        ("z casts c>a", "changed"),
        ("results", "a 0, b 1, c 1 of 3"),
        ("x withdraws", "withdrawn"),
        ("z withdraws", "withdrawn"),
        ("w withdraws", "withdrawn"),
        ("results", "a 0, b 0, c 0 of 0"),
        ("edit {\"title\": \"Again\"}", "open v2"),
        ("y casts b", "cast"),
        ("results", "a 0, b 1, c 0 of 1"),
    ];
    check(&world, poll, &story).await;
}

/// Ballots of numbers: the figures are the ballots that give an option more than nothing.
pub async fn scores_and_dots(world: World) {
    let poll = |method: &str| {
        format!(
            r#"{{"title": "T", "options": [{{"id": "a"}}, {{"id": "b"}}], "method": {method}, "status": "open",
            "revote": "untilClose", "weighted": true}}"#
        )
    };
    let scores = [
        ("x casts a:5,b:0", "cast"),
        ("y casts b:3", "cast"),
        ("x reads", "a:5,b:0 r0"),
        ("results", "a 1, b 1 of 2"),
        ("x changes a:0", "changed"),
        ("results", "a 0, b 1 of 2"),
    ];
    check(&world, &poll(r#"{"type": "score"}"#), &scores).await;
    let dots = [
        ("x casts a:2,b:1 weight 0.5", "cast"),
        ("y casts b:3", "cast"),
        ("results", "a 0.5, b 1.5 of 2"),
        ("x withdraws", "withdrawn"),
        ("results", "a 0, b 1 of 1"),
    ];
    check(&world, &poll(r#"{"type": "dot", "dots": 3}"#), &dots).await;
}

/// Breakdowns follow casts, changes and withdrawals.
pub async fn demographics(world: World) {
    let asked =
        FREE.replace(r#""title""#, r#""demographics": {"age": ["old", "young"], "city": null}, "title""#);
    let story = [
        ("ada casts a age young city Oslo", "cast"),
        ("bob casts a age young", "cast"),
        ("cyd casts b age old city Rome", "cast"),
        ("dan casts b", "cast"),
        ("bob casts b age old", "changed"),
        ("cyd casts c", "changed"),
        ("eve casts c city Oslo key k", "cast"),
        ("eve casts c city Rome key k", "key reused"),
        ("eve withdraws", "withdrawn"),
    ];
    let poll = check(&world, &asked, &story).await;
    let snapshot = world.newest(&poll).await.expect("the tally can be read");
    let told = |by: &str| {
        let view = breakdown(&snapshot.poll, &snapshot.tally, by).expect("a declared dimension");
        let row = |row: &canvass_domain::results::BreakdownRow| {
            let cells = row.options.iter().map(|cell| cell.map_or("?".to_owned(), |cell| cell.to_string()));
            format!("{} {}", row.value, cells.collect::<Vec<_>>().join(" "))
        };
        view.values.iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(told("age"), ["old 0 1 0", "young 1 0 0"]);
    assert_eq!(told("city"), ["Oslo 1 0 0", "Rome 0 0 0"]);
}

/// Votes for options that a voter adds.
pub async fn write_ins(world: World) {
    let open = r#"{"title": "T", "options": [], "writeIn": true, "status": "open"}"#;
    let story = [
        ("write-in pizza", "open v2"),
        ("ada casts pizza", "cast"),
        ("write-in pizza", "open v2"),
        ("write-in Ragù alla bolognese", "open v3"),
        ("bob casts option-2", "cast"),
        ("cyd casts pizza form 2", "form changed"),
        ("cyd casts pizza", "cast"),
        ("write-in ", "invalid ballot.choice"),
        ("pause", "paused v4"),
        ("write-in soup", "not open: paused"),
        ("results", "pizza 2, option-2 1 of 3"),
    ];
    check(&world, open, &story).await;
    check(&world, OPEN, &[("write-in pizza", "invalid ballot.choice")]).await;
}

/// Every verb says that a poll is not there.
pub async fn unknown_polls(world: World) {
    let nowhere: PollId = "nowhere".parse().expect("an id");
    for line in ["open", "codes a", "results", "ada reads", "ada casts a", r#"edit {"title": "T"}"#] {
        assert_eq!(world.tell(&nowhere, line).await, "no poll");
    }
    let store = &world.store;
    let not_found = StoreError::Refused(Refusal::PollNotFound);
    assert_eq!(store.vote(&nowhere, Vec::new()).await, Err(not_found.clone()));
    assert_eq!(store.records(&nowhere, Sequence(0)).await.err(), Some(not_found.clone()));
    assert_eq!(store.watch(&nowhere).await.err(), Some(not_found));
}

/// An id names one poll, until that poll is deleted; then it names another, in which nobody has voted.
pub async fn ids_taken_and_free_again(world: World) {
    let named = OPEN.replace(r#""title""#, r#""id": "named", "title""#);
    let created = join_all((0..20).map(|_| world.try_create(&named))).await;
    let refusals = created.iter().filter_map(|answer| answer.as_ref().err()).map(error_text);
    assert_eq!(refusals.collect::<Vec<_>>(), vec!["poll exists"; 19]);
    let poll: PollId = "named".parse().expect("an id");
    let first_life = [
        ("ada casts a key k", "cast"),
        ("close", "closed v2"),
        ("certify", "certified v3"),
        ("archive", "archived v4"),
        ("delete", "deleted"),
    ];
    check_on(&world, &poll, &first_life).await;
    let again = [("ada reads", "no vote"), ("ada casts b key k", "cast"), ("results", "a 0, b 1, c 0 of 1")];
    check(&world, &named, &again).await;
    let wrong = OPEN.replace(r#""title""#, r#""id": "no spaces", "title""#);
    assert_eq!(world.try_create(&wrong).await.map_err(|error| error_text(&error)), Err("invalid id".into()));
    let over = OPEN.replace(r#""open""#, r#""closed""#);
    assert_eq!(
        world.try_create(&over).await.map_err(|error| error_text(&error)),
        Err("invalid status".into())
    );
}

/// Polls are listed newest first, page by page, each once.
pub async fn listing(world: World) {
    let query = |limit, cursor| PollQuery { status: None, limit, cursor };
    let empty = world.store.list_polls(query(10, None)).await.expect("a list");
    assert!(empty.polls.is_empty() && empty.next.is_none());
    for (moment, id) in
        [("05T00:00:00", "e"), ("03T00:00:00", "c1"), ("03T00:00:00", "c2"), ("01T00:00:00", "a")]
    {
        world.clock.set(moment);
        world.create(&OPEN.replace(r#""title""#, &format!(r#""id": "{id}", "title""#))).await;
    }
    let (mut listed, mut cursor): (Vec<String>, Option<PollCursor>) = (Vec::new(), None);
    loop {
        let page = world.store.list_polls(query(2, cursor)).await.expect("a page");
        assert!(page.polls.len() <= 2);
        listed.extend(page.polls.iter().map(|poll| poll.id.to_string()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(listed, ["e", "c1", "c2", "a"]);
    let (id, later): (PollId, _) = ("c1".parse().expect("an id"), "zz".parse::<PollId>().expect("an id"));
    check_on(&world, &id, &[("close", "closed v2")]).await;
    let closed = PollQuery { status: Some(Status::Closed), limit: 10, cursor: None };
    let page = world.store.list_polls(closed).await.expect("a page");
    assert_eq!(page.polls.iter().map(|poll| poll.id.as_str()).collect::<Vec<_>>(), ["c1"]);
    // A cursor names a place, not a poll: the poll may be gone.
    let created_at = world.store.poll(&id).await.expect("the poll is there").created_at;
    let page =
        world.store.list_polls(query(9, Some(PollCursor { created_at, id: later }))).await.expect("a page");
    assert_eq!(page.polls.iter().map(|poll| poll.id.as_str()).collect::<Vec<_>>(), ["a"]);
}

/// Pages of records hold one poll's, each once and in order, however other polls' lie between.
pub async fn records_in_pages(world: World) {
    let (large, small) = (world.create(OPEN).await, world.create(OPEN).await);
    let (large_poll, small_poll) = (
        world.store.poll(&large).await.expect("the poll is there"),
        world.store.poll(&small).await.expect("the poll is there"),
    );
    let count = RECORDS_PAGE + 500;
    for start in (0..count).step_by(500) {
        let voters = start..(start + 500).min(count);
        let commands = voters.map(|voter| world.command(&large_poll, &format!("v{voter} casts a"))).collect();
        let answers = world.store.vote(&large, commands).await.expect("the votes are decided");
        assert!(answers.iter().all(Result::is_ok));
        let one = vec![world.command(&small_poll, &format!("v{start} casts b"))];
        assert!(world.store.vote(&small, one).await.is_ok_and(|answers| answers[0].is_ok()));
    }
    assert_eq!(world.check_records(&large).await.votes, count as u64);
    assert_eq!(world.check_records(&small).await.votes, count.div_ceil(500) as u64);
    let last = Sequence(count as u64 + 2);
    for after in [last, Sequence(last.0 + 1), Sequence(u64::MAX)] {
        assert!(world.store.records(&large, after).await.is_ok_and(|page| page.entries.is_empty()));
    }
    let page = world.store.records(&large, Sequence(last.0 - 3)).await.expect("a page");
    let sequences: Vec<_> = page.entries.iter().map(|recorded| recorded.entry.place.sequence.0).collect();
    assert_eq!(sequences, [last.0 - 2, last.0 - 1, last.0]);
}

/// A watcher learns of every stretch of changes, and at last of the newest sequence.
pub async fn watching(world: World) {
    let poll = world.create(OPEN).await;
    let mut watcher = world.store.watch(&poll).await.expect("the poll is there");
    assert_eq!(*watcher.borrow_and_update(), Sequence(2));
    for voter in 0..10 {
        world.tell(&poll, &format!("v{voter} casts a")).await;
    }
    let newest = async {
        while *watcher.borrow_and_update() < Sequence(12) {
            watcher.changed().await.expect("the poll is there");
        }
        let seen = *watcher.borrow();
        let tally = world.store.tally(&poll).await.expect("the poll is there").tally;
        assert!(tally.sequence >= seen, "what is told can be read");
        seen
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), newest).await.ok(), Some(Sequence(12)));
    assert!(!watcher.has_changed().expect("the poll is there"));
    world.tell(&poll, "pause").await;
    assert!(tokio::time::timeout(Duration::from_secs(10), watcher.changed()).await.is_ok());
    assert_eq!(*watcher.borrow(), Sequence(13));
}

/// Keys are replaced by id; a setting is made once.
pub async fn keys_and_settings(world: World) {
    let key = |id: &str, name: &str| Key {
        id: id.parse::<KeyId>().expect("an id"),
        name: name.to_owned(),
        scopes: vec![Scope::VotesWrite],
        plan: Plan::STANDARD,
        expires_at: None,
        created_at: world.clock.now(),
        revoked_at: None,
        secrets: Vec::new(),
    };
    for (id, name) in [("one", "first"), ("two", "second"), ("one", "renamed")] {
        assert_eq!(world.store.put_key(key(id, name)).await, Ok(()));
    }
    let keys = world.store.keys().await.expect("the keys");
    let mut names: Vec<_> = keys.iter().map(|key| format!("{} {}", key.id, key.name)).collect();
    names.sort();
    assert_eq!(names, ["one renamed", "two second"]);
    let setting = |value: String| Setting { name: "secret".to_owned(), value };
    let made = join_all((0..20).map(|number| world.store.setting(setting(format!("{number:02x}"))))).await;
    let values: BTreeSet<_> = made.into_iter().map(|value| value.expect("a value")).collect();
    assert_eq!(values.len(), 1, "everybody gets the same value");
    assert_eq!(world.store.setting(setting("ff".to_owned())).await.ok(), values.first().cloned());
}

/// Casts at the same time, and gives how often each answer was given.
async fn cast_at_once(world: &World, poll: &PollId, lines: Vec<String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let answers = join_all(lines.iter().map(|line| world.tell(poll, line))).await;
    answers.into_iter().for_each(|answer| *counts.entry(answer).or_default() += 1);
    counts
}

/// Every one of a thousand voters counts.
pub async fn a_thousand_voters_at_once(world: World) {
    let poll = world.create(OPEN).await;
    let lines = (0..1_000).map(|voter| format!("v{voter} casts {}", ["a", "b"][voter % 2])).collect();
    let answers = cast_at_once(&world, &poll, lines).await;
    assert_eq!(answers, BTreeMap::from([("cast".to_owned(), 1_000)]));
    check_on(&world, &poll, &[("results", "a 500, b 500, c 0 of 1000")]).await;
}

/// One of a thousand votes of one voter counts.
pub async fn a_thousand_votes_of_one_voter_at_once(world: World) {
    let poll = world.create(OPEN).await;
    let lines = (0..1_000).map(|number| format!("ada casts {}", ["a", "b"][number % 2])).collect();
    let answers = cast_at_once(&world, &poll, lines).await;
    assert_eq!(answers, BTreeMap::from([("cast".to_owned(), 1), ("voted r0".to_owned(), 999)]));
    let keyed = (0..1_000).map(|_| "bob casts c key k".to_owned()).collect();
    let answers = cast_at_once(&world, &poll, keyed).await;
    assert_eq!(answers, BTreeMap::from([("cast".to_owned(), 1), ("replayed cast".to_owned(), 999)]));
    assert_eq!(world.check_records(&poll).await.votes, 2);
}

/// Casts a ballot for one option until it was read against the form that counts.
async fn cast_for(world: &World, poll: &PollId, voter: &str, option: &str) {
    while world.tell(poll, &format!("{voter} casts {option}")).await == "form changed" {}
}

/// Ballots on their way while options are added count for what they were cast for.
pub async fn forms_that_change_under_way(world: World) {
    let open = r#"{"title": "T", "options": [{"id": "first"}], "writeIn": true, "status": "open"}"#;
    let poll = world.create(open).await;
    let vote = |number: usize| {
        let (world, poll) = (&world, &poll);
        async move {
            let option = format!("o{}", number % 10);
            world.tell(poll, &format!("write-in {option}")).await;
            cast_for(world, poll, &format!("v{number}"), &option).await;
        }
    };
    join_all((0..200).map(vote)).await;
    for number in 0..200 {
        let read = world.tell(&poll, &format!("v{number} reads")).await;
        assert_eq!(read, format!("o{} r0", number % 10));
    }
    assert_eq!(world.check_records(&poll).await.votes, 200);
}

/// Votes with answers, and with idempotency keys.
const ASKING: &str = r#"{"title": "T", "options": [{"id": "a"}, {"id": "b"}], "status": "open", "revote": "untilClose",
    "demographics": {"age": ["old", "young"], "city": null}}"#;

/// What tells of voters is erased with a poll's end, and nothing that is counted changes.
pub async fn erasing_a_poll(world: World) {
    let story = [
        ("ada casts a age young city oslo key one", "cast"),
        ("bob casts b age old city rome", "cast"),
        ("ada changes b city rome key two", "changed"),
        ("cy casts a", "cast"),
        ("cy withdraws", "withdrawn"),
        ("dan casts a + eve casts b city oslo", "cast + cast"),
        ("erase", "open cannot be erased"),
        ("close", "closed v2"),
    ];
    let poll = check(&world, ASKING, &story).await;
    let before = world.check_records(&poll).await;
    assert_eq!(world.records_of_voters(&poll).await, 7);
    assert_eq!(world.tell(&poll, "erase").await, "closed v3");
    world.wait_until_erased(&poll).await;
    let story = [
        ("ada reads", "no vote"),
        ("ada changes b city rome key two", "not open: closed"),
        ("ada is erased", "0 records erased"),
        ("erase", "closed v4"),
        ("certify", "certified v5"),
    ];
    check_on(&world, &poll, &story).await;
    let after = world.check_records(&poll).await;
    assert_eq!(counted(&after), counted(&before));
    assert_eq!((given(&before, 1), given(&after, 1)), (vec!["oslo 1".into(), "rome 2".into()], vec![]));
    assert_eq!(world.records_of_voters(&poll).await, 0);
}

/// One voter is erased, however often the vote was changed; the others' votes stay as they are.
pub async fn erasing_voters(world: World) {
    let story = [
        ("ada casts a age young city oslo key one", "cast"),
        ("bob casts b age old city rome", "cast"),
        ("ada withdraws key two", "withdrawn"),
        ("ada casts b age old city oslo", "cast"),
        ("cy casts a city rome", "cast"),
        ("ada is erased", "open cannot be erased"),
    ];
    let poll = check(&world, ASKING, &story).await;
    for turn in 0..40 {
        world.tell(&poll, &format!("dan casts {} city town-{turn}", ["a", "b"][turn % 2])).await;
    }
    check_on(&world, &poll, &[("close", "closed v2")]).await;
    let before = world.check_records(&poll).await;
    check_on(&world, &poll, &[("ada is erased", "3 records erased"), ("ada reads", "no vote")]).await;
    assert_eq!(given(&world.check_records(&poll).await, 1), ["rome 2", "town-39 1"]);
    let story = [
        ("dan is erased", "40 records erased"),
        ("dan reads", "no vote"),
        ("bob reads", "b r0"),
        ("ada is erased", "0 records erased"),
        ("eve is erased", "0 records erased"),
    ];
    check_on(&world, &poll, &story).await;
    let after = world.check_records(&poll).await;
    assert_eq!(counted(&after), counted(&before));
    assert_eq!((given(&after, 0), given(&after, 1)), (vec!["old 1".into()], vec!["rome 2".to_owned()]));
    assert_eq!(world.records_of_voters(&poll).await, 2);
}

/// Options may change their order up to the first vote; a ballot that was read before counts for what it was cast for.
pub async fn options_that_change_before_the_first_vote(world: World) {
    let orders = [
        r#"edit {"options": [{"id": "c"}, {"id": "b"}, {"id": "a"}]}"#,
        r#"edit {"options": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}"#,
    ];
    for _ in 0..20 {
        let poll = world.create(OPEN).await;
        let edits = async {
            for number in 0..6 {
                world.tell(&poll, orders[number % 2]).await;
            }
        };
        let votes = ["ada", "bob", "cyd"].map(|voter| cast_for(&world, &poll, voter, "a"));
        tokio::join!(edits, join_all(votes));
        for voter in ["ada", "bob", "cyd"] {
            assert_eq!(world.tell(&poll, &format!("{voter} reads")).await, "a r0");
        }
        assert_eq!(world.check_records(&poll).await.votes, 3);
    }
}
