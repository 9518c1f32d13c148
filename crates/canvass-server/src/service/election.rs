//! A poll as an election file: the ballots that count, grouped, with nothing of who cast them, when or in what order.
//!
//! The export as `json` is the list of votes with their voters; an election says what was voted and how it is counted,
//! so it is a format of its own. `canvass count` finds the poll's result in it.

use std::collections::BTreeMap;

use canvass_counting::{
    Ballot, Weight,
    formats::{Election, Format, Row, Rules, Written},
};
use canvass_domain::{OptionId, Poll, PollId, record::Record, tie_break::TieBreak};
use canvass_export::Source;
use serde_json::Value;

use crate::{app::App, service::Failure};

impl App {
    /// The ballots that count now as an election file.
    ///
    /// # Errors
    /// Beside those of every export: the format has no words for these ballots.
    pub(crate) async fn export_election(&self, poll: &PollId, format: Written) -> Result<String, Failure> {
        let begun = Source::begin(self.store(), poll).await;
        let mut source = begun.map_err(|error| self.failed(error))?;
        let mut alike: BTreeMap<(Ballot, Weight), u64> = BTreeMap::new();
        loop {
            let entries = source.page().await.map_err(|error| self.failed(error))?;
            if entries.is_empty() {
                break;
            }
            for recorded in entries {
                let sequence = recorded.entry.place.sequence;
                // A vote without its personal part has its ballot still.
                if let Record::Vote(vote) = recorded.entry.record
                    && !source.is_replaced(sequence)
                    && let Some(marks) = vote.added
                {
                    *alike.entry(marks).or_default() += 1;
                }
            }
            tokio::task::yield_now().await;
        }
        let row = |((ballot, weight), count)| Row { ballot, scores: None, count, weight };
        let rows = alike.into_iter().map(row).collect();
        Ok(election(source.poll(), rows)?.write(format)?)
    }
}

/// What polls call the rules of their methods, and election files.
const RULE_NAMES: [(&str, &str); 15] = [
    ("min", "min_score"),
    ("max", "max_score"),
    ("aggregate", "aggregate"),
    ("ratersMin", "min_raters"),
    ("credits", "budget"),
    ("negativeVotes", "negative_votes"),
    ("dots", "dots"),
    ("maxPerOption", "max_per_option"),
    ("overvote", "overvote"),
    ("skippedRanksMax", "max_skipped_ranks"),
    ("batchElimination", "batch_elimination"),
    ("untilTwo", "continue_until_two"),
    ("votesMin", "minimum_vote_threshold"),
    ("tiesByEarlierRounds", "ties_by_earlier_rounds"),
    ("points", "unranked"),
];

/// The election that a poll is. Its method has the name that polls give it, and so have the values of its rules.
fn election(poll: &Poll, rows: Vec<Row>) -> Result<Election, Failure> {
    let method = serde_json::to_value(&poll.method)
        .map_err(|_| Failure::invalid("format", "the poll's method cannot be written"))?;
    let mut rules = Rules::default();
    let measures = [("strength", "measure"), ("measure", "measure")];
    for (own, name) in RULE_NAMES.into_iter().chain(measures) {
        if !method[own].is_null() {
            rules.set(name, method[own].clone());
        }
    }
    set_tie_break(&mut rules, poll);
    Ok(Election {
        format: Format::Json,
        title: Some(poll.title.clone()),
        options: poll.options.iter().map(|option| option.label.clone()).collect(),
        withdrawn: Vec::new(),
        seats: Some(usize::from(poll.seats)),
        method: Some(poll.method.name().to_owned()),
        rules,
        rows,
        pairwise: None,
    })
}

/// Options are called by their places, which stay as they are.
fn set_tie_break(rules: &mut Rules, poll: &Poll) {
    let places = |ids: &[OptionId]| -> Value {
        ids.iter().filter_map(|id| poll.option_index(id.as_str())).map(Value::from).collect()
    };
    match &poll.tie_break {
        TieBreak::Report {} => {}
        TieBreak::Order { options } => {
            rules.set("tie_break", "order".into());
            if !options.is_empty() {
                rules.set("tie_break_order", places(options));
            }
        }
        TieBreak::Lot { seed } => {
            rules.set("tie_break", "lot".into());
            rules.set("tie_break_seed", seed.as_str().into());
        }
        TieBreak::Chair { decisions } => {
            rules.set("tie_break", "chair".into());
            rules.set("tie_break_chair", decisions.iter().map(|decision| places(decision)).collect());
        }
    }
}

/// What an election file is called, and its media type.
pub(crate) fn file_type(format: Written) -> (&'static str, &'static str) {
    match format {
        Written::Json => ("election.json", "application/json"),
        Written::Blt => ("blt", "text/plain; charset=utf-8"),
        Written::Abif => ("abif", "text/plain; charset=utf-8"),
    }
}
