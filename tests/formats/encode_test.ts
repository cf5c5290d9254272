import { applyBlockScales, decodeElements, decodeRow, fp4Code, fp6Code } from "../../src/formats/decode.ts";
import { ELEMENTS } from "../../src/formats/elements.ts";
import { encodeFp8, encodeMxRow, encodePlain, packCodes } from "../../src/formats/encode.ts";
import { bytesOf, type MxElement, type WeightFormat } from "../../src/formats/format.ts";
import { qdqRow } from "../../src/formats/qdq.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { integers, normals } from "./seeded.ts";
import { TIES, TIES_EXPECTED } from "./vectors.ts";

const MX: Record<MxElement, WeightFormat> = { e2m1: "mxfp4", e3m2: "mxfp6_e3m2", e2m3: "mxfp6_e2m3" };
const hex = (bytes: Uint8Array) => [...bytes].map((b) => b.toString(16).padStart(2, "0")).join(" ");

for (const [name, format] of Object.entries(MX) as [MxElement, WeightFormat][]) {
  const expected = TIES_EXPECTED[name];

  Deno.test(`encodeMxRow() gives the worked-out bytes (${format})`, () => {
    const { codes, scales } = encodeMxRow(Float32Array.from(TIES), name, "even");
    assertEquals([...scales], [expected.byte]);
    assertEquals(hex(codes), expected.packed);
    const code = name === "e2m1" ? fp4Code : fp6Code;
    assertEquals(TIES.map((_, i) => code(codes, i)), expected.codes);
  });

  Deno.test(`decodeRow() gives the worked-out values (${format})`, () => {
    const bytes = Uint8Array.from(expected.packed.split(" "), (b) => parseInt(b, 16));
    assertEquals([...decodeRow(format, bytes, 32, Uint8Array.of(expected.byte))], expected.values);
  });

  Deno.test(`decodeRow() of encodeMxRow() is QDQ, and encoding that again gives the same bytes (${format})`, () => {
    const next = integers(11);
    for (let i = 0; i < 200; i++) {
      const row = normals(i, 32 * (1 + next() % 3) + (i % 5 === 0 ? 8 : 0), 2 ** (next() % 100 - 50));
      const stored = encodeMxRow(row, name, "even");
      assertEquals(stored.codes.length, bytesOf(format, row.length));
      const values = decodeRow(format, stored.codes, row.length, stored.scales);
      assertEquals(values, qdqRow(row, { kind: "mx", element: name, rule: "even" }, false));
      assertEquals(encodeMxRow(values, name, "even"), stored);
    }
  });

  Deno.test(`decodeRow() is exact for every code and scale byte (${format})`, () => {
    const { values, bits } = ELEMENTS[name];
    const all = Array.from({ length: Math.max(32, values.length) }, (_, i) => i % values.length);
    const bytes = packCodes(all, bits);
    for (let byte = 0; byte < 256; byte++) {
      const got = decodeRow(format, bytes, all.length, new Uint8Array(all.length / 32).fill(byte));
      got.forEach((value, i) => {
        const exact = byte === 255 ? NaN : values[all[i]!]! * 2 ** (byte - 127);
        assert(
          Object.is(
            value,
            exact <= 3.4028234663852886e38 && exact >= -3.4028234663852886e38 ? exact : exact * Infinity,
          ),
        );
      });
    }
  });
}

Deno.test("packCodes() lays four codes of six bits in three bytes, the first lowest", () => {
  const next = integers(3);
  for (let i = 0; i < 100; i++) {
    const v = [next() & 63, next() & 63, next() & 63, next() & 63] as const;
    const word = v[0] | v[1] << 6 | v[2] << 12 | v[3] << 18;
    assertEquals([...packCodes(v, 6)], [word & 255, (word >> 8) & 255, word >> 16]);
  }
  assertEquals([...packCodes([0x3f, 0x21], 6)], [0x7f, 0x08]);
});

Deno.test("packCodes() puts the even code of four bits in the low nibble", () => {
  assertEquals([...packCodes([1, 2, 15, 0, 7], 4)], [0x21, 0x0f, 0x07]);
});

Deno.test("encodeMxRow() refuses what has no code", () => {
  const row = normals(1, 64);
  for (const bad of [NaN, Infinity, -Infinity]) {
    row[33] = bad;
    assertThrows(() => encodeMxRow(row, "e2m1", "even"), RangeError, "columns 32 to 63");
  }
});

Deno.test("encodeFp8() divides, rounds, saturates, and refuses bad scales and NaN", () => {
  assertEquals([...encodeFp8(Float32Array.of(0.1, 1.0625, 432, -464, 1e30), 1)], [0x1d, 0x38, 0x7e, 0xfe, 0x7e]);
  assertEquals([...encodeFp8(Float32Array.of(300), 0.5)], [0x7e]);
  for (const scale of [0, -1, NaN, Infinity]) {
    assertThrows(() => encodeFp8(Float32Array.of(1), scale), RangeError, "scale");
  }
  assertThrows(() => encodeFp8(Float32Array.of(1, NaN), 1), RangeError, "element 1");
});

Deno.test("decodeRow() of FP8 multiplies by the scale", () => {
  const codes = Uint8Array.from({ length: 256 }, (_, i) => i);
  for (const [format, { values }] of [["fp8_e4m3", ELEMENTS.e4m3fn], ["fp8_e4m3fnuz", ELEMENTS.e4m3fnuz]] as const) {
    assertEquals(decodeRow(format, codes, 256, 0.25), values.map((v) => v * 0.25));
    assertEquals(decodeElements(format, codes, 256), values);
  }
});

Deno.test("encodePlain() and decodeElements() are inverse, and round to nearest", () => {
  const row = normals(9, 100);
  assertEquals(decodeElements("f32", encodePlain(row, "f32"), 100), row);
  const bf16 = decodeElements("bf16", encodePlain(row, "bf16"), 100);
  const f16 = decodeElements("f16", encodePlain(row, "f16"), 100);
  row.forEach((x, i) => {
    assert(Math.abs(bf16[i]! - x) <= Math.abs(x) / 256);
    assert(Math.abs(f16[i]! - x) <= Math.max(Math.abs(x) / 2048, 2 ** -25));
  });
  assertEquals(decodeElements("bf16", encodePlain(bf16, "bf16"), 100), bf16);
  assertEquals(hex(encodePlain(Float32Array.of(1, -2), "f16")), "00 3c 00 c0");
});

Deno.test("decodeRow() refuses scales of another kind", () => {
  assertThrows(() => decodeRow("mxfp4", new Uint8Array(16), 32, null), TypeError, "mxfp4");
  assertThrows(() => decodeRow("bf16", new Uint8Array(64), 32, new Uint8Array(1)), TypeError, "bf16");
  assertThrows(() => decodeRow("bf16", new Uint8Array(64), 32, 0.5), TypeError, "bf16: scales of another format");
  for (const format of ["fp8_e4m3", "fp8_e4m3fnuz"] as const) {
    assertThrows(() => decodeRow(format, new Uint8Array(32), 32, null), TypeError, `${format}: no scales`);
    assertThrows(() => decodeRow(format, new Uint8Array(32), 32, new Uint8Array(1)), TypeError, format);
  }
  assertThrows(() => decodeRow("mxfp4", new Uint8Array(16), 32, 1), TypeError, "mxfp4: scales of another format");
});

Deno.test("applyBlockScales() uses one byte per 32 elements", () => {
  const values = new Float32Array(70).fill(1);
  applyBlockScales(values, Uint8Array.of(127, 128, 120));
  assertEquals([values[0], values[31], values[32], values[63], values[64], values[69]], [1, 1, 2, 2, 2 ** -7, 2 ** -7]);
});

Deno.test("decodeRow() multiplies every FP8 number by its scale", () => {
  assertEquals([...decodeRow("fp8_e4m3", Uint8Array.of(0x38, 0xb8, 0x40), 3, 0.5)], [0.5, -0.5, 1]);
});
