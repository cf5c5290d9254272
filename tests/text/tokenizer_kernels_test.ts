/** What the kernels read of a tokenizer.json beside what the script reads: the same, or they leave it to others. */
import { byteLevel, bytesOfPiece } from "../../src/text/byte_level.ts";
import { PairMerges } from "../../src/text/merges.ts";
import { o200kHarmony } from "../../src/text/o200k.ts";
import { pack, Pieces } from "../../src/text/pieces.ts";
import type { Scan, Scanned } from "../../src/text/scanned.ts";
import { kernelScan, scansFor } from "../../src/text/tokenizer_kernels.ts";
import { scanTokenizer } from "../../src/text/tokenizer_scan.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { compileKernels } from "../../src/wasm.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { dose } from "../soak.ts";
import { lehmer, path, readTokenizerFile, TINY } from "./goldens.ts";

const module = await compileKernels(), kernels = kernelScan(module), encoder = new TextEncoder();

/** Vocabulary and merges as a tokenizer.json has them, with whatever text is given for them. */
const fileOf = (vocab: string, merges: string) =>
  encoder.encode(`{"added_tokens":[],"model":{"type":"BPE","vocab":${vocab},"merges":${merges}}}`);

const bytes = Array.from({ length: 256 }, (_, byte) => byteLevel(Uint8Array.of(byte)));
const vocabOf = (words: readonly string[]) => JSON.stringify(Object.fromEntries(words.map((word, id) => [word, id])));

/** What finds the merges that were read. */
function mergesOf({ vocab, merges }: Scanned, pieces = new Pieces(vocab)): PairMerges {
  if ("latest" in merges) return new PairMerges(pieces, merges);
  const part = (i: number) => pieces.find(merges.bytes, i === 0 ? 0 : merges.ends[i - 1], merges.ends[i]);
  return PairMerges.of(pieces, merges.ends.length / 2, (i) => [part(2 * i), part(2 * i + 1)])!;
}

/** Checks that both read the same, by all pairs of some ids. */
function assertAlike(file: Uint8Array<ArrayBuffer>, scan: Scan, pairs: Iterable<readonly [number, number]>): void {
  const fast = scan(file), slow = scanTokenizer(file);
  assert(fast !== null && slow !== null, "both read it");
  const { bytes, starts, ends } = fast.vocab;
  assertEquals({ bytes, starts, ends, rest: fast.rest }, {
    bytes: slow.vocab.bytes,
    starts: slow.vocab.starts,
    ends: slow.vocab.ends,
    rest: slow.rest,
  });
  const [found, expected] = [mergesOf(fast), mergesOf(slow)];
  for (const [left, right] of pairs) {
    const rank = expected.rank(left, right);
    if (found.rank(left, right) !== rank) assertEquals(found.rank(left, right), rank, `${left}, ${right}`);
    if (rank >= 0) assertEquals(found.result(rank), expected.result(rank));
  }
}

Deno.test("the kernels read the merges that the script reads, wherever windows of the file end", () => {
  const below = lehmer(5), words = [...bytes], merges: [string, string][] = [];
  for (let i = 0; i < 400; i++) {
    const left = words[below(words.length)]!, right = words[below(words.length)]!;
    if (left.length + right.length > 24) continue;
    if (!words.includes(left + right)) words.push(left + right);
    // Some in the order of their results and some not, some twice.
    merges.splice(i % 3 === 0 ? below(merges.length + 1) : merges.length, 0, [left, right]);
    if (i % 11 === 0) merges.push([left, right]);
  }
  // Ids in another order than entries, and holes between them.
  const ids = words.map((_, i) => i < 256 ? i : 256 + 2 * ((i * 7) % words.length));
  const vocab = JSON.stringify(Object.fromEntries(words.map((word, i) => [word, ids[i]])), null, 2);
  const pairs = ids.flatMap((left) => ids.map((right) => [left, right] as const));
  for (const list of [JSON.stringify(merges, null, 4), JSON.stringify(merges.map((merge) => merge.join(" ")))]) {
    const file = fileOf(vocab, list);
    for (const windowBytes of [200, 201, 255, 1000, 1 << 18]) {
      assertAlike(file, kernelScan(module, windowBytes), windowBytes < 300 ? pairs.slice(0, 9000) : pairs);
    }
  }
});

Deno.test("parts of every length are read, up to where the script reads them", () => {
  for (const length of [2, 15, 16, 17, 2047, 2048, 2049, 5000]) {
    const long = "a".repeat(length), vocab = vocabOf([...bytes, long, `${long}b`]);
    const file = fileOf(vocab, JSON.stringify([[long, "b"]])), scanned = kernels(file);
    assert(scanTokenizer(file) !== null);
    if (length > 2048) assertEquals(scanned, null);
    else assertAlike(file, kernels, [[256, bytes.indexOf("b")], [bytes.indexOf("b"), 256]]);
  }
  // More bytes of parts than a batch has room for, and more merges than a batch has.
  const words = Array.from({ length: 200 }, (_, i) => "x".repeat(300 + i));
  const merges = words.map((word) => [word, "y"]),
    file = fileOf(
      vocabOf([...bytes, ...words, ...words.map((word) => `${word}y`)]),
      JSON.stringify(merges),
    );
  assertAlike(file, kernels, words.map((_, i) => [256 + i, bytes.indexOf("y")] as const));
});

Deno.test("what is not written as such files are is left to others", () => {
  const vocab = vocabOf([...bytes, "ab"]), merges = '[["a","b"]]', good = fileOf(vocab, merges);
  assert(kernels(good) !== null);
  const odd: Record<string, Uint8Array<ArrayBuffer>> = {
    "an id with a zero before it": fileOf(vocab.replace('"ab":256', '"ab":0256'), merges),
    "an id that is a fraction": fileOf(vocab.replace('"ab":256', '"ab":256.0'), merges),
    "a negative id": fileOf(vocab.replace('"ab":256', '"ab":-256'), merges),
    "an id of a million": fileOf(vocab.replace('"ab":256', '"ab":1000000'), merges),
    "an id of many digits": fileOf(vocab.replace('"ab":256', '"ab":4294967552'), merges),
    "an id twice": fileOf(vocab.replace('"ab":256', '"ab":97'), merges),
    "an entry twice": fileOf(vocab.replace("}", ',"ab":257}'), merges),
    "an entry of no bytes": fileOf(vocab.replace("}", ',"":257}'), merges),
    "a character outside of the alphabet": fileOf(vocab.replace('"ab"', '"a\u0144b"'), merges),
    "a character of three bytes": fileOf(vocab.replace('"ab"', '"a\u2028b"'), merges),
    "a control character": fileOf(vocab.replace('"ab"', '"a\x01b"'), merges),
    "a blank in an entry": fileOf(vocab.replace('"ab"', '"a b"'), merges),
    "an escaped character": fileOf(vocab.replace('"ab"', '"\\u0061b"'), merges),
    "no merge": fileOf(vocab, "[]"),
    "a part that is no entry": fileOf(vocab, '[["a","b"],["a","cc"]]'),
    "a left part that is no entry": fileOf(vocab, '[["a","b"],["cc","a"]]'),
    "a result that is no entry": fileOf(vocab, '[["a","b"],["a","c"]]'),
    "a part of no bytes": fileOf(vocab, '[["a","b"],["","ab"]]'),
    "three parts": fileOf(vocab, '[["a","b","c"]]'),
    "one part": fileOf(vocab, '[["a"]]'),
    "texts after pairs": fileOf(vocab, '[["a","b"],"a b"]'),
    "pairs after texts": fileOf(vocab, '["a b",["a","b"]]'),
    "two blanks in a text": fileOf(vocab, '["a  b"]'),
    "a comma before the end": fileOf(vocab, '[["a","b"],]'),
    "another bracket": fileOf(vocab, '[["a","b"}]'),
    "an end before the list's": good.subarray(0, good.length - 4),
    "merges before the vocabulary": encoder.encode(`{"model":{"merges":${merges},"vocab":${vocab}}}`),
  };
  for (const [what, file] of Object.entries(odd)) assertEquals(kernels(file), null, what);
});

Deno.test("without addresses for the kernels' memory the script reads the file, and another failure is told", () => {
  const file = fileOf(vocabOf([...bytes, "ab"]), '[["a","b"]]'), { Memory } = WebAssembly;
  const failing = (thrown: Error) => {
    WebAssembly.Memory = class extends Memory {
      constructor(descriptor: WebAssembly.MemoryDescriptor) {
        super(descriptor);
        throw thrown;
      }
    };
  };
  try {
    failing(new RangeError("could not allocate memory"));
    assertEquals(kernels(file), null);
    failing(new TypeError("something else"));
    assertThrows(() => kernels(file), TypeError, "something else");
  } finally {
    WebAssembly.Memory = Memory;
  }
  assert(kernels(file) !== null);
});

Deno.test("a special token that is an entry of a large vocabulary is hidden, whoever reads it", () => {
  const json = JSON.parse(Deno.readTextFileSync(`${TINY}/tokenizer.json`));
  const id = Object.keys(json.model.vocab).length;
  json.model.vocab["<tool>"] = id;
  const added = json.added_tokens as { id: number }[];
  for (const token of added) if (token.id >= id) token.id++;
  added.unshift({ ...added[0]!, ...{ id, content: "<tool>", special: true, normalized: false } });
  using dir = new TemporaryDirectory();
  Deno.writeTextFileSync(`${dir.path}/tokenizer.json`, JSON.stringify(json));
  const read = (scans: readonly Scan[]) => {
    const { pieces, added } = readTokenizerFile(dir.path, scans);
    return [pieces.has(id), pieces.find(encoder.encode("<tool>")), added.find((token) => token.id === id)?.content];
  };
  const expected = [true, -1, "<tool>"];
  for (const scans of [[], [scanTokenizer], [kernels], [kernels, scanTokenizer]]) assertEquals(read(scans), expected);
});

Deno.test("a file of gpt-oss's size is read by the kernels; texts have the tokens of OpenAI's tiktoken", async () => {
  const { pieces: all, json: parts } = await o200kHarmony(), whole = dose(20_000, all.count);
  const entries = Array.from({ length: whole }, (_, id) => all.bytes(id));
  const pieces = new Pieces(pack(entries)), words = entries.map(byteLevel);
  const merges: (readonly [string, string])[] = [];
  for (const entry of entries) {
    for (let cut = 1; cut < entry.length; cut++) {
      const [left, right] = [pieces.find(entry, 0, cut), pieces.find(entry, cut)];
      if (left >= 0 && right >= 0) merges.push([words[left]!, words[right]!]);
    }
  }
  const vocab = Object.fromEntries(words.map((word, id) => [word, id]));
  const json = { ...parts, added_tokens: [], model: { type: "BPE", vocab, merges } };
  const file = encoder.encode(JSON.stringify(json, null, 2));
  assertEquals((await scansFor(file)).length, file.length < 2 << 20 ? 1 : 2);
  const below = lehmer(3), random = Array.from({ length: 20_000 }, () => [below(whole), below(whole)] as const);
  const idOf = (part: string) => pieces.find(bytesOfPiece(part));
  const made = merges.map(([left, right]) => [idOf(left), idOf(right)] as const);
  assertAlike(file, kernels, [...made, ...random]);
  if (whole < all.count) return;
  using dir = new TemporaryDirectory();
  Deno.writeFileSync(`${dir.path}/tokenizer.json`, file);
  const tokenizer = await Tokenizer.fromDirectory(dir.path);
  const cases = JSON.parse(Deno.readTextFileSync(path("tests/goldens/text/o200k.json"))) as {
    readonly text: string;
    readonly ids: readonly number[];
  }[];
  for (const { text, ids } of cases) assertEquals([...tokenizer.encode(text)], ids, JSON.stringify(text));
});
