/** A checkpoint of random weights that is nowhere on disk: its bytes are made where they are read. */
import { createHash } from "node:crypto";
import { readConfig } from "../config.ts";
import type { Checkpoint } from "../checkpoint.ts";
import type { StoredTensor } from "../files.ts";
import { quarkSaid } from "../layouts/quark_said.ts";
import { readLayout } from "../layouts/read.ts";
import { TensorSet } from "../tensor_set.ts";
import { randomConfig } from "./config.ts";
import { randomContents, randomFileBytes } from "./contents.ts";
import { type Layout, type QuarkOptions, randomTensors, type Shape } from "./layouts.ts";

/** What messages call the file. */
const PATH = "random weights";
/** Where every run starts: equal shapes have equal weights. */
const SEED = 1;

/** What to make; OpenAI's own layout holds the same weights as `hf_mxfp4`. */
export interface RandomModel {
  readonly shape: Shape;
  readonly layout: Exclude<Layout, "original">;
  readonly quark?: QuarkOptions;
}

/** A checkpoint of random weights. */
export function randomCheckpoint({ shape, layout, quark = {} }: RandomModel): Checkpoint {
  const stored = randomTensors(shape, layout, quark), random = randomContents(stored, SEED);
  const json = randomConfig(shape, layout, quark), bytes = randomFileBytes(random);
  const { model: config, quantization } = readConfig({ path: PATH, json }, null);
  const tensors = new Map(stored.map(({ name, dtype, shape }, i): [string, StoredTensor] => {
    const { offset, bytes } = random.tensors[i]!;
    return [name, { name, dtype, shape, offset, bytes, file: 0 }];
  }));
  const identity = { path: PATH, device: 0, inode: null, bytes, modified: null, changed: null };
  const file = { path: PATH, bytes, random, dataStart: 0, tensors, metadata: new Map<string, string>(), identity };
  const set = new TensorSet({ files: [file], tensors }, PATH);
  const hash = createHash("sha256").update(JSON.stringify({ json, random })).digest("hex");
  const tree = readLayout(layout, set, config, quarkSaid(quantization, PATH));
  return {
    dir: PATH,
    files: { config: PATH, generationConfig: null, tokenizer: null, tokenizerConfig: null, chatTemplate: null },
    config,
    quantization,
    conversions: [],
    layout,
    source: { files: [{ path: PATH, bytes, random }], ...tree },
    warnings: [],
    // What the weights are follows from these.
    fingerprint: () => Promise.resolve(hash),
    weightsSha256: () => hash,
    scalesChecked: () => Promise.resolve(),
    hashBeside: () => Promise.resolve(),
    identity: [],
  };
}
