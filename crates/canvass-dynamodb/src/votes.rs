//! Votes: each record of a voter is an item of its own, written once under a condition and never changed.
//!
//! An item is named by the voter and the revision, so that of two who would write the same voter's next record one is
//! refused, and is given what the other wrote. That is all that makes a vote count once: there is no lock, no
//! transaction and no second table. Because nothing is overwritten, every idempotency key stays known, and the votes
//! are the ledger.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_sdk_dynamodb::{
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use canvass_domain::{
    PollId, Refusal, Sequence, Timestamp, VoterId,
    decide::{self, AcceptedVote, VoteDecision},
    poll::Revote,
    record::{Place, VoteBody, encode_vote},
    vote::{Operation, Personal, StoredVote, VoteCommand},
};
use canvass_store::{Receipt, StoreError, VoteOutcome, VoteResult, limits::QUEUE_VOTES_MAX};
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use crate::{
    client::Failed,
    engine::{Engine, pause},
    items::{Head, VoteItem, string, vote_sort, voter_prefix},
    limits::{CONFLICTS_MAX, FENCE_LEFT, WRITES_AT_ONCE_MAX},
};

/// What is known of a voter, newest first.
#[derive(Clone, Default)]
struct History {
    votes: Vec<VoteItem>,
    /// Whether it was read; else it is a guess that most voters' first votes bear out.
    is_read: bool,
    /// Whether it goes back to the first record.
    is_whole: bool,
}

/// Counts votes as waiting until they are answered.
struct Waiting<'a> {
    waiting: &'a AtomicUsize,
    votes: usize,
}

impl<'a> Waiting<'a> {
    fn count(waiting: &'a AtomicUsize, votes: usize) -> Result<Self, StoreError> {
        let counted = Self { waiting, votes };
        if waiting.fetch_add(votes, Ordering::Relaxed) + votes > QUEUE_VOTES_MAX {
            return Err(StoreError::busy("too many votes wait for DynamoDB"));
        }
        Ok(counted)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.votes, Ordering::Relaxed);
    }
}

impl Engine {
    /// Casts, changes or withdraws votes; different voters' at the same time, one voter's one after another.
    pub(crate) async fn vote(
        &self,
        id: &PollId,
        commands: Vec<VoteCommand>,
    ) -> Result<Vec<VoteResult>, StoreError> {
        let count = commands.len();
        let _waiting = Waiting::count(&self.waiting, count)?;
        self.head(id).await?;
        let mut voters: HashMap<VoterId, Vec<(usize, VoteCommand)>> = HashMap::new();
        for (index, command) in commands.into_iter().enumerate() {
            voters.entry(command.voter.clone()).or_default().push((index, command));
        }
        let answered: Vec<Vec<(usize, VoteResult)>> = stream::iter(voters.into_values())
            .map(|commands| self.vote_of_voter(id, commands))
            .buffer_unordered(WRITES_AT_ONCE_MAX)
            .collect()
            .await;
        let mut answers = vec![Err(StoreError::OutcomeUnknown); count];
        for (index, answer) in answered.into_iter().flatten() {
            answers[index] = answer;
        }
        Ok(answers)
    }

    async fn vote_of_voter(
        &self,
        id: &PollId,
        commands: Vec<(usize, VoteCommand)>,
    ) -> Vec<(usize, VoteResult)> {
        let _room = self.room.acquire().await;
        let mut history = History::default();
        let mut answers = Vec::with_capacity(commands.len());
        for (index, command) in commands {
            answers.push((index, self.vote_once(id, &command, &mut history).await));
        }
        answers
    }

    async fn vote_once(&self, id: &PollId, command: &VoteCommand, history: &mut History) -> VoteResult {
        let mut asked_anew = false;
        for _ in 0..CONFLICTS_MAX {
            let (head, is_fresh) = if asked_anew {
                (self.unfenced(id).await?, true)
            } else {
                let (head, is_fresh) = self.head(id).await?;
                if head.fence.is_some() { (self.unfenced(id).await?, true) } else { (head, is_fresh) }
            };
            if self.is_due(&head) {
                self.take_due(id).await?;
                asked_anew = true;
                continue;
            }
            if history.votes.first().is_some_and(|latest| latest.events > head.events) {
                // Another server knows the poll better.
                asked_anew = true;
                continue;
            }
            let codes = self.codes_with(&head, command.code.as_ref()).await?;
            // Under an idempotency key all of them may matter.
            let known = if command.idempotency_key.is_some() { usize::MAX } else { 1 };
            let known: Vec<StoredVote> =
                history.votes.iter().take(known).filter_map(VoteItem::stored).collect();
            let now = self.now().max(head.latest);
            let decided = decide::decide_vote(&head.poll, &codes, &known, command, now);
            if needs_history(&decided, history, command) {
                *history = self.history(&head, &command.voter, command.idempotency_key.is_some()).await?;
                continue;
            }
            match decided {
                Ok(VoteDecision::Replay(stored)) => return Ok(VoteOutcome::Replayed(stored)),
                Ok(VoteDecision::Accept(accepted)) => {
                    if let Some(outcome) = self.write(&head, command, accepted, history, now).await? {
                        return Ok(outcome);
                    }
                }
                // What refuses a vote is looked at anew before it is said.
                Err(_) if !is_fresh => asked_anew = true,
                Err(refusal) => return Err(refusal.into()),
            }
        }
        Err(StoreError::busy("the voter's vote changes all the time"))
    }

    /// The poll once no fence stands.
    async fn unfenced(&self, id: &PollId) -> Result<Arc<Head>, StoreError> {
        let until = Instant::now() + FENCE_LEFT / 2;
        loop {
            let head = self.fresh_head(id).await?;
            if head.fence.is_none() {
                return Ok(head);
            }
            if Instant::now() > until {
                return Err(StoreError::busy("the poll is being changed"));
            }
            pause().await;
        }
    }

    /// Writes the voter's next record. None if there is one already: then it is known from now on.
    async fn write(
        &self,
        head: &Head,
        command: &VoteCommand,
        accepted: AcceptedVote,
        history: &mut History,
        now: Timestamp,
    ) -> Result<Option<VoteOutcome>, StoreError> {
        let previous = history.votes.first();
        let at = previous.map_or(now, |vote| now.max(vote.at));
        let (body, personal) = encode(head, command, &accepted, previous, at);
        let revision = accepted.revision;
        let item = VoteItem::encode(
            &head.bucket_of(&command.voter),
            &vote_sort(&command.voter, revision),
            head.events,
            body,
            Some(personal),
        );
        let request = self
            .clients
            .tables
            .put_item()
            .table_name(&self.names.votes)
            .set_item(Some(item.clone()))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let there = match self.clients.ask(|| request.clone().send()).await {
            Ok(_) => VoteItem::decode(&item)?,
            Err(Failed::Service(PutItemError::ConditionalCheckFailedException(refused))) => {
                let there = refused.item().map(VoteItem::decode).transpose()?;
                match there {
                    // It is this very request's: its answer was lost on the way, and it was sent again.
                    Some(there) if salt(&there) == Some(&command.salt) => there,
                    // Where votes may not change, the first record is the only one.
                    Some(there) if revision == 0 && head.poll.revote == Revote::Never => {
                        *history = History { votes: vec![there], is_read: true, is_whole: true };
                        return Ok(None);
                    }
                    _ => {
                        let has_key = command.idempotency_key.is_some();
                        *history = self.history(head, &command.voter, has_key).await?;
                        return Ok(None);
                    }
                }
            }
            Err(failed) => return Err(failed.into_store_error()),
        };
        self.figures.votes_written.fetch_add(1, Ordering::Relaxed);
        let receipt = Receipt {
            vote_id: there.record.vote_id,
            operation: there.record.operation,
            cast_at: there.at,
            sequence: None,
        };
        history.votes.insert(0, there);
        // Without a read, what came before the first record is known all the same: nothing.
        history.is_read = true;
        history.is_whole |= revision == 0;
        Ok(Some(VoteOutcome::Accepted(receipt)))
    }

    /// What is known of a voter: the latest record, or all of them.
    async fn history(&self, head: &Head, voter: &VoterId, whole: bool) -> Result<History, StoreError> {
        let request = self
            .clients
            .tables
            .query()
            .table_name(&self.names.votes)
            .key_condition_expression("pk = :pk AND begins_with(sk, :voter)")
            .expression_attribute_values(":pk", string(head.bucket_of(voter)))
            .expression_attribute_values(":voter", string(voter_prefix(voter)))
            .scan_index_forward(false)
            .consistent_read(true);
        let (mut votes, mut from): (Vec<VoteItem>, Option<HashMap<String, AttributeValue>>) =
            (Vec::new(), None);
        loop {
            let page = request.clone().set_exclusive_start_key(from);
            let page = if whole { page } else { page.limit(1) };
            let page = self.clients.read(|| page.clone().send()).await?;
            for item in page.items() {
                votes.push(VoteItem::decode(item)?);
            }
            from = page.last_evaluated_key.filter(|_| whole);
            if from.is_none() {
                let is_whole = whole || votes.first().is_none_or(|vote| vote.record.revision == 0);
                return Ok(History { votes, is_read: true, is_whole });
            }
        }
    }

    /// A voter's vote that counts.
    pub(crate) async fn read_vote(
        &self,
        id: &PollId,
        voter: &VoterId,
    ) -> Result<Option<StoredVote>, StoreError> {
        let (head, _) = self.head(id).await?;
        let history = self.history(&head, voter, false).await?;
        let latest = history.votes.first().and_then(VoteItem::stored);
        Ok(latest.filter(|vote| vote.operation != Operation::Withdraw))
    }
}

/// Whether a decision was made on a guess that must be looked at. Only a first vote needs no look: its write's own
/// condition tells whether it was one.
fn needs_history(decided: &Result<VoteDecision, Refusal>, history: &History, command: &VoteCommand) -> bool {
    let has_key = command.idempotency_key.is_some();
    if history.is_read {
        // An answer given before may lie further back.
        let may_be_replayed = has_key && !history.is_whole && !matches!(decided, Ok(VoteDecision::Replay(_)));
        return may_be_replayed && !matches!(decided, Err(Refusal::KeyReused));
    }
    match decided {
        Ok(_) => false,
        Err(Refusal::VoteNotFound) => true,
        Err(_) => has_key,
    }
}

fn salt(item: &VoteItem) -> Option<&[u8; 16]> {
    item.record.personal.as_ref().map(|personal| &personal.salt)
}

fn encode(
    head: &Head,
    command: &VoteCommand,
    accepted: &AcceptedVote,
    previous: Option<&VoteItem>,
    at: Timestamp,
) -> (Vec<u8>, Vec<u8>) {
    let removed = previous.and_then(|vote| vote.record.added());
    let mut personal = Vec::new();
    command.encode_personal(removed.as_ref().map_or(&[], |removed| &removed.answers), &mut personal);
    let added = command.marked.as_ref().filter(|_| accepted.operation != Operation::Withdraw);
    let place = Place { poll: head.key.life, sequence: Sequence(0), at };
    let vote = VoteBody {
        vote_id: accepted.previous.as_ref().map_or(command.vote_id, |vote| vote.vote_id),
        operation: accepted.operation,
        previous: None,
        revision: accepted.revision,
        personal_hash: &Personal::hash(&personal),
        added: added.map(|marked| (&marked.ballot, marked.weight)),
        removed: removed.as_ref().map(|marked| (&marked.ballot, marked.weight)),
    };
    let mut body = Vec::new();
    encode_vote(&mut body, place, &vote);
    (body, personal)
}
