/**
 * Loading, prefill and decode of a model of random weights in the shape of gpt-oss-20b, and what each kind of kernel
 * takes of it.
 */
import type { GpuRuntime } from "../ffi/runtime.ts";
import { profileSteps } from "../src/backends/gpu/profile.ts";
import { GpuEngine } from "../src/backends/gpu/engine.ts";
import { type GpuOptions, openGpu } from "../src/backends/gpu/open.ts";
import { openCheckpoint } from "../src/checkpoint/checkpoint.ts";
import type { Batch } from "../src/model/backend.ts";
import { workspace } from "../src/model/gpt_oss.ts";
import type { Shape } from "../src/checkpoint/random/layouts.ts";
import { type LoadingLimits, loadingLimits } from "./device_limits.ts";
import { type Spread, spreadOf, spreadText } from "../src/bench/spread.ts";
import { stepTable } from "./device_tables.ts";
import { writeRandomCheckpoint } from "./random_checkpoint.ts";

/** Prompts of one measurement. */
const PROMPTS = 8;

/** What to measure. */
export interface BenchmarkOptions {
  readonly openLibrary: () => GpuRuntime;
  readonly options: GpuOptions;
  readonly shape: Shape;
  /** Where the random checkpoint is (or will be) written. */
  readonly dir: string;
  readonly prefill: number;
  readonly chunk: number;
  /** Steps of one decode measurement. */
  readonly steps: number;
}

/** What was measured, by name, each printed when it is known. */
class Results {
  readonly values: Record<string, unknown> = {};

  /** @param text What is printed of it. */
  say(name: string, value: unknown, text: string): void {
    this.values[name] = value;
    console.log(text);
  }
}

/** Repetitions of a measurement; the first one is not counted. */
const REPEATS = 4;

/** The median of those that count, with its interval. */
const counted = (values: readonly number[]): Spread => spreadOf(values.slice(1));
const each = (values: readonly number[]): string => values.map((value) => value.toFixed(1)).join(", ");

/** Bytes read and sent, and when: opening the device and making the tables takes its time before. */
type Progress = { readonly at: number; readonly bytes: number }[];

/** Measures; prints as it goes; returns everything that was measured. */
export async function benchmark(measured: BenchmarkOptions): Promise<Record<string, unknown>> {
  const { openLibrary, options, shape, dir, prefill, chunk, steps } = measured, results = new Results();
  if (!exists(`${dir}/config.json`)) {
    const started = performance.now();
    const bytes = writeRandomCheckpoint(dir, { shape, layout: "hf_mxfp4" });
    console.log(`wrote ${(bytes / 1e9).toFixed(2)} GB in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  }
  const { config, source } = await openCheckpoint(dir, {});
  const limits = await alone(openLibrary, source.files.map(({ path }) => path)), progress: Progress = [];
  const request = {
    onProgress: (bytes: number) => progress.push({ at: performance.now(), bytes }),
    ...{ source, config, dtype: "bf16", kvFormat: "bf16", maxTokens: chunk, slots: 16 } as const,
    context: prefill + 2 * steps + 64,
    tensors: workspace(config, source),
  };
  const engine = new GpuEngine(await openGpu(request, openLibrary(), options), config);
  try {
    sayLoading(results, engine, progress, limits);
    const ids = Int32Array.from({ length: prefill }, (_, i) => (i * 7919 + 13) % config.vocab);
    await measurePrefill(results, engine, ids, chunk);
    for (const sequences of [1, 4, 16]) await measureDecode(results, engine, measured, sequences);

    const single = { ids: Int32Array.of(17), slots: Int32Array.of(0), positions: Int32Array.of(prefill) };
    const started = performance.now();
    for (let i = 0; i < steps; i++) await engine.compute(single, Int32Array.of(0), () => {});
    const toHost = steps / (performance.now() - started) * 1000;
    results.say("decodeWithLogits", toHost, `decode with logits brought to the host: ${toHost.toFixed(1)} tok/s`);

    const { values } = results, last = `prefill chunk of ${chunk} tokens at the end of ${prefill}`;
    values["decodeSteps"] = stepTable("decode step of one token", profileSteps(engine, single, 50));
    values["prefillSteps"] = stepTable(last, profileSteps(engine, chunkOf(ids, 0, prefill - chunk, chunk), 5));
  } finally {
    await engine.close();
  }
  return results.values;
}

/** How fast weights came, beside what files and copies can do. */
function sayLoading(results: Results, engine: GpuEngine, progress: Progress, limits: LoadingLimits): void {
  const { weightBytes, loadMilliseconds, description } = engine.info, { fileGBps, copyGBps } = limits;
  const loadGBps = weightBytes / loadMilliseconds / 1e6, seconds = (loadMilliseconds / 1000).toFixed(2);
  console.log(description);
  results.say(
    "loadGBps",
    loadGBps,
    `load: ${(weightBytes / 1e9).toFixed(2)} GB in ${seconds} s, ${loadGBps.toFixed(2)} GB/s, self-tests not included`,
  );
  const [first, last] = [progress[0]!, progress.at(-1)!];
  const transferGBps = (last.bytes - first.bytes) / (last.at - first.at) / 1e6;
  const share = transferGBps / Math.min(fileGBps, copyGBps);
  results.say(
    "transfer",
    { transferGBps, fileGBps, copyGBps, share },
    `  from the first chunk to the last ${transferGBps.toFixed(1)} GB/s; the file alone: ${
      fileGBps.toFixed(1)
    } GB/s, ` +
      `page-locked memory to the device alone: ${copyGBps.toFixed(1)} GB/s; that is ${(100 * share).toFixed(0)} % of ` +
      "the lower one",
  );
}

/** A batch of `n` tokens of a prompt, from its position `at` on. */
function chunkOf(ids: Int32Array, slot: number, at: number, n: number): Batch {
  const positions = Int32Array.from({ length: n }, (_, i) => at + i);
  return { ids: ids.subarray(at, at + n), slots: new Int32Array(n).fill(slot), positions };
}

/** Prompts, one alone and several one after the other, each in a slot of its own. */
async function measurePrefill(results: Results, engine: GpuEngine, ids: Int32Array, chunk: number): Promise<void> {
  const prefill = ids.length;
  const milliseconds = async (slots: number): Promise<number[]> => {
    const times: number[] = [];
    for (let repeat = 0; repeat < REPEATS; repeat++) {
      const started = performance.now();
      for (let slot = 0; slot < slots; slot++) {
        for (let at = 0; at < prefill; at += chunk) {
          const n = Math.min(chunk, prefill - at), wanted = at + n === prefill ? [n - 1] : [];
          await engine.compute(chunkOf(ids, slot, at, n), Int32Array.from(wanted), () => {});
        }
      }
      times.push(performance.now() - started);
    }
    return times;
  };
  for (const [slots, name] of [[1, "prefill"], [PROMPTS, "prefillPrompts"]] as const) {
    const times = await milliseconds(slots), speed = counted(times.map((time) => slots * prefill / time * 1000));
    const what = slots === 1 ? `${prefill} tokens in chunks of ${chunk}` : `${slots} prompts`;
    const text = `prefill of ${what}: ${spreadText(speed)} tok/s (${each(times)} ms)`;
    results.say(`${name}TokensPerSecond`, speed.median, text);
  }
}

/** Greedy steps of so many sequences, whose tokens the device picks. */
async function measureDecode(
  results: Results,
  engine: GpuEngine,
  { prefill, steps }: BenchmarkOptions,
  sequences: number,
): Promise<void> {
  const batch = {
    ids: Int32Array.from({ length: sequences }, (_, i) => 17 + i),
    slots: Int32Array.from({ length: sequences }, (_, i) => i),
    positions: new Int32Array(sequences).fill(prefill),
  };
  const greedy = { temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) };
  const sampling = Array.from({ length: sequences }, () => greedy), speeds: number[] = [], host: number[] = [];
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const started = performance.now();
    const { hostMilliseconds } = await engine.decode({ batch, steps, sampling, onTokens: () => true });
    speeds.push(sequences * steps / (performance.now() - started) * 1000);
    host.push(1000 * hostMilliseconds / steps);
  }
  const speed = counted(speeds), microseconds = counted(host);
  const decode = `decode of ${sequences} sequences from ${prefill}: ${spreadText(speed)} tok/s in all (${
    each(speeds)
  })`;
  results.say(`decode${sequences}`, speed.median, decode);
  const launches = `  host: ${spreadText(microseconds)} us a step in launches and copies`;
  results.say(`hostMicroseconds${sequences}`, microseconds.median, launches);
}

/** The limits of loading, on a device that nothing else uses. */
async function alone(openLibrary: () => GpuRuntime, paths: readonly string[]): Promise<LoadingLimits> {
  using runtime = openLibrary();
  using device = runtime.open(0);
  return await loadingLimits(device, paths);
}

/** Whether there is a file or folder. */
export function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
