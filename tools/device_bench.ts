/**
 * Loading, prefill and decode of a model of random weights in the shape of gpt-oss-20b, and what each kind of kernel
 * takes of it.
 */
import type { GpuRuntime } from "../ffi/runtime.ts";
import { profileSteps } from "../src/backends/gpu/profile.ts";
import { GpuEngine } from "../src/backends/gpu/engine.ts";
import { type GpuOptions, openGpu } from "../src/backends/gpu/open.ts";
import { openCheckpoint } from "../src/checkpoint/checkpoint.ts";
import { workspace } from "../src/model/gpt_oss.ts";
import type { Shape } from "../src/checkpoint/random/layouts.ts";
import { type LoadingLimits, loadingLimits } from "./device_limits.ts";
import { median, stepTable } from "./device_tables.ts";
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

/** Measures; prints as it goes; returns everything that was measured. */
export async function benchmark(
  { openLibrary, options, shape, dir, prefill, chunk, steps }: BenchmarkOptions,
): Promise<Record<string, unknown>> {
  const results: Record<string, unknown> = {};
  const say = (name: string, value: unknown, text: string) => {
    results[name] = value;
    console.log(text);
  };
  if (!exists(`${dir}/config.json`)) {
    const started = performance.now();
    const bytes = writeRandomCheckpoint(dir, { shape: shape, layout: "hf_mxfp4" });
    console.log(`wrote ${(bytes / 1e9).toFixed(2)} GB in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  }
  const { config, source } = await openCheckpoint(dir, {});
  const { fileGBps, copyGBps } = await alone(openLibrary, source.files.map(({ path }) => path));
  const context = prefill + 2 * steps + 64;
  // Bytes read and sent, and when: opening the device and making the tables takes its time before.
  const progress: { readonly at: number; readonly bytes: number }[] = [];
  const backend = await openGpu(
    {
      onProgress: (bytes) => progress.push({ at: performance.now(), bytes }),
      source,
      config,
      dtype: "bf16",
      kvFormat: "bf16",
      maxTokens: chunk,
      slots: 16,
      context,
      tensors: workspace(config, source),
    },
    openLibrary(),
    options,
  );
  const engine = new GpuEngine(backend, config);
  try {
    const { weightBytes, loadMilliseconds, description } = engine.info;
    console.log(description);
    say(
      "loadGBps",
      weightBytes / loadMilliseconds / 1e6,
      `load: ${(weightBytes / 1e9).toFixed(2)} GB in ${(loadMilliseconds / 1000).toFixed(2)} s, ${
        (weightBytes / loadMilliseconds / 1e6).toFixed(2)
      } GB/s, self-tests not included`,
    );

    const [first, last] = [progress[0]!, progress.at(-1)!], limit = Math.min(fileGBps, copyGBps);
    const transferGBps = (last.bytes - first.bytes) / (last.at - first.at) / 1e6;
    say(
      "transfer",
      { transferGBps, fileGBps, copyGBps, share: transferGBps / limit },
      `  from the first chunk to the last ${transferGBps.toFixed(1)} GB/s; the file alone: ${
        fileGBps.toFixed(1)
      } GB/s, page-locked memory to the device alone: ${copyGBps.toFixed(1)} GB/s; that is ${
        (100 * transferGBps / limit).toFixed(0)
      } % of the lower one`,
    );

    const ids = Int32Array.from({ length: prefill }, (_, i) => (i * 7919 + 13) % config.vocab);
    /** Milliseconds for the prompt in each of some slots, one after the other; four times. */
    const prefilled = async (slots: number): Promise<number[]> => {
      const times: number[] = [];
      for (let repeat = 0; repeat < 4; repeat++) {
        const started = performance.now();
        for (let slot = 0; slot < slots; slot++) {
          for (let at = 0; at < prefill; at += chunk) {
            const n = Math.min(chunk, prefill - at), last = at + n === prefill;
            const batch = {
              ids: ids.subarray(at, at + n),
              slots: new Int32Array(n).fill(slot),
              positions: Int32Array.from({ length: n }, (_, i) => at + i),
            };
            await engine.compute(batch, last ? Int32Array.of(n - 1) : new Int32Array(0), () => {});
          }
        }
        times.push(performance.now() - started);
      }
      return times;
    };
    const times = await prefilled(1);
    say(
      "prefillTokensPerSecond",
      prefill / median(times.slice(1)) * 1000,
      `prefill of ${prefill} tokens in chunks of ${chunk}: ${
        (prefill / median(times.slice(1)) * 1000).toFixed(0)
      } tok/s ` +
        `(${times.map((t) => t.toFixed(1)).join(", ")} ms)`,
    );

    const several = await prefilled(PROMPTS);
    say(
      "prefillPromptsTokensPerSecond",
      PROMPTS * prefill / median(several.slice(1)) * 1000,
      `prefill of ${PROMPTS} prompts: ${(PROMPTS * prefill / median(several.slice(1)) * 1000).toFixed(0)} tok/s ` +
        `(${several.map((t) => t.toFixed(1)).join(", ")} ms)`,
    );

    for (const sequences of [1, 4, 16]) {
      const batch = {
        ids: Int32Array.from({ length: sequences }, (_, i) => 17 + i),
        slots: Int32Array.from({ length: sequences }, (_, i) => i),
        positions: new Int32Array(sequences).fill(prefill),
      };
      const speeds: number[] = [], host: number[] = [];
      for (let repeat = 0; repeat < 4; repeat++) {
        const started = performance.now();
        const sampling = { temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) };
        const { hostMilliseconds } = await engine.decode({
          batch,
          steps,
          sampling: Array.from({ length: sequences }, () => sampling),
          onTokens: () => true,
        });
        speeds.push(sequences * steps / (performance.now() - started) * 1000);
        host.push(1000 * hostMilliseconds / steps);
      }
      say(
        `decode${sequences}`,
        median(speeds.slice(1)),
        `decode of ${sequences} sequences from ${prefill}: ${median(speeds.slice(1)).toFixed(1)} tok/s in all (${
          speeds.map((s) => s.toFixed(1)).join(", ")
        })`,
      );
      const microseconds = median(host.slice(1));
      say(
        `hostMicroseconds${sequences}`,
        microseconds,
        `  host: ${microseconds.toFixed(1)} us a step in launches and copies`,
      );
    }

    const single = { ids: Int32Array.of(17), slots: Int32Array.of(0), positions: Int32Array.of(prefill) };
    const started = performance.now();
    for (let i = 0; i < steps; i++) await engine.compute(single, Int32Array.of(0), () => {});
    const toHost = steps / (performance.now() - started) * 1000;
    say("decodeWithLogits", toHost, `decode with logits brought to the host: ${toHost.toFixed(1)} tok/s`);

    results["decodeSteps"] = stepTable("decode step of one token", profileSteps(engine, single, 50));
    const chunkBatch = {
      ids: ids.subarray(0, chunk),
      slots: new Int32Array(chunk),
      positions: Int32Array.from({ length: chunk }, (_, i) => prefill - chunk + i),
    };
    results["prefillSteps"] = stepTable(
      `prefill chunk of ${chunk} tokens at the end of ${prefill}`,
      profileSteps(engine, chunkBatch, 5),
    );
  } finally {
    await engine.close();
  }
  return results;
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
