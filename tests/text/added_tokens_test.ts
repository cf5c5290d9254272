/** Added tokens beside Hugging Face's library in Rust: tests/goldens/text/make_added_golden.py. */
import { InputError } from "../../src/errors.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals, assertNotEquals, assertRejects } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { path, TINY } from "./goldens.ts";

type Json = Record<string, unknown>;
interface Golden {
  readonly normalizer: Json | null;
  readonly added: readonly Json[];
  readonly texts: readonly { readonly text: string; readonly plain: number[]; readonly special: number[] }[];
}
const goldens: readonly Golden[] = JSON.parse(Deno.readTextFileSync(path("tests/goldens/text/added.json")));

/** The embedded model's tokenizer with a normalizer and more added tokens, and a config. */
async function tokenizerOf(normalizer: Json | null, added: readonly Json[], config: Json = {}): Promise<Tokenizer> {
  using dir = new TemporaryDirectory();
  const json: Json = JSON.parse(Deno.readTextFileSync(`${TINY}/tokenizer.json`));
  dir.write("tokenizer.json", { ...json, normalizer, added_tokens: [...json["added_tokens"] as Json[], ...added] });
  dir.write("tokenizer_config.json", config);
  return await Tokenizer.fromDirectory(dir.path);
}

for (const { normalizer, added, texts } of goldens) {
  const name = `${JSON.stringify(normalizer)} and ${added.map((one) => one["content"])}`;
  Deno.test(`encode() finds added tokens as Rust does: ${name}`, async () => {
    const tokenizer = await tokenizerOf(normalizer, added);
    for (const { text, plain, special } of texts) {
      assertEquals([...tokenizer.encode(text)], plain, text);
      assertEquals([...tokenizer.encode(text, { allowSpecial: true })], special, text);
      const segments = tokenizer.split(text);
      assertEquals(segments.map((one) => "text" in one ? one.text : one.special).join(""), text);
      assert(segments.every((one) => "special" in one || one.text !== ""), text);
      assertEquals([...tokenizer.encodeSegments(segments)], special, text);
    }
  });
}

const token = (id: number, content: string, normalized: boolean, special = false): Json => ({
  id,
  content,
  special,
  normalized,
});

Deno.test("an added token of a config that does not say so is normalized where it is not special", async () => {
  const lower = { type: "Lowercase" };
  const special = await tokenizerOf(lower, [], {
    added_tokens_decoder: { "1024": { content: "<|S|>", special: true } },
  });
  assertEquals([...special.encode("<|S|>", { allowSpecial: true })], [1024]);
  assertNotEquals([...special.encode("<|s|>", { allowSpecial: true })], [1024]);
  const entries = { "1024": { content: "SEP" }, "1025": { content: "RAW", normalized: false } };
  const config = await tokenizerOf(lower, [], { added_tokens_decoder: entries });
  assertEquals([...config.encode("sep")], [1024]);
  assertEquals([...config.encode("RAW")], [1025]);
  assertNotEquals([...config.encode("raw")], [1025]);
});

Deno.test("an added token whose kinds Hugging Face's tokenizers 0.23 does not read is refused", async () => {
  for (
    const [flags, message] of [
      [{ special: undefined }, "special: not there, expected true or false"],
      [{ normalized: undefined }, "normalized: not there, expected true or false"],
      [{ special: 1 }, "special: expected true or false, got 1"],
      [{ special: "true" }, 'special: expected true or false, got "true"'],
      [{ normalized: null }, "normalized: expected true or false, got null"],
      [{ lstrip: "no" }, 'lstrip: expected true or false, got "no"'],
      [{ rstrip: 0 }, "rstrip: expected true or false, got 0"],
      [{ single_word: null }, "single_word: expected true or false, got null"],
    ] as const
  ) {
    const added = { ...token(1024, "SEP", false), ...flags };
    const { message: said } = await assertRejects(() => tokenizerOf(null, [added]), InputError);
    assert(said.includes(`tokenizer.json: added_tokens[`) && said.endsWith(`(SEP): ${message}`), said);
  }
});

Deno.test("an added token that only a config has is refused where it takes blanks, or is no truth", async () => {
  for (
    const [flags, message] of [
      [{ lstrip: true }, "lstrip: expected false, got true"],
      [{ rstrip: true }, "rstrip: expected false, got true"],
      [{ single_word: true }, "single_word: expected false, got true"],
      [{ special: "true" }, 'special: expected true or false, got "true"'],
    ] as const
  ) {
    const config = { added_tokens_decoder: { "1024": { content: "SEP", ...flags } } };
    const { message: said } = await assertRejects(() => tokenizerOf(null, [], config), InputError);
    assert(said.endsWith(`tokenizer_config.json: added_tokens_decoder.1024 (SEP): ${message}`), said);
  }
});

Deno.test("added tokens are refused that are nothing, the same or special once they are normalized", async () => {
  const refuse = async (normalizer: Json, added: readonly Json[], message: string) => {
    const { message: said } = await assertRejects(() => tokenizerOf(normalizer, added), InputError);
    assert(said.endsWith(message) && said.includes("tokenizer.json: "), said);
  };
  const strip = { type: "Strip", strip_left: true, strip_right: true }, lower = { type: "Lowercase" };
  await refuse(strip, [token(1024, "  ", true)], "added token   : is normalized to nothing");
  const twice = [token(1024, "SEP", true), token(1025, "sep", true)];
  await refuse(lower, twice, "added token sep: is normalized to what SEP is");
  const special =
    "added token <|s|>: normalized: expected false for a special token, as there is a normalizer, got true";
  await refuse(lower, [token(1024, "<|s|>", true, true)], special);
});
