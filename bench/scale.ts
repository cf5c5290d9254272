/**
 * The arithmetic of docs/scale.md: what a rank of gpt-oss-120b holds, what goes over the wire for a token, and what a
 * decode step would take by the parts that were measured on one card. No model runs here.
 *
 *     deno run --allow-all bench/scale.ts
 */
import { mappedBytes } from "../src/backends/emulate/mapped_bytes.ts";
import { randomCheckpoint } from "../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../src/checkpoint/random/layouts.ts";
import { type ParallelSizes, shardSource } from "../src/checkpoint/shard.ts";
import { weightBytes } from "../src/checkpoint/weight_bytes.ts";
import { Costs } from "../src/model/work.ts";
import { planModel } from "../src/plan/planned.ts";

/**
 * A decode step of one sequence at 2,048 positions on one H100, 24 layers: ms, and of these what the bytes alone would
 * take. docs/measurements/h100.md has both, by `bench/gpu/kernels.ts decode`.
 */
const MEASURED = [
  { operation: "attention's", shared: "tp", ms: 0.367 + 0.037 + 0.198 + 0.255, bytes: 0.235 + 0.02 + 0.189 },
  { operation: "router", shared: "none", ms: 0.206, bytes: 0.001 },
  { operation: "experts", shared: "experts", ms: 0.508 + 0.353, bytes: 0.281 + 0.139 },
] as const;
const MEASURED_LAYERS = 24;
/** The output head of the same step, all of it bytes. */
const HEAD_MS = 0.374;
/** A sum between two H200 by NCCL, us: 13 % of a step at 542 tok/s (docs/measurements/ranks.md), over its sums. */
const SUM_US = 0.13 * 1e6 / 542 / (1 + 2 * MEASURED_LAYERS);

const checkpoint = randomCheckpoint({ shape: SHAPES["gpt-oss-120b"], layout: "hf_mxfp4" }), { config } = checkpoint;
const { source } = planModel(checkpoint, { dtype: "bf16", kvCacheDtype: "auto" });
const { layers, hidden, vocab, topK } = config;

const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1);
const name = ({ tp, ep }: ParallelSizes) => `tp ${tp}, ep ${ep}`;

/** Expected part of a token's experts that the busiest of some groups computes. */
function busiest(groups: number): number {
  let sum = 0;
  for (let chosen = 0; chosen < groups ** topK; chosen++) {
    const counts = new Array<number>(groups).fill(0);
    for (let k = 0, rest = chosen; k < topK; k++, rest = Math.floor(rest / groups)) counts[rest % groups]!++;
    sum += Math.max(...counts);
  }
  return sum / groups ** topK / topK;
}

/** A decode step without sums, ms. */
function stepMs({ tp, ep }: ParallelSizes, ofLayers: number): number {
  const part = { tp: 1 / tp, none: 1, experts: busiest(ep) / tp };
  const layer = MEASURED.reduce((sum, { shared, ms, bytes }) => sum + (ms - bytes) + bytes * part[shared], 0);
  return layer * ofLayers / MEASURED_LAYERS + HEAD_MS / tp;
}

/** Bytes that a rank receives for a token: float32 values of all others for each sum, then float32 logits. */
function wireBytes({ tp, ep }: ParallelSizes): { sums: number; logits: number } {
  const ofGroup = (tp - 1) * (1 + layers), ofAll = (tp * ep - 1) * layers;
  return { sums: 4 * hidden * (ofGroup + ofAll), logits: Math.round(4 * vocab * (tp - 1) / tp) };
}

const one: readonly ParallelSizes[] = [{ tp: 8, ep: 1 }, { tp: 4, ep: 2 }, { tp: 2, ep: 4 }, { tp: 1, ep: 8 }];
const two: readonly ParallelSizes[] = [{ tp: 16, ep: 1 }, { tp: 8, ep: 2 }, { tp: 4, ep: 4 }, { tp: 2, ep: 8 }];

console.log(`gpt-oss-120b, MXFP4 experts: ${gigabytes(weightBytes(source))} GB of weights\n`);
console.log(
  "| ranks | weights of the largest, GB | mapped by emulate, GB | cache of 131,072 positions, GB | 64 of 8,192, GB |",
);
console.log("| --- | --- | --- | --- | --- |");
for (const sizes of [{ tp: 1, ep: 1 }, ...one, ...two]) {
  const parts = Array.from({ length: sizes.tp * sizes.ep }, (_, rank) => shardSource(source, config, sizes, rank));
  const largest = Math.max(...parts.map(weightBytes)), mapped = Math.max(...parts.map((part) => mappedBytes([part])));
  const costs = new Costs({ ...config, kvHeads: Math.max(1, config.kvHeads / sizes.tp) }, source, "bf16");
  const caches = [costs.cacheBytes(1, 131_072, 1024), costs.cacheBytes(64, 8192, 1024)].map(gigabytes);
  console.log(`| ${name(sizes)} | ${gigabytes(largest)} | ${gigabytes(mapped)} | ${caches.join(" | ")} |`);
}

console.log(`\n| ranks | sums, kB a token | logits, kB | prefill of 1,024 tokens, GB |\n| --- | --- | --- | --- |`);
for (const sizes of [...one, ...two]) {
  const { sums, logits } = wireBytes(sizes);
  console.log(
    `| ${name(sizes)} | ${Math.round(sums / 1e3)} | ${Math.round(logits / 1e3)} | ${gigabytes(1024 * sums)} |`,
  );
}

const sums = 1 + 2 * layers, times = [SUM_US, 10, 20, 40];
console.log(`\nsums of a step: ${sums}; between two ranks one took ${SUM_US.toFixed(1)} us`);
const tp2 = stepMs({ tp: 1, ep: 1 }, 24) / stepMs({ tp: 2, ep: 1 }, 24);
console.log(`the model gives gpt-oss-20b at tp 2, without sums, ${tp2.toFixed(2)} x tp 1\n`);
console.log(
  `| ranks | step without sums, ms | tok/s where a sum takes ${times.map((us) => `${us.toFixed(0)} us`).join(" | ")} |`,
);
console.log(`| --- | --- | ${times.map(() => "---").join(" | ")} |`);
for (const sizes of [{ tp: 1, ep: 1 }, ...one, ...two]) {
  const step = stepMs(sizes, layers), alone = sizes.tp * sizes.ep === 1;
  const rates = times.map((us) => Math.round(1000 / (step + (alone ? 0 : sums * us / 1000))));
  console.log(`| ${name(sizes)} | ${step.toFixed(2)} | ${rates.join(" | ")} |`);
}
