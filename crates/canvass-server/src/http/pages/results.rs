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
use serde::Serialize;

use super::{Notice, escaped, plural::Plural, same_site::host, show, texts::PageTexts, vote, words};
use crate::{
    app::App,
    http::{ask::Ask, oembed::discovery, speech::Speech},
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
    t: &'static PageTexts,
    speech: Speech,
    title: String,
    /// What the script says, as JSON.
    words: String,
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
    votes_word: String,
    meaning: &'static str,
    /// The heading of the figures, and their field in the results.
    figure: &'static str,
    field: &'static str,
    shows_share: bool,
    rows: Vec<Row>,
    rounds: Option<Rounds>,
    records: String,
    vote_at: String,
    /// Where programs find how to embed the poll.
    oembed: Option<String>,
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
    left_out: Option<String>,
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
    is_out: bool,
}

/// What the script says, in the page's language.
#[derive(Serialize)]
struct ScriptWords {
    leads: &'static str,
    tied: &'static str,
    live: &'static str,
    connecting: &'static str,
    votes: &'static Plural,
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
            return Ok(not_yet(&poll, ask.speech));
        }
        seen => seen?,
    };
    let (snapshot, count) = app.results_counted(&seen).await?;
    let poll = &*snapshot.poll;
    let results = results(poll, &snapshot.tally, count.as_deref());
    let t = PageTexts::of(ask.speech.language);
    let (field, figure, meaning) = words::of_figure(t, &poll.method);
    let status = vote::status(app, poll);
    let takes_votes = status == Status::Open;
    let closes = poll.closes_at.filter(|_| takes_votes);
    let said = Said { t, leads: leads(t, poll, results.is_final) };
    let page = ResultsPage {
        t,
        speech: ask.speech,
        title: t.results.title.fill(&[("title", &poll.title)]),
        words: said.script(),
        poll,
        projects,
        size: size(poll.options.len()),
        sequence: results.sequence,
        status: results.status,
        visible: results.visible,
        is_final: results.is_final,
        streams: streams(poll, ask.speech),
        takes_votes,
        state: words::of_results(t, status),
        closes: closes.map(|closes| t.sign.until.fill_html(&[("time", &words::time(closes))])),
        votes: t.number.whole(results.votes),
        votes_word: t.count(&t.results.votes, results.votes),
        meaning: if results.visible { meaning } else { hidden(t, poll) },
        figure,
        field,
        shows_share: words::shows_share(&poll.method),
        rows: said.rows(&results, field),
        rounds: count
            .as_deref()
            .filter(|_| results.rounds.is_some())
            .and_then(|count| said.rounds(poll, count)),
        records: records(t, &results),
        oembed: discovery(app, &ask.head, poll),
        vote_at: vote_at(t, poll, host(&ask.head.headers).unwrap_or_default()),
    };
    Ok(show(ask.speech, StatusCode::OK, &page))
}

fn records(t: &PageTexts, results: &Results) -> String {
    let count = format!("<span data-records>{}</span>", results.sequence);
    t.results.records.fill_html(&[("count", &count), ("time", &words::time(results.updated_at))])
}

fn vote_at(t: &PageTexts, poll: &Poll, host: &str) -> String {
    let address = format!("<b dir=\"ltr\">{}/p/{}</b>", escaped(host), poll.id);
    t.results.vote_at.fill_html(&[("address", &address)])
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
fn not_yet(poll: &Poll, speech: Speech) -> Response {
    let t = PageTexts::of(speech.language);
    let (heading, text) = match poll.status {
        Status::Draft => (&t.notice.not_open, &t.state.draft),
        _ => (&t.notice.vote_first, &t.notice.vote_first_text),
    };
    let notice = Notice { t, speech, heading, text, poll: Some(poll.id.as_str()) };
    show(speech, StatusCode::FORBIDDEN, &notice)
}

/// A stream knows the device, unless it is known inside frames only, but no receipt.
fn streams(poll: &Poll, speech: Speech) -> bool {
    let knows_device = poll.access == Access::Public && !speech.is_framed;
    is_open_to_all(poll) && (knows_device || poll.results_visible != ResultsVisible::AfterVote)
}

/// Why the count is not shown.
pub(super) fn hidden<'a>(t: &'a PageTexts, poll: &Poll) -> &'a str {
    match poll.results_visible {
        ResultsVisible::AfterVote => &t.results.hidden_until_vote,
        ResultsVisible::AfterClose => &t.results.hidden_until_end,
        ResultsVisible::Private | ResultsVisible::Live => &t.results.hidden,
    }
}

/// What those are called who would win.
fn leads<'a>(t: &'a PageTexts, poll: &Poll, is_final: bool) -> &'a str {
    match (is_final, poll.seats) {
        (false, _) => &t.results.leads,
        (true, 1) => &t.results.winner,
        (true, _) => &t.results.elected,
    }
}

/// The words of a results page.
struct Said {
    t: &'static PageTexts,
    /// What those who would win are called.
    leads: &'static str,
}

impl Said {
    fn script(&self) -> String {
        let texts = &self.t.results;
        let words = ScriptWords {
            leads: self.leads,
            tied: &texts.tied,
            live: &texts.live,
            connecting: &texts.connecting,
            votes: &texts.votes,
        };
        serde_json::to_string(&words).expect("texts are JSON")
    }

    fn rows(&self, results: &Results, field: &str) -> Vec<Row> {
        let most = results.options.iter().map(|option| number(option, field)).fold(0.0, f64::max);
        let row = |option: &OptionResult| Row {
            id: option.id.clone(),
            label: option.label.clone(),
            figure: self.figure(option, field),
            share: self.t.number.percent(option.share.unwrap_or_default()),
            width: format!("{:.1}", length(option, field, most) * 100.0),
            badge: self.badge(results, &option.id),
        };
        results.options.iter().map(row).collect()
    }

    fn badge(&self, results: &Results, option: &OptionId) -> &'static str {
        if results.votes == 0 {
            ""
        } else if results.winners.contains(option) {
            self.leads
        } else if results.tied.contains(option) {
            &self.t.results.tied
        } else {
            ""
        }
    }

    fn figure(&self, option: &OptionResult, field: &str) -> String {
        let text = match field {
            "votes" => match option.votes {
                Some(Figure::Whole(votes)) => return self.t.number.whole(votes),
                Some(Figure::Weighted(total)) => Some(total.to_string()),
                None => None,
            },
            "mean" => option.mean.clone(),
            _ => option.total.clone(),
        };
        text.map_or_else(|| "–".to_owned(), |text| self.t.number.decimal(&text))
    }

    fn rounds(&self, poll: &Poll, count: &Count) -> Option<Rounds> {
        if count.rounds.is_empty() {
            return None;
        }
        let shown_max = (ROUND_FIGURES_MAX / poll.options.len().max(1)).max(1);
        let left_out = count.rounds.len().saturating_sub(shown_max);
        let shown = &count.rounds[left_out..];
        let threshold = |round: &Round| round.threshold.map(|votes| self.decimal(votes)).unwrap_or_default();
        Some(Rounds {
            left_out: (left_out > 0).then(|| self.t.count(&self.t.rounds.left_out, left_out as u64)),
            headings: (left_out + 1..).zip(shown).map(|(place, round)| self.heading(place, round)).collect(),
            rows: (0..)
                .zip(&poll.options)
                .map(|(index, option)| self.round_row(index, &option.label, shown))
                .collect(),
            inactive: shown.iter().map(|round| self.decimal(inactive(&round.inactive))).collect(),
            thresholds: shown.iter().map(threshold).collect(),
            has_threshold: shown.iter().any(|round| round.threshold.is_some()),
        })
    }

    fn heading(&self, place: usize, round: &Round) -> String {
        match round.step {
            Step::Runoff => self.t.rounds.runoff.clone(),
            _ => self.t.rounds.round.fill(&[("place", &place.to_string())]),
        }
    }

    fn round_row(&self, index: u16, label: &str, rounds: &[Round]) -> RoundRow {
        RoundRow {
            label: label.to_owned(),
            cells: rounds.iter().map(|round| self.round_cell(index, round)).collect(),
        }
    }

    fn round_cell(&self, index: u16, round: &Round) -> RoundCell {
        let votes = round.tally.iter().find(|(option, _)| *option == index);
        let elected = round.elected.iter().find(|elected| elected.option == index);
        let is_out = round.eliminated.iter().any(|gone| gone.option == index);
        let word = match elected.map(|elected| elected.because) {
            Some(ElectedBecause::Finalist) => &self.t.rounds.finalist,
            Some(_) => self.leads,
            None if is_out => &self.t.rounds.out,
            None => "",
        };
        let votes = votes.map(|(_, votes)| self.decimal(votes)).unwrap_or_default();
        RoundCell { votes, word, is_out }
    }

    fn decimal(&self, figure: impl fmt::Display) -> String {
        self.t.number.decimal(&figure.to_string())
    }
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

/// All votes that count for nobody any more; the API tells the reasons apart.
fn inactive(inactive: &Inactive) -> f64 {
    let parts = [
        inactive.exhausted_choices,
        inactive.overvotes,
        inactive.repeated_rankings,
        inactive.skipped_rankings,
        inactive.final_surplus,
        inactive.residual,
    ];
    parts.iter().filter_map(|part| part.to_string().parse::<f64>().ok()).sum()
}
