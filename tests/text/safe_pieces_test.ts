/** Texts that are cut into pieces have the words, and the tokens, of the whole. */
import { Tokenizer as Library } from "@huggingface/tokenizers";
import { forLibrary } from "../../src/text/library_tokenizer.ts";
import { o200kHarmony } from "../../src/text/o200k.ts";
import { cutsLikeO200k, safePieces } from "../../src/text/safe_pieces.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import type { TokenizerFile } from "../../src/text/tokenizer_file.ts";
import { assert, assertEquals } from "../assert.ts";
import { integers } from "../formats/seeded.ts";
import { dose } from "../soak.ts";
import { SetClock } from "../timers.ts";
import { readTokenizerFile, TINY } from "./goldens.ts";

/** How a tokenizer cuts a text into words. */
function wordsBy(file: TokenizerFile): (text: string) => string[] {
  const { pre_tokenizer: cut } = new Library(forLibrary(file), {}) as unknown as {
    pre_tokenizer: (text: string) => string[];
  };
  return (text) => text === "" ? [] : cut(text);
}

/** What random texts are made of: every class that the patterns ask for, from several scripts. */
const PARTS: readonly string[] = [
  ..."abcXYZ",
  ..."éßŁǅǆʰª",
  ..."漢字かなחÆمकাไ",
  ..."𝒜𐐷𐐀𠀀",
  ..."\u0301\u0903\u{e0100}\u20dd",
  ..."0123٣४½Ⅷ²𝟏𑁥",
  ..."'''’`",
  ...["'s", "'T", "'re", "'VE", "'m", "'ll", "'d", "'ſ", "'\u212a", "'x"],
  ..." \t\u00a0\u2003\u3000\ufeff\v",
  ..."\n\r\u2028\u2029\u0085",
  ...["\r\n", "\n\n\n", "    ", " \n ", "  \t  ", "/", "//\n", "/\n/"],
  ...'!?.,;:-_()[]{}<>|@#$%^&*+=~"\\',
  ..."€→😀🏳️\u200d🌈",
  ..."\0\u001b\u007f\u200b\ufffd",
  ...["<|end|>", "don't", "HTTPServer", "1234567", "été ", "naïve,"],
];

function randomText(next: () => number, parts: number): string {
  // Some texts of few different parts, so that runs are long.
  const few = next() % 3 === 0 ? 1 + next() % 5 : PARTS.length, from = next();
  return Array.from({ length: parts }, () => {
    if (few === PARTS.length && next() % 16 === 0) return String.fromCodePoint(next() % 0x110000).toWellFormed();
    const part = PARTS[(from + next() % few) % PARTS.length]!;
    return next() % 24 === 0 ? part.repeat(1 + next() % 40) : part;
  }).join("");
}

const tiny = readTokenizerFile(TINY), o200k = o200kHarmony();

Deno.test("pieces have the words of the whole, however short they are, in texts of all scripts", async () => {
  const next = integers(11);
  for (const words of [wordsBy(tiny), wordsBy(await o200k)]) {
    let cuts = 0, wrong = 0;
    for (let i = 0; i < dose(4000, 200_000); i++) {
      const text = randomText(next, 1 + next() % 60), whole = words(text);
      for (const units of [1, 2, 5 + next() % 40]) {
        const pieces = [...safePieces(text, units)];
        assertEquals(pieces.join(""), text);
        assertEquals(pieces.flatMap(words), whole, JSON.stringify(pieces));
        cuts += pieces.length - 1;
      }
      // Other places would not do: what is compared here can differ.
      const at = next() % (text.length + 1), halves = [text.slice(0, at), text.slice(at)];
      if (halves.every((half) => half.isWellFormed())) {
        wrong += Number(JSON.stringify(halves.flatMap(words)) !== JSON.stringify(whole));
      }
    }
    assert(cuts > 10_000 && wrong > 500, `${cuts} cuts, ${wrong} of others wrong`);
  }
});

Deno.test("a letter and a digit before each character: what follows decides whether a text is cut there", async () => {
  const words = [wordsBy(tiny), wordsBy(await o200k)];
  // Of the code points that are no characters, or nobody's, which all patterns take for one class, every sixteenth.
  const noCharacter = /[\p{Cn}\p{Co}]/u;
  let left = 0;
  for (let code = 0; code < 0x110000; code += code < 0x3000 ? 1 : dose(13, 1)) {
    const one = String.fromCodePoint(code).toWellFormed(), text = `Ab${one}s1${one}x${one}`;
    if (noCharacter.test(one) && left++ % dose(16, 1) !== 0) continue;
    const pieces = [...safePieces(text, 1)];
    for (const cut of words) if (pieces.length > 1) assertEquals(pieces.flatMap(cut), cut(text), JSON.stringify(text));
  }
});

Deno.test("encodeByTurns() gives the tokens of encode(), and others their turns, also in one long word", async () => {
  const tokenizer = await Tokenizer.fromDirectory(TINY), next = integers(12);
  const texts = [
    randomText(next, 60_000),
    "漢".repeat(20_000),
    "!".repeat(60_000),
    "7".repeat(60_000),
    " ".repeat(9999),
  ];
  for (const text of texts) {
    let turns = 0, done = false;
    const turn = () => {
      turns++;
      if (!done) setImmediate(turn);
    };
    setImmediate(turn);
    let ids: Int32Array;
    {
      // Each piece takes as long as the event loop may be kept waiting.
      using _clock = new SetClock(1000, 40);
      ids = await tokenizer.encodeByTurns(text, { allowSpecial: true });
    }
    done = true;
    assertEquals(ids, tokenizer.encode(text, { allowSpecial: true }));
    assert(turns > 64, `${turns} turns`);
  }
  const segments = [{ special: "<|start|>" }, { text: texts[0]! }, { special: "<|end|>" }, { text: "Hi" }];
  assertEquals(await tokenizer.encodeSegmentsByTurns(segments), tokenizer.encodeSegments(segments));
});

Deno.test("only o200k's patterns are known to be cut safely", async () => {
  const { json } = await o200k, own = json["pre_tokenizer"] as { pretokenizers: Record<string, unknown>[] };
  assert(cutsLikeO200k(own) && cutsLikeO200k(tiny.json["pre_tokenizer"]));
  const [split, bytes] = own.pretokenizers;
  const others = [
    ...[null, {}, { type: "ByteLevel" }, { ...own, type: "Other" }, { ...own, pretokenizers: [split] }],
    { ...own, pretokenizers: [split, split, bytes] },
    { ...own, pretokenizers: [{ ...split, behavior: "Removed" }, bytes] },
    { ...own, pretokenizers: [{ ...split, pattern: { Regex: String.raw`\s+\S+` } }, bytes] },
    { ...own, pretokenizers: [split, { ...bytes, add_prefix_space: true }] },
    { ...own, pretokenizers: [split, { ...bytes, use_regex: true }] },
  ];
  assertEquals(others.map(cutsLikeO200k), others.map(() => false));
});
