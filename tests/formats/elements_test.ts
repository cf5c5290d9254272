import { ELEMENT_GOLDENS } from "./element_goldens.ts";
import { bf16ToFloat32 } from "../../src/formats/bf16.ts";
import { decode, type ElementName, ELEMENTS, encode, NAN_CODE, quantize } from "../../src/formats/elements.ts";
import { assert, assertEquals } from "../assert.ts";
import { floats, readGolden } from "../golden.ts";

const goldens = readGolden("elements.safetensors");

for (const [name, golden] of Object.entries(ELEMENT_GOLDENS)) {
  const format = ELEMENTS[name as ElementName];

  Deno.test(`encode() gives the golden code of every bf16 value (${name})`, () => {
    const codes = goldens.get(golden)!.data;
    assertEquals(codes.length, 65_536);
    for (let bits = 0; bits < 65_536; bits++) {
      const value = bf16ToFloat32(bits), code = encode(format, value);
      if (code !== codes[bits]) throw new Error(`${value} (bf16 ${bits}): code ${code}, expected ${codes[bits]}`);
    }
  });

  Deno.test(`decode() gives the golden value of every code (${name})`, () => {
    const values = floats(goldens, `${golden}.values`);
    assertEquals(values.length, 1 << format.bits);
    values.forEach((value, code) => assert(Object.is(decode(format, code), value), `code ${code}`));
  });

  Deno.test(`encode() is the inverse of decode() on finite values (${name})`, () => {
    format.values.forEach((value, code) => {
      if (Number.isFinite(value)) assertEquals(encode(format, value), code, `value ${value}`);
    });
  });

  Deno.test(`encode() takes the nearest number, also beside ties (${name})`, () => {
    const magnitudes = [...format.values].filter((v) => Number.isFinite(v) && v > 0 || Object.is(v, 0));
    for (let i = 0; i + 1 < magnitudes.length; i++) {
      const low = magnitudes[i]!, high = magnitudes[i + 1]!, middle = (low + high) / 2;
      const even = i % 2 === 0 ? low : high;
      // One float32 unit beside the middle.
      const step = middle * 2 ** -23;
      for (const sign of [1, -1]) {
        assertEquals(Math.abs(quantize(format, sign * middle)), even);
        assertEquals(Math.abs(quantize(format, sign * (middle - step))), low);
        assertEquals(Math.abs(quantize(format, sign * (middle + step))), high);
      }
    }
  });
}

Deno.test("encode() saturates infinities and keeps NaN apart", () => {
  for (const format of Object.values(ELEMENTS)) {
    assertEquals(quantize(format, Infinity), format.max);
    assertEquals(quantize(format, -Infinity), -format.max);
    assertEquals(encode(format, NaN), NAN_CODE);
    assert(Number.isNaN(quantize(format, NaN)));
  }
});

Deno.test("quantize() keeps the sign of what becomes zero, where the format has a negative zero", () => {
  for (const format of Object.values(ELEMENTS)) {
    for (const tiny of [-0, -1e-45, -1e-30]) {
      assert(Object.is(quantize(format, tiny), format.name === "e4m3fnuz" ? 0 : -0), `${format.name} ${tiny}`);
    }
  }
});

Deno.test("ELEMENTS have the published limits", () => {
  const limits = Object.values(ELEMENTS).map((f) => [f.name, f.max, f.maxExponent, f.minExponent, f.values[1]]);
  assertEquals(limits, [
    ["e2m1", 6, 2, 0, 0.5],
    ["e3m2", 28, 4, -2, 0.0625],
    ["e2m3", 7.5, 2, 0, 0.125],
    ["e4m3fn", 448, 8, -6, 2 ** -9],
    ["e4m3fnuz", 240, 7, -7, 2 ** -10],
    ["e5m2", 57344, 15, -14, 2 ** -16],
  ]);
});
