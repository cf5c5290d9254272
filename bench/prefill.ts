/**
 * Where the time of a prompt goes, by operation: processor time of one thread, medians of rounds in which chunks of
 * several sizes take turns, with their intervals, on layers of gpt-oss-20b's shape with random weights. Linux.
 *
 *     deno run -A bench/prefill.ts [--schemes w_mxfp4,w_mxfp4_a_mxfp4] [--chunks 128,512] [--layers 2] [--tokens 512]
 *         [--rounds 3] [--sequences 32 [--beside]] [--input-scale 1]
 *
 * `--input-scale` is the static scale of FP8 inputs: one that is no power of two, as checkpoints have them, makes them
 * as many digits long as bf16 numbers.
 *
 * With --sequences it is a token of so many sequences after 128 positions each, instead of a prompt, by turns picked
 * greedily and from all logits; with --beside a prompt takes turns with them, and what part of its rate the sequences
 * have is reckoned for 24 layers and for 4 of each pair of turns.
 */
import { parseArgs } from "node:util";
import { randomCheckpoint } from "../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../src/checkpoint/random/layouts.ts";
import { spreadOf, spreadText } from "../src/bench/spread.ts";
import { InputError } from "../src/errors.ts";
import type { Tap } from "../src/model/gpt_oss.ts";
import { missingScales } from "../src/plan/planned.ts";
import { pickGreedily } from "../src/session/greedy.ts";
import { openSetting } from "../src/session/open.ts";
import type { Session } from "../src/session/session.ts";
import { DEFAULTS, planSetting } from "../src/session/setting.ts";
import { countOf, inputScaleOf, optionsOrEnd } from "./options.ts";

const { schemes, chunks, layers, TOKENS, ROUNDS, SEQUENCES, BESIDE, SCALE } = optionsOrEnd(() => {
  const { values: flags } = parseArgs({
    options: {
      schemes: { type: "string", default: "w_mxfp4,w_mxfp4_a_mxfp4" },
      chunks: { type: "string", default: "128,512" },
      layers: { type: "string", default: "2" },
      tokens: { type: "string", default: "512" },
      rounds: { type: "string", default: "3" },
      sequences: { type: "string", default: "0" },
      beside: { type: "boolean", default: false },
      "input-scale": { type: "string", default: "1" },
    },
  });
  const SEQUENCES = countOf("--sequences", flags.sequences, 0);
  if (flags.beside && SEQUENCES === 0) throw new InputError("--beside: expected --sequences, which a prompt is beside");
  return {
    schemes: flags.schemes.split(","),
    chunks: flags.chunks.split(",").map((chunk) => countOf("--chunks", chunk)),
    layers: countOf("--layers", flags.layers),
    TOKENS: countOf("--tokens", flags.tokens),
    ROUNDS: countOf("--rounds", flags.rounds),
    SEQUENCES,
    BESIDE: flags.beside,
    SCALE: inputScaleOf(flags["input-scale"]),
  };
});
/** Positions of sequences that are decoded. */
const CONTEXT = 128;
/** Operations that take less of the whole are not printed. */
const LEAST = 0.005;

/** Processor time of this thread, in milliseconds. */
const now = () => Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]) / 1e6;

/** Layers of models for which it is reckoned what part of a prompt's rate sequences have. */
const WHOLE = [24, 4];
/** Operations that a model has once, however many layers. */
const ONCE = ["embed", "finalNorm", "head"];

/** What is looked at: a token of each of so many sequences, or, of none, a prompt in chunks. */
interface Turn {
  readonly sequences: number;
  /** Whether sequences need all of their logits, as samplers and log probabilities do. */
  readonly logits: boolean;
  readonly chunk: number;
  readonly session: Session;
  /** Milliseconds of each operation, of each round. */
  readonly looks: Map<string, number>[];
}

const tokensOf = ({ sequences }: { readonly sequences: number }) => sequences || TOKENS;

/** Milliseconds of each operation; the head comes last. */
async function lookAt({ sequences, logits, chunk, session }: Turn, vocab: number): Promise<Map<string, number>> {
  const times = new Map<string, number>();
  const ids = Array.from({ length: sequences || TOKENS }, (_, i) => (i * 7919 + 13) % vocab);
  if (sequences === 0) session.reset(0);
  let last = now();
  const lap = (name: string) => {
    const at = now();
    times.set(name, (times.get(name) ?? 0) + at - last);
    last = at;
  };
  if (sequences > 0) {
    const feeds = ids.map((id, slot) => ({ slot, tokens: [id], logits: "last" as const }));
    const tap: Tap = ({ operation }) => lap(operation);
    await (logits ? session.run(feeds, () => {}, tap) : pickGreedily(session, feeds, () => {}, tap));
    lap("head");
    return times;
  }
  for (let at = 0; at < TOKENS; at += chunk) {
    const tokens = ids.slice(at, at + chunk), logits = at + chunk >= TOKENS ? "last" : "none";
    await session.feed({ slot: 0, tokens, logits }, undefined, ({ operation }) => lap(operation));
    lap("head");
  }
  return times;
}

const wayOf = (logits: boolean) => logits ? "all logits" : "picked greedily";

const sum = (times: Iterable<number>) => [...times].reduce((sum, time) => sum + time, 0);

/** Milliseconds of a token in a look: of one layer, and of what a model has once. */
function tokenOf(turn: Turn, round: number): { readonly layer: number; readonly once: number } {
  const look = turn.looks[round]!, tokens = tokensOf(turn);
  const once = sum(ONCE.map((name) => look.get(name) ?? 0));
  return { layer: (sum(look.values()) - once) / layers / tokens, once: once / tokens };
}

/** What part of a prompt's rate sequences have with so many layers, and would have if those were the prompt's. */
function beside(sequences: Turn, prompt: Turn, layers: number): string {
  const parts = sequences.looks.map((_, round) => {
    const ours = tokenOf(sequences, round), { layer, once } = tokenOf(prompt, round), whole = layers * layer + once;
    return { reached: whole / (layers * ours.layer + ours.once), most: whole / (layers * layer + ours.once) };
  });
  const text = (parts: readonly number[]) => spreadText(spreadOf(parts));
  const reached = text(parts.map(({ reached }) => reached)), most = text(parts.map(({ most }) => most));
  return `${reached} of the prompt's rate with ${layers} layers, ${most} were layers as fast as the prompt's`;
}

const shape = { ...SHAPES["gpt-oss-20b"], layers };
const checkpoint = randomCheckpoint({ shape, layout: "hf_mxfp4" });
for (const scheme of schemes) {
  const turns: Turn[] = [];
  const scales = new Map([...missingScales(checkpoint).keys()].map((module) => [module, SCALE]));
  const inputScales = scheme.endsWith("_a_fp8") ? { scales, from: "--input-scale" } : null;
  const kinds = [
    ...SEQUENCES > 0 ? [{ sequences: SEQUENCES, chunk: SEQUENCES }] : [],
    ...SEQUENCES === 0 || BESIDE ? chunks.map((chunk) => ({ sequences: 0, chunk })) : [],
  ];
  for (const { sequences, chunk } of kinds) {
    const setting = planSetting({ ...DEFAULTS, checkpoint, scheme, inputScales, threads: 1, chunk });
    const room = { slots: Math.max(1, sequences), context: sequences > 0 ? 2 * CONTEXT : TOKENS };
    const session = await openSetting(setting, room);
    for (let slot = 0; slot < sequences; slot++) await session.pretend(slot, CONTEXT);
    for (const logits of sequences > 0 ? [false, true] : [false]) {
      turns.push({ sequences, logits, chunk, session, looks: [] });
    }
  }
  for (let round = -1; round < ROUNDS; round++) {
    for (const turn of turns) {
      const look = await lookAt(turn, checkpoint.config.vocab);
      if (round >= 0) turn.looks.push(look);
    }
  }
  for (const turn of turns) {
    const { sequences, logits, chunk, looks } = turn;
    const total = spreadOf(looks.map((look) => sum(look.values())));
    const parts = [...looks[0]!.keys()].map((name) => ({ name, time: spreadOf(looks.map((look) => look.get(name)!)) }));
    const shown = parts.filter(({ time }) => time.median > LEAST * total.median)
      .map(({ name, time }) => `${name} ${spreadText(time)}`);
    const what = sequences > 0 ? `${sequences} sequences, ${wayOf(logits)}` : `chunks of ${chunk}`;
    console.log(`${scheme}, ${what}: ${spreadText(total)} ms for ${tokensOf(turn)} tokens: ${shown.join(", ")}`);
    for (const other of sequences === 0 ? turns.filter(({ sequences }) => sequences > 0) : []) {
      for (const layers of WHOLE) {
        console.log(`${scheme}, ${SEQUENCES} sequences, ${wayOf(other.logits)}: ${beside(other, turn, layers)}`);
      }
    }
  }
  for (const session of new Set(turns.map(({ session }) => session))) await session.close();
}
