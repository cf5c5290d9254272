/**
 * Writes a checkpoint of random weights in any layout that the program reads, of any size, in bounded memory:
 *
 *     deno run -A tools/random_checkpoint.ts --shape gpt-oss-20b --layers 24 --out DIR
 *         [--layout hf_mxfp4|hf_bf16|original|quark]
 *
 * `--small` stands for `--shape tiny`; `--layers`, `--hidden`, `--intermediate`, `--experts`, `--top-k`, `--heads`,
 * `--kv-heads`, `--head-dim`, `--vocab` and `--window` change a shape. Layout quark: `--weights` and `--attention`
 * bf16|mxfp4|mxfp6_e3m2|mxfp6_e2m3|fp8|fp8_channel, `--experts-as` each|fused|blocks, `--input-scales`, `--kv-scales`
 * output_scale|legacy. `--shard-bytes N` (5e9) and `--seed N` (1).
 *
 * Numbers are sane, so that a forward pass stays finite: weights of 2^-8 to 2^-4, norms of 1, small biases. They come
 * from one pool of random numbers per kind, read from a random place for each piece: tensors differ, but the pool's
 * numbers come again. No tokenizer is written.
 */
import { parseArgs } from "node:util";
import { withFloats } from "../src/quantize/write_quark_config.ts";
import { SafetensorsWriter, writtenBytes } from "../src/checkpoint/write_safetensors.ts";
import { randomConfig } from "../src/checkpoint/random/config.ts";
import { Pools } from "../src/checkpoint/random/pools.ts";
import {
  FORMATS,
  type Layout,
  LAYOUTS,
  type QuarkOptions,
  type RandomTensor,
  randomTensors,
  type Shape,
  SHAPES,
} from "../src/checkpoint/random/layouts.ts";

/** What to write. */
export interface RandomCheckpoint {
  readonly shape: Shape;
  readonly layout: Layout;
  readonly quark?: QuarkOptions;
  /** Bytes of a file after which the next one is begun. */
  readonly shardBytes?: number;
  readonly seed?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Writes a checkpoint into a directory, which is made if it is not there.
 *
 * @returns Bytes of all tensors.
 */
export function writeRandomCheckpoint(dir: string, options: RandomCheckpoint): number {
  const { shape, layout, quark = {}, shardBytes = 5e9, seed = 1 } = options;
  const shards = cut(randomTensors(shape, layout, quark), shardBytes);
  const total = shards.flat().reduce((sum, tensor) => sum + writtenBytes(tensor), 0);
  const pools = new Pools(seed, Math.max(1 << 16, Math.min(1 << 24, 2 ** Math.ceil(Math.log2(total)))));
  Deno.mkdirSync(dir, { recursive: true });
  // OpenAI's own sharded files have no index and a name of their own.
  const prefix = layout === "original" ? "model--" : "model-";
  const nameOf = (shard: number) =>
    shards.length === 1
      ? "model.safetensors"
      : `${prefix}${String(shard + 1).padStart(5, "0")}-of-${String(shards.length).padStart(5, "0")}.safetensors`;
  let done = 0;
  for (const [i, shard] of shards.entries()) {
    using writer = SafetensorsWriter.create(`${dir}/${nameOf(i)}`, shard, { force: true, metadata: { format: "pt" } });
    for (const tensor of shard) {
      for (const piece of pools.fill(tensor.fill, tensor.dtype, writtenBytes(tensor))) {
        writer.append(tensor.name, piece);
        options.onProgress?.(done += piece.length, total);
      }
    }
    writer.commit();
  }
  if (shards.length > 1 && layout !== "original") {
    const weight_map = Object.fromEntries(shards.flatMap((shard, i) => shard.map(({ name }) => [name, nameOf(i)])));
    writeJson(`${dir}/model.safetensors.index.json`, { metadata: { total_size: total }, weight_map });
  }
  writeJson(`${dir}/config.json`, withFloats(randomConfig(shape, layout, quark)));
  return total;
}

const writeJson = (path: string, value: unknown) => Deno.writeTextFileSync(path, `${JSON.stringify(value, null, 2)}\n`);

function cut(tensors: readonly RandomTensor[], shardBytes: number): RandomTensor[][] {
  const shards: RandomTensor[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    if (bytes > 0 && bytes + writtenBytes(tensor) > shardBytes) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(tensor);
    bytes += writtenBytes(tensor);
  }
  return shards;
}

/** Options that change a shape, by name. */
const SIZES = {
  ...{ layers: "layers", hidden: "hidden", intermediate: "intermediate", experts: "experts", "top-k": "topK" },
  ...{ heads: "heads", "kv-heads": "kvHeads", "head-dim": "headDim", vocab: "vocab", window: "window" },
} as const satisfies Record<string, keyof Shape>;

class UsageError extends Error {}

function main(args: string[]): void {
  const text = (name: string) => [name, { type: "string" }] as const;
  const names = ["shape", "out", "layout", "weights", "attention", "experts-as", "kv-scales", "shard-bytes", "seed"];
  const { values } = parseArgs({
    args,
    options: {
      ...Object.fromEntries([...names, ...Object.keys(SIZES)].map(text)),
      small: { type: "boolean" },
      "input-scales": { type: "boolean" },
    },
  });
  const given = values as Record<string, string | undefined>;
  const choice = <T extends string>(name: string, choices: readonly T[]): T | undefined => {
    const value = given[name];
    if (value === undefined || (choices as readonly string[]).includes(value)) return value as T | undefined;
    throw new UsageError(`--${name}: expected ${choices.join(", ")}, got ${value}`);
  };
  const integer = (name: string): number | undefined => {
    if (given[name] === undefined) return undefined;
    const value = Number(given[name]);
    if (Number.isSafeInteger(value) && value > 0) return value;
    throw new UsageError(`--${name}: expected a positive integer, got ${given[name]}`);
  };
  const out = given["out"];
  if (out === undefined) throw new UsageError("--out: required");
  const shape: Record<keyof Shape, number> = {
    ...SHAPES[values["small"] ? "tiny" : choice("shape", Object.keys(SHAPES) as (keyof typeof SHAPES)[]) ?? "tiny"],
  };
  for (const [option, key] of Object.entries(SIZES)) shape[key] = integer(option) ?? shape[key];
  for (const key of ["hidden", "intermediate"] as const) {
    if (shape[key] % 32 !== 0) throw new UsageError(`--${key}: expected a multiple of 32, got ${shape[key]}`);
  }
  const weights = choice("weights", FORMATS), attention = choice("attention", FORMATS);
  const experts = choice("experts-as", ["each", "fused", "blocks"]),
    kvScales = choice("kv-scales", ["output_scale", "legacy"]);
  const started = performance.now();
  const bytes = writeRandomCheckpoint(out, {
    shape,
    layout: choice("layout", LAYOUTS) ?? "hf_mxfp4",
    quark: {
      ...(weights ? { weights } : {}),
      ...(attention ? { attention } : {}),
      ...(experts ? { experts } : {}),
      ...(kvScales ? { kvScales } : {}),
      inputScales: Boolean(values["input-scales"]),
    },
    shardBytes: integer("shard-bytes") ?? 5e9,
    seed: integer("seed") ?? 1,
  });
  const seconds = (performance.now() - started) / 1000;
  console.error(`${out}: ${bytes} bytes in ${seconds.toFixed(1)} s, ${(bytes / 1e6 / seconds).toFixed(0)} MB/s`);
}

if (import.meta.main) {
  try {
    main(Deno.args);
  } catch (thrown) {
    // Mistakes in the arguments: parseArgs throws TypeErrors.
    if (!(thrown instanceof UsageError || thrown instanceof TypeError)) throw thrown;
    console.error(`error: ${thrown.message}`);
    Deno.exit(2);
  }
}
