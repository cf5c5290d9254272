/** Weight files of a new checkpoint, written one after the other: each is whole or not there. */
import { Breath } from "../breath.ts";
import { syncDirectory, writeWhole } from "../checkpoint/atomic.ts";
import { SafetensorsWriter, writtenBytes, type WrittenTensor } from "../checkpoint/write_safetensors.ts";
import { type Sources, TensorHashes } from "./hashes.ts";
import type { Journal } from "./journal.ts";

/** Takes the data of a tensor, piece by piece in order; a piece may be overwritten after the call. */
export type Sink = (name: string, bytes: ArrayBufferView) => void;

/** Tensors that are made together, with a pause after each piece. */
export interface ShardJob {
  readonly tensors: readonly WrittenTensor[];
  readonly run: (sink: Sink) => Generator<undefined, void>;
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

const INDEX = "model.safetensors.index.json";

/**
 * Writes the files, and the index where there are several; those that an interrupted run has completed are kept.
 *
 * @param shardBytes Bytes of a weight file after which the next one is begun.
 * @returns null if it was stopped early.
 * @throws {InputError} when a source has changed since the run began, or as the jobs.
 * @throws {FailureError} when the disk is full or fails.
 */
export async function writeShards(
  jobs: readonly ShardJob[],
  shardBytes: number,
  { journal, sources, watch }: { readonly journal: Journal; readonly sources: Sources; readonly watch: Watch },
): Promise<Written | null> {
  const { dir } = journal, shards = cut(jobs, shardBytes);
  const nameOf = (shard: number) =>
    shards.length === 1
      ? "model.safetensors"
      : `model-${String(shard + 1).padStart(5, "0")}-of-${String(shards.length).padStart(5, "0")}.safetensors`;
  const tensorsOf = (shard: readonly ShardJob[]) => shard.flatMap(({ tensors }) => tensors);
  const total = shards.flatMap(tensorsOf).reduce((sum, tensor) => sum + writtenBytes(tensor), 0);
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
    const sink: Sink = (name, bytes) => {
      writer.append(name, bytes);
      hashes.add(name, bytes);
      watch.onProgress?.(done += bytes.byteLength, total);
    };
    for (const job of shard) {
      for (const _ of job.run(sink)) {
        if (!breath.due) continue;
        await breath.take();
        if (watch.stop?.()) return null;
      }
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
    writeWhole(`${dir}/${INDEX}`, jsonText({ metadata: { total_size: total }, weight_map }));
    files.push(INDEX);
  }
  return { files, bytes: total };
}

/** Text of a JSON file as Hugging Face's tools write it. */
export const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Jobs in files; a file has at least one job, and its tensors' bytes stay within the size where that allows. */
function cut(jobs: readonly ShardJob[], shardBytes: number): ShardJob[][] {
  const shards: ShardJob[][] = [[]];
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
