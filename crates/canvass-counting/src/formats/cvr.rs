//! Cast vote records in JSON by NIST SP 1500-103: the ballots of one contest of a report.
//!
//! What counts is each record's current snapshot. A position that bears no indication, or that the report says is not
//! to be allocated, is no mark. All write-ins are one option, which stands for those that were not declared.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

use super::{
    Election, Format, FormatError, OPTIONS_MAX, Place, RANKS_MAX, Row, Rules, json::Source, rank_of,
    text::shown,
};
use crate::{Ballot, OptionIndex, Rank, Weight};

/// The name of the option that stands for all write-ins.
const WRITE_INS: &str = "Undeclared Write-ins";
/// Contests that an error lists.
const CONTESTS_SHOWN_MAX: usize = 20;

#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(rename = "@type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(rename = "CVR")]
    records: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report<'a> {
    #[serde(borrow, default)]
    election: Vec<ElectionPart<'a>>,
    #[serde(rename = "CVR", borrow, default)]
    records: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ElectionPart<'a> {
    #[serde(borrow, default)]
    contest: Vec<Contest<'a>>,
    #[serde(borrow, default)]
    candidate: Vec<Candidate<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Contest<'a> {
    #[serde(rename = "@id", borrow)]
    id: Cow<'a, str>,
    name: Option<Value>,
    number_elected: Option<usize>,
    #[serde(borrow)]
    vote_variation: Option<Cow<'a, str>>,
    #[serde(rename = "ContestSelection", borrow, default)]
    selections: Vec<Selection<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Selection<'a> {
    #[serde(rename = "@id", borrow)]
    id: Cow<'a, str>,
    #[serde(default)]
    candidate_ids: Vec<String>,
    /// Of a question: what the selection says.
    #[serde(rename = "Selection")]
    said: Option<Value>,
    is_write_in: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Candidate<'a> {
    #[serde(rename = "@id", borrow)]
    id: Cow<'a, str>,
    name: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    #[serde(borrow)]
    current_snapshot_id: Option<Cow<'a, str>>,
    #[serde(rename = "CVRSnapshot", borrow, default)]
    snapshots: Vec<Snapshot<'a>>,
}

#[derive(Deserialize)]
struct Snapshot<'a> {
    #[serde(rename = "@id", borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(rename = "CVRContest", borrow, default)]
    contests: Vec<RecordContest<'a>>,
}

#[derive(Deserialize)]
struct RecordContest<'a> {
    #[serde(rename = "ContestId", borrow)]
    contest: Cow<'a, str>,
    #[serde(rename = "CVRContestSelection", borrow, default)]
    selections: Vec<RecordSelection<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordSelection<'a> {
    #[serde(borrow)]
    contest_selection_id: Option<Cow<'a, str>>,
    rank: Option<usize>,
    #[serde(borrow, default)]
    selection_position: Vec<Position<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Position<'a> {
    #[serde(borrow)]
    has_indication: Option<Cow<'a, str>>,
    #[serde(borrow)]
    is_allocable: Option<Cow<'a, str>>,
    rank: Option<usize>,
    #[serde(rename = "CVRWriteIn")]
    write_in: Option<IgnoredAny>,
}

/// Whether a JSON text is a report of cast vote records.
pub(super) fn is_report(text: &str) -> bool {
    serde_json::from_str(text).is_ok_and(|probe: Probe<'_>| {
        probe.kind.is_some_and(|kind| kind.ends_with("CastVoteRecordReport")) || probe.records.is_some()
    })
}

/// The contest that is counted: its options, and what its selections mean.
struct Counted<'a> {
    id: &'a str,
    options: Vec<String>,
    /// By the selection's id; none for a write-in.
    selections: BTreeMap<&'a str, Option<OptionIndex>>,
    write_ins: Option<OptionIndex>,
    ranked: bool,
}

/// Reads one contest of a report.
pub(super) fn read(text: &str, contest: Option<&str>) -> Result<Election, FormatError> {
    let source = Source(text);
    let report: Report<'_> = source.parse()?;
    let (part, chosen) = choose(&report, contest)?;
    let mut counted = Counted::new(part, chosen)?;
    let mut rows = Vec::new();
    for raw in &report.records {
        let record: Record<'_> = source.part(raw)?;
        let marks = counted.marks(&record).map_err(|message| source.error(raw, message))?;
        for ballot in marks {
            rows.push(Row { ballot, scores: None, count: 1, weight: Weight::ONE });
        }
    }
    let mut rules = Rules::default();
    if counted.write_ins.is_some() && counted.ranked {
        rules.read("undeclared_write_ins", WRITE_INS.into(), Place { line: 1, column: 1 });
    }
    let election = Election {
        format: Format::CastVoteRecords,
        title: chosen.name.as_ref().and_then(text_of).or_else(|| Some(chosen.id.to_string())),
        options: counted.options,
        withdrawn: Vec::new(),
        seats: chosen.number_elected.filter(|seats| (1..=OPTIONS_MAX).contains(seats)),
        method: None,
        rules,
        rows,
        pairwise: None,
    };
    Ok(election.finish(&[]))
}

/// The contest that is meant: by its name or id, or the only one there is.
fn choose<'a, 'b>(
    report: &'b Report<'a>,
    wanted: Option<&str>,
) -> Result<(&'b ElectionPart<'a>, &'b Contest<'a>), FormatError> {
    let all =
        || report.election.iter().flat_map(|part| part.contest.iter().map(move |contest| (part, contest)));
    let name = |contest: &Contest<'_>| contest.name.as_ref().and_then(text_of);
    let names: Vec<_> = all()
        .take(CONTESTS_SHOWN_MAX)
        .map(|(_, contest)| name(contest).unwrap_or_else(|| contest.id.to_string()))
        .map(|name| shown(&name))
        .collect();
    let error = |message: String| FormatError::new(Place { line: 1, column: 1 }, message);
    match wanted {
        Some(wanted) => all()
            .find(|(_, contest)| contest.id == wanted || name(contest).as_deref() == Some(wanted))
            .ok_or_else(|| {
                error(format!("no contest is called {}; there are {}", shown(wanted), names.join(", ")))
            }),
        None => match (all().next(), all().nth(1)) {
            (Some(only), None) => Ok(only),
            (None, _) => {
                Err(error("the report describes no contest; expected Election with Contest".to_owned()))
            }
            (Some(_), Some(_)) => {
                Err(error(format!("the report has several contests; name one of {}", names.join(", "))))
            }
        },
    }
}

impl<'a> Counted<'a> {
    fn new(part: &'a ElectionPart<'_>, contest: &'a Contest<'_>) -> Result<Self, FormatError> {
        let names: BTreeMap<&str, String> = part
            .candidate
            .iter()
            .filter_map(|candidate| Some((candidate.id.as_ref(), candidate.name.as_ref().and_then(text_of)?)))
            .collect();
        let (mut options, mut selections) = (Vec::new(), BTreeMap::new());
        for selection in &contest.selections {
            if selection.is_write_in == Some(true) {
                selections.insert(selection.id.as_ref(), None);
                continue;
            }
            let candidates: Vec<_> =
                selection.candidate_ids.iter().filter_map(|id| names.get(id.as_str()).cloned()).collect();
            let said = selection.said.as_ref().and_then(text_of);
            let name = if candidates.is_empty() { said } else { Some(candidates.join(" / ")) };
            selections.insert(selection.id.as_ref(), OptionIndex::try_from(options.len()).ok());
            options.push(name.unwrap_or_else(|| selection.id.to_string()));
        }
        // The write-ins may need one more.
        if options.len() >= OPTIONS_MAX {
            let message = format!("the contest has more than {} options", OPTIONS_MAX - 1);
            return Err(FormatError::new(Place { line: 1, column: 1 }, message));
        }
        let variation = contest.vote_variation.as_deref();
        let ranked = matches!(variation, None | Some("rcv" | "borda" | "other" | "proportional"));
        Ok(Self { id: &contest.id, options, selections, write_ins: None, ranked })
    }

    /// The ballots of this contest in one record: none where the voter did not have the contest.
    fn marks(&mut self, record: &Record<'_>) -> Result<Vec<Ballot>, String> {
        let snapshot = match &record.current_snapshot_id {
            Some(current) => {
                let found = record.snapshots.iter().find(|snapshot| snapshot.id.as_ref() == Some(current));
                found.ok_or_else(|| format!("the current snapshot {} is not there", shown(current)))?
            }
            None => match &record.snapshots[..] {
                [only] => only,
                _ => {
                    return Err("expected CurrentSnapshotId, as there is not just one CVRSnapshot".to_owned());
                }
            },
        };
        let id = self.id;
        let contests = snapshot.contests.iter().filter(|contest| contest.contest == id);
        contests.map(|contest| self.ballot(contest)).collect()
    }

    fn ballot(&mut self, contest: &RecordContest<'_>) -> Result<Ballot, String> {
        let mut ranks: BTreeMap<usize, Vec<OptionIndex>> = BTreeMap::new();
        let mut choices = Vec::new();
        for selection in &contest.selections {
            for position in selection.selection_position.iter().filter(|position| position.is_mark()) {
                let option = self.option(selection, position)?;
                if !self.ranked {
                    choices.push(option);
                    continue;
                }
                let rank = position.rank.or(selection.rank).ok_or("expected Rank in a ranked contest")?;
                if !(1..=RANKS_MAX).contains(&rank) {
                    return Err(format!("the rank {rank} is not from 1 to {RANKS_MAX}"));
                }
                ranks.entry(rank).or_default().push(option);
            }
        }
        if !self.ranked {
            choices.sort_unstable();
            choices.dedup();
            return Ok(Ballot::Choices(choices));
        }
        let last = ranks.keys().next_back().copied().unwrap_or(0);
        let ranking = (1..=last).map(|rank| ranks.remove(&rank).map_or(Rank::Skipped, rank_of));
        Ok(Ballot::Ranking(ranking.collect()))
    }

    fn option(
        &mut self,
        selection: &RecordSelection<'_>,
        position: &Position<'_>,
    ) -> Result<OptionIndex, String> {
        let id = selection.contest_selection_id.as_deref();
        let known = id.map(|id| {
            self.selections.get(id).copied().ok_or_else(|| format!("no selection has the id {}", shown(id)))
        });
        match known.transpose()? {
            Some(Some(option)) if position.write_in.is_none() => Ok(option),
            None if position.write_in.is_none() => {
                Err("expected ContestSelectionId or CVRWriteIn".to_owned())
            }
            _ => Ok(self.write_ins()),
        }
    }

    fn write_ins(&mut self) -> OptionIndex {
        let new = OptionIndex::try_from(self.options.len()).unwrap_or(OptionIndex::MAX);
        *self.write_ins.get_or_insert_with(|| {
            self.options.push(WRITE_INS.to_owned());
            new
        })
    }
}

impl Position<'_> {
    fn is_mark(&self) -> bool {
        self.has_indication.as_deref() != Some("no") && self.is_allocable.as_deref() != Some("no")
    }
}

/// A text, or the first of its languages.
fn text_of(value: &Value) -> Option<String> {
    let text = value.as_str().or_else(|| value["Text"][0]["Content"].as_str());
    text.map(str::to_owned)
}
