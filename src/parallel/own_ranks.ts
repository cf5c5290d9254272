/** How ranks are shared out among processes. */
import { InputError } from "../errors.ts";
import { option, words } from "../words.ts";
import type { OwnRanks } from "./communicator.ts";

/**
 * The ranks of one of several processes, each of which has as many, in the order of processes.
 *
 * @throws {InputError} if they cannot be shared out evenly.
 */
export function ownRanks(rank: number, size: number, ranks: number): OwnRanks {
  const count = ranks / size;
  if (Number.isInteger(count)) return { first: rank * count, count };
  throw InputError.of(
    "contradiction",
    { name: `${size} processes` },
    words`${option("tp")} times ${option("ep")} to be a multiple of ${size}, so that each has as many ranks`,
    ranks,
  );
}
