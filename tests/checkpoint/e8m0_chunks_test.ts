/** Scales of MX blocks that are longer than what is looked at at a time. */
import { refuseNanScales, type ScaleTensor } from "../../src/checkpoint/e8m0.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "./container.ts";

const OFFSET = 13, ROWS = 200_003, COLS = 5, COUNT = ROWS * COLS;

Deno.test("what no scale may be is found wherever it stands in a long tensor, and not beside it", () => {
  using dir = new TemporaryDirectory();
  const path = `${dir.path}/scales`, name = "s", shape = [ROWS, COLS];
  for (const numbers of [undefined, "bf16"] as const) {
    const each = numbers === undefined ? 1 : 2, bytes = COUNT * each;
    const tensor: ScaleTensor = { path, name, shape, offset: OFFSET, bytes, ...(numbers ? { numbers } : {}) };
    const look = (...wrong: number[]) => {
      // What lies beside the tensor is no scale. 0x3f80 is 1.
      const file = new Uint8Array(OFFSET + bytes + 40).fill(255), data = file.subarray(OFFSET, OFFSET + bytes);
      data.forEach((_, i) => data[i] = numbers === undefined ? 127 : i % 2 === 0 ? 0x80 : 0x3f);
      for (const at of wrong) data.fill(255, at * each, (at + 1) * each);
      Deno.writeFileSync(path, file);
      refuseNanScales([tensor]);
    };
    assertEquals(look(), undefined);
    // The first and the last number, one in a chunk between, the first of one, and the first of two.
    for (const wrong of [[0], [600_004], [1 << 18], [COUNT - 1], [700_001, 900_000]]) {
      const at = `[${Math.floor(wrong[0]! / COLS)}, ${wrong[0]! % COLS}]`;
      const { message } = assertThrows(() => look(...wrong), InputError);
      assertEquals(message.slice(message.indexOf(", got ")), `, got ${numbers ? "NaN" : "255 (NaN)"} at ${at}`);
    }
  }
});
