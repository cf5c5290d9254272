/** The fast readers of tokenizer.json beside the reader of JSON: the same tokenizer, or the same refusal. */
import { InputError } from "../../src/errors.ts";
import type { Scan } from "../../src/text/scanned.ts";
import { kernelScan } from "../../src/text/tokenizer_kernels.ts";
import { scanTokenizer } from "../../src/text/tokenizer_scan.ts";
import { compileKernels } from "../../src/wasm.ts";
import { assert, assertEquals } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { dose } from "../soak.ts";
import { lehmer, path, readTokenizerFile, TINY } from "./goldens.ts";

const encoder = new TextEncoder();
const latin = (word: string) => Uint8Array.from(word, (character) => character.charCodeAt(0));

const module = await compileKernels();
/** The script, and the kernels with a few entries and with all of the file in their memory at once. */
const SCANS: readonly Scan[] = [(file) => scanTokenizer(file), kernelScan(module, 300), kernelScan(module)];

/** What comes of a file: all entries, some words' ids, added tokens; or the refusal. */
function outcome(dir: string, ...scans: readonly Scan[]): unknown {
  try {
    const { pieces, pairs, added } = readTokenizerFile(dir, scans);
    const entries = Array.from({ length: pieces.count }, (_, id) => pieces.has(id) ? [...pieces.bytes(id)] : null);
    const words = ["the", " apples", "<|end|>", "\xff\x00a", "aaaa", "12 34"];
    return [entries, words.map((word) => [...pairs.encode(word, latin)]), added];
  } catch (thrown) {
    assert(thrown instanceof InputError, `${thrown}`);
    return thrown.message;
  }
}

for (const dir of [TINY, path("tests/goldens/text/odd")]) {
  Deno.test(`scanTokenizer() reads what JSON says, however it is indented (${dir.split("/").at(-1)})`, () => {
    const expected = outcome(dir), json = JSON.parse(Deno.readTextFileSync(`${dir}/tokenizer.json`));
    for (const scan of SCANS) assertEquals(outcome(dir, scan), expected);
    const { vocab, ...model } = json.model;
    // Merges before the vocabulary, pairs as texts, everything escaped that may be.
    const reversed = { ...json, model: { merges: model.merges.map(asText), ...model, vocab } };
    const merged = { ...json, model: { vocab, ...model, merges: model.merges.map(asText) } };
    const escaped = JSON.stringify(merged, null, "\t")
      .replaceAll(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
    for (const text of [JSON.stringify(json), JSON.stringify(merged, null, 2), escaped, JSON.stringify(reversed)]) {
      using copy = new TemporaryDirectory();
      copyTo(copy, encoder.encode(text));
      assert(scanTokenizer(encoder.encode(text)) !== null, "it was scanned");
      for (const scan of SCANS) assertEquals(outcome(copy.path, scan, scanTokenizer), expected);
    }
  });
}

const asText = (merge: string | string[]) => typeof merge === "string" ? merge : merge.join(" ");

function copyTo(to: TemporaryDirectory, tokenizer: Uint8Array): void {
  Deno.writeFileSync(`${to.path}/tokenizer.json`, tokenizer);
}

Deno.test("a tokenizer.json with random bytes changed is read alike both ways, or refused alike", () => {
  // The smallest vocabulary that is one: all bytes, two merges, and what else a file has.
  const { model, ...rest } = JSON.parse(Deno.readTextFileSync(`${TINY}/tokenizer.json`));
  const few = Object.entries(model.vocab as Record<string, number>).filter(([piece, id]) =>
    piece.length === 1 || id < 300
  );
  const vocab = Object.fromEntries(few);
  const merges = (model.merges as (string | string[])[]).filter((merge) => asText(merge).replace(" ", "") in vocab);
  assert(merges.length > 20);
  const file = encoder.encode(JSON.stringify({ ...rest, model: { ...model, vocab, merges } }));
  using dir = new TemporaryDirectory();
  const below = lehmer(11), signs = encoder.encode('",:[]{}\\0 9a\u0120\x01');
  let refused = 0;
  for (let i = 0; i < dose(40, 5000); i++) {
    const changed = file.slice();
    for (let n = below(3); n >= 0; n--) changed[below(changed.length)] = signs[below(signs.length)]!;
    copyTo(dir, changed);
    const slow = outcome(dir.path);
    for (const scan of SCANS) assertEquals(outcome(dir.path, scan), slow);
    if (typeof slow === "string") refused++;
  }
  assert(refused > 5, `${refused} refused`);
});
