// The template as it is kept in the repository: the stack without a bootstrap, without anything that changes from one
// machine to another.
import { App, AppProps, LegacyStackSynthesizer } from "aws-cdk-lib";
import { CanvassStack } from "./stack";

/** An app with the stack, and what to set for it. */
export function makeApp(props: AppProps = {}): { app: App; stack: CanvassStack } {
  const app = new App({ analyticsReporting: false, ...props });
  // The older synthesizer needs no bootstrapped account, and puts no parameter and rule about that into the template.
  const stack = new CanvassStack(app, "Canvass", { synthesizer: new LegacyStackSynthesizer() });
  return { app, stack };
}

/** The template as text, with a line break at its end. */
export function synthesise(): string {
  const { app, stack } = makeApp();
  const { template } = app.synth().getStackByName(stack.stackName);
  return `${JSON.stringify(template, null, 1)}\n`;
}
