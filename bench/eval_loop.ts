/**
 * What eval's loop costs beside the model: the same batches with and without choosing tokens and their log
 * probabilities, and without these alone, in turns.
 *
 *     deno run --allow-all bench/eval_loop.ts [ROUNDS [SEQUENCES]]
 *
 * Measured is the processor time of the thread that drives the others, which all of them wait for. 16 sequences, or
 * as many as are given, of 16 prompt tokens get 6 tokens each, from one layer of gpt-oss-20b with its whole vocabulary,
 * of random weights.
 */
import { completeAll } from "../src/eval/batcher.ts";
import { Scorer } from "../src/eval/scorer.ts";
import { randomCheckpoint } from "../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../src/checkpoint/random/layouts.ts";
import { openSetting } from "../src/session/open.ts";
import { DEFAULTS, planSetting } from "../src/session/setting.ts";
import { spreadOf, spreadText } from "../src/bench/spread.ts";
import { machine } from "./machine.ts";
import { pairedRatio } from "./paired.ts";
import { countOf, optionsOrEnd } from "./options.ts";

const [ROUNDS, SEQUENCES] = optionsOrEnd(() => [
  countOf("ROUNDS", Deno.args[0] ?? "5"),
  countOf("SEQUENCES", Deno.args[1] ?? "16"),
]);
const PROMPT = 16, GENERATED = 6, CHUNK = 128;
const VOCAB = SHAPES["gpt-oss-20b"].vocab;

/** Processor time of this thread, in milliseconds. */
const threadTime = () => Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]) / 1e6;

const checkpoint = randomCheckpoint({ shape: { ...SHAPES["gpt-oss-20b"], layers: 1 }, layout: "hf_mxfp4" });
const setting = planSetting({ ...DEFAULTS, checkpoint, scheme: "w_mxfp4_a_mxfp4" });
const session = await openSetting(setting, { slots: SEQUENCES, context: PROMPT + GENERATED, chunk: CHUNK });
const prompts = Array.from(
  { length: SEQUENCES },
  (_, i) => Int32Array.from({ length: PROMPT }, (_, j) => 1000 + i * 97 + j * 31),
);

/** The batches alone. */
async function plain(): Promise<void> {
  prompts.forEach((_, slot) => session.reset(slot));
  const together = CHUNK / PROMPT;
  for (let at = 0; at < SEQUENCES; at += together) {
    await session.run(
      prompts.slice(at, at + together).map((tokens, i) => ({ slot: at + i, tokens, logits: "last" as const })),
    );
  }
  for (let step = 1; step < GENERATED; step++) {
    await session.step(prompts.map((_, slot) => ({ slot, token: (slot * 31 + step * 77) % VOCAB })), () => {});
  }
}

/** The loop; a vocabulary that is worth no thread has its log probabilities computed in line, null none. */
async function loop(worth: number | null): Promise<void> {
  using scorer = worth === null ? null : new Scorer(VOCAB, worth);
  await completeAll({
    session,
    requests: prompts.map((prompt, index) => ({ index, prompt })),
    prefix: new Int32Array(0),
    maxTokens: GENERATED,
    stopIds: new Set(),
    onDone: () => {},
    ...(scorer === null ? { logProbabilities: false } : { scorer }),
  });
}

/** What the others are compared with. */
const FIRST = "the batches alone";
const ways = {
  [FIRST]: plain,
  "log probabilities in line": () => loop(Infinity),
  "log probabilities on a thread": () => loop(1),
  "no log probabilities": () => loop(null),
};
const tokens = SEQUENCES * (PROMPT + GENERATED - 1);
const times = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]));
await plain();
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, way] of Object.entries(ways)) {
    const began = threadTime();
    await way();
    times.get(name)!.push((threadTime() - began) / tokens);
  }
}
console.log(`${machine()}; load ${Deno.loadavg()[0]!.toFixed(1)}`);
for (const [name, list] of times) {
  const more = name === FIRST ? "" : `, ${spreadText(pairedRatio(list, times.get(FIRST)!))} times ${FIRST}`;
  console.log(`${name}: ${spreadText(spreadOf(list))} ms a token${more}`);
}
Deno.exit(0);
