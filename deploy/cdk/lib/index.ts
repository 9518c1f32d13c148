// What others may use.
export { Canvass, type CanvassProps } from "./canvass";
export { CanvassStack } from "./stack";
export type { Archives } from "./functions";
export type { Switch } from "./switch";
