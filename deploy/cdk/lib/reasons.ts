// What cdk-nag and CDK's own checks find and why it stays. A finding without a line that accepts it fails the tests, and
// so does a line that nothing needs any more.
import { Validations } from "aws-cdk-lib";
import { Construct } from "constructs";

/** Set in the app's context, it accepts nothing, so that the tests see all that there is to accept. */
export const ACCEPT_NOTHING = "canvass:accept-nothing";

/** What was accepted where, for the tests. */
export const accepted = new Set<string>();

/** Accepts one finding at one construct. The reason is for whoever reviews the deployment. */
export function accept(construct: Construct, rule: string, reason: string): void {
  accepted.add(`${construct.node.path} ${rule}`);
  if (construct.node.tryGetContext(ACCEPT_NOTHING) !== true) Validations.of(construct).acknowledge({ id: rule, reason });
}
