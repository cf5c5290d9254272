/** From a GGUF file to a checkpoint in one of Hugging Face's layouts, number for number. */
import { writeWhole } from "../../checkpoint/atomic.ts";
import { openCheckpoint } from "../../checkpoint/checkpoint.ts";
import { type Conversion, CONVERSIONS_KEY, type ConvertedKind } from "../../checkpoint/conversions.ts";
import { type GgufModel, openGgufModel } from "../../checkpoint/gguf/split.ts";
import { READ_TYPES } from "../../checkpoint/gguf/types.ts";
import type { SourceFile } from "../../checkpoint/source.ts";
import { RangeReader } from "../../conversion/range_reader.ts";
import { InputError } from "../../errors.ts";
import { Tokenizer } from "../../text/tokenizer.ts";
import type { Sources } from "../hashes.ts";
import type { Journal } from "../journal.ts";
import { jsonText, type Watch, writeShards, type Written } from "../write_shards.ts";
import { withFloats } from "../write_quark_config.ts";
import { ggufConfig, MXFP4_CONFIG, refuseOtherModel } from "./config.ts";
import { jobOf } from "./jobs.ts";
import { Metadata } from "./metadata.ts";
import { type Piece, piecesOf } from "./tensors.ts";
import { ggufTokenizer } from "./tokenizer.ts";

const CONFIG = "config.json", EMBEDDING = "token_embd.weight";

/** All that is written, found in the headers of the files. */
export interface GgufPlan {
  readonly files: readonly SourceFile[];
  readonly pieces: readonly Piece[];
  /** Text of each file beside the weights, config.json left out. */
  readonly companions: Readonly<Record<string, string>>;
  readonly config: Readonly<Record<string, unknown>>;
  /** Names of the file's tensors that are stored as Q8_0. */
  readonly rounded: readonly string[];
}

/**
 * Plans the conversion of a model; headers alone are read.
 *
 * @param path A GGUF file, or one of those that a model was split into.
 * @throws {InputError} where it is none, or not of GPT-OSS, or stored as is not read here.
 */
export async function planConversion(path: string): Promise<GgufPlan> {
  const gguf = openGgufModel(path), metadata = new Metadata(gguf.values, gguf.files[0]!.path);
  refuseOtherModel(metadata);
  const vocab = vocabOf(gguf), { files: companions, special } = ggufTokenizer(metadata, vocab);
  const { config, generation, model } = ggufConfig(metadata, vocab, special);
  const pieces = piecesOf(gguf, model);
  await refuseVocabulary(companions, metadata.path);
  const rounded = [...gguf.tensors.values()].filter(({ type }) => READ_TYPES.get(type)?.name === "Q8_0");
  return {
    files: gguf.files.map(({ path, bytes }) => ({ path, bytes })),
    pieces,
    companions: { "generation_config.json": jsonText(generation), ...companions },
    config: pieces.some(({ kind }) => kind === "experts") ? { ...config, quantization_config: MXFP4_CONFIG } : config,
    rounded: rounded.map(({ name }) => name),
  };
}

/** Reads the tokenizer as it will be written. */
async function refuseVocabulary(companions: Readonly<Record<string, string>>, path: string): Promise<void> {
  const [name, configName] = ["tokenizer.json", "tokenizer_config.json"] as const;
  await Tokenizer.fromSource({
    path: `${path}: as ${name}`,
    bytes: new TextEncoder().encode(companions[name]!),
    configPath: `${path}: as ${configName}`,
    config: JSON.parse(companions[configName]!),
  });
}

function vocabOf({ tensors, files }: GgufModel): number {
  const [rows, ...others] = tensors.get(EMBEDDING)?.shape ?? [];
  if (rows !== undefined && others.length === 1) return rows;
  throw InputError.of("missing", { file: files[0]!.path, tensor: EMBEDDING }, "a matrix", "nothing");
}

/**
 * Writes the checkpoint; weight files that an interrupted run has completed are kept.
 *
 * @returns null if it was stopped early.
 * @throws {InputError} where a scale is no number, or a file has changed since it was opened.
 * @throws {FailureError} when the disk is full or fails.
 */
export async function convert(
  { files, pieces, companions, config, rounded }: GgufPlan,
  shardBytes: number,
  { journal, sources, watch = {} }: { readonly journal: Journal; readonly sources: Sources; readonly watch?: Watch },
): Promise<Written | null> {
  using reader = new RangeReader(files, files[0]!.path);
  const source = { reader, paths: files.map(({ path }) => path) };
  const jobs = pieces.map((piece) => jobOf(piece, source)), { dir } = journal;
  const weights = await writeShards(jobs, shardBytes, { journal, sources, watch });
  if (weights === null) return null;
  for (const [name, text] of Object.entries(companions)) writeWhole(`${dir}/${name}`, text);
  // To transformers the dtype that all plain tensors are rounded to.
  const plain = jobs.flatMap(({ tensors }) => tensors).filter(({ dtype }) => dtype !== "U8");
  const dtype = plain.every(({ dtype }) => dtype === "BF16") ? "bfloat16" : "float32";
  const said = withFloats({ ...config, ...conversionsOf(rounded), torch_dtype: dtype });
  writeWhole(`${dir}/${CONFIG}`, jsonText(said));
  verify(dir);
  journal.finish();
  return { files: [...weights.files, ...Object.keys(companions), CONFIG], bytes: weights.bytes };
}

/** What of a tensor's name says that it is of linears that are converted together. */
const SIGNS: readonly (readonly [ConvertedKind, string])[] = [["experts", "_exps."], ["attention", ".attn_"]];

/** Keeps in config.json that numbers are no longer the model's own: quantized again they lose further. */
function conversionsOf(rounded: readonly string[]): Record<string, unknown> {
  const kinds = SIGNS.filter(([, sign]) => rounded.some((name) => name.includes(sign)));
  if (kinds.length === 0) return {};
  const step: Conversion = Object.fromEntries(kinds.map(([kind]) => [kind, { from: ["bf16"], to: ["q8_0", "f32"] }]));
  return { [CONVERSIONS_KEY]: [step] };
}

/** Reads the new checkpoint back; where a reader refuses it, its config.json is removed again. */
function verify(dir: string): void {
  try {
    openCheckpoint(dir);
  } catch (thrown) {
    Deno.removeSync(`${dir}/${CONFIG}`);
    throw thrown;
  }
}
