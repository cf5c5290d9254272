/**
 * Kernels with matrix instructions are used only after their results agreed with the generic kernels' on this device:
 * register layouts differ between architectures, and a wrong one still gives fluent text. Takes some milliseconds at
 * start-up.
 */
import { LAYER_LINEARS, linearsNamed } from "../../checkpoint/source.ts";
import { operationWith } from "../../model/operations.ts";
import { NUMBER_FORMAT } from "../../../kernels/abi/types.ts";
import type { CacheShape } from "./abi.ts";
import { ATTENTION_BATCH, batchKnows } from "./attention.ts";
import type { Calls } from "./calls.ts";
import { mlpEntry, mlpRanksEntry } from "./expert_mlp.ts";
import { giveEntry, scaledEntry } from "./products.ts";
import { Bench, HEAD_DIM } from "./self_test_bench.ts";
import { cachesOfAllFormats, linearsOfAllFormats, linearsOfCodes } from "./self_test_formats.ts";
import type { GpuLinear, GpuTree } from "./tensors.ts";

/** What a kernel with matrix instructions gave, beside the generic one. */
export interface Judgement {
  readonly entry: string;
  /** The format that it was tested with, where its name does not say: "kv fp8". */
  readonly variant: string;
  /** Normalized mean square error; NaN where a number is none. */
  readonly nmse: number;
  /** What is tolerated of it. */
  readonly limit: number;
  readonly agrees: boolean;
}

/** Which matrix kernels may be used. */
export interface SelfTest {
  readonly accepted: ReadonlySet<string>;
  /** Entry points whose results differed from the generic ones'. */
  readonly rejected: readonly string[];
}

/** What is known of a device from an earlier run. */
export interface KnownKernels {
  /** Whether the kernel agreed. */
  has(entry: string, variant: string): boolean;
  add(entry: string, variant: string): void;
}

/**
 * Tolerated sum of squared differences, in parts of the sum of squares: what another order of sums, and another
 * exponential, may change.
 */
const MAX_NMSE = { gemm: 1e-8, attention: 1e-6 } as const;

/** Tokens of a block of the kernels for batches. */
const BATCH_SIZES = [8, 16, 32, 64] as const;

/** Which formats are tested. */
interface Tested {
  /** One linear of each format that dense linears have, and that experts have. */
  readonly dense: Iterable<GpuLinear>;
  readonly expert: Iterable<GpuLinear>;
  /** Experts' linears whose input scaled instructions might take. */
  readonly scaled: Iterable<GpuLinear>;
  readonly caches: readonly CacheShape[];
}

/**
 * Tests the matrix kernels that a model's weights would use.
 *
 * @param known What needs no test; what agrees is added. Nothing is loaded for what is known.
 */
export function matrixKernels(
  calls: Calls,
  weights: GpuTree,
  cache: CacheShape | undefined,
  known: KnownKernels | null = null,
): SelfTest {
  const dense = new Map<string, GpuLinear>(), expert = new Map<string, GpuLinear>();
  dense.set(weights.head.suffix, weights.head);
  for (const name of LAYER_LINEARS) {
    const kind = operationWith(name).rows === "slot" ? expert : dense;
    for (const layer of weights.layers) {
      // A layer's experts are alike.
      const [l] = linearsNamed(layer, name);
      if (l !== undefined) kind.set(l.suffix, l);
    }
  }
  const scaled = new Map(
    weights.layers.flatMap(({ gateUp, down }) => [gateUp[0], down[0]])
      .filter((l) => l !== undefined && scaledEntry(l) !== null).map((l) => [scaledEntry(l!), l!]),
  ).values();
  const tested = { dense: dense.values(), expert: expert.values(), scaled, caches: cache ? [cache] : [] };
  const accepted = new Set<string>(), rejected: string[] = [];
  for (const { entry, agrees } of judgements(calls, tested, known)) {
    if (agrees) accepted.add(entry);
    else rejected.push(entry);
  }
  return { accepted, rejected };
}

/** Tests the matrix kernels of all formats, one after the other. */
export function* allMatrixKernels(calls: Calls): Generator<Judgement> {
  const linears = linearsOfAllFormats(), caches = cachesOfAllFormats(HEAD_DIM);
  yield* judgements(calls, { dense: linears, expert: linears, scaled: linearsOfCodes(), caches }, null);
}

function* judgements(calls: Calls, tested: Tested, known: KnownKernels | null): Generator<Judgement> {
  const denses = [...tested.dense], experts = [...tested.expert];
  using judge = new Judge(calls, known);
  yield* gemmJudgements(judge, denses, experts);
  yield* batchJudgements(judge, denses, experts);
  yield* expertJudgements(judge, experts);
  for (const like of tested.scaled) yield* judge.product(scaledEntry(like)!, like, (bench) => bench.scaledGemm(like));
  for (const cache of tested.caches) yield* attentionJudgements(judge, cache);
}

/** Measures kernels on one bench, which is set up when the first one is measured. */
class Judge implements Disposable {
  readonly #calls: Calls;
  readonly #known: KnownKernels | null;
  #bench: Bench | null = null;

  constructor(calls: Calls, known: KnownKernels | null) {
    this.#calls = calls;
    this.#known = known;
  }

  /** The judgement on a kernel, if the device has it. */
  of(entry: string, variant: string, limit: number, measure: (bench: Bench) => number): Judgement[] {
    if (!this.#calls.kernels.has(entry)) return [];
    if (this.#known?.has(entry, variant)) return [{ entry, variant, nmse: 0, limit, agrees: true }];
    const nmse = measure(this.#bench ??= new Bench(this.#calls));
    // Not `> limit`, which NaN would pass.
    const agrees = nmse <= limit;
    if (agrees) this.#known?.add(entry, variant);
    return [{ entry, variant, nmse, limit, agrees }];
  }

  /** The same of a kernel that multiplies with weights of a format. */
  product(entry: string, { format }: GpuLinear, measure: (bench: Bench) => number): Judgement[] {
    return this.of(entry, format, MAX_NMSE.gemm, measure);
  }

  [Symbol.dispose](): void {
    this.#bench?.[Symbol.dispose]();
  }
}

/** Kernels for prompts. */
function* gemmJudgements(
  judge: Judge,
  denses: readonly GpuLinear[],
  experts: readonly GpuLinear[],
): Generator<Judgement> {
  for (const kind of ["mma", "wgmma"]) {
    for (const like of denses) {
      const entry = `gemm_${like.suffix}_${kind}`;
      yield* judge.product(entry, like, (bench) => bench.gemm(like, entry));
    }
    for (const like of experts) {
      const entry = `expert_gemm_${like.suffix}_${kind}`;
      yield* judge.product(entry, like, (bench) => bench.expertGemm(like, entry));
    }
  }
  for (const like of denses) {
    const matrix = `gemm_${like.suffix}_wgmma`, entry = giveEntry(matrix);
    yield* judge.product(entry, like, (bench) => bench.give(like, matrix));
  }
}

/** Kernels for a few tokens of many sequences. */
function* batchJudgements(
  judge: Judge,
  denses: readonly GpuLinear[],
  experts: readonly GpuLinear[],
): Generator<Judgement> {
  for (const size of BATCH_SIZES) {
    for (const like of denses) {
      for (const entry of [`batch_${like.suffix}_x${size}`, `batch_${like.suffix}_x${size}_rows`]) {
        yield* judge.product(entry, like, (bench) => bench.batch(like, entry));
      }
    }
    for (const like of experts) {
      const entry = `expert_batch_${like.suffix}_x${size}`;
      yield* judge.product(entry, like, (bench) => bench.expertGemm(like, entry));
    }
  }
}

/** Kernels that do more than one step of the experts. */
function* expertJudgements(judge: Judge, experts: readonly GpuLinear[]): Generator<Judgement> {
  for (const like of experts) {
    for (const kind of ["mma", "one"] as const) {
      const up = `expert_up_${like.suffix}_${kind}`, down = `expert_down_combine_${like.suffix}_${kind}`;
      yield* judge.product(up, like, (bench) => bench.expertUp(like, kind));
      yield* judge.product(down, like, (bench) => bench.expertDownCombine(like, kind));
    }
  }
  for (const like of experts) {
    yield* judge.product(mlpEntry(like.suffix), like, (bench) => bench.expertMlp(like, null));
    yield* judge.product(mlpRanksEntry(like.suffix), like, (bench) => bench.expertMlp(like, "none"));
  }
}

function* attentionJudgements(judge: Judge, cache: CacheShape): Generator<Judgement> {
  const variant = `kv ${cache.format === NUMBER_FORMAT.bf16 ? "bf16" : "fp8"}`, limit = MAX_NMSE.attention;
  // No matrix kernel reads a float32 cache.
  if (cache.headDim === HEAD_DIM && cache.format !== NUMBER_FORMAT.f32) {
    yield* judge.of("attention_tile_mma", variant, limit, (bench) => bench.attention(cache));
  }
  if (batchKnows({ ...cache, heads: 1, kvHeads: 1 })) {
    yield* judge.of(ATTENTION_BATCH, variant, limit, (bench) => bench.batchAttention(cache));
  }
}
