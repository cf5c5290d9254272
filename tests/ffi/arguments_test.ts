import { assertEquals, assertThrows } from "../assert.ts";
import { PackedArguments } from "../../ffi/arguments.ts";
import type { DeviceBuffer, DeviceRange } from "../../ffi/runtime.ts";

const buffer: DeviceBuffer = {
  bytes: 100,
  range: (offset = 0, bytes = 100 - offset) => ({ buffer, offset, bytes }),
  [Symbol.dispose]: () => {},
};
const addressOf = ({ offset }: DeviceRange) => 0x7f00_0000_0000n + BigInt(offset);

/** Offsets of the arguments from the first. */
function offsets(args: PackedArguments, count: number): number[] {
  const table = args.parameterTable();
  return Array.from({ length: count }, (_, i) => Number(table[i]! - table[0]!));
}

Deno.test("PackedArguments gives each argument its natural alignment", () => {
  const args = new PackedArguments(addressOf);
  args.i32(1).pointer(buffer.range(16)).i32(2).i64(-3).f32(0.5).pointer(null);
  assertEquals(offsets(args, 6), [0, 8, 16, 24, 32, 40]);
  const view = new DataView(args.contents().slice().buffer);
  assertEquals(view.getInt32(0, true), 1);
  assertEquals(view.getBigUint64(8, true), 0x7f00_0000_0010n);
  assertEquals(view.getBigInt64(24, true), -3n);
  assertEquals(view.getFloat32(32, true), 0.5);
  assertEquals(view.getBigUint64(40, true), 0n);
});

Deno.test("PackedArguments makes one argument of a struct, padded to 8 bytes", () => {
  const args = new PackedArguments(addressOf);
  args.i32(7).struct().i32(1).pointer(null).i32(2).end().i32(9);
  // i32, pad, { i32, pad, pointer, i32, pad }, i32
  assertEquals(offsets(args, 3), [0, 8, 32]);
  assertEquals(args.bytes, 36);
  assertThrows(() => args.struct().struct(), Error, "do not nest");
});

Deno.test("PackedArguments keeps what was written when it grows", () => {
  const args = new PackedArguments(addressOf);
  for (let i = 0; i < 2000; i++) args.struct().i32(i).pointer(buffer.range(8)).end();
  const words = new DataView(args.contents().slice().buffer);
  assertEquals(args.bytes, 2000 * 16);
  assertEquals([0, 1, 1999].map((i) => words.getInt32(16 * i, true)), [0, 1, 1999]);
  assertEquals(offsets(args, 2000).at(-1), 1999 * 16);
  assertEquals(args.reset().i32(3).bytes, 4);
});
