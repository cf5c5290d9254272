/** From a checkpoint to another one in AMD Quark's layout: planned as a whole, then written file by file. */
import { Breath } from "../breath.ts";
import { sameInputFormat } from "../formats/input.ts";
import { copyWhole, syncDirectory, writeWhole } from "../checkpoint/atomic.ts";
import { type Checkpoint, openCheckpoint } from "../checkpoint/checkpoint.ts";
import { fileIn } from "../checkpoint/files.ts";
import { refuseChanged } from "../checkpoint/identity.ts";
import { readWrittenJson } from "../read.ts";
import { allLinears, type KvScales } from "../checkpoint/source.ts";
import { SafetensorsWriter, writtenBytes } from "../checkpoint/write_safetensors.ts";
import { FailureError, reason } from "../errors.ts";
import { planModel } from "../plan/planned.ts";
import { Codec } from "../conversion/codec.ts";
import { type Sources, TensorHashes } from "./hashes.ts";
import { type Job, jobsOf } from "./jobs.ts";
import type { Journal } from "./journal.ts";
import { conversionOf, quantizationConfig, writtenConfig } from "./write_quark_config.ts";
import { RangeReader } from "../conversion/range_reader.ts";
import type { Targets } from "./targets.ts";

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

/** How a run is watched. */
export interface Watch {
  /** Called with bytes written and bytes in all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Asked now and then: true stops the run, which can be continued later. */
  readonly stop?: () => boolean;
  /** Called with one line for each finished file that an interrupted run left and that has changed since. */
  readonly onWarning?: (line: string) => void;
}

/** What was written. */
export interface Written {
  readonly files: readonly string[];
  readonly bytes: number;
}

/** Files beside the weights that are copied as they are. */
const COMPANIONS = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
  "generation_config.json",
];
const CONFIG = "config.json", INDEX = "model.safetensors.index.json";
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
  const shards = cut(jobsOf(targets, checkpoint.source, kvScales), shardBytes);
  const nameOf = (shard: number) =>
    shards.length === 1
      ? "model.safetensors"
      : `model-${String(shard + 1).padStart(5, "0")}-of-${String(shards.length).padStart(5, "0")}.safetensors`;
  const tensorsOf = (shard: readonly Job[]) => shard.flatMap(({ tensors }) => tensors);
  const total = shards.flatMap(tensorsOf).reduce((sum, tensor) => sum + writtenBytes(tensor), 0);

  const encoded = allLinears(targets).filter(({ copied }) => !copied);
  const codec = await Codec.open(encoded.map(({ source }) => source.weight));
  using reader = new RangeReader(checkpoint.source.files, checkpoint.dir);
  const breath = new Breath();
  let done = 0;
  for (const [i, shard] of shards.entries()) {
    const tensors = tensorsOf(shard);
    if (journal.has(nameOf(i), tensors)) {
      done += tensors.reduce((sum, tensor) => sum + writtenBytes(tensor), 0);
      watch.onProgress?.(done, total);
      continue;
    }
    if (journal.recorded(nameOf(i))) {
      watch.onWarning?.(`${dir}/${nameOf(i)}: is not as it was written; it is made again`);
    }
    const hashes = new TensorHashes();
    using writer = SafetensorsWriter.create(`${dir}/${nameOf(i)}`, tensors, {
      force: true,
      metadata: { format: "pt" },
    });
    for (const job of shard) {
      job.run({ reader, codec }, (name, bytes) => {
        writer.append(name, bytes);
        hashes.add(name, bytes);
        watch.onProgress?.(done += bytes.byteLength, total);
      });
      if (!breath.due) continue;
      await breath.take();
      if (watch.stop?.()) return null;
    }
    sources.refuseChanged();
    writer.commit();
    syncDirectory(dir);
    journal.record(nameOf(i), hashes.digest());
  }
  const files = shards.map((_, i) => nameOf(i));
  if (shards.length > 1) {
    const weight_map = Object.fromEntries(
      shards.flatMap((shard, i) => tensorsOf(shard).map(({ name }) => [name, files[i]!])),
    );
    writeWhole(`${dir}/${INDEX}`, json({ metadata: { total_size: total }, weight_map }));
    files.push(INDEX);
  }
  files.push(...copyCompanions(checkpoint, dir));
  refuseChanged(checkpoint.identity);
  const stored = readWrittenJson(checkpoint.files.config, MAX_CONFIG_BYTES) as Record<string, unknown>;
  const quantization = quantizationConfig(targets, kvScales === null ? "as activations" : "fp8");
  writeWhole(`${dir}/${CONFIG}`, json(writtenConfig(stored, checkpoint.config, quantization, conversionOf(encoded))));
  files.push(CONFIG);
  verify(request, dir);
  journal.finish();
  return { files, bytes: total };
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Jobs in files; a file has at least one job, and its tensors' bytes stay within the size where that allows. */
function cut(jobs: readonly Job[], shardBytes: number): Job[][] {
  const shards: Job[][] = [[]];
  let bytes = 0;
  for (const job of jobs) {
    const own = job.tensors.reduce((sum, tensor) => sum + writtenBytes(tensor), 0);
    if (bytes > 0 && bytes + own > shardBytes) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(job);
    bytes += own;
  }
  return shards;
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
