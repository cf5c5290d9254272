/** Tensors that are copied into a written checkpoint. */
import type { ModelSource } from "../../src/checkpoint/source.ts";
import type { Tools } from "../../src/conversion/encode_matrix.ts";
import { jobsOf } from "../../src/quantize/jobs.ts";
import type { LinearTarget } from "../../src/quantize/targets.ts";
import { assert, assertEquals } from "../assert.ts";

/** What a file has at a place: a number that neighbours, and places 2^24 apart, do not share. */
const byteAt = (place: number) => (place ^ place >> 8 ^ 7 * (place >> 16)) & 255;

Deno.test("a tensor of more bytes than are copied at once is copied whole, piece by piece in its order", () => {
  const at = 1000, most = 2 ** 24;
  const matrix = (bytes: number) => ({
    ...{ format: "bf16", rows: bytes / 2, cols: 1, rowBytes: 2, file: 3, offset: at, scale: { kind: "none" } },
  });
  for (const bytes of [2, most - 2, most, most + 2, 2 * most, 2 * most + 10]) {
    const head = { module: "lm_head", source: { weight: matrix(2), bias: null }, inputScale: null, copied: true };
    const norm = { format: "bf16", length: 1, file: 0, offset: 0 };
    const source = { tree: { embedding: matrix(bytes), layers: [], norm } } as unknown as ModelSource;
    const [job] = jobsOf({ layers: [], head: head as unknown as LinearTarget }, source, null);
    assertEquals(job!.tensors, [{ name: "model.embed_tokens.weight", dtype: "BF16", shape: [bytes / 2, 1] }]);
    const read = (file: number, offset: number, into: Uint8Array) => {
      assertEquals(file, 3);
      for (let i = 0; i < into.length; i++) into[i] = byteAt(offset + i);
    };
    let place = at;
    job!.run({ reader: { read } } as unknown as Tools, (name, { byteLength, buffer, byteOffset }) => {
      assertEquals(name, "model.embed_tokens.weight");
      assert(byteLength > 0 && buffer.byteLength <= most);
      const piece = new Uint8Array(buffer, byteOffset, byteLength);
      const wrong = piece.findIndex((byte, i) => byte !== byteAt(place + i));
      assertEquals(wrong, -1, `${bytes} bytes, from ${place - at} on`);
      place += byteLength;
    });
    assertEquals(place - at, bytes);
  }
});
