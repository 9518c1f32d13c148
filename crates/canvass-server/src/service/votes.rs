//! Votes: who the voter is, what the request asks, and what became of it.

use std::{borrow::Cow, sync::Arc};

use canvass_domain::{
    Ballot, IdempotencyKey, Poll, PollId, Refusal, VoteId, VoterId, Weight,
    ballot::BallotInput,
    code::{CodeHash, hash_code, voter_of_code},
    decide::{Facts, PollCommand, decide_create, decide_poll},
    key::Scope,
    poll::{Access, NewPoll, Revote, Status},
    vote::{Marked, Operation, VoteCommand, read_answers},
};
use canvass_store::StoreError;

use crate::{
    app::App,
    limits::FORM_RETRIES_MAX,
    service::{
        Caller, Failure,
        answer::Recorded,
        devices::NewDevice,
        vote_request::{Text, VoteRequest},
    },
};

/// Who votes, as far as the request shows it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) voter: VoterId,
    /// The hash of the one-time code, where the poll asks for one.
    pub(crate) code: Option<CodeHash>,
}

impl Identity {
    /// A voter that somebody named who may.
    pub(crate) fn named(voter: VoterId) -> Self {
        Self { voter, code: None }
    }

    /// The voter that the caller's address stands for.
    pub(crate) fn of_address(caller: &Caller) -> Self {
        let voter = format!("address:{}", caller.address.to_canonical());
        Self::named(voter.parse().expect("an address makes a voter's id"))
    }

    /// The voter that a one-time code stands for.
    pub(crate) fn of_code(poll: &PollId, code: &str) -> Self {
        let hash = hash_code(poll, code);
        Self { voter: voter_of_code(&hash), code: Some(hash) }
    }
}

/// One request to vote, with who votes.
#[derive(Debug)]
pub(crate) struct VoteAsk<'a> {
    pub(crate) identity: Identity,
    pub(crate) operation: Operation,
    /// None for a withdrawal.
    pub(crate) request: Option<&'a VoteRequest<'a>>,
    pub(crate) idempotency_key: Option<IdempotencyKey>,
    /// Whether the caller may give the vote a weight.
    pub(crate) may_weigh: bool,
    /// Whether an option may be named by its label, as the documents' dialects do.
    pub(crate) by_label: bool,
    /// Who asks, for the audit trail of write-ins.
    pub(crate) actor: &'a str,
}

/// A request read against a poll's form.
pub(crate) enum Reading {
    /// The command to give the store.
    Command(VoteCommand),
    /// The vote is for an option that must be added first.
    WriteIn(String),
}

/// Who votes: whom the poll's access says. `named` is the voter that the request names, `code` its one-time code.
///
/// # Errors
/// A key that is missing or not for this, a voter who is named and may not be, or not named and must be.
pub(crate) fn identify(
    poll: &Poll,
    caller: &Caller,
    named: Option<VoterId>,
    code: Option<&str>,
) -> Result<Identity, Failure> {
    if poll.access != Access::Code && code.is_some() {
        return Err(Failure::invalid("code", "this poll takes no codes"));
    }
    match (poll.access, named) {
        (Access::Key, named) => {
            caller.require(Scope::VotesWrite)?;
            named_or_address(poll, caller, named)
        }
        (Access::Open, named) => named_or_address(poll, caller, named),
        (Access::Public, Some(voter)) if caller.has(Scope::VotesWrite) => Ok(Identity::named(voter)),
        (Access::Public, Some(_)) => Err(Failure::invalid(
            "voterId",
            "in a public poll the device votes; only a key with the scope votes:write may name a voter",
        )),
        (Access::Public, None) => {
            caller.device.clone().map(Identity::named).ok_or(Failure::Refused(Refusal::VoteNotFound))
        }
        (Access::Code, Some(_)) => Err(Failure::invalid("voterId", "in this poll the code is the voter")),
        (Access::Code, None) => match code {
            Some(code) => Ok(Identity::of_code(&poll.id, code)),
            None => Err(Failure::invalid("code", "this poll asks for a one-time code")),
        },
    }
}

fn named_or_address(poll: &Poll, caller: &Caller, named: Option<VoterId>) -> Result<Identity, Failure> {
    match named {
        Some(voter) => Ok(Identity::named(voter)),
        None if poll.voter_from_address => Ok(Identity::of_address(caller)),
        None => Err(Failure::invalid("voterId", "say who votes")),
    }
}

/// The voter that a request names.
pub(crate) fn read_voter(text: Option<&Text<'_>>) -> Result<Option<VoterId>, Failure> {
    let parse = |text: &Text<'_>| {
        text.0
            .parse()
            .map_err(|error: canvass_domain::IdentifierError| Failure::invalid("voterId", error.to_string()))
    };
    text.map(parse).transpose()
}

impl App {
    /// A poll as it stands.
    pub(crate) async fn poll(&self, poll: &PollId) -> Result<Arc<Poll>, Failure> {
        self.store().poll(poll).await.map_err(|error| self.failed(error))
    }

    /// The poll, opened by this vote if nobody created it and the operator lets votes open polls. A vote that the poll
    /// would not take opens none: `ask` says what is asked of a poll.
    pub(crate) async fn poll_or_implicit<'a>(
        &self,
        id: &PollId,
        access: Access,
        ask: impl FnOnce(&Poll) -> Result<VoteAsk<'a>, Failure>,
    ) -> Result<Arc<Poll>, Failure> {
        match self.store().poll(id).await {
            Err(StoreError::Refused(Refusal::PollNotFound)) if self.parts.settings.implicit_polls => {}
            other => return other.map_err(|error| self.failed(error)),
        }
        let new = implicit_poll(id, access);
        let now = self.edge().now();
        let steps = decide_create(new.clone(), id.clone(), now)?;
        let (_, poll) = steps.last().ok_or(Refusal::PollNotFound)?;
        let ask = ask(poll)?;
        if let Reading::WriteIn(label) = self.read_command(poll, &ask)? {
            decide_poll(poll, Facts::default(), &PollCommand::WriteIn(label), None, now)?;
        }
        match self.store().create_poll(new, id.clone(), ask.actor).await {
            // Two first votes at once: either opens the poll.
            Err(StoreError::Refused(Refusal::PollExists)) => self.poll(id).await,
            other => other.map_err(|error| self.failed(error)),
        }
    }

    /// Gives a caller without a cookie a device to vote with, where the poll's voters are devices.
    pub(crate) async fn ensure_device(
        &self,
        poll: &Poll,
        caller: &mut Caller,
    ) -> Result<Option<NewDevice>, Failure> {
        if poll.access != Access::Public || caller.device.is_some() || caller.has(Scope::VotesWrite) {
            return Ok(None);
        }
        let device = self.new_device().await.map_err(|error| self.failed(error))?;
        caller.device = Some(device.voter.clone());
        Ok(Some(device))
    }

    /// Records a vote, its change or its withdrawal. Where the poll's options change meanwhile, the ballot is read again.
    pub(crate) async fn record(&self, mut poll: Arc<Poll>, ask: &VoteAsk<'_>) -> Result<Recorded, Failure> {
        for _ in 0..FORM_RETRIES_MAX {
            match self.read_command(&poll, ask)? {
                Reading::Command(command) => {
                    let marked = command.marked.clone();
                    match self.vote_once(&poll.id, command).await {
                        Ok(outcome) => {
                            return Ok(Recorded::new(poll, ask.identity.voter.clone(), marked, outcome));
                        }
                        Err(StoreError::Refused(Refusal::FormChanged)) => {}
                        Err(error) => return Err(self.vote_failed(&poll, error)),
                    }
                }
                Reading::WriteIn(label) => self.write_in(&poll, ask, label).await?,
            }
            poll = self.poll(&poll.id).await?;
        }
        Err(Failure::Busy { retry_after: std::time::Duration::from_secs(1) })
    }

    async fn vote_once(&self, poll: &PollId, command: VoteCommand) -> canvass_store::VoteResult {
        let mut results = self.store().vote(poll, vec![command]).await?;
        let result = results.pop().unwrap_or(Err(StoreError::OutcomeUnknown));
        self.parts.metrics.votes.count(&result);
        result
    }

    /// What the failure of a vote is to the caller.
    pub(crate) fn vote_failed(&self, poll: &Arc<Poll>, error: StoreError) -> Failure {
        match error {
            StoreError::Refused(Refusal::AlreadyVoted(vote)) => {
                Failure::AlreadyVoted { poll: Arc::clone(poll), vote }
            }
            other => self.failed(other),
        }
    }

    /// Reads a request against a poll's form.
    ///
    /// # Errors
    /// Whatever the ballot, the demographics or the weight ask for that the poll does not allow.
    pub(crate) fn read_command(&self, poll: &Poll, ask: &VoteAsk<'_>) -> Result<Reading, Failure> {
        let marked = match ask.request {
            None => None,
            Some(request) => {
                let ballot = read_ballot(poll, &request.ballot, ask.by_label)?;
                let told = request.demographics.as_ref().map_or(&[][..], |told| &told.0);
                let borrowed =
                    told.iter().map(|(name, value)| (Cow::Borrowed(&**name), Cow::Borrowed(&**value)));
                let answers = read_answers(poll, borrowed)?;
                let weight = read_weight(poll, request, ask.may_weigh)?;
                // Only now: a vote that is refused for anything else adds no option.
                let Some(ballot) = ballot else {
                    let label = request.ballot.choice.as_deref().unwrap_or_default();
                    return Ok(Reading::WriteIn(label.to_owned()));
                };
                Some(Marked { ballot, weight, answers })
            }
        };
        let random: [u8; 32] = self.random();
        let (id, salt) = halves(random);
        Ok(Reading::Command(VoteCommand {
            voter: ask.identity.voter.clone(),
            operation: ask.operation,
            marked,
            idempotency_key: ask.idempotency_key.clone(),
            vote_id: VoteId::from_random(id),
            salt,
            form: poll.form,
            code: ask.identity.code,
        }))
    }

    /// Adds the option that a voter writes in. A voter who cannot vote any more adds none, and neither does one who
    /// changes a vote that is not there.
    pub(crate) async fn write_in(
        &self,
        poll: &Arc<Poll>,
        ask: &VoteAsk<'_>,
        label: String,
    ) -> Result<(), Failure> {
        let standing = self.standing_vote(&poll.id, &ask.identity.voter).await?;
        if ask.operation == Operation::Change && standing.is_none() {
            return Err(Failure::Refused(Refusal::VoteNotFound));
        }
        if poll.revote == Revote::Never
            && let Some(vote) = standing
        {
            let reused = ask.idempotency_key.is_some()
                && vote.idempotency.as_ref().map(|(key, _)| key) == ask.idempotency_key.as_ref();
            return Err(if reused {
                Failure::Refused(Refusal::KeyReused)
            } else {
                Failure::AlreadyVoted { poll: Arc::clone(poll), vote: Box::new(vote) }
            });
        }
        let added = self.store().change_poll(&poll.id, PollCommand::WriteIn(label), None, ask.actor).await;
        added.map(|_| ()).map_err(|error| self.failed(error))
    }

    /// A voter's vote that counts.
    pub(crate) async fn standing_vote(
        &self,
        poll: &PollId,
        voter: &VoterId,
    ) -> Result<Option<canvass_domain::vote::StoredVote>, Failure> {
        let vote = self.store().read_vote(poll, voter).await.map_err(|error| self.failed(error))?;
        Ok(vote.filter(|vote| vote.operation != Operation::Withdraw))
    }

    /// A voter's vote that counts, as it is shown.
    pub(crate) async fn read_vote(&self, poll: Arc<Poll>, voter: &VoterId) -> Result<Recorded, Failure> {
        let vote = self.standing_vote(&poll.id, voter).await?.ok_or(Refusal::VoteNotFound)?;
        Ok(Recorded::stored(poll, vote))
    }
}

/// A ballot's marks; none where it is for an option that the poll does not have yet but takes as a write-in.
fn read_ballot(poll: &Poll, ballot: &BallotInput<'_>, by_label: bool) -> Result<Option<Ballot>, Failure> {
    // A code is known to be one of the poll's only when the vote is decided, so who holds none could add options.
    let takes_write_ins = poll.write_in && poll.access != Access::Code;
    if !by_label && !takes_write_ins {
        return Ok(Some(ballot.read(poll)?));
    }
    match ballot.choice.as_deref() {
        Some(choice) if poll.option_index(choice).is_none() => {
            let labelled = poll.options.iter().position(|option| option.label == choice);
            match labelled.and_then(|index| u16::try_from(index).ok()) {
                Some(index) => Ok(Some(Ballot::Choices(vec![index]))),
                None if takes_write_ins => Ok(None),
                None => Ok(Some(ballot.read(poll)?)),
            }
        }
        _ => Ok(Some(ballot.read(poll)?)),
    }
}

fn read_weight(poll: &Poll, request: &VoteRequest<'_>, may_weigh: bool) -> Result<Weight, Failure> {
    let Some(Text(text)) = &request.weight else { return Ok(Weight::ONE) };
    if !poll.weighted {
        return Err(Failure::invalid("weight", "in this poll every vote weighs the same"));
    }
    if !may_weigh {
        return Err(Failure::invalid(
            "weight",
            "only a key with the scope votes:write may give a vote a weight",
        ));
    }
    text.parse().map_err(|error| Failure::invalid("weight", format!("{error}")))
}

fn halves(bytes: [u8; 32]) -> ([u8; 16], [u8; 16]) {
    let mut halves = ([0; 16], [0; 16]);
    halves.0.copy_from_slice(&bytes[..16]);
    halves.1.copy_from_slice(&bytes[16..]);
    halves
}

/// The poll that a first vote opens, as both documents behave: any choice, and the dimensions that B's schema names.
fn implicit_poll(id: &PollId, access: Access) -> NewPoll {
    let mut poll = NewPoll::new(id.as_str(), &[]);
    poll.status = Some(Status::Open);
    poll.access = access;
    poll.write_in = true;
    poll.demographics = ["ageGroup", "location", "gender"].map(|name| (name.to_owned(), None)).into();
    poll
}
