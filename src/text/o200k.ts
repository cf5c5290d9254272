/**
 * The tokenizer of gpt-oss where a checkpoint brings none, as OpenAI's own layout does: o200k_harmony, which is
 * o200k_base (199,998 byte sequences by rank, from the package js-tiktoken) followed by harmony's special tokens.
 *
 * It is made into what Hugging Face's tokenizer.json of gpt-oss says, but that its merges are those of its ranks.
 */
import { BytePairs } from "./byte_pairs.ts";
import { RankMerges } from "./merges.ts";
import { type PackedPieces, Pieces } from "./pieces.ts";
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
  const pieces = new Pieces(piecesOf(ranks));
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

/** The value of a character of base64, by its code; -1 for other characters. */
const BASE64 = new Int8Array(256).fill(-1);
for (const [value, sign] of [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"].entries()) {
  BASE64[sign.charCodeAt(0)] = value;
}
const SPACE = 0x20, PADDING = 0x3d;

/**
 * Entries by rank. In one pass, as 200,000 texts and arrays take longer.
 *
 * @param ranks As the package has them: lines of `!`, the rank of the first entry, and entries in base64, by blanks.
 */
function piecesOf(ranks: string): PackedPieces {
  const bytes = new Uint8Array(ranks.length), starts = new Int32Array(RANKS).fill(-1), ends = starts.slice();
  let end = 0, known = 0;
  for (const line of ranks.split("\n")) {
    const [mark, first = ""] = line.split(" ", 2);
    if (mark !== "!") continue;
    const entries = new TextEncoder().encode(`${line.slice(mark.length + first.length + 2)} `);
    let rank = Number(first), start = end, kept = 0, bits = 0;
    for (const sign of entries) {
      if (sign === SPACE) {
        starts[rank] = start;
        ends[rank++] = start = end;
        kept = bits = 0;
        known++;
      } else if (sign !== PADDING) {
        const value = BASE64[sign]!;
        if (value < 0) throw new TypeError(`o200k_base has a rank ${rank} that is not base64`);
        kept = (kept << 6 | value) & 0xffff;
        bits += 6;
        if (bits >= 8) bytes[end++] = kept >> (bits -= 8);
      }
    }
  }
  if (known !== RANKS || starts.includes(-1)) {
    throw new TypeError(`o200k_base has ${known} ranks, expected ${RANKS} without holes`);
  }
  return { bytes: bytes.slice(0, end), starts, ends };
}
