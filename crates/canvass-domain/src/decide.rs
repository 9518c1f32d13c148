//! What a command does to a poll or a vote: the rules, written once, for every engine.
//!
//! Nothing here reads a clock, draws a number or waits. The engine gives the poll as it stands, what it knows of the
//! voter, and the time; it gets back what to record, or why not.

use crate::{
    code::Codes,
    identifier::{PollId, Sequence},
    limits::{CODES_LOT_MAX, CODES_POLL_MAX, LABEL_BYTES_MAX, OPTIONS_MAX, REVISIONS_MAX},
    poll::{Access, NewPoll, PersonalData, Poll, PollOption, PollPatch, Revote, Status, options_of},
    record::Step,
    refusal::{Invalid, Refusal},
    time::Timestamp,
    vote::{Operation, StoredVote, VoteCommand},
};

/// A change of a poll that a caller asks for.
#[derive(Clone, Debug)]
pub enum PollCommand {
    /// Change its definition.
    Edit(Box<PollPatch>),
    /// Take votes, now or from `opensAt`.
    Open,
    /// Take none for now.
    Pause,
    /// Take none any more.
    Close,
    /// Declare it right; the caller has recounted it.
    Certify,
    /// Put it away.
    Archive,
    /// Erase what the votes of a poll that is over tell of persons.
    Erase,
    /// Tell that nothing of it is left; the engine has seen to it.
    FinishErasure,
    /// Erase what these records tell of one voter, in a poll that is over; the engine has found them.
    EraseVoter(Vec<Sequence>),
    /// Tell that nothing of all the records that were being erased so is left; the engine has seen to it.
    FinishVoterErasure(Vec<Sequence>),
    /// Tell that nothing is left of one voter of a poll that is over, on an engine that erases in this very step.
    TellVoterErased,
    /// Remove a draft or an archived poll.
    Delete,
    /// Add an option that a voter wrote in.
    WriteIn(String),
    /// Add a lot of one-time codes, by their number.
    AddCodes(usize),
}

/// What an engine knows of a poll beside its definition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Whether a vote was ever accepted, even if withdrawn since.
    pub has_votes: bool,
    /// How many one-time codes it has.
    pub codes: usize,
}

/// What a command does: the step to record, and the poll from then on. None where it changes nothing, as when an
/// opened poll is opened again by a caller who lost the first answer.
pub type PollDecision = Option<(Step, Poll)>;

/// The poll that a request creates, and its first steps.
///
/// # Errors
/// [`Refusal::Invalid`] where the request is not allowed. Whether the id is free is the engine's to say.
pub fn decide_create(
    request: NewPoll,
    given_id: PollId,
    now: Timestamp,
) -> Result<Vec<(Step, Poll)>, Refusal> {
    let wanted = request.status.unwrap_or(Status::Draft);
    let draft = request.into_draft(given_id, now)?;
    let mut steps = vec![(Step::Created, draft.clone())];
    match wanted {
        Status::Draft => {}
        Status::Scheduled if draft.opens_at.is_none_or(|opens| opens <= now) => {
            return Err(
                Invalid::new("opensAt", "a scheduled poll needs an opening time in the future").into()
            );
        }
        // The poll is created open: callers see one version of it, the first.
        Status::Scheduled | Status::Open => {
            steps.extend(open(&draft, now)?.map(|(step, mut poll)| {
                poll.version = draft.version;
                (step, poll)
            }));
        }
        _ => return Err(Invalid::new("status", "a poll begins as draft, scheduled or open").into()),
    }
    Ok(steps)
}

/// The steps that time alone has made due.
pub fn decide_due(poll: &Poll, now: Timestamp) -> Vec<(Step, Poll)> {
    let mut steps = Vec::new();
    let mut poll = poll.clone();
    if poll.status == Status::Scheduled && poll.opens_at.is_some_and(|opens| now >= opens) {
        poll = stepped(&poll, Status::Open, now);
        steps.push((Step::Opened, poll.clone()));
    }
    if poll.status_at(now) == Status::Closed && !poll.status.is_over() {
        steps.push((Step::Closed, stepped(&poll, Status::Closed, now)));
    }
    steps
}

/// What a caller's command does to a poll. Steps that time has made due come first, from [`decide_due`].
///
/// # Errors
/// Any [`Refusal`] that concerns polls.
pub fn decide_poll(
    poll: &Poll,
    facts: Facts,
    command: &PollCommand,
    expected_version: Option<u64>,
    now: Timestamp,
) -> Result<PollDecision, Refusal> {
    if expected_version.is_some_and(|expected| expected != poll.version) {
        return Err(Refusal::VersionConflict { current: poll.version });
    }
    let step = |allowed: &[Status], already: Status, step: Step, name: &'static str| {
        if poll.status == already {
            return Ok(None);
        }
        if !allowed.contains(&poll.status) {
            return Err(Refusal::wrong_status(poll, name));
        }
        Ok(Some((step, stepped(poll, already, now))))
    };
    match command {
        PollCommand::Edit(patch) => edit(poll, facts, patch, now),
        PollCommand::Open => open(poll, now),
        PollCommand::Pause => step(&[Status::Open], Status::Paused, Step::Paused, "paused"),
        PollCommand::Close => {
            step(&[Status::Scheduled, Status::Open, Status::Paused], Status::Closed, Step::Closed, "closed")
        }
        PollCommand::Certify => step(&[Status::Closed], Status::Certified, Step::Certified, "certified"),
        PollCommand::Archive => step(&[Status::Certified], Status::Archived, Step::Archived, "archived"),
        PollCommand::Erase | PollCommand::TellVoterErased if !poll.personal_data.is_kept() => Ok(None),
        PollCommand::Erase | PollCommand::TellVoterErased if !poll.status.is_over() => {
            Err(Refusal::wrong_status(poll, "erased"))
        }
        PollCommand::Erase => Ok(Some((Step::ErasureBegun, told(poll, PersonalData::Erasing, now)))),
        PollCommand::FinishErasure if poll.personal_data == PersonalData::Erasing => {
            Ok(Some((Step::Erased, told(poll, PersonalData::Erased, now))))
        }
        PollCommand::FinishErasure => Ok(None),
        PollCommand::EraseVoter(records) => erase_voter(poll, records, now),
        PollCommand::TellVoterErased => Ok(Some((Step::VoterErased, changed(poll.clone(), now)))),
        PollCommand::FinishVoterErasure(records) => Ok(finish_voter_erasure(poll, records, now)),
        PollCommand::Delete => match poll.status {
            Status::Draft | Status::Archived => Ok(Some((Step::Deleted, changed(poll.clone(), now)))),
            _ => Err(Refusal::wrong_status(poll, "deleted")),
        },
        PollCommand::WriteIn(label) => write_in(poll, label, now),
        PollCommand::AddCodes(count) => add_codes(poll, facts, *count).map(|()| None),
    }
}

fn open(poll: &Poll, now: Timestamp) -> Result<PollDecision, Refusal> {
    match poll.status {
        Status::Open => return Ok(None),
        Status::Draft | Status::Scheduled | Status::Paused => {}
        _ => return Err(Refusal::wrong_status(poll, "opened")),
    }
    if poll.closes_at.is_some_and(|closes| closes <= now) {
        return Err(Invalid::new("closesAt", "lies in the past; set a later one first").into());
    }
    if poll.status == Status::Draft && poll.opens_at.is_some_and(|opens| opens > now) {
        return Ok(Some((Step::Scheduled, stepped(poll, Status::Scheduled, now))));
    }
    Ok(Some((Step::Opened, stepped(poll, Status::Open, now))))
}

fn edit(poll: &Poll, facts: Facts, patch: &PollPatch, now: Timestamp) -> Result<PollDecision, Refusal> {
    if poll.status == Status::Archived || poll.status == Status::Certified {
        return Err(Refusal::wrong_status(poll, "changed"));
    }
    if patch.version.is_some_and(|version| version != poll.version) {
        return Err(Refusal::VersionConflict { current: poll.version });
    }
    let mut edited = poll.clone();
    edit_words(&mut edited, patch)?;
    edit_times(&mut edited, patch, now)?;
    edit_rules(&mut edited, patch);
    edited.check()?;
    if facts.has_votes {
        refuse_fixed(poll, &edited)?;
    }
    if edited == *poll {
        return Ok(None);
    }
    if edited.options.iter().map(|option| &option.id).ne(poll.options.iter().map(|option| &option.id))
        || edited.method != poll.method
        || edited.demographics != poll.demographics
    {
        edited.form += 1;
    }
    Ok(Some((Step::Changed, changed(edited, now))))
}

fn edit_words(edited: &mut Poll, patch: &PollPatch) -> Result<(), Refusal> {
    if let Some(title) = &patch.title {
        edited.title.clone_from(title);
    }
    if let Some(description) = &patch.description {
        edited.description.clone_from(description);
    }
    if let Some(options) = &patch.options {
        edited.replace_options(options_of(options.clone())?);
    }
    Ok(())
}

fn edit_times(edited: &mut Poll, patch: &PollPatch, now: Timestamp) -> Result<(), Refusal> {
    if let Some(opens_at) = patch.opens_at
        && opens_at != edited.opens_at
    {
        if !matches!(edited.status, Status::Draft | Status::Scheduled) {
            return Err(Refusal::wrong_status(edited, "given another opening time"));
        }
        if edited.status == Status::Scheduled && opens_at.is_none_or(|opens| opens <= now) {
            return Err(
                Invalid::new("opensAt", "a scheduled poll needs an opening time in the future").into()
            );
        }
        edited.opens_at = opens_at;
    }
    if let Some(closes_at) = patch.closes_at
        && closes_at != edited.closes_at
    {
        if edited.status.is_over() {
            return Err(Refusal::wrong_status(edited, "given another closing time"));
        }
        if closes_at.is_some_and(|closes| closes <= now) {
            return Err(Invalid::new("closesAt", "lies in the past; close the poll to end it now").into());
        }
        edited.closes_at = closes_at;
    }
    Ok(())
}

fn edit_rules(edited: &mut Poll, patch: &PollPatch) {
    fn set<T: Clone>(field: &mut T, value: Option<&T>) {
        if let Some(value) = value {
            field.clone_from(value);
        }
    }
    set(&mut edited.method, patch.method.as_ref());
    set(&mut edited.seats, patch.seats.as_ref());
    set(&mut edited.tie_break, patch.tie_break.as_ref());
    set(&mut edited.access, patch.access.as_ref());
    set(&mut edited.revote, patch.revote.as_ref());
    set(&mut edited.results_visible, patch.results_visible.as_ref());
    set(&mut edited.demographics, patch.demographics.as_ref());
    set(&mut edited.minimum_cell, patch.minimum_cell.as_ref());
    set(&mut edited.weighted, patch.weighted.as_ref());
    set(&mut edited.voter_from_address, patch.voter_from_address.as_ref());
}

fn refuse_fixed(poll: &Poll, edited: &Poll) -> Result<(), Refusal> {
    let same_options = edited.options.len() == poll.options.len()
        && edited.options.iter().zip(&poll.options).all(|(edited, option)| edited.id == option.id);
    let fixed = [
        ("options", same_options),
        ("method", edited.method == poll.method),
        ("seats", edited.seats == poll.seats),
        ("access", edited.access == poll.access),
        ("revote", edited.revote == poll.revote),
        ("demographics", edited.demographics == poll.demographics),
        ("weighted", edited.weighted == poll.weighted),
    ];
    match fixed.into_iter().find(|(_, same)| !same) {
        Some((field, _)) => Err(Refusal::FixedByVotes { field }),
        None => Ok(()),
    }
}

fn write_in(poll: &Poll, label: &str, now: Timestamp) -> Result<PollDecision, Refusal> {
    if !poll.write_in {
        return Err(Invalid::new("ballot.choice", "names an option that the poll does not have").into());
    }
    if poll.status != Status::Open {
        return Err(Refusal::NotOpen { status: poll.status });
    }
    if poll.options.iter().any(|option| option.label == label) {
        return Ok(None);
    }
    if poll.options.len() >= OPTIONS_MAX {
        return Err(Invalid::new(
            "ballot.choice",
            format!("the poll has {OPTIONS_MAX} options and takes no more"),
        )
        .into());
    }
    if label.is_empty() || label.len() > LABEL_BYTES_MAX || label.chars().any(char::is_control) {
        let reason = format!("1 to {LABEL_BYTES_MAX} bytes of text without control characters");
        return Err(Invalid::new("ballot.choice", reason).into());
    }
    let is_free = |id: &String| poll.option_index(id).is_none();
    // Of one more numbers than there are options, one is free.
    let numbers = poll.options.len() + 1..=2 * poll.options.len() + 1;
    let numbered = || numbers.map(|number| format!("option-{number}")).find(is_free);
    let id = Some(label.to_owned())
        .filter(is_free)
        .and_then(|label| label.parse().ok())
        .or_else(|| numbered()?.parse().ok())
        .ok_or_else(|| Invalid::new("ballot.choice", "cannot be given an id"))?;
    let mut edited = poll.clone();
    let mut options = edited.options.clone();
    options.push(PollOption { id, label: label.to_owned() });
    edited.replace_options(options);
    edited.form += 1;
    Ok(Some((Step::Changed, changed(edited, now))))
}

fn add_codes(poll: &Poll, facts: Facts, count: usize) -> Result<(), Refusal> {
    if poll.access != Access::Code {
        return Err(Invalid::new("access", "only a poll whose access is code has codes").into());
    }
    if poll.status.is_over() {
        return Err(Refusal::wrong_status(poll, "given codes"));
    }
    if !(1..=CODES_LOT_MAX).contains(&count) {
        return Err(Invalid::new("count", format!("1 to {CODES_LOT_MAX} codes at a time")).into());
    }
    if facts.codes + count > CODES_POLL_MAX {
        return Err(Refusal::TooManyCodes);
    }
    Ok(())
}

fn erase_voter(poll: &Poll, records: &[Sequence], now: Timestamp) -> Result<PollDecision, Refusal> {
    if !poll.status.is_over() {
        return Err(Refusal::wrong_status(poll, "erased"));
    }
    if !poll.personal_data.is_kept() {
        return Ok(None);
    }
    let mut erasing = poll.erasing_records.clone();
    erasing.extend(records);
    erasing.sort_unstable();
    erasing.dedup();
    if erasing == poll.erasing_records {
        return Ok(None);
    }
    Ok(Some((Step::VoterErasureBegun, with_erasing(poll, erasing, now))))
}

/// Where more records have come to those that were erased, their erasure tells the end of all.
fn finish_voter_erasure(poll: &Poll, records: &[Sequence], now: Timestamp) -> PollDecision {
    if poll.erasing_records.is_empty() || poll.erasing_records != records {
        return None;
    }
    Some((Step::VoterErased, with_erasing(poll, Vec::new(), now)))
}

fn with_erasing(poll: &Poll, records: Vec<Sequence>, now: Timestamp) -> Poll {
    let mut poll = poll.clone();
    poll.erasing_records = records;
    changed(poll, now)
}

fn stepped(poll: &Poll, status: Status, now: Timestamp) -> Poll {
    let mut poll = poll.clone();
    poll.status = status;
    if status == Status::Closed {
        // The step may be taken later than the clock made it due, as after a stop.
        poll.closed_at = Some(poll.closes_at.map_or(now, |closes| closes.min(now)));
    }
    changed(poll, now)
}

fn told(poll: &Poll, personal_data: PersonalData, now: Timestamp) -> Poll {
    let mut poll = poll.clone();
    poll.personal_data = personal_data;
    // They are among all that is erased.
    poll.erasing_records.clear();
    changed(poll, now)
}

fn changed(mut poll: Poll, now: Timestamp) -> Poll {
    poll.version += 1;
    poll.updated_at = now;
    poll
}

/// What a vote's command does.
#[derive(Clone, Debug, PartialEq)]
pub enum VoteDecision {
    /// Record it.
    Accept(AcceptedVote),
    /// It was done before under the same idempotency key: give that answer again.
    Replay(Box<StoredVote>),
}

/// A vote to record.
#[derive(Clone, Debug, PartialEq)]
pub struct AcceptedVote {
    /// What is recorded: a cast vote of a voter who has voted becomes a change.
    pub operation: Operation,
    /// The vote that it replaces, or that was withdrawn before.
    pub previous: Option<StoredVote>,
    /// How many records of this voter's vote come before.
    pub revision: u32,
}

/// What a vote's command does. `history` is what the engine knows of the voter in this poll, newest first: the latest
/// record at least, and with an idempotency key all records.
///
/// The key is looked at before anything else, so that a caller who lost an answer gets it even after the poll closed.
///
/// # Errors
/// Any [`Refusal`] that concerns votes.
pub fn decide_vote(
    poll: &Poll,
    codes: &Codes,
    history: &[StoredVote],
    command: &VoteCommand,
    now: Timestamp,
) -> Result<VoteDecision, Refusal> {
    if let Some(done) = done_before(history, command)? {
        return Ok(VoteDecision::Replay(Box::new(done.clone())));
    }
    let status = poll.status_at(now);
    if status != Status::Open {
        return Err(Refusal::NotOpen { status });
    }
    if command.form != poll.form {
        return Err(Refusal::FormChanged);
    }
    if poll.access == Access::Code && !command.code.as_ref().is_some_and(|code| codes.contains(code)) {
        return Err(Refusal::CodeUnknown);
    }
    let latest = history.first();
    let standing = latest.filter(|vote| vote.operation != Operation::Withdraw);
    let operation = match (command.operation, standing) {
        (Operation::Cast, None) => Operation::Cast,
        (Operation::Change | Operation::Withdraw, None) => return Err(Refusal::VoteNotFound),
        (_, Some(vote)) if poll.revote == Revote::Never => {
            return Err(Refusal::AlreadyVoted(Box::new(vote.clone())));
        }
        (Operation::Withdraw, Some(_)) => Operation::Withdraw,
        (Operation::Cast | Operation::Change, Some(_)) => Operation::Change,
    };
    let revision = latest.map_or(0, |vote| vote.revision + 1);
    if revision > REVISIONS_MAX {
        return Err(Refusal::TooManyRevisions);
    }
    Ok(VoteDecision::Accept(AcceptedVote { operation, previous: latest.cloned(), revision }))
}

fn done_before<'a>(
    history: &'a [StoredVote],
    command: &VoteCommand,
) -> Result<Option<&'a StoredVote>, Refusal> {
    let Some(key) = &command.idempotency_key else { return Ok(None) };
    let with_key = history.iter().find_map(|vote| match &vote.idempotency {
        Some((known, fingerprint)) if known == key => Some((vote, fingerprint)),
        _ => None,
    });
    match with_key {
        Some((vote, fingerprint)) if *fingerprint == command.fingerprint() => Ok(Some(vote)),
        Some(_) => Err(Refusal::KeyReused),
        None => Ok(None),
    }
}
