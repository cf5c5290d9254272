import type { Pair } from "../../src/eval/lockstep.ts";
import { RouterFlips } from "../../src/eval/router_flips.ts";
import { assertEquals } from "../assert.ts";

/** Routing of tokens in one layer, under both settings. */
function pairOf(layer: number, a: readonly number[][], b: readonly number[][]): Pair {
  const [expertsA, expertsB] = [a, b].map((tokens) => Int32Array.from(tokens.flat()));
  const nothing = new Float32Array(0);
  return { layer, operation: "route", rows: a.length, width: 0, start: 0, a: nothing, b: nothing, expertsA, expertsB };
}

Deno.test("RouterFlips counts tokens whose set of experts differs, and how near a tie they were", () => {
  const flips = new RouterFlips({ layers: 2, topK: 3, experts: 6 });
  const logits = Float32Array.of(
    ...[9, 8, 7, 6, 5, 4], // in another order
    ...[0, 5, 3, 4, 2, 1], // one of three
    ...[6, 5, 4, 3.5, 3, 1], // two of three: the nearest pair is 5 of the lost and 3.5 of the gained
  );
  const at = { sequence: 2, start: 10, tokens: Int32Array.from({ length: 20 }, (_, i) => 100 + i) };
  flips.add(
    pairOf(1, [[0, 1, 2], [1, 3, 2], [0, 1, 2]], [[2, 0, 1], [1, 3, 4], [2, 3, 4]]),
    logits,
    at,
  );
  const { decisions, flipped, perLayer, flips: listed } = flips.summary();
  assertEquals([decisions, flipped, perLayer], [3, 2, [0, 2 / 3]]);
  assertEquals(listed, [
    { layer: 1, sequence: 2, position: 11, token: 111, lost: [2], gained: [4], margin: 1 },
    { layer: 1, sequence: 2, position: 12, token: 112, lost: [0, 1], gained: [3, 4], margin: 1.5 },
  ]);
});
