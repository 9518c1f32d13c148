//! The recount: a poll's records folded again from the first, and compared with what the store shows.

use std::{collections::HashSet, hash::Hasher, sync::Arc};

use canvass_domain::{
    Poll, PollId, Profile, Sequence, VoterId,
    record::{Chain, Record, VoteRecord, hexadecimal},
    results::Figure,
    tally::{Books, Tally},
    vote::Operation,
};
use canvass_store::{RecordedEntry, Snapshot};
use serde::{Serialize, Serializer, ser::SerializeMap};
use siphasher::sip::SipHasher13;

use crate::{app::App, service::Failure};

/// What a recount found.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Recount)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecountView {
    /// Whether everything agrees: counts, distinct ballots, breakdowns, timeline, voters and chain.
    pub(crate) matches: bool,
    /// How many of the poll's records were folded.
    #[schema(value_type = u64)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
enum ChainState {
    /// At each lifecycle record the head was as written there.
    Intact,
    /// At one of them it was another.
    Broken,
}

/// Votes in all and by option.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Count)]
struct CountView {
    votes: u64,
    #[schema(value_type = std::collections::BTreeMap<String, u64>)]
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

impl App {
    /// Folds a poll's records again, up to where the store stands now, and compares.
    pub(crate) async fn recount(&self, poll: &PollId) -> Result<RecountView, Failure> {
        let read = self.store().profile(poll, Profile::default()).await;
        let (snapshot, profile) = read.map_err(|error| self.failed(error))?;
        let mut fold = Fold::new(&snapshot.poll, &self.random());
        while fold.books.tally.sequence < snapshot.tally.sequence {
            let after = fold.books.tally.sequence;
            let page = self.store().records(poll, after).await.map_err(|error| self.failed(error))?;
            if page.entries.is_empty() {
                break;
            }
            page.entries.iter().for_each(|entry| fold.add(entry, snapshot.tally.sequence));
            // A long recount must not keep this thread's voters waiting.
            tokio::task::yield_now().await;
        }
        let found = fold.view(snapshot, profile.as_ref());
        if !found.matches {
            tracing::error!(poll = %poll, "the recount does not agree with the stored tally");
        }
        Ok(found)
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
            chain_state: ChainState::Intact,
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
        match &entry.record {
            Record::Poll(event) if event.chain != hexadecimal(&self.chain) => {
                self.chain_state = ChainState::Broken;
            }
            Record::Vote(vote) => self.check_voter(vote),
            _ => {}
        }
        self.chain = recorded.chain_input.link(&self.chain);
        self.books.fold(entry);
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
            matches: agrees && self.double_voters == 0 && self.chain_state == ChainState::Intact,
            sequence: snapshot.tally.sequence,
            recounted: CountView::new(&snapshot.poll, Arc::new(self.books.tally)),
            stored: CountView::new(&snapshot.poll, snapshot.tally),
            double_voters: self.double_voters,
            chain: self.chain_state,
        }
    }
}
