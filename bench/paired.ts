/** Figures that were measured in turns. */
import { type Spread, spreadOf } from "../src/bench/spread.ts";

/** How many times as large values are as others, each measured beside one of them: what slows both is not in it. */
export function pairedRatio(values: readonly number[], others: readonly number[]): Spread {
  if (values.length !== others.length) throw new RangeError(`${values.length} values beside ${others.length}`);
  return spreadOf(values.map((value, i) => value / others[i]!));
}
