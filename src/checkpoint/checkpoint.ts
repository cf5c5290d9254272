/**
 * A directory on disk becomes a validated config and named packed tensors; its layout is detected, never asked for.
 */
import { kindOf } from "./atomic.ts";
import { joined } from "../paths.ts";
import { entriesStored, type FileFacts, statStored } from "../stored_files.ts";
import { InputError } from "../errors.ts";
import { readConfig } from "./config.ts";
import type { Conversion } from "./conversions.ts";
import { refuseNanScales, refuseNanScalesBeside, scaleTensors } from "./e8m0.ts";
import { fileIn, hasWeightFiles, openWeightFiles } from "./files.ts";
import { foreignDirectory, foreignFile } from "../foreign.ts";
import { fingerprint } from "./fingerprint.ts";
import { detectLayout, methodOf, methodWarning } from "./layouts/detect.ts";
import { orIncomplete } from "./hub/find.ts";
import { type FileIdentity, identify } from "./identity.ts";
import type { LayoutName } from "./layouts/layout.ts";
import { notConvertedWarning } from "./layouts/not_converted.ts";
import { quarkSaid } from "./layouts/quark_said.ts";
import { readLayout } from "./layouts/read.ts";
import { checkUnused } from "./layouts/unused.ts";
import type { ModelConfig } from "./model_config.ts";
import { readable, readJson } from "../read.ts";
import { roundedWarning } from "./rounded.ts";
import { refuseRouters } from "./routers.ts";
import type { ModelSource } from "./source.ts";
import { TensorSet } from "./tensor_set.ts";
import { hashBeside, weightsSha256 } from "./weights_hash.ts";

export type { LayoutName } from "./layouts/layout.ts";
export { FINGERPRINT_COVERS } from "./fingerprint.ts";

/** Files that a checkpoint may have besides its weights: their paths, or null. */
export interface CheckpointFiles {
  readonly config: string;
  readonly generationConfig: string | null;
  readonly tokenizer: string | null;
  readonly tokenizerConfig: string | null;
  readonly chatTemplate: string | null;
}

/** An opened checkpoint. Nothing stays open and no weights are held. */
export interface Checkpoint {
  /** The directory as it was given, without a slash at its end. */
  readonly dir: string;
  readonly files: CheckpointFiles;
  readonly config: ModelConfig;
  /** `quantization_config` as it stands in config.json; null where there is none. */
  readonly quantization: Readonly<Record<string, unknown>> | null;
  /** What `mxoss quantize` has made of its weights, as config.json says; the first one first. */
  readonly conversions: readonly Conversion[];
  readonly layout: LayoutName;
  /** The weights. Every linear has its `module`, and `input` is NO_QDQ everywhere. */
  readonly source: ModelSource;
  /** One line for each oddity that does not change the model. */
  readonly warnings: readonly string[];
  /** {@linkcode FINGERPRINT_COVERS}, in hexadecimal. */
  fingerprint(): Promise<string>;
  /**
   * SHA-256 of all weight files, see `weightsSha256`; they are read at the first call only.
   *
   * @param onProgress Called with bytes done and bytes in all.
   * @param known The hash, where it was made of files with this {@linkcode Checkpoint.identity} before.
   * @throws {InputError} if a file cannot be read.
   */
  weightsSha256(onProgress?: (done: number, total: number) => void, known?: string): string;
  /**
   * Lets another thread read them, so that `weightsSha256` has its answer at once when this resolves.
   *
   * @param onProgress Called with bytes done and bytes in all.
   * @throws {InputError} if a file cannot be read.
   */
  hashBeside(onProgress?: (done: number, total: number) => void): Promise<void>;
  /**
   * Waits for scales that are looked through beside other work; at once where they were when it was opened.
   *
   * @throws {InputError} where one is NaN, or they cannot be read.
   */
  scalesChecked(): Promise<void>;
  /** Every file as it was when it was opened, for {@linkcode refuseChanged}. */
  readonly identity: readonly FileIdentity[];
}

/** How to open. */
export interface OpenOptions {
  /** Called with each of {@linkcode Checkpoint.warnings} as it comes up. */
  readonly onWarning?: (line: string) => void;
  /**
   * Whether to read all e8m0 scales and routers and refuse NaN (default); without it, nothing but headers and single
   * scales is read. "beside": many scales are read by another thread, and {@linkcode Checkpoint.scalesChecked} is to be
   * awaited before anything that was computed is shown.
   */
  readonly checkScales?: boolean | "beside";
}

/** Largest config.json; one that excludes every linear of a large model by name has 3 MB. */
const MAX_CONFIG_BYTES = 1 << 23;
const CONFIG = "config.json", QUANT_CONFIG = "hf_quant_config.json", ADAPTER_CONFIG = "adapter_config.json";
const COMPANIONS = {
  generationConfig: "generation_config.json",
  tokenizer: "tokenizer.json",
  tokenizerConfig: "tokenizer_config.json",
  chatTemplate: "chat_template.jinja",
};
/** Names of the files that are read beside a model's weights, where they are there. */
export const READ_BESIDE_WEIGHTS: ReadonlySet<string> = new Set([
  ...[CONFIG, QUANT_CONFIG, ADAPTER_CONFIG],
  ...Object.values(COMPANIONS),
]);
/** Where OpenAI's own layout lies within a repository of theirs. */
const ORIGINAL = "original";

/**
 * Opens a checkpoint: headers and config only, and scales and routers for a check.
 *
 * @throws {InputError} in one line, when it is not a checkpoint of GPT-OSS, is incomplete or contradicts itself.
 */
export function openCheckpoint(dir: string, options: OpenOptions = {}): Checkpoint {
  const root = dir.replace(/(?<=.)[/\\]+$/, "");
  checkDirectory(root);
  return orIncomplete(root, () => open(root, options));
}

function open(root: string, options: OpenOptions): Checkpoint {
  const warnings: string[] = [];
  const warn = (line: string) => {
    warnings.push(line);
    options.onWarning?.(line);
  };

  const weightsDir = findWeightsDir(root);
  const files = findFiles(root, weightsDir);
  const companions = Object.values<string | null>({ ...files }).filter((path) => path !== null).map(identify);
  const json = (path: string) => ({ path, json: readJson(path, MAX_CONFIG_BYTES) });
  const { model: config, quantization, conversions, hasDrafts, loadDtype, warnings: oddities } = readConfig(
    json(files.config),
    files.generationConfig === null ? null : json(files.generationConfig),
  );
  oddities.forEach(warn);

  // Before tensors whose names and shapes would be called wrong.
  const method = methodOf(quantization, files.config);
  if (quantization === null) refuseModelOpt(weightsDir, files.config);
  refuseAdapter(root);
  const weights = openWeightFiles(weightsDir, warn);
  const tensors = new TensorSet(weights, weightsDir);
  const layout = detectLayout([...weights.tensors.keys()], method, tensors.place);
  const contradiction = methodWarning(layout, method, files.config) ??
    notConvertedWarning(layout, quantization, config.layers, files.config);
  if (contradiction !== null) warn(contradiction);
  const source = readLayout(layout, tensors, config, quarkSaid(quantization, files.config));
  const unused = checkUnused(tensors, config, hasDrafts);
  if (unused !== null) warn(unused);
  const rounded = roundedWarning(source.tree, loadDtype, files.config);
  if (rounded !== null) warn(rounded);
  const sourceFiles = weights.files.map(({ path, bytes }) => ({ path, bytes }));
  let scalesChecked = Promise.resolve();
  if (options.checkScales ?? true) {
    const scales = scaleTensors(tensors);
    if (options.checkScales === "beside") scalesChecked = refuseNanScalesBeside(scales);
    else refuseNanScales(scales);
    // It is told to who waits for it.
    scalesChecked.catch(() => {});
    refuseRouters(sourceFiles, source.tree);
  }

  const covered = [
    { path: files.config, bytes: readable(files.config, () => statStored(files.config).size) },
    ...weights.files.map(({ path, dataStart }) => ({ path, bytes: dataStart })),
  ];
  let hash: string | undefined, hashing: Promise<string> | undefined;
  return {
    dir: root,
    files,
    config,
    quantization,
    conversions,
    layout,
    source: { files: sourceFiles, ...source },
    warnings,
    fingerprint: () => fingerprint(covered),
    weightsSha256: (onProgress, known) => hash ??= known ?? weightsSha256(sourceFiles, onProgress),
    scalesChecked: () => scalesChecked,
    hashBeside: async (onProgress) => void (hash ??= await (hashing ??= hashBeside(sourceFiles, onProgress))),
    identity: [...companions, ...weights.files.map(({ identity }) => identity)],
  };
}

/**
 * Refuses what NVIDIA ModelOpt says of a quantization in a file of its own, which vLLM reads.
 *
 * @throws {InputError}
 */
function refuseModelOpt(dir: string, config: string): void {
  const path = fileIn(dir, QUANT_CONFIG);
  if (path === null) return;
  const expected = `quantization_config in ${config} to say how the model is quantized`;
  throw InputError.of("unsupported", { file: path }, expected, "a file of NVIDIA ModelOpt's");
}

/**
 * Refuses an adapter that lies beside the weights, as transformers adds it to them where PEFT is installed.
 *
 * @throws {InputError}
 */
function refuseAdapter(dir: string): void {
  const path = fileIn(dir, ADAPTER_CONFIG);
  if (path === null) return;
  const got = "an adapter of PEFT (LoRA), which transformers adds to them";
  throw InputError.of("unsupported", { file: path }, "none beside a model's weights", got);
}

function checkDirectory(dir: string): void {
  let found: FileFacts;
  try {
    found = readable(dir, () => statStored(dir));
  } catch (thrown) {
    if (thrown instanceof InputError && thrown.code === "missing") {
      const tilde = dir.startsWith("~") ? ' (a shell takes "~" for your home at the beginning of a word only)' : "";
      throw InputError.of("missing", { file: dir }, "a checkpoint directory", `nothing of that name${tilde}`);
    }
    throw thrown;
  }
  if (!found.isDirectory) {
    throw InputError.of("wrong_value", { file: dir }, "a checkpoint directory", foreignFile(dir) ?? kindOf(found));
  }
}

/**
 * The directory itself, or its `original/` where only that was downloaded; what others have beside the weights, a
 * tokenizer and a config, says nothing about that.
 */
function findWeightsDir(root: string): string {
  const own = fileIn(root, CONFIG) !== null;
  if (own && hasWeightFiles(root)) return root;
  const original = joined(root, ORIGINAL);
  const isThere = readable(root, () => entriesStored(root)).some(({ name, isDirectory }) =>
    isDirectory && name === ORIGINAL
  );
  if (isThere && fileIn(original, CONFIG) !== null) return original;
  if (own) return root;
  const foreign = foreignDirectory(root);
  if (foreign !== null) throw InputError.of("unsupported", { file: root }, "a checkpoint in safetensors", foreign);
  throw InputError.saying("missing", { file: joined(root, CONFIG) }, "no such file; a checkpoint directory has one");
}

function findFiles(root: string, weightsDir: string): CheckpointFiles {
  const find = (name: string) => fileIn(weightsDir, name) ?? (weightsDir === root ? null : fileIn(root, name));
  return {
    config: joined(weightsDir, CONFIG),
    generationConfig: find(COMPANIONS.generationConfig),
    tokenizer: find(COMPANIONS.tokenizer),
    tokenizerConfig: find(COMPANIONS.tokenizerConfig),
    chatTemplate: find(COMPANIONS.chatTemplate),
  };
}
