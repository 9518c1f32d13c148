// The functions in the template against what their own tests write down of them: each variable that is set is read and
// the other way round, and each action that is used is granted and no other is.
import assert from "node:assert/strict";
import { test } from "node:test";
import { described, made } from "./made";
import { archiveOf, of, references, type Resource } from "./rules";

/** Functions of the template by the archive that they run. */
const functions = new Map(
  of(made.template, "AWS::Lambda::Function").map(([id, resource]) => [archiveOf(made.template, id), resource]));

/** What Lambda itself needs of a function's role, which no function's code asks for. */
const SERVICE = ["WriteLog", "TellWhatWasGivenUp"];

test("there are three functions", () => {
  assert.deepEqual([...functions.keys()].sort(), ["api", "export", "tally"]);
});

for (const [name, resource] of functions) {
  test(`${name}: runtime, variables and permissions`, (context) => {
    if (described === undefined) return context.skip("deploy/functions.json is not there");
    const known = described.functions[name]!;
    assert.equal(resource.Properties.Runtime, described.runtime);
    assert.equal(resource.Properties.Handler, described.handler);
    const set = Object.keys(resource.Properties.Environment.Variables);
    const read = known.variables.map((variable) => variable.name);
    const unread = set.filter((variable) => !read.includes(variable));
    assert.deepEqual(unread, [], "set, and read by nobody");
    // What is logged has a default that fits; whoever looks for a fault sets it by hand.
    const missing = read.filter((variable) => !set.includes(variable) && variable !== "CANVASS_LOG");
    assert.deepEqual(missing, [], "read, and not set");
    assert.deepEqual(granted(resource), used(known.actions));
  });
}

/** Actions by what they are granted on, in the words of `functions.json`. */
function granted(resource: Resource): Record<string, string[]> {
  const role = made.template.Resources[references(resource.Properties.Role)[0]!]!;
  const found: Record<string, string[]> = {};
  for (const policy of role.Properties.Policies.filter((policy: any) => !SERVICE.includes(policy.PolicyName))) {
    for (const { Action, Resource } of policy.PolicyDocument.Statement) {
      for (const on of [Resource].flat().map((resource) => nameOf(resource, Action))) {
        found[on] = [...new Set([...(found[on] ?? []), ...Action])].sort();
      }
    }
  }
  return sorted(found);
}

function used(actions: Record<string, string[]>): Record<string, string[]> {
  return sorted(Object.fromEntries(Object.entries(actions).map(([on, all]) => [on, [...all].sort()])));
}

function sorted(all: Record<string, string[]>): Record<string, string[]> {
  return Object.fromEntries(Object.entries(all).sort(([left], [right]) => (left < right ? -1 : 1)));
}

const TABLES: Record<string, string> = { PollsTable: "main", VotesTable: "votes", ResultsTable: "tally" };

function nameOf(resource: unknown, actions: string[]): string {
  const [id] = references(resource);
  const text = JSON.stringify(resource);
  if (text.includes("StreamArn") || actions[0] === "dynamodb:ListStreams") return "table votes stream";
  if (id === "AdminKey") return "admin key";
  if (id === "EdgeKeySecret") return "edge key";
  if (id === "ResultsBucket") return "exports";
  return `table ${TABLES[id!]}${text.includes("/index/") ? " indexes" : ""}`;
}
