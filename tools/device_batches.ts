/**
 * Decoding of many sequences at once, from a short context, by a model of random weights: what a batch gives, what each
 * kind of kernel takes of it, and what is left of that where replies of different lengths follow one another, as in
 * `eval gsm8k`.
 */
import type { GpuRuntime } from "../ffi/runtime.ts";
import { GpuEngine } from "../src/backends/gpu/engine.ts";
import { type GpuOptions, openGpu } from "../src/backends/gpu/open.ts";
import { profileSteps } from "../src/backends/gpu/profile.ts";
import { openCheckpoint } from "../src/checkpoint/checkpoint.ts";
import { workspace } from "../src/model/gpt_oss.ts";
import { completeAll } from "../src/eval/batcher.ts";
import { Session } from "../src/session/session.ts";
import { spreadOf, spreadText } from "../src/bench/spread.ts";
import { stepTable } from "./device_tables.ts";

/** What to measure. */
export interface BatchesOptions {
  readonly openLibrary: () => GpuRuntime;
  readonly options: GpuOptions;
  /** Of the checkpoint. */
  readonly dir: string;
  /** Positions of every sequence before the first step. */
  readonly from: number;
  readonly steps: number;
  readonly sequences: readonly number[];
  /** Batches whose kernels are measured one kind at a time. */
  readonly profiled: readonly number[];
}

/** Measures; prints as it goes; returns everything that was measured. */
export async function benchmarkBatches(
  { openLibrary, options, dir, from, steps, sequences, profiled }: BatchesOptions,
): Promise<Record<string, unknown>> {
  const results: Record<string, unknown> = {}, { config, source } = openCheckpoint(dir, {});
  const slots = Math.max(...sequences), context = from + steps + 64, tensors = workspace(config, source);
  const request = { source, config, dtype: "bf16", kvFormat: "bf16", maxTokens: 1024, slots, context } as const;
  const engine = new GpuEngine(await openGpu({ ...request, tensors }, openLibrary(), options), config);
  const batchOf = (n: number) => ({
    ids: Int32Array.from({ length: n }, (_, i) => (i * 7919 + 13) % config.vocab),
    slots: Int32Array.from({ length: n }, (_, i) => i),
    positions: new Int32Array(n).fill(from),
  });
  try {
    for (const n of sequences) {
      const greedy = { temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) };
      const speeds: number[] = [];
      for (let repeat = 0; repeat < 4; repeat++) {
        const request = { batch: batchOf(n), steps, sampling: Array(n).fill(greedy), onTokens: () => true };
        const started = performance.now();
        await engine.decode(request);
        speeds.push(n * steps / (performance.now() - started) * 1000);
      }
      // The first run records.
      const speed = spreadOf(speeds.slice(1)), step = spreadOf(speeds.slice(1).map((speed) => 1000 * n / speed));
      results[`decode${n}`] = speed.median;
      console.log(
        `decode of ${n} sequences from ${from}: ${spreadText(speed)} tok/s in all, ${spreadText(step)} ms a step`,
      );
    }
    for (const n of profiled) {
      results[`steps${n}`] = stepTable(`decode step of ${n} tokens at ${from}`, profileSteps(engine, batchOf(n), 20));
    }
    results["replies"] = await replies(engine, config.vocab, context, results[`decode${TOGETHER}`] as number);
    return results;
  } finally {
    await engine.close();
  }
}

/** Replies that are generated at once, how many there are, and tokens of the prompts and of the longest reply. */
const TOGETHER = 64, REPLIES = 320, PROMPT = 120, LONGEST = 260;

/**
 * Completes prompts whose replies have 60 to {@linkcode LONGEST} tokens, and compares with a batch that is always full.
 *
 * @param steady Tokens per second of such a batch.
 */
async function replies(engine: GpuEngine, vocab: number, context: number, steady: number) {
  const session = new Session(engine, { slots: TOGETHER, context, maxTokens: 512, vocab });
  const requests = Array.from({ length: REPLIES }, (_, index) => ({
    index,
    prompt: Int32Array.from({ length: PROMPT }, (_, i) => (i * 7919 + index * 104_729) % vocab),
  }));
  let started = 0, generated = 0, lengths = 0;
  const watch = () => {
    let left = 60 + (lengths++ * 7919) % (LONGEST - 60);
    return { push: () => --left === 0 };
  };
  const onDone = (completion: { readonly generatedTokens: number }) => void (generated += completion.generatedTokens);
  // Once for the recordings.
  for (const some of [requests.slice(0, TOGETHER), requests]) {
    started = performance.now();
    generated = lengths = 0;
    const prefix = new Int32Array(0);
    await completeAll({ session, requests: some, prefix, maxTokens: LONGEST, stopIds: new Set(), watch, onDone });
  }
  const speed = generated / (performance.now() - started) * 1000;
  console.log(
    `${REPLIES} replies, ${TOGETHER} at once, ${generated} tokens after prompts of ${PROMPT}: ${
      spreadText(spreadOf([speed]))
    } tok/s, ` +
      `${(speed / steady).toPrecision(2)} of the batch that is always full`,
  );
  return { speed, share: speed / steady };
}
