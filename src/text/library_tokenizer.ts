/** What Hugging Face's `tokenizers` library is given of a tokenizer, and how it is made without leaving out parts. */
import { foldByUnicode } from "./fold_unicode.ts";
import type { JsonObject } from "../json_object.ts";
import type { TokenizerFile } from "./tokenizer_file.ts";

/**
 * Runs what warns on the console of parts that it then leaves out: such a tokenizer would make other tokens than the
 * model was trained on.
 */
export function withoutWarnings<T>(make: () => T): T {
  const { warn } = console;
  console.warn = (...said: unknown[]) => {
    throw new Error(said.map((part) => typeof part === "string" ? part : JSON.stringify(part)).join(" "));
  };
  try {
    return make();
  } finally {
    console.warn = warn;
  }
}

/**
 * What the library is built from: the file without tokens, without what comes after BPE, and with patterns rewritten
 * so that it reads them correctly.
 */
export function forLibrary({ json }: TokenizerFile): JsonObject {
  const model = json["model"] as JsonObject;
  return {
    ...json,
    // It is given texts that are normalized.
    normalizer: null,
    added_tokens: [],
    decoder: null,
    post_processor: null,
    pre_tokenizer: foldByUnicode(json["pre_tokenizer"]),
    // It only cuts text into words, and needs to know none.
    model: { ...model, vocab: {}, merges: [] },
  };
}

const BLANK = String.raw`\p{White_Space}`, OTHER = String.raw`[^\p{White_Space}\p{L}\p{N}]`;
/** How `ByteLevel` cuts, as GPT-2 does, but with Rust's blanks: to the library U+FEFF is one, and U+0085 none. */
const BYTE_LEVEL = new RegExp(
  String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?${OTHER}+|${BLANK}+(?!\P{White_Space})|${BLANK}+`,
  "gu",
);

/** What is used of the library's parts that cut. */
interface Cutter {
  readonly config?: { readonly type?: unknown };
  pattern?: RegExp;
  /** Of a sequence. */
  readonly tokenizers?: readonly (Cutter | null)[];
}

/** Has the parts of the library that cut find blanks as Rust does; a `Split` does so by itself. */
export function withBlanksOfRust<T extends { readonly pre_tokenizer: unknown }>(library: T): T {
  const mend = (cutter: Cutter | null): void => {
    if (cutter?.config?.type === "ByteLevel") cutter.pattern = BYTE_LEVEL;
    cutter?.tokenizers?.forEach(mend);
  };
  mend(library.pre_tokenizer as Cutter | null);
  return library;
}
