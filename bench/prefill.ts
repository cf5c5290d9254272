/**
 * Where the time of a prompt goes, by operation: processor time of one thread, medians of rounds in which chunks of
 * several sizes take turns, with their intervals, on layers of gpt-oss-20b's shape with random weights. Linux.
 *
 *     deno run -A bench/prefill.ts [--schemes w_mxfp4,w_mxfp4_a_mxfp4] [--chunks 128,512] [--layers 2] [--tokens 512]
 *         [--rounds 3] [--sequences 32] [--input-scale 1]
 *
 * `--input-scale` is the static scale of FP8 inputs: one that is no power of two, as checkpoints have them, makes them
 * as many digits long as bf16 numbers.
 *
 * With --sequences it is a token of so many sequences after 128 positions each, instead of a prompt.
 */
import { parseArgs } from "node:util";
import { randomCheckpoint } from "../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../src/checkpoint/random/layouts.ts";
import { spreadOf, spreadText } from "../src/bench/spread.ts";
import { missingScales } from "../src/plan/planned.ts";
import { openSetting } from "../src/session/open.ts";
import type { Session } from "../src/session/session.ts";
import { DEFAULTS, planSetting } from "../src/session/setting.ts";
import { countOf, inputScaleOf, optionsOrEnd } from "./options.ts";

const { schemes, chunks, layers, TOKENS, ROUNDS, SEQUENCES, SCALE } = optionsOrEnd(() => {
  const { values: flags } = parseArgs({
    options: {
      schemes: { type: "string", default: "w_mxfp4,w_mxfp4_a_mxfp4" },
      chunks: { type: "string", default: "128,512" },
      layers: { type: "string", default: "2" },
      tokens: { type: "string", default: "512" },
      rounds: { type: "string", default: "3" },
      sequences: { type: "string", default: "0" },
      "input-scale": { type: "string", default: "1" },
    },
  });
  const SEQUENCES = countOf("--sequences", flags.sequences, 0), tokens = countOf("--tokens", flags.tokens);
  return {
    schemes: flags.schemes.split(","),
    chunks: flags.chunks.split(",").map((chunk) => countOf("--chunks", chunk)),
    layers: countOf("--layers", flags.layers),
    TOKENS: SEQUENCES || tokens,
    ROUNDS: countOf("--rounds", flags.rounds),
    SEQUENCES,
    SCALE: inputScaleOf(flags["input-scale"]),
  };
});
/** Positions of sequences that are decoded. */
const CONTEXT = 128;
/** Operations that take less of the whole are not printed. */
const LEAST = 0.005;

/** Processor time of this thread, in milliseconds. */
const now = () => Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]) / 1e6;

/** Milliseconds of each operation; the head comes last. */
async function lookAt(session: Session, chunk: number, vocab: number): Promise<Map<string, number>> {
  const times = new Map<string, number>();
  const ids = Array.from({ length: TOKENS }, (_, i) => (i * 7919 + 13) % vocab);
  if (SEQUENCES === 0) session.reset(0);
  let last = now();
  const lap = (name: string) => {
    const at = now();
    times.set(name, (times.get(name) ?? 0) + at - last);
    last = at;
  };
  if (SEQUENCES > 0) {
    const feeds = ids.map((id, slot) => ({ slot, tokens: [id], logits: "last" as const }));
    await session.run(feeds, () => {}, ({ operation }) => lap(operation));
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

const shape = { ...SHAPES["gpt-oss-20b"], layers };
const checkpoint = randomCheckpoint({ shape, layout: "hf_mxfp4" });
for (const scheme of schemes) {
  const sessions: { chunk: number; session: Session; looks: Map<string, number>[] }[] = [];
  const scales = new Map([...missingScales(checkpoint).keys()].map((module) => [module, SCALE]));
  const inputScales = scheme.endsWith("_a_fp8") ? { scales, from: "--input-scale" } : null;
  for (const chunk of SEQUENCES > 0 ? [SEQUENCES] : chunks) {
    const setting = planSetting({ ...DEFAULTS, checkpoint, scheme, inputScales, threads: 1, chunk });
    const room = { slots: Math.max(1, SEQUENCES), context: SEQUENCES > 0 ? 2 * CONTEXT : TOKENS };
    const session = await openSetting(setting, room);
    for (let slot = 0; slot < SEQUENCES; slot++) await session.pretend(slot, CONTEXT);
    sessions.push({ chunk, session, looks: [] });
  }
  for (let round = -1; round < ROUNDS; round++) {
    for (const { chunk, session, looks } of sessions) {
      const look = await lookAt(session, chunk, checkpoint.config.vocab);
      if (round >= 0) looks.push(look);
    }
  }
  for (const { chunk, session, looks } of sessions) {
    const total = spreadOf(looks.map((look) => [...look.values()].reduce((sum, time) => sum + time)));
    const parts = [...looks[0]!.keys()].map((name) => ({ name, time: spreadOf(looks.map((look) => look.get(name)!)) }));
    const shown = parts.filter(({ time }) => time.median > LEAST * total.median)
      .map(({ name, time }) => `${name} ${spreadText(time)}`);
    const what = SEQUENCES > 0 ? `${SEQUENCES} sequences` : `chunks of ${chunk}`;
    console.log(`${scheme}, ${what}: ${spreadText(total)} ms for ${TOKENS} tokens: ${shown.join(", ")}`);
    await session.close();
  }
}
