/**
 * The tokenizer of gpt-oss where a checkpoint brings none, as OpenAI's own layout does: o200k_harmony, which is
 * o200k_base (199,998 byte sequences by rank, from the package js-tiktoken) followed by harmony's special tokens.
 *
 * It is made into what Hugging Face's tokenizer.json of gpt-oss says, but that its merges are those of its ranks.
 */
import { BytePairs } from "./byte_pairs.ts";
import { RankMerges } from "./merges.ts";
import { pack, Pieces } from "./pieces.ts";
import { O200K_SPLIT } from "./safe_pieces.ts";
import type { TokenizerFile } from "./tokenizer_file.ts";

/** What messages call it. */
const O200K_NAME = "built-in o200k_harmony";

/** Rows of the embedding of models that have this vocabulary. */
export const O200K_VOCAB = 201_088;

/** Byte sequences of o200k_base: their ids are 0 to 199,997. */
const RANKS = 199_998;

/** Special tokens; ids up to the last one that are not here are reserved. */
const SPECIALS: Readonly<Record<number, string>> = {
  199_998: "<|startoftext|>",
  199_999: "<|endoftext|>",
  200_002: "<|return|>",
  200_003: "<|constrain|>",
  200_005: "<|channel|>",
  200_006: "<|start|>",
  200_007: "<|end|>",
  200_008: "<|message|>",
  200_012: "<|call|>",
  200_018: "<|endofprompt|>",
};
const LAST_SPECIAL = 200_018;

/** The tokenizer, as if it had been read from a file. */
export async function o200kHarmony(): Promise<TokenizerFile> {
  const { default: { bpe_ranks: ranks } } = await import("js-tiktoken/ranks/o200k_base");
  const pieces = new Pieces(pack(piecesOf(ranks)));
  const added = Array.from({ length: LAST_SPECIAL + 1 - RANKS }, (_, i) => {
    const id = RANKS + i;
    return { id, content: SPECIALS[id] ?? `<|reserved_${id}|>`, special: true, normalized: false };
  });
  const json = {
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: O200K_SPLIT }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    model: { type: "BPE" },
  };
  // A whole word that has an entry is that entry, whatever its merges would lead to.
  return {
    path: O200K_NAME,
    json,
    pieces,
    pairs: new BytePairs(pieces, new RankMerges(pieces), true),
    added,
    config: {},
  };
}

/**
 * Entries by rank.
 *
 * @param ranks As the package has them: lines of `!`, the rank of the first entry, and entries in base64, by blanks.
 */
function piecesOf(ranks: string): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (const line of ranks.split("\n")) {
    const [mark, first, ...entries] = line.split(" ");
    if (mark !== "!") continue;
    entries.forEach((entry, i) => pieces[Number(first) + i] = Uint8Array.fromBase64(entry));
  }
  // Object.keys() gives holes away, which forEach() and length do not.
  if (pieces.length !== RANKS || Object.keys(pieces).length !== RANKS) {
    throw new TypeError(`o200k_base has ${pieces.length} ranks, expected ${RANKS} without holes`);
  }
  return pieces;
}
