//! The results of a poll to read or to watch, and the same for a large screen.

use askama::Template;
use axum::{http::StatusCode, response::Response};
use canvass_domain::{
    OptionId, Poll, Sequence, VoterId,
    poll::{Access, ResultsVisible, Status},
    results::{Results, results},
};
use serde::Deserialize;

use super::{
    Notice, escaped,
    qr::QrCode,
    rounds::{Pairs, Rounds},
    said::{Row, Said},
    same_site::origin,
    show,
    texts::PageTexts,
    vote, words,
};
use crate::{
    app::App,
    http::{ask::Ask, oembed::discovery, speech::Speech, stream},
    service::{Failure, results::Viewer},
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
    /// Whether the count is behind a curtain until somebody draws it.
    is_curtained: bool,
    sequence: Sequence,
    /// What the script compares to see that more has changed than figures.
    shape: String,
    /// The status that the results tell.
    status: Status,
    visible: bool,
    is_final: bool,
    /// Where the stream is that tells this viewer as much as the page does.
    stream: String,
    takes_votes: bool,
    state: &'static str,
    closes: Option<String>,
    votes: String,
    votes_word: String,
    verdict: Option<String>,
    meaning: &'static str,
    /// The heading of the figures, and their field in the results.
    figure: &'static str,
    field: &'static str,
    shows_share: bool,
    rows: Vec<Row>,
    rounds: Option<Rounds>,
    pairs: Option<Pairs>,
    records: String,
    vote_at: String,
    /// Where programs find how to embed the poll.
    oembed: Option<String>,
    code: Option<QrCode>,
}

#[derive(Deserialize)]
struct PageQuery {
    /// Show the count against the poll's rule, to an administrator.
    reveal: Option<String>,
    /// Begin with the curtain drawn.
    hide: Option<String>,
}

/// The results to read, and to watch.
pub(crate) async fn read_results(app: App, ask: Ask) -> Result<Response, Failure> {
    results_page(&app, ask, false).await
}

/// The results from the back of a hall.
pub(crate) async fn read_projector(app: App, ask: Ask) -> Result<Response, Failure> {
    results_page(&app, ask, true).await
}

/// The results as they come, for the script of these pages.
pub(crate) async fn stream_results(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let id = ask.poll()?;
    let query: PageQuery = ask.query()?;
    let poll = app.poll(&id).await?;
    let holder = vote::holder(&app, &poll, &ask);
    let seen = app.see(&id, &viewer(&ask, holder, &query)).await?;
    stream::stream(&app, &seen, stream::known(&ask)).await
}

async fn results_page(app: &App, mut ask: Ask, projects: bool) -> Result<Response, Failure> {
    let id = ask.poll()?;
    let query: PageQuery = ask.query()?;
    let poll = app.poll(&id).await?;
    let holder = vote::holder(app, &poll, &ask);
    let seen = match app.see(&id, &viewer(&ask, holder, &query)).await {
        Err(Failure::MissingKey) if poll.status == Status::Draft || poll.access == Access::Code => {
            return Ok(not_yet(&poll, ask.speech));
        }
        seen => seen?,
    };
    let (snapshot, count) = app.results_counted(&seen).await?;
    let poll = &*snapshot.poll;
    let results = results(poll, &snapshot.tally, count.as_deref());
    let count = count.as_deref().filter(|_| results.rounds.is_some() || results.pairwise.is_some());
    let t = PageTexts::of(ask.speech.language);
    let (field, figure, meaning) = words::of_figure(t, &poll.method);
    let status = vote::status(app, poll);
    let takes_votes = status == Status::Open;
    let closes = poll.closes_at.filter(|_| takes_votes);
    let said = Said::new(t, poll, results.is_final);
    let origin = origin(&ask.head, app.parts.settings.trusted_proxies);
    let page = ResultsPage {
        t,
        speech: ask.speech,
        title: t.results.title.fill(&[("title", &poll.title)]),
        words: said.script(),
        poll,
        projects,
        size: size(poll.options.len()),
        is_curtained: projects && query.hide.is_some(),
        sequence: results.sequence,
        shape: shape(&results),
        status: results.status,
        visible: results.visible,
        is_final: results.is_final,
        stream: stream_address(poll, ask.speech, &query),
        takes_votes,
        state: words::of_results(t, status),
        closes: closes.map(|closes| t.sign.until.fill_html(&[("time", &words::time(closes))])),
        votes: t.number.whole(results.votes),
        votes_word: t.count(&t.results.votes, results.votes),
        verdict: said.verdict(&results).filter(|_| results.visible),
        meaning: if results.visible { meaning } else { hidden(t, poll) },
        figure,
        field,
        shows_share: words::shows_share(&poll.method),
        rows: said.rows(&results, field),
        rounds: count.and_then(|count| Rounds::new(&said, poll, count)),
        pairs: count.and_then(|count| Pairs::new(&said, poll, count)),
        records: records(t, &results),
        oembed: discovery(app, &ask.head, poll),
        vote_at: vote_at(t, poll, &origin),
        code: QrCode::of(&format!("{origin}/p/{}", poll.id)).filter(|_| projects && takes_votes),
    };
    Ok(show(ask.speech, StatusCode::OK, &page))
}

/// Who looks at results, by all that the request shows: a key, a device, a receipt.
fn viewer<'a>(ask: &'a Ask, holder: Option<VoterId>, query: &PageQuery) -> Viewer<'a> {
    Viewer { caller: &ask.caller, code: None, holder, voter: None, reveal: query.reveal.is_some() }
}

/// What changes where the page has to be made anew: the status, what is shown, and who wins.
fn shape(results: &Results) -> String {
    let names = |ids: &[OptionId]| ids.iter().map(OptionId::as_str).collect::<Vec<_>>().join(",");
    let Results { status, visible, options, winners, tied, .. } = results;
    format!("{status}/{visible}/{}/{}/{}", options.len(), names(winners), names(tied))
}

fn records(t: &PageTexts, results: &Results) -> String {
    let count = format!("<span data-records>{}</span>", results.sequence);
    t.results.records.fill_html(&[("count", &count), ("time", &words::time(results.updated_at))])
}

fn vote_at(t: &PageTexts, poll: &Poll, origin: &str) -> String {
    let place = origin.split_once("://").map_or(origin, |(_, place)| place);
    let address = format!("<b dir=\"ltr\">{}<wbr>/p/{}</b>", escaped(place), poll.id);
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

/// The API's own stream would know no session and no receipt, and in a frame no device.
fn stream_address(poll: &Poll, speech: Speech, query: &PageQuery) -> String {
    let pages = if speech.is_framed { "embed" } else { "p" };
    let reveal = if query.reveal.is_some() { "?reveal" } else { "" };
    format!("/{pages}/{}/results/stream{reveal}", poll.id)
}

/// Why the count is not shown.
pub(super) fn hidden<'a>(t: &'a PageTexts, poll: &Poll) -> &'a str {
    match poll.results_visible {
        ResultsVisible::AfterVote => &t.results.hidden_until_vote,
        ResultsVisible::AfterClose => &t.results.hidden_until_end,
        ResultsVisible::Private | ResultsVisible::Live => &t.results.hidden,
    }
}
