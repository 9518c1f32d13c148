//! The recount: a poll's records folded again from the first, and compared with what the store shows.

use std::{
    collections::HashSet,
    hash::Hasher,
    sync::{Arc, atomic::Ordering},
};

use canvass_domain::{
    Poll, PollId, Profile, Sequence, VoterId,
    limits::OTHER_VALUE,
    poll::PersonalData,
    record::{Chain, Record, VoteRecord, hexadecimal},
    results::Figure,
    tally::{Books, Breakdown, Tally},
    vote::Operation,
};
use canvass_store::{ChainInput, RecordedEntry, Snapshot};
use serde::{Serialize, Serializer, ser::SerializeMap};
use siphasher::sip::SipHasher13;

use crate::{
    app::App,
    limits::{RECOUNT_PAUSE, RECOUNT_TRIES_MAX},
    service::Failure,
};

/// What a recount found.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Recount))]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecountView {
    /// Whether everything agrees: counts, distinct ballots, breakdowns, timeline, voters and chain.
    pub(crate) matches: bool,
    /// How many of the poll's records were folded.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub(crate) sequence: Sequence,
    /// What the records add up to.
    recounted: CountView,
    /// What the store shows at the same sequence.
    stored: CountView,
    /// Votes that were counted for a voter who had one that counted.
    double_voters: u64,
    /// Whether the records are linked as their lifecycle records say.
    chain: ChainState,
}

/// Whether a poll's records are linked as they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
enum ChainState {
    /// At each lifecycle record the head was as written there.
    Intact,
    /// At one of them it was another.
    Broken,
    /// The server's storage does not link records.
    NotKept,
}

/// Votes in all and by option.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Count))]
struct CountView {
    votes: u64,
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::BTreeMap<String, u64>))]
    options: OptionCounts,
}

#[derive(Clone, Debug)]
struct OptionCounts {
    poll: Arc<Poll>,
    tally: Arc<Tally>,
}

impl Serialize for OptionCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.poll.options.len()))?;
        for (index, option) in self.poll.options.iter().enumerate() {
            let total = self.tally.options.get(index).copied().unwrap_or_default();
            map.serialize_entry(&option.id, &Figure::of(&self.poll, total))?;
        }
        map.end()
    }
}

impl CountView {
    fn new(poll: &Arc<Poll>, tally: Arc<Tally>) -> Self {
        Self { votes: tally.votes, options: OptionCounts { poll: Arc::clone(poll), tally } }
    }
}

/// What a recount came to, for whoever watches rather than asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recounted {
    /// What is stored is what the records add up to.
    Agrees,
    /// It is not; that was logged and counted.
    Differs,
    /// What is stored does not hold all records: they are still being folded, or some never were.
    Behind,
    /// The records cannot be read now.
    Unreadable,
}

impl App {
    /// Folds a poll's records again and compares.
    pub async fn look_for_differences(&self, poll: &PollId) -> Recounted {
        match self.recount(poll).await {
            Ok(found) if found.matches => Recounted::Agrees,
            Ok(_) => Recounted::Differs,
            Err(Failure::Busy { .. }) => Recounted::Behind,
            Err(_) => Recounted::Unreadable,
        }
    }

    /// Folds a poll's records again, up to where the store stands now, and compares.
    ///
    /// # Errors
    /// Besides the store's: where tallies follow their records, votes that come in faster than both can be read.
    pub(crate) async fn recount(&self, poll: &PollId) -> Result<RecountView, Failure> {
        for _ in 0..RECOUNT_TRIES_MAX {
            let (found, is_settled) = self.recount_once(poll).await?;
            if found.matches {
                return Ok(found);
            }
            let is_settled = is_settled && !self.is_erasing_since(poll, found.sequence).await?;
            if is_settled {
                self.parts.metrics.recount_differences.fetch_add(1, Ordering::Relaxed);
                tracing::error!(poll = %poll, "the recount does not agree with the stored tally");
                return Ok(found);
            }
            tokio::time::sleep(RECOUNT_PAUSE).await;
        }
        Err(Failure::Busy { retry_after: self.store().tally_lag_max().max(RECOUNT_PAUSE) })
    }

    /// Whether voters are being erased, or were while the records up to a sequence were read: then these may tell less than
    /// the tally that they were compared with.
    async fn is_erasing_since(&self, poll: &PollId, sequence: Sequence) -> Result<bool, Failure> {
        let read = self.store().tally(poll).await.map_err(|error| self.failed(error))?;
        let is_erasing =
            read.poll.personal_data == PersonalData::Erasing || !read.poll.erasing_records.is_empty();
        let is_ordered = self.store().tally_lag_max().is_zero();
        Ok(is_erasing || (is_ordered && read.poll.status.is_over() && read.tally.sequence != sequence))
    }

    /// A recount, and whether the store's tally held all records: else a difference may only mean that some came in
    /// between.
    async fn recount_once(&self, poll: &PollId) -> Result<(RecountView, bool), Failure> {
        let read = self.store().profile(poll, Profile::default()).await;
        let (snapshot, profile) = read.map_err(|error| self.failed(error))?;
        let last = snapshot.tally.sequence;
        let mut fold = Fold::new(&snapshot.poll, &self.random());
        let mut is_settled = true;
        loop {
            let after = fold.books.tally.sequence;
            let is_ordered = self.store().tally_lag_max().is_zero();
            if is_ordered && after >= last {
                break;
            }
            let page = self.store().records(poll, after).await.map_err(|error| self.failed(error))?;
            page.entries.iter().for_each(|entry| fold.add(entry, last));
            // Numbers that are given when records are read say nothing of which the tally held.
            is_settled = page.entries.last().is_none_or(|newest| newest.entry.place.sequence <= last);
            if page.entries.is_empty() || !is_settled {
                break;
            }
            // A long recount must not keep this thread's voters waiting.
            tokio::task::yield_now().await;
        }
        if !self.store().tally_lag_max().is_zero() {
            take_surplus(&mut fold.books.tally, &snapshot.tally);
        }
        let found = fold.view(snapshot, profile.as_ref());
        Ok((found, is_settled || self.store().tally_lag_max().is_zero()))
    }
}

/// Which values of a dimension are its surplus depends on the order in which votes were folded. Where that is not the
/// order of the records, such a dimension is compared by how many gave any value.
fn take_surplus(recounted: &mut Tally, stored: &Tally) {
    let given = |breakdown: &Breakdown| breakdown.values.values().map(|count| count.votes).sum::<u64>();
    for (recounted, stored) in recounted.breakdowns.iter_mut().zip(&stored.breakdowns) {
        if stored.values.contains_key(OTHER_VALUE) && given(recounted) == given(stored) {
            recounted.clone_from(stored);
        }
    }
}

/// What a recount has folded so far. Of each voter it keeps a keyed hash of 64 bits.
struct Fold {
    books: Books,
    chain: Chain,
    chain_state: ChainState,
    voters: HashSet<u64, rustc_hash::FxBuildHasher>,
    voter_hash_key: [u8; 16],
    double_voters: u64,
}

impl Fold {
    fn new(poll: &Poll, voter_hash_key: &[u8; 16]) -> Self {
        Self {
            books: Books::new(poll),
            chain: [0; 32],
            chain_state: ChainState::NotKept,
            voters: HashSet::default(),
            voter_hash_key: *voter_hash_key,
            double_voters: 0,
        }
    }

    fn add(&mut self, recorded: &RecordedEntry, last: Sequence) {
        let entry = &recorded.entry;
        if entry.place.sequence > last {
            return;
        }
        if let Record::Vote(vote) = &entry.record {
            self.check_voter(vote);
        }
        if let Some(input) = &recorded.chain_input {
            self.follow_chain(&entry.record, input);
        }
        self.books.fold(entry);
    }

    fn follow_chain(&mut self, record: &Record, input: &ChainInput) {
        match record {
            Record::Poll(event) if event.chain != hexadecimal(&self.chain) => {
                self.chain_state = ChainState::Broken;
            }
            _ if self.chain_state == ChainState::NotKept => self.chain_state = ChainState::Intact,
            _ => {}
        }
        self.chain = input.link(&self.chain);
    }

    /// Counts votes that were added where one counted already. An erased vote tells no voter and is not looked at.
    fn check_voter(&mut self, vote: &VoteRecord) {
        let Some(personal) = &vote.personal else { return };
        let voter = self.voter_hash(&personal.voter);
        match (vote.operation, vote.removed.is_some()) {
            (Operation::Withdraw, _) => {
                self.voters.remove(&voter);
            }
            (_, true) => {
                self.voters.insert(voter);
            }
            (_, false) => self.double_voters += u64::from(!self.voters.insert(voter)),
        }
    }

    fn voter_hash(&self, voter: &VoterId) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.voter_hash_key);
        hasher.write(voter.as_str().as_bytes());
        hasher.finish()
    }

    fn view(self, snapshot: Snapshot, profile: Option<&Profile>) -> RecountView {
        let agrees = self.books.tally == *snapshot.tally && self.books.profile.as_ref() == profile;
        RecountView {
            matches: agrees && self.double_voters == 0 && self.chain_state != ChainState::Broken,
            sequence: snapshot.tally.sequence,
            recounted: CountView::new(&snapshot.poll, Arc::new(self.books.tally)),
            stored: CountView::new(&snapshot.poll, snapshot.tally),
            double_voters: self.double_voters,
            chain: self.chain_state,
        }
    }
}
