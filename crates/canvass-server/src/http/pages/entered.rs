//! What a voter entered into a form: read as a ballot, and shown again where it cannot be taken.

use std::borrow::Cow;

use canvass_domain::{
    Ballot, IdempotencyKey, Poll, Rank,
    ballot::{BallotInput, Marks, RankInput},
    method::{BallotForm, Method},
    vote::Marked,
};

use super::words::is_equal_rank_an_error;
use crate::service::{answer::answers, vote_request::Told};

/// The fields of a form, in the order sent.
#[derive(Default)]
pub(crate) struct Entered(Vec<(String, String)>);

/// Why what was entered is no ballot.
pub(crate) enum Unmarked {
    Empty,
    /// A mark is no whole number.
    Number,
    /// A rank is not 1 to the number of options.
    Rank {
        most: usize,
    },
    /// Two options have a rank that one may have.
    Shared {
        place: usize,
    },
}

const OPTION: &str = "option";
const MARK: &str = "mark.";
const TELL: &str = "tell.";
const WRITE_IN: &str = "writeIn";

impl Entered {
    /// Reads `application/x-www-form-urlencoded`.
    pub(crate) fn read(body: &[u8]) -> Self {
        let fields = form_urlencoded::parse(body);
        Self(fields.map(|(name, value)| (name.into_owned(), value.trim().to_owned())).collect())
    }

    /// What a voter would enter to cast a vote that is there.
    pub(crate) fn again(poll: &Poll, marked: &Marked) -> Self {
        let id = |index: u16| poll.option_id(index).map(|id| id.to_string()).unwrap_or_default();
        let mark = |index: u16, number: String| (format!("{MARK}{}", id(index)), number);
        let mut fields: Vec<_> = match &marked.ballot {
            Ballot::Choices(chosen) => chosen.iter().map(|index| (OPTION.to_owned(), id(*index))).collect(),
            Ballot::Scores(marks) | Ballot::Allocation(marks) => {
                marks.iter().map(|(index, number)| mark(*index, number.to_string())).collect()
            }
            Ballot::Ranking(ranks) => (1_usize..)
                .zip(ranks)
                .flat_map(|(place, rank)| options_at(rank).iter().map(move |index| (place, *index)))
                .map(|(place, index)| mark(index, place.to_string()))
                .collect(),
        };
        fields.extend(answers(poll, marked).map(|(name, value)| (format!("{TELL}{name}"), value.to_owned())));
        Self(fields)
    }

    /// Fields with their texts.
    pub(crate) fn of(fields: Vec<(String, String)>) -> Self {
        Self(fields)
    }

    /// The same with one field more.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with some fields empty.
    pub(crate) fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|(name, _)| !names.contains(&name.as_str()));
        self
    }

    /// All values of a field.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A field's text; empty where it was left empty or not sent.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// The number for an option, as it was entered.
    pub(crate) fn mark(&self, option: &str) -> &str {
        let named = |name: &str| name.strip_prefix(MARK) == Some(option);
        self.0.iter().find(|(name, _)| named(name)).map_or("", |(_, value)| value.as_str())
    }

    /// What was told for a dimension.
    pub(crate) fn told(&self, dimension: &str) -> &str {
        let named = |name: &str| name.strip_prefix(TELL) == Some(dimension);
        self.0.iter().find(|(name, _)| named(name)).map_or("", |(_, value)| value.as_str())
    }

    /// The option that is written in.
    pub(crate) fn write_in(&self) -> &str {
        self.text(WRITE_IN)
    }

    /// Whether an option was chosen.
    pub(crate) fn has_chosen(&self, option: &str) -> bool {
        self.chosen().any(|chosen| chosen == option)
    }

    /// The name that the form was given for its request.
    pub(crate) fn idempotency_key(&self) -> Option<IdempotencyKey> {
        self.text("key").parse().ok()
    }

    /// What the voter tells; what is left empty is not told.
    pub(crate) fn all_told(&self) -> Told<'_> {
        let filled = self.0.iter().filter(|(_, value)| !value.is_empty());
        let told = filled.filter_map(|(name, value)| {
            Some((Cow::Borrowed(name.strip_prefix(TELL)?), Cow::Borrowed(value.as_str())))
        });
        Told(told.collect())
    }

    /// The ballot as a caller of the API would write it.
    ///
    /// # Errors
    /// Nothing is marked, or a mark is no number. All else is for the poll's rules to refuse.
    pub(crate) fn ballot(&self, poll: &Poll) -> Result<BallotInput<'_>, Unmarked> {
        let ballot = match poll.method.form() {
            BallotForm::Choice => BallotInput { choice: self.choice(poll), ..BallotInput::default() },
            BallotForm::Choices => {
                let chosen: Vec<_> = self.chosen().map(Cow::Borrowed).collect();
                BallotInput {
                    choices: Some(chosen).filter(|chosen| !chosen.is_empty()),
                    ..BallotInput::default()
                }
            }
            BallotForm::Ranking => {
                let marks = self.marks()?;
                let ranking = if marks.is_empty() { None } else { Some(ranking(poll, &marks)?) };
                BallotInput { ranking, ..BallotInput::default() }
            }
            BallotForm::Scores => BallotInput { scores: self.numbers()?, ..BallotInput::default() },
            BallotForm::Allocation => BallotInput { allocation: self.numbers()?, ..BallotInput::default() },
        };
        if ballot == BallotInput::default() { Err(Unmarked::Empty) } else { Ok(ballot) }
    }

    fn chosen(&self) -> impl Iterator<Item = &str> {
        self.all(OPTION)
    }

    fn choice(&self, poll: &Poll) -> Option<Cow<'_, str>> {
        let written = Some(self.write_in()).filter(|text| poll.write_in && !text.is_empty());
        written.or_else(|| self.chosen().next()).map(Cow::Borrowed)
    }

    /// The marks that are not empty, by option.
    fn marks(&self) -> Result<Vec<(&str, i32)>, Unmarked> {
        let filled = self.0.iter().filter(|(_, value)| !value.is_empty());
        let marked = filled.filter_map(|(name, value)| Some((name.strip_prefix(MARK)?, value)));
        let read = |(option, value): (_, &String)| match value.parse() {
            Ok(number) => Ok((option, number)),
            Err(_) => Err(Unmarked::Number),
        };
        marked.map(read).collect()
    }

    fn numbers(&self) -> Result<Option<Marks<'_>>, Unmarked> {
        let marks = self.marks()?;
        let borrowed = marks.into_iter().map(|(option, number)| (Cow::Borrowed(option), number)).collect();
        Ok(Some(Marks(borrowed)).filter(|marks| !marks.0.is_empty()))
    }
}

/// The options at a rank.
pub(crate) fn options_at(rank: &Rank) -> &[u16] {
    match rank {
        Rank::One(index) => std::slice::from_ref(index),
        Rank::Equal(indexes) => indexes,
        Rank::Skipped | Rank::Overvote => &[],
    }
}

/// The ranking that numbers from 1 make. A number that is left out is a skipped rank.
fn ranking<'a>(poll: &Poll, marks: &[(&'a str, i32)]) -> Result<Vec<RankInput<'a>>, Unmarked> {
    let most = poll.options.len();
    let mut ranks: Vec<Vec<Cow<'a, str>>> = vec![Vec::new(); most];
    for (option, place) in marks {
        let rank = usize::try_from(*place).ok().and_then(|place| ranks.get_mut(place.checked_sub(1)?));
        rank.ok_or(Unmarked::Rank { most })?.push(Cow::Borrowed(option));
    }
    let shared = ranks.iter().position(|rank| rank.len() > 1);
    if let Some(place) = shared.filter(|_| is_equal_rank_an_error(&poll.method)) {
        return Err(Unmarked::Shared { place: place + 1 });
    }
    let last = ranks.iter().rposition(|rank| !rank.is_empty()).map_or(0, |last| last + 1);
    Ok(ranks.into_iter().take(last).map(rank_input).collect())
}

fn rank_input(mut options: Vec<Cow<'_, str>>) -> RankInput<'_> {
    match options.len() {
        0 => RankInput::Skipped,
        1 => options.pop().map_or(RankInput::Skipped, RankInput::One),
        _ => RankInput::Equal(options),
    }
}

/// The lowest and the highest number that a form offers for an option.
pub(crate) fn bounds(method: &Method, options: usize) -> (i64, i64) {
    match method {
        Method::Score { min, max, .. } => ((*min).into(), (*max).into()),
        Method::Star {} => (0, 5),
        Method::Quadratic { credits, negative_votes } => {
            let most = i64::from(credits.isqrt());
            (if *negative_votes { -most } else { 0 }, most)
        }
        Method::Dot { dots, max_per_option } => (0, max_per_option.unwrap_or(*dots).min(*dots).into()),
        _ => (1, i64::try_from(options).unwrap_or(i64::MAX)),
    }
}
