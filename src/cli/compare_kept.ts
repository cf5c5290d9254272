/** What `mxoss compare` finds in a directory of the same comparison. */
import * as z from "zod";
import { refuseSpecial } from "../checkpoint/atomic.ts";
import { InputError } from "../errors.ts";
import { KeptDivergence } from "../eval/compare_cells.ts";
import { isOther, readJournal } from "../eval/journal.ts";
import { comparisonHeader, PASSAGES, passagesHeader } from "../eval/passages.ts";
import type { CompareResults } from "../eval/results_schema.ts";
import { unhashedProtocolOf } from "../session/protocol.ts";
import type { PlannedSetting } from "../session/setting.ts";
import { reading } from "../validate.ts";
import { keptEntries, type Unknown } from "./eval/kept.ts";
import { refuseOtherResults } from "./eval/output.ts";
import { DEFAULT_ALARM } from "./eval/options.ts";
import { refuseFile } from "./places.ts";

/** Results of comparisons replace one another: each is made anew, while an evaluation may have taken hours. */
export const COMPARISONS = { schema: "mxoss.compare", protocol: z.unknown(), identity: () => null };

/** Journals of the comparison and of its passages in a directory. */
export const divergenceIn = (out: string) => `${out}/divergence.jsonl`;
export const passagesIn = (out: string) => `${out}/${PASSAGES}.jsonl`;

/**
 * A comparison of a directory that has no passages at all: earlier versions kept none, and its numbers are as good.
 * Null where there is none that can be read.
 */
export function keptAlone(out: string, header: unknown): CompareResults["divergence"] | null {
  if (refuseSpecial(passagesIn(out)) !== null) return null;
  try {
    const found = readJournal(divergenceIn(out), header, reading(KeptDivergence));
    return isOther(found) ? null : found.get(0)?.divergence ?? null;
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    return null;
  }
}

/**
 * Whether a directory has this comparison, as a whole, and its passages, which come of the same pass over the text; or
 * none of these, as earlier versions left it.
 *
 * @throws {InputError} where the comparison itself would be refused for what is there.
 */
export async function keepsAll(
  out: string,
  [a, b]: readonly [PlannedSetting, PlannedSetting],
  text: CompareResults["protocol"]["text"],
  sequences: number,
  { alarm = DEFAULT_ALARM, calibrate }: {
    readonly alarm?: number | undefined;
    readonly calibrate?: string | undefined;
  },
): Promise<boolean> {
  refuseFile(out, { option: "out" });
  refuseOtherResults(out, COMPARISONS, null);
  const unknown: Unknown[] = ["weights_sha256", ...(calibrate === undefined ? [] : ["formats_sha256"] as const)];
  const sides = { a: await unhashedProtocolOf(a), b: await unhashedProtocolOf(b) };
  const protocol = { ...sides, text };
  const [divergence, passages] = [
    keptEntries(divergenceIn(out), { header: comparisonHeader(protocol, alarm), unknown }),
    keptEntries(passagesIn(out), { header: passagesHeader(protocol, alarm), unknown }),
  ];
  const without = refuseSpecial(passagesIn(out)) === null;
  return divergence.indices.has(0) && (without || passages.indices.size === sequences);
}
