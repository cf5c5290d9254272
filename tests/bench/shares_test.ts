import { sharesOf, Stopwatch, together } from "../../src/bench/shares.ts";
import { assertEquals } from "../assert.ts";
import { SetClock } from "../timers.ts";

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

Deno.test("chunks of a prompt are one run together: each counts by its time, and none as a repetition", () => {
  const run = (slower: number) =>
    together([
      new Map([["attention", 1 * slower], ["lm_head", 3 * slower]]),
      new Map([["attention", 9 * slower], ["router", 1 * slower]]),
      new Map([["attention", 2 * slower]]),
    ]);
  // Of all chunks attention has 12 of 16; of the middle one of three chunks it would have 9 of 10.
  assertEquals(
    sharesOf([run(1), run(7)]).map(({ operation, share: { low, median, high, runs } }) => ({
      ...{ operation, low, median, high, runs },
    })),
    [["attention", 12 / 16], ["lm_head", 3 / 16], ["router", 1 / 16]].map(([operation, part]) => ({
      ...{ operation, low: part, median: part, high: part, runs: 2 },
    })),
  );
});

Deno.test("Stopwatch counts all the time between its start and its stop, under the names of what was computed", () => {
  using clock = new SetClock();
  const watch = new Stopwatch();
  const after = (milliseconds: number, operation: string, more: object = {}) => {
    clock.milliseconds += milliseconds;
    watch.tap({ layer: 0, operation, values: () => new Float64Array(), ...more } as never);
  };
  after(3, "q_proj");
  after(1, "v_proj");
  // Reading which experts were chosen is nobody's work.
  after(2, "router", { experts: () => (clock.milliseconds += 50, [4, 5, 4]) });
  after(0, "experts.gate_up_proj");
  clock.milliseconds += 10;
  const { times, experts } = watch.stop();
  assertEquals([...times], [["q, k, v_proj", 4], ["router", 2], ["experts.gate_up_proj", 0], ["lm_head", 10]]);
  assertEquals(experts, [2]);
  assertEquals(sharesOf([times]).map(({ share }) => share.median), [10 / 16, 4 / 16, 2 / 16, 0]);
});
