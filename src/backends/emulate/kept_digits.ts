/** Digits of the head that the kernel `pick` keeps from one call to the next (wasm/ABI.md), and whether it does. */
import type { LinearSource } from "../../checkpoint/source.ts";
import type { OpenRequest } from "../../model/backend.ts";
import type { Available, Needed } from "../../memory.ts";
import { WASM_PAGE } from "../../wasm.ts";
import type { ModelPlan } from "./plan.ts";

/** Rows of the head in a unit of the kernel, and bytes of what belongs to them beside their digits. */
export const PICK_TILE = 12, TILE_BYTES = 208;
/** Sequences from which on digits are kept: what few save is less than what 0.6 GB may be to others. */
const LEAST_SEQUENCES = 4;
/** Part of the memory that the model leaves which digits may take. */
const OF_LEFT = 1 / 4;

/** Bytes of all digits of a head. */
export function keptBytes({ weight: { rows, cols } }: LinearSource): number {
  return Math.ceil(rows / PICK_TILE) * (TILE_BYTES + PICK_TILE * cols);
}

/**
 * A plan with room for the digits of the head after everything else of the last memory, where they are wanted: where
 * several sequences are computed at once, the head is bf16, and beside the whole model, mapped pages included, there
 * is a lot of memory left. Pages that are never written take none.
 *
 * @param capacity Bytes of one memory.
 */
export function keepDigits<N extends string>(
  plan: ModelPlan,
  request: OpenRequest<N>,
  { cache, work }: Needed,
  available: Available | null,
  capacity: number,
): ModelPlan {
  const { source: { tree: { head } }, slots, part } = request, bytes = keptBytes(head);
  const { format, transposed, rows, cols } = head.weight;
  const wanted = slots >= LEAST_SEQUENCES && part === undefined && format === "bf16" && !transposed && rows > 0 &&
    cols % 32 === 0;
  const left = (available?.bytes ?? 0) - plan.weightBytes - cache - work;
  const last = plan.memories.at(-1)!, grown = last.bytes + Math.ceil(bytes / WASM_PAGE) * WASM_PAGE;
  if (!wanted || bytes > OF_LEFT * left || grown > capacity) return plan;
  return { ...plan, memories: plan.memories.with(-1, { ...last, bytes: grown }), keptDigits: last.bytes };
}
