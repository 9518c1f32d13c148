//! What happened in all polls, in one order, as applications are told of it: by asking with a cursor, or by webhooks.
//!
//! An event is a record of the ledger, and its position is that record's. So a cursor loses nothing, whatever happens to
//! either side.

use std::{num::NonZeroU64, sync::Arc};

use canvass_domain::{Poll, PollId, Sequence, Timestamp, record::Step};
use canvass_store::{Feed, Happening, What};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{
    app::App,
    limits::EVENT_PAGES_LOOKED_AT_MAX,
    service::{Failure, alarms::AlarmChange},
};

/// What applications can be told of.
macro_rules! event_kinds {
    ($($(#[$meta:meta])* $kind:ident $name:literal)*) => {
        /// A kind of event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub(crate) enum EventKind {
            $($(#[$meta])* #[serde(rename = $name)] $kind,)*
        }

        impl EventKind {
            /// Every kind.
            pub(crate) const ALL: &[Self] = &[$(Self::$kind,)*];

            /// Its name.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

event_kinds! {
    /// A poll came into being.
    PollCreated "poll.created"
    /// Its definition changed, a label was corrected, or a write-in was added.
    PollChanged "poll.changed"
    /// It will open by itself.
    PollScheduled "poll.scheduled"
    /// It takes votes, for the first time or after a pause.
    PollOpened "poll.opened"
    /// It takes none for now.
    PollPaused "poll.paused"
    /// It takes none any more.
    PollClosed "poll.closed"
    /// It was recounted and found right.
    PollCertified "poll.certified"
    /// It was put away.
    PollArchived "poll.archived"
    /// What its votes tell of persons is being erased.
    PollErasureBegun "poll.erasureBegun"
    /// It is erased.
    PollErased "poll.erased"
    /// What one voter's votes tell of the voter is being erased.
    PollVoterErasureBegun "poll.voterErasureBegun"
    /// It is erased.
    PollVoterErased "poll.voterErased"
    /// It is gone.
    PollDeleted "poll.deleted"
    /// Its results have changed, as often as was asked for.
    ResultsChanged "results.changed"
    /// An alarm of the server began or ended; told by webhooks alone.
    AlarmChanged "alarm.changed"
}

// By hand: the derived schema does not see names that come out of a macro.
#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for EventKind {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::Type::String)
            .description(Some("A kind of event."))
            .enum_values(Some(Self::ALL.iter().map(|kind| kind.name())))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for EventKind {}

impl EventKind {
    fn of(step: Step) -> Self {
        match step {
            Step::Created => Self::PollCreated,
            Step::Changed => Self::PollChanged,
            Step::Scheduled => Self::PollScheduled,
            Step::Opened => Self::PollOpened,
            Step::Paused => Self::PollPaused,
            Step::Closed => Self::PollClosed,
            Step::Certified => Self::PollCertified,
            Step::Archived => Self::PollArchived,
            Step::ErasureBegun => Self::PollErasureBegun,
            Step::Erased => Self::PollErased,
            Step::VoterErasureBegun => Self::PollVoterErasureBegun,
            Step::VoterErased => Self::PollVoterErased,
            Step::Deleted => Self::PollDeleted,
        }
    }

    /// The kind by its name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// An event as applications see it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ApplicationEvent))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    /// The same however often it is told.
    pub(crate) id: String,
    /// Its place in the order of all events; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<u64>,
    /// What happened.
    pub(crate) r#type: EventKind,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub(crate) timestamp: Timestamp,
    pub(crate) data: EventData,
}

/// What an event is about.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventData {
    /// In which poll.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub(crate) poll_id: Option<PollId>,
    /// The event's place among the poll's records.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub(crate) sequence: Option<Sequence>,
    /// The poll after a step in its life.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shared")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Poll>))]
    pub(crate) poll: Option<Arc<Poll>>,
    /// The newest results when a webhook was sent, as everybody may see them who may see them at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub(crate) results: Option<Box<RawValue>>,
    /// The alarm that began or ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alarm: Option<AlarmChange>,
}

#[expect(clippy::ref_option, reason = "serde asks for the field's own type")]
fn shared<S: Serializer>(poll: &Option<Arc<Poll>>, serializer: S) -> Result<S::Ok, S::Error> {
    poll.as_deref().serialize(serializer)
}

/// Which events are wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Of these kinds.
    pub(crate) kinds: Vec<EventKind>,
    /// In these polls; in all, if there is none.
    pub(crate) polls: Vec<PollId>,
    /// Results each so many records of a poll.
    pub(crate) every_votes: Option<NonZeroU64>,
}

impl Wanted {
    /// Whether something in this poll may be wanted.
    pub(crate) fn has_poll(&self, poll: &PollId) -> bool {
        self.polls.is_empty() || self.polls.contains(poll)
    }

    /// The event that a happening is, if it is wanted.
    pub(crate) fn event(&self, happening: &Happening) -> Option<Event> {
        if !self.has_poll(&happening.poll) {
            return None;
        }
        let kind = match &happening.what {
            What::Step(step, _) => EventKind::of(*step),
            What::Vote => {
                let every = self.every_votes?;
                if happening.sequence.0 % every != 0 {
                    return None;
                }
                EventKind::ResultsChanged
            }
        };
        self.kinds.contains(&kind).then(|| Event::new(kind, happening))
    }
}

impl Event {
    /// The event of a happening.
    pub(crate) fn new(kind: EventKind, happening: &Happening) -> Self {
        let poll = match &happening.what {
            What::Step(_, poll) => Some(Arc::clone(poll)),
            What::Vote => None,
        };
        Self {
            id: format!("evt_{}", happening.position),
            position: Some(happening.position),
            r#type: kind,
            timestamp: happening.at,
            data: EventData {
                poll_id: Some(happening.poll.clone()),
                sequence: Some(happening.sequence),
                poll,
                ..EventData::default()
            },
        }
    }
}

/// A page of events, oldest first.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ApplicationEventList))]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventPage {
    pub(crate) items: Vec<Event>,
    /// What to send as `after` to go on: all before it was looked at, also where nothing was found.
    pub(crate) next_after: u64,
    /// Whether there may be more by now.
    pub(crate) has_more: bool,
}

impl App {
    /// The engine's records in one order.
    pub(crate) fn feed(&self) -> Result<&dyn Feed, Failure> {
        self.store().feed().ok_or(Failure::NotOnThisEngine)
    }

    /// Events after a position. It looks through the records of all polls, votes included, up to a bound.
    pub(crate) async fn list_all_events(
        &self,
        after: Option<u64>,
        limit: usize,
        wanted: &Wanted,
    ) -> Result<EventPage, Failure> {
        let feed = self.feed()?;
        let mut place = after.map_or(0, |after| after.saturating_add(1));
        if place > feed.end() {
            return Err(Failure::invalid("after", "lies behind all that has happened here"));
        }
        let mut items = Vec::new();
        for _ in 0..EVENT_PAGES_LOOKED_AT_MAX {
            let page = feed.happenings(place).await.map_err(|error| self.failed(error))?;
            let is_end = page.next == place;
            for happening in &page.items {
                items.extend(wanted.event(happening));
                if items.len() == limit {
                    return Ok(EventPage { items, next_after: happening.position, has_more: true });
                }
            }
            place = page.next;
            if is_end {
                break;
            }
        }
        let has_more = place < feed.end();
        Ok(EventPage { items, next_after: place.saturating_sub(1), has_more })
    }
}
