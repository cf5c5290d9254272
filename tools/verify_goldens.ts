/**
 * Writes src/verify/goldens.safetensors, what `mxoss devices --verify` holds a GPU's logits against: of
 * tests/goldens/logits.safetensors (Hugging Face's implementation) one conversation with the logits of its last
 * positions under every scheme that GPUs compute, and one reply.
 *
 *     deno run --allow-read --allow-write=src/verify tools/verify_goldens.ts
 */
import { SafetensorsWriter } from "../src/checkpoint/write_safetensors.ts";
import { onGpus } from "../src/formats/input.ts";
import { SCHEMES } from "../src/plan/scheme.ts";
import { type Golden, readGolden } from "../tests/golden.ts";

/**
 * Positions whose logits are kept: fewer than there are, as they come with the program. What bf16 changes differs too
 * much between positions for so few; of that all are kept.
 */
const ROWS = 16, ALL = /^two_turns\.w_mxfp4(\.bf16)?$/;

/** Schemes that GPUs do not compute. */
const LEFT_OUT: ReadonlySet<string> = new Set(SCHEMES.filter(({ input }) => !onGpus(input)).map(({ name }) => name));

/** What is kept, by name. */
export function kept(all: ReadonlyMap<string, Golden>): ReadonlyMap<string, Golden> {
  const tensors = new Map<string, Golden>();
  for (const [name, { shape, data }] of all) {
    if (/^two_turns\.w_/.test(name) && !LEFT_OUT.has(name.slice("two_turns.".length))) {
      const [all, columns] = shape as [number, number], rows = ALL.test(name) ? all : ROWS;
      tensors.set(name.slice("two_turns.".length), { shape: [rows, columns], data: data.slice(-rows * columns) });
    } else if (name === "two_turns.ids") tensors.set("ids", { shape, data });
    else if (/^greedy\.|^static_input_scale$/.test(name)) tensors.set(name, { shape, data });
  }
  return tensors;
}

/** The file. */
export const KEPT_GOLDENS = new URL("../src/verify/goldens.safetensors", import.meta.url).pathname;

if (import.meta.main) {
  const tensors = kept(readGolden("logits.safetensors"));
  const written = Array.from(tensors, ([name, { shape, data }]) => {
    return { name, shape, dtype: data instanceof Float32Array ? "F32" as const : "I32" as const };
  });
  using writer = SafetensorsWriter.create(KEPT_GOLDENS, written, { force: true });
  for (const [name, { data }] of tensors) writer.append(name, data);
  writer.commit();
}
