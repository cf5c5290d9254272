/**
 * Decoding steps of the same random weights with different kernels, by turns in one process on one GPU: what a change
 * of a kernel does to whole steps, and whether the logits stay the same.
 *
 *     deno run -A bench/gpu/turns.ts --kernels DIR,DIR,... [--backend cuda] [--layers 24] [--sequences 1,4]
 *         [--positions 2048] [--rounds 9] [--steps 64] [--json]
 *
 * DIR is a folder as kernels/build, with a manifest of its own. The time of a step is that from its tokens to the next
 * one's, over all steps of a round; figures are medians of the rounds with their intervals.
 */
import { countOf, optionsOrEnd } from "../options.ts";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { parseArgs } from "node:util";
import { committedKernels } from "../../src/backends/gpu/kernels.ts";
import { spreadOf, spreadText } from "../../src/bench/spread.ts";
import { pairedRatio } from "../paired.ts";
import { randomCheckpoint } from "../../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { openSetting } from "../../src/session/open.ts";
import type { Session } from "../../src/session/session.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";

const { values: flags } = parseArgs({
  options: {
    kernels: { type: "string" },
    backend: { type: "string", default: "cuda" },
    layers: { type: "string", default: "24" },
    sequences: { type: "string", default: "1,4" },
    positions: { type: "string", default: "2048" },
    rounds: { type: "string", default: "9" },
    steps: { type: "string", default: "64" },
    json: { type: "boolean", default: false },
  },
});
if (flags.kernels === undefined) throw new TypeError("--kernels: expected folders, separated by commas");
const { steps, rounds, layers, positions, sequences } = optionsOrEnd(() => {
  const all = (name: "positions" | "sequences") => flags[name].split(",").map((text) => countOf(`--${name}`, text));
  const [steps, rounds, layers] = (["steps", "rounds", "layers"] as const).map((name) =>
    countOf(`--${name}`, flags[name])
  ) as [number, number, number];
  return { steps, rounds, layers, positions: all("positions"), sequences: all("sequences") };
});
const folders = flags.kernels.split(","), backend = flags.backend === "hip" ? "hip" : "cuda";

const checkpoint = randomCheckpoint({
  shape: { ...SHAPES["gpt-oss-20b"]!, layers },
  layout: "hf_mxfp4",
});
const setting = planSetting({ ...DEFAULTS, checkpoint, backend, dtype: "bf16" });
const room = { slots: Math.max(...sequences), context: Math.max(...positions) + steps + 2 };
const sessions: Session[] = [];
for (const folder of folders) {
  sessions.push(await openSetting(setting, room, undefined, { kernels: committedKernels(folder) }));
}

/** Milliseconds of a step, and a hash of the tokens and of logits. */
async function round(session: Session, count: number, position: number) {
  for (let slot = 0; slot < count; slot++) {
    session.reset(slot);
    await session.pretend(slot, position);
  }
  const at: number[] = [], tokens: number[] = [];
  const greedy = { temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) };
  const entries = Array.from({ length: count }, (_, slot) => ({ slot, token: 17 + 7919 * slot }));
  await session.decode(entries, {
    steps: steps + 1,
    sampling: entries.map(() => greedy),
    onTokens: (ids) => {
      tokens.push(...ids);
      return at.push(performance.now()) > 0;
    },
  });
  // The bits of the next step's logits tell more than tokens.
  const bits: string[] = [];
  await session.step(entries, (_, logits) => bits.push(Buffer.from(logits.slice().buffer).toString("base64")));
  const hash = createHash("sha256").update(tokens.join()).update(bits.join()).digest("hex");
  return { milliseconds: (at.at(-1)! - at[0]!) / (at.length - 1), hash };
}

const results: unknown[] = [];
for (const position of positions) {
  for (const count of sequences) {
    const times = sessions.map((): number[] => []);
    let expected: string | null = null, same = true;
    // The first round loads what later ones find.
    for (let i = -1; i < rounds; i++) {
      for (const [k, session] of sessions.entries()) {
        const { milliseconds, hash } = await round(session, count, position);
        expected ??= hash;
        same &&= hash === expected;
        if (i >= 0) times[k]!.push(milliseconds);
      }
    }
    const spreads = times.map(spreadOf);
    console.log(`${count} at ${position}: ms a step${same ? ", the same bits of logits" : ", OTHER BITS of logits"}`);
    spreads.forEach((spread, k) => {
      const rate = spreadOf(times[k]!.map((time) => 1000 * count / time)), ratio = pairedRatio(times[k]!, times[0]!);
      console.log(`  ${spreadText(spread)}  ${spreadText(rate)} tok/s  ${spreadText(ratio)}  ${folders[k]}`);
    });
    results.push({ position, count, same, spreads });
  }
}
if (flags.json) console.log(JSON.stringify(results));
for (const session of sessions) await session.close();
