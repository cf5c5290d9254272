import { bf16ToFloat32, float32ToBf16, roundAllToBf16, roundToBf16 } from "../../src/formats/bf16.ts";
import { assert, assertEquals } from "../assert.ts";

Deno.test("float32ToBf16() is the inverse of bf16ToFloat32() on all numbers", () => {
  for (let bits = 0; bits < 65_536; bits++) {
    const value = bf16ToFloat32(bits);
    if (Number.isNaN(value)) assert(Number.isNaN(roundToBf16(value)));
    else assertEquals(float32ToBf16(value), bits);
  }
});

Deno.test("float32ToBf16() rounds to nearest, ties to even", () => {
  for (let bits = 0; bits < 0x7f80; bits += 7) {
    const low = bf16ToFloat32(bits), high = bf16ToFloat32(bits + 1);
    if (high === Infinity) continue;
    const middle = (low + high) / 2, step = Math.max(middle * 2 ** -23, 2 ** -149);
    for (const sign of [0, 0x8000]) {
      const signed = (value: number) => float32ToBf16(sign ? -value : value) - sign;
      assertEquals(signed(middle), bits + bits % 2, `middle of ${low} and ${high}`);
      assertEquals(signed(middle - step), bits);
      assertEquals(signed(middle + step), bits + 1);
    }
  }
});

Deno.test("roundToBf16() of known numbers", () => {
  assertEquals(roundToBf16(Math.fround(0.1)), 0.10009765625);
  assertEquals(roundToBf16(1.00390625), 1);
  assertEquals(roundToBf16(1.01171875), 1.015625);
  assertEquals(roundToBf16(3.4028234663852886e38), Infinity);
  assertEquals(roundToBf16(-Infinity), -Infinity);
  assert(Object.is(roundToBf16(-0), -0));
});

Deno.test("float32ToBf16() keeps NaN a NaN, and its sign, whatever its payload", () => {
  const word = new Uint32Array(1), value = new Float32Array(word.buffer);
  for (const sign of [0, 0x8000]) {
    // Payloads below the bits that bfloat16 has; JavaScript engines may make a NaN quiet when they load it.
    for (const payload of [1, 0x8000, 0xffff, 0x40_0000, 0x7f_ffff]) {
      word[0] = (sign << 16 | 0x7f80_0000 | payload) >>> 0;
      const bits = float32ToBf16(value[0]!);
      assertEquals(bits & 0xff80, sign | 0x7f80, `${word[0].toString(16)}: sign and exponent of ${bits.toString(16)}`);
      assert((bits & 0x7f) !== 0, `${word[0].toString(16)} became an infinity`);
    }
  }
});

Deno.test("roundAllToBf16() rounds in place", () => {
  const values = Float32Array.of(0.1, 2, -3.3);
  roundAllToBf16(values);
  assertEquals([...values], [0.10009765625, 2, -3.296875]);
});
