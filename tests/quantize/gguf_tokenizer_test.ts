/** What becomes of a GGUF file's vocabulary where it is not as llama.cpp's converter writes that of gpt-oss. */
import type { GgufValue } from "../../src/checkpoint/gguf/cursor.ts";
import { InputError } from "../../src/errors.ts";
import { Metadata } from "../../src/quantize/gguf/metadata.ts";
import { ggufTokenizer } from "../../src/quantize/gguf/tokenizer.ts";
import { assertEquals, assertThrows } from "../assert.ts";

const TOKENS = ["a", "b", "ab", "<|call|>", "<|return|>", "<tool>", "[unused]", "<|endoftext|>"];
const KINDS = [1, 1, 1, 3, 3, 4, 5, 3];
const integer = (value: number) => ({ value, isInteger: true });

const NEEDED: Readonly<Record<string, GgufValue>> = {
  model: "gpt2",
  pre: "gpt-4o",
  tokens: TOKENS,
  merges: ["a b"],
  token_type: KINDS.map(integer),
};

/** What is made of these keys and others; `undefined` takes one away. */
function made(others: Readonly<Record<string, GgufValue | undefined>> = {}, rows = TOKENS.length) {
  const values = Object.entries({ ...NEEDED, ...others })
    .flatMap(([key, value]) => value === undefined ? [] : [[`tokenizer.ggml.${key}`, value] as const]);
  const { files, special } = ggufTokenizer(new Metadata(new Map(values), "x"), rows);
  return { special, json: JSON.parse(files["tokenizer.json"]!), config: JSON.parse(files["tokenizer_config.json"]!) };
}

Deno.test("ggufTokenizer() keeps every token's id by its kind, and leaves out unused ones", () => {
  const { json, special, config } = made();
  assertEquals(json.model.vocab, { a: 0, b: 1, ab: 2 });
  assertEquals(json.model.merges, [["a", "b"]]);
  const added = json.added_tokens.map(({ id, content, special }: Record<string, unknown>) => [id, content, special]);
  assertEquals(added, [
    [3, "<|call|>", true],
    [4, "<|return|>", true],
    [5, "<tool>", false],
    [7, "<|endoftext|>", true],
  ]);
  assertEquals(special, { eos: [4, 7, 3], pad: null, bos: null });
  assertEquals([config.eos_token, config.pad_token, config.bos_token], ["<|return|>", undefined, undefined]);
});

Deno.test("ggufTokenizer() takes special tokens by their ids, the file's own end first and each end once", () => {
  const ids = { eos_token_id: integer(7), padding_token_id: integer(6), bos_token_id: integer(0) };
  const { special, config } = made(ids);
  assertEquals(special, { eos: [7, 4, 3], pad: 6, bos: 0 });
  assertEquals([config.eos_token, config.pad_token, config.bos_token], ["<|endoftext|>", "[unused]", "a"]);
  for (const name of ["eos", "padding", "bos"]) {
    const key = `${name}_token_id`;
    for (const id of [-1, TOKENS.length]) {
      const line = `x: tokenizer.ggml.${key}: expected an id below 8, got ${id}`;
      assertThrows(() => made({ [key]: integer(id) }), InputError, line);
    }
  }
});

Deno.test("ggufTokenizer() refuses vocabularies that would give text other ids", () => {
  const cases: [key: string, value: GgufValue | undefined, line: string][] = [
    ["model", "llama", 'expected gpt2, got "llama"'],
    ["pre", "llama-bpe", 'expected gpt-4o, got "llama-bpe"'],
    ["add_bos_token", true, "expected false, got true"],
    ["add_eos_token", true, "expected false, got true"],
    ["add_space_prefix", true, "expected false, got true"],
    ["tokens", TOKENS.slice(1), "expected 8 of them, as token_embd.weight has rows, got 7"],
    ["token_type", KINDS.slice(1).map(integer), "expected 8 of them, as token_embd.weight has rows, got 7"],
    [
      "token_type",
      KINDS.with(1, 2).map(integer),
      "expected kinds 1, 3, 4 and 5: normal, control, user-defined, unused",
    ],
    ["tokens", TOKENS.with(1, "a"), "expected each token once, got a as 0 and 1"],
    ...["ab", "a ", " b", "a b ab"].map((merge) =>
      ["merges", [merge], "expected two tokens with a blank between them"] as [string, GgufValue, string]
    ),
    ...["tokens", "merges", "token_type"].map((key) =>
      [key, undefined, "expected a list of"] as [string, undefined, string]
    ),
  ];
  for (const [key, value, line] of cases) {
    assertThrows(() => made({ [key]: value }), InputError, `x: tokenizer.ggml.${key}: ${line}`, line);
  }
  for (const key of ["add_bos_token", "add_eos_token", "add_space_prefix"]) {
    assertEquals(made({ [key]: false }), made());
  }
});
