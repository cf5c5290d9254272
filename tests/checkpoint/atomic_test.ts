import { copyWhole, isTemporaryName, syncDirectory, temporaryName, writeWhole } from "../../src/checkpoint/atomic.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "./container.ts";

const names = (dir: TemporaryDirectory) => [...Deno.readDirSync(dir.path)].map(({ name }) => name).toSorted();

Deno.test("writeWhole() writes and replaces, and leaves nothing else", () => {
  using dir = new TemporaryDirectory();
  const path = `${dir.path}/a`;
  writeWhole(path, "first, and longer");
  writeWhole(path, Uint8Array.of(1, 2, 3));
  assertEquals(Deno.readFileSync(path), Uint8Array.of(1, 2, 3));
  assertEquals(names(dir), ["a"]);
});

Deno.test("writeWhole() and copyWhole() keep what is there when they cannot write", () => {
  using dir = new TemporaryDirectory();
  // A directory cannot be replaced by a file: the write succeeds, the rename does not.
  dir.write("a/inside", "kept");
  assertThrows(() => writeWhole(`${dir.path}/a`, "x"), Error, `${dir.path}/a: cannot be written`);
  assertThrows(() => writeWhole(`${dir.path}/no/b`, "x"), InputError, `${dir.path}/no/b: cannot be written`);
  assertThrows(() => copyWhole(`${dir.path}/none`, `${dir.path}/b`), InputError, `${dir.path}/b: cannot be written`);
  assertEquals(Deno.readTextFileSync(`${dir.path}/a/inside`), "kept");
  assertThrows(() => syncDirectory(`${dir.path}/none`), InputError);
});

Deno.test("copyWhole() copies what a link leads to", () => {
  using dir = new TemporaryDirectory();
  dir.write("a", "text");
  Deno.symlinkSync(`${dir.path}/a`, `${dir.path}/link`);
  copyWhole(`${dir.path}/link`, `${dir.path}/b`);
  assert(Deno.lstatSync(`${dir.path}/b`).isFile);
  assertEquals(Deno.readTextFileSync(`${dir.path}/b`), "text");
  assertEquals(names(dir), ["a", "b", "link"]);
});

Deno.test("isTemporaryName() knows what temporaryName() gives", () => {
  assert(isTemporaryName(temporaryName("model-00001-of-00002.safetensors")));
  for (const name of ["model.safetensors", "x.partial", "x.12.partial.safetensors"]) assert(!isTemporaryName(name));
});
