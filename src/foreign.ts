/** Files of other tools, told by what they begin with and what they are called: what a user took for a checkpoint. */
import { entriesStored, openStored, statStored } from "./stored_files.ts";

/** Who reads GGUF files, and how to have one read here. */
const GGUF = "as llama.cpp and Ollama read (mxoss convert makes a checkpoint of gpt-oss's)";

/** What a file is by its first bytes. */
const MAGIC: readonly (readonly [begins: string, is: string])[] = [
  [
    "version https://git-lfs.github.com/spec/",
    "a git-LFS pointer, in place of the file itself (git lfs pull fetches it)",
  ],
  ["GGUF", `a GGUF file, ${GGUF}`],
  ["tjgg", "a GGML file of old versions of llama.cpp"],
  ["lmgg", "a GGML file of old versions of llama.cpp"],
  ["GPT-OSS v", "weights for Apple's Metal, as gpt-oss has them in metal/"],
  ["PK\u0003\u0004", "a zip archive, as PyTorch writes"],
  ["\u0080\u0002", "a pickle, as old versions of PyTorch write"],
  ["\u0089HDF\r\n", "an HDF5 file, as Keras writes"],
  ["\u0093NUMPY", "an array of NumPy"],
  ["\u001f\u008b", "a gzip archive"],
  ["\u007fELF", "a program"],
  ["<!DOCTYPE", "a page of HTML, as a failed download leaves"],
  ["<!doctype", "a page of HTML, as a failed download leaves"],
  ["<html", "a page of HTML, as a failed download leaves"],
  ["<?xml", "an XML document, as a failed download leaves"],
];

/** Bytes that are enough to tell. */
const HEAD_BYTES = 48;

/** What a file of another kind is, by its first bytes; null for anything that is not known. */
export function foreignBytes(head: Uint8Array): string | null {
  const text = String.fromCharCode(...head.subarray(0, HEAD_BYTES));
  return MAGIC.find(([begins]) => text.startsWith(begins))?.[1] ?? null;
}

/** The same of a file; null also where it cannot be read. */
export function foreignFile(path: string): string | null {
  try {
    if (!statStored(path).isFile) return null;
    using file = openStored(path);
    const head = new Uint8Array(HEAD_BYTES), got = file.readSync(head);
    return got === null ? "an empty file" : foreignBytes(head.subarray(0, got));
  } catch {
    return null;
  }
}

/** What a directory is of, by the names of its files, the more telling first. */
const SIGNS: readonly (readonly [name: RegExp, is: string])[] = [
  [
    /^quantize\.journal\.json$/,
    "a part of one, as an interrupted mxoss quantize or convert leaves; the same command goes on",
  ],
  [/^model_index\.json$/, "a pipeline of diffusers"],
  [/^adapter_config\.json$/, "an adapter of PEFT (LoRA), which is no whole model"],
  [/^mlc-chat-config\.json$|^params_shard_\d+\.bin$/, "a model of MLC LLM"],
  [/\.gguf$/i, `GGUF files, ${GGUF}`],
  [/^(?:ggml|llama)-.*\.bin$/, "GGML files of old versions of llama.cpp"],
  [/\.engine$/, "an engine of TensorRT-LLM"],
  [/\.nemo$|^model_config\.yaml$/, "a model of NeMo"],
  [/^tf_model.*\.h5$|\.keras$|^saved_model\.pb$/, "a model of TensorFlow"],
  [/\.msgpack$/, "a model of Flax"],
  [/^_METADATA$|^manifest\.ocdbt$/, "a checkpoint of Orbax (JAX)"],
  [/\.onnx(?:_data)?$/, "a model of ONNX Runtime"],
  [/^openvino_model\.(?:xml|bin)$/, "a model of OpenVINO"],
  [/\.mlpackage$|\.mlmodelc?$/, "a model of Core ML"],
  [
    /^(?:pytorch_model.*\.bin(?:\.index\.json)?|consolidated.*\.pth|.*\.pt|.*\.pth)$/,
    "weights of PyTorch, not safetensors",
  ],
  [/^mp_rank_\d+|^zero_pp_rank_/, "a training checkpoint of DeepSpeed or Megatron"],
  [/^model\.bin$/, "a model.bin, as CTranslate2 and gpt-oss's metal/ have"],
  [/^manifests$/, "the store of Ollama"],
  [/^sha256-[0-9a-f]{64}$/, "blobs of Ollama"],
  [/^models--/, "a Hugging Face cache: name one of its models"],
];

/** What a directory without a checkpoint is of; null where no name in it says so. */
export function foreignNames(names: readonly string[]): string | null {
  return SIGNS.find(([sign]) => names.some((name) => sign.test(name)))?.[1] ?? null;
}

/** The same of a directory; null also where it cannot be read. */
export function foreignDirectory(path: string): string | null {
  try {
    return foreignNames(entriesStored(path).map(({ name }) => name));
  } catch {
    return null;
  }
}

/** Whether a file is called as those are that have a JSON object a line. */
export function isJsonLines(path: string): boolean {
  return /\.(?:jsonl|ndjson)$/i.test(path);
}
