// Canvass for applications: vote so that it counts once, read results, watch them. It needs nothing else, and runs in
// browsers, Node 20 and Deno.
//
//   import { Canvass } from "https://vote.example/client/canvass.js";
//   const canvass = new Canvass("https://vote.example");
//   await canvass.vote("lunch", { choice: "pizza" }, { voterId: "ada" });
//   for await (const results of canvass.watch("lunch")) show(results);

/** What the server refuses, or what kept it from answering. */
export class CanvassError extends Error {
  constructor(message, { status = 0, type = "no-answer", problem = null, cause } = {}) {
    super(message, { cause });
    this.name = "CanvassError";
    this.status = status;
    this.type = type;
    this.problem = problem;
  }

  /** Whether the same request may do later, so that it is worth sending again. */
  get mayPass() {
    return [0, 408, 429, 502, 503, 504].includes(this.status) && this.type !== "quota-exceeded";
  }
}

const PAUSE_MS_FIRST = 250;
const PAUSE_MS_MAX = 15_000;
/** The server says something every 15 seconds; one that is silent for longer is gone. */
const SILENCE_MS_MAX = 40_000;

export class Canvass {
  #server;
  #key;
  #fetch;
  #known = new Map();
  #cookie;

  constructor(server, { key, fetch = globalThis.fetch } = {}) {
    this.#server = String(server).replace(/\/+$/, "");
    this.#key = key;
    this.#fetch = (...request) => fetch(...request);
  }

  /**
   * Casts a vote. It is sent again, under one idempotency key, until the server says what became of it: however often
   * that is, it counts once.
   */
  async vote(poll, ballot, options = {}) {
    const { voterId, demographics, code, idempotencyKey = drawKey(), patienceMs = 60_000, signal } = options;
    const giveUpAt = Date.now() + patienceMs;
    const body = JSON.stringify({ voterId, ballot, demographics });
    const headers = { "content-type": "application/json", "idempotency-key": idempotencyKey };
    if (code !== undefined) headers["x-voting-code"] = code;
    // In a public poll the device votes. It must be known before, or a second try would be another device's.
    const isDevice = !this.#key && voterId === undefined && code === undefined;
    if (isDevice) await persist(() => this.#ask(path(poll), { signal }), giveUpAt, signal);
    const request = { method: "POST", headers, body, signal };
    const answer = await persist(() => this.#ask(`${path(poll)}/votes`, request), giveUpAt, signal);
    return answer.json();
  }

  /** The results as they are now. What has not changed is not sent again. */
  async results(poll, { signal } = {}) {
    const known = this.#known.get(poll);
    const headers = known ? { "if-none-match": known.tag } : {};
    const answer = await this.#ask(`${path(poll)}/results`, { headers, signal });
    if (answer.status === 304) return known.results;
    const results = await answer.json();
    const tag = answer.headers.get("etag");
    if (tag) this.#known.set(poll, { tag, results });
    return results;
  }

  /**
   * The results, again with each change, until they are final: by the stream, or by asking every few seconds where
   * there is none. They never go back. The loop may be left at any time.
   */
  async *watch(poll, { signal, intervalMs = 5_000 } = {}) {
    let seen = -1;
    let failures = 0;
    for (;;) {
      let pauseMs = intervalMs;
      try {
        for await (const told of this.#stream(poll, seen, signal)) {
          failures = 0;
          pauseMs = told.retryMs ?? pauseMs;
          if (!told.results || told.results.sequence <= seen) continue;
          seen = told.results.sequence;
          yield told.results;
          if (told.results.final) return;
        }
      } catch (error) {
        if (!error.mayPass) throw error;
        failures += 1;
      }
      if (failures) {
        const results = await this.results(poll, { signal }).catch(bear);
        if (results && results.sequence > seen) {
          seen = results.sequence;
          yield results;
        }
        if (results?.final) return;
        if (!results) pauseMs = backoff(failures, pauseMs);
      }
      await pause(spread(pauseMs), signal);
    }
  }

  /** One stream from its beginning to its end: results and the pause that the server asks for after it. */
  async *#stream(poll, seen, signal) {
    const silence = new AbortController();
    const stop = signal ? AbortSignal.any([signal, silence.signal]) : silence.signal;
    const headers = { accept: "text/event-stream" };
    if (seen >= 0) headers["last-event-id"] = String(seen);
    let timer;
    const listen = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
    };
    try {
      listen();
      const answer = await this.#ask(`${path(poll)}/results/stream`, { headers, signal: stop });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; ; ) {
        const { value, done } = await reader.read();
        if (done) return;
        listen();
        const events = (rest + value).split("\n\n");
        rest = events.pop();
        yield* newest(events.map(readEvent));
      }
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw error instanceof CanvassError ? error : lost(error);
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
  }

  /** One request and its answer, 304 among them. Whatever else is no success is thrown. */
  async #ask(path, { headers = {}, signal, ...request }) {
    const sent = { ...headers };
    if (this.#key) sent["x-api-key"] = this.#key;
    if (this.#cookie) sent.cookie = this.#cookie;
    let answer;
    try {
      answer = await this.#fetch(this.#server + path, { ...request, headers: sent, signal });
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw lost(error);
    }
    this.#keepCookie(answer);
    if (answer.ok || answer.status === 304) return answer;
    throw await refusal(answer);
  }

  /** Browsers keep cookies and show none of them. Elsewhere this object is the device. */
  #keepCookie(answer) {
    for (const cookie of answer.headers.getSetCookie?.() ?? []) {
      if (cookie.startsWith("canvass_device=")) this.#cookie = cookie.split(";")[0];
    }
  }
}

/** Does something until it is done, is refused for good, or the time is over. */
async function persist(act, giveUpAt, signal) {
  for (let failures = 1; ; failures += 1) {
    try {
      return await act();
    } catch (error) {
      const pauseMs = spread(backoff(failures, PAUSE_MS_FIRST)) + (error.retryAfterMs ?? 0);
      if (!error.mayPass || Date.now() + pauseMs > giveUpAt) throw error;
      await pause(pauseMs, signal);
    }
  }
}

async function refusal(answer) {
  const problem = await answer.json().catch(() => null);
  const type = String(problem?.type ?? "").split("/").pop() || "unexplained";
  const error = new CanvassError(problem?.detail ?? `the server answered ${answer.status}`, { status: answer.status, type, problem });
  error.retryAfterMs = 1_000 * (Number(answer.headers.get("retry-after")) || 0);
  return error;
}

function lost(cause) {
  return new CanvassError("the server did not answer", { cause });
}

/** Nothing, for an error that may pass. */
function bear(error) {
  if (!error.mayPass) throw error;
  return null;
}

function readEvent(text) {
  const told = {};
  for (const line of text.split("\n")) {
    if (line.startsWith("retry: ")) told.retryMs = Number(line.slice(7));
    if (line.startsWith("data: ")) told.results = JSON.parse(line.slice(6));
  }
  return told;
}

/** Of events that came together the newest results are enough. */
function newest(events) {
  const last = events.findLastIndex((event) => event.results);
  return events.filter((event, at) => !event.results || at === last);
}

function path(poll) {
  return `/v1/polls/${encodeURIComponent(poll)}`;
}

function drawKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function backoff(failures, first) {
  return Math.min(first * 2 ** (failures - 1), PAUSE_MS_MAX);
}

/** So that those who lost the server at once do not all come back at once. */
function spread(pauseMs) {
  return pauseMs * (0.5 + Math.random() / 2);
}

function pause(pauseMs, signal) {
  return new Promise((done, fail) => {
    signal?.throwIfAborted();
    const timer = setTimeout(finish, pauseMs);
    const stop = () => {
      clearTimeout(timer);
      fail(signal.reason);
    };
    function finish() {
      signal?.removeEventListener("abort", stop);
      done();
    }
    signal?.addEventListener("abort", stop, { once: true });
  });
}
