// Parts that may be left out. In an app of one's own that is known when it is synthesised; in the template it is a
// condition over its parameters, so each part is written once and works for both.
import { Aws, CfnCondition, CfnResource, Fn } from "aws-cdk-lib";
import { Construct } from "constructs";

/** Whether a part is there: known now, or by a condition of the template. */
export type Switch = boolean | CfnCondition;

/** One of two values, by a switch. */
export function choose(on: Switch, there: unknown, otherwise: unknown = Aws.NO_VALUE): any {
  if (typeof on === "boolean") return on ? there : otherwise;
  return Fn.conditionIf(on.logicalId, there, otherwise);
}


/** Makes a part, all of whose resources are there only while the switch is on. */
export function part<T>(scope: Construct, name: string, on: Switch, make: (part: Construct) => T): T | undefined {
  if (on === false) return undefined;
  const inside = new Construct(scope, name);
  const made = make(inside);
  if (on !== true) {
    const resources = inside.node.findAll().filter((child): child is CfnResource => CfnResource.isCfnResource(child));
    // A resource with a condition of its own has one that implies the part's.
    resources.forEach((resource) => (resource.cfnOptions.condition ??= on));
  }
  return made;
}
