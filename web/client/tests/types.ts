// Never run: `tsc --noEmit --strict` must find that all of this fits the types, and that what is marked does not.
import { Canvass, CanvassError, type Results, type Vote } from "../canvass.js";

export async function use(canvass: Canvass): Promise<number> {
  const vote: Vote = await canvass.vote("lunch", { ranking: ["a", ["b", "c"], null] }, { voterId: "ada" });
  // @ts-expect-error a ballot has one form
  await canvass.vote("lunch", { choise: "a" });
  const results: Results = await canvass.results("lunch");
  for await (const { sequence, final } of canvass.watch("lunch", { signal: AbortSignal.timeout(1) })) {
    if (final) return sequence;
  }
  const error = new Error() as CanvassError;
  return error.mayPass ? results.votes : (vote.sequence ?? 0);
}
