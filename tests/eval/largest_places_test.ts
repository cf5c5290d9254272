/** What is compared with what for the places with the most: operations, layers, and inputs of linears. */
import { type Groupings, groupings, positiveRatio, skewedRatio, TRUTH } from "../../src/eval/intervals.ts";
import { largestPlaces, pooledShares } from "../../src/eval/largest_places.ts";
import { reroutedRatio } from "../../src/eval/operation_sums.ts";
import { shareOfGroups } from "../../src/eval/shares.ts";
import { TAIL } from "../../src/eval/statistics.ts";
import { assertAlmostEquals, assertEquals } from "../assert.ts";

type Sums = Parameters<typeof largestPlaces>[0][number];
type Tensor = Parameters<typeof largestPlaces>[1][number];

/** Eight texts of 64 tokens whose values have this mean, each text another one by a few percent. */
const around = (mean: number): Groupings =>
  groupings(Array.from({ length: 8 }, (_, s) => new Float64Array(64).fill(mean * (1 + (s * 5 % 8 - 3.5) / 100))));

const operation = (layer: number, operation: string, total: number, own: number | null) =>
  ({
    ...{ layer, operation },
    observed: () => ({ total: around(total), own: own === null ? null : around(own) }),
  }) as unknown as Sums;

const counter = (error: number, flushed: number, atMax = 0) => {
  const shares = { flushed: around(flushed), atMax: around(atMax), clipped: around(0) };
  return { errors: () => around(error), shares: (name: keyof typeof shares) => shares[name] } as unknown as NonNullable<
    Tensor["a"]
  >;
};

const tensor = (name: string, layer: number, a: Tensor["a"], b: Tensor["b"]): Tensor => ({
  ...{ name, layer, a, b, changes: null },
});

Deno.test("the largest errors are looked for among all operations, those of a layer, and layers of one", () => {
  const places = largestPlaces([
    operation(0, "q_proj", 0.04, 0.01),
    operation(0, "o_proj", 0.09, 0.0025),
    operation(1, "q_proj", 0.01, 0.04),
    operation(1, "router", 0.16, null),
  ], []);
  assertEquals(places.map(({ what, among, layer, operation }) => [what, among, layer, operation]), [
    ["own_error", null, 1, "q_proj"],
    // Of o_proj one layer is there, and nothing of the router's own.
    ["own_error", "q_proj", 1, "q_proj"],
    ["own_error", "layer 0", 0, "q_proj"],
    ["own_error", "layer 1", 1, "q_proj"],
    ["total_error", null, 1, "router"],
    ["total_error", "layer 0", 0, "o_proj"],
    ["total_error", "layer 1", 1, "router"],
  ]);
  assertEquals(places.map(({ others }) => others), places.map(() => []));
  const ends = (mean: number, ratio: typeof skewedRatio) => ({
    low: Math.sqrt(positiveRatio(around(mean)).low),
    high: Math.sqrt(ratio(around(mean)).high),
  });
  assertEquals(places[0]!.interval, ends(0.04, skewedRatio));
  assertEquals([places[4]!.interval, places[5]!.interval], [ends(0.16, reroutedRatio), ends(0.09, reroutedRatio)]);
  assertEquals(largestPlaces([], []), []);
});

Deno.test("an interval of a place that may be another one leaves the truth out half as often below", () => {
  const [place] = largestPlaces([operation(0, "q_proj", 1, 0.04), operation(0, "o_proj", 1, 0.04)], []);
  assertEquals(place!.others, [{ layer: 0, operation: "o_proj" }]);
  assertEquals(place!.interval.low, Math.sqrt(positiveRatio(around(0.04), TRUTH, TAIL / 2).low));
});

Deno.test("inputs of linears are compared where B quantizes them, and layer by layer where either side does", () => {
  const tensors = [
    tensor("o_proj.input", 0, counter(0.04, 0.1), null),
    tensor("o_proj.input", 1, counter(0.01, 0.4), counter(0.02, 0.2)),
    tensor("experts.down_proj.input", 0, null, counter(0.01, 0.3, 0.05)),
    // A cache is no input.
    tensor("cache.key", 0, counter(0.9, 0.9), counter(0.9, 0.9)),
    tensor("experts.down_proj.input", 1, null, null),
  ];
  const places = largestPlaces([], tensors);
  assertEquals(places.map(({ what, among, layer, operation }) => [what, among, layer, operation]), [
    ["input_error", null, 1, "o_proj"],
    ["input_error", "o_proj", 0, "o_proj"],
    ["input_to_zero", null, 0, "experts.down_proj"],
  ]);
  const { low, high } = shareOfGroups(around(0.3));
  assertEquals(places[2]!.interval, { low, high });
});

Deno.test("shares of all layers together are those of each token's mean, linear by linear", () => {
  const tensors = [
    tensor("o_proj.input", 0, counter(0, 0.1, 0.02), null),
    tensor("o_proj.input", 1, counter(0, 0.9), counter(0, 0.2, 0.04)),
    tensor("experts.down_proj.input", 0, null, counter(0, 0.3)),
    tensor("cache.value", 0, null, counter(0, 0.9)),
  ];
  const found = pooledShares(tensors), expected = [0.15, 0.3, 0.03, 0].map((share) => shareOfGroups(around(share)));
  assertEquals(found.map(({ what, operation }) => [what, operation]), [
    ["to_zero", "o_proj"],
    ["to_zero", "experts.down_proj"],
    ["at_max", "o_proj"],
    ["at_max", "experts.down_proj"],
  ]);
  found.forEach(({ value, low, high }, i) => {
    assertAlmostEquals(value, expected[i]!.value, 1e-12);
    assertAlmostEquals(low, expected[i]!.low, 1e-9);
    assertAlmostEquals(high, expected[i]!.high, 1e-9);
  });
});
