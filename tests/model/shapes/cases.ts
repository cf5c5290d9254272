/**
 * Random tiny models of every odd shape, and the logits that transformers computes of them
 * (tests/goldens/shapes/make_shapes.py).
 */
import { type Checkpoint, openCheckpoint } from "../../../src/checkpoint/checkpoint.ts";
import type { Session } from "../../../src/session/session.ts";
import { container, type TemporaryDirectory } from "../../checkpoint/container.ts";
import { asset } from "../../../src/assets.ts";
import { floats, readGolden } from "../../golden.ts";
import { DTYPES, randomWeights, type Sizes, type StoredDtype } from "./random_weights.ts";

/** float32 against float64, in which transformers too has float32 angles and norms. */
export const MAX_NMSE = 1e-10;

type Json = Readonly<Record<string, unknown>>;

interface File {
  readonly common: Json;
  readonly cases: readonly { config: Sizes & Json; seed: number; ids: number[]; rows: number[] }[];
  readonly refused: readonly RefusedShape[];
}

/** A config that transformers cannot compute either. */
export interface RefusedShape {
  readonly what: string;
  readonly config: Sizes & Json;
  /** The key that a refusal names. */
  readonly key: string;
  /** What transformers says. */
  readonly transformers: string;
}

/** A model, some tokens, and its logits. */
export interface ShapeCase {
  readonly index: number;
  readonly config: Sizes & Json;
  readonly seed: number;
  readonly ids: readonly number[];
  /** Positions whose logits are stored. */
  readonly rows: readonly number[];
  /** float32 [rows, vocab], computed in float64. */
  readonly logits: Float32Array;
}

const file: File = JSON.parse(Deno.readTextFileSync(new URL("tests/goldens/shapes/cases.json", asset("./"))));
const goldens = readGolden("shapes/logits.safetensors");

export const SHAPE_CASES: readonly ShapeCase[] = file.cases.map((one, index) => (
  { ...one, index, logits: floats(goldens, String(index)) }
));
export const REFUSED_SHAPES = file.refused;

/** "case 7: head_dim 66, heads 6/2, ..." */
export function describeShape({ index, config: c, ids }: ShapeCase): string {
  return `case ${index}: head_dim ${c.head_dim}, heads ${c.num_attention_heads}/${c.num_key_value_heads}, ` +
    `hidden ${c.hidden_size}, intermediate ${c.intermediate_size}, experts ${c.num_experts_per_tok}/` +
    `${c.num_local_experts}, vocab ${c.vocab_size}, window ${c.sliding_window}, ${ids.length} tokens`;
}

/** Writes the checkpoint of a config and opens it. */
export function openShape(
  dir: TemporaryDirectory,
  config: Sizes & Json,
  seed: number,
  dtype: StoredDtype = DTYPES[seed % DTYPES.length]!,
): Checkpoint {
  const header: Record<string, unknown> = {}, tensors = [...randomWeights(seed, config, dtype)];
  const data = new Uint8Array(tensors.reduce((sum, [, { bytes }]) => sum + bytes.length, 0));
  let at = 0;
  for (const [name, { shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    data.set(bytes, at);
    at += bytes.length;
  }
  dir.write("model.safetensors", container(header, data));
  dir.write("config.json", { ...file.common, ...config });
  return openCheckpoint(dir.path);
}

/** Logits [rows, V] of a case. */
export async function logitsOfShape(session: Session, { ids, rows }: ShapeCase): Promise<Float32Array> {
  const { vocab } = session.limits, logits = new Float32Array(rows.length * vocab);
  session.reset(0);
  await session.feed({ slot: 0, tokens: ids, logits: "all" }, (position, row) => {
    const at = rows.indexOf(position);
    if (at >= 0) logits.set(row, at * vocab);
  });
  return logits;
}
