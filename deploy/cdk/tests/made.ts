// The template as it is made now, and what `deploy/functions.json` says of the functions in it.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { synthesise } from "../lib/synthesise";
import type { Known, Template } from "./rules";

const DEPLOY = join(__dirname, "../..");
const FUNCTIONS = join(DEPLOY, "functions.json");

/** What the functions' own tests write down of them. */
export interface Described {
  readonly runtime: string;
  readonly handler: string;
  readonly functions: Record<string, { variables: { name: string; needed: boolean }[]; actions: Record<string, string[]> }>;
  readonly metrics: { namespace: string; metrics: { name: string; dimension?: { name: string; values: string[] } }[] };
}

const text = synthesise();
export const described: Described | undefined = existsSync(FUNCTIONS) ? JSON.parse(readFileSync(FUNCTIONS, "utf8")) : undefined;

export const made = {
  text,
  kept: readFileSync(join(DEPLOY, "canvass.template.json"), "utf8"),
  template: JSON.parse(text) as Template & Record<string, any>,
  known: known(),
};

function known(): Known {
  const metrics = described?.metrics ?? { namespace: "Canvass", metrics: [] };
  const written = metrics.metrics.map(({ name, dimension }): [string, string[]] => [
    name,
    dimension ? dimension.values.map((value) => `${dimension.name}=${value}`) : [""],
  ]);
  return { namespace: metrics.namespace, metrics: Object.fromEntries(written), archives: ["api", "tally", "export"] };
}
