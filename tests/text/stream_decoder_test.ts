import { assertEquals } from "../assert.ts";
import { decode, StreamDecoder } from "../../src/text/stream_decoder.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { lehmer, TINY } from "./goldens.ts";

const tokenizer = await Tokenizer.fromDirectory(TINY);
/** Ids of single bytes. */
const byteIds = new Map<number, number>();
for (let id = 0; id < 1015; id++) {
  const bytes = tokenizer.bytes(id);
  if (bytes.length === 1) byteIds.set(bytes[0]!, id);
}
const idsOf = (...bytes: number[]) => bytes.map((byte) => byteIds.get(byte)!);
const END = tokenizer.requireSpecial("<|end|>");

Deno.test("push() holds a character back until its last byte", () => {
  const decoder = new StreamDecoder(tokenizer, "keep");
  assertEquals(idsOf(0xf0, 0x9f, 0x91, 0x8d, 0x21).map((id) => decoder.push(id)), ["", "", "", "👍", "!"]);
  assertEquals(decoder.flush(), "");
});

Deno.test("push() shows U+FFFD as soon as bytes cannot become a character", () => {
  const decoder = new StreamDecoder(tokenizer, "keep");
  assertEquals(idsOf(0xe8, 0xaa, 0x41, 0xff, 0x42).map((id) => decoder.push(id)), ["", "", "\ufffdA", "\ufffd", "B"]);
});

Deno.test("flush() gives U+FFFD for a character that never became whole, then starts afresh", () => {
  const decoder = new StreamDecoder(tokenizer, "keep");
  for (const id of idsOf(0xe8, 0xaa)) decoder.push(id);
  assertEquals(decoder.flush(), "\ufffd");
  assertEquals(decoder.flush(), "");
  assertEquals(idsOf(0x9e, 0x41).map((id) => decoder.push(id)).join(""), "\ufffdA");
});

Deno.test("push() keeps or skips special tokens, which end an open character", () => {
  const ids = [...idsOf(0x61, 0xe8, 0xaa), END, ...idsOf(0x9e, 0x62), 7000];
  assertEquals(decode(tokenizer, ids, "keep"), "a\ufffd<|end|>\ufffdb<|reserved_7000|>");
  assertEquals(decode(tokenizer, ids, "skip"), "a\ufffd\ufffdb");
});

Deno.test("push() keeps a byte order mark", () => {
  assertEquals(decode(tokenizer, tokenizer.encode("\ufeffa\ufeff"), "keep"), "\ufeffa\ufeff");
});

Deno.test("StreamDecoder joined equals decoding all bytes at once, for random bytes", () => {
  const next = lehmer(11);
  // Lead and continuation bytes often, so that whole, broken and cut characters all occur.
  const pool = [0x41, 0x80, 0x9f, 0xa0, 0xbf, 0xc2, 0xe0, 0xe8, 0xed, 0xef, 0xbb, 0xf0, 0xf4, 0xf5, 0xc0];
  for (let round = 0; round < 500; round++) {
    const bytes = Array.from({ length: 1 + next(24) }, () => pool[next(pool.length)]!);
    const whole = new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
    assertEquals(decode(tokenizer, idsOf(...bytes), "keep"), whole, bytes.join(" "));
  }
});

Deno.test("decode() gives what a decoder gives token by token, special tokens and long runs among them", () => {
  const next = lehmer(12);
  for (const [most, round] of [[40, 300], [9000, 2]] as const) {
    for (let i = 0; i < round; i++) {
      const ids = Array.from({ length: next(most) }, () => next(20) === 0 ? END : next(30) === 0 ? 7000 : next(1015));
      for (const special of ["keep", "skip"] as const) {
        const decoder = new StreamDecoder(tokenizer, special);
        const expected = ids.map((id) => decoder.push(id)).join("") + decoder.flush();
        assertEquals(decode(tokenizer, ids, special), expected);
      }
    }
  }
});

Deno.test("decode() gives long runs without special tokens whole", () => {
  const next = lehmer(13), decoder = new StreamDecoder(tokenizer, "keep");
  for (const length of [900, 1100, 5000]) {
    const ids = Array.from({ length }, () => next(1015));
    assertEquals(decode(tokenizer, ids, "keep"), ids.map((id) => decoder.push(id)).join("") + decoder.flush());
  }
});
