import { normals } from "../formats/seeded.ts";
import { assertSameBits, Machine } from "./module.ts";
import { rounded } from "./twins.ts";

for (const round of [false, true]) {
  for (const width of [1, 3, 4, 30, 64]) {
    Deno.test(`add() adds rows, exactly rounded (round ${round}, width ${width})`, () => {
      const machine = new Machine();
      const rows = 3, stride = Math.ceil(width / 4) * 4;
      const a = normals(width, rows * stride), b = normals(width + 1, rows * stride, 0.01);
      [a[0], b[0]] = [Infinity, 1];
      if (width > 1) [a[1], b[1]] = [NaN, 1];
      const h = machine.floats(a), y = machine.floats(b);
      machine.run("add", [h.address, y.address, stride, width, +round], rows, [h]);
      assertSameBits(h.data, a.map((v, i) => i % stride < width ? rounded(round, Math.fround(v + b[i]!)) : v));
    });
  }
}
