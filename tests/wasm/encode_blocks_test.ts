import { ELEMENTS } from "../../src/formats/elements.ts";
import { encodeMxRow } from "../../src/formats/encode.ts";
import { type MxInputElement, ruleNumber } from "../../src/formats/input.ts";
import { assertEquals } from "../assert.ts";
import { TIES, TIES_EXPECTED } from "../formats/vectors.ts";
import { awkwardRows } from "./inputs.ts";
import { Machine } from "./module.ts";

const ELEMENT_WORDS: Record<MxInputElement, number> = { e2m1: 1, e3m2: 2, e2m3: 3, e4m3fn: 8 };

function encodeBlocks(x: Float32Array, name: MxInputElement, rule: number): { codes: Uint8Array; scales: Uint8Array } {
  const machine = new Machine();
  const blocks = x.length / 32;
  const codes = machine.bytes(blocks * 4 * ELEMENTS[name].bits, 1), scales = machine.bytes(blocks, 3);
  const words = [codes.address, scales.address, machine.floats(x).address, ELEMENT_WORDS[name], rule];
  machine.run("encode_blocks", words, blocks, [codes, scales]);
  return { codes: codes.data.slice(), scales: scales.data.slice() };
}

for (const name of Object.keys(ELEMENT_WORDS) as MxInputElement[]) {
  for (const rule of ["even", "floor", "rceil"] as const) {
    Deno.test(`encode_blocks() packs as the reference does (${name}, ${rule})`, () => {
      const rows = awkwardRows(32).filter((row) => row.every(Number.isFinite));
      const x = Float32Array.from(rows.flatMap((row) => [...row]));
      const got = encodeBlocks(x, name, ruleNumber(rule));
      const expected = encodeMxRow(x, name, rule);
      assertEquals([...got.scales], [...expected.scales]);
      assertEquals([...got.codes], [...expected.codes]);
    });
  }

  Deno.test(`encode_blocks() gives the worked-out bytes (${name})`, () => {
    const { codes, scales } = encodeBlocks(Float32Array.from(TIES), name, 0);
    assertEquals([...scales], [TIES_EXPECTED[name].byte]);
    assertEquals([...codes].map((b) => b.toString(16).padStart(2, "0")).join(" "), TIES_EXPECTED[name].packed);
  });

  Deno.test(`encode_blocks() makes the scale of a block with a NaN NaN, and its codes 0 (${name})`, () => {
    const x = new Float32Array(64).fill(1), bits = new Uint32Array(x.buffer);
    // The last one's bits are next to those of an infinity.
    for (const nan of [0x7fc0_0000, 0xffff_ffff, 0x7f80_0001]) {
      bits[40] = nan;
      const { codes, scales } = encodeBlocks(x, name, 0);
      assertEquals(scales[1], 255);
      assertEquals([...codes.subarray(codes.length / 2)], new Array(codes.length / 2).fill(0));
    }
  });
}
