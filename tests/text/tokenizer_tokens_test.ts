/** What is asked of a tokenizer besides the tokens of a text: their bytes, their number, where special ones stand. */
import { InputError } from "../../src/errors.ts";
import { decode } from "../../src/text/stream_decoder.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { path, TINY } from "./goldens.ts";

const tiny = await Tokenizer.fromDirectory(TINY);
const odd = await Tokenizer.fromDirectory(path("tests/goldens/text/odd"));

type Json = Record<string, unknown>;

/** The embedded model's tokenizer with other members. */
async function changed(change: (json: Json) => void): Promise<Tokenizer> {
  using dir = new TemporaryDirectory();
  const json: Json = JSON.parse(Deno.readTextFileSync(`${TINY}/tokenizer.json`));
  change(json);
  dir.write("tokenizer.json", json);
  return await Tokenizer.fromDirectory(dir.path);
}

Deno.test("split() keeps the text before, between and behind special tokens", () => {
  for (const text of ["", "a", "a<|end|>", "<|end|>b", "a<|end|>b", "<|end|><|start|>x\n", "SEP<|nosuch|>é"]) {
    const segments = odd.split(text);
    assertEquals(segments.map((one) => "text" in one ? one.text : one.special).join(""), text);
    assert(segments.every((one) => "special" in one || one.text !== ""), text);
    const specials = segments.flatMap((one) => "special" in one ? [one.special] : []);
    assertEquals(specials, text.match(/<\|(?:end|start)\|>/g) ?? []);
    assertEquals([...odd.encodeSegments(segments)], [...odd.encode(text, { allowSpecial: true })], text);
  }
});

Deno.test("copyBytes() writes a token's bytes where they have room, of every token those of bytes()", () => {
  for (const tokenizer of [tiny, odd]) {
    // One without a name at the end.
    for (let id = 0; id <= tokenizer.vocabSize; id++) {
      const bytes = tokenizer.bytes(id), { length } = bytes, target = new Uint8Array(length + 2);
      assertEquals(tokenizer.copyBytes(id, target, 1), length + 1);
      assertEquals(target, Uint8Array.of(0, ...bytes, 0), `${id}`);
      const tight = new Uint8Array(length), short = new Uint8Array(length - 1);
      assertEquals([tokenizer.copyBytes(id, tight, 0), tight], [length, bytes]);
      assert(tokenizer.copyBytes(id, short, 0) > short.length && short.every((byte) => byte === 0), `${id}`);
    }
  }
});

Deno.test("fewestTokens() is no more than a text has, and reached by the longest token", async () => {
  const cases: { text: string }[] = JSON.parse(Deno.readTextFileSync(path("tests/goldens/text/tokenizer-odd.json")));
  const strips = await changed((json) => json["normalizer"] = { type: "Strip", strip_left: true, strip_right: true });
  for (const tokenizer of [tiny, odd, strips]) {
    for (const { text } of cases) {
      for (const allowSpecial of [true, false]) {
        const { length } = tokenizer.encode(text, { allowSpecial });
        if (tokenizer === strips && text.trim() === "") continue;
        assert(tokenizer.fewestTokens(text.length) <= length, text);
      }
    }
  }
  const longest = (tokenizer: Tokenizer) =>
    Math.max(...Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.bytes(id).length));
  for (const tokenizer of [tiny, odd]) {
    const units = longest(tokenizer);
    assertEquals([0, 1, units, units + 1].map((count) => tokenizer.fewestTokens(count)), [0, 1, 1, 2]);
  }
  // A normalizer may leave out all but one character.
  assertEquals([0, 1, 10_000].map((count) => strips.fewestTokens(count)), [0, 1, 1]);
});

Deno.test("vocabSize is one more than the highest id that has a name", async () => {
  const added = (json: Json) => json["added_tokens"] as { id: number; content: string }[];
  const last = Math.max(...added(JSON.parse(Deno.readTextFileSync(`${TINY}/tokenizer.json`))).map(({ id }) => id));
  assertEquals(tiny.vocabSize, last + 1);
  const more = await changed((json) => added(json).push({ ...added(json)[0]!, id: last + 1, content: "<|more|>" }));
  assertEquals([more.vocabSize, more.specialName(last + 1), tiny.specialName(last + 1)], [
    last + 2,
    "<|more|>",
    `<|reserved_${last + 1}|>`,
  ]);
});

Deno.test("a text that comes out of a tokenizer as other bytes is refused", async () => {
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
  const twice = await changed((json) => json["pre_tokenizer"] = { type: "Sequence", pretokenizers: [bytes, bytes] });
  assertEquals(twice.encode("ab").length, 2);
  assertThrows(() => twice.encode("\u00e9"), InputError, "comes out as 4 of 2 bytes");
});

/** Added tokens that are entries of the vocabulary. */
function addedEntry(content: string, special: boolean): Promise<Tokenizer> {
  return changed((json) => {
    const { vocab } = json["model"] as { vocab: Record<string, number> };
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    (json["added_tokens"] as unknown[]).push({ id: vocab[content], content, special, ...flags });
  });
}

Deno.test("a special token that texts become without it is refused when the tokenizer is read", async () => {
  for (
    const [content, said] of [
      ["!", 'added_tokens: expected no special token to be the only one of a byte, 33, got "!"'],
      ["\u0130", "added_tokens: expected no special token to be the only one of a byte, 142, got"],
      [" the", 'expected to make an entry that texts become, and no special one, got "\u0120the"'],
    ] as const
  ) {
    await assertRejects(() => addedEntry(content.replace(" ", "\u0120"), true), InputError, said);
  }
});

Deno.test("an entry of the vocabulary that is added too stays the byte that it spells", async () => {
  // U+0130 spells the byte 0x8e; what tokenizers 0.23.3 makes of both.
  const tokenizer = await addedEntry("\u0130", false);
  const ids = [...tokenizer.encode("\u00ce\u0130\u010e \u0130")];
  assertEquals(ids, [127, 236, 236, 128, 236, 220, 236]);
  assertEquals(decode(tokenizer, ids, "keep"), "\u00ce\ufffd\u010e \ufffd");
});

Deno.test("ignore_merges gives a word its own entry, where merges would not, however the file is written", async () => {
  // " the" has an entry, and here no merge that makes it.
  const written = (ignores: boolean) => {
    const json = JSON.parse(Deno.readTextFileSync(`${TINY}/tokenizer.json`)), { model } = json;
    const merges = model.merges as (string | readonly string[])[];
    const rest = merges.filter((merge) => (typeof merge === "string" ? merge.split(" ") : merge).join("") !== "Ġthe");
    assertEquals(rest.length, merges.length - 1);
    return JSON.stringify({ ...json, model: { ...model, merges: rest, ignore_merges: ignores } });
  };
  const ids = async (text: string) => {
    using dir = new TemporaryDirectory();
    dir.write("tokenizer.json", text);
    const tokenizer = await Tokenizer.fromDirectory(dir.path);
    return [...tokenizer.encode(" the")];
  };
  const [entry, ...more] = tiny.encode(" the");
  assertEquals(more, []);
  for (const change of [(text: string) => text, (text: string) => text.replace('"vocab"', '"v\\u006fcab"')]) {
    assertEquals(await ids(change(written(true))), [entry]);
    // What tokenizers 0.23.3 makes of it: " t" and "he".
    assertEquals(await ids(change(written(false))), [257, 256]);
  }
});

Deno.test("a long text is cut as its pre-tokenizer cuts it, where that is another than o200k's", async () => {
  const split = { type: "Split", pattern: { Regex: "\\w+|[^\\w]+" }, behavior: "Isolated", invert: false };
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
  const tokenizer = await changed((json) => {
    json["pre_tokenizer"] = { type: "Sequence", pretokenizers: [split, bytes] };
    // In the place of the last merge and its entry, so that all ids stay what they are.
    const { vocab, merges } = json["model"] as { vocab: Record<string, number>; merges: (string | string[])[] };
    const last = merges.pop()!,
      [left, right] = typeof last === "string" ? last.split(" ") : last,
      entry = left! + right!;
    vocab["a_"] = vocab[entry]!;
    delete vocab[entry];
    merges.push(typeof last === "string" ? "a _" : ["a", "_"]);
  });
  const pair = tokenizer.encode("a_");
  assertEquals(pair.length, 1);
  // One word of more than the 8192 units after which o200k's texts are cut behind a letter.
  const ids = tokenizer.encode("a_".repeat(10_000));
  assertEquals([ids.length, new Set(ids)], [10_000, new Set(pair)]);
});
