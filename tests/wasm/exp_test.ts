import { assert, assertEquals } from "../assert.ts";
import { dose } from "../soak.ts";
import { assertSameBits, Machine } from "./module.ts";

/** Distance of neighbouring float32s around x, for normal x. */
const ulp = (x: number): number => 2 ** (Math.floor(Math.log2(x)) - 23);

Deno.test("exp() is within one unit in the last place of Math.exp", () => {
  const machine = new Machine();
  const count = 400_001;
  const x = machine.floats(Float32Array.from({ length: count }, (_, i) => -87.33 + i * (88.72 + 87.33) / (count - 1)));
  const out = machine.floats(count);
  machine.run("exp", [out.address, x.address, 0], count, [out]);
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
  machine.run("exp", [out.address, x.address, 0], x.data.length, [out]);
  assertEquals([...out.data.subarray(0, 9)], [1, 1, Infinity, Infinity, Infinity, 0, 0, 0, NaN]);
  // A subnormal: as near as its few bits allow.
  assert(Math.abs(out.data[9]! - Math.exp(-100)) <= 2 ** -149);
});

Deno.test("exp() of ordinary numbers gives the same bits in few instructions", () => {
  // All float32s from -0 to -87, or every so many of them.
  const least = new Uint32Array(Float32Array.of(-87).buffer)[0]!, step = dose(7993, 211), count = 2 ** 17;
  for (let first = 0x8000_0000; first <= least; first += step * count) {
    const machine = new Machine();
    const bits = Uint32Array.from({ length: count }, (_, i) => Math.min(least, first + i * step));
    const x = machine.floats(new Float32Array(bits.buffer)), all = machine.floats(count), few = machine.floats(count);
    machine.run("exp", [all.address, x.address, 0], count, [all]);
    machine.run("exp", [few.address, x.address, 1], count, [few]);
    assertSameBits(few.data, all.data, `from ${first.toString(16)} on`);
  }
});
