//! Ballots as callers write them, by option id, and the check that turns one into marks by option index.

use std::{borrow::Cow, fmt};

use canvass_counting::{Ballot, OptionIndex, Rank};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::{SerializeMap, SerializeSeq},
};

use crate::{
    limits::{OPTIONS_MAX, RANKS_MAX},
    method::{BallotForm, Method, STAR_SCORE_MAX},
    poll::Poll,
    refusal::Invalid,
};

/// A ballot as a caller writes it: exactly one of the five forms. It borrows from the request where it can.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a ballot as an object")]
pub struct BallotInput<'a> {
    /// One option.
    #[serde(borrow, deserialize_with = "borrowed")]
    pub choice: Option<Cow<'a, str>>,
    /// Several options.
    #[serde(borrow)]
    pub choices: Option<Vec<Cow<'a, str>>>,
    /// Options from the most preferred down.
    #[serde(borrow)]
    pub ranking: Option<Vec<RankInput<'a>>>,
    /// A score for some or all options.
    #[serde(borrow)]
    pub scores: Option<Marks<'a>>,
    /// Dots or votes for some or all options.
    #[serde(borrow)]
    pub allocation: Option<Marks<'a>>,
}

/// One rank: an option, several at once, or none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum RankInput<'a> {
    /// One option.
    One(#[serde(borrow)] Cow<'a, str>),
    /// Several at this rank.
    Equal(#[serde(borrow)] Vec<Cow<'a, str>>),
    /// A skipped rank.
    Skipped,
}

/// Numbers by option id in the order written, repeated names kept so that they can be refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks<'a>(pub Vec<(Cow<'a, str>, i32)>);

impl<'de: 'a, 'a> Deserialize<'de> for Marks<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MarksVisitor;

        impl<'de> Visitor<'de> for MarksVisitor {
            type Value = Marks<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of whole numbers by option id")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Marks<'de>, A::Error> {
                let mut marks = Vec::new();
                while let Some((BorrowedText(id), number)) = map.next_entry()? {
                    marks.push((id, number));
                }
                Ok(Marks(marks))
            }
        }

        deserializer.deserialize_map(MarksVisitor)
    }
}

/// A text that borrows from the input where it holds no escapes; plain `Cow` keys never do.
#[derive(Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

/// Of an `Option<Cow<str>>` serde always makes a copy; most ballots are one choice, so it is worth avoiding.
fn borrowed<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    Ok(Option::<BorrowedText<'a>>::deserialize(deserializer)?.map(|BorrowedText(text)| text))
}

impl<'a> BallotInput<'a> {
    /// A ballot for one option.
    pub fn choice(id: impl Into<Cow<'a, str>>) -> Self {
        Self { choice: Some(id.into()), ..Self::default() }
    }

    /// The marks of this ballot in a poll, or what is wrong with it.
    pub fn read(&self, poll: &Poll) -> Result<Ballot, Invalid> {
        let forms = [
            self.choice.is_some(),
            self.choices.is_some(),
            self.ranking.is_some(),
            self.scores.is_some(),
            self.allocation.is_some(),
        ];
        if forms.iter().filter(|&&given| given).count() != 1 {
            return Err(wrong_form(poll));
        }
        match (poll.method.form(), self) {
            (BallotForm::Choice, Self { choice: Some(id), .. }) => {
                Ok(Ballot::Choices(vec![index_of(poll, "ballot.choice", id)?]))
            }
            (BallotForm::Choices, Self { choices: Some(ids), .. }) => read_choices(poll, ids),
            (BallotForm::Ranking, Self { ranking: Some(ranks), .. }) => read_ranking(poll, ranks),
            (BallotForm::Scores, Self { scores: Some(marks), .. }) => read_scores(poll, marks),
            (BallotForm::Allocation, Self { allocation: Some(marks), .. }) => read_allocation(poll, marks),
            _ => Err(wrong_form(poll)),
        }
    }
}

fn wrong_form(poll: &Poll) -> Invalid {
    let form = match poll.method.form() {
        BallotForm::Choice => r#"{"choice": "…"}"#,
        BallotForm::Choices => r#"{"choices": ["…"]}"#,
        BallotForm::Ranking => r#"{"ranking": ["…"]}"#,
        BallotForm::Scores => r#"{"scores": {"…": 0}}"#,
        BallotForm::Allocation => r#"{"allocation": {"…": 0}}"#,
    };
    Invalid::new("ballot", format!("a ballot of {} is written {form}", poll.method.name()))
}

fn read_choices(poll: &Poll, ids: &[Cow<'_, str>]) -> Result<Ballot, Invalid> {
    let mut choices = distinct_indexes(poll, "ballot.choices", ids)?;
    choices.sort_unstable();
    if let Method::Approval { max_choices: Some(most) } = poll.method
        && choices.len() > usize::from(most)
    {
        return Err(Invalid::new("ballot.choices", format!("at most {most} choices")));
    }
    Ok(Ballot::Choices(choices))
}

fn read_ranking(poll: &Poll, ranks: &[RankInput<'_>]) -> Result<Ballot, Invalid> {
    const FIELD: &str = "ballot.ranking";
    if ranks.len() > RANKS_MAX {
        return Err(Invalid::new(FIELD, format!("at most {RANKS_MAX} ranks")));
    }
    let mut seen = vec![false; poll.options.len()];
    let mut read = Vec::with_capacity(ranks.len());
    for rank in ranks {
        let ids = match rank {
            RankInput::Skipped => &[][..],
            RankInput::One(id) => std::slice::from_ref(id),
            RankInput::Equal(ids) => ids,
        };
        let mut indexes = distinct_indexes(poll, FIELD, ids)?;
        indexes.sort_unstable();
        for &index in &indexes {
            if std::mem::replace(&mut seen[usize::from(index)], true) {
                return Err(repeated(FIELD, poll, index));
            }
        }
        read.push(match indexes[..] {
            [] => Rank::Skipped,
            [index] => Rank::One(index),
            _ => Rank::Equal(indexes),
        });
    }
    while read.last() == Some(&Rank::Skipped) {
        read.pop();
    }
    Ok(Ballot::Ranking(read))
}

fn read_scores(poll: &Poll, marks: &Marks<'_>) -> Result<Ballot, Invalid> {
    let (least, most) = match poll.method {
        Method::Score { min, max, .. } => (min, max),
        _ => (0, STAR_SCORE_MAX),
    };
    let scores = read_marks(poll, "ballot.scores", marks)?;
    if scores.iter().any(|(_, score)| !(least..=most).contains(score)) {
        return Err(Invalid::new("ballot.scores", format!("scores from {least} to {most}")));
    }
    Ok(Ballot::Scores(scores))
}

fn read_allocation(poll: &Poll, marks: &Marks<'_>) -> Result<Ballot, Invalid> {
    const FIELD: &str = "ballot.allocation";
    let mut given = read_marks(poll, FIELD, marks)?;
    given.retain(|(_, number)| *number != 0);
    let cost: i64 = match poll.method {
        Method::Quadratic { .. } => {
            given.iter().map(|(_, votes)| i64::from(*votes).pow(2)).fold(0, i64::saturating_add)
        }
        _ => given.iter().map(|(_, dots)| i64::from(*dots)).sum(),
    };
    let fault = match poll.method {
        Method::Quadratic { negative_votes: false, .. } if given.iter().any(|(_, votes)| *votes < 0) => {
            Some("votes are 0 or more".to_owned())
        }
        Method::Quadratic { credits, .. } if cost > i64::from(credits) => {
            Some(format!("these votes cost {cost} of {credits} credits"))
        }
        Method::Dot { .. } if given.iter().any(|(_, dots)| *dots < 0) => {
            Some("dots are 0 or more".to_owned())
        }
        Method::Dot { dots, .. } if cost > i64::from(dots) => {
            Some(format!("{cost} of {dots} dots were given"))
        }
        Method::Dot { max_per_option: Some(most), .. }
            if given.iter().any(|(_, dots)| i64::from(*dots) > i64::from(most)) =>
        {
            Some(format!("at most {most} dots for one option"))
        }
        _ => None,
    };
    fault.map_or(Ok(Ballot::Allocation(given)), |reason| Err(Invalid::new(FIELD, reason)))
}

fn read_marks(poll: &Poll, field: &str, marks: &Marks<'_>) -> Result<Vec<(OptionIndex, i32)>, Invalid> {
    if marks.0.len() > OPTIONS_MAX {
        return Err(Invalid::new(field, "more entries than options"));
    }
    let mut read = Vec::with_capacity(marks.0.len());
    for (id, number) in &marks.0 {
        read.push((index_of(poll, field, id)?, *number));
    }
    read.sort_unstable_by_key(|(index, _)| *index);
    match read.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(repeated(field, poll, pair[0].0)),
        None => Ok(read),
    }
}

fn distinct_indexes(poll: &Poll, field: &str, ids: &[Cow<'_, str>]) -> Result<Vec<OptionIndex>, Invalid> {
    if ids.len() > OPTIONS_MAX {
        return Err(Invalid::new(field, "more entries than options"));
    }
    let mut indexes = Vec::with_capacity(ids.len());
    for id in ids {
        indexes.push(index_of(poll, field, id)?);
    }
    let mut sorted = indexes.clone();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(repeated(field, poll, pair[0])),
        None => Ok(indexes),
    }
}

fn index_of(poll: &Poll, field: &str, id: &str) -> Result<OptionIndex, Invalid> {
    poll.option_index(id).ok_or_else(|| Invalid::new(field, "names an option that the poll does not have"))
}

fn repeated(field: &str, poll: &Poll, index: OptionIndex) -> Invalid {
    Invalid::new(field, format!("names {} more than once", poll.options[usize::from(index)].id))
}

/// A ballot by option id, as callers read it. Its JSON is the form that they write.
#[derive(Clone, Copy, Debug)]
pub struct BallotView<'a> {
    /// The poll that knows the option ids.
    pub poll: &'a Poll,
    /// The marks.
    pub ballot: &'a Ballot,
}

impl BallotView<'_> {
    fn id(&self, index: OptionIndex) -> &str {
        // A ballot was read against this poll, whose options never shrink once a vote is in.
        self.poll.options.get(usize::from(index)).map_or("", |option| option.id.as_str())
    }
}

impl Serialize for BallotView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self.ballot {
            Ballot::Choices(choices) if self.poll.method.form() == BallotForm::Choice => {
                map.serialize_entry("choice", &choices.first().map(|index| self.id(*index)))?;
            }
            Ballot::Choices(choices) => {
                let ids: Vec<_> = choices.iter().map(|index| self.id(*index)).collect();
                map.serialize_entry("choices", &ids)?;
            }
            Ballot::Ranking(ranks) => {
                map.serialize_entry("ranking", &RanksView { view: self, ranks })?;
            }
            Ballot::Scores(marks) => {
                map.serialize_entry("scores", &MarksView { view: self, marks })?;
            }
            Ballot::Allocation(marks) => {
                map.serialize_entry("allocation", &MarksView { view: self, marks })?;
            }
        }
        map.end()
    }
}

struct RanksView<'a> {
    view: &'a BallotView<'a>,
    ranks: &'a [Rank],
}

impl Serialize for RanksView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.ranks.len()))?;
        for rank in self.ranks {
            match rank {
                Rank::One(index) => list.serialize_element(self.view.id(*index))?,
                Rank::Equal(indexes) => {
                    let ids: Vec<_> = indexes.iter().map(|index| self.view.id(*index)).collect();
                    list.serialize_element(&ids)?;
                }
                Rank::Skipped | Rank::Overvote => list.serialize_element(&())?,
            }
        }
        list.end()
    }
}

struct MarksView<'a> {
    view: &'a BallotView<'a>,
    marks: &'a [(OptionIndex, i32)],
}

impl Serialize for MarksView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.marks.iter().map(|(index, number)| (self.view.id(*index), number)))
    }
}
