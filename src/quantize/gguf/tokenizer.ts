/** tokenizer.json and its companions, of the vocabulary in a GGUF file. */
import { printable } from "../../describe.ts";
import { InputError } from "../../errors.ts";
import { O200K_SPLIT } from "../../text/safe_pieces.ts";
import type { Metadata } from "./metadata.ts";

/** Kinds of tokens. */
const NORMAL = 1, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5;
/** Tokens that end a reply, as gpt-oss has them in its generation_config.json: end of reply, of text, of a call. */
const ENDS = ["<|return|>", "<|endoftext|>", "<|call|>"];

/** Files that a checkpoint has beside its weights, by name, and the ids that config.json says. */
export interface GgufTokenizer {
  readonly files: Readonly<Record<string, string>>;
  readonly special: {
    readonly eos: readonly number[];
    readonly pad: number | null;
    readonly bos: number | null;
  };
}

/**
 * Reads the vocabulary.
 *
 * @param vocab Rows of the embedding.
 * @throws {InputError} naming the key that is missing or says what is not computed.
 */
export function ggufTokenizer(metadata: Metadata, vocab: number): GgufTokenizer {
  if (metadata.text("tokenizer.ggml.model") !== "gpt2") metadata.refuse("tokenizer.ggml.model", "gpt2");
  if (metadata.text("tokenizer.ggml.pre") !== "gpt-4o") metadata.refuse("tokenizer.ggml.pre", "gpt-4o");
  for (const key of ["add_bos_token", "add_eos_token", "add_space_prefix"].map((name) => `tokenizer.ggml.${name}`)) {
    if (metadata.flag(key) === true) metadata.refuse(key, "false");
  }
  const tokens = metadata.texts("tokenizer.ggml.tokens") ?? metadata.refuse("tokenizer.ggml.tokens", "a list of texts");
  const merges = metadata.texts("tokenizer.ggml.merges") ?? metadata.refuse("tokenizer.ggml.merges", "a list of texts");
  const kinds = metadata.integers("tokenizer.ggml.token_type") ??
    metadata.refuse("tokenizer.ggml.token_type", "a list of integers");
  if (tokens.length !== vocab) refuseLength(metadata, "tokenizer.ggml.tokens", vocab, tokens.length);
  if (kinds.length !== vocab) refuseLength(metadata, "tokenizer.ggml.token_type", vocab, kinds.length);
  const template = metadata.text("tokenizer.chat_template");
  const special = specialIds(metadata, tokens);
  const named = (id: number | null | undefined) => id === null || id === undefined ? null : tokens[id]!;
  const config = {
    ...without({ bos_token: named(special.bos), eos_token: named(special.eos[0]), pad_token: named(special.pad) }),
    clean_up_tokenization_spaces: false,
    model_input_names: ["input_ids", "attention_mask"],
    tokenizer_class: "PreTrainedTokenizerFast",
  };
  return {
    files: {
      "tokenizer.json": `${JSON.stringify(tokenizerJson(metadata.path, tokens, kinds, merges))}\n`,
      "tokenizer_config.json": `${JSON.stringify(config, null, 2)}\n`,
      ...(template === null ? {} : { "chat_template.jinja": template }),
    },
    special,
  };
}

const without = (values: Record<string, string | null>) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));

function refuseLength(metadata: Metadata, key: string, expected: number, got: number): never {
  const rows = `${expected} of them, as token_embd.weight has rows`;
  throw InputError.of("contradiction", { file: metadata.path, key }, rows, got);
}

function specialIds(metadata: Metadata, tokens: readonly string[]): GgufTokenizer["special"] {
  const id = (name: string) => {
    const key = `tokenizer.ggml.${name}_token_id`, value = metadata.integer(key);
    if (value !== null && !(value >= 0 && value < tokens.length)) metadata.refuse(key, `an id below ${tokens.length}`);
    return value;
  };
  const eos = [id("eos"), ...ENDS.map((text) => tokens.indexOf(text))].filter((id) => id !== null && id >= 0);
  return { eos: [...new Set(eos as number[])], pad: id("padding"), bos: id("bos") };
}

/** The file as Hugging Face's library writes it: bytes of text by pairs, cut before as o200k cuts. */
function tokenizerJson(
  path: string,
  tokens: readonly string[],
  kinds: readonly number[],
  merges: readonly string[],
): Record<string, unknown> {
  const vocab: Record<string, number> = Object.create(null);
  const added: Record<string, unknown>[] = [];
  for (const [id, content] of tokens.entries()) {
    const kind = kinds[id]!;
    if (kind === UNUSED) continue;
    if (kind === NORMAL) {
      if (Object.hasOwn(vocab, content)) {
        const got = `${printable(content)} as ${vocab[content]} and ${id}`;
        throw InputError.of("malformed", { file: path, key: "tokenizer.ggml.tokens" }, "each token once", got);
      }
      vocab[content] = id;
    } else if (kind === CONTROL || kind === USER_DEFINED) {
      const special = kind === CONTROL;
      added.push({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special });
    } else {
      const expected = "kinds 1, 3, 4 and 5: normal, control, user-defined, unused";
      throw InputError.of("unsupported", { file: path, key: "tokenizer.ggml.token_type" }, expected, kind);
    }
  }
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: O200K_SPLIT }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      ...{ dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null },
      ...{ fuse_unk: false, byte_fallback: false, ignore_merges: false },
      vocab,
      merges: merges.map((merge) => pairOf(path, merge)),
    },
  };
}

function pairOf(path: string, merge: string): [string, string] {
  const [first = "", second = "", more] = merge.split(" ");
  if (first !== "" && second !== "" && more === undefined) return [first, second];
  const expected = "two tokens with a blank between them";
  throw InputError.of("malformed", { file: path, key: "tokenizer.ggml.merges" }, expected, printable(merge));
}
