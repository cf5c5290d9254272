import { createHash } from "node:crypto";
import { O200K_VOCAB } from "../../src/text/o200k.ts";
import { decode } from "../../src/text/stream_decoder.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assertEquals } from "../assert.ts";
import { path } from "./goldens.ts";

const o200k = await Tokenizer.o200kHarmony();
const cases: { text: string; ids: number[] }[] = JSON.parse(
  Deno.readTextFileSync(path("tests/goldens/text/o200k.json")),
);

Deno.test("o200kHarmony() has every rank of OpenAI's o200k_base.tiktoken: the file's published SHA-256", () => {
  const hash = createHash("sha256");
  for (let id = 0; id < 199_998; id++) hash.update(`${o200k.bytes(id).toBase64()} ${id}\n`);
  assertEquals(hash.digest("hex"), "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d");
});

Deno.test("o200kHarmony() encodes as OpenAI's tiktoken does", () => {
  for (const { text, ids } of cases) {
    assertEquals([...o200k.encode(text)], ids, JSON.stringify(text));
    assertEquals(decode(o200k, o200k.encode(text), "skip"), text);
  }
});

Deno.test("o200kHarmony() has harmony's special tokens, and the ids that harmony's own tests know", () => {
  const pieces: Record<string, string> = JSON.parse(
    Deno.readTextFileSync(path("tests/goldens/text/o200k-pieces.json")),
  );
  for (const [id, piece] of Object.entries(pieces)) {
    assertEquals([...o200k.encode(piece, { allowSpecial: true })], [Number(id)], piece);
  }
  const text =
    "<|start|>assistant<|channel|>final<|message|>4<|return|><|startoftext|><|endoftext|><|call|><|constrain|>";
  const ids = [200006, 173781, 200005, 17196, 200008, 19, 200002, 199998, 199999, 200012, 200003];
  assertEquals([...o200k.encode(text, { allowSpecial: true })], ids);
  assertEquals(o200k.specialName(200009), "<|reserved_200009|>");
  assertEquals(o200k.specialName(O200K_VOCAB - 1), "<|reserved_201087|>");
  assertEquals(o200k.special("<|endofprompt|>"), 200018);
  assertEquals([...o200k.encode("<|end|>")].some((id) => id >= 199_998), false);
});
