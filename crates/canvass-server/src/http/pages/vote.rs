//! The vote page, what it sends, and the receipt.

use std::sync::Arc;

use askama::Template;
use axum::{http::StatusCode, response::Response};
use canvass_domain::{
    Ballot, Poll, Sequence, VoteId, VoterId,
    poll::{Access, Revote, Status},
    vote::{Marked, Operation},
};

use super::{
    Notice,
    embed::{FRAMED_COOKIE, set_framed_device},
    entered::{Entered, options_at},
    form::{Control, Help, VoteForm},
    go_on, may_be_sent_again,
    plural::Pattern,
    same_site::is_same_site,
    set_cookie, show,
    texts::PageTexts,
    words,
};
use crate::{
    app::App,
    http::{
        ask::{Ask, cookie},
        oembed::discovery,
        problem, reply,
        speech::Speech,
    },
    limits::RECEIPT_SECONDS_MAX,
    service::{
        Caller, Failure,
        answer::Recorded,
        devices::{NewDevice, hexadecimal},
        receipts,
        vote_request::{Text, VoteRequest},
        votes::{Identity, VoteAsk, identify, read_voter},
    },
};

const FORM: &str = "application/x-www-form-urlencoded";
const RECEIPT_COOKIE: &str = "canvass_receipt";

#[derive(Template)]
#[template(path = "vote.html")]
struct VotePage<'a> {
    t: &'static PageTexts,
    speech: Speech,
    poll: &'a Poll,
    state: &'static str,
    opens: Option<String>,
    closes: Option<String>,
    takes_votes: bool,
    alert: Option<String>,
    standing: Option<Standing>,
    form: Option<VoteForm<'a>>,
    has_receipt: bool,
    /// Where programs find how to embed the poll.
    oembed: Option<String>,
}

#[derive(Template)]
#[template(path = "receipt.html")]
struct ReceiptPage<'a> {
    t: &'static PageTexts,
    speech: Speech,
    title: String,
    poll: &'a Poll,
    standing: Option<Standing>,
    can_change: bool,
}

/// A vote that counts, in words.
struct Standing {
    marks: Vec<Mark>,
    cast_at: String,
    vote_id: VoteId,
    sequence: Option<Sequence>,
}

struct Mark {
    number: String,
    label: String,
}

/// Who looks at a poll's page.
struct Visitor {
    speech: Speech,
    caller: Caller,
    /// See [`holder`].
    holder: Option<VoterId>,
    oembed: Option<String>,
}

impl Visitor {
    fn new(app: &App, poll: &Poll, ask: Ask) -> Self {
        Self {
            speech: ask.speech,
            holder: holder(app, poll, &ask),
            oembed: discovery(app, &ask.head, poll),
            caller: ask.caller,
        }
    }

    fn texts(&self) -> &'static PageTexts {
        PageTexts::of(self.speech.language)
    }
}

/// What a vote page is made of, beside the poll.
#[derive(Default)]
struct Fill {
    alert: Option<String>,
    /// What was entered; none where the vote that stands is shown.
    entered: Option<Entered>,
    /// Whether the form keeps the name of its request.
    is_sent_again: bool,
}

/// The page to vote on.
pub(crate) async fn read_vote(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let id = ask.poll()?;
    let poll = app.poll(&id).await?;
    if let Some(closed) = without_form(&app, &poll, ask.speech) {
        return Ok(closed);
    }
    let device = app.ensure_device(&poll, &mut ask.caller).await?;
    let visitor = Visitor::new(&app, &poll, ask);
    let mut response = vote_page(&app, &visitor, &poll, StatusCode::OK, Fill::default()).await?;
    set_device(&mut response, device.as_ref(), visitor.speech);
    Ok(response)
}

/// Takes a vote from the form.
pub(crate) async fn cast_vote(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let (poll, entered) = match read_form(&app, &mut ask).await? {
        Ok(read) => read,
        Err(refused) => return Ok(refused),
    };
    let device = app.ensure_device(&poll, &mut ask.caller).await?;
    let visitor = Visitor::new(&app, &poll, ask);
    if device.is_some() {
        // A browser that keeps no cookie could send the same form twice and count twice.
        let fill = Fill {
            alert: Some(visitor.texts().refused.cookie.clone()),
            entered: Some(entered),
            is_sent_again: true,
        };
        let mut response = vote_page(&app, &visitor, &poll, StatusCode::FORBIDDEN, fill).await?;
        set_device(&mut response, device.as_ref(), visitor.speech);
        return Ok(response);
    }
    let ballot = match entered.ballot(&poll) {
        Ok(ballot) => ballot,
        Err(unmarked) => {
            let alert = words::of_unmarked(visitor.texts(), &unmarked);
            let fill = Fill { alert: Some(alert), entered: Some(entered), is_sent_again: false };
            return vote_page(&app, &visitor, &poll, StatusCode::UNPROCESSABLE_ENTITY, fill).await;
        }
    };
    let request = VoteRequest {
        voter_id: None,
        ballot,
        demographics: Some(entered.all_told()),
        weight: None,
        code: None,
        idempotency_key: None,
    };
    match record(&app, &visitor, &poll, &entered, Operation::Cast, Some(&request)).await {
        Ok(recorded) => hand_receipt(&app, &poll, &recorded, visitor.speech).await,
        Err(failure) => refused_page(&app, &visitor, &poll, &failure, Some(entered)).await,
    }
}

/// Withdraws a vote.
pub(crate) async fn withdraw_vote(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let (poll, entered) = match read_form(&app, &mut ask).await? {
        Ok(read) => read,
        Err(refused) => return Ok(refused),
    };
    let visitor = Visitor::new(&app, &poll, ask);
    match record(&app, &visitor, &poll, &entered, Operation::Withdraw, None).await {
        Ok(recorded) => hand_receipt(&app, &poll, &recorded, visitor.speech).await,
        Err(failure) => refused_page(&app, &visitor, &poll, &failure, None).await,
    }
}

/// What became of the vote of whoever asks.
pub(crate) async fn read_receipt(app: App, mut ask: Ask) -> Result<Response, Failure> {
    let id = ask.poll()?;
    let poll = app.poll(&id).await?;
    if let Some(closed) = without_form(&app, &poll, ask.speech) {
        return Ok(closed);
    }
    let t = PageTexts::of(ask.speech.language);
    let Some(voter) = holder(&app, &poll, &ask) else {
        let (heading, text) = (&t.notice.no_receipt, &t.notice.no_receipt_text);
        let notice = Notice { t, speech: ask.speech, heading, text, poll: Some(poll.id.as_str()) };
        return Ok(show(ask.speech, StatusCode::NOT_FOUND, &notice));
    };
    let can_change = status(&app, &poll) == Status::Open && poll.revote == Revote::UntilClose;
    let title = t.receipt.title.fill(&[("title", &poll.title)]);
    let standing = standing(&app, &poll, &voter).await?;
    Ok(show(
        ask.speech,
        StatusCode::OK,
        &ReceiptPage { t, speech: ask.speech, title, poll: &poll, standing, can_change },
    ))
}

/// The voter that a request shows to be: the device, or the holder of a receipt.
pub(crate) fn holder(app: &App, poll: &Poll, ask: &Ask) -> Option<VoterId> {
    match poll.access {
        Access::Public => ask.caller.device.clone(),
        Access::Code | Access::Open => {
            let receipt = cookie(&ask.head.headers, RECEIPT_COOKIE)?;
            receipts::read_receipt(app.known_device_secret()?, &poll.id, receipt)
        }
        Access::Key => None,
    }
}

/// Where a poll stands now.
pub(crate) fn status(app: &App, poll: &Poll) -> Status {
    poll.status_at(app.edge().now())
}

fn set_device(response: &mut Response, device: Option<&NewDevice>, speech: Speech) {
    if speech.is_framed {
        set_framed_device(response, device);
    } else {
        reply::set_device(response, device);
    }
}

/// The poll and the fields of a form that a page of this server sent, or the page that says why it is not taken.
async fn read_form(app: &App, ask: &mut Ask) -> Result<Result<(Arc<Poll>, Entered), Response>, Failure> {
    let id = ask.poll()?;
    if !is_same_site(&ask.head) {
        return Ok(Err(refuse_other_site(ask.speech)));
    }
    ask.require_type(FORM)?;
    let body = ask.vote_bytes(app).await?;
    let poll = app.poll(&id).await?;
    Ok(match without_form(app, &poll, ask.speech) {
        Some(closed) => Err(closed),
        None => Ok((poll, Entered::read(&body))),
    })
}

fn refuse_other_site(speech: Speech) -> Response {
    let t = PageTexts::of(speech.language);
    let (heading, text) = (&t.notice.other_site, &t.notice.other_site_text);
    show(speech, StatusCode::FORBIDDEN, &Notice { t, speech, heading, text, poll: None })
}

/// What is shown of polls whose title is not for everyone.
fn without_form(app: &App, poll: &Poll, speech: Speech) -> Option<Response> {
    let t = PageTexts::of(speech.language);
    let (code, heading, text) = if status(app, poll) == Status::Draft {
        (StatusCode::OK, &t.notice.not_open, &t.state.draft)
    } else if poll.access == Access::Key {
        (StatusCode::FORBIDDEN, &t.notice.organiser, &t.notice.organiser_text)
    } else {
        return None;
    };
    Some(show(speech, code, &Notice { t, speech, heading, text, poll: None }))
}

async fn record(
    app: &App,
    visitor: &Visitor,
    poll: &Arc<Poll>,
    entered: &Entered,
    operation: Operation,
    request: Option<&VoteRequest<'_>>,
) -> Result<Recorded, Failure> {
    let actor = if poll.write_in { visitor.caller.actor() } else { String::new() };
    let vote = VoteAsk {
        identity: identity(poll, &visitor.caller, entered)?,
        operation,
        request,
        idempotency_key: entered.idempotency_key(),
        may_weigh: false,
        by_label: false,
        actor: &actor,
    };
    app.record(Arc::clone(poll), &vote).await
}

/// Who votes: whom the poll's access says, by the device, the code or the name in the form.
fn identity(poll: &Poll, caller: &Caller, entered: &Entered) -> Result<Identity, Failure> {
    let name = Text(entered.text("voter").into());
    let named = if poll.access == Access::Open { read_voter(Some(&name))? } else { None };
    let code = (poll.access == Access::Code).then(|| entered.text("code"));
    identify(poll, caller, named, code)
}

/// Goes on to the receipt. Where the device is not the voter, it is handed one.
async fn hand_receipt(
    app: &App,
    poll: &Poll,
    recorded: &Recorded,
    speech: Speech,
) -> Result<Response, Failure> {
    let mut response = go_on(&format!("{}/{}/receipt{}", speech.polls(), poll.id, speech.query()));
    if poll.access != Access::Public {
        let secret = app.device_secret().await.map_err(|error| app.failed(error))?;
        let receipt = receipts::write_receipt(&secret, &poll.id, &recorded.voter);
        let place = format!("Path={}/{}; Max-Age={RECEIPT_SECONDS_MAX}", speech.polls(), poll.id);
        let kind = if speech.is_framed { FRAMED_COOKIE } else { "HttpOnly; SameSite=Lax" };
        set_cookie(&mut response, &format!("{RECEIPT_COOKIE}={receipt}; {place}; {kind}"));
    }
    Ok(response)
}

/// The form again, filled in, with what is wrong.
async fn refused_page(
    app: &App,
    visitor: &Visitor,
    poll: &Arc<Poll>,
    failure: &Failure,
    entered: Option<Entered>,
) -> Result<Response, Failure> {
    let fill = Fill {
        alert: Some(words::of_refused_vote(visitor.texts(), poll, failure)),
        entered,
        is_sent_again: may_be_sent_again(failure),
    };
    vote_page(app, visitor, poll, problem::status(failure), fill).await
}

async fn vote_page(
    app: &App,
    visitor: &Visitor,
    poll: &Arc<Poll>,
    code: StatusCode,
    fill: Fill,
) -> Result<Response, Failure> {
    let status = status(app, poll);
    let takes_votes = status == Status::Open;
    let recorded = match &visitor.holder {
        Some(voter) if poll.access == Access::Public => find_vote(app, poll, voter).await?,
        _ => None,
    };
    let can_vote = takes_votes && (recorded.is_none() || poll.revote == Revote::UntilClose);
    let entered = fill.entered.unwrap_or_else(|| prefilled(poll, recorded.as_ref()));
    let sent = entered.text("key").to_owned();
    let key = if fill.is_sent_again && !sent.is_empty() { sent } else { draw_key(app) };
    let t = visitor.texts();
    let told = |text: &Pattern, moment| text.fill_html(&[("time", &words::time(moment))]);
    let opens = poll.opens_at.filter(|_| status == Status::Scheduled);
    let closes = poll.closes_at.filter(|_| takes_votes);
    let page = VotePage {
        t,
        speech: visitor.speech,
        poll,
        state: words::of_status(t, status),
        opens: opens.map(|opens| told(&t.state.opens, opens)),
        closes: closes.map(|closes| told(&t.state.until, closes)),
        takes_votes,
        alert: fill.alert,
        standing: recorded.as_ref().map(|recorded| Standing::new(poll, recorded)),
        form: can_vote.then(|| VoteForm::new(t, poll, &entered, [key, draw_key(app)])),
        oembed: visitor.oembed.clone(),
        has_receipt: visitor.holder.is_some() && poll.access != Access::Public,
    };
    Ok(show(visitor.speech, code, &page))
}

/// The marks of the vote that stands, to be changed; else an empty form.
fn prefilled(poll: &Poll, recorded: Option<&Recorded>) -> Entered {
    let marked = recorded.and_then(|recorded| recorded.marked.as_ref());
    marked.map(|marked| Entered::again(poll, marked)).unwrap_or_default()
}

fn draw_key(app: &App) -> String {
    hexadecimal(&app.random::<16>())
}

async fn find_vote(app: &App, poll: &Arc<Poll>, voter: &VoterId) -> Result<Option<Recorded>, Failure> {
    let vote = app.standing_vote(&poll.id, voter).await?;
    Ok(vote.map(|vote| Recorded::stored(Arc::clone(poll), vote)))
}

async fn standing(app: &App, poll: &Arc<Poll>, voter: &VoterId) -> Result<Option<Standing>, Failure> {
    Ok(find_vote(app, poll, voter).await?.map(|recorded| Standing::new(poll, &recorded)))
}

impl Standing {
    fn new(poll: &Poll, recorded: &Recorded) -> Self {
        Self {
            marks: recorded.marked.as_ref().map(|marked| marks(poll, marked)).unwrap_or_default(),
            cast_at: words::time(recorded.cast_at),
            vote_id: recorded.vote_id,
            sequence: recorded.sequence,
        }
    }
}

/// A ballot in words: each option marked, with its number where it has one.
fn marks(poll: &Poll, marked: &Marked) -> Vec<Mark> {
    let mark = |index: u16, number: String| {
        let label = poll.options.get(usize::from(index)).map(|option| option.label.clone());
        Mark { number, label: label.unwrap_or_default() }
    };
    match &marked.ballot {
        Ballot::Choices(chosen) => chosen.iter().map(|index| mark(*index, String::new())).collect(),
        Ballot::Scores(marks) | Ballot::Allocation(marks) => {
            marks.iter().map(|(index, number)| mark(*index, number.to_string())).collect()
        }
        Ballot::Ranking(ranks) => (1..)
            .zip(ranks)
            .flat_map(|(place, rank)| options_at(rank).iter().map(move |index| (place, *index)))
            .map(|(place, index): (usize, _)| mark(index, format!("{place}.")))
            .collect(),
    }
}
