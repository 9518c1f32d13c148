//! What a data directory holds, as it is carried to the tables.

use std::{
    collections::{BTreeMap, HashMap},
    ops::ControlFlow,
    sync::Arc,
};

use canvass_domain::{
    PollId, Timestamp,
    key::Key,
    record::{Entry, PollNumber, REGISTRY, Record, Setting, Step},
};
use canvass_store::local::{CarryError, Contents};

use super::sum::Sum;
use crate::{
    items::{Head, PollKey},
    limits::BUCKETS,
};

/// What a data directory holds beside votes, and what its votes sum up to.
#[derive(Default)]
pub(super) struct Source {
    pub(super) polls: BTreeMap<PollNumber, Poll>,
    pub(super) keys: BTreeMap<String, Key>,
    pub(super) settings: BTreeMap<String, Setting>,
    lives: HashMap<PollId, u32>,
}

impl Source {
    pub(super) fn read(contents: &Contents) -> Result<Self, CarryError> {
        let mut source = Self::default();
        contents.each(|entry| {
            source.take(entry);
            ControlFlow::Continue(())
        })?;
        Ok(source)
    }

    fn take(&mut self, entry: Entry) {
        if entry.place.poll == REGISTRY {
            match entry.record {
                Record::Key(key) => drop(self.keys.insert(key.id.to_string(), *key)),
                Record::Setting(setting) if setting.is_removal() => drop(self.settings.remove(&setting.name)),
                Record::Setting(setting) => drop(self.settings.insert(setting.name.clone(), setting)),
                Record::Poll(_) | Record::Codes(_) | Record::Vote(_) => {}
            }
            return;
        }
        if let Record::Poll(event) = &entry.record
            && event.step == Step::Created
        {
            let life = self.lives.entry(event.poll.id.clone()).or_default();
            *life += 1;
            let head = Head {
                key: PollKey { id: event.poll.id.clone(), life: *life },
                poll: Arc::new(event.poll.clone()),
                events: 0,
                latest: entry.place.at,
                codes: 0,
                buckets: BUCKETS,
                is_gone: false,
                fence: None,
            };
            let sum = Sum::new(&event.poll);
            self.polls.insert(entry.place.poll, Poll { head, events: Vec::new(), sum });
        }
        let Some(poll) = self.polls.get_mut(&entry.place.poll) else { return };
        if !matches!(entry.record, Record::Vote(_)) {
            poll.head.follow(&entry.record, entry.place.at);
            poll.events.push(entry.clone());
        }
        poll.sum.take(entry);
    }

    /// Of the polls that have had an id one after another, the last.
    pub(super) fn newest(&self) -> impl Iterator<Item = &Poll> {
        self.polls.values().filter(|poll| self.lives.get(&poll.head.key.id) == Some(&poll.head.key.life))
    }

    /// The polls that exist.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Poll> {
        self.polls.values().filter(|poll| !poll.head.is_gone)
    }
}

/// A poll of the source.
pub(super) struct Poll {
    pub(super) head: Head,
    /// Its records beside votes.
    pub(super) events: Vec<Entry>,
    pub(super) sum: Sum,
}

impl Head {
    /// The poll after a record beside votes.
    pub(super) fn follow(&mut self, record: &Record, at: Timestamp) {
        self.events += 1;
        self.latest = at;
        match record {
            Record::Poll(event) => {
                self.poll = Arc::new(event.poll.clone());
                self.is_gone = event.step == Step::Deleted;
            }
            Record::Codes(codes) => self.codes += codes.hashes.len(),
            Record::Vote(_) | Record::Key(_) | Record::Setting(_) => {}
        }
    }
}
