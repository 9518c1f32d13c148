//! What pages say of states, times, numbers and refusals.

use std::borrow::Cow;

use canvass_domain::{
    Poll, Refusal, Timestamp,
    limits::VOTER_BYTES_MAX,
    method::{BallotForm, Method},
    poll::Status,
};

use crate::{http::problem::Kind, service::Failure};

/// What a voter is told of where a poll stands.
pub(crate) fn of_status(status: Status) -> &'static str {
    match status {
        Status::Draft => "This poll is being prepared. Nobody can vote yet.",
        Status::Scheduled => "This poll is not open yet.",
        Status::Open => "Open for votes.",
        Status::Paused => {
            "This poll is paused. No votes are taken for now; votes that were cast still count."
        }
        Status::Closed => "This poll is closed. No votes are taken any more.",
        Status::Certified => "This poll is closed. Its count was checked and is final.",
        Status::Archived => "This poll is over and put away.",
    }
}

/// The state of results.
pub(crate) fn of_results(status: Status) -> &'static str {
    match status {
        Status::Draft | Status::Scheduled => "Not open yet",
        Status::Open => "Open",
        Status::Paused => "Paused",
        Status::Closed => "Closed",
        Status::Certified | Status::Archived => "Final",
    }
}

/// What to do with a ballot.
pub(crate) fn of_ballot(poll: &Poll) -> Cow<'static, str> {
    let rank =
        "Number the options in your order: 1 is your first choice. Leave out those you do not want to rank.";
    match &poll.method {
        Method::Plurality {} => "Choose one.".into(),
        Method::Approval { max_choices: None } => "Choose as many as you like.".into(),
        Method::Approval { max_choices: Some(most) } => format!("Choose up to {most}.").into(),
        Method::Score { min, max, .. } => {
            format!("Give each option a score from {min} to {max}. One without a score is left out.").into()
        }
        Method::Star {} => {
            "Give each option 0 to 5 stars. The two with the most go to a runoff, where your vote \
                            goes to the one you gave more."
                .into()
        }
        Method::Quadratic { credits, negative_votes } => {
            let against = if *negative_votes { " Votes below 0 count against an option." } else { "" };
            format!("You have {credits} credits. Votes for one option cost their square: 1 costs 1, 2 cost 4, 3 cost 9.{against}")
                .into()
        }
        Method::Dot { dots, max_per_option: None } => format!("You have {dots} dots to spread.").into(),
        Method::Dot { dots, max_per_option: Some(most) } => {
            format!("You have {dots} dots to spread, at most {most} on one option.").into()
        }
        method if is_equal_rank_an_error(method) => format!("{rank} Give each number once.").into(),
        _ => format!("{rank} The same number twice means that you like both alike.").into(),
    }
}

/// Whether a ballot that gives two options the same rank may stop counting there, which no voter means.
pub(crate) fn is_equal_rank_an_error(method: &Method) -> bool {
    matches!(method, Method::Irv { .. } | Method::StvScottish {} | Method::StvMeek {})
}

/// What the main figure of an option is: the name of its field in the results, its heading, and what it tells.
pub(crate) fn of_figure(method: &Method) -> (&'static str, &'static str, &'static str) {
    match method {
        Method::Plurality {} => ("votes", "Votes", "Votes for each option."),
        Method::Approval { .. } => ("votes", "Votes", "Votes for each option. A ballot may choose several."),
        Method::Score { aggregate: canvass_domain::method::Aggregate::Mean, .. } => {
            ("mean", "Mean", "The mean of each option's scores.")
        }
        Method::Score { .. } => ("total", "Score", "The sum of each option's scores."),
        Method::Star {} => {
            ("total", "Score", "The sum of each option's scores; the two highest go to a runoff.")
        }
        Method::Borda { .. } => ("total", "Points", "Points for the ranks on every ballot."),
        Method::Quadratic { .. } => {
            ("total", "Votes", "Votes bought for each option, less those against it.")
        }
        Method::Dot { .. } => ("total", "Dots", "Dots for each option."),
        _ => (
            "votes",
            "First choices",
            "First choices. The ranks below them decide too, by the method of the poll.",
        ),
    }
}

/// Whether an option's share of the ballots says something beside its figure.
pub(crate) fn shows_share(method: &Method) -> bool {
    matches!(method.form(), BallotForm::Choice | BallotForm::Choices)
        || (method.form() == BallotForm::Ranking && !matches!(method, Method::Borda { .. }))
}

/// A moment as HTML, in UTC; the script tells it in the viewer's zone.
pub(crate) fn time(moment: Timestamp) -> String {
    let text = moment.to_string();
    let (day, minute) = (text.get(..10).unwrap_or(&text), text.get(11..16).unwrap_or_default());
    format!("<time datetime=\"{text}\">{day} {minute} UTC</time>")
}

/// A whole number with its thousands apart.
pub(crate) fn whole(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A decimal string to two places at most.
pub(crate) fn decimal(text: &str) -> String {
    let Ok(number) = text.parse::<f64>() else { return text.to_owned() };
    let rounded = format!("{:.2}", number.abs());
    let (whole_part, places) = rounded.split_once('.').unwrap_or((&rounded, ""));
    let places = places.trim_end_matches('0');
    let sign = if number < 0.0 && rounded != "0.00" { "-" } else { "" };
    let whole_part = whole_part.parse().map_or_else(|_| whole_part.to_owned(), whole);
    if places.is_empty() { format!("{sign}{whole_part}") } else { format!("{sign}{whole_part}.{places}") }
}

/// A refusal's heading, and what it means to who looks at a page.
pub(crate) fn of_failure(failure: &Failure) -> (&'static str, Cow<'static, str>) {
    let (heading, text) = match Kind::of(failure) {
        Kind::PollNotFound => (
            "There is no such poll",
            "Check the address: capital letters matter. The poll may also have been deleted.",
        ),
        Kind::MissingKey | Kind::MissingScope | Kind::UnknownKey => (
            "This is for the organiser",
            "Voting and results of this poll go through the organiser's own application. Ask there for the way in.",
        ),
        Kind::TooManyRequests | Kind::QuotaExceeded => (
            "Too many requests",
            "Too many came from your network at once. Wait a moment, then load the page again.",
        ),
        Kind::OutcomeUnknown => {
            ("We could not see whether that worked", "Send it again: it cannot count twice.")
        }
        Kind::ServerBusy | Kind::StorageUnavailable => {
            ("The server cannot do this now", "Nothing was changed. Try again in a moment.")
        }
        kind => return (kind.title(), Cow::Owned(reason(failure))),
    };
    (heading, Cow::Borrowed(text))
}

/// What a voter is told who cannot vote so.
pub(crate) fn of_refused_vote(failure: &Failure) -> Cow<'static, str> {
    match failure {
        Failure::AlreadyVoted { .. } => {
            "You have voted already, and in this poll a vote cannot be changed. Your first vote counts.".into()
        }
        Failure::Refused(Refusal::KeyReused) => {
            "This form was sent before with other marks. What was sent first counts; send it again to vote anew, \
             where the poll allows that."
                .into()
        }
        Failure::Refused(Refusal::CodeUnknown) => {
            "This is not one of the poll's codes. Check each letter and digit.".into()
        }
        Failure::Refused(Refusal::VoteNotFound) => "There is no vote to withdraw.".into(),
        Failure::Refused(Refusal::NotOpen { .. }) => "This vote was not taken.".into(),
        Failure::Refused(Refusal::Invalid(invalid)) if invalid.field == "voterId" => {
            format!("Write your name, in up to {VOTER_BYTES_MAX} letters.").into()
        }
        _ => {
            let (_, text) = of_failure(failure);
            text
        }
    }
}

/// Why, as a sentence. What is wrong with a field is said without the field's name in the API.
fn reason(failure: &Failure) -> String {
    let text = match failure {
        Failure::Refused(Refusal::Invalid(invalid)) => invalid.reason.clone(),
        other => other.to_string(),
    };
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
