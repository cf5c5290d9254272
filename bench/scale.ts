/**
 * The arithmetic of docs/scale.md: what a rank of gpt-oss-120b holds, what goes over the wire for a token, and what a
 * decode step would take by the parts that were measured on one card. No model runs here.
 *
 *     deno run --allow-all bench/scale.ts
 */
import { mappedBytes } from "../src/backends/emulate/mapped_bytes.ts";
import { randomCheckpoint } from "../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../src/checkpoint/random/layouts.ts";
import { groupSizes, type ParallelSizes, shardSource } from "../src/checkpoint/shard.ts";
import { weightBytes } from "../src/checkpoint/weight_bytes.ts";
import { Costs } from "../src/model/work.ts";
import { planModel } from "../src/plan/planned.ts";
import { Random } from "../src/session/random.ts";

/**
 * A decode step of gpt-oss-20b's shape on one H100 without sums, ms, by what its parts have in common: `bytes` shrink
 * with the ranks that share them. Of one sequence at 2,048 positions these are what docs/measurements/h100.md has as
 * limits (`bench/gpu/kernels.ts decode`); of 16 at 512 the experts that four of 32 for each of 16 tokens touch, and the
 * part of the rest that shrank from tp 1 to tp 4. What is left of the whole step (docs/measurements/ranks.md) does not
 * shrink: launches, and the start of each kernel.
 */
const ONE = { step: 1000 / 428, attention: 0.235 + 0.02 + 0.189, experts: 0.281 + 0.139, head: 0.374 } as const;
const TOP_K = 4;
/** Part of the experts that a number of tokens touches, of which each chooses four at random. */
const touched = (experts: number, tokens: number) => 1 - (1 - TOP_K / experts) ** tokens;
const SIXTEEN_EXPERTS = ONE.experts / TOP_K * 32 * touched(32, 16);
const SIXTEEN = {
  step: 16_000 / 2362,
  // 16 sequences at tp 1 and tp 4 without sums.
  attention: (16_000 / 2362 - 16_000 / 4999) / 0.75 - SIXTEEN_EXPERTS - ONE.head,
  experts: SIXTEEN_EXPERTS,
  head: ONE.head,
} as const;
type Step = typeof ONE | typeof SIXTEEN;
const MEASURED_LAYERS = 24;
/** What was measured of ranks without sums, tok/s of all sequences: docs/measurements/ranks.md, four H100. */
const OF_20B = [
  [{ tp: 2, ep: 1 }, 580, 3537],
  [{ tp: 4, ep: 1 }, 695, 4999],
  [{ tp: 1, ep: 4 }, 723, 4863],
  [{ tp: 2, ep: 2 }, 701, 5020],
] as const;
/** The same of gpt-oss-120b's shape at tp 4, which made 414 and 2,281 tok/s with sums. */
const OF_120B = { sizes: { tp: 4, ep: 1 }, one: 412, sixteen: 2593 } as const;
/**
 * A sum, us, by ranks: from memory to memory one by itself, as among the work of a step it hides behind what it spares;
 * by NCCL the time of a step with sums less that without, over its 49. Those of 8 ranks are the line through 2 and 4.
 */
const in20b = (with_: number, without: number) => 1e6 * (1 / with_ - 1 / without) / 49;
const SUMS = {
  memory: [3.0, 4.1],
  nccl: [in20b(499, 580), in20b(541, 695)],
} as const;
const ofEight = ([two, four]: readonly [number, number]) => four + 2 * (four - two);

const checkpoint = randomCheckpoint({ shape: SHAPES["gpt-oss-120b"], layout: "hf_mxfp4" }), { config } = checkpoint;
const { source } = planModel(checkpoint, { dtype: "bf16", kvCacheDtype: "auto" });
const { layers, hidden, vocab } = config;

const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1);
const name = ({ tp, ep }: ParallelSizes) => `tp ${tp}, ep ${ep}`;

/** Part of the touched experts that lie with the group which has most of them, on average of many draws. */
function busiest(groups: number, experts: number, tokens: number): number {
  if (groups === 1) return 1;
  const random = new Random(1n);
  let most = 0, all = 0;
  for (let draw = 0; draw < 2000; draw++) {
    const chosen = new Set<number>();
    for (let token = 0; token < tokens; token++) {
      const own = new Set<number>();
      while (own.size < TOP_K) own.add(random.word() % experts);
      own.forEach((expert) => chosen.add(expert));
    }
    const counts = new Array<number>(groups).fill(0);
    for (const expert of chosen) counts[Math.floor(expert * groups / experts)]!++;
    most += Math.max(...counts);
    all += chosen.size;
  }
  return most / all;
}

/** A decode step of some tokens without sums, ms, of a model with so many layers and experts. */
function stepMs(step: Step, { tp, ep }: ParallelSizes, ofLayers: number, experts: number, tokens: number): number {
  // Columns come in blocks of 32, of which 90 are not shared out evenly.
  const ofColumns = Math.ceil(90 / tp) / 90, fixed = step.step - step.attention - step.experts - step.head;
  const bytes = step.experts * (experts * touched(experts, tokens)) / (32 * touched(32, tokens));
  const shared = groupSizes(config, { tp, ep }).tp;
  const layer = fixed + step.attention / shared + bytes * busiest(ep, experts, tokens) * ofColumns;
  return layer * ofLayers / MEASURED_LAYERS + step.head / shared;
}

/** What gpt-oss-120b's layers took beyond that at tp 4, ms a step: 128 experts to choose from, among more memory. */
const more = {
  one: 1000 / OF_120B.one - stepMs(ONE, OF_120B.sizes, layers, 128, 1),
  sixteen: 16_000 / OF_120B.sixteen - stepMs(SIXTEEN, OF_120B.sizes, layers, 128, 16),
};
const step120 = (sizes: ParallelSizes) => stepMs(ONE, sizes, layers, 128, 1) + more.one;
const sixteen120 = (sizes: ParallelSizes) => stepMs(SIXTEEN, sizes, layers, 128, 16) + more.sixteen;

/**
 * Bytes that a rank receives for a token: of all others four for each value of a sum, in float32 or in bf16 with its
 * mark, of a prompt's token on one host two; then float32 logits.
 */
function wireBytes({ tp, ep }: ParallelSizes): { sums: number; prompt: number; logits: number } {
  const ranks = tp * ep, values = (ranks - 1) * (1 + 2 * layers) * hidden;
  return {
    sums: 4 * values,
    prompt: (ranks > 8 ? 4 : 2) * values,
    logits: Math.round(4 * vocab * (ranks - 1) / ranks),
  };
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
  const costs = new Costs(
    { ...config, kvHeads: Math.max(1, config.kvHeads / groupSizes(config, sizes).tp) },
    source,
    "bf16",
  );
  const caches = [costs.cacheBytes(1, 131_072, 1024), costs.cacheBytes(64, 8192, 1024)].map(gigabytes);
  console.log(`| ${name(sizes)} | ${gigabytes(largest)} | ${gigabytes(mapped)} | ${caches.join(" | ")} |`);
}

console.log(`\n| ranks | sums, kB a token | logits, kB | prefill of 1,024 tokens, GB |\n| --- | --- | --- | --- |`);
for (const sizes of [...one, ...two]) {
  const { sums, prompt, logits } = wireBytes(sizes);
  console.log(
    `| ${name(sizes)} | ${Math.round(sums / 1e3)} | ${Math.round(logits / 1e3)} | ${gigabytes(1024 * prompt)} |`,
  );
}

const sums = 1 + 2 * layers, percent = (model: number, measured: number) => Math.round(100 * (model / measured - 1));
console.log(`\ngpt-oss-20b without sums, the model against what was measured, tok/s of 1 sequence and of 16\n`);
console.log(`| ranks | 1 sequence | measured | 16 | measured |\n| --- | --- | --- | --- | --- |`);
for (const [sizes, one, sixteen] of OF_20B) {
  const steps = [stepMs(ONE, sizes, MEASURED_LAYERS, 32, 1), stepMs(SIXTEEN, sizes, MEASURED_LAYERS, 32, 16)];
  const rates = [1000 / steps[0]!, 16_000 / steps[1]!];
  const cells = [one, sixteen].map((measured, i) =>
    `${Math.round(rates[i]!)} (${percent(rates[i]!, measured)} %) | ${measured}`
  );
  console.log(`| ${name(sizes)} | ${cells.join(" | ")} |`);
}
console.log(
  `\ngpt-oss-120b at tp 4 took ${
    more.one.toFixed(2)
  } ms more for a step of one sequence than 36 layers of 20b's, and ` +
    `${more.sixteen.toFixed(2)} for 16`,
);
const [memory, nccl] = [SUMS.memory, SUMS.nccl].map((each) => [...each, ofEight(each)].map((us) => us.toFixed(1)));
console.log(`sums of a step: ${sums}; one takes, over 2, 4 and, by a line through them, 8 ranks, us:`);
console.log(`${memory!.join(", ")} from memory to memory, ${nccl!.join(", ")} by NCCL\n`);
const times = [ofEight(SUMS.memory), ofEight(SUMS.nccl), 20, 40];
const head = times.map((us, i) => (i === 0 ? "a sum takes " : "") + `${us.toFixed(1)} us`).join(" | ");
console.log(
  `| ranks | step without sums, ms | tok/s: ${head} | step of 16, ms | tok/s of 16: ${(2 * times[0]!).toFixed(0)} us |`,
);
console.log(`| --- | --- | ${times.map(() => "---").join(" | ")} | --- | --- |`);
for (const sizes of [{ tp: 1, ep: 1 }, { tp: 4, ep: 1 }, ...one, ...two]) {
  const step = step120(sizes), sixteen = sixteen120(sizes), alone = sizes.tp * sizes.ep === 1;
  const rate = (tokens: number, ms: number, us: number) =>
    Math.round(1000 * tokens / (ms + (alone ? 0 : sums * us / 1e3)));
  const rates = times.map((us) => rate(1, step, us)).join(" | ");
  // A sum of 16 tokens took 1.6 to 2.4 times that of one.
  const of16 = rate(16, sixteen, 2 * times[0]!);
  console.log(`| ${name(sizes)} | ${step.toFixed(2)} | ${rates} | ${sixteen.toFixed(2)} | ${of16} |`);
}
