import { indexOfNan, refuseNanScales, refuseNanScalesBeside } from "../../src/checkpoint/e8m0.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals, assertRejects, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "./container.ts";

Deno.test("indexOfNan() finds the first byte 255 among bytes with and without the highest bit", () => {
  for (const others of [0, 120, 127, 128, 254]) {
    for (const length of [0, 1, 31, 32, 33, 64, 100]) {
      for (const offset of [0, 1, 4]) {
        const bytes = new Uint8Array(200).fill(255).subarray(offset, offset + length).fill(others);
        const found = (at: number) => {
          const before = bytes[at]!;
          bytes[at] = 255;
          const index = indexOfNan(bytes);
          bytes[at] = before;
          return index;
        };
        assertEquals(indexOfNan(bytes), -1, `${length} bytes of ${others} from ${offset}`);
        for (let at = 0; at < length; at++) assertEquals(found(at), at, `${length} bytes of ${others} from ${offset}`);
      }
    }
  }
});

Deno.test("scales are refused alike at once and on a thread, with the first NaN's tensor and indices", async () => {
  using dir = new TemporaryDirectory();
  const bytes = new Uint8Array(600_000).fill(120), paths = [`${dir.path}/1`, `${dir.path}/2`] as const;
  Deno.writeFileSync(paths[0], bytes);
  bytes[599_999] = 255;
  Deno.writeFileSync(paths[1], bytes);
  const scales = paths.map((path, i) => ({ path, name: `scales ${i}`, shape: [3, 100], offset: 599_700, bytes: 300 }));
  const line = `${paths[1]}: tensor scales 1: expected e8m0 scales from 0 to 254, got 255 (NaN) at [2, 99]`;
  assertThrows(() => refuseNanScales(scales), InputError, line);
  assertThrows(() => refuseNanScalesBeside(scales), InputError, line);
  const [first, beside] = [scales.slice(0, 1), refuseNanScalesBeside(scales, 0)];
  await Promise.all([assertRejects(() => beside, InputError, line), refuseNanScalesBeside(first, 0)]);
  await refuseNanScalesBeside(first);
  const missing = [{ ...scales[0]!, path: `${dir.path}/3` }];
  assertThrows(() => refuseNanScalesBeside(missing), InputError, `${dir.path}/3: no such file`);
});
