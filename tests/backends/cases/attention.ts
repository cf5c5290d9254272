/** The KV cache and attention over it. */
import type { Batch } from "../../../src/model/backend.ts";
import type { TensorName } from "../../../src/model/gpt_oss.ts";
import { roundAllToBf16 } from "../../../src/formats/bf16.ts";
import type { Dtype, KvFormat } from "../../../src/formats/format.ts";
import { consecutive, type Observation, type OperationCase } from "../compare.ts";
import { awkwardRows, DTYPES, EVEN, fill, type Graph, plain, see, UNEVEN } from "./common.ts";

/**
 * Rotated, stored and attended: one batch of random keys, values and queries in both layers (one slides, one does not).
 */
function attend(backend: Graph, dtype: Dtype, batch: Batch, seed: number, label: string): Observation[] {
  const { tensors: t } = backend, n = batch.ids.length;
  backend.begin(batch);
  return backend.weights.layers.map(({ sinks }, layer) => {
    fill(backend, "key", n, seed + layer, 2);
    fill(backend, "value", n, seed + 10 + layer, 2);
    fill(backend, "query", n, seed + 20 + layer, 2);
    // In bf16 the graph hands over bf16 numbers; matrix instructions take them as such.
    if (dtype === "bf16") { for (const name of ["key", "value", "query"] as const) toBf16(backend, name, n); }
    backend.store(layer, t.key, t.value);
    backend.attention(t.attended, t.query, layer, sinks);
    return see(backend, "attended", n, `${label}, layer ${layer}`);
  });
}

/** Rounds the first rows of a tensor. */
function toBf16(backend: Graph, name: TensorName, rows: number): void {
  const values = backend.read(backend.tensors[name], rows);
  roundAllToBf16(values);
  backend.write(backend.tensors[name], values);
}

/** Two batches as one: tokens of both slots. */
const joined = (a: Batch, b: Batch): Batch => ({
  ids: Int32Array.of(...a.ids, ...b.ids),
  slots: Int32Array.of(...a.slots, ...b.slots),
  positions: Int32Array.of(...a.positions, ...b.positions),
});

const KV: readonly { kvFormat: KvFormat; kvScales: { k: number; v: number } }[] = [
  { kvFormat: "f32", kvScales: { k: 1, v: 1 } },
  { kvFormat: "bf16", kvScales: { k: 1, v: 1 } },
  // Scales that a checkpoint has for an FP8 cache say nothing of others.
  { kvFormat: "f32", kvScales: { k: Math.fround(0.013), v: Math.fround(0.0071) } },
  { kvFormat: "bf16", kvScales: { k: Math.fround(0.013), v: Math.fround(0.0071) } },
  { kvFormat: "fp8", kvScales: { k: 1, v: 1 } },
  { kvFormat: "fp8", kvScales: { k: Math.fround(0.013), v: Math.fround(0.0071) } },
];

/** The cases of this file. */
export const ATTENTION_CASES: readonly OperationCase[] = KV.flatMap(({ kvFormat, kvScales }) =>
  DTYPES.flatMap((dtype) =>
    [EVEN, UNEVEN].flatMap((config): OperationCase[] => {
      const what = `${kvFormat} cache, scales ${kvScales.k}, ${config.heads} heads of ${config.headDim}, ${dtype}`;
      return [
        {
          name: `attention, ${what}`,
          dtype,
          model: plain(config, { kvScales }),
          request: { kvFormat, maxTokens: 20 },
          run: (backend) => [
            ...attend(backend, dtype, consecutive(17), 1, "prefill of 17"),
            ...attend(backend, dtype, consecutive(1, 17), 2, "decode at 17"),
            ...attend(backend, dtype, joined(consecutive(3, 18), consecutive(9, 0, 1)), 3, "both slots"),
            ...attend(backend, dtype, consecutive(20, 21), 4, "a chunk at 21, where the sliding cache wraps"),
            ...attend(backend, dtype, joined(consecutive(1, 41), consecutive(1, 9, 1)), 5, "decode of both slots"),
            ...copied(backend, dtype, 42),
          ],
        },
        {
          name: `store, ${what}`,
          dtype,
          model: plain(config, { kvScales, sink: -1e4 }),
          request: { kvFormat },
          run: (backend) => {
            // A token that sees itself alone, with a sink that weighs nothing, returns its stored value.
            const { tensors: t, weights } = backend;
            backend.begin(consecutive(1));
            const value = awkwardRows(6, t.value.width, dtype === "bf16").map((x) => Math.abs(x) > 1e30 ? 1e30 : x);
            return [0, 1, 2, 3, 4, 5].map((row) => {
              fill(backend, "key", 1, 1, 0.1);
              backend.write(t.query, new Float32Array(t.query.width));
              backend.write(t.value, value.slice(row * t.value.width, (row + 1) * t.value.width));
              backend.store(1, t.key, t.value);
              backend.attention(t.attended, t.query, 1, weights.layers[1]!.sinks);
              return see(backend, "attended", 1, `kind ${row}`, "exact");
            });
          },
        },
      ];
    })
  )
);

/** Slot 1 becomes a copy of slot 0 and must go on as that one does. */
function copied(backend: Graph, dtype: Dtype, length: number): Observation[] {
  backend.copySlot(0, 1, length);
  const [first, second] = [0, 1].map((slot) =>
    attend(backend, dtype, consecutive(1, length, slot), 6, `slot ${slot} after a copy`)
  );
  first!.forEach(({ values }, layer) =>
    values.forEach((value, i) => {
      if (value !== second![layer]!.values[i]) throw new Error(`layer ${layer}: the copy of a slot differs at ${i}`);
    })
  );
  return [...first!, ...second!];
}
