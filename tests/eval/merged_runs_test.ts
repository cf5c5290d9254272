/** What of runs that were made apart makes the numbers of all together, and what is refused. */
import type { FinishedRun } from "../../src/eval/finished_run.ts";
import { InputError } from "../../src/errors.ts";
import { mergeRuns } from "../../src/eval/merge.ts";
import type { PerplexityResults } from "../../src/eval/results_schema.ts";
import { PERPLEXITY } from "../../src/eval/tasks/perplexity.ts";
import { assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { run } from "./runs_in_memory.ts";

type Runs = readonly [FinishedRun<PerplexityResults>, ...FinishedRun<PerplexityResults>[]];
const merged = (...runs: Runs) => mergeRuns(PERPLEXITY, runs, undefined);
const refused = (line: RegExp, ...runs: Runs) =>
  assertMatch(assertThrows(() => merged(...runs), InputError).message, line);

/** A run whose comparisons have other operations, as they were made of so many tokens. */
const layered = (one: Runs[0], tokens: number): Runs[0] => {
  const divergences = one.results.divergences.map((d) => ({ ...d, divergence: { ...d.divergence, tokens } }));
  return { ...one, results: { ...one.results, divergences } };
};

/** What is expected of all runs below: the numbers of the one run that has all. */
const WHOLE = merged(run("one", ["r", "b", "c"]));

Deno.test("runs together are the one run, in whichever order entries were kept", () => {
  assertEquals(merged(run("a", ["r", "b"]), run("c", ["r", "c"])), WHOLE);
  // The last, cut one first: sums of the same numbers in another order may be others.
  const answered = { r: [3, 1, 0, 2], b: [2, 3, 1, 0], c: [1, 0, 3, 2] };
  assertEquals(merged(run("a", ["r", "b"], { answered }), run("c", ["r", "c"], { answered })), WHOLE);
  const predicted = { b: [3, 1, 0, 2], c: [1, 0, 3, 2] };
  assertEquals(merged(run("a", ["r", "b"], { predicted }), run("c", ["r", "c"], { predicted })), WHOLE);
});

Deno.test("journals that hold more than is asked give what is asked", () => {
  const answered = { r: [5, 4, 3, 2, 1, 0], b: [4, 0, 1, 2, 3] };
  assertEquals(merged(run("a", ["r", "b"], { answered }), run("c", ["r", "c"])), WHOLE);
});

Deno.test("too few answers are refused, and one that is missing among more than are asked", () => {
  const few = /expected 4, as it says, got 3/, gone = /c\/results\.json: answers of c\..*: expected number 2, got 3/;
  refused(few, run("a", ["r", "b"], { answered: { r: [0, 1, 2] } }), run("c", ["r", "c"]));
  refused(few, run("a", ["r", "b"], { answered: { b: [0, 1, 3] } }), run("c", ["r", "c"]));
  // All cells alike, so that none tells of another.
  refused(few, run("a", ["r", "b"], { answered: { r: [0, 1, 2], b: [0, 1, 2] } }));
  refused(gone, run("a", ["r", "b"]), run("c", ["r", "c"], { answered: { c: [0, 1, 3, 4] } }));
});

Deno.test("predictions of which one is missing are refused", () => {
  const gone = (got: string) =>
    new RegExp(`c/results\\.json: predictions of c\\..*: expected number ${got === "none" ? 3 : 1}, got ${got}`);
  refused(gone("none"), run("a", ["r", "b"]), run("c", ["r", "c"], { predicted: { c: [0, 1, 2] } }));
  refused(gone("2"), run("a", ["r", "b"]), run("c", ["r", "c"], { predicted: { c: [0, 2, 3, 4] } }));
  const first = /predictions of c\..*: expected number 0, got 1$/;
  refused(first, run("a", ["r", "b"]), run("c", ["r", "c"], { predicted: { c: [1, 2, 3, 4] } }));
});

Deno.test("settings are compared on the sequences that all of them have", () => {
  const two = merged(run("one", ["r", "b", "c"], { sequences: 2 }));
  assertEquals(two.divergences.map(({ predictions: { sequences } }) => sequences), [2, 2]);
  for (const [b, c] of [[2, 4], [4, 2]] as const) {
    assertEquals(merged(run("a", ["r", "b"], { sequences: b }), run("c", ["r", "c"], { sequences: c })), two);
  }
});

Deno.test("of several comparisons of a setting the one counts that leaves the most sequences", () => {
  const few = run("few", ["r", "b"], { sequences: 2 }), many = run("many", ["r", "b"]), c = run("c", ["r", "c"]);
  for (const runs of [[few, many, c], [many, few, c], [c, few, many]] as const) {
    assertEquals(merged(...runs).divergences.map(({ predictions: { sequences } }) => sequences), [4, 4]);
  }
  const two = merged(run("one", ["r", "b", "c"], { sequences: 2 }));
  assertEquals(merged(few, many, run("c", ["r", "c"], { sequences: 2 })), two);
});

Deno.test("comparisons count that were made alike, though others are longer", () => {
  const long = layered(run("long", ["r", "b"]), 99), both = layered(run("both", ["r", "b", "c"], { sequences: 2 }), 7);
  const also = layered(run("also", ["r", "c"], { sequences: 3 }), 7);
  for (const runs of [[long, both, also], [both, long, also]] as const) {
    const found = merged(...runs).divergences;
    assertEquals(found.map(({ predictions, divergence }) => [predictions.sequences, divergence.tokens]), [[2, 7], [
      2,
      7,
    ]]);
  }
  const line = /c\/results\.json: divergences c\.kv-auto\.tp1\.tokens is 3, not 99 as in long/;
  refused(line, long, layered(run("c", ["r", "c"]), 3));
  // Of two kinds the one that leaves more.
  const rest = layered(run("rest", ["r", "c"], { sequences: 3 }), 99);
  assertEquals(merged(both, rest, long).divergences.map(({ divergence }) => divergence.tokens), [99, 99]);
  // Which is what its shortest leaves, whatever its longest would.
  const uneven = [layered(run("b", ["r", "b"]), 7), layered(run("c", ["r", "c"], { sequences: 1 }), 7)] as const;
  const even = layered(run("even", ["r", "b", "c"], { sequences: 2 }), 99);
  for (const runs of [[...uneven, even], [even, ...uneven]] as const) {
    const all = merged(...runs).divergences;
    assertEquals(all.map(({ predictions, divergence }) => [predictions.sequences, divergence.tokens]), [
      ...[[2, 99], [2, 99]],
    ]);
  }
});

Deno.test("of comparisons that leave as much those of the run count that is named first", () => {
  const deciding = (one: Runs[0], decisions: number): Runs[0] => {
    const divergences = one.results.divergences.map((d) => {
      const { divergence } = d;
      return { ...d, divergence: { ...divergence, router: { ...divergence.router, decisions } } };
    });
    return { ...one, results: { ...one.results, divergences } };
  };
  const one = deciding(run("one", ["r", "b"]), 11), other = deciding(run("other", ["r", "b"]), 12);
  for (const [runs, decisions] of [[[one, other], 11], [[other, one], 12]] as const) {
    assertEquals(merged(...runs).divergences.map(({ divergence }) => divergence.router.decisions), [decisions]);
  }
});

Deno.test("the bandwidth is that of all runs, or one that is given", () => {
  const fast = { name: "fast", bytes_per_second: 4e12 }, slow = { name: "slow", bytes_per_second: 2e12 };
  const at = (one: Runs[0], bandwidth: typeof fast): Runs[0] => ({ ...one, results: { ...one.results, bandwidth } });
  const [a, c] = [at(run("a", ["r", "b"]), fast), at(run("c", ["r", "c"]), slow)];
  refused(/c\/results\.json: bandwidth\.name is "slow", not "fast" as in a/, a, c);
  assertEquals(merged(a, at(c, fast)).bandwidth, fast);
  assertEquals(mergeRuns(PERPLEXITY, [a, c], slow).bandwidth, slow);
});

Deno.test("why a single comparison ended is kept", () => {
  const one = run("a", ["r", "b"]);
  const divergences = one.results.divergences.map((d) => ({ ...d, stopped: "spent" as const }));
  const spent = { ...one, results: { ...one.results, divergences } };
  assertEquals([spent, one].map((only) => merged(only).divergences[0]!.stopped), ["spent", "asked"]);
});

Deno.test("scales that were measured on something else are refused, and settings without any are not", () => {
  const a = run("a", ["r", "b"], { calibratedOn: { r: "one text" } });
  const of = (text: string) => run("c", ["r", "c"], { calibratedOn: { r: "one text", c: text } });
  const { divergences } = merged(a, of("one text"));
  assertEquals(divergences.length, 2);
  refused(/cells c\.kv-auto\.tp1: protocol\.calibrated_on is "another", not "one text" as in a/, a, of("another"));
  // Neither of the first, nor of a further one.
  assertEquals(merged(run("a", ["r", "b"]), run("c", ["r", "c"], { calibratedOn: { c: "one text" } })).cells.length, 3);
});

Deno.test("a comparison with another setting than the first is none", () => {
  const line =
    /b\/results\.json: expected r\.kv-auto\.tp1 as the first setting, which c\.kv-auto\.tp1 is to be .*, got b\./;
  refused(line, run("a", ["r", "b"]), run("b", ["b", "c"]));
});
