//! The results of a poll to read or to watch, and the same for a large screen.

use std::fmt;

use askama::Template;
use axum::{http::StatusCode, response::Response};
use canvass_counting::{ElectedBecause, Inactive, Round, Step};
use canvass_domain::{
    Count, OptionId, Poll, Sequence,
    poll::{Access, ResultsVisible, Status},
    results::{Figure, OptionResult, Results, results},
};

use super::{Notice, same_site::host, show, vote, words};
use crate::{
    app::App,
    http::ask::Ask,
    limits::ROUND_FIGURES_MAX,
    service::{
        Failure,
        results::{Viewer, is_open_to_all},
    },
};

#[derive(Template)]
#[template(path = "results.html")]
#[expect(clippy::struct_excessive_bools, reason = "the template asks each of them by itself")]
struct ResultsPage<'a> {
    poll: &'a Poll,
    /// Whether it is for a large screen.
    projects: bool,
    /// How much such a screen has to hold.
    size: &'static str,
    sequence: Sequence,
    /// The status that the results tell, by which the script sees that more has changed than figures.
    status: Status,
    visible: bool,
    is_final: bool,
    /// Whether the stream tells this viewer as much as the page does.
    streams: bool,
    takes_votes: bool,
    state: &'static str,
    closes: Option<String>,
    votes: String,
    votes_word: &'static str,
    meaning: &'a str,
    /// The heading of the figures, and their field in the results.
    figure: &'static str,
    field: &'static str,
    shows_share: bool,
    /// What those who would win are called.
    leads: &'static str,
    rows: Vec<Row>,
    rounds: Option<Rounds>,
    updated_at: String,
    address: &'a str,
}

/// One option.
struct Row {
    id: OptionId,
    label: String,
    figure: String,
    share: String,
    /// The bar's length in percent.
    width: String,
    badge: &'static str,
}

/// The rounds of a count, each a column.
struct Rounds {
    left_out: usize,
    headings: Vec<String>,
    rows: Vec<RoundRow>,
    inactive: Vec<String>,
    thresholds: Vec<String>,
    has_threshold: bool,
}

struct RoundRow {
    label: String,
    cells: Vec<RoundCell>,
}

struct RoundCell {
    votes: String,
    word: &'static str,
}

/// The results to read, and to watch.
pub(crate) async fn read_results(app: App, ask: Ask) -> Result<Response, Failure> {
    results_page(&app, ask, false).await
}

/// The results from the back of a hall.
pub(crate) async fn read_projector(app: App, ask: Ask) -> Result<Response, Failure> {
    results_page(&app, ask, true).await
}

async fn results_page(app: &App, mut ask: Ask, projects: bool) -> Result<Response, Failure> {
    let id = ask.poll()?;
    let poll = app.poll(&id).await?;
    let holder = vote::holder(app, &poll, &ask);
    let viewer = Viewer { caller: &ask.caller, code: None, holder, voter: None, reveal: false };
    let seen = match app.see(&id, &viewer).await {
        Err(Failure::MissingKey) if poll.status == Status::Draft || poll.access == Access::Code => {
            return Ok(not_yet(&poll));
        }
        seen => seen?,
    };
    let (snapshot, count) = app.results_counted(&seen).await?;
    let poll = &*snapshot.poll;
    let results = results(poll, &snapshot.tally, count.as_deref());
    let (field, figure, meaning) = words::of_figure(&poll.method);
    let status = vote::status(app, poll);
    let takes_votes = status == Status::Open;
    let leads = leads(poll, results.is_final);
    let page = ResultsPage {
        poll,
        projects,
        size: size(poll.options.len()),
        sequence: results.sequence,
        status: results.status,
        visible: results.visible,
        is_final: results.is_final,
        streams: streams(poll),
        takes_votes,
        state: words::of_results(status),
        closes: poll.closes_at.filter(|_| takes_votes).map(words::time),
        votes: words::whole(results.votes),
        votes_word: if results.votes == 1 { "vote" } else { "votes" },
        meaning: if results.visible { meaning } else { hidden(poll) },
        figure,
        field,
        shows_share: words::shows_share(&poll.method),
        leads,
        rows: rows(&results, field, leads),
        rounds: count
            .as_deref()
            .filter(|_| results.rounds.is_some())
            .and_then(|count| rounds(poll, count, leads)),
        updated_at: words::time(results.updated_at),
        address: host(&ask.head.headers).unwrap_or_default(),
    };
    Ok(show(StatusCode::OK, &page))
}

/// How large a large screen can write so many options.
fn size(options: usize) -> &'static str {
    match options {
        0..=5 => "few",
        6..=9 => "many",
        _ => "many crowd",
    }
}

/// What is said of results that are not for everyone, or not yet.
fn not_yet(poll: &Poll) -> Response {
    let (heading, text) = match poll.status {
        Status::Draft => ("Not open yet", words::of_status(Status::Draft)),
        _ => (
            "Vote first",
            "These results are for those who have voted. Vote with your code, then come back on this device.",
        ),
    };
    show(StatusCode::FORBIDDEN, &Notice { heading, text, poll: Some(poll.id.as_str()) })
}

/// A stream knows the device, but no receipt.
fn streams(poll: &Poll) -> bool {
    is_open_to_all(poll)
        && (poll.access == Access::Public || poll.results_visible != ResultsVisible::AfterVote)
}

/// Why the count is not shown.
fn hidden(poll: &Poll) -> &'static str {
    match poll.results_visible {
        ResultsVisible::AfterVote => "The count is shown to those who have voted, and to all after the end.",
        ResultsVisible::AfterClose => "The count is shown after the end.",
        ResultsVisible::Private | ResultsVisible::Live => "The count of this poll is not shown.",
    }
}

fn leads(poll: &Poll, is_final: bool) -> &'static str {
    match (is_final, poll.seats) {
        (false, _) => "leads",
        (true, 1) => "winner",
        (true, _) => "elected",
    }
}

fn rows(results: &Results, field: &str, leads: &'static str) -> Vec<Row> {
    let most = results.options.iter().map(|option| number(option, field)).fold(0.0, f64::max);
    let row = |option: &OptionResult| Row {
        id: option.id.clone(),
        label: option.label.clone(),
        figure: figure(option, field),
        share: format!("{:.1}%", option.share.unwrap_or_default() * 100.0),
        width: format!("{:.1}", length(option, field, most) * 100.0),
        badge: badge(results, &option.id, leads),
    };
    results.options.iter().map(row).collect()
}

fn badge(results: &Results, option: &OptionId, leads: &'static str) -> &'static str {
    if results.votes == 0 {
        ""
    } else if results.winners.contains(option) {
        leads
    } else if results.tied.contains(option) {
        "tied"
    } else {
        ""
    }
}

fn figure(option: &OptionResult, field: &str) -> String {
    let text = match field {
        "votes" => match option.votes {
            Some(Figure::Whole(votes)) => return words::whole(votes),
            Some(Figure::Weighted(total)) => Some(total.to_string()),
            None => None,
        },
        "mean" => option.mean.clone(),
        _ => option.total.clone(),
    };
    text.map_or_else(|| "–".to_owned(), |text| words::decimal(&text))
}

/// A figure as a number, for the length of its bar.
fn number(option: &OptionResult, field: &str) -> f64 {
    let text = if field == "mean" { &option.mean } else { &option.total };
    text.as_ref().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// A bar's length, from 0 to 1: a share of the ballots, or a part of the highest figure.
fn length(option: &OptionResult, field: &str, most: f64) -> f64 {
    if field == "votes" {
        option.share.unwrap_or_default()
    } else if most > 0.0 {
        number(option, field).max(0.0) / most
    } else {
        0.0
    }
}

fn rounds(poll: &Poll, count: &Count, leads: &'static str) -> Option<Rounds> {
    if count.rounds.is_empty() {
        return None;
    }
    let shown_max = (ROUND_FIGURES_MAX / poll.options.len().max(1)).max(1);
    let left_out = count.rounds.len().saturating_sub(shown_max);
    let shown = &count.rounds[left_out..];
    let heading = |(place, round): (usize, &Round)| match round.step {
        Step::Runoff => "Runoff".to_owned(),
        _ => format!("Round {place}"),
    };
    let threshold = |round: &Round| round.threshold.map(decimal).unwrap_or_default();
    Some(Rounds {
        left_out,
        headings: (left_out + 1..).zip(shown).map(heading).collect(),
        rows: (0..)
            .zip(&poll.options)
            .map(|(index, option)| round_row(index, &option.label, shown, leads))
            .collect(),
        inactive: shown.iter().map(|round| inactive(&round.inactive)).collect(),
        thresholds: shown.iter().map(threshold).collect(),
        has_threshold: shown.iter().any(|round| round.threshold.is_some()),
    })
}

fn round_row(index: u16, label: &str, rounds: &[Round], leads: &'static str) -> RoundRow {
    RoundRow {
        label: label.to_owned(),
        cells: rounds.iter().map(|round| round_cell(index, round, leads)).collect(),
    }
}

fn round_cell(index: u16, round: &Round, leads: &'static str) -> RoundCell {
    let votes = round.tally.iter().find(|(option, _)| *option == index).map(|(_, votes)| decimal(votes));
    let elected = round.elected.iter().find(|elected| elected.option == index);
    let word = match elected.map(|elected| elected.because) {
        Some(ElectedBecause::Finalist) => "finalist",
        Some(_) => leads,
        None if round.eliminated.iter().any(|gone| gone.option == index) => "out",
        None => "",
    };
    RoundCell { votes: votes.unwrap_or_default(), word }
}

/// All votes that count for nobody any more; the API tells the reasons apart.
fn inactive(inactive: &Inactive) -> String {
    let parts = [
        inactive.exhausted_choices,
        inactive.overvotes,
        inactive.repeated_rankings,
        inactive.skipped_rankings,
        inactive.final_surplus,
        inactive.residual,
    ];
    let sum: f64 = parts.iter().filter_map(|part| part.to_string().parse::<f64>().ok()).sum();
    decimal(sum)
}

fn decimal(figure: impl fmt::Display) -> String {
    words::decimal(&figure.to_string())
}
