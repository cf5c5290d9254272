/** Shares of rows with their intervals, against those of the same shares token by token. */
import { ObservedShares } from "../../src/eval/observed_shares.ts";
import { QuantizedCounter } from "../../src/eval/quantized_tensors.ts";
import { shareOf } from "../../src/eval/shares.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { lehmer } from "../text/goldens.ts";

const LENGTHS = [96, 160, 64, 224, 128, 96, 64];

Deno.test("ObservedShares gives the intervals of each token's mean share, in whatever pieces its rows come", () => {
  const next = lehmer(7);
  for (const perToken of [1, 4]) {
    const shares = new ObservedShares(["a", "b"]);
    const tokens = LENGTHS.map((length, sequence) => {
      const level = next(50);
      const rows = Array.from({ length: length * perToken }, () => (level + next(50)) / 100);
      for (let start = 0; start < length;) {
        const end = Math.min(length, start + 1 + next(40));
        rows.slice(start * perToken, end * perToken).forEach((value, row) =>
          shares.add({ sequence, start, perToken }, row, { a: value, b: 1 - value })
        );
        start = end;
      }
      return Float64Array.from(
        { length },
        (_, t) => rows.slice(t * perToken, (t + 1) * perToken).reduce((sum, value) => sum + value) / perToken,
      );
    });
    for (const [name, of] of [["a", (x: number) => x], ["b", (x: number) => 1 - x]] as const) {
      const expected = shareOf(tokens.map((values) => values.map(of))), found = shares.interval(name)!;
      assertAlmostEquals(found.low, expected.low, 1e-9);
      assertAlmostEquals(found.high, expected.high, 1e-9);
      assert(found.low < expected.value && expected.value < found.high);
    }
  }
  assertEquals(new ObservedShares(["a"]).interval("a"), null);
});

Deno.test("ObservedShares puts a row where its token stands, by text and by 32 positions", () => {
  const shares = new ObservedShares(["a", "b"]);
  // Two rows for each of the tokens at positions 30 to 33 of one text, one for that at 64 of another.
  for (let row = 0; row < 8; row++) shares.add({ sequence: 4, start: 30, perToken: 2 }, row, { a: 2 ** row, b: 1 });
  shares.add({ sequence: 5, start: 64, perToken: 1 }, 0, { a: 3, b: 0 });
  assertEquals(shares.groups("a"), [
    [{ sum: 255 / 2, weight: 4 }, { sum: 3, weight: 1 }],
    [{ sum: 15 / 2, weight: 2 }, { sum: 240 / 2, weight: 2 }, { sum: 3, weight: 1 }],
  ]);
  assertEquals(shares.groups("b"), [
    [{ sum: 4, weight: 4 }, { sum: 0, weight: 1 }],
    [{ sum: 2, weight: 2 }, { sum: 2, weight: 2 }, { sum: 0, weight: 1 }],
  ]);
});

Deno.test("QuantizedCounter gives intervals of its shares, wider where texts differ than where tokens do", () => {
  const format = { kind: "fp8_static", scale: 1 } as const, least = 2 ** -9, width = 8;
  /** Rows of which so many elements become zero. */
  const rows = (zeros: (token: number) => number, tokens: number) =>
    Float32Array.from({ length: tokens * width }, (_, i) => i % width < zeros(Math.floor(i / width)) ? least / 4 : 1);
  const intervalOf = (zeros: (sequence: number, token: number) => number) => {
    const counter = new QuantizedCounter({ name: "x", layer: 0, operation: "inputNorm", format });
    for (let sequence = 0; sequence < 8; sequence++) {
      counter.add(rows((token) => zeros(sequence, token), 64), width, { sequence, start: 0, perToken: 1 });
    }
    const { flushed, elements, intervals } = counter.counts(), { low, high } = intervals.flushed!;
    assertEquals(flushed / elements, 0.25);
    assert(low < 0.25 && 0.25 < high, `${low} ${high}`);
    assertEquals(intervals.clipped!.low, 0);
    return high - low;
  };
  const alike = intervalOf((_, token) => token % 2 === 0 ? 4 : 0),
    apart = intervalOf((sequence) => sequence % 2 === 0 ? 4 : 0);
  assert(apart > 3 * alike, `${apart} ${alike}`);
});
