import {
  copyWhole,
  isTemporaryName,
  openToAppend,
  syncDirectory,
  temporaryName,
  writeWhole,
} from "../../src/checkpoint/atomic.ts";
import { makeDirectory } from "../../src/checkpoint/directories.ts";
import { SafetensorsWriter } from "../../src/checkpoint/write_safetensors.ts";
import { Journal } from "../../src/eval/journal.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../assert.ts";
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
  const long = `${dir.path}/${"b".repeat(256)}`;
  assertThrows(() => writeWhole(long, "x"), InputError, `${long}: cannot be written`);
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

Deno.test("makeDirectory() takes a directory that is there, or a link to one, and names what else is there", () => {
  using dir = new TemporaryDirectory();
  const at = (name: string) => `${dir.path}/${name}`;
  makeDirectory(at("made/deep"));
  Deno.symlinkSync("made", at("link"));
  makeDirectory(at("link"));
  Deno.writeTextFileSync(at("file"), "");
  for (const [name, leads] of [["loop", "loop"], ["dangling", "nowhere"], ["other", "file"]] as const) {
    Deno.symlinkSync(leads, at(name));
    const { message } = assertThrows(() => makeDirectory(at(name)), InputError);
    assertEquals(message, `out: ${at(name)}: expected a directory, got a link that leads to none`);
  }
  const { message } = assertThrows(() => makeDirectory(at("file")), InputError);
  assertEquals(message, `out: ${at("file")}: expected a directory, got a file`);
});

Deno.test("isTemporaryName() knows what temporaryName() gives", () => {
  assert(isTemporaryName(temporaryName("model-00001-of-00002.safetensors")));
  for (const name of ["model.safetensors", "x.partial", "x.12.partial.safetensors"]) assert(!isTemporaryName(name));
});

Deno.test("temporary names cannot be guessed", async () => {
  const module = new URL("../../src/checkpoint/atomic.ts", import.meta.url).href;
  const script = `console.log((await import(${JSON.stringify(module)})).temporaryName("x"))`;
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["eval", script], env: { NO_COLOR: "1" } })
    .output();
  const other = new TextDecoder().decode(stdout).trim();
  assertMatch(other, /^x\.[0-9a-f]{16}\.partial$/);
  assert(other !== temporaryName("x"));
});

/** Writes a file by each way that the program has. */
const WRITERS: Readonly<Record<string, (path: string, dir: string) => void>> = {
  "writeWhole()": (path) => writeWhole(path, "mine"),
  "copyWhole()": (path, dir) => copyWhole(`${dir}/other`, path),
  SafetensorsWriter: (path) => {
    using writer = SafetensorsWriter.create(path, [], { force: true });
    writer.commit();
  },
};

for (const [name, write] of Object.entries(WRITERS)) {
  Deno.test(`${name} neither follows nor replaces what somebody put at its temporary name`, () => {
    using dir = new TemporaryDirectory();
    const path = `${dir.path}/a`, precious = dir.write("precious", "kept");
    dir.write("other", "other");
    for (const put of [() => Deno.symlinkSync(precious, temporaryName(path)), () => dir.write(`a${suffix}`, "kept")]) {
      put();
      assertThrows(() => write(path, dir.path), InputError, `${path}: cannot be written`);
      assertEquals(Deno.readTextFileSync(temporaryName(path)), "kept");
      Deno.removeSync(temporaryName(path));
    }
    assertEquals(Deno.readTextFileSync(precious), "kept");
    assertEquals(names(dir), ["other", "precious"]);
  });

  Deno.test(`${name} replaces no link, pipe or directory`, async () => {
    using dir = new TemporaryDirectory();
    const precious = dir.write("precious", "kept"), path = `${dir.path}/a`;
    dir.write("other", "other");
    for (
      const [got, put] of [
        ["a link", () => Deno.symlinkSync(precious, path)],
        ["a link", () => Deno.symlinkSync(`${dir.path}/nowhere`, path)],
        ["a directory", () => Deno.mkdirSync(path)],
        ["a device or pipe", () => new Deno.Command("mkfifo", { args: [path] }).output()],
      ] as const
    ) {
      await put();
      const { ino } = Deno.lstatSync(path);
      const line = `${path}: cannot be written: expected a regular file or none, got ${got}`;
      assertThrows(() => write(path, dir.path), InputError, line);
      assertEquals(Deno.lstatSync(path).ino, ino);
      Deno.removeSync(path);
    }
    assertEquals(Deno.readTextFileSync(precious), "kept");
    assertEquals(names(dir), ["other", "precious"]);
  });
}

const suffix = temporaryName("");

Deno.test("journals follow no link, and wait for no pipe", async () => {
  using dir = new TemporaryDirectory();
  const precious = dir.write("precious", "kept, and to be cut off nowhere"), path = `${dir.path}/a.jsonl`;
  const open = () => Journal.open(path, { a: 1 }, (value) => value as { index: number }, "replace");
  for (const to of [precious, `${dir.path}/nowhere`]) {
    Deno.symlinkSync(to, path);
    assertThrows(open, InputError, `${path}: cannot be written: expected a regular file or none, got a link`);
    Deno.removeSync(path);
  }
  await new Deno.Command("mkfifo", { args: [path] }).output();
  assertThrows(open, InputError, `${path}: cannot be written: expected a regular file or none, got a device or pipe`);
  Deno.removeSync(path);
  assertEquals(Deno.readTextFileSync(precious), "kept, and to be cut off nowhere");
  openToAppend(path).close();
  openToAppend(path).close();
  assertEquals(names(dir), ["a.jsonl", "precious"]);
});

Deno.test("copyWhole() copies the bytes of a file that nobody may write, and not its permissions", () => {
  using dir = new TemporaryDirectory();
  const bytes = new Uint8Array(3 * (1 << 20) + 5).map((_, i) => i * 7 % 251);
  const from = dir.write("a", bytes);
  Deno.chmodSync(from, 0o444);
  copyWhole(from, `${dir.path}/b`);
  assertEquals(Deno.readFileSync(`${dir.path}/b`), bytes);
  assert((Deno.statSync(`${dir.path}/b`).mode! & 0o200) !== 0);
});

Deno.test("a process that ends itself, as a second Ctrl-C does, removes what it was writing", async () => {
  using dir = new TemporaryDirectory();
  const module = new URL("../../src/checkpoint/atomic.ts", import.meta.url).href;
  const script = `const { TemporaryFile } = await import(${JSON.stringify(module)});
    new TemporaryFile(${JSON.stringify(`${dir.path}/a`)}).write(new Uint8Array(9));
    console.log([...Deno.readDirSync(${JSON.stringify(dir.path)})].length);
    Deno.exit(3);`;
  const { code, stdout } = await new Deno.Command(Deno.execPath(), { args: ["eval", script], env: { NO_COLOR: "1" } })
    .output();
  assertEquals([code, new TextDecoder().decode(stdout)], [3, "1\n"]);
  assertEquals(names(dir), []);
});
