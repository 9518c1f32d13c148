//! Votes by the million: lines of JSON in, lines of JSON out, in order and with bounded memory.
//!
//! Lines are read in chunks; a few chunks are with the store at once, so that reading overlaps with storing. A client
//! has to read answers while it sends: when it does not, the server stops reading too.

use std::{convert::Infallible, pin::Pin, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header::CACHE_CONTROL},
    response::Response,
};
use bytes::{Bytes, BytesMut};
use canvass_domain::{
    IdentifierError, Poll, PollId, Refusal, VoteId,
    key::Scope,
    poll::Access,
    vote::{Operation, VoteCommand},
};
use canvass_store::{StoreError, VoteOutcome};
use futures_util::{
    FutureExt as _, StreamExt as _,
    stream::{FuturesOrdered, iter, unfold},
};

use crate::{
    app::App,
    http::{
        ask::{Ask, next_bytes},
        guard::count,
        problem::{Kind, status},
        reply,
        votes::refuse_forgetful,
    },
    limits::{
        BATCH_CHUNK_BYTES_MAX, BATCH_CHUNK_LINES_MAX, BATCH_CHUNKS_IN_FLIGHT_MAX, BATCH_RETRIES_MAX,
        BATCH_RETRY_WAIT, LIMITS_ASKED_AT_ONCE_MAX, VOTE_BODY_BYTES_MAX,
    },
    service::{
        Caller, Failure,
        answer::{write_number, write_text, write_vote_id},
        limiting::Class,
        vote_request::{Text, VoteRequest},
        votes::{Reading, VoteAsk, identify, read_voter},
    },
};

const LINES: &str = "application/x-ndjson";

/// Cast many votes
///
/// One vote a line, any number of lines, streamed both ways. Each line may carry an `idempotencyKey`. One result line
/// is answered for each vote, in order, with the status that the single route would give. A bad line spoils no other;
/// empty lines are skipped but counted. Read the answers while you send: the server stops reading while nobody reads
/// its answers. When the connection breaks, votes that were accepted stay.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/polls/{poll}/votes/batch", tag = "votes",
    params(("poll" = String, Path, description = "The poll's id")),
    request_body(content = String, content_type = "application/x-ndjson", example = "{\"voterId\":\"u1\",\"ballot\":{\"choice\":\"pizza\"}}\n"),
    responses((status = 200, description = "A result line for each vote", body = String, content_type = "application/x-ndjson",
        example = "{\"line\":1,\"status\":201,\"voteId\":\"7f8d2c1e-6f0a-4f3b-9d55-0a4b8c3d2e1f\"}\n{\"line\":2,\"status\":409,\"type\":\"/problems/already-voted\",\"detail\":\"…\",\"voteId\":\"7f8d2c1e-6f0a-4f3b-9d55-0a4b8c3d2e1f\"}\n"), crate::http::openapi::VoteProblems)))]
pub(crate) async fn cast_votes(app: App, mut ask: Ask) -> Result<Response, Failure> {
    ask.require_type(LINES)?;
    let id = ask.poll()?;
    let poll = app.poll(&id).await?;
    if poll.access == Access::Key {
        ask.caller.require(Scope::VotesWrite)?;
    }
    let device = app.ensure_device(&poll, &mut ask.caller).await?;
    refuse_forgetful(&ask.head, device.as_ref())?;
    let lines = Lines {
        body: ask.body.unwrap_or_default(),
        text: BytesMut::new(),
        cut: 0,
        skipping: false,
        ended: false,
    };
    let sender = Arc::new(Sender { app, actor: ask.caller.actor(), caller: ask.caller });
    let batch =
        Batch { sender, poll: id, lines: Some(lines), in_flight: FuturesOrdered::new(), farewell: None };
    let answers = unfold(batch, |mut batch| async move {
        let answers = batch.next().await?;
        Some((Ok::<_, Infallible>(answers), batch))
    });
    let mut response = reply::of(StatusCode::OK, HeaderValue::from_static(LINES), Body::from_stream(answers));
    response.headers_mut().insert(CACHE_CONTROL, reply::NO_STORE);
    reply::set_device(&mut response, device.as_ref());
    Ok(response)
}

/// A batch under way.
struct Batch {
    sender: Arc<Sender>,
    poll: PollId,
    /// What is still to come; none once all was read.
    lines: Option<Lines>,
    in_flight: FuturesOrdered<Pin<Box<dyn Future<Output = Bytes> + Send>>>,
    /// What is said at the end if the end came too early.
    farewell: Option<Bytes>,
}

impl Batch {
    /// The answers of the next chunk; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let has_room = self.in_flight.len() < BATCH_CHUNKS_IN_FLIGHT_MAX;
            let reading = self.lines.as_mut().filter(|_| has_room);
            let is_reading = reading.is_some();
            tokio::select! {
                biased;
                Some(answers) = self.in_flight.next(), if !self.in_flight.is_empty() => return Some(answers),
                read = read_chunk(&self.sender.app, &self.poll, reading), if is_reading => self.take(read),
                else => return self.farewell.take(),
            }
        }
    }

    fn take(&mut self, read: Result<Option<(Chunk, Arc<Poll>)>, Failure>) {
        match read {
            Ok(Some((chunk, poll))) => {
                let sender = Arc::clone(&self.sender);
                self.in_flight.push_back(Box::pin(async move { sender.answer(chunk, poll).await }));
            }
            Ok(None) => self.lines = None,
            Err(failure) => {
                self.lines = None;
                self.farewell = Some(farewell(&failure));
            }
        }
    }
}

/// The next chunk, with the poll as it stands: read here, so that chunks reach the store in order.
async fn read_chunk(
    app: &App,
    poll: &PollId,
    lines: Option<&mut Lines>,
) -> Result<Option<(Chunk, Arc<Poll>)>, Failure> {
    let Some(lines) = lines else { return Ok(None) };
    // Nothing is lost if this is dropped while it waits: what was read stays with `lines`.
    lines.fill(app).await?;
    let poll = app.poll(poll).await?;
    Ok(lines.cut().map(|chunk| (chunk, poll)))
}

/// The body as lines.
struct Lines {
    body: Body,
    /// What was read and not yet cut.
    text: BytesMut,
    /// Lines cut so far.
    cut: u64,
    /// Whether a line that was too long is being dropped up to its end.
    skipping: bool,
    ended: bool,
}

/// Some lines that are answered together.
struct Chunk {
    text: Bytes,
    lines: Vec<Line>,
}

impl Chunk {
    /// A line's text; nothing for one that was too long to keep.
    fn line(&self, index: usize) -> &[u8] {
        let Line { start, end, .. } = self.lines[index];
        end.map_or(&[], |end| &self.text[start..end])
    }
}

/// One line that is not empty.
struct Line {
    number: u64,
    start: usize,
    /// None for a line that was too long to keep.
    end: Option<usize>,
}

impl Lines {
    /// Reads until there is a line to cut, or the end: then whatever more is at hand, up to a chunk.
    async fn fill(&mut self, app: &App) -> Result<(), Failure> {
        while !self.ended && !self.has_line() {
            match tokio::time::timeout(app.parts.settings.batch_wait_max, next_bytes(&mut self.body)).await {
                Ok(Ok(bytes)) => self.add(bytes),
                Ok(Err(failure)) => return Err(failure),
                Err(_) => return Err(Failure::TooSlow),
            }
        }
        while !self.ended && self.text.len() < BATCH_CHUNK_BYTES_MAX {
            match next_bytes(&mut self.body).now_or_never() {
                Some(Ok(bytes)) => self.add(bytes),
                Some(Err(failure)) => return Err(failure),
                None => break,
            }
        }
        Ok(())
    }

    fn add(&mut self, bytes: Option<Bytes>) {
        if let Some(bytes) = bytes {
            self.text.extend_from_slice(&bytes);
            self.drop_overlong();
            return;
        }
        self.ended = true;
        // The last line may come without its end.
        if !self.text.is_empty() || self.skipping {
            self.text.extend_from_slice(b"\n");
        }
    }

    fn has_line(&self) -> bool {
        memchr::memchr(b'\n', &self.text).is_some()
    }

    /// A line that is too long already is not kept while its end is awaited.
    fn drop_overlong(&mut self) {
        if (self.skipping || self.text.len() > VOTE_BODY_BYTES_MAX) && !self.has_line() {
            self.skipping = true;
            self.text.clear();
        }
    }

    /// Cuts off a chunk; none at the end.
    fn cut(&mut self) -> Option<Chunk> {
        let mut lines = Vec::with_capacity(BATCH_CHUNK_LINES_MAX.min(self.text.len() / 32 + 1));
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &self.text) {
            self.cut += 1;
            let was_skipped = std::mem::take(&mut self.skipping);
            if was_skipped || end - start > VOTE_BODY_BYTES_MAX {
                lines.push(Line { number: self.cut, start, end: None });
            } else if !self.text[start..end].trim_ascii().is_empty() {
                lines.push(Line { number: self.cut, start, end: Some(end) });
            }
            start = end + 1;
            if lines.len() == BATCH_CHUNK_LINES_MAX || start >= BATCH_CHUNK_BYTES_MAX {
                break;
            }
        }
        if start == 0 {
            return None;
        }
        let text = self.text.split_to(start).freeze();
        self.drop_overlong();
        Some(Chunk { text, lines })
    }
}

/// Who sends, and where to.
struct Sender {
    app: App,
    caller: Caller,
    actor: String,
}

/// What became of one line; none while it is open.
type Verdict = Option<Result<Recorded, Box<Failure>>>;

/// A vote that counts.
struct Recorded {
    vote_id: VoteId,
    /// Whether it was recorded before, under the same idempotency key: what a single vote's header field says.
    replayed: bool,
}

impl Sender {
    /// Has a chunk's votes recorded, and writes its answers.
    async fn answer(&self, chunk: Chunk, poll: Arc<Poll>) -> Bytes {
        let mut verdicts = self.admit_all(&chunk.lines).await;
        self.record(&chunk, poll, &mut verdicts).await;
        let mut answers = Vec::with_capacity(chunk.lines.len() * 80);
        for (line, verdict) in chunk.lines.iter().zip(&verdicts) {
            write_answer(&mut answers, line.number, verdict);
        }
        answers.into()
    }

    /// Refuses lines that are too long or beyond the sender's limits. Where these are counted elsewhere, many lines are
    /// asked for at a time.
    async fn admit_all(&self, lines: &[Line]) -> Vec<Verdict> {
        if self.app.store().shared_limits().is_some() {
            let admitted = iter(0..lines.len()).map(|index| self.admit(&lines[index]));
            return admitted.buffered(LIMITS_ASKED_AT_ONCE_MAX).collect().await;
        }
        let mut verdicts = Vec::with_capacity(lines.len());
        for line in lines {
            verdicts.push(self.admit(line).await);
        }
        verdicts
    }

    /// Refuses a line that is too long or beyond the sender's limits.
    async fn admit(&self, line: &Line) -> Verdict {
        if line.end.is_none() {
            return Some(Err(Box::new(Failure::TooLarge(VOTE_BODY_BYTES_MAX))));
        }
        match count(&self.app, &self.caller, Class::PostVotes).await {
            Ok(_) => None,
            Err(failure) => Some(Err(Box::new(failure))),
        }
    }

    /// Has the open lines recorded. Those that the store has no room for, or whose options changed meanwhile, are read
    /// and sent again.
    async fn record(&self, chunk: &Chunk, mut poll: Arc<Poll>, verdicts: &mut [Verdict]) {
        let mut tries = 0;
        while tries < BATCH_RETRIES_MAX {
            let mut must_wait = false;
            match self.read_open(chunk, &poll, verdicts) {
                ReadOpen::All(sent, _) if sent.is_empty() => return,
                ReadOpen::All(sent, commands) => {
                    tries += 1;
                    must_wait = self.send(&poll, verdicts, &sent, commands).await;
                }
                // Each of these adds an option, of which a poll has so many, or settles a line: it need not be counted.
                ReadOpen::WriteIn(index, label) => {
                    let added = self.write_in(&poll, chunk.line(index), label).await;
                    verdicts[index] = added.err().map(|failure| Err(Box::new(failure)));
                }
            }
            if verdicts.iter().all(Option::is_some) {
                return;
            }
            if must_wait {
                tokio::time::sleep(BATCH_RETRY_WAIT).await;
            }
            match self.app.poll(&poll.id).await {
                Ok(newest) => poll = newest,
                Err(failure) => return close(verdicts, &failure),
            }
        }
        close(verdicts, &Failure::Busy { retry_after: BATCH_RETRY_WAIT });
    }

    /// Reads every open line against the poll's form, up to one that is for an option that must be added first: after
    /// that all are read anew.
    fn read_open(&self, chunk: &Chunk, poll: &Poll, verdicts: &mut [Verdict]) -> ReadOpen {
        let mut sent = Vec::with_capacity(chunk.lines.len());
        let mut commands = Vec::with_capacity(chunk.lines.len());
        for (index, verdict) in verdicts.iter_mut().enumerate().filter(|(_, verdict)| verdict.is_none()) {
            match self.read_line(poll, chunk.line(index)) {
                Ok(Reading::Command(command)) => {
                    sent.push(index);
                    commands.push(command);
                }
                Ok(Reading::WriteIn(label)) => return ReadOpen::WriteIn(index, label),
                Err(failure) => *verdict = Some(Err(Box::new(failure))),
            }
        }
        ReadOpen::All(sent, commands)
    }

    fn read_line(&self, poll: &Poll, line: &[u8]) -> Result<Reading, Failure> {
        let request = VoteRequest::read(line)?;
        self.app.read_command(poll, &self.vote_ask(poll, &request)?)
    }

    /// Adds the option that a line's voter writes in.
    async fn write_in(&self, poll: &Arc<Poll>, line: &[u8], label: String) -> Result<(), Failure> {
        let request = VoteRequest::read(line)?;
        let ask = self.vote_ask(poll, &request)?;
        self.app.write_in(poll, &ask, label).await
    }

    /// Sends votes and notes what became of them; tells whether some must wait for room.
    async fn send(
        &self,
        poll: &Arc<Poll>,
        verdicts: &mut [Verdict],
        sent: &[usize],
        commands: Vec<VoteCommand>,
    ) -> bool {
        match self.app.store().vote(&poll.id, commands).await {
            Ok(results) => {
                self.app.parts.metrics.votes.count_all(&results);
                self.settle(poll, verdicts, sent.iter().copied().zip(results))
            }
            Err(error) => {
                let all = sent.iter().map(|index| (*index, Err(error.clone())));
                self.settle(poll, verdicts, all)
            }
        }
    }

    fn vote_ask<'a>(&'a self, poll: &Poll, request: &'a VoteRequest<'a>) -> Result<VoteAsk<'a>, Failure> {
        let named = read_voter(request.voter_id.as_ref())?;
        let code = request.code.as_ref().map(|Text(code)| &**code);
        let idempotency_key = request.idempotency_key.as_ref().map(|Text(key)| key.parse()).transpose();
        Ok(VoteAsk {
            identity: identify(poll, &self.caller, named, code)?,
            operation: Operation::Cast,
            request: Some(request),
            idempotency_key: idempotency_key
                .map_err(|error: IdentifierError| Failure::invalid("idempotencyKey", error.to_string()))?,
            may_weigh: self.caller.has(Scope::VotesWrite),
            by_label: false,
            actor: &self.actor,
        })
    }

    /// Notes what became of the votes that were sent; tells whether some must wait for room.
    fn settle(
        &self,
        poll: &Arc<Poll>,
        verdicts: &mut [Verdict],
        results: impl Iterator<Item = (usize, Result<VoteOutcome, StoreError>)>,
    ) -> bool {
        let mut troubles: Vec<(StoreError, Option<Failure>)> = Vec::new();
        for (index, result) in results {
            verdicts[index] = match result {
                Ok(VoteOutcome::Accepted(receipt)) => {
                    Some(Ok(Recorded { vote_id: receipt.vote_id, replayed: false }))
                }
                Ok(VoteOutcome::Replayed(vote)) => {
                    Some(Ok(Recorded { vote_id: vote.vote_id, replayed: true }))
                }
                Err(StoreError::Refused(Refusal::FormChanged)) => None,
                Err(refused @ StoreError::Refused(_)) => {
                    Some(Err(Box::new(self.app.vote_failed(poll, refused))))
                }
                // One trouble of the store meets many lines, but is logged once.
                Err(error) => {
                    let known = troubles.iter().position(|(known, _)| *known == error);
                    let place = known.unwrap_or_else(|| {
                        let failure = self.app.failed(error.clone());
                        troubles.push((error, Some(failure).filter(|failure| !is_full(failure))));
                        troubles.len() - 1
                    });
                    troubles[place].1.clone().map(|failure| Err(Box::new(failure)))
                }
            };
        }
        troubles.iter().any(|(_, failure)| failure.is_none())
    }
}

/// What came of reading the open lines.
enum ReadOpen {
    /// These lines are these commands.
    All(Vec<usize>, Vec<VoteCommand>),
    /// This line is for an option that must be added first.
    WriteIn(usize, String),
}

/// Whether a line may wait: the store has no room now, and nothing is wrong with it.
fn is_full(failure: &Failure) -> bool {
    matches!(failure, Failure::Busy { .. })
}

fn close(verdicts: &mut [Verdict], failure: &Failure) {
    for verdict in verdicts.iter_mut().filter(|verdict| verdict.is_none()) {
        *verdict = Some(Err(Box::new(failure.clone())));
    }
}

fn write_answer(answers: &mut Vec<u8>, line: u64, verdict: &Verdict) {
    answers.extend_from_slice(b"{\"line\":");
    write_number(answers, line);
    match verdict {
        Some(Ok(Recorded { vote_id, replayed })) => {
            answers.extend_from_slice(b",\"status\":201,\"voteId\":\"");
            write_vote_id(answers, vote_id);
            answers.extend_from_slice(if *replayed { b"\",\"replayed\":true}\n" } else { b"\"}\n" });
        }
        Some(Err(failure)) => {
            answers.push(b',');
            write_refusal(answers, failure);
        }
        None => {}
    }
}

fn write_refusal(answers: &mut Vec<u8>, failure: &Failure) {
    answers.extend_from_slice(b"\"status\":");
    write_number(answers, u64::from(status(failure).as_u16()));
    answers.extend_from_slice(b",\"type\":\"/problems/");
    answers.extend_from_slice(Kind::of(failure).name().as_bytes());
    answers.extend_from_slice(b"\",\"detail\":");
    write_text(answers, &failure.to_string());
    if let Some(vote_id) = failure.existing_vote() {
        answers.extend_from_slice(b",\"voteId\":\"");
        write_vote_id(answers, &vote_id);
        answers.push(b'"');
    }
    answers.extend_from_slice(b"}\n");
}

/// The last line of a batch that ended too early, for a client that still listens.
fn farewell(failure: &Failure) -> Bytes {
    let mut answers = b"{".to_vec();
    write_refusal(&mut answers, failure);
    answers.into()
}
