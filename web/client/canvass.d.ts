/** A ballot: the form that the poll's method asks for. */
export type Ballot =
  | { choice: string }
  | { choices: string[] }
  /** From the most preferred down; a list is an equal rank, null a skipped one. */
  | { ranking: (string | string[] | null)[] }
  | { scores: Record<string, number> }
  | { allocation: Record<string, number> };

export type Status = "draft" | "scheduled" | "open" | "paused" | "closed" | "certified" | "archived";

/** A vote as it was recorded. */
export interface Vote {
  pollId: string;
  voterId: string;
  /** The same through all changes of the vote. */
  voteId: string;
  ballot: Ballot;
  demographics: Record<string, string>;
  /** RFC 3339. */
  castAt: string;
  /** The vote's place among its poll's records; absent on an engine that learns it only later. */
  sequence?: number;
}

/** One option's part of the results. What the caller may not see is absent. */
export interface OptionResult {
  id: string;
  label: string;
  /** A decimal string where votes have weights. */
  votes?: number | string;
  /** From 0 to 1. */
  share?: number;
  /** A decimal string, of methods that add up scores, points, dots or votes. */
  total?: string;
  /** A decimal string, of `score`. */
  mean?: string;
}

/** A poll's results. Equal sequences mean equal results. */
export interface Results {
  pollId: string;
  title: string;
  status: Status;
  method: { type: string; [rule: string]: unknown };
  /** How many of the poll's records are counted. */
  sequence: number;
  votes: number;
  options: OptionResult[];
  winners: string[];
  tied: string[];
  /** Whether the count may be seen; if not, only the turnout is told. */
  visible: boolean;
  /** Whether no vote can come any more. */
  final: boolean;
  /** RFC 3339. */
  updatedAt: string;
  rounds?: unknown[];
  pairwise?: string[][];
  ties?: unknown[];
}

/** Why a request was not carried out (RFC 9457). */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  field?: string;
  existingVote?: { voteId: string; ballot: Ballot; castAt: string };
}

/** What the server refuses, or what kept it from answering. */
export class CanvassError extends Error {
  /** The status of the answer; 0 where none came. */
  readonly status: number;
  /** The kind of problem, such as `already-voted`; `no-answer` where none came. */
  readonly type: string;
  readonly problem: Problem | null;
  /** Whether the same request may do later, so that it is worth sending again. */
  readonly mayPass: boolean;
}

export interface CanvassOptions {
  /** An API key. Never in a browser: whoever reads the page has it then. */
  key?: string;
  fetch?: typeof globalThis.fetch;
}

export interface VoteOptions {
  /** Who votes, in polls whose voters are named. */
  voterId?: string;
  /** The one-time code, in polls with codes. */
  code?: string;
  demographics?: Record<string, string>;
  /** Drawn if absent. Give one that you keep, to go on after the page or the program was closed. */
  idempotencyKey?: string;
  /** How long to try, 60,000 if absent. */
  patienceMs?: number;
  signal?: AbortSignal;
}

export interface WatchOptions {
  signal?: AbortSignal;
  /** How often to ask where there is no stream, 5,000 if absent. */
  intervalMs?: number;
}

/** Polls of one server. */
export class Canvass {
  constructor(server: string | URL, options?: CanvassOptions);
  /**
   * Casts a vote, and sends it again under one idempotency key until the server says what became of it: however often
   * that is, it counts once.
   *
   * @throws CanvassError what was refused; one with `mayPass` means that the time was over and nobody knows whether the
   * vote counts: vote again with the same `idempotencyKey` to find out.
   */
  vote(poll: string, ballot: Ballot, options?: VoteOptions): Promise<Vote>;
  /** The results as they are now. */
  results(poll: string, options?: { signal?: AbortSignal }): Promise<Results>;
  /** The results, again with each change, until they are final. They never go back. */
  watch(poll: string, options?: WatchOptions): AsyncGenerator<Results, void, void>;
}
