/**
 * What ranks with a device each have to show on a machine with several GPUs:
 *
 *     deno run -A tools/device_ranks.ts [--ranks 1x1,2x1,1x2] [--parts goldens,logits,bench] [--shape gpt-oss-20b]
 *         [--layers 24] [--dir DIR] [--dtype bf16] [--prefill 2048] [--chunk 1024] [--steps 256] [--repeats 5]
 *         [--batches 16] [--backend cuda] [--collectives-library FILE] [--hip-library FILE] [--out FILE.json]
 *
 * `--ranks` lists tp x ep; the first is what the others are compared with. `goldens`: the embedded model against
 * Hugging Face's logits and reply. `logits`: a model of random weights, written to `--dir` unless one is there,
 * against the first. `bench`: decode of one sequence and of `--batches`, prefill of 2,048, and the same with ranks
 * that do not talk, whose difference is the share of time in communication. `sums`: one sum by itself. `distances`:
 * bf16 against float32, also with `--backend emulate`. `steps`: where a rank's time goes. Where there are fewer devices
 * than ranks, these take turns, which is enough for `goldens` and `logits`. tools/device_ranks.sh packs and runs it
 * on a machine without a network.
 */
import { asset } from "../src/assets.ts";
import { openCheckpoint } from "../src/checkpoint/checkpoint.ts";
import type { Engine } from "../src/model/engine.ts";
import { DeviceEngine } from "../src/parallel/device_engine.ts";
import { openSetting, type Room } from "../src/session/open.ts";
import type { Session } from "../src/session/session.ts";
import { DEFAULTS, planSetting } from "../src/session/setting.ts";
import { floats, integers, readGolden } from "../tests/golden.ts";
import { exists } from "./device_bench.ts";
import { rankOptions, type Sizes } from "./device_ranks_options.ts";
import { quotient, type Spread, spreadOf, spreadText } from "../src/bench/spread.ts";
import { median } from "../src/median.ts";
import { compare, distances, largest, logitsOf } from "./rank_distances.ts";
import { rankSteps } from "./rank_steps.ts";
import { writeRandomCheckpoint } from "./random_checkpoint.ts";

const { flags, ranks, parts, shape, backend, dtype, layers, BATCHES, PREFILL, STEPS, REPEATS, chunk } = rankOptions();
const FROM = Math.floor(PREFILL / 4);
const STEP_OPTIONS = {
  ...{ dir: flags.dir, dtype, chunk, library: flags["hip-library"] } as const,
  backend: backend === "hip" ? "hip" : "cuda",
} as const;
const results: Record<string, Record<string, unknown>> = {};
let failures = 0;

function check(ok: boolean, what: string): void {
  console.log(`${ok ? "ok  " : "FAIL"} ${what}`);
  if (!ok) failures++;
}

async function open(dir: string, { tp, ep }: Sizes, dtype: "f32" | "bf16", room: Room): Promise<Session> {
  const setting = planSetting({
    ...DEFAULTS,
    ...{
      checkpoint: openCheckpoint(dir),
      backend,
      dtype,
      tp,
      ep,
      chunk,
    },
    hipLibrary: flags["hip-library"],
    collectivesLibrary: flags["collectives-library"],
  });
  return await openSetting(setting, room);
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
    const picked = [next], first = { ids: Int32Array.of(next), slots: Int32Array.of(0) };
    const batch = { ...first, positions: Int32Array.of(prompt.length) }, alone = session.engine.canDecode?.(batch);
    if (alone) {
      const onTokens = (ids: Int32Array) => picked.push(ids[0]!) > 0;
      await session.engine.decode!({ batch, steps: reply.length - 1, sampling: [GREEDY], onTokens });
    }
    // Ranks that take turns on a device pick nothing there.
    while (picked.length < reply.length) {
      await session.feed({ slot: 0, tokens: Int32Array.of(picked.at(-1)!), logits: "last" }, (_p, row) => {
        picked.push(largest(row));
      });
    }
    const where = alone ? "picked on the devices" : "picked on the host";
    check(picked.join() === reply.join(), `${name}: greedy reply ${where}, ${dtype}`);
    await session.close();
  }
}

const GREEDY = { temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) };

/** Percent of the time that is spent in communication: what ranks that do not talk are faster by. */
function talking(of: Spread, silent: Spread): Spread {
  const { median, low, high, ...rest } = quotient(of, silent), part = (kept: number) => 100 * (1 - kept);
  return { median: part(median), low: part(high), high: part(low), ...rest };
}

/** Tokens per second in all, without the first run, which records; `results` gets the tokens, which all runs give. */
async function decode(
  engine: Engine,
  vocab: number,
  sequences: number,
  from: number,
  results: number[],
): Promise<Spread> {
  const speeds: number[] = [];
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const batch = {
      ids: Int32Array.from({ length: sequences }, (_, i) => (i * 7919 + 13) % vocab),
      slots: Int32Array.from({ length: sequences }, (_, i) => i),
      positions: new Int32Array(sequences).fill(from),
    };
    const started = performance.now(), sampling = Array.from({ length: sequences }, () => GREEDY);
    const tokens = repeat === 0 ? results : [] as number[], onTokens = (ids: Int32Array) => tokens.push(...ids) > 0;
    await engine.decode!({ batch, steps: STEPS, sampling, onTokens });
    speeds.push(sequences * STEPS / (performance.now() - started) * 1000);
    if (tokens.some((id, i) => id !== results[i])) check(false, `decode ${sequences}: repeat ${repeat} gave others`);
  }
  return spreadOf(speeds.slice(1));
}

/** `results` gets the last token's logits. */
async function prefill(engine: Engine, vocab: number, results: number[]): Promise<Spread> {
  const ids = Int32Array.from({ length: PREFILL }, (_, i) => (i * 7919 + 13) % vocab), times: number[] = [];
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const started = performance.now();
    for (let at = 0; at < PREFILL; at += chunk) {
      const n = Math.min(chunk, PREFILL - at), positions = Int32Array.from({ length: n }, (_, i) => at + i);
      const batch = { ids: ids.subarray(at, at + n), slots: new Int32Array(n), positions };
      await engine.compute(batch, at + n === PREFILL ? Int32Array.of(n - 1) : new Int32Array(0), (_row, logits) => {
        if (repeat === REPEATS - 1) { for (const v of logits) results.push(v); }
      });
    }
    times.push(performance.now() - started);
  }
  return spreadOf(times.slice(1).map((time) => PREFILL / time * 1000));
}

/** Everything that is measured, of ranks that talk and of ranks that do not. */
async function bench(session: Session, name: string): Promise<void> {
  const { engine, limits: { vocab } } = session, several = engine instanceof DeviceEngine;
  const tables: Record<string, Record<string, Spread>> = {}, tokens: Record<string, number[][]> = {};
  for (const how of several ? ["chosen", "library", "not"] as const : ["chosen"] as const) {
    if (several && how !== "chosen") await engine.talk(how);
    const one: number[] = [], last: number[] = [], some = BATCHES.map((): number[] => []);
    // The prompt first: what tokens see of the cache is the same every time.
    const prompt = await prefill(engine, vocab, last);
    const table = tables[how] = { "decode 1": await decode(engine, vocab, 1, PREFILL, one) } as Record<string, Spread>;
    for (const [i, n] of BATCHES.entries()) table[`decode ${n}`] = await decode(engine, vocab, n, FROM, some[i]!);
    table["prefill"] = prompt;
    tokens[how] = [one, ...some, last];
  }
  if (several) {
    Object.keys(tables["chosen"]!).forEach((what, i) => {
      const [chosen, library] = ["chosen", "library"].map((how) => tokens[how]![i]!);
      const same = chosen!.length > 0 && chosen!.every((v, at) => Object.is(v, library![at]));
      check(same, `${name} ${what}: the same from memory to memory as by the library`);
    });
  }
  results[name]!["bench"] = tables;
  const base = (Object.values(results)[0]!["bench"] as typeof tables)["chosen"]!;
  for (const [what, speed] of Object.entries(tables["chosen"]!)) {
    const silent = tables["not"]?.[what], library = tables["library"]?.[what];
    const times = `${spreadText(quotient(speed, base[what]!))} x ${Object.keys(results)[0]}`;
    const share = (of: Spread) => `${spreadText(talking(of, silent!))} % communication`;
    console.log(
      `${name} ${what}: ${spreadText(speed)} tok/s, ${times}` + (silent === undefined ? "" : `, ${share(speed)}; ` +
        `by the library ${spreadText(library!)} tok/s, ${share(library!)}; without sums ${spreadText(silent)} tok/s`),
    );
  }
}

/** Microseconds of a sum of so many tokens, by the library and from memory to memory. */
async function sums({ engine }: Session, name: string): Promise<void> {
  if (!(engine instanceof DeviceEngine)) return;
  const tokens = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096].filter((n) => n <= chunk);
  const times = tokens.map(() => ({ library: [] as number[], exchange: [] as number[] }));
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const replies = await engine.ranks.all(() => ({ kind: "tune", tokens }));
    const all = replies.flatMap((reply) => reply.kind === "tuned" ? [reply.times] : []);
    if (repeat === 0) continue;
    times.forEach(({ library, exchange }, i) => {
      library.push(Math.max(...all.map((rank) => median(rank[i]!.library))));
      exchange.push(Math.max(...all.map((rank) => median(rank[i]!.exchange))));
    });
  }
  results[name]!["sums"] = times.map((time, i) => ({ tokens: tokens[i], ...time }));
  times.forEach(({ library, exchange }, i) => {
    const by = `by the library ${spreadText(spreadOf(library))} us`;
    console.log(
      `${name} sum of ${tokens[i]} tokens: ${spreadText(spreadOf(exchange))} us from memory to memory, ${by}`,
    );
  });
}

if (parts.some((part) => part !== "goldens") && !exists(`${flags.dir}/config.json`)) {
  const started = performance.now(), cut = { ...shape, layers: layers ?? shape.layers };
  const bytes = writeRandomCheckpoint(flags.dir, { shape: cut, layout: "hf_mxfp4" });
  console.log(`wrote ${(bytes / 1e9).toFixed(2)} GB in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}
if (parts.includes("distances")) {
  await distances(flags.dir, ranks, open, (name, what) => Object.assign(results[name] ??= {}, what));
}
let expected: Float32Array | null = null;
for (const own of ranks) {
  const { tp, ep } = own, name = `tp ${tp} ep ${ep}`;
  results[name] ??= {};
  console.log(`== ${name}`);
  try {
    if (parts.includes("goldens")) await goldens(own, name);
    if (parts.includes("steps")) results[name]!["steps"] = await rankSteps(own, { ...STEP_OPTIONS, depth: PREFILL });
    if (parts.every((part) => ["goldens", "steps", "distances"].includes(part))) continue;
    const started = performance.now();
    const session = await open(flags.dir, own, dtype, {
      slots: Math.max(...BATCHES),
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
    // Before ranks are told to be silent.
    if (parts.includes("sums")) await sums(session, name);
    if (parts.includes("bench")) await bench(session, name);
    await session.close();
  } catch (thrown) {
    check(false, `${name}: ${thrown instanceof Error ? thrown.stack ?? thrown.message : thrown}`);
  }
  if (flags.out) Deno.writeTextFileSync(flags.out, JSON.stringify(results, null, 1));
}
Deno.exit(failures > 0 ? 1 : 0);
