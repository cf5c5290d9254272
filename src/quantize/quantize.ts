/** From a checkpoint to another one in AMD Quark's layout: planned as a whole, then written file by file. */
import { sameInputFormat } from "../formats/input.ts";
import { copyWhole, writeWhole } from "../checkpoint/atomic.ts";
import { type Checkpoint, openCheckpoint } from "../checkpoint/checkpoint.ts";
import { fileIn } from "../checkpoint/files.ts";
import { refuseChanged } from "../checkpoint/identity.ts";
import { readWrittenJson } from "../read.ts";
import { allLinears, type KvScales } from "../checkpoint/source.ts";
import { FailureError, reason } from "../errors.ts";
import { planModel } from "../plan/planned.ts";
import { Codec } from "../conversion/codec.ts";
import type { Sources } from "./hashes.ts";
import { jobsOf } from "./jobs.ts";
import type { Journal } from "./journal.ts";
import { conversionOf, quantizationConfig, writtenConfig } from "./write_quark_config.ts";
import { RangeReader } from "../conversion/range_reader.ts";
import type { Targets } from "./targets.ts";
import { jsonText, type ShardJob, type Watch, writeShards, type Written } from "./write_shards.ts";

/** What is to be written. */
export interface QuantizeRequest {
  readonly checkpoint: Checkpoint;
  /** Its weight files as they were when the run began. */
  readonly sources: Sources;
  readonly targets: Targets;
  /** Scales of an FP8 cache; null: the cache is not quantized. */
  readonly kvScales: readonly KvScales[] | null;
  /** Bytes of a weight file after which the next one is begun. */
  readonly shardBytes: number;
}

/** Files beside the weights that are copied as they are. */
const COMPANIONS = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
  "generation_config.json",
];
const CONFIG = "config.json";
const MAX_CONFIG_BYTES = 1 << 26;

/**
 * Writes the checkpoint; files that an interrupted run has completed are kept.
 *
 * @returns null if it was stopped early.
 * @throws {InputError} when the checkpoint holds numbers that cannot be quantized, or changed since it was opened.
 * @throws {FailureError} when the disk is full or fails.
 */
export async function quantize(request: QuantizeRequest, journal: Journal, watch: Watch = {}): Promise<Written | null> {
  const { checkpoint, sources, targets, kvScales, shardBytes } = request;
  const { dir } = journal;
  const encoded = allLinears(targets).filter(({ copied }) => !copied);
  const codec = await Codec.open(encoded.map(({ source }) => source.weight));
  using reader = new RangeReader(checkpoint.source.files, checkpoint.dir);
  const jobs = jobsOf(targets, checkpoint.source, kvScales).map(({ tensors, run }): ShardJob => ({
    tensors,
    *run(sink) {
      run({ reader, codec }, sink);
      yield;
    },
  }));
  const weights = await writeShards(jobs, shardBytes, { journal, sources, watch });
  if (weights === null) return null;
  const files = [...weights.files];
  files.push(...copyCompanions(checkpoint, dir));
  refuseChanged(checkpoint.identity);
  const stored = readWrittenJson(checkpoint.files.config, MAX_CONFIG_BYTES) as Record<string, unknown>;
  const quantization = quantizationConfig(targets, kvScales === null ? "as activations" : "fp8");
  const converted = writtenConfig(stored, checkpoint.config, quantization, conversionOf(encoded));
  writeWhole(`${dir}/${CONFIG}`, jsonText(converted));
  files.push(CONFIG);
  verify(request, dir);
  journal.finish();
  return { files, bytes: weights.bytes };
}

/** The tokenizer and what belongs to it, from beside the weights or from the directory above them. */
function copyCompanions({ files, dir }: Checkpoint, to: string): string[] {
  const weightsDir = files.config.slice(0, -CONFIG.length - 1);
  return COMPANIONS.filter((name) => {
    const found = fileIn(weightsDir, name) ?? (weightsDir === dir ? null : fileIn(dir, name));
    if (found !== null) copyWhole(found, `${to}/${name}`);
    return found !== null;
  });
}

/**
 * Reads the new checkpoint back: a reader must understand just what was asked for. Otherwise its config.json is removed
 * again.
 */
function verify({ targets, kvScales }: QuantizeRequest, dir: string): void {
  try {
    const written = openCheckpoint(dir, { checkScales: false });
    const { plan } = planModel(written, { dtype: "bf16", kvCacheDtype: "auto" });
    const got = new Map(plan.linears.map((linear) => [linear.module, linear]));
    const wrong = allLinears(targets).find(({ module, weight, weightScale, input }) => {
      const linear = got.get(module);
      return linear?.weight !== weight || linear.weightScale !== weightScale || !sameInputFormat(linear.input, input);
    });
    if (wrong) throw new FailureError(`${wrong.module} has other formats`);
    if (plan.warnings.length > 0) throw new FailureError(plan.warnings[0]!);
    if ((plan.kvFormat === "fp8") !== (kvScales !== null)) throw new FailureError(`the KV cache is ${plan.kvFormat}`);
  } catch (thrown) {
    Deno.removeSync(`${dir}/${CONFIG}`);
    throw new FailureError(`${dir}: reads back as another model: ${reason(thrown)}`);
  }
}
