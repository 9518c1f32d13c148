//! The form of a vote: for every form of ballot the plainest control that a browser has.

use canvass_domain::{
    Poll,
    method::{BallotForm, Method},
    poll::{Access, PollOption, Revote},
};

use super::{
    entered::{Entered, bounds},
    texts::PageTexts,
    words,
};
use crate::limits::{FORM_RANKS_LISTED_MAX, FORM_SCALE_STEPS_MAX};

/// A form to vote with, filled in with what was entered before.
#[expect(clippy::struct_excessive_bools, reason = "the template asks each of them by itself")]
pub(crate) struct VoteForm<'a> {
    /// The idempotency keys of the vote and of its withdrawal: a form that is sent twice counts once.
    pub(crate) key: String,
    pub(crate) withdrawal_key: String,
    pub(crate) hint: String,
    /// What the script says, as JSON, and how it helps.
    pub(crate) words: String,
    pub(crate) help: Help,
    pub(crate) options: Vec<OptionField<'a>>,
    pub(crate) dimensions: Vec<DimensionField<'a>>,
    pub(crate) asks_name: bool,
    pub(crate) voter: &'a str,
    pub(crate) asks_code: bool,
    pub(crate) code: &'a str,
    pub(crate) takes_write_in: bool,
    pub(crate) write_in: &'a str,
    pub(crate) can_change: bool,
    /// Whether the device is the voter.
    pub(crate) knows_device: bool,
}

/// How a script can make a form easier. The fields stay those of the plain form.
pub(crate) enum Help {
    None,
    /// Options are put in order; `alike` where two may share a rank.
    Ranks {
        alike: bool,
    },
    /// So much is spread over the options; `squared` where an option costs the square of its number.
    Budget {
        total: u32,
        squared: bool,
    },
}

/// An option with its control.
pub(crate) struct OptionField<'a> {
    pub(crate) id: &'a str,
    pub(crate) label: &'a str,
    pub(crate) control: Control<'a>,
}

/// What an option is marked with.
pub(crate) enum Control<'a> {
    /// A radio button or a checkbox.
    Pick { kind: &'static str, checked: bool },
    /// A row of numbers to choose from.
    Scale { steps: Vec<Step> },
    /// The same as a list.
    Select { steps: Vec<Step> },
    /// A field for a number.
    Number { least: i64, most: i64, entered: &'a str },
}

/// One of the values to choose from.
pub(crate) struct Step {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) chosen: bool,
}

/// What the voter may tell.
pub(crate) struct DimensionField<'a> {
    pub(crate) name: &'a str,
    /// None where any value goes.
    pub(crate) values: Option<Vec<Step>>,
    pub(crate) entered: &'a str,
}

impl<'a> VoteForm<'a> {
    pub(crate) fn new(
        texts: &PageTexts,
        poll: &'a Poll,
        entered: &'a Entered,
        [key, withdrawal_key]: [String; 2],
    ) -> Self {
        Self {
            key,
            withdrawal_key,
            hint: words::of_ballot(texts, poll),
            words: serde_json::to_string(&texts.script).expect("texts are JSON"),
            help: help(&poll.method),
            options: poll.options.iter().map(|option| option_field(poll, option, entered)).collect(),
            dimensions: poll.demographics.iter().map(|known| dimension_field(known, entered)).collect(),
            asks_name: poll.access == Access::Open,
            voter: entered.text("voter"),
            asks_code: poll.access == Access::Code,
            code: entered.text("code"),
            takes_write_in: poll.write_in && poll.access != Access::Code,
            write_in: entered.write_in(),
            can_change: poll.revote == Revote::UntilClose,
            knows_device: poll.access == Access::Public,
        }
    }
}

fn help(method: &Method) -> Help {
    match method {
        Method::Dot { dots, .. } => Help::Budget { total: *dots, squared: false },
        Method::Quadratic { credits, .. } => Help::Budget { total: *credits, squared: true },
        method if method.form() == BallotForm::Ranking => {
            Help::Ranks { alike: !words::is_equal_rank_an_error(method) }
        }
        _ => Help::None,
    }
}

fn option_field<'a>(poll: &Poll, option: &'a PollOption, entered: &'a Entered) -> OptionField<'a> {
    let id = option.id.as_str();
    OptionField { id, label: &option.label, control: control(poll, id, entered) }
}

fn control<'a>(poll: &Poll, id: &str, entered: &'a Entered) -> Control<'a> {
    let (least, most) = bounds(&poll.method, poll.options.len());
    let mark = entered.mark(id);
    match poll.method.form() {
        BallotForm::Choice => Control::Pick { kind: "radio", checked: entered.has_chosen(id) },
        BallotForm::Choices => Control::Pick { kind: "checkbox", checked: entered.has_chosen(id) },
        BallotForm::Scores if most - least < FORM_SCALE_STEPS_MAX => {
            Control::Scale { steps: steps(least, most, mark) }
        }
        BallotForm::Ranking if most <= FORM_RANKS_LISTED_MAX => {
            Control::Select { steps: steps(least, most, mark) }
        }
        _ => Control::Number { least, most, entered: mark },
    }
}

/// Numbers to choose from, and before them no number at all.
fn steps(least: i64, most: i64, mark: &str) -> Vec<Step> {
    let none = Step { value: String::new(), label: "–".to_owned(), chosen: mark.is_empty() };
    let step = |number: i64| {
        let value = number.to_string();
        Step { label: value.clone(), chosen: value == mark, value }
    };
    std::iter::once(none).chain((least..=most).map(step)).collect()
}

fn dimension_field<'a>(
    (name, values): (&'a String, &'a Option<Vec<String>>),
    entered: &'a Entered,
) -> DimensionField<'a> {
    let told = entered.told(name);
    let step = |value: &String| Step { value: value.clone(), label: value.clone(), chosen: value == told };
    let values = values.as_ref().map(|values| values.iter().map(step).collect());
    DimensionField { name, values, entered: told }
}
