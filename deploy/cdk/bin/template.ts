// `npm run template`: writes deploy/canvass.template.json anew.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { synthesise } from "../lib/synthesise";

writeFileSync(join(__dirname, "../../canvass.template.json"), synthesise());
