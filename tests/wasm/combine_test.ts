import { normals } from "../formats/seeded.ts";
import { assertSameBits, Machine } from "./module.ts";
import { rounded } from "./twins.ts";

for (const round of [false, true]) {
  for (const [width, topK] of [[31, 4], [64, 1], [8, 6], [5, 3], [6, 2]] as const) {
    Deno.test(`combine() sums weighted rows in order (round ${round}, width ${width}, top ${topK})`, () => {
      const machine = new Machine();
      const tokens = 3, stride = Math.ceil(width / 4) * 4;
      const y = normals(3, tokens * topK * stride), weights = normals(4, tokens * topK);
      const out = machine.floats(tokens * stride);
      const words = [out.address, stride, machine.floats(y).address, stride, width, topK];
      machine.run("combine", [...words, machine.floats(weights).address, +round], tokens, [out]);
      const expected = new Float32Array(tokens * stride);
      for (let t = 0; t < tokens; t++) {
        for (let i = 0; i < width; i++) {
          const product = (k: number) => Math.fround(weights[t * topK + k]! * y[(t * topK + k) * stride + i]!);
          let sum = product(0);
          for (let k = 1; k < topK; k++) sum = Math.fround(sum + product(k));
          expected[t * stride + i] = rounded(round, sum);
        }
      }
      assertSameBits(out.data, expected);
    });
  }
}
