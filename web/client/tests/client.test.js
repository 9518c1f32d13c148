// The module against a real server, which CANVASS_SERVER and CANVASS_KEY name, and through a proxy that loses and
// refuses what a test tells it to. `cargo xtask client` runs it.
import assert from "node:assert/strict";
import { createServer, request as forward } from "node:http";
import { after, before, test } from "node:test";
import { Canvass, CanvassError } from "../canvass.js";

const server = new URL(process.env.CANVASS_SERVER);
const key = process.env.CANVASS_KEY;
const admin = new Canvass(server, { key });

/** Stands before the server. `faults` says what becomes of the next requests, in order; then all go through. */
const proxy = createServer((ask, answer) => {
  const isVote = ask.url.endsWith("/votes");
  if (isVote) seenKeys.push(ask.headers["idempotency-key"]);
  const fault = ask.url.includes(faultsFor) ? (faults.shift() ?? "none") : "none";
  if (fault === "cut before") return ask.socket.destroy();
  if (typeof fault === "number") {
    ask.resume();
    return answer.writeHead(fault, { "retry-after": "0" }).end(JSON.stringify({ type: "/problems/server-busy", detail: "full" }));
  }
  const onward = forward({ host: server.hostname, port: server.port, path: ask.url, method: ask.method, headers: ask.headers }, (given) => {
    if (fault === "cut after") return given.resume().on("end", () => ask.socket.destroy());
    answer.writeHead(given.statusCode, given.headers);
    answer.flushHeaders();
    given.pipe(answer);
    if (fault === "cut in the middle") given.once("data", () => setTimeout(() => ask.socket.destroy(), 50));
  });
  answer.on("close", () => onward.destroy());
  onward.on("error", () => answer.destroy());
  ask.pipe(onward);
});
let faults = [];
let faultsFor = "";
let seenKeys = [];
let through;

before(async () => {
  await new Promise((done) => proxy.listen(0, "127.0.0.1", done));
  through = `http://127.0.0.1:${proxy.address().port}`;
});
after(() => {
  proxy.closeAllConnections();
  proxy.close();
});

let polls = 0;
/** A new poll, open unless `more` says otherwise. */
async function open(more = {}) {
  const id = `client-${process.pid}-${(polls += 1)}`;
  const poll = { id, title: "T", options: [{ id: "a" }, { id: "b" }], status: "open", access: "open", ...more };
  await call("POST", "/v1/polls", poll);
  return id;
}

async function call(method, path, body) {
  const headers = { "x-api-key": key, "content-type": "application/json" };
  const answer = await fetch(new URL(path, server), { method, headers, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
}

/** Votes through faults, and tells what counts afterwards. */
async function voteThrough(these, options = {}, more = {}) {
  const poll = await open(more);
  [faults, faultsFor, seenKeys] = [[...these], options.faultsFor ?? "/votes", []];
  const { key: own, ...rest } = options;
  const client = new Canvass(through, { key: own });
  const vote = await client.vote(poll, { choice: "a" }, rest).catch((error) => error);
  const { votes } = await admin.results(poll);
  return { poll, vote, votes, tries: seenKeys.length, keys: new Set(seenKeys).size };
}

test("a vote counts once, whatever is lost on the way", async () => {
  for (const these of [[], ["cut before"], ["cut after"], [503, 429, "cut after", 502], ["cut after", "cut after", "cut after"]]) {
    const { vote, votes, tries, keys } = await voteThrough(these, { voterId: "ada" });
    assert.equal(vote.voterId, "ada", `${these}: ${vote}`);
    assert.deepEqual({ votes, tries, keys }, { votes: 1, tries: these.length + 1, keys: 1 }, String(these));
  }
});

test("a device votes once in a public poll, whatever is lost on the way", async () => {
  const { vote, votes } = await voteThrough(["cut after", "cut after"], {}, { access: "public" });
  assert.match(vote.voterId, /^device-/);
  assert.equal(votes, 1);
  const first = await voteThrough(["cut before", "cut after"], { faultsFor: "/polls/" }, { access: "public" });
  assert.equal(first.votes, 1);
});

test("a refusal is told at once, and says why", async () => {
  const poll = await open();
  const client = new Canvass(server);
  await client.vote(poll, { choice: "a" }, { voterId: "ada" });
  const again = await client.vote(poll, { choice: "b" }, { voterId: "ada" }).catch((error) => error);
  assert.ok(again instanceof CanvassError);
  assert.deepEqual([again.status, again.type, again.mayPass], [409, "already-voted", false]);
  assert.deepEqual(again.problem.existingVote.ballot, { choice: "a" });
  const nowhere = await client.vote("nowhere", { choice: "a" }, { voterId: "ada" }).catch((error) => error);
  assert.deepEqual([nowhere.status, nowhere.type], [404, "poll-not-found"]);
  const hidden = await client.results(await open({ access: "key" })).catch((error) => error);
  assert.deepEqual([hidden.status, hidden.type], [401, "missing-key"]);
});

test("a vote that nobody answers is given up, and can be taken up again", async () => {
  const these = Array(50).fill("cut after");
  const { poll, vote, votes } = await voteThrough(these, { voterId: "ada", patienceMs: 700, idempotencyKey: "kept" });
  assert.deepEqual([vote.mayPass, vote.status, votes], [true, 0, 1]);
  faults = [];
  const known = await new Canvass(through).vote(poll, { choice: "a" }, { voterId: "ada", idempotencyKey: "kept" });
  assert.equal(known.voterId, "ada");
  assert.equal((await admin.results(poll)).votes, 1);
});

test("a vote can be called off", async () => {
  const poll = await open();
  [faults, faultsFor] = [Array(50).fill("cut before"), "/votes"];
  const signal = AbortSignal.timeout(100);
  const error = await new Canvass(through).vote(poll, { choice: "a" }, { voterId: "ada", signal }).catch((error) => error);
  assert.equal(error.name, "TimeoutError");
  faults = [];
});

test("results that have not changed are not sent again", async () => {
  const poll = await open();
  const answers = [];
  const client = new Canvass(server, {
    fetch: async (...request) => {
      const answer = await fetch(...request);
      answers.push(answer.status);
      return answer;
    },
  });
  const first = await client.results(poll);
  assert.deepEqual(await client.results(poll), first);
  await client.vote(poll, { choice: "a" }, { voterId: "ada" });
  assert.equal((await client.results(poll)).votes, 1);
  assert.deepEqual(answers, [200, 304, 201, 200]);
});

/** Watches through faults while votes come in and the poll closes. */
async function watchThrough(these, fault, options = {}) {
  const poll = await open();
  [faults, faultsFor] = [[...these], fault];
  const seen = [];
  for await (const results of new Canvass(through).watch(poll, { intervalMs: 100, ...options })) {
    seen.push(results);
    if (results.votes < 5) await admin.vote(poll, { choice: "b" }, { voterId: `voter ${results.votes}` });
    else if (!results.final) await call("POST", `/v1/polls/${poll}/close`);
  }
  const sequences = seen.map((results) => results.sequence);
  assert.deepEqual(sequences, [...new Set(sequences)].sort((a, b) => a - b), "nothing twice, nothing backwards");
  assert.deepEqual([seen.at(-1).votes, seen.at(-1).final], [5, true]);
  return seen.length;
}

test("watching tells each change until the end", async () => {
  assert.ok((await watchThrough([], "/stream")) >= 6);
});

test("watching goes on where the stream broke", async () => {
  await watchThrough(["cut in the middle", "cut before", "cut in the middle", 503], "/stream");
});

test("watching asks now and then where there is no stream", async () => {
  await watchThrough(Array(200).fill(503), "/stream");
});

test("watching never goes back, though a cache does", async () => {
  const told = [3, 2, 3, 4].map((sequence) => ({ sequence, final: sequence === 4 }));
  const stale = async (url) => (url.endsWith("/stream") ? new Response("{}", { status: 503 }) : Response.json(told.shift()));
  const seen = [];
  for await (const { sequence } of new Canvass(server, { fetch: stale }).watch("p", { intervalMs: 1 })) seen.push(sequence);
  assert.deepEqual(seen, [3, 4]);
});

test("watching can be left, and ends with what is refused", async () => {
  const poll = await open();
  for await (const results of new Canvass(server).watch(poll)) {
    assert.equal(results.votes, 0);
    break;
  }
  const signal = AbortSignal.timeout(200);
  await assert.rejects(async () => {
    for await (const results of new Canvass(server).watch(poll, { signal })) assert.equal(results.votes, 0);
  }, { name: "TimeoutError" });
  await assert.rejects(async () => {
    for await (const results of new Canvass(server).watch("nowhere")) assert.fail(results);
  }, { type: "poll-not-found" });
});
