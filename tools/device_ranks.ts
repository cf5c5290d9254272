/**
 * What ranks with a device each have to show on a machine with several GPUs:
 *
 *     deno run -A tools/device_ranks.ts [--ranks 1x1,2x1,1x2] [--parts goldens,logits,bench] [--shape gpt-oss-20b]
 *         [--layers 24] [--dir DIR] [--dtype bf16] [--prefill 2048] [--chunk 1024] [--steps 256] [--backend cuda]
 *         [--collectives-library FILE] [--hip-library FILE] [--out FILE.json]
 *
 * `--ranks` lists tp x ep; the first is what the others are compared with. `goldens`: the embedded model against
 * Hugging Face's logits and reply. `logits`: a model of random weights, written to `--dir`, against the first. `bench`:
 * decode of one sequence and of 16, prefill of 2,048, and the same with ranks that do not talk, whose difference is the
 * share of time in communication. tools/device_ranks.sh packs and runs it on a machine without a network.
 */
import { parseArgs } from "node:util";
import { asset } from "../src/assets.ts";
import { openCheckpoint } from "../src/checkpoint/checkpoint.ts";
import { SHAPES } from "../src/checkpoint/random/layouts.ts";
import type { Engine } from "../src/model/engine.ts";
import { DeviceEngine } from "../src/parallel/device_engine.ts";
import { openSetting, type Room } from "../src/session/open.ts";
import type { Session } from "../src/session/session.ts";
import { DEFAULTS, planSetting } from "../src/session/setting.ts";
import { floats, integers, readGolden } from "../tests/golden.ts";
import { median } from "./device_tables.ts";
import { writeRandomCheckpoint } from "./random_checkpoint.ts";

const { values: flags } = parseArgs({
  options: {
    ranks: { type: "string", default: "1x1,2x1,1x2" },
    parts: { type: "string", default: "goldens,logits,bench" },
    shape: { type: "string", default: "gpt-oss-20b" },
    layers: { type: "string" },
    dir: { type: "string", default: "/tmp/random-gpt-oss" },
    backend: { type: "string", default: "cuda" },
    "hip-library": { type: "string" },
    "collectives-library": { type: "string" },
    chunk: { type: "string", default: "1024" },
    dtype: { type: "string", default: "bf16" },
    steps: { type: "string", default: "256" },
    prefill: { type: "string", default: "2048" },
    out: { type: "string" },
  },
});
const BATCH = 16,
  FROM = Number(flags.prefill) / 4,
  REPEATS = 4,
  PREFILL = Number(flags.prefill),
  STEPS = Number(flags.steps);
const chunk = Number(flags.chunk);
const results: Record<string, Record<string, unknown>> = {};
let failures = 0;

function check(ok: boolean, what: string): void {
  console.log(`${ok ? "ok  " : "FAIL"} ${what}`);
  if (!ok) failures++;
}

interface Sizes {
  readonly tp: number;
  readonly ep: number;
}

async function open(dir: string, { tp, ep }: Sizes, dtype: "f32" | "bf16", room: Room): Promise<Session> {
  const setting = planSetting({
    ...DEFAULTS,
    ...{ checkpoint: openCheckpoint(dir), backend: flags.backend === "hip" ? "hip" : "cuda", dtype, tp, ep, chunk },
    hipLibrary: flags["hip-library"],
    collectivesLibrary: flags["collectives-library"],
  });
  return await openSetting(setting, room);
}

/** Logits of all positions. */
async function logitsOf(session: Session, tokens: Int32Array): Promise<Float32Array> {
  const { vocab } = session.limits, all = new Float32Array(tokens.length * vocab);
  session.reset(0);
  await session.feed({ slot: 0, tokens, logits: "all" }, (p, row) => all.set(row, p * vocab));
  return all;
}

const largest = (logits: Float32Array) => logits.reduce((best, x, i) => x > logits[best]! ? i : best, 0);

function compare(got: Float32Array, expected: Float32Array, vocab: number) {
  let error = 0, squares = 0, same = 0;
  const rows = got.length / vocab;
  got.forEach((v, i) => {
    error += (v - expected[i]!) ** 2;
    squares += expected[i]! ** 2;
  });
  for (let r = 0; r < rows; r++) {
    const at = (all: Float32Array) => largest(all.subarray(r * vocab, (r + 1) * vocab));
    if (at(got) === at(expected)) same++;
  }
  return { nmse: error / squares, sameArgmax: same / rows };
}

async function goldens(sizes: Sizes, name: string): Promise<void> {
  const file = readGolden(asset("tests/goldens/logits.safetensors").pathname);
  const prompt = integers(file, "greedy.prompt"), reply = integers(file, "greedy.reply");
  for (const dtype of ["f32", "bf16"] as const) {
    const session = await open(asset("models/tiny-gpt-oss").pathname, sizes, dtype, { slots: 2, context: 1024 });
    const { vocab } = session.limits;
    if (dtype === "f32") console.log(session.engine.info.description);
    for (const text of ["one_turn", "two_turns", "long"]) {
      const golden = floats(file, `${text}.w_mxfp4`),
        logits = await logitsOf(session, Int32Array.from(integers(file, `${text}.ids`)));
      const { nmse, sameArgmax } = compare(logits.subarray(logits.length - golden.length), golden, vocab);
      results[name]![`${text} ${dtype}`] = { nmse, sameArgmax };
      const fine = dtype === "f32" ? nmse <= 1e-8 && sameArgmax === 1 : sameArgmax >= 0.95;
      check(fine, `${name} ${text}, ${dtype}: NMSE ${nmse.toExponential(1)}, same argmax ${sameArgmax.toFixed(3)}`);
    }
    session.reset(0);
    let next = -1;
    await session.feed({ slot: 0, tokens: prompt, logits: "last" }, (_p, row) => next = largest(row));
    const picked = [next];
    await session.engine.decode!({
      batch: { ids: Int32Array.of(next), slots: Int32Array.of(0), positions: Int32Array.of(prompt.length) },
      steps: reply.length - 1,
      sampling: [GREEDY],
      onTokens: (ids) => picked.push(ids[0]!) > 0,
    });
    check(picked.join() === reply.join(), `${name}: greedy reply picked on the devices, ${dtype}`);
    await session.close();
  }
}

const GREEDY = { temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) };

/** Tokens per second in all: medians without the first run, which records. */
async function decode(engine: Engine, vocab: number, sequences: number, from: number): Promise<number> {
  const speeds: number[] = [];
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const batch = {
      ids: Int32Array.from({ length: sequences }, (_, i) => (i * 7919 + 13) % vocab),
      slots: Int32Array.from({ length: sequences }, (_, i) => i),
      positions: new Int32Array(sequences).fill(from),
    };
    const started = performance.now(), sampling = Array.from({ length: sequences }, () => GREEDY);
    await engine.decode!({ batch, steps: STEPS, sampling, onTokens: () => true });
    speeds.push(sequences * STEPS / (performance.now() - started) * 1000);
  }
  return median(speeds.slice(1));
}

async function prefill(engine: Engine, vocab: number): Promise<number> {
  const ids = Int32Array.from({ length: PREFILL }, (_, i) => (i * 7919 + 13) % vocab), times: number[] = [];
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const started = performance.now();
    for (let at = 0; at < PREFILL; at += chunk) {
      const n = Math.min(chunk, PREFILL - at), positions = Int32Array.from({ length: n }, (_, i) => at + i);
      const batch = { ids: ids.subarray(at, at + n), slots: new Int32Array(n), positions };
      await engine.compute(batch, at + n === PREFILL ? Int32Array.of(n - 1) : new Int32Array(0), () => {});
    }
    times.push(performance.now() - started);
  }
  return PREFILL / median(times.slice(1)) * 1000;
}

/** Everything that is measured, of ranks that talk and of ranks that do not. */
async function bench(session: Session, name: string): Promise<void> {
  const { engine, limits: { vocab } } = session, several = engine instanceof DeviceEngine;
  const tables: Record<string, Record<string, number>> = {};
  for (const how of several ? ["chosen", "library", "not"] as const : ["chosen"] as const) {
    if (several && how !== "chosen") await engine.talk(how);
    tables[how] = {
      "decode 1": await decode(engine, vocab, 1, PREFILL),
      [`decode ${BATCH}`]: await decode(engine, vocab, BATCH, FROM),
      prefill: await prefill(engine, vocab),
    };
  }
  results[name]!["bench"] = tables;
  const base = (Object.values(results)[0]!["bench"] as typeof tables)["chosen"]!;
  for (const [what, speed] of Object.entries(tables["chosen"]!)) {
    const silent = tables["not"]?.[what], library = tables["library"]?.[what];
    const times = `${(speed / base[what]!).toFixed(2)} x ${Object.keys(results)[0]}`;
    const share = (of: number) => `${(100 * (1 - of / silent!)).toFixed(0)} % communication`;
    console.log(
      `${name} ${what}: ${speed.toFixed(1)} tok/s, ${times}` + (silent === undefined ? "" : `, ${share(speed)}; ` +
        `by the library ${library!.toFixed(1)} tok/s, ${share(library!)}; without sums ${silent.toFixed(1)} tok/s`),
    );
  }
}

const parts = flags.parts.split(",");
if (parts.some((part) => part !== "goldens")) {
  const shape = SHAPES[flags.shape as keyof typeof SHAPES];
  const started = performance.now(), layers = flags.layers === undefined ? shape.layers : Number(flags.layers);
  const bytes = writeRandomCheckpoint(flags.dir, { shape: { ...shape, layers }, layout: "hf_mxfp4" });
  console.log(`wrote ${(bytes / 1e9).toFixed(2)} GB in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}
let expected: Float32Array | null = null;
for (const word of flags.ranks.split(",")) {
  const [tp, ep] = word.split("x").map(Number) as [number, number], name = `tp ${tp} ep ${ep}`, own = { tp, ep };
  results[name] = {};
  console.log(`== ${name}`);
  try {
    if (parts.includes("goldens")) await goldens(own, name);
    if (parts.every((part) => part === "goldens")) continue;
    const started = performance.now();
    const session = await open(flags.dir, own, flags.dtype === "f32" ? "f32" : "bf16", {
      slots: BATCH,
      context: PREFILL + 2 * STEPS + 64,
    });
    const { weightBytes, loadMilliseconds, description } = session.engine.info, { vocab } = session.limits;
    console.log(description);
    const ready = performance.now() - started;
    console.log(
      `${(weightBytes / 1e9).toFixed(2)} GB of weights in ${(loadMilliseconds / 1000).toFixed(2)} s, ready after ` +
        `${(ready / 1000).toFixed(2)} s`,
    );
    Object.assign(results[name]!, { weightBytes, loadMilliseconds, ready, description });
    if (parts.includes("logits")) {
      const tokens = Int32Array.from({ length: 24 }, (_, i) => (i * 7919 + 13) % vocab);
      const logits = await logitsOf(session, tokens);
      expected ??= logits;
      const { nmse, sameArgmax } = compare(logits, expected, vocab);
      Object.assign(results[name]!, { nmse, sameArgmax });
      check(
        nmse <= 1e-5,
        `${name}: logits of 24 tokens, NMSE ${nmse.toExponential(2)}, same argmax ${sameArgmax.toFixed(3)}`,
      );
    }
    if (parts.includes("bench")) await bench(session, name);
    await session.close();
  } catch (thrown) {
    check(false, `${name}: ${thrown instanceof Error ? thrown.stack ?? thrown.message : thrown}`);
  }
  if (flags.out) Deno.writeTextFileSync(flags.out, JSON.stringify(results, null, 1));
}
Deno.exit(failures > 0 ? 1 : 0);
