/** Reading and writing safetensors files by the library. */
import { Buffer } from "node:buffer";
import { InputError } from "../../src/library/errors.ts";
import { readSafetensors, writeSafetensors } from "../../src/library/safetensors.ts";
import { assertEquals, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";

Deno.test("library: what is written is read back", () => {
  using dir = new TemporaryDirectory();
  const path = `${dir.path}/a.safetensors`;
  writeSafetensors(path, {
    halves: { dtype: "BF16", shape: [2], data: Uint16Array.of(0x3f80, 0xbf80) },
    codes: { dtype: "U8", shape: [1, 3], data: Uint8Array.of(1, 2, 3) },
    one: { dtype: "F16", shape: [], data: Uint16Array.of(0x3e00) },
  }, { metadata: { by: "a test" } });
  const file = readSafetensors(path);
  assertEquals([...file.tensors.keys()].sort(), ["codes", "halves", "one"]);
  assertEquals(file.metadata.get("by"), "a test");
  assertEquals([...file.numbers("halves")], [1, -1]);
  assertEquals([...file.numbers("one")], [1.5]);
  assertEquals([...file.bytes("codes")], [1, 2, 3]);
  assertThrows(() => file.numbers("codes"), InputError, "tensor codes: expected F32, BF16 or F16, got U8");
  assertThrows(() => file.bytes("none"), InputError, "no tensor none");

  const more = { halves: { dtype: "BF16", shape: [3], data: Uint16Array.of(1, 2) } } as const;
  assertThrows(() => writeSafetensors(path, more), InputError, "exists already");
  assertThrows(() => writeSafetensors(path, more, { force: true }), RangeError, "4 bytes written, 6 declared");
  assertEquals([...file.numbers("halves")], [1, -1]);

  writeSafetensors(path, { halves: { ...more.halves, shape: [2] } }, { force: true });
  assertThrows(() => file.numbers("halves"), InputError, "changed while it was");
});

Deno.test("library: elements of another kind than the dtype's are refused, whose bytes would be other numbers", () => {
  using dir = new TemporaryDirectory();
  const path = `${dir.path}/a.safetensors`;
  const write = (dtype: string, data: ArrayBufferView<ArrayBufferLike>, elements: number) =>
    writeSafetensors(path, { a: { dtype: dtype as "F32", shape: [elements], data } }, { force: true });
  for (
    const [dtype, data, elements] of [
      ["F32", Int32Array.of(1), 1],
      ["I32", Float32Array.of(1), 1],
      ["BF16", Float32Array.of(1), 2],
      ["F16", new Int16Array(2), 2],
      ["U8", Uint16Array.of(1), 2],
      ["F32", Float64Array.of(1), 2],
    ] as const
  ) {
    const { message } = assertThrows(() => write(dtype, data, elements), TypeError);
    assertEquals([message.startsWith("tensor a: expected "), message.includes(`for ${dtype}, got `)], [true, true]);
  }
  assertThrows(() => write("F64", Float64Array.of(1), 1), RangeError, "tensor a: expected F32, I32, BF16");
  assertEquals(Deno.readDirSync(dir.path).next().done, true);
  for (
    const data of [Float32Array.of(1.5), new Uint8Array(Float32Array.of(1.5).buffer), Buffer.from([0, 0, 192, 63])]
  ) {
    write("F32", data, 1);
    assertEquals([...readSafetensors(path).numbers("a")], [1.5]);
  }
});
