/** What samples.html of runs made apart is made of: what of each of them is kept, in order, and as much as is shown. */
import { InputError } from "../../src/errors.ts";
import type { FinishedRun } from "../../src/eval/finished_run.ts";
import { mergeRuns } from "../../src/eval/merge.ts";
import { mergedSamples } from "../../src/eval/merge_samples.ts";
import type { PerplexityResults } from "../../src/eval/results_schema.ts";
import type { KeptReply, KeptWorst } from "../../src/eval/samples_schema.ts";
import { PERPLEXITY } from "../../src/eval/tasks/perplexity.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { run } from "./runs_in_memory.ts";

type Run = FinishedRun<PerplexityResults>;

/** Tokens of the text's sequences as {@linkcode run} makes them. */
const ASKED = 4;

const cut = { before: "", token: "x", after: "", extracted: "1" };
const replyOf = (scheme: string, index: number): KeptReply => ({
  index,
  differs: { question: `${scheme} ${index}`, outcome: "lost", token: 1, first: cut, other: cut },
});
const worstOf = (scheme: string, index: number): KeptWorst => ({
  index,
  tokens: [{ position: index, kl: scheme.charCodeAt(0) + index, text: scheme, first: [["a", 1]], other: [["b", 1]] }],
});

/** A run that has kept samples of these sequences, by scheme and in that order. */
function keeping(one: Run, kept: Readonly<Record<string, readonly number[]>>, replies = kept): Run {
  const journals = new Map<string, readonly unknown[]>();
  const schemeOf = (key: string) => key.split(".")[0]!;
  for (const { key } of one.results.cells) {
    const scheme = schemeOf(key);
    if (kept[scheme] !== undefined) journals.set(`worst.${key}`, kept[scheme].map((index) => worstOf(scheme, index)));
    if (replies[scheme] === undefined) continue;
    journals.set(`samples.${key}`, replies[scheme].map((index) => replyOf(scheme, index)));
  }
  return {
    ...one,
    has: (name) => journals.has(name),
    read: (name, header, read) => {
      const own = journals.get(name);
      return own === undefined
        ? one.read(name, header, read)
        : new Map(own.map(read).map((entry) => [entry.index, entry]));
    },
  };
}

type Runs = readonly [Run, ...Run[]];
/** Of a task with replies; `sequences` is how many were compared. */
function samplesOf(...runs: Runs) {
  const task = { ...PERPLEXITY, samples: { ...PERPLEXITY.samples, reply: true } };
  return mergedSamples(task, runs, mergeRuns(PERPLEXITY, runs, undefined));
}

const all = [0, 1, 2, 3];

Deno.test("samples of runs made apart are those of one run, in whichever order they were kept", () => {
  const whole = samplesOf(keeping(run("one", ["r", "b", "c"]), { b: all, c: all }));
  assert(whole !== null && whole !== "missing");
  const { reference, same, replies, samples, worst } = whole;
  assertEquals([reference.slice(0, 1), same, replies], ["r", 0, 2 * ASKED]);
  assertEquals(samples.map(({ question }) => question), ["b 0", "b 1", "b 2", "b 3", "c 0", "c 1", "c 2", "c 3"]);
  assertEquals(new Set(samples.map(({ setting }) => setting[0])), new Set("bc"));
  assert(samples.every(({ setting, question }) => setting[0] === question[0]));
  assertEquals(worst.map(({ kl }) => kl), [102, 101, 101, 100, 100, 99, 99, 98]);
  const b = keeping(run("b", ["r", "b"]), { b: [2, 0, 3, 1] }), c = keeping(run("c", ["r", "c"]), { c: [3, 2, 1, 0] });
  assertEquals(samplesOf(b, c), whole);
});

Deno.test("samples of runs made apart are of the sequences that are compared, and of the problems asked", () => {
  const more = [5, 4, 3, 2, 1, 0];
  const b = keeping(run("b", ["r", "b"], { sequences: 2 }), { b: more });
  const found = samplesOf(b, keeping(run("c", ["r", "c"]), { c: more }));
  assert(found !== null && found !== "missing");
  assertEquals(found.worst.map(({ problem }) => problem), [1, 1, 0, 0]);
  assertEquals(found.samples.map(({ problem }) => problem), [...all, ...all]);
});

Deno.test("of a text, which has no replies, none are looked for", () => {
  const one = keeping(run("one", ["r", "b"]), { b: all }, {});
  const found = mergedSamples(PERPLEXITY, [one], one.results);
  assert(found !== null && found !== "missing");
  assertEquals([found.replies, found.samples, found.worst.length], [0, [], 4]);
});

Deno.test("there are no samples where a run kept none, and too few are refused unless another run has them", () => {
  const b = keeping(run("b", ["r", "b"]), { b: all }), c = run("c", ["r", "c"]);
  assertEquals(samplesOf(b, keeping(c, {})), "missing");
  assertEquals(samplesOf(b, keeping(c, {}, { c: all })), "missing");
  const key = "c.kv-auto.tp1", remedy = "it was cut off; run the same command again";
  const refused = (...runs: Runs) => assertThrows(() => samplesOf(...runs), InputError).message;
  const cutWorst = keeping(c, { c: [0, 1] }, { c: all }), cutReplies = keeping(c, { c: all }, { c: [0, 1, 3] });
  assertEquals(refused(b, cutWorst), `c/results.json: worst.${key}: expected 4 entries, got 2: ${remedy}`);
  assertEquals(refused(b, cutReplies), `c/results.json: samples.${key}: expected 4 entries, got 3: ${remedy}`);
  const again = { ...keeping(run("d", ["r", "c"]), { c: all }) };
  assertEquals(samplesOf(b, cutWorst, again), samplesOf(b, again));
  // Samples are beside the first setting of all: those beside another one are not taken.
  const beside = keeping(run("e", ["b", "c"]), { c: all }), without = keeping(run("f", ["r", "b", "c"]), { b: all });
  assertEquals(samplesOf(without, beside), "missing");
});
