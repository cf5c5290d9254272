/** What the engine of this thread hands out, and the likeliest of logits, by a model whose logits are made up. */
import { LocalEngine } from "../../src/model/engine.ts";
import type { GptOss } from "../../src/model/gpt_oss.ts";
import { argmax, likeliestOf } from "../../src/model/likeliest.ts";
import { assertEquals } from "../assert.ts";

Deno.test("argmax() is the first of the largest, wherever it stands, and likeliestOf() the first that is none", () => {
  for (let at = 0; at < 5; at++) {
    const logits = new Float32Array(5).fill(-3).fill(-1, at);
    assertEquals([argmax(logits), likeliestOf(logits)], [at, at]);
    logits[at] = NaN;
    assertEquals(likeliestOf(logits.fill(Infinity, at + 1)), ~at);
  }
});

Deno.test("LocalEngine hands out rows by their place in the batch, each with its own likeliest token", async () => {
  const asked: number[][] = [], vocab = 3;
  let last: number[] = [];
  const model = {
    backend: {
      weights: { head: null },
      picksGreedily: (_head: unknown, rows: number) => rows === 2,
    },
    layersOf: function* () {},
    logits: (rows: Int32Array) => {
      asked.push(last = [...rows]);
      return Float32Array.from(last.flatMap((row) => [row, row + 0.25, row + 0.5]));
    },
    // By places among the rows that were asked for.
    likeliest: (rows: number) => Int32Array.from({ length: rows }, (_, i) => 100 + last[i]!),
  } as unknown as GptOss;
  const engine = new LocalEngine(model, vocab, 2), seen: unknown[] = [];
  const batch = { ids: new Int32Array(9), slots: new Int32Array(9), positions: new Int32Array(9) };
  const rows = Int32Array.of(8, 1, 5, 4, 7);
  await engine.compute(batch, rows, (row, logits, likeliest) => seen.push([row, [...logits], likeliest]));
  assertEquals(asked, [[8, 1], [5, 4], [7]]);
  assertEquals(seen, [...rows].map((row) => [row, [row, row + 0.25, row + 0.5], 100 + row]));
  // What it computes at once is what may save logits.
  assertEquals([1, 2, 5].map((count) => engine.sparesLogits(count)), [false, true, true]);
});
