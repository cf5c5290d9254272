/** Runs made apart whose numbers cannot be paired are refused. */
import type { FinishedRun } from "../../src/eval/finished_run.ts";
import { InputError } from "../../src/errors.ts";
import { mergeRuns } from "../../src/eval/merge.ts";
import type { PerplexityResults } from "../../src/eval/results_schema.ts";
import { z } from "zod";
import { SequenceNll } from "../../src/eval/perplexity.ts";
import { PERPLEXITY } from "../../src/eval/tasks/perplexity.ts";
import { assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { run } from "./runs_in_memory.ts";

type Runs = readonly [FinishedRun<PerplexityResults>, ...FinishedRun<PerplexityResults>[]];
const merged = (...runs: Runs) => mergeRuns(PERPLEXITY, runs, undefined);
const refused = (line: RegExp, ...runs: Runs) =>
  assertMatch(assertThrows(() => merged(...runs), InputError).message, line);

Deno.test("runs that replied otherwise under a setting that both have are refused", () => {
  // Answers of this task have no ids: as those of problems.
  const { index, nll } = SequenceNll.shape, entry = z.looseObject({ index, nll });
  const task = { ...PERPLEXITY, journal: { ...PERPLEXITY.journal, entry } };
  const replying = (...runs: Runs) => mergeRuns(task, runs, undefined);
  const one = run("a", ["r", "b"], { replied: { r: [5, 6], b: [5] } });
  assertEquals(replying(one, run("c", ["r", "c"], { replied: { r: [5, 6], c: [4] } })).cells.length, 3);
  const refusal = (other: Runs[0]) => assertThrows(() => replying(one, other), InputError).message;
  assertEquals(
    refusal(run("c", ["r", "c"], { replied: { r: [5, 7] } })),
    "c/results.json: has another reply to number 0 under r.kv-auto.tp1 than a",
  );
  assertMatch(refusal(run("c", ["r", "b", "c"], { replied: { r: [5, 6], b: [6] } })), /number 0 under b\.kv-auto/);
});

Deno.test("replies are put into checksums only where those of another run are compared with them", () => {
  const { index, nll } = SequenceNll.shape, entry = z.looseObject({ index, nll });
  const task = { ...PERPLEXITY, journal: { ...PERPLEXITY.journal, entry } };
  let written: string[] = [];
  const noting = (one: Runs[0]): Runs[0] => ({
    ...one,
    read: (name, header, read) =>
      one.read(name, header, (value) => {
        if (!name.startsWith("nll.")) return read(value);
        const ids = { toJSON: () => written.push(`${one.dir}/${name}`) && [1] };
        return read({ ...value as object, ids });
      }),
  });
  const of = (...runs: readonly Runs[0][]) => {
    written = [];
    mergeRuns(task, runs.map(noting) as unknown as Runs, undefined);
    return [...new Set(written)].sort();
  };
  assertEquals(of(run("a", ["r", "b"])), []);
  assertEquals(of(run("a", ["r", "b"]), run("c", ["r", "c"])), ["a/nll.r.kv-auto.tp1", "c/nll.r.kv-auto.tp1"]);
});

Deno.test("what runs kept is read once, also of a setting that several have", () => {
  const times = new Map<string, number>();
  const counting = (one: Runs[0]): Runs[0] => ({
    ...one,
    read: (name, header, read) => {
      const what = `${one.dir}/${name}`;
      times.set(what, (times.get(what) ?? 0) + 1);
      return one.read(name, header, read);
    },
  });
  merged(...[run("a", ["r", "b"]), run("c", ["r", "c"]), run("d", ["r", "d"])].map(counting) as unknown as Runs);
  const answers = ["a/nll.r", "a/nll.b", "c/nll.r", "c/nll.c", "d/nll.r", "d/nll.d"];
  const expected = [...answers, "a/predictions.b", "c/predictions.c", "d/predictions.d"];
  assertEquals(Object.fromEntries(times), Object.fromEntries(expected.map((name) => [`${name}.kv-auto.tp1`, 1])));
});

Deno.test("settings that were compared with the first on other tokens are not paired", () => {
  const line =
    /c\/results\.json: predictions of c\.kv-auto\.tp1 are of other tokens than those of b\.kv-auto\.tp1 in sequence 0/;
  refused(line, run("a", ["r", "b"]), run("c", ["r", "c"], { length: { c: 70 } }));
  refused(/other tokens/, run("a", ["r", "b"]), run("c", ["r", "c"], { length: { c: 4 } }));
});

Deno.test("further settings that were calibrated on something else are refused where the first needs no scales", () => {
  const of = (dir: string, scheme: string, text: string) =>
    run(dir, ["r", scheme], { calibratedOn: { [scheme]: text } });
  refused(
    /protocol\.calibrated_on is "another", not "one text" as in a/,
    of("a", "b", "one text"),
    of("c", "c", "another"),
  );
});
