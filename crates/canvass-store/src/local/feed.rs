//! What happened in all polls, in the order of the ledger.

use std::{ops::ControlFlow, sync::Arc};

use canvass_domain::{
    PollId,
    record::{Kind, PollNumber, Record, decode_place},
};
use canvass_ledger::{Position, RecordRef};
use rustc_hash::FxHashMap;

use super::{
    LocalStore, blocking,
    shared::{Shared, corrupt, decode},
};
use crate::{Feed, FeedPage, Happening, Pending, StoreError, What, limits::FEED_RECORDS};

impl Feed for LocalStore {
    fn happenings(&self, from: u64) -> Pending<'_, FeedPage> {
        let shared = Arc::clone(&self.shared);
        Box::pin(blocking(move || read_page(&shared, from)))
    }

    fn end(&self) -> u64 {
        self.shared.reader.durable_end().get()
    }
}

fn read_page(shared: &Shared, from: u64) -> Result<FeedPage, StoreError> {
    let mut page = Reading { shared, names: FxHashMap::default(), items: Vec::new(), left: FEED_RECORDS };
    let mut failure = None;
    let mut visit = |record: RecordRef<'_>| match page.take(record) {
        Ok(flow) => flow,
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    };
    let scanned = shared.reader.scan(from.into(), shared.reader.durable_end(), &mut visit);
    if let Some(error) = failure {
        return Err(error);
    }
    let next: Position = scanned.map_err(|error| corrupt(&error))?;
    Ok(FeedPage { items: page.items, next: next.get() })
}

/// A page that is being read.
struct Reading<'a> {
    shared: &'a Shared,
    /// The ids of polls that came up; none for polls that are gone.
    names: FxHashMap<PollNumber, Option<PollId>>,
    items: Vec<Happening>,
    left: usize,
}

impl Reading<'_> {
    fn take(&mut self, record: RecordRef<'_>) -> Result<ControlFlow<()>, StoreError> {
        let happening = self.happening(record)?;
        self.items.extend(happening);
        self.left = self.left.saturating_sub(1);
        Ok(if self.left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Of a vote only its place is read: who voted for what is nobody's business here.
    fn happening(&mut self, record: RecordRef<'_>) -> Result<Option<Happening>, StoreError> {
        let position = record.position.get();
        if record.kind == Kind::Vote as u8 {
            let place = decode_place(record.body)
                .map_err(|error| StoreError::Corrupt(format!("record at position {position}: {error}")))?;
            let shared = self.shared;
            let name = self.names.entry(place.poll).or_insert_with(|| shared.name(place.poll)).clone();
            return Ok(name.map(|poll| Happening {
                position,
                at: place.at,
                poll,
                sequence: place.sequence,
                what: What::Vote,
            }));
        }
        if record.kind != Kind::Poll as u8 {
            return Ok(None);
        }
        let (entry, _) = decode(record)?;
        let place = entry.place;
        let Record::Poll(event) = entry.record else { return Ok(None) };
        Ok(Some(Happening {
            position,
            at: place.at,
            poll: event.poll.id.clone(),
            sequence: place.sequence,
            what: What::Step(event.step, Arc::new(event.poll)),
        }))
    }
}
