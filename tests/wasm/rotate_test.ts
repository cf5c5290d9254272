import { normals } from "../formats/seeded.ts";
import { assertSameBits, Machine } from "./module.ts";
import { rotate } from "./twins.ts";

for (const round of [false, true]) {
  // Halves of every remainder by four, which a vector has.
  for (const headDim of [2, 4, 6, 14, 20, 64]) {
    Deno.test(`rotate() rotates the pairs of every head (round ${round}, head_dim ${headDim})`, () => {
      const machine = new Machine();
      const rows = 3, heads = 5, stride = heads * headDim;
      const values = normals(1, rows * stride);
      const angles = normals(2, rows * headDim / 2, 100);
      const cos = angles.map(Math.cos), sin = angles.map(Math.sin);
      const x = machine.floats(values);
      const words = [
        x.address,
        stride,
        heads,
        headDim,
        machine.floats(cos).address,
        machine.floats(sin).address,
        +round,
      ];
      machine.run("rotate", words, rows, [x]);
      for (let r = 0; r < rows; r++) {
        const angle = [r * headDim / 2, (r + 1) * headDim / 2] as const;
        for (let h = 0; h < heads; h++) {
          const at = r * stride + h * headDim;
          rotate(values.subarray(at, at + headDim), cos.subarray(...angle), sin.subarray(...angle), round);
        }
      }
      assertSameBits(x.data, values);
    });
  }
}
