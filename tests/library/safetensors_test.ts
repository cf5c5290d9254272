/** Reading and writing safetensors files by the library. */
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
