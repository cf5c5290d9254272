import { sharesOf, Stopwatch } from "../../src/bench/shares.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";

Deno.test("sharesOf() gives parts of one batch that sum to 1, the largest first", () => {
  const shares = sharesOf([new Map([["router", 1], ["lm_head", 5], ["attention", 2]])]);
  assertEquals(shares.map(({ operation, share }) => [operation, share.median]), [
    ["lm_head", 5 / 8],
    ["attention", 2 / 8],
    ["router", 1 / 8],
  ]);
});

Deno.test("sharesOf() takes the median over batches of a part of its batch, and 0 where a part is missing", () => {
  const shares = sharesOf([
    new Map([["router", 1], ["lm_head", 3]]),
    // A batch during which the machine did something else: its parts count by the batch's own length.
    new Map([["router", 100], ["lm_head", 900]]),
    new Map([["lm_head", 7]]),
  ]);
  assertEquals(
    shares.map(({ operation, share: { low, median, high, runs } }) => [operation, low, median, high, runs]),
    [
      ["lm_head", 0.75, 0.9, 1, 3],
      ["router", 0, 0.1, 0.25, 3],
    ],
  );
});

Deno.test("Stopwatch counts all the time between its start and its stop, under the names of what was computed", () => {
  const before = performance.now(), watch = new Stopwatch();
  watch.tap({ layer: 0, operation: "q_proj", values: () => new Float64Array() } as never);
  watch.tap({ layer: 0, operation: "v_proj", values: () => new Float64Array() } as never);
  watch.tap({ layer: 0, operation: "router", values: () => new Float64Array() } as never);
  const { times } = watch.stop();
  assertEquals([...times.keys()], ["q, k, v_proj", "router", "lm_head"]);
  const whole = times.values().reduce((sum, time) => sum + time, 0);
  assert(whole <= performance.now() - before && times.values().every((time) => time >= 0));
  assertAlmostEquals(sharesOf([times]).reduce((sum, { share }) => sum + share.median, 0), 1, 1e-12);
});
