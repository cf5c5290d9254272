/** Every setting against the first: which sequences are compared operation by operation. */
import { compareAll, LAYERED, layeredCount } from "../../src/eval/compare_all.ts";
import { inMemory, type OpenStore } from "../../src/eval/stores.ts";
import type { RunCell } from "../../src/eval/task.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openSetting } from "../../src/session/open.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";
import { assertEquals } from "../assert.ts";
import { TINY } from "./sides.ts";

Deno.test("layeredCount() is what was asked for, and eight where that is more or is not known", () => {
  assertEquals(LAYERED, 8);
  assertEquals([0, 1, 7, 8, 9, 1319].map(layeredCount), [0, 1, 7, 8, 8, 8]);
  assertEquals(layeredCount({ precision: 0.01 }), 8);
});

Deno.test("compareAll() compares operations on the first sequences, and predictions on all", async () => {
  const checkpoint = openCheckpoint(TINY);
  const cell = (key: string, scheme: string) =>
    ({ key, label: key, setting: planSetting({ checkpoint, ...DEFAULTS, scheme }) }) as unknown as RunCell;
  // Each has a length of its own, so that tokens tell which ones were taken; places are no indices.
  const sequences = Array.from({ length: 10 }, (_, i) => ({
    ...{ index: 3 * i + 1, replyFrom: 1 },
    tokens: Int32Array.from({ length: i + 2 }, (_, k) => 5 + i + k),
  }));
  const headers: Record<string, unknown> = {};
  const open: OpenStore = (name, header, read, others) => {
    headers[name] = header;
    return inMemory(name, header, read, others);
  };
  const cells = [cell("first", "w_mxfp4"), cell("other", "w_mxfp4_a_mxfp4")] as const;
  const compared = await compareAll(cells[0], [cells[1]], sequences, ({ key }) => key, {
    ...{ open, divergence: 9, alarm: 1, load: openSetting },
    watcher: { progress: () => ({ update: () => {}, [Symbol.dispose]: () => {} }) },
  });
  const { key, predictions, divergence } = compared.divergences[0]!;
  assertEquals([compared.divergences.length, key], [1, "other"]);
  assertEquals(predictions.sequences, 9);
  assertEquals(divergence.logits.lengths, [2, 3, 4, 5, 6, 7, 8, 9]);
  const { first, other, sequences: indices } = headers["divergence.other"] as Record<string, unknown>;
  assertEquals([first, other, indices], ["first", "other", [1, 4, 7, 10, 13, 16, 19, 22]]);
});
