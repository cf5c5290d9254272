/**
 * Where the time of a prompt goes, by operation: processor time of one thread, medians of rounds in which chunks of
 * several sizes take turns, on layers of gpt-oss-20b's shape with random weights. Linux.
 *
 *     deno run -A bench/prefill.ts [--schemes w_mxfp4,w_mxfp4_a_mxfp4] [--chunks 128,512] [--layers 2] [--tokens 512]
 *         [--rounds 3]
 */
import { parseArgs } from "@std/cli/parse-args";
import { randomCheckpoint } from "../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../src/checkpoint/random/layouts.ts";
import { openSetting } from "../src/session/open.ts";
import type { Session } from "../src/session/session.ts";
import { DEFAULTS, planSetting } from "../src/session/setting.ts";

const flags = parseArgs(Deno.args, {
  string: ["schemes", "chunks", "layers", "tokens", "rounds"],
  default: { schemes: "w_mxfp4,w_mxfp4_a_mxfp4", chunks: "128,512", layers: "2", tokens: "512", rounds: "3" },
});
const TOKENS = Number(flags.tokens), ROUNDS = Number(flags.rounds);
/** Operations that take less of the whole are not printed. */
const LEAST = 0.005;

/** Processor time of this thread, in milliseconds. */
const now = () => Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]) / 1e6;
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

/** Milliseconds of each operation; the head comes last. */
async function lookAt(session: Session, chunk: number, vocab: number): Promise<Map<string, number>> {
  const times = new Map<string, number>();
  const ids = Array.from({ length: TOKENS }, (_, i) => (i * 7919 + 13) % vocab);
  session.reset(0);
  let last = now();
  const lap = (name: string) => {
    const at = now();
    times.set(name, (times.get(name) ?? 0) + at - last);
    last = at;
  };
  for (let at = 0; at < TOKENS; at += chunk) {
    const tokens = ids.slice(at, at + chunk), logits = at + chunk >= TOKENS ? "last" : "none";
    await session.feed({ slot: 0, tokens, logits }, undefined, ({ operation }) => lap(operation));
    lap("head");
  }
  return times;
}

const shape = { ...SHAPES["gpt-oss-20b"], layers: Number(flags.layers) };
const checkpoint = randomCheckpoint({ shape, layout: "hf_mxfp4" });
for (const scheme of flags.schemes.split(",")) {
  const sessions: { chunk: number; session: Session; looks: Map<string, number>[] }[] = [];
  for (const chunk of flags.chunks.split(",").map(Number)) {
    const setting = planSetting({ ...DEFAULTS, checkpoint, scheme, threads: 1, chunk });
    sessions.push({ chunk, session: await openSetting(setting, { slots: 1, context: TOKENS }), looks: [] });
  }
  for (let round = -1; round < ROUNDS; round++) {
    for (const { chunk, session, looks } of sessions) {
      const look = await lookAt(session, chunk, checkpoint.config.vocab);
      if (round >= 0) looks.push(look);
    }
  }
  for (const { chunk, session, looks } of sessions) {
    const total = median(looks.map((look) => [...look.values()].reduce((sum, time) => sum + time)));
    const parts = [...looks[0]!.keys()].map((name) => ({ name, time: median(looks.map((look) => look.get(name)!)) }));
    const shown = parts.filter(({ time }) => time > LEAST * total).map(({ name, time }) =>
      `${name} ${time.toFixed(0)}`
    );
    console.log(`${scheme}, chunks of ${chunk}: ${total.toFixed(0)} ms for ${TOKENS} tokens: ${shown.join(", ")}`);
    await session.close();
  }
}
