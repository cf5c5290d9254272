import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "../assert.ts";
import { InputError } from "../../src/errors.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { decode } from "../../src/text/stream_decoder.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { int32Tensors, path, problems, TINY } from "./goldens.ts";

const tiny = await Tokenizer.fromDirectory(TINY);
const odd = await Tokenizer.fromDirectory(path("tests/goldens/text/odd"));

/** A case of tests/goldens/text/tokenizer-*.json. */
interface Case {
  readonly text: string;
  readonly plain: number[];
  readonly special: number[];
}

const cases = (name: string): Case[] => JSON.parse(Deno.readTextFileSync(path(`tests/goldens/text/${name}.json`)));
const same = (ids: Int32Array, expected: readonly number[], text: string) =>
  assertEquals([...ids], [...expected], JSON.stringify(text));

Deno.test("encode() makes the ids of the logits golden from its conversations", () => {
  const all = problems();
  const text = (from: number, to: number) =>
    all.slice(from, to).map(({ question, steps, answer }) =>
      `<|start|>user<|message|>${question}<|end|><|start|>assistant<|channel|>analysis<|message|>${steps}<|end|>` +
      `<|start|>assistant<|channel|>final<|message|>#### ${answer}<|return|>`
    ).join("");
  const ids = int32Tensors(path("tests/goldens/logits.safetensors"));
  for (const [name, from, to] of [["one_turn", 7, 8], ["two_turns", 20, 22], ["long", 40, 46]] as const) {
    same(tiny.encode(text(from, to), { allowSpecial: true }), ids.get(`${name}.ids`)!, name);
  }
  const prompt = `<|start|>user<|message|>${all[7]!.question}<|end|><|start|>assistant`;
  same(tiny.encode(prompt, { allowSpecial: true }), ids.get("greedy.prompt")!, "greedy.prompt");
});

for (const [name, tokenizer] of [["tokenizer-tiny", tiny], ["tokenizer-odd", odd]] as const) {
  Deno.test(`encode() agrees with Rust on ${name}.json, special tokens as text`, () => {
    for (const { text, plain } of cases(name)) same(tokenizer.encode(text), plain, text);
  });

  Deno.test(`encode() agrees with Rust on ${name}.json, special tokens recognised`, () => {
    for (const { text, special } of cases(name)) same(tokenizer.encode(text, { allowSpecial: true }), special, text);
  });

  Deno.test(`encode() never makes a special token from text, and loses nothing (${name}.json)`, () => {
    for (const { text } of cases(name)) {
      const ids = tokenizer.encode(text);
      assert(ids.every((id) => !tokenizer.isSpecial(id)), text);
      assertEquals(decode(tokenizer, ids, "skip"), text);
      assertEquals(decode(tokenizer, tokenizer.encode(text, { allowSpecial: true }), "keep"), text);
    }
  });
}

Deno.test("encode() turns a lone surrogate into U+FFFD", () => {
  same(tiny.encode("a\ud800b"), [...tiny.encode("a\ufffdb")], "lone surrogate");
});

Deno.test("encode() reads a long text that is one word", () => {
  // Quadratic merging would take minutes here.
  assertEquals(decode(tiny, tiny.encode("ab".repeat(100_000)), "skip"), "ab".repeat(100_000));
});

Deno.test("encodeSegments() joins texts and takes special tokens from special segments alone", () => {
  const ids = tiny.encodeSegments([
    { special: "<|start|>" },
    { text: "us" },
    { text: "er" },
    { special: "<|message|>" },
    { text: "<|end|>" },
    { special: "<|end|>" },
  ]);
  const plain = tiny.encode("<|end|>");
  same(ids, [1020, ...tiny.encode("user"), 1022, ...plain, 1021], "segments");
  assertNotEquals(plain.length, 1);
});

Deno.test("encodeSegments() refuses a special token that the tokenizer lacks", () => {
  assertThrows(
    () => tiny.encodeSegments([{ special: "<|nosuch|>" }]),
    InputError,
    "expected the special token <|nosuch|>",
  );
});

Deno.test("special() knows the names of tokenizer.json", () => {
  assertEquals(tiny.special("<|return|>"), 1017);
  assertEquals(tiny.special("return"), undefined);
  assertEquals(tiny.special("SEP"), undefined);
  assertEquals([...tiny.specials.keys()].length, 9);
  assertEquals(tiny.vocabSize, 1024);
});

Deno.test("isSpecial() tells structure from text", () => {
  assert(tiny.isSpecial(1021));
  assert(!tiny.isSpecial(0));
  assert(tiny.isSpecial(5000), "an id without a name is no text");
  const sep = odd.encode("SEP");
  assertEquals(sep.length, 1);
  assert(!odd.isSpecial(sep[0]!), "an added token need not be special");
});

Deno.test("bytes() gives the raw bytes of a token, names of special and reserved ones", () => {
  const text = (id: number) => new TextDecoder().decode(tiny.bytes(id));
  assertEquals(text(1021), "<|end|>");
  assertEquals(text(5000), "<|reserved_5000|>");
  const ids = tiny.encode("語");
  assertEquals([...ids].flatMap((id) => [...tiny.bytes(id)]), [0xe8, 0xaa, 0x9e]);
});

Deno.test("split() cuts at special tokens and at nothing else", () => {
  assertEquals(odd.split("a SEP<|end|><|nosuch|><|end|>"), [
    { text: "a SEP" },
    { special: "<|end|>" },
    { text: "<|nosuch|>" },
    { special: "<|end|>" },
  ]);
  assertEquals(odd.split(""), []);
});

// ---------------------------------------------------------------- refusals

type Json = { [key: string]: unknown };
const tinyJson = (): Json => JSON.parse(Deno.readTextFileSync(`${TINY}/tokenizer.json`));

async function refuse(json: Json | string | null, message: string, config?: string): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    const text = typeof json === "string" ? json : JSON.stringify(json);
    if (json !== null) await Deno.writeTextFile(`${dir}/tokenizer.json`, text);
    if (config !== undefined) await Deno.writeTextFile(`${dir}/tokenizer_config.json`, config);
    const error = await assertRejects(() => Tokenizer.fromDirectory(dir), InputError, message);
    assert(error.message.startsWith(dir) && !error.message.includes("\n"), error.message);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("fromDirectory() refuses a directory without tokenizer.json", () =>
  refuse(null, "tokenizer.json: not found, expected the checkpoint's tokenizer"));

Deno.test("fromDirectory() refuses a tokenizer.json that is no JSON or no object", async () => {
  await refuse("{", "tokenizer.json: not JSON: ");
  await refuse("[]", "tokenizer.json: expected a JSON object, got an array");
  await refuse("version https://git-lfs.github.com/spec/v1\n", "tokenizer.json: expected JSON, got a git-LFS pointer");
});

Deno.test("fromDirectory() refuses a garbled tokenizer_config.json", () =>
  refuse(tinyJson(), "tokenizer_config.json: not JSON: ", "{,"));

const vocabOf = (json: Json) => (json["model"] as Json)["vocab"] as Json;
const withModel = (change: (model: Json) => void): Json => {
  const json = tinyJson();
  change(json["model"] as Json);
  return json;
};
const without = (object: Json, key: string): Json =>
  Object.fromEntries(Object.entries(object).filter(([k]) => k !== key));

Deno.test("fromDirectory() refuses a model that is not byte-level BPE", async () => {
  await refuse({ ...tinyJson(), model: 3 }, "model: expected an object, got 3");
  await refuse(withModel((m) => m["type"] = "Unigram"), 'model.type: expected "BPE", got "Unigram"');
  await refuse({ ...tinyJson(), pre_tokenizer: null }, "pre_tokenizer: expected one that ends in ByteLevel, got null");
  await refuse(
    { ...tinyJson(), pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Digits" }] } },
    "pre_tokenizer: expected one that ends in ByteLevel, got an object",
  );
});

Deno.test("fromDirectory() refuses a vocabulary with bad, doubled or missing ids", async () => {
  await refuse(withModel((m) => m["vocab"] = []), "model.vocab: expected an object, got an array");
  for (const bad of [-1, 1.5, "7", null, 1e9]) {
    await refuse(
      withModel((m) => (m["vocab"] as Json)["zz"] = bad),
      `model.vocab["zz"]: expected an id, got ${JSON.stringify(bad)}`,
    );
  }
  await refuse(withModel((m) => (m["vocab"] as Json)["zz"] = 0), 'id 0 belongs to both "!" and "zz"');
  await refuse(withModel((m) => m["vocab"] = without(m["vocab"] as Json, "Ġ")), "got none for byte 32");
  await refuse(
    withModel((m) => (m["vocab"] as Json)["a b"] = 3000),
    'model.vocab["a b"]: expected byte-level characters only',
  );
});

Deno.test("fromDirectory() refuses garbled merges", async () => {
  await refuse(withModel((m) => m["merges"] = {}), "model.merges: expected an array, got an object");
  await refuse(withModel((m) => m["merges"] = ["a b", "ab"]), 'model.merges[1]: expected two pieces, got "ab"');
  await refuse(
    withModel((m) => m["merges"] = [["a", "b"], ["a"]]),
    "model.merges[1]: expected two pieces, got an array of 1",
  );
  for (const pair of [["qq", "a"], ["a", "qq"]]) {
    await refuse(withModel((m) => m["merges"] = [pair]), 'merges[0]: expected entries of model.vocab, got "qq"');
  }
});

Deno.test("fromDirectory() refuses garbled added tokens", async () => {
  const withAdded = (token: Json): Json => ({ ...tinyJson(), added_tokens: [token] });
  await refuse({ ...tinyJson(), added_tokens: 1 }, "added_tokens: expected an array, got 1");
  await refuse({ ...tinyJson(), added_tokens: [null] }, "added_tokens[0]: expected an object, got null");
  await refuse(withAdded({ id: -2, content: "<x>" }), "added_tokens[0]: id: expected an id, got -2");
  await refuse(withAdded({ id: 2000, content: "" }), 'added_tokens[0]: content: expected a text, got ""');
  await refuse(withAdded({ id: 2000, content: "<x>", lstrip: true }), "added_tokens[0] (<x>): lstrip: expected false");
  await refuse(
    withAdded({ id: 0, content: "<x>", special: true, normalized: false }),
    'added_tokens[0] (<x>): id 0 belongs to "!" in model.vocab',
  );
  const twice = { id: 2000, content: "<x>", special: true, normalized: false };
  await refuse({ ...tinyJson(), added_tokens: [twice, twice] }, "added_tokens[1] (<x>, id 2000): is there twice");
});

Deno.test("fromDirectory() refuses ids of added tokens other than those that tokenizers gives them", async () => {
  // What tokenizers 0.23.3 makes of the same files: it takes their order, and warns.
  const added = () => tinyJson()["added_tokens"] as { id: number; content: string }[];
  const given = (i: number, next: number, got: number) =>
    `added_tokens[${i}] (${
      added()[i]!.content
    }): expected id ${next}, which Hugging Face's tokenizers gives it, got ${got}`;
  const withTokens = (change: (tokens: { id: number; content: string }[]) => unknown) => {
    const tokens = added();
    change(tokens);
    return { ...tinyJson(), added_tokens: tokens };
  };
  await refuse(withTokens((t) => t[3]!.id += 100), given(3, 1018, 1118));
  await refuse(
    withTokens((t) => t.splice(3, 1)),
    "added_tokens[3] (<|channel|>): expected id 1018, which Hugging Face's tokenizers gives it, got 1019",
  );
  await refuse(
    withTokens((t) => t.reverse()),
    "added_tokens[0] (<|call|>): expected id 1015, which Hugging Face's tokenizers gives it, got 1023",
  );
  const entry = withModel((m) => (m["vocab"] as Json)["zzzz"] = 1024);
  await refuse(entry, given(0, 1016, 1015));
  // An entry of the vocabulary that is an added token too keeps its id.
  await refuse(
    withTokens((t) => t.push({ ...t[0]!, id: 1024, content: "a" })),
    "added_tokens[9] (a): expected id 64, which Hugging Face's tokenizers gives it, got 1024",
  );
});

Deno.test("fromDirectory() refuses a vocabulary that lacks the result of a merge", async () => {
  const json = tinyJson();
  const [merge] = (json["model"] as Json)["merges"] as (string | string[])[];
  const [left, right] = typeof merge === "string" ? merge.split(" ") : merge!;
  (json["model"] as Json)["vocab"] = without(vocabOf(json), left! + right!);
  await refuse(json, `model.merges[0]: expected to make an entry of model.vocab, got "${left! + right!}"`);
});

Deno.test("fromDirectory() reads special tokens that only tokenizer_config.json names, one like a word", async () => {
  const json = tinyJson();
  for (const { id, content } of json["added_tokens"] as { id: number; content: string }[]) vocabOf(json)[content] = id;
  const config = {
    added_tokens_decoder: { "1024": { content: "<|extra|>", special: true }, "1021": { content: "<|other|>" } },
  };
  const dir = await Deno.makeTempDir();
  await Deno.writeTextFile(`${dir}/tokenizer.json`, JSON.stringify(json));
  await Deno.writeTextFile(`${dir}/tokenizer_config.json`, JSON.stringify(config));
  const tokenizer = await Tokenizer.fromDirectory(dir);
  await Deno.remove(dir, { recursive: true });
  assertEquals(tokenizer.special("<|extra|>"), 1024);
  assertEquals(tokenizer.special("<|other|>"), undefined);
  same(tokenizer.encode("<|extra|>", { allowSpecial: true }), [1024], "<|extra|>");
  same(tokenizer.encode("<|end|>"), [...tiny.encode("<|end|>")], "<|end|> as text");
});

Deno.test("encode() leaves out what a Split removes, and nothing of what it isolates, inverted or not", async () => {
  const split = (text: string, behavior: string, invert: boolean) => ({
    type: "Sequence",
    pretokenizers: [
      { type: "Split", pattern: { String: text }, behavior, invert },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    ],
  });
  const ids = async (pre_tokenizer: unknown, text: string) => {
    using dir = new TemporaryDirectory();
    dir.write("tokenizer.json", { ...tinyJson(), pre_tokenizer });
    return [...(await Tokenizer.fromDirectory(dir.path)).encode(text)];
  };
  // What tokenizers 0.23.3 makes of them.
  assertEquals(await ids(split("--", "Removed", false), "the--cat--"), [
    ...await ids(split("--", "Isolated", false), "the"),
    ...await ids(split("--", "Isolated", false), "cat"),
  ]);
  const dashes = await ids(split("--", "Isolated", false), "--");
  assertEquals(await ids(split("--", "Removed", true), "the--cat--"), [...dashes, ...dashes]);
  assertEquals(await ids(split("--", "Removed", true), "the cat"), []);
  const isolated = await ids(split("--", "Isolated", false), "the--cat");
  assertEquals(await ids(split("--", "Isolated", true), "the--cat"), isolated);
  assertEquals(isolated.length > 2, true);
});
