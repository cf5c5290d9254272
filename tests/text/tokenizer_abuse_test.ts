/** Tokenizers that are made to cost time or memory, or whose parts are not what they must be. */
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { assertRefusedQuickly } from "../quickly.ts";

type Json = Record<string, unknown>;
const TINY = new URL("../../models/tiny-gpt-oss/", import.meta.url);
const tiny = (): Json => JSON.parse(Deno.readTextFileSync(new URL("tokenizer.json", TINY)));

async function load(json: Json, config: Json = {}): Promise<Tokenizer> {
  using dir = new TemporaryDirectory();
  dir.write("tokenizer.json", json);
  dir.write("tokenizer_config.json", config);
  return await Tokenizer.fromDirectory(dir.path);
}

const split = (pattern: unknown, more: Json = {}): Json => ({
  type: "Sequence",
  pretokenizers: [{ type: "Split", pattern, behavior: "Isolated", invert: false, ...more }, { type: "ByteLevel" }],
});

const PARTS: [what: string, parts: Json, line: RegExp][] = [
  [
    "exponential time",
    { pre_tokenizer: split({ Regex: "(a+)+$" }) },
    /pretokenizers\.0\.pattern\.Regex: .* linear time .* without bound/,
  ],
  [
    "quadratic time",
    { pre_tokenizer: split({ Regex: "a*b|a" }) },
    /pattern\.Regex: expected a pattern that takes linear time/,
  ],
  [
    "an unknown pattern",
    { pre_tokenizer: split({ Glob: "*" }) },
    /pretokenizers\.0: pattern: expected an object with Regex or String/,
  ],
  [
    "a pattern that is a number",
    { pre_tokenizer: split({ Regex: 1 }) },
    /pattern: expected an object with Regex or String/,
  ],
  [
    "no pattern",
    { pre_tokenizer: split(undefined) },
    /pattern: expected an object with Regex or String, a text, got nothing/,
  ],
  [
    "another behavior",
    { pre_tokenizer: split({ Regex: "a" }, { behavior: "MergedWithNext" }) },
    /behavior: expected Isolated or Removed/,
  ],
  [
    "invert that is a text",
    { pre_tokenizer: split({ Regex: "a" }, { invert: "no" }) },
    /invert: expected true or false, got "no"/,
  ],
  [
    "pieces of no length",
    { pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "FixedLength", length: 0 }, { type: "ByteLevel" }] } },
    /pretokenizers\.0: type: expected ByteLevel or .*got "FixedLength"/,
  ],
  [
    "parts that are a text",
    { pre_tokenizer: { type: "Sequence", pretokenizers: "x" } },
    /pretokenizers: expected a list, got "x"/,
  ],
  [
    "a part that is null",
    { pre_tokenizer: { type: "Sequence", pretokenizers: [7, { type: "ByteLevel" }] } },
    /pretokenizers\.0: expected an object with a type, got 7/,
  ],
  ["a normalizer that is a number", { normalizer: 3 }, /normalizer: expected an object with a type, got 3/],
  [
    "a normalizer that makes texts longer",
    { normalizer: { type: "Replace", pattern: { String: "a" }, content: "aa" } },
    /normalizer: type: expected NFC or .*got "Replace"/,
  ],
  ["depth", {
    pre_tokenizer: JSON.parse(
      '{"type":"Sequence","pretokenizers":['.repeat(10) + '{"type":"ByteLevel"}' + "]}".repeat(10),
    ),
  }, /expected lists of up to 4 within each other/],
];
for (const [what, parts, line] of PARTS) {
  Deno.test(`a tokenizer with ${what} is refused by the name of its part`, async () => {
    await assertRefusedQuickly(() => load({ ...tiny(), ...parts }), line, 5000);
  });
}

for (
  const [key, value] of [["fuse_unk", "x"], ["unk_token", 7], ["end_of_word_suffix", "</w>"], [
    "ignore_merges",
    [],
  ]] as const
) {
  Deno.test(`a model whose ${key} is of a wrong type is refused`, async () => {
    const json = tiny();
    await assertRefusedQuickly(
      () => load({ ...json, model: { ...json["model"] as Json, [key]: value } }),
      new RegExp(`tokenizer\\.json: model: ${key}: expected `),
      5000,
    );
  });
}

const BOS = { SpecialToken: { id: "<|startoftext|>", type_id: 0 } }, A = { Sequence: { id: "A", type_id: 0 } };
const template = (...single: unknown[]) => ({ type: "TemplateProcessing", single, pair: [], special_tokens: {} });
const BYTES = { type: "ByteLevel", trim_offsets: true };

Deno.test("what follows BPE is refused where others add tokens, or write other texts", async () => {
  let nested: Json = BYTES;
  for (let depth = 0; depth < 10; depth++) nested = { type: "Sequence", processors: [nested] };
  const refused: [parts: Json, line: RegExp][] = [
    [{ post_processor: template(BOS, A) }, /post_processor: single\.0/],
    [{ post_processor: template(A, BOS) }, /post_processor: single\.1/],
    [
      { post_processor: { type: "Sequence", processors: [BYTES, template(BOS, A)] } },
      /post_processor\.processors\.1: single\.0/,
    ],
    [
      { post_processor: { type: "BertProcessing", sep: ["x", 1], cls: ["y", 2] } },
      /post_processor: type: expected Byte/,
    ],
    [{ post_processor: nested }, /post_processor(\.processors\.0){4}: expected lists of up to 4 within each other/],
    [{ post_processor: 7 }, /post_processor: expected an object with a type, got 7/],
    [{ decoder: { type: "WordPiece" } }, /decoder: type: expected ByteLevel, got "WordPiece"/],
  ];
  for (const [parts, line] of refused) await assertRefusedQuickly(() => load({ ...tiny(), ...parts }), line, 5000);
  const sequence = { type: "Sequence", processors: [BYTES, template(A)] };
  for (const post_processor of [null, BYTES, template(A), sequence]) {
    const tokenizer = await load({ ...tiny(), post_processor, decoder: null });
    assert(tokenizer.encode("hello").length > 0);
  }
});

Deno.test("a model that leaves out merges at random is refused", async () => {
  const json = tiny(), with_ = (dropout: number | null) => ({ ...json, model: { ...json["model"] as Json, dropout } });
  await assertRefusedQuickly(() => load(with_(0.1)), /tokenizer\.json: model: dropout: expected none, got 0\.1/, 5000);
  assert((await load(with_(null))).encode("hello").length > 0);
});

Deno.test("a config that asks for other tokens than are made is refused by its key", async () => {
  for (const key of ["add_bos_token", "add_eos_token", "split_special_tokens"]) {
    const line = new RegExp(`tokenizer_config\\.json: ${key}: expected false, got true`);
    await assertRefusedQuickly(() => load(tiny(), { [key]: true }), line, 5000);
    assert((await load(tiny(), { [key]: false })).encode("hello").length > 0);
  }
  const line =
    /tokenizer_config\.json: add_prefix_space: expected false, as the pre_tokenizer of tokenizer\.json has it, /;
  await assertRefusedQuickly(() => load(tiny(), { add_prefix_space: true }), line, 5000);
  const pre_tokenizer = { type: "ByteLevel", add_prefix_space: true, use_regex: true };
  assert((await load({ ...tiny(), pre_tokenizer }, { add_prefix_space: true })).encode("hello").length > 0);
});

Deno.test("tokens of a config are read in linear time, and found in linear time", async () => {
  const decoder = Object.fromEntries(
    Array.from({ length: 100_000 }, (_, i) => [1024 + i, { content: `<|extra_${i}|>`, special: true }]),
  );
  const tokenizer = await load(tiny(), { added_tokens_decoder: decoder });
  assertEquals([...tokenizer.encode("<|extra_99999|><|extra_0|>", { allowSpecial: true })], [101_023, 1024]);
  // Each < begins a token that is none.
  assertEquals(tokenizer.split("<|extra_".repeat(20_000)).length, 1);
});

Deno.test("a token that is too long is refused", async () => {
  await assertRefusedQuickly(
    () => load(tiny(), { added_tokens_decoder: { 5000: { content: "x".repeat(300) } } }),
    /tokenizer_config\.json: added_tokens_decoder\.5000: content: expected up to 256 characters/,
    5000,
  );
});

Deno.test("values as deep as the file is long are refused in one line", async () => {
  using dir = new TemporaryDirectory();
  const deep = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;
  const text = Deno.readTextFileSync(new URL("tokenizer.json", TINY));
  for (const key of ["normalizer", "pre_tokenizer", "added_tokens", "model"]) {
    dir.write("tokenizer.json", `${text.trimEnd().slice(0, -1)},"${key}":${deep}}`);
    await assertRefusedQuickly(() => Tokenizer.fromDirectory(dir.path), /tokenizer\.json: .*expected/, 5000);
  }
});

Deno.test("a tokenizer that is a device or a pipe is refused", async () => {
  using dir = new TemporaryDirectory();
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    dir.write("tokenizer.json", tiny());
    Deno.removeSync(dir.write(name, ""));
    Deno.symlinkSync("/dev/zero", `${dir.path}/${name}`);
    await assertRefusedQuickly(() => Tokenizer.fromDirectory(dir.path), /expected a file, got a device/);
    Deno.removeSync(`${dir.path}/${name}`);
  }
});

Deno.test("runs of every kind are encoded in linear time", async () => {
  const tokenizer = await load(tiny());
  for (const run of ["\n", " ", "A", "1", ".", " \n", "<"]) {
    assert(tokenizer.encode(run.repeat(100_000) + "x").length > 1);
  }
});

Deno.test("a tokenizer may have more added tokens than a call takes arguments", async () => {
  const json = tiny(), added = json["added_tokens"] as Json[];
  for (let i = 0; i < 130_000; i++) added.push({ ...added[0], id: 1024 + i, content: `<|added ${i}|>` });
  const tokenizer = await load(json);
  // The longest is `<|added 129999|>`.
  assertEquals(tokenizer.fewestTokens(1600), 100);
});
