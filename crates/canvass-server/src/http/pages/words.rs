//! What pages say of states, times, ballots, figures and refusals: which text is for what.

use canvass_domain::{
    Poll, Refusal, Timestamp,
    limits::VOTER_BYTES_MAX,
    method::{Aggregate, BallotForm, Method},
    poll::Status,
};

use super::{entered::Unmarked, texts::PageTexts};
use crate::{http::problem::Kind, service::Failure};

/// What a voter is told of where a poll stands.
pub(crate) fn of_status(texts: &PageTexts, status: Status) -> &str {
    let texts = &texts.state;
    match status {
        Status::Draft => &texts.draft,
        Status::Scheduled => &texts.scheduled,
        Status::Open => &texts.open,
        Status::Paused => &texts.paused,
        Status::Closed => &texts.closed,
        Status::Certified => &texts.certified,
        Status::Archived => &texts.archived,
    }
}

/// The state of results.
pub(crate) fn of_results(texts: &PageTexts, status: Status) -> &str {
    let texts = &texts.sign;
    match status {
        Status::Draft | Status::Scheduled => &texts.not_open,
        Status::Open => &texts.open,
        Status::Paused => &texts.paused,
        Status::Closed => &texts.closed,
        Status::Certified | Status::Archived => &texts.r#final,
    }
}

/// What to do with a ballot.
pub(crate) fn of_ballot(texts: &PageTexts, poll: &Poll) -> String {
    let ballot = &texts.ballot;
    match &poll.method {
        Method::Plurality {} => ballot.choose_one.clone(),
        Method::Approval { max_choices: None } => ballot.choose_any.clone(),
        Method::Approval { max_choices: Some(most) } => texts.count(&ballot.choose_up_to, u64::from(*most)),
        Method::Score { min, max, .. } => {
            ballot.score.fill(&[("least", &min.to_string()), ("most", &max.to_string())])
        }
        Method::Star {} => ballot.star.clone(),
        Method::Quadratic { credits, negative_votes } => {
            let credits = texts.count(&ballot.quadratic, u64::from(*credits));
            if *negative_votes { format!("{credits} {}", ballot.against) } else { credits }
        }
        Method::Dot { dots, max_per_option } => {
            let dots = texts.count(&ballot.dots, u64::from(*dots));
            let each = max_per_option.map(|most| texts.count(&ballot.dots_each, u64::from(most)));
            each.map_or_else(|| dots.clone(), |each| format!("{dots} {each}"))
        }
        method if is_equal_rank_an_error(method) => format!("{} {}", ballot.rank, ballot.rank_once),
        _ => format!("{} {}", ballot.rank, ballot.rank_alike),
    }
}

/// Whether a ballot that gives two options the same rank may stop counting there, which no voter means.
pub(crate) fn is_equal_rank_an_error(method: &Method) -> bool {
    matches!(method, Method::Irv { .. } | Method::StvScottish {} | Method::StvMeek {})
}

/// What the main figure of an option is: the name of its field in the results, its heading, and what it tells.
pub(crate) fn of_figure<'a>(texts: &'a PageTexts, method: &Method) -> (&'static str, &'a str, &'a str) {
    let texts = &texts.figure;
    match method {
        Method::Plurality {} => ("votes", &texts.votes, &texts.votes_note),
        Method::Approval { .. } => ("votes", &texts.votes, &texts.approvals_note),
        Method::Score { aggregate: Aggregate::Mean, .. } => ("mean", &texts.mean, &texts.mean_note),
        Method::Score { .. } => ("total", &texts.score, &texts.score_note),
        Method::Star {} => ("total", &texts.score, &texts.star_note),
        Method::Borda { .. } => ("total", &texts.points, &texts.points_note),
        Method::Quadratic { .. } => ("total", &texts.votes, &texts.bought_note),
        Method::Dot { .. } => ("total", &texts.dots, &texts.dots_note),
        _ => ("votes", &texts.first, &texts.first_note),
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
    format!("<time datetime=\"{text}\" dir=\"auto\">{day} {minute} UTC</time>")
}

/// A refusal's heading, and what it means to who looks at a page.
pub(crate) fn of_failure<'a>(texts: &'a PageTexts, failure: &Failure) -> (&'a str, &'a str) {
    let texts = &texts.notice;
    match Kind::of(failure) {
        Kind::PollNotFound => (&texts.no_poll, &texts.no_poll_text),
        Kind::MissingKey | Kind::MissingScope | Kind::UnknownKey => (&texts.not_yours, &texts.not_yours_text),
        Kind::TooManyRequests | Kind::QuotaExceeded => (&texts.too_many, &texts.too_many_text),
        Kind::OutcomeUnknown => (&texts.unknown, &texts.unknown_text),
        Kind::ServerBusy | Kind::StorageUnavailable => (&texts.busy, &texts.busy_text),
        _ => (&texts.refused, &texts.refused_text),
    }
}

/// What a voter is told who cannot vote so.
pub(crate) fn of_refused_vote(texts: &PageTexts, poll: &Poll, failure: &Failure) -> String {
    let refused = &texts.refused;
    match failure {
        Failure::AlreadyVoted { .. } => refused.voted.clone(),
        Failure::Refused(Refusal::KeyReused) => refused.key.clone(),
        Failure::Refused(Refusal::CodeUnknown) => refused.code.clone(),
        Failure::Refused(Refusal::VoteNotFound) => refused.no_vote.clone(),
        Failure::Refused(Refusal::NotOpen { .. }) => refused.not_open.clone(),
        Failure::Refused(Refusal::Invalid(invalid)) => match invalid.field.split('.').next() {
            Some("voterId") => refused.name.fill(&[("most", &texts.number.whole(VOTER_BYTES_MAX as u64))]),
            Some("demographics") => refused.told.clone(),
            _ => refused.rule.fill(&[("rule", &of_ballot(texts, poll))]),
        },
        _ => {
            let (heading, text) = of_failure(texts, failure);
            format!("{heading}. {text}")
        }
    }
}

/// What a voter is told whose form holds no ballot.
pub(crate) fn of_unmarked(texts: &PageTexts, unmarked: &Unmarked) -> String {
    let refused = &texts.refused;
    match unmarked {
        Unmarked::Empty => refused.empty.clone(),
        Unmarked::Number => refused.number.clone(),
        Unmarked::Rank { most } => refused.rank.fill(&[("most", &most.to_string())]),
        Unmarked::Shared { place } => refused.shared.fill(&[("place", &place.to_string())]),
    }
}
