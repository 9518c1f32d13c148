//! Polls: created, read, listed, changed, and led through their life, with an audit trail of each step.

use std::{fmt, num::ParseIntError, str::FromStr, sync::Arc};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use canvass_domain::{
    Poll, PollId, Sequence, Timestamp,
    decide::PollCommand,
    key::Scope,
    limits::CODES_LOT_MAX,
    poll::{Access, NewPoll, Status},
    record::{Record, Step},
};
use canvass_store::{PollCursor, PollQuery};
use serde::{Serialize, Serializer};

use crate::{
    app::App,
    limits::EVENTS_PAGE_MAX,
    service::{Caller, Failure},
};

/// A poll as it stood at one version, as its entity tag names it: a poll that is made anew under the id of one that was
/// deleted begins at the same version, so the tag also tells when the poll was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edition {
    version: u64,
    /// None in the tag of a caller who names a version alone.
    created_at: Option<i64>,
}

impl Edition {
    pub(crate) fn of(poll: &Poll) -> Self {
        Self { version: poll.version, created_at: Some(poll.created_at.microseconds()) }
    }

    fn is(self, poll: &Poll) -> bool {
        let Edition { version, created_at } = self;
        version == poll.version && created_at.is_none_or(|at| at == poll.created_at.microseconds())
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.version)?;
        self.created_at.map_or(Ok(()), |at| write!(formatter, "-{at}"))
    }
}

impl FromStr for Edition {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (version, created_at) =
            text.split_once('-').map_or((text, None), |(version, at)| (version, Some(at)));
        Ok(Self { version: version.parse()?, created_at: created_at.map(str::parse).transpose()? })
    }
}

/// Which editions of a poll a change is meant for, as `If-Match` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Whatever there is.
    Any,
    /// One of these.
    OneOf(Vec<Edition>),
}

/// A page of polls.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct PollList {
    #[serde(serialize_with = "shared")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Poll>))]
    pub(crate) items: Vec<Arc<Poll>>,
    /// What to send as `cursor` for the next page; null on the last.
    pub(crate) next_cursor: Option<String>,
}

fn shared<S: Serializer>(polls: &[Arc<Poll>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(polls.iter().map(|poll| &**poll))
}

/// A page of a poll's audit trail, oldest first.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventList {
    pub(crate) items: Vec<EventView>,
    /// What to send as `after` for the next page; null on the last.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub(crate) next_after: Option<Sequence>,
}

/// One step: what was done, by whom and when.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Event))]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventView {
    /// Its place among the poll's records.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    sequence: Sequence,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub(crate) at: Timestamp,
    /// `created`, `changed`, `scheduled`, `opened`, `paused`, `closed`, `certified`, `archived`, `erasureBegun`, `erased`,
    /// `voterErasureBegun`, `voterErased` or `codesAdded`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub(crate) step: EventStep,
    /// `key:<id>`, `anyone` or `schedule`.
    pub(crate) actor: String,
    /// The poll's version afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u64>,
    /// How many codes were added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) codes: Option<usize>,
    /// How many records tell of voters who are being erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) records: Option<usize>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum EventStep {
    Poll(Step),
    Codes(CodesStep),
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum CodesStep {
    CodesAdded,
}

impl App {
    /// Creates a poll.
    pub(crate) async fn create_poll(&self, request: NewPoll, actor: &str) -> Result<Arc<Poll>, Failure> {
        let given_id = self.make_id().parse().expect("a UUID makes an id");
        self.store().create_poll(request, given_id, actor).await.map_err(|error| self.failed(error))
    }

    /// A poll, for those who may see it: callers with a key for that, and anyone if it is meant for anyone.
    pub(crate) async fn visible_poll(&self, poll: &PollId, caller: &Caller) -> Result<Arc<Poll>, Failure> {
        let poll = self.poll(poll).await?;
        if poll.access == Access::Key || poll.status == Status::Draft {
            caller.require(Scope::PollsRead)?;
        }
        Ok(poll)
    }

    /// A page of polls, newest first.
    pub(crate) async fn list_polls(
        &self,
        status: Option<Status>,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<PollList, Failure> {
        let cursor = cursor.map(read_cursor).transpose()?;
        let query = PollQuery { status, limit, cursor };
        let page = self.store().list_polls(query).await.map_err(|error| self.failed(error))?;
        Ok(PollList { items: page.polls, next_cursor: page.next.as_ref().map(write_cursor) })
    }

    /// Changes a poll or takes a step in its life.
    pub(crate) async fn change_poll(
        &self,
        id: &PollId,
        command: PollCommand,
        expected: &Expected,
        actor: &str,
    ) -> Result<Arc<Poll>, Failure> {
        let expected_version = match expected {
            Expected::Any => None,
            Expected::OneOf(editions) => {
                let poll = self.poll(id).await?;
                let current = poll.version;
                if !editions.iter().any(|edition| edition.is(&poll)) {
                    return Err(Failure::PreconditionFailed { current });
                }
                Some(current)
            }
        };
        if matches!(command, PollCommand::Certify) {
            self.check_before_certifying(id).await?;
        }
        let changed = self.store().change_poll(id, command, expected_version, actor).await;
        changed.map_err(|error| match error {
            // Between reading the version here and changing it, somebody else did.
            canvass_store::StoreError::Refused(canvass_domain::Refusal::VersionConflict { current })
                if expected_version.is_some_and(|expected| expected != current) =>
            {
                Failure::PreconditionFailed { current }
            }
            other => self.failed(other),
        })
    }

    /// A poll is certified only if a recount agrees. What cannot be certified anyway is left to the rules.
    async fn check_before_certifying(&self, id: &PollId) -> Result<(), Failure> {
        let poll = self.poll(id).await?;
        if poll.status_at(self.edge().now()) == Status::Closed && !self.recount(id).await?.matches {
            return Err(Failure::RecountDiffers);
        }
        Ok(())
    }

    /// A page of a poll's audit trail. It looks through the poll's records, votes included.
    pub(crate) async fn list_events(&self, id: &PollId, after: Sequence) -> Result<EventList, Failure> {
        let mut items = Vec::new();
        let mut after = after;
        loop {
            let page = self.store().records(id, after).await.map_err(|error| self.failed(error))?;
            let Some(last) = page.entries.last() else { return Ok(EventList { items, next_after: None }) };
            after = last.entry.place.sequence;
            for recorded in &page.entries {
                let place = recorded.entry.place;
                let Some(event) = event_of(&recorded.entry.record, place.sequence, place.at) else {
                    continue;
                };
                items.push(event);
                if items.len() == EVENTS_PAGE_MAX {
                    return Ok(EventList { items, next_after: Some(place.sequence) });
                }
            }
            tokio::task::yield_now().await;
        }
    }
}

fn event_of(record: &Record, sequence: Sequence, at: Timestamp) -> Option<EventView> {
    let mut records = None;
    let (step, actor, version, codes) = match record {
        Record::Poll(event) => {
            records = Some(event.poll.erasing_records.len()).filter(|records| *records > 0);
            (EventStep::Poll(event.step), &event.actor, Some(event.poll.version), None)
        }
        Record::Codes(codes) => {
            (EventStep::Codes(CodesStep::CodesAdded), &codes.actor, None, Some(codes.hashes.len()))
        }
        Record::Vote(_) | Record::Key(_) | Record::Setting(_) => return None,
    };
    debug_assert!(codes.is_none_or(|codes| codes <= CODES_LOT_MAX), "a lot is bounded");
    Some(EventView { sequence, at, step, actor: actor.clone(), version, codes, records })
}

/// Where the next page begins, so that callers take it for what it is: none of their business.
fn write_cursor(cursor: &PollCursor) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{}:{}", cursor.created_at.microseconds(), cursor.id))
}

fn read_cursor(text: &str) -> Result<PollCursor, Failure> {
    let parse = || {
        let decoded = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (created_at, id) = decoded.split_once(':')?;
        let created_at = Timestamp::from_microseconds(created_at.parse().ok()?);
        Some(PollCursor { created_at, id: id.parse().ok()? })
    };
    parse()
        .ok_or_else(|| Failure::invalid("cursor", "is not one that a page of this list gave as nextCursor"))
}
