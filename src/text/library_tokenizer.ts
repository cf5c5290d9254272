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
 * What the library is built from: the file without added tokens, without what comes after BPE, and with patterns
 * rewritten so that it reads them correctly.
 */
export function forLibrary({ json, pairs, added }: TokenizerFile): JsonObject {
  const model = json["model"] as JsonObject;
  // Where it only cuts text into words, it needs to know none.
  let vocab = pairs === null ? model["vocab"] as JsonObject : {};
  const specials = added.filter((a) => a.special && Object.hasOwn(vocab, a.content));
  if (specials.length > 0) {
    // BPE must not be able to make a special token.
    vocab = { ...vocab };
    for (const { content } of specials) delete (vocab as Record<string, unknown>)[content];
  }
  return {
    ...json,
    // It is given texts that are normalized.
    normalizer: null,
    added_tokens: [],
    decoder: null,
    post_processor: null,
    pre_tokenizer: foldByUnicode(json["pre_tokenizer"]),
    model: { ...model, vocab, ...(pairs === null ? {} : { merges: [] }) },
  };
}
