//! A count as callers see it: its rounds, pairs and ties, with options by their ids and figures as decimal strings.

use canvass_counting::{
    Destination, ElectedBecause, EliminatedBecause, Figure, Inactive, OptionIndex, Pairwise, Round, Step,
    Tie, TiePurpose, TieRule,
};
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{identifier::OptionId, poll::Poll};

/// One round or stage of a count.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Round))]
#[serde(rename_all = "camelCase")]
pub struct RoundView {
    /// What led to this round: `firstCount`, `surplus`, `transfer`, `exclusion`, `iteration` or `runoff`.
    step: &'static str,
    /// Of `surplus` and `exclusion`: whose.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    option: Option<OptionId>,
    /// The votes of each option that is still in the count or elected, as decimal strings by id.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::BTreeMap<String, String>))]
    tally: ById<String>,
    /// The votes that elect: quota, threshold or majority.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<String>,
    /// Who is elected on this tally, or goes on to the runoff, in order.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    elected: Vec<OptionId>,
    /// Who is eliminated on this tally.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    eliminated: Vec<OptionId>,
    /// Why, by id: of the elected `most`, `threshold`, `seatsLeft` or `finalist`; of the eliminated `fewest`, `batch`,
    /// `belowMinimum` or `seatsFilled`.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::BTreeMap<String, String>))]
    because: ById<&'static str>,
    /// Votes that no longer count for an option, as decimal strings by the reason.
    inactive: InactiveView,
    /// How votes move after this round.
    transfers: Vec<TransferView>,
}

/// Votes that no longer count for an option.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = InactiveVotes))]
#[serde(rename_all = "camelCase")]
pub struct InactiveView {
    /// No option that is left is ranked.
    exhausted_choices: String,
    /// Several options share the rank that counts.
    overvotes: String,
    /// More ranks are skipped than the rule allows.
    skipped_rankings: String,
    /// Lost where fractions are cut off.
    residual: String,
}

/// Votes that move.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Transfer))]
#[serde(rename_all = "camelCase")]
pub struct TransferView {
    /// From whom.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    from: OptionId,
    /// To whom; absent where they leave the count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    to: Option<OptionId>,
    /// Where they leave the count: `inactive`, or `residual` where fractions are cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<&'static str>,
    /// How many, as a decimal string.
    votes: String,
}

/// A step in breaking a tie.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Tie))]
#[serde(rename_all = "camelCase")]
pub struct TieView {
    /// The round it arose in, from 1.
    round: usize,
    /// What had to be decided: `election`, `elimination`, `surplusOrder` or `finalist`.
    purpose: &'static str,
    /// Between whom.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    tied: Vec<OptionId>,
    /// What decided: `earlierRound`, `headToHead`, `score`, `topScores`, `order`, `lot`, `chair`, or `open` where the
    /// tie stays.
    by: &'static str,
    /// Which earlier round, or which lot, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<usize>,
    /// On whom the decision fell; several where a further step is needed.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    chosen: Vec<OptionId>,
}

/// How many ballots prefer one option to another, row by row in the poll's order.
#[derive(Clone, Debug)]
pub struct Pairs(pub Pairwise);

impl Serialize for Pairs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let options = || (0..OptionIndex::MAX).take(self.0.option_count());
        let row = |row| options().map(|other| self.0.votes(row, other).to_string()).collect::<Vec<_>>();
        serializer.collect_seq(options().map(row))
    }
}

/// Values by option id, in their own order.
#[derive(Clone, Debug)]
struct ById<T>(Vec<(OptionId, T)>);

impl<T: Serialize> Serialize for ById<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(id, value)| map.serialize_entry(id, value))?;
        map.end()
    }
}

impl RoundView {
    pub(crate) fn new(poll: &Poll, round: &Round) -> Self {
        let by_id =
            |(option, votes): &(OptionIndex, Figure)| Some((poll.option_id(*option)?, votes.to_string()));
        let (step, option) = step(round.step);
        let elected = round.elected.iter().map(|elected| (elected.option, elected_because(elected.because)));
        let eliminated = round
            .eliminated
            .iter()
            .map(|eliminated| (eliminated.option, eliminated_because(eliminated.because)));
        let because = elected.chain(eliminated);
        Self {
            step,
            option: option.and_then(|option| poll.option_id(option)),
            tally: ById(round.tally.iter().filter_map(by_id).collect()),
            threshold: round.threshold.map(|threshold| threshold.to_string()),
            elected: round.elected.iter().filter_map(|elected| poll.option_id(elected.option)).collect(),
            eliminated: round.eliminated.iter().filter_map(|gone| poll.option_id(gone.option)).collect(),
            because: ById(because.filter_map(|(option, why)| Some((poll.option_id(option)?, why))).collect()),
            inactive: InactiveView::new(&round.inactive),
            transfers: round
                .transfers
                .iter()
                .filter_map(|transfer| {
                    let (to, out) = match transfer.to {
                        Destination::Option(option) => (poll.option_id(option), None),
                        Destination::Inactive => (None, Some("inactive")),
                        Destination::Residual => (None, Some("residual")),
                    };
                    Some(TransferView {
                        from: poll.option_id(transfer.from)?,
                        to,
                        out,
                        votes: transfer.votes.to_string(),
                    })
                })
                .collect(),
        }
    }
}

impl InactiveView {
    /// A poll refuses ballots that rank an option again, and a final surplus stays with its option in all its methods.
    fn new(inactive: &Inactive) -> Self {
        Self {
            exhausted_choices: inactive.exhausted_choices.to_string(),
            overvotes: inactive.overvotes.to_string(),
            skipped_rankings: inactive.skipped_rankings.to_string(),
            residual: inactive.residual.to_string(),
        }
    }
}

impl TieView {
    pub(crate) fn new(poll: &Poll, tie: &Tie) -> Self {
        let (by, number) = match tie.by {
            TieRule::EarlierRound(round) => ("earlierRound", Some(round)),
            TieRule::HeadToHead => ("headToHead", None),
            TieRule::Score => ("score", None),
            TieRule::TopScores => ("topScores", None),
            TieRule::Order => ("order", None),
            TieRule::Lot(lot) => ("lot", Some(lot)),
            TieRule::Chair => ("chair", None),
            TieRule::Open => ("open", None),
        };
        let purpose = match tie.purpose {
            TiePurpose::Election => "election",
            TiePurpose::Elimination => "elimination",
            TiePurpose::SurplusOrder => "surplusOrder",
            TiePurpose::Finalist => "finalist",
        };
        let (tied, chosen) = (poll.option_ids(&tie.tied), poll.option_ids(&tie.chosen));
        Self { round: tie.round, purpose, tied, by, number, chosen }
    }
}

fn step(step: Step) -> (&'static str, Option<OptionIndex>) {
    match step {
        Step::FirstCount => ("firstCount", None),
        Step::Surplus(option) => ("surplus", Some(option)),
        Step::Transfer => ("transfer", None),
        Step::Exclusion(option) => ("exclusion", Some(option)),
        Step::Iteration { .. } => ("iteration", None),
        Step::Runoff => ("runoff", None),
    }
}

fn elected_because(because: ElectedBecause) -> &'static str {
    match because {
        ElectedBecause::Most => "most",
        ElectedBecause::Threshold => "threshold",
        ElectedBecause::SeatsLeft => "seatsLeft",
        ElectedBecause::Finalist => "finalist",
    }
}

fn eliminated_because(because: EliminatedBecause) -> &'static str {
    match because {
        EliminatedBecause::Fewest => "fewest",
        EliminatedBecause::Batch => "batch",
        EliminatedBecause::BelowMinimum => "belowMinimum",
        EliminatedBecause::UndeclaredWriteIn => "undeclaredWriteIn",
        EliminatedBecause::SeatsFilled => "seatsFilled",
    }
}
