/** Scales and codes that another setting changes, counted by hand. */
import { type Changes, QuantizedChanges } from "../../src/eval/quantized_changes.ts";
import type { Pair } from "../../src/eval/lockstep.ts";
import type { QuantizedTensor } from "../../src/eval/quantized_tensors.ts";
import type { InputFormat } from "../../src/formats/input.ts";
import { assert, assertEquals } from "../assert.ts";

const MXFP4: InputFormat = { kind: "mx", element: "e2m1", rule: "even" }, TOKEN: InputFormat = { kind: "fp8_token" };
const Q8: InputFormat = { kind: "q8_0" };
const fixed = (scale: number): InputFormat => ({ kind: "fp8_static", scale });
const tensor = (format: InputFormat): QuantizedTensor => ({ name: "x", layer: 0, operation: "inputNorm", format });

function changesOf(a: InputFormat, b = a): QuantizedChanges {
  const changes = QuantizedChanges.of(tensor(a), tensor(b));
  assert(changes !== null);
  return changes;
}

/** Rows of both settings, of tokens, or of these experts. */
function pair(a: readonly number[][], b: readonly number[][], experts?: readonly [number[], number[]]): Pair {
  const common = { layer: 0, operation: experts ? "experts.down_proj" : "inputNorm", start: 0 } as const;
  const [expertsA, expertsB] = [0, 1].map((side) => experts && Int32Array.from(experts[side]!));
  const [left, right] = [a, b].map((rows) => Float32Array.from(rows.flat()));
  return { ...common, rows: a.length, width: a[0]!.length, a: left!, b: right!, expertsA, expertsB };
}

const ORIGIN = { sequence: 0, start: 0, perToken: 1 };

/** Shares without intervals. */
const shares = (changes: Changes | null) => changes && [changes.scales, changes.codes];

/** A block of MXFP4 with a scale of 1 and one of 8 numbers with a scale of 2. */
const ROW = [6, ...new Array<number>(31).fill(1), 12, 0, 4, 4, 4, 4, 4, 4];

Deno.test("a block of twice the size has another scale and the same codes", () => {
  const changes = changesOf(MXFP4);
  changes.add(pair([ROW, ROW], [ROW.map((x, i) => i < 32 ? 2 * x : x), ROW]), ORIGIN);
  assertEquals(shares(changes.result()), [1 / 4, 0]);
  // Other codes beside the same scales: the first, the last, and a zero's sign.
  changes.add(pair([ROW], [ROW.map((x, i) => i === 0 || i === 39 || i === 33 ? -x : x)]), ORIGIN);
  assertEquals(shares(changes.result()), [1 / 6, 3 / 120]);
  // Both, in the block that is cut.
  changes.add(pair([ROW], [ROW.map((x, i) => i === 32 ? 24 : x)]), ORIGIN);
  assertEquals(shares(changes.result()), [2 / 8, (3 + 6) / 160]);
});

Deno.test("FP8 rows have a scale for each, or one for all", () => {
  const token = changesOf(TOKEN);
  token.add(pair([[448, 1], [448, 1], [2, 448], [448, 1]], [[896, 2], [-448, 1], [2, -448], [432, 1]]), ORIGIN);
  assertEquals(shares(token.result()), [2 / 4, 2 / 8]);
  for (const [scale, same] of [[0.5, 0], [0.25, 1]] as const) {
    const all = changesOf(fixed(0.5), fixed(scale));
    all.add(pair([[3, 1], [5, 7]], [[3, 1].map((x) => x * scale * 2), [5, -7].map((x) => x * scale * 2)]), ORIGIN);
    assertEquals(shares(all.result()), [same, 1 / 4]);
    assertEquals(all.result()?.scalesInterval, null);
  }
});

Deno.test("blocks of Q8_0 have float16 scales of their own", () => {
  const row = [127, ...new Array<number>(31).fill(1), 254, 0, 4, 4, 4, 4, 4, 4], changes = changesOf(Q8);
  changes.add(pair([row, row], [row.map((x, i) => i < 32 ? 2 * x : x), row]), ORIGIN);
  assertEquals(shares(changes.result()), [1 / 4, 0]);
  // Of two codes, one stays 0, whatever its sign; a change below float16's step leaves the scale.
  changes.add(pair([row], [row.map((x, i) => i === 0 ? 127.01 : i === 33 ? -0.4 : i === 39 ? -x : x)]), ORIGIN);
  assertEquals(shares(changes.result()), [1 / 6, 1 / 120]);
  assertEquals(QuantizedChanges.of(tensor(Q8), tensor(MXFP4)), null);
});

Deno.test("rows with a number that is none, and of experts that only one side chose, are not compared", () => {
  const changes = changesOf(TOKEN), other = [-1, 1];
  assertEquals(changes.result(), null);
  for (const odd of [NaN, Infinity]) {
    changes.add(pair([[odd, 1]], [other]), ORIGIN);
    changes.add(pair([[1, 1]], [[1, odd]]), ORIGIN);
  }
  changes.add(pair([[1, 1]], [other], [[3], [4]]), { ...ORIGIN, perToken: 1 });
  assertEquals(changes.result(), null);
  // Slots of one token: the second and the third have the same expert.
  changes.add(pair([[1, 1], [1, 1], [1, 2]], [other, other, [1, 2]], [[7, 4, 5], [3, 4, 5]]), {
    ...ORIGIN,
    perToken: 3,
  });
  assertEquals(shares(changes.result()), [0, 1 / 4]);
  // A single code is one.
  const single = changesOf(TOKEN);
  single.add(pair([[1]], [[-1]]), ORIGIN);
  assertEquals(shares(single.result()), [0, 1]);
});

Deno.test("shares of tokens are those of their rows, by text and by block of tokens", () => {
  const changes = changesOf(MXFP4), turned = ROW.map((x, i) => i < 10 ? -x : x), twice = ROW.map((x) => 2 * x);
  changes.add(pair([ROW, ROW], [turned, twice]), { sequence: 0, start: 0, perToken: 1 });
  changes.add(pair([ROW, ROW], [ROW, turned]), { sequence: 1, start: 63, perToken: 2 });
  assertEquals(changes.shares("codes")[0], [{ sum: 1 / 4, weight: 2 }, { sum: 1 / 8, weight: 1 }]);
  assertEquals(changes.shares("scales")[0], [{ sum: 1, weight: 2 }, { sum: 0, weight: 1 }]);
  assertEquals(shares(changes.result()), [2 / 8, 20 / 160]);
  const { scalesInterval, codesInterval } = changes.result()!;
  for (const [share, interval] of [[2 / 8, scalesInterval], [20 / 160, codesInterval]] as const) {
    assert(interval !== null && interval.low <= share && share <= interval.high);
  }
});

Deno.test("other formats, and none, have no codes in common", () => {
  const none: InputFormat = { kind: "none" }, e3m2: InputFormat = { kind: "mx", element: "e3m2", rule: "even" };
  const pairs = [[none, none], [MXFP4, e3m2], [MXFP4, TOKEN], [TOKEN, none], [none, TOKEN], [TOKEN, fixed(1)]] as const;
  for (const [a, b] of pairs) assertEquals(QuantizedChanges.of(tensor(a), tensor(b)), null);
  assertEquals(QuantizedChanges.of(undefined, tensor(TOKEN)), null);
  assertEquals(QuantizedChanges.of(tensor(TOKEN), undefined), null);
  assertEquals(QuantizedChanges.of(undefined, undefined), null);
});
