/** `mxoss eval gsm8k --logprobs none`: the same replies, without what only their log probabilities say. */
import { Gsm8kResults } from "../../src/eval/results_schema.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { unsealedJournal } from "../eval/reseal.ts";
import { dose } from "../soak.ts";
import { PROBLEMS } from "./eval_refusals.ts";
import { inProcess } from "./in_process.ts";

const KEY = "answers.as-stored.kv-auto.tp1";
/** As few problems as a bin of reliability has. */
const ARGS = ["eval", "gsm8k", "--data", PROBLEMS, "--limit", "20", "--max-tokens", `${dose(6, 60)}`];
const NONE = ["--logprobs", "none"];

async function done(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await inProcess(args);
  assertEquals(code, 0, stderr);
  return stdout;
}

async function refused(args: readonly string[], line: RegExp): Promise<void> {
  const { code, stdout, stderr } = await inProcess(args);
  assertMatch(stderr, line);
  assertMatch(stderr, /^error: [^\n]+\n$/);
  assertEquals([code, stdout], [2, ""]);
}

const read = (path: string) => Deno.readTextFileSync(path);
const resultsOf = (dir: string) => Gsm8kResults.parse(JSON.parse(read(`${dir}/results.json`)));

/** The answers of a journal, in the order of the problems, and what it belongs to. */
function journal(path: string) {
  const [header, ...lines] = unsealedJournal(read(path)).trimEnd().split("\n").map((line) => JSON.parse(line));
  return { header, answers: lines.toSorted((a, b) => a.index - b.index) };
}

Deno.test("eval gsm8k without log probabilities gives the same replies and mixes no runs", async () => {
  using dir = new TemporaryDirectory();
  const [kept, none, parts] = ["kept", "none", "parts"].map((name) => `${dir.path}/${name}`) as [
    string,
    string,
    string,
  ];
  const tables = await done([...ARGS, "--out", kept]), printed = await done([...ARGS, ...NONE, "--out", none]);
  assertStringIncludes(printed, "log probabilities not kept");
  assertEquals(printed.replace(", log probabilities not kept", ""), tables);

  const [a, b] = [journal(`${kept}/${KEY}.jsonl`), journal(`${none}/${KEY}.jsonl`)];
  assert(a.answers.length === 20 && a.answers.every(({ logProbability }) => logProbability < 0));
  assertEquals(b.answers, a.answers.map((answer) => ({ ...answer, logProbability: null })));
  const { log_probabilities, ...decoding } = b.header.decoding;
  assertEquals([log_probabilities, { ...b.header, decoding }], [false, a.header]);

  const [x, y] = [resultsOf(kept), resultsOf(none)];
  assertEquals(x.cells[0]!.reliability!.map(({ problems }) => problems), [20]);
  assert(!("log_probabilities" in x.protocol.decoding));
  assertEquals(y.cells, x.cells.map((cell) => ({ ...cell, reliability: null })));
  assertEquals({ ...y.protocol, decoding: x.protocol.decoding }, x.protocol);
  const said = "Reliability: not known, as this run kept no log probabilities of replies.";
  assertStringIncludes(read(`${none}/report.html`), said);
  assertStringIncludes(read(`${kept}/report.html`), "by the probability that the model gave its own whole reply");
  assert(!read(`${kept}/report.html`).includes("log probabilities of replies"));
  assert(!read(`${none}/report.html`).includes("the probability that the model gave"));

  const bare = { ...x, cells: y.cells };
  const issues = Gsm8kResults.safeParse(bare).error!.issues.map(({ path, message }) => `${path}: ${message}`);
  assertEquals(issues, ["cells: reliability where log probabilities were kept, and null where they were not"]);

  // Neither goes on in the other's directory, with results and with nothing but a journal; nor are they one run.
  const asNone = /settings \(decoding\.log_probabilities was nothing, is false\); choose another --out/;
  const asKept = /settings \(decoding\.log_probabilities was false, is nothing\); choose another --out/;
  const report = () => inProcess(["report", kept, none]);
  const { code, stderr } = await report();
  assertMatch(
    stderr,
    /none\/results\.json: protocol\.decoding\.log_probabilities is false, not nothing as in .*kept\n/,
  );
  assertEquals(code, 2);
  await refused([...ARGS, ...NONE, "--out", kept], asNone);
  await refused([...ARGS, "--logprobs", "keep", "--out", none], asKept);
  for (const out of [kept, none]) for (const name of ["results.json", "report.html"]) Deno.removeSync(`${out}/${name}`);
  await refused([...ARGS, ...NONE, "--out", kept], asNone);
  await refused([...ARGS, "--out", none], asKept);

  // Parts join with their like only.
  await done([...ARGS, ...NONE, "--out", parts, "--shard", "1/2"]);
  await refused(
    [...ARGS, "--out", parts, "--shard", "2/2"],
    /protocol\.decoding\.log_probabilities is nothing, not false/,
  );
  await done([...ARGS, ...NONE, "--out", parts, "--shard", "2/2"]);
  await done(["report", parts, "--out", `${dir.path}/joined`]);
  await done([...ARGS, ...NONE, "--out", none]);
  assertEquals(read(`${dir.path}/joined/results.json`), read(`${none}/results.json`));
  assertEquals(read(`${dir.path}/joined/report.html`), read(`${none}/report.html`));
});

Deno.test("eval gsm8k without log probabilities compares its settings as with them, and with ranks", async () => {
  using dir = new TemporaryDirectory();
  const args = ["eval", "gsm8k", "--data", PROBLEMS, "--limit", "3", "--max-tokens", "5", "--divergence", "2"];
  const how = [...args, "--scheme", "w_mxfp4,w_mxfp4_a_mxfp4", "--tp", "1,2", "--json"];
  const [kept, none] = [await done(how), await done([...how, ...NONE, "--out", dir.path])]
    .map((text) => Gsm8kResults.parse(JSON.parse(text))) as [Gsm8kResults, Gsm8kResults];
  assertEquals(none.comparisons, kept.comparisons);
  assertEquals(none.divergences, kept.divergences);
  assertEquals(none.ranking, kept.ranking);
  assertEquals(none.cells, kept.cells.map((cell) => ({ ...cell, reliability: null })));
});
