/** Normalizers and cuts beside Hugging Face's library in Rust: tests/goldens/text/make_cuts_golden.py. */
import { Tokenizer as Library } from "@huggingface/tokenizers";
import { foldByUnicode, foldedPattern } from "../../src/text/fold_unicode.ts";
import { withBlanksOfRust } from "../../src/text/library_tokenizer.ts";
import { normalizerOf } from "../../src/text/normalizers.ts";
import { assertEquals } from "../assert.ts";

type Part = { readonly type: string };
interface Golden {
  readonly texts: readonly string[];
  readonly normalizers: readonly (readonly [Part, readonly string[]])[];
  readonly pre_tokenizers: readonly (readonly [Part, readonly (readonly string[])[]])[];
}
const GOLDEN = new URL("../goldens/text/cuts.json", import.meta.url);
const { texts, normalizers, pre_tokenizers }: Golden = JSON.parse(Deno.readTextFileSync(GOLDEN));

/** Words of a text by a pre-tokenizer. */
function cutter(part: unknown): (text: string) => readonly string[] {
  const model = { type: "BPE", vocab: { a: 0 }, merges: [] };
  const file = { normalizer: null, pre_tokenizer: foldByUnicode(part), model, added_tokens: [], decoder: null };
  const library = new Library({ ...file, post_processor: null } as never, {} as never);
  return withBlanksOfRust(library as unknown as { pre_tokenizer: (text: string) => string[] }).pre_tokenizer;
}

for (const [part, expected] of normalizers) {
  Deno.test(`normalizerOf(${JSON.stringify(part)}) changes texts as in Rust`, () => {
    assertEquals(texts.map(normalizerOf(part)), expected);
  });
}

for (const [part, expected] of pre_tokenizers) {
  Deno.test(`foldByUnicode(${JSON.stringify(part)}) cuts texts as in Rust`, () => {
    const cut = cutter(part);
    // What is empty has no words here, and none or an empty one there.
    const words = texts.map((text) => text === "" ? [] : cut(text).filter(Boolean));
    assertEquals(words, expected.map((words) => words.filter(Boolean)));
  });
}

Deno.test("foldedPattern() is null where Rust folds more than one letter, or letters beyond ASCII", () => {
  const beyond = ["é", "h\u0331", "\u02bcn"], sets = ["[[:alpha:]]", "[a-z&&[^b]]", "[\\p{Lu}]", "[^'\\P{Ll}]"];
  // Rust folds these to `ß` too; of the rest, it would not be told which letters are between them, or behind the last.
  const together = ["ss", "a|fi", "Fl", "'St", "a(?:ff)", "s(?:s)", "(s)s", "s(?i:S)", "s{1}s", "S{1,1}s"];
  const ranges = ["[?-\\]]", "[\\t-\\r]", "[\\t-k]", "[^'s-]", "[s\\-]"];
  for (const body of [...beyond, ...sets, ...together, ...ranges, "\\x53", "\\u0053"]) {
    assertEquals(foldedPattern(`x(?i:${body})y`), null, body);
  }
  const untouched = ["é|ss|[[:alpha:]]", "(?i:'d|'ll|\\p{L}|\\)[)(])ss", "(?:s)", "\\p{N}{1,3}"];
  assertEquals(untouched.map(foldedPattern), untouched);
});
