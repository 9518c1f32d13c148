// The template as it is made now, and what `deploy/functions.json` says of the functions in it.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { synthesise } from "../lib/synthesise";
import { dimension, of, type Known, type Template } from "./rules";

const DEPLOY = join(__dirname, "../..");
const FUNCTIONS = join(DEPLOY, "functions.json");

/** What the functions' own tests write down of them. */
export interface Described {
  readonly runtime: string;
  readonly handler: string;
  readonly functions: Record<string, { variables: { name: string; needed: boolean }[]; actions: Record<string, string[]> }>;
  readonly metrics: { namespace: string; stack: string; metrics: { name: string; dimension?: { name: string; values: string[] } }[] };
}

const text = synthesise();
const template = JSON.parse(text) as Template & Record<string, any>;
export const described: Described | undefined = existsSync(FUNCTIONS) ? JSON.parse(readFileSync(FUNCTIONS, "utf8")) : undefined;

export const made = {
  text,
  kept: readFileSync(join(DEPLOY, "canvass.template.json"), "utf8"),
  template,
  known: known(),
};

/** What the functions answer, and what they write, each with the prefix that the template gives them. */
function known(): Known {
  const metrics = described?.metrics ?? { namespace: "Canvass", stack: "Stack", metrics: [] };
  const prefixes = of(template, "AWS::Lambda::Function").map(([, { Properties }]) => Properties.Environment.Variables.CANVASS_TABLE_PREFIX);
  const stacks = [...new Set(prefixes.map((prefix) => dimension(metrics.stack, prefix)))];
  const written = metrics.metrics.map(({ name, dimension: more }): [string, string[]] => [
    name,
    stacks.flatMap((stack) => (more ? more.values.map((value) => `${stack},${dimension(more.name, value)}`) : [stack])),
  ]);
  return { namespace: metrics.namespace, metrics: Object.fromEntries(written), archives: { api: routes(), tally: [], export: [] } };
}

/** What the API answers, by its own description, and its pages. */
function routes(): string[] {
  const { paths } = JSON.parse(readFileSync(join(DEPLOY, "../crates/canvass-server/openapi.json"), "utf8"));
  const described = Object.entries<object>(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
  return [...described, "GET /", "POST /p/{poll}", "GET /p/{poll}/results"];
}
