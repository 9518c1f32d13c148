// cdk-nag's rules for AWS solutions, and CDK's own checks: what they find is what was accepted with a reason, no more
// and no less.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import { ACCEPT_NOTHING, accepted } from "../lib/reasons";
import { makeApp } from "../lib/synthesise";

interface Violation {
  readonly ruleName: string;
  readonly violatingConstructs: { readonly constructPath: string }[];
}

/** All findings, as `path rule`. */
function find(acceptNothing: boolean): string[] {
  const outdir = mkdtempSync(join(tmpdir(), "canvass-nag-"));
  try {
    const { app } = makeApp({ outdir, context: { [ACCEPT_NOTHING]: acceptNothing } });
    Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
    const shown = console.error;
    try {
      // It prints all that it finds, and fails where that is an error; the report says the same.
      if (acceptNothing) console.error = () => {};
      app.synth();
    } catch {
    } finally {
      console.error = shown;
    }
    const report = JSON.parse(readFileSync(join(outdir, "validation-report.json"), "utf8"));
    const violations: Violation[] = report.pluginReports.flatMap((plugin: { violations: Violation[] }) => plugin.violations);
    const found = violations.flatMap(({ ruleName, violatingConstructs }) =>
      violatingConstructs.map(({ constructPath }) => `${constructPath} ${ruleName}`));
    return [...new Set(found)].sort();
  } finally {
    rmSync(outdir, { recursive: true });
  }
}

test("everything that is found was accepted with a reason", () => {
  assert.deepEqual(find(false), []);
});

test("everything that was accepted is found", () => {
  const found = find(true);
  assert.ok(found.length > 20, `${found.length}`);
  // Other tests make stacks of their own.
  const ours = [...accepted].filter((line) => line.startsWith("Canvass"));
  assert.deepEqual(ours.map((line) => line.replace("CloudFormation-Validate::", "")).sort(), found);
});
