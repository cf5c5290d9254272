import { Tokenizer as Library } from "@huggingface/tokenizers";
import { charOfByte } from "../../src/text/byte_level.ts";
import { BytePairs } from "../../src/text/byte_pairs.ts";
import { PairMerges, RankMerges } from "../../src/text/merges.ts";
import { pack, Pieces } from "../../src/text/pieces.ts";
import { assert, assertEquals } from "../assert.ts";
import { dose } from "../soak.ts";
import { lehmer, path, readTokenizerFile, TINY } from "./goldens.ts";

const latin = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

Deno.test("Pieces finds every entry by its bytes and by those of two others, and nothing else", () => {
  const texts = ["a", "b", undefined, "ab", "aba", "", "\xff\x00"];
  const pieces = new Pieces(pack(texts.map((text) => text === undefined ? undefined : latin(text))), new Set([1]));
  assertEquals(pieces.count, 7);
  assertEquals(texts.map((_, id) => pieces.has(id)), [true, true, false, true, true, true, true]);
  assertEquals([pieces.has(-1), pieces.has(7), pieces.byteLength(2), pieces.byteLength(4)], [false, false, 0, 3]);
  assertEquals([...pieces.bytes(6)], [255, 0]);
  // 1 is hidden, 2 is none.
  assertEquals(texts.map((text) => pieces.find(latin(text ?? "?"))), [0, -1, -1, 3, 4, 5, 6]);
  assertEquals([pieces.findJoined(0, 1), pieces.findJoined(3, 0), pieces.findJoined(1, 0)], [3, 4, -1]);
});

/**
 * Byte-pair encoding as it is defined: of all neighbours the one of the first merge, the leftmost of them; of a merge
 * that is there twice the later place counts.
 */
function slowly(word: string, merges: readonly (readonly [string, string])[]): string[] {
  const symbols = [...word];
  while (true) {
    let best: { rank: number; at: number } | null = null;
    for (let at = 0; at + 1 < symbols.length; at++) {
      const rank = merges.findLastIndex(([left, right]) => left === symbols[at] && right === symbols[at + 1]);
      if (rank >= 0 && (best === null || rank < best.rank)) best = { rank, at };
    }
    if (best === null) return symbols;
    symbols.splice(best.at, 2, symbols[best.at]! + symbols[best.at + 1]!);
  }
}

/** All ways to cut an entry into two entries, in the order of the whole's rank, then of the parts'. */
function mergesOf(vocabulary: readonly string[]): (readonly [string, string])[] {
  const rank = (text: string) => vocabulary.indexOf(text);
  return vocabulary.flatMap((piece) =>
    Array.from({ length: piece.length - 1 }, (_, i) => [piece.slice(0, i + 1), piece.slice(i + 1)] as const)
      .filter((cut) => cut.every((part) => rank(part) >= 0))
      .sort(([a, b], [c, d]) => rank(a) - rank(c) || rank(b) - rank(d))
  );
}

Deno.test("BytePairs joins by ranks as by their merges: all words of two letters, with entries that overlap", () => {
  const vocabularies = [
    ["a", "b", "aa", "ab", "aaa", "ba", "aab", "bab", "aaaa"],
    ["a", "b", "ba", "ab", "bb", "aba", "abab", "aa", "aaa", "aaaaa", "babb"],
    ["b", "a", "aaa", "aa", "bb", "bbbb"],
  ];
  for (const vocabulary of vocabularies) {
    const pieces = new Pieces(pack(vocabulary.map(latin))), merges = mergesOf(vocabulary);
    const pairs = PairMerges.of(pieces, merges.length, (i) => {
      const [left, right] = merges[i]!;
      return [vocabulary.indexOf(left), vocabulary.indexOf(right)];
    });
    const byRank = new BytePairs(pieces, new RankMerges(pieces), false), byPair = new BytePairs(pieces, pairs!, false);
    for (let length = 1; length <= 7; length++) {
      for (let bits = 0; bits < 2 ** length; bits++) {
        const word = Array.from({ length }, (_, i) => bits >> i & 1 ? "b" : "a").join("");
        const expected = slowly(word, merges).map((piece) => vocabulary.indexOf(piece));
        assertEquals([...byRank.encode(word, latin)], expected, word);
        assertEquals([...byPair.encode(word, latin)], expected, word);
      }
    }
  }
});

Deno.test("BytePairs takes a word's own entry before its merges only where the model ignores them", () => {
  // As tokenizers 0.23.3's BPE with and without `ignore_merges`.
  const pieces = new Pieces(pack(["ab", "a", "b", "c", "abc", "bc"].map(latin)));
  const merges = PairMerges.of(pieces, 1, () => [1, 2])!, words = ["ab", "abc", "bc", "cab", "a"];
  const ids = (wholeFirst: boolean) =>
    words.map((word) => [...new BytePairs(pieces, merges, wholeFirst).encode(word, latin)]);
  assertEquals(ids(true), [[0], [4], [5], [3, 0], [1]]);
  assertEquals(ids(false), [[0], [0, 3], [2, 3], [3, 0], [1]]);
  const none = PairMerges.of(pieces, 0, () => [0, 0])!;
  assertEquals([...new BytePairs(pieces, none, true).encode("ab", latin)], [0]);
});

Deno.test("PairMerges takes merges in any order, of those that are there several times the latest", () => {
  const vocabulary = ["ab", "b", "aba", "a", "aa", "abab", "ba", "bab"], below = lehmer(3);
  const pieces = new Pieces(pack(vocabulary.map(latin))), all = mergesOf(vocabulary);
  for (let i = 0; i < 40; i++) {
    const merges = Array.from({ length: 1 + below(3 * all.length) }, () => all[below(all.length)]!);
    const parts = (merge: number): [number, number] => {
      const [left, right] = merges[merge]!;
      return [vocabulary.indexOf(left), vocabulary.indexOf(right)];
    };
    const pairs = PairMerges.of(pieces, merges.length, parts)!, encoding = new BytePairs(pieces, pairs, false);
    for (const [left, right] of all) {
      const expected = merges.findLastIndex((merge) => merge[0] === left && merge[1] === right);
      assertEquals(pairs.rank(vocabulary.indexOf(left), vocabulary.indexOf(right)), expected, `${left} ${right}`);
      if (expected >= 0) assertEquals(pairs.result(expected), vocabulary.indexOf(left + right));
    }
    const word = Array.from({ length: 12 }, () => "ab"[below(2)]!).join("");
    assertEquals([...encoding.encode(word, latin)].map((id) => vocabulary[id]), slowly(word, merges), word);
  }
});

Deno.test("PairMerges is null where a part or a result is no entry", () => {
  const pieces = new Pieces(pack(["a", "b", "ab"].map(latin)));
  assert(PairMerges.of(pieces, 1, () => [0, 1]) !== null);
  assertEquals(PairMerges.of(pieces, 1, () => [1, 0]), null);
  assertEquals(PairMerges.of(pieces, 1, () => [-1, 0]), null);
  const hidden = new Pieces(pack(["a", "b", "ab", "aba"].map(latin)), new Set([2]));
  assertEquals(PairMerges.of(hidden, 1, () => [0, 1]), null);
  // The list's next result would be the hidden one.
  assertEquals(PairMerges.of(hidden, 2, (i) => i === 0 ? [2, 0] : [0, 1]), null);
});

for (const [name, dir] of [["tiny", TINY], ["odd", path("tests/goldens/text/odd")]] as const) {
  Deno.test(`BytePairs encodes words of any bytes as Hugging Face's library does (${name})`, () => {
    const { json } = readTokenizerFile(dir, []), { pairs, added } = readTokenizerFile(dir);
    const model = json["model"] as Record<string, unknown>, vocab = { ...model["vocab"] as Record<string, number> };
    for (const { content, special } of added) if (special) delete vocab[content];
    const parts = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, added_tokens: [] };
    const library = new Library({ ...parts, model: { ...model, vocab } }, {});
    const below = lehmer(7), common = [..."etaoinshrdlu 0123"].map((letter) => letter.charCodeAt(0));
    for (let i = 0; i < dose(400, 20_000); i++) {
      const bytes = Array.from(
        { length: 1 + below(24) },
        () => i % 4 === 0 ? below(256) : common[below(common.length)]!,
      );
      const word = bytes.map(charOfByte).join("");
      const { ids } = library.encode(word, { add_special_tokens: false });
      assertEquals([...pairs.encode(word, () => Uint8Array.from(bytes))], ids, word);
    }
  });
}
