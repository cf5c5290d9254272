import { openGguf } from "../../src/checkpoint/gguf/header.ts";
import { openGgufModel } from "../../src/checkpoint/gguf/split.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { dose } from "../soak.ts";
import { TemporaryDirectory } from "./container.ts";
import { gguf, type Parts } from "./gguf_files.ts";

const path = (name: string) => new URL(`../goldens/gguf/${name}`, import.meta.url).pathname;
const one = { name: "a", sizes: [32, 2], type: 0, offset: 0 };

Deno.test("gguf: a header says values and where tensors lie, the outermost size first", () => {
  using dir = new TemporaryDirectory();
  const file = dir.write(
    "x.gguf",
    gguf({
      values: [["n", [4, 7]], ["t", [8, "é"]], ["yes", [7, 1]], ["f", [6, 0.5]], ["l", [9, 8, ["a", "b"]]]],
      tensors: [one, { name: "b", sizes: [64, 3], type: 39, offset: 256 }],
      data: 256 + 3 * 34,
    }),
  );
  const { values, tensors, bytes } = openGguf(file);
  assertEquals(values.get("n"), { value: 7, isInteger: true });
  assertEquals([values.get("t"), values.get("yes"), values.get("l")], ["é", true, ["a", "b"]]);
  assertEquals(values.get("f"), { value: 0.5, isInteger: false });
  const start = bytes - 256 - 3 * 34;
  assertEquals(tensors.get("b"), { name: "b", shape: [3, 64], type: 39, bytes: 102, offset: start + 256 });
});

Deno.test("gguf: data begins at the first multiple of the file's alignment after its header, 32 without one", () => {
  using dir = new TemporaryDirectory();
  for (const said of [null, 1, 8, 32, 64, 4096]) {
    // Names of several lengths, so that headers end before, on and after multiples.
    for (let length = 1; length <= 32; length += said === 4096 ? 31 : 1) {
      const name = "a".repeat(length), data = 256, alignment = said ?? 32;
      const values = said === null ? [] : [["general.alignment", [4, said]]] as const;
      const file = dir.write("x.gguf", gguf({ values, tensors: [{ ...one, name }], data, alignment }));
      const { bytes, tensors } = openGguf(file);
      assertEquals(tensors.get(name)!.offset, bytes - data, `${said}, ${length}`);
    }
  }
  const apart = { values: [["general.alignment", [4, 8]]] as const, tensors: [{ ...one, offset: 8 }], data: 264 };
  const { bytes, tensors } = openGguf(dir.write("x.gguf", gguf({ ...apart, alignment: 8 })));
  assertEquals(tensors.get("a")!.offset, bytes - 256);
});

const refused: readonly (readonly [what: string, parts: Parts, message: RegExp])[] = [
  ["another format", { magic: "GGML" }, /: expected a GGUF file, got none$/],
  ["the first version", { version: 1 }, /: version: expected 2 or 3, got 1$/],
  ["big-endian", { version: 3 << 24 }, /: version: expected 2 or 3, got a file of big-endian machines$/],
  ["a count beyond reason", { counts: [1n << 60n, 0n] }, /: number of tensors: expected at most 65536, got 1152921504/],
  ["more values than there are", { counts: [0n, 3n] }, /: ends within its header$/],
  ["a key twice", { values: [["k", [4, 1]], ["k", [4, 2]]] }, /: k: expected each key once, got it twice$/],
  ["lists of lists", { values: [["k", [9, 9, [8]]]] }, /: k: expected a list of plain values, got a list of lists$/],
  ["a tensor twice", { tensors: [one, { ...one, offset: 256 }], data: 512 }, /: tensor a: expected each tensor once/],
  ["data beyond the end", { tensors: [one], data: 255 }, /: expected \d+ bytes, up to its end, got a file of \d+$/],
  ["an offset beyond the end", { tensors: [{ ...one, offset: 2 ** 52 }], data: 256 }, /: expected \d+ bytes, up to/],
  [
    "data in other data",
    { tensors: [one, { ...one, name: "b", offset: 224 }], data: 512 },
    /: tensor b: expected data of its own, got its data in that of a$/,
  ],
  [
    "data where other data is",
    { tensors: [one, { ...one, name: "b" }], data: 512 },
    /: tensor b: expected data of its own, got its data in that of a$/,
  ],
  ["an odd offset", { tensors: [{ ...one, offset: 8 }], data: 512 }, /: tensor a: expected an offset by 32, got 8$/],
  [
    "part of a block",
    { tensors: [{ ...one, sizes: [33, 2], type: 39 }], data: 512 },
    /: tensor a: expected rows of whole blocks of 32 \(MXFP4\), got \[2, 33\]$/,
  ],
  ["five dimensions", { tensors: [{ ...one, sizes: [1, 1, 1, 1, 1] }] }, /: tensor a: expected at most 4 dimensions/],
  ["too many numbers", { tensors: [{ ...one, sizes: [2 ** 40, 2 ** 40] }] }, /: tensor a: expected fewer than 2\^53/],
  ["an odd alignment", { values: [["general.alignment", [4, 24]]] }, /: general\.alignment: expected a power of two/],
];
for (const [what, parts, message] of refused) {
  Deno.test(`gguf: refused in one line: ${what}`, () => {
    using dir = new TemporaryDirectory();
    const file = dir.write("x.gguf", gguf(parts));
    const error = assertThrows(() => openGguf(file), InputError);
    assertMatch(error.message, message);
    assertEquals(error.message.startsWith(file), true);
  });
}

Deno.test("gguf: whatever is cut or flipped is read or refused, and never by another error", () => {
  using dir = new TemporaryDirectory();
  const whole = Deno.readFileSync(path("model-q8_0.gguf")), file = `${dir.path}/x.gguf`;
  let state = 1;
  const next = (below: number) => (state = Math.imul(state, 1664525) + 1013904223 >>> 0) % below;
  let refusals = 0;
  for (let turn = 0; turn < dose(150, 5000); turn++) {
    const bytes = whole.slice(0, turn % 3 === 0 ? next(20_000) : undefined);
    for (let i = 0; i < 1 + turn % 4; i++) bytes[next(Math.min(bytes.length, 12_000))] = next(256);
    Deno.writeFileSync(file, bytes);
    try {
      openGgufModel(file);
    } catch (thrown) {
      if (!(thrown instanceof InputError)) throw thrown;
      assertMatch(thrown.message, /^[^\n]+$/);
      refusals++;
    }
  }
  assertEquals(refusals > 50, true);
});

Deno.test("gguf: a file that is one of none is the whole model, and integers beyond 2^53 are refused", () => {
  using dir = new TemporaryDirectory();
  const file = dir.write("x.gguf", gguf({ values: [["split.count", [4, 0]]], tensors: [one], data: 256 }));
  const { files, tensors } = openGgufModel(file);
  assertEquals([files.length, [...tensors.keys()]], [1, ["a"]]);
  dir.write("x.gguf", gguf({ values: [["k", [11, -(2 ** 53) - 2]]] }));
  const { message } = assertThrows(() => openGguf(file), InputError);
  assertEquals(message, `${file}: k: expected an integer below 2^53, got -9007199254740994`);
});

Deno.test("gguf: the files of a split model are found from any of them, and refused where one lacks", () => {
  using dir = new TemporaryDirectory();
  const names = ["model-split-00001-of-00002.gguf", "model-split-00002-of-00002.gguf"];
  const whole = [...openGgufModel(path("model-bf16.gguf")).tensors.keys()].toSorted();
  for (const name of names) {
    const { tensors, files, values } = openGgufModel(path(name));
    assertEquals([...tensors.keys()].toSorted(), whole);
    assertEquals([files.length, values.get("general.architecture")], [2, "gpt-oss"]);
  }
  const [first, second] = names.map((name) => dir.write(name, Deno.readFileSync(path(name))));
  Deno.removeSync(second!);
  assertEquals(assertThrows(() => openGgufModel(first!), InputError).message, `${second}: no such file`);
  Deno.copyFileSync(first!, second!);
  const { message } = assertThrows(() => openGgufModel(second!), InputError);
  assertEquals(message, `${second}: split.no: expected 1, got 0`);
  const renamed = dir.write("x.gguf", Deno.readFileSync(first!));
  assertMatch(
    assertThrows(() => openGgufModel(renamed), InputError).message,
    /x\.gguf: expected a name that ends in -0/,
  );
});

Deno.test("gguf: files that are not all of one split model are refused by the one that is not", () => {
  using dir = new TemporaryDirectory();
  const part = (number: number, tensor: string, count = 2, all = 2) =>
    gguf({
      values: [["split.no", [4, number]], ["split.count", [4, count]], ["split.tensors.count", [4, all]]],
      tensors: [{ ...one, name: tensor }],
      data: 256,
    });
  const first = dir.write("m-00001-of-00002.gguf", part(0, "a")), second = `${dir.path}/m-00002-of-00002.gguf`;
  const opened = (bytes: Uint8Array) => {
    dir.write("m-00002-of-00002.gguf", bytes);
    return openGgufModel(first);
  };
  const line = (bytes: Uint8Array) => assertThrows(() => opened(bytes), InputError).message;
  const tensors = [...opened(part(1, "b")).tensors.values()].map(({ name, file }) => [name, file]);
  assertEquals(tensors, [["a", 0], ["b", 1]]);
  assertEquals(line(part(1, "b", 3)), `${second}: split.count: expected 2, got 3`);
  assertEquals(line(part(1, "a")), `${second}: tensor a: expected each tensor once, got it in ${first}, too`);
  dir.write("m-00001-of-00002.gguf", part(0, "a", 2, 3));
  assertEquals(line(part(1, "b")), `${first}: split.tensors.count: expected 2, got 3`);
  const renamed = dir.write("m-00001-of-00003.gguf", part(0, "a"));
  const { message } = assertThrows(() => openGgufModel(renamed), InputError);
  assertEquals(message, `${renamed}: expected a name that ends in -00001-of-00002.gguf, as one of 2 files`);
});
