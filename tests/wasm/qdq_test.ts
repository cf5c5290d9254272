import { qdqRow } from "../../src/formats/qdq.ts";
import { TIES, TIES_EXPECTED } from "../formats/vectors.ts";
import { awkwardRows, INPUTS } from "./inputs.ts";
import { assertSameBits, Machine } from "./module.ts";

for (const width of [1, 30, 31, 64, 72]) {
  for (const [name, input, words] of INPUTS) {
    for (const round of [false, true]) {
      Deno.test(`qdq() does as the reference does (${name}, width ${width}, round ${round})`, () => {
        const machine = new Machine();
        const rows = awkwardRows(width), stride = Math.ceil(width / 4) * 4;
        const x = machine.floats(rows.length * stride), out = machine.floats(rows.length * stride);
        rows.forEach((row, r) => x.data.set(row, r * stride));
        machine.run("qdq", [out.address, x.address, stride, width, ...words, +round], rows.length, [out]);
        rows.forEach((row, r) => {
          const got = out.data.subarray(r * stride, r * stride + width);
          assertSameBits(got, qdqRow(row, input, round), `row ${r}`);
        });
      });
    }
  }
}

Deno.test("qdq() gives the worked-out values", () => {
  for (const [kind, element] of [[1, "e2m1"], [2, "e3m2"], [3, "e2m3"], [8, "e4m3fn"]] as const) {
    const machine = new Machine();
    const x = machine.floats(TIES), out = machine.floats(32);
    machine.run("qdq", [out.address, x.address, 32, 32, kind, 0, 0, 0], 1, [out]);
    assertSameBits(out.data, TIES_EXPECTED[element].values, element);
  }
});
