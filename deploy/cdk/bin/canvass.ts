// `npx cdk deploy` and `npx cdk synth`: the same stack as the template.
import { makeApp } from "../lib/synthesise";

makeApp().app.synth();
