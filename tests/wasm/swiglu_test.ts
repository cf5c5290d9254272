import { normals } from "../formats/seeded.ts";
import { assert } from "../assert.ts";
import { assertNear, assertSameBits, F32, Machine } from "./module.ts";
import { rounded, swiglu } from "./twins.ts";

const ALPHA = Math.fround(1.702);

for (const width of [1, 2, 3, 4, 33, 64]) {
  Deno.test(`swiglu() clamps and gates pairs (width ${width})`, () => {
    const machine = new Machine();
    const rows = 3, stride = Math.ceil(2 * width / 4) * 4, outStride = Math.ceil(width / 4) * 4;
    const z = normals(width, rows * stride, 6);
    const x = machine.floats(z), out = machine.floats(rows * outStride), bf16 = machine.floats(rows * outStride);
    const run = (to: typeof out, round: number) =>
      machine.run(
        "swiglu",
        [to.address, outStride, x.address, stride, width, new F32(ALPHA), new F32(7), round],
        rows,
        [to],
      );
    run(out, 0);
    run(bf16, 1);
    for (let r = 0; r < rows; r++) {
      const expected = swiglu(z.subarray(r * stride, r * stride + 2 * width), ALPHA, 7);
      assertNear(out.data.subarray(r * outStride, r * outStride + width), expected);
    }
    assertSameBits(bf16.data, out.data.map((v) => rounded(true, v)));
  });
}

Deno.test("swiglu() gives the worked-out values", () => {
  const machine = new Machine();
  const z = machine.floats([1, 0, 1, 1, -1, 2, 8, 8, -3, -9, 7, -1, 0, 0, -500, 1]);
  const out = machine.floats(8);
  machine.run("swiglu", [out.address, 8, z.address, 16, 8, new F32(1.702), new F32(7), 0], 1, [out]);
  const expected = [0.84579577, 1.69159153, -0.4626127, 55.99962503, 0.10842786, 0, 0, 0];
  expected.forEach((e, i) => assert(Math.abs(out.data[i]! - e) <= 1e-6 * Math.abs(e), `${out.data[i]} for ${e}`));
});
