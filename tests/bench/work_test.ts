import { Costs } from "../../src/model/work.ts";
import { randomCheckpoint } from "../../src/checkpoint/random/checkpoint.ts";
import { randomTensors, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { writtenBytes } from "../../src/checkpoint/write_safetensors.ts";
import { assertAlmostEquals, assertEquals } from "../assert.ts";

const SHAPE = SHAPES.tiny;
const { config, source } = randomCheckpoint({ shape: SHAPE, layout: "hf_mxfp4" });
const costs = new Costs(config, source, "bf16");
const all = Array.from({ length: SHAPE.layers }, () => SHAPE.experts);

Deno.test("Costs.weightBytes are the bytes of all matrices and biases", () => {
  for (const layout of ["hf_mxfp4", "hf_bf16", "quark"] as const) {
    const made = randomCheckpoint({ shape: SHAPE, layout });
    // Norms and sinks, which no matrix multiplies by, are left out.
    const matrices = randomTensors(SHAPE, layout).filter(({ name, fill }) =>
      fill !== "norm" && !name.endsWith("sinks")
    );
    const bytes = matrices.reduce((sum, tensor) => sum + writtenBytes(tensor), 0);
    assertEquals(new Costs(made.config, made.source, "bf16").weightBytes, bytes, layout);
  }
});

Deno.test("Costs.weightBytes has four bytes for the scale of each row that has one", () => {
  const { head } = source.tree, scale = { kind: "row", values: new Float32Array(SHAPE.vocab) } as const;
  const scaled = { ...source, tree: { ...source.tree, head: { ...head, weight: { ...head.weight, scale } } } };
  assertEquals(new Costs(config, scaled, "bf16").weightBytes - costs.weightBytes, 4 * SHAPE.vocab);
});

Deno.test("Costs.weightBytes has a byte for the scale of each block of a row, the cut one at its end too", () => {
  const { head } = source.tree, scale = { kind: "e8m0", file: 0, offset: 0, rowStride: 2 } as const;
  const weight = { ...head.weight, format: "mxfp4", rows: 10, cols: 40, rowBytes: 20, rowStride: 20, scale } as const;
  const bytes = 2 * SHAPE.vocab * SHAPE.hidden;
  const scaled = { ...source, tree: { ...source.tree, head: { ...head, weight } } };
  assertEquals(new Costs(config, scaled, "bf16").weightBytes - costs.weightBytes, 10 * (20 + 2) - bytes);
});

Deno.test("Costs.of() counts the multiply-adds of a token by the model's sizes", () => {
  const { hidden, intermediate, topK, heads, kvHeads, headDim, vocab, experts, layers } = SHAPE;
  const attention = hidden * headDim * (2 * heads + 2 * kvHeads), router = hidden * experts;
  const perToken = layers * (attention + router + topK * 3 * hidden * intermediate);
  // Position 20: the sliding layer sees its window of 8, the other one all 21.
  const pairs = 2 * heads * headDim * (8 + 21);
  const { macs } = costs.of({ pieces: [{ start: 20, count: 1 }], logits: 1, experts: all });
  assertEquals(macs, perToken + pairs + hidden * vocab);
  const prompt = costs.of({ pieces: [{ start: 0, count: 21 }], logits: 0, experts: all });
  const single = Array.from(
    { length: 21 },
    (_, start) => costs.of({ pieces: [{ start, count: 1 }], logits: 0, experts: all }),
  );
  assertEquals(prompt.macs, single.reduce((sum, work) => sum + work.macs, 0));
});

Deno.test("Costs.of() counts each weight once for a batch, and keys and values for each sequence", () => {
  const of = (pieces: readonly { start: number; count: number }[], logits = 0, experts = all) =>
    costs.of({ pieces, logits, experts }).bytes;
  const one = of([{ start: 20, count: 1 }]), two = of([{ start: 20, count: 1 }, { start: 20, count: 1 }]);
  const position = 2 * SHAPE.kvHeads * SHAPE.headDim * 2, row = 2 * SHAPE.hidden;
  assertEquals(two - one, (8 + 21) * position + row);
  assertEquals(of([{ start: 21, count: 1 }]) - one, position);
  // The first of four tokens sees the window before it, and the others one position more each.
  assertEquals(of([{ start: 20, count: 4 }]) - one, 3 * (2 * position + row));
  assertEquals(of([{ start: 20, count: 1 }], 1) - one, SHAPE.vocab * row);
  const expert = of([{ start: 20, count: 1 }], 0, [8, 8]) - of([{ start: 20, count: 1 }], 0, [8, 7]);
  const { gateUp, down } = source.tree.layers[1]!;
  const bytes = [gateUp[0]!, down[0]!].map(({ weight: { rows, cols } }) => rows * (cols / 2 + cols / 32 + 2));
  assertEquals(expert, bytes[0]! + bytes[1]!);
});

Deno.test("Costs counts the bytes of a cache by its format, and the pages that so many bytes have room for", () => {
  for (const [format, each] of [["f32", 4], ["bf16", 2], ["fp8", 1]] as const) {
    const made = new Costs(config, source, format), position = 2 * SHAPE.kvHeads * SHAPE.headDim * each;
    // The sliding layer keeps its window of 8 and a chunk of 16 tokens, no more than there are.
    assertEquals(made.cacheBytes(3, 100, 16), 3 * (24 + 100) * position);
    assertEquals(made.cacheBytes(3, 20, 16), 3 * (20 + 20) * position);
    const page = 64 * position;
    assertEquals([made.pageBytes(1), made.pageBytes(7), made.poolBytes(9)], [page, 7 * page, 10 * page]);
    // The first page is nobody's.
    assertEquals([made.poolPages(10 * page), made.poolPages(11 * page - 1), made.poolPages(page)], [9, 9, 0]);
    for (const sliding of [[true, false, false], [true, true, false]]) {
      assertEquals(new Costs({ ...config, sliding }, source, format).pageBytes(1), 2 * page);
    }
  }
});

Deno.test("Costs.expectedExperts() is the mean of many draws", () => {
  assertEquals(costs.expectedExperts(1), [4, 4]);
  // 8 experts, 4 of them for each of two tokens: 8 (1 - 1/4).
  assertAlmostEquals(costs.expectedExperts(2)[0]!, 6, 1e-12);
});
