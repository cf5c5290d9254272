import { ELEMENT_GOLDENS } from "../formats/element_goldens.ts";
import { bf16ToFloat32 } from "../../src/formats/bf16.ts";
import { type ElementName, ELEMENTS, encode } from "../../src/formats/elements.ts";
import { readGolden } from "../golden.ts";
import { integers } from "../formats/seeded.ts";
import { assert, assertEquals } from "../assert.ts";
import { Machine } from "./module.ts";

const FORMATS: readonly ElementName[] = ["e2m1", "e3m2", "e2m3", "e4m3fn", "e4m3fnuz", "e5m2"];
function codes(name: ElementName, values: Float32Array): Uint8Array {
  const machine = new Machine();
  const x = machine.floats(values), out = machine.bytes(values.length, 5);
  machine.run("encode", [out.address, x.address, FORMATS.indexOf(name)], values.length, [out]);
  return out.data.slice();
}

for (const name of FORMATS) {
  Deno.test(`encode() gives the golden code of every bfloat16 (${name})`, () => {
    const golden = readGolden("elements.safetensors").get(ELEMENT_GOLDENS[name])!.data;
    const values = Float32Array.from({ length: 65536 }, (_, bits) => bf16ToFloat32(bits));
    const got = codes(name, values);
    for (let i = 0; i < values.length; i++) {
      assertEquals(got[i], golden[i], `bf16 bits ${i.toString(16)}`);
    }
  });

  Deno.test(`encode() rounds float32 as the reference does (${name})`, () => {
    const { values } = ELEMENTS[name];
    const finite = [...values].filter(Number.isFinite).sort((a, b) => a - b);
    // Midpoints of neighbours, and the float32s next to them.
    const ties = finite.slice(1).map((v, i) => (v + finite[i]!) / 2);
    const next = integers(3);
    const random = Array.from({ length: 4000 }, () => (next() / 2 ** 31 - 1) * 2 ** (next() % 40 - 28));
    const all = [...ties, ...ties.map((v) => v * (1 + 2 ** -23)), ...ties.map((v) => v * (1 - 2 ** -24)), ...random];
    const x = Float32Array.from([...all, 0, -0, Infinity, -Infinity, NaN, 1e38, -1e38, 1e-44]);
    const got = codes(name, x);
    x.forEach((v, i) => assertEquals(got[i], encode(ELEMENTS[name], v), `code of ${v}`));
    assert(new Set(got).size >= finite.length);
  });
}
