import { assert, assertEquals } from "../assert.ts";
import { Machine } from "./module.ts";

/** Distance of neighbouring float32s around x, for normal x. */
const ulp = (x: number): number => 2 ** (Math.floor(Math.log2(x)) - 23);

Deno.test("exp() is within one unit in the last place of Math.exp", () => {
  const machine = new Machine();
  const count = 400_001;
  const x = machine.floats(Float32Array.from({ length: count }, (_, i) => -87.33 + i * (88.72 + 87.33) / (count - 1)));
  const out = machine.floats(count);
  machine.run("exp", [out.address, x.address], count, [out]);
  let worst = 0;
  x.data.forEach((v, i) => {
    const exact = Math.exp(v);
    worst = Math.max(worst, Math.abs(out.data[i]! - exact) / ulp(exact));
  });
  assert(worst <= 1, `worst error ${worst} ulp`);
});

Deno.test("exp() gives the limits outside of float32's range", () => {
  const machine = new Machine();
  const x = machine.floats([0, -0, 89, 1e30, Infinity, -105, -1e30, -Infinity, NaN, -100]);
  const out = machine.floats(x.data.length);
  machine.run("exp", [out.address, x.address], x.data.length, [out]);
  assertEquals([...out.data.subarray(0, 9)], [1, 1, Infinity, Infinity, Infinity, 0, 0, 0, NaN]);
  // A subnormal: as near as its few bits allow.
  assert(Math.abs(out.data[9]! - Math.exp(-100)) <= 2 ** -149);
});
