import { encodePlain } from "../../src/formats/encode.ts";
import { normals } from "../formats/seeded.ts";
import { assertNear, assertSameBits, F32, Machine } from "./module.ts";
import { NUMBER_FORMATS, type NumberFormat, readNumber, rmsNorm, rounded } from "./twins.ts";

for (const format of Object.keys(NUMBER_FORMATS) as NumberFormat[]) {
  for (const width of [5, 6, 7, 64, 2880]) {
    Deno.test(`rms_norm() normalizes rows (${format}, width ${width})`, () => {
      const machine = new Machine();
      const rows = 3, stride = Math.ceil(width / 4) * 4;
      const values = normals(width, rows * stride, 3);
      const bytes = encodePlain(normals(7, width), format);
      const x = machine.floats(values), weight = machine.bytes(bytes, 1);
      const out = machine.floats(rows * stride), bf16 = machine.floats(rows * stride);
      const run = (to: typeof out, round: number, weights = weight.address) =>
        machine.run(
          "rms_norm",
          [to.address, x.address, stride, width, weights, NUMBER_FORMATS[format], new F32(1e-5), round],
          rows,
          [to],
        );
      run(out, 0);
      run(bf16, 1);
      const w = Array.from({ length: width }, (_, i) => readNumber(bytes, format, i));
      for (let r = 0; r < rows; r++) {
        const row = [r * stride, r * stride + width] as const;
        assertNear(out.data.subarray(...row), rmsNorm(values.subarray(...row), w, 1e-5));
      }
      assertSameBits(bf16.data, out.data.map((v) => rounded(true, v)));
      const again = machine.floats(rows * stride);
      run(again, 0, machine.last(bytes).address);
      assertSameBits(again.data, out.data, "weights where the memory ends");
    });
  }
}
