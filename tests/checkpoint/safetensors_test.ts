import { identify } from "../../src/checkpoint/identity.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertStrictEquals } from "../assert.ts";
import { container, type Entry, refusal, TemporaryDirectory } from "./container.ts";

/** Two tensors over eight bytes. */
const entries = (): { a: Entry; b: Entry } => ({
  a: { dtype: "BF16", shape: [1, 2], data_offsets: [0, 4] },
  b: { dtype: "U8", shape: [4], data_offsets: [4, 8] },
});
const DATA = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

/** The refusal of a file, without its path. */
function refused(bytes: Uint8Array): string {
  using dir = new TemporaryDirectory();
  const path = dir.write("x.safetensors", bytes);
  return refusal(() => openSafetensors(path), dir.path, InputError).replace(/^x\.safetensors: /, "");
}

Deno.test("openSafetensors() finds every tensor where it lies", () => {
  using dir = new TemporaryDirectory();
  const { a, b } = entries();
  const text = JSON.stringify({
    __metadata__: { format: "pt" },
    b,
    a,
    'empty \u00e9"': { dtype: "F32", shape: [0, 7], data_offsets: [4, 4] },
  });
  const path = dir.write("x.safetensors", container(`${text}   \n`, DATA));
  const start = 8 + new TextEncoder().encode(text).length + 4;
  const { identity, ...file } = openSafetensors(path);
  assertEquals(identity, identify(path));
  assertEquals(file, {
    path,
    bytes: start + 8,
    dataStart: start,
    tensors: new Map([
      ["a", { name: "a", dtype: "BF16", shape: [1, 2], offset: start, bytes: 4 }],
      ['empty \u00e9"', { name: 'empty \u00e9"', dtype: "F32", shape: [0, 7], offset: start + 4, bytes: 0 }],
      ["b", { name: "b", dtype: "U8", shape: [4], offset: start + 4, bytes: 4 }],
    ]),
    metadata: new Map([["format", "pt"]]),
  });
  assertEquals([...file.tensors.keys()], ["a", 'empty \u00e9"', "b"]);
});

Deno.test("openSafetensors() knows the size of every dtype", () => {
  const bits: Record<string, number> = {
    ...{ BOOL: 8, U8: 8, I8: 8, F8_E4M3: 8, F8_E5M2: 8, F8_E8M0: 8, F4: 4, F6_E2M3: 6, F6_E3M2: 6 },
    ...{ U16: 16, I16: 16, F16: 16, BF16: 16, U32: 32, I32: 32, F32: 32, U64: 64, I64: 64, F64: 64, C64: 64 },
  };
  using dir = new TemporaryDirectory();
  for (const [dtype, size] of Object.entries(bits)) {
    const data_offsets = [0, size];
    const path = dir.write("x", container({ t: { dtype, shape: [2, 4], data_offsets } }, new Uint8Array(size)));
    assertStrictEquals(openSafetensors(path).tensors.get("t")?.bytes, size);
  }
});

Deno.test("openSafetensors() reads a file without tensors, and scalars", () => {
  using dir = new TemporaryDirectory();
  assertEquals(openSafetensors(dir.write("empty", container("{}"))).tensors.size, 0);
  const scalar = container({ s: { dtype: "F32", shape: [], data_offsets: [0, 4] } }, new Uint8Array(4));
  assertEquals(openSafetensors(dir.write("scalar", scalar)).tensors.get("s")?.shape, []);
});

Deno.test("openSafetensors() reads a header of 20,000 tensors", () => {
  using dir = new TemporaryDirectory();
  const header: Record<string, Entry> = {};
  for (let i = 0; i < 20_000; i++) {
    header[`model.layers.0.mlp.experts.${i}.down_proj.weight_scale`] = {
      dtype: "U8",
      shape: [1],
      data_offsets: [i, i + 1],
    };
  }
  const path = dir.write("x", container(header, new Uint8Array(20_000)));
  const { tensors, dataStart } = openSafetensors(path);
  assertEquals(tensors.size, 20_000);
  assertEquals(tensors.get("model.layers.0.mlp.experts.19999.down_proj.weight_scale")?.offset, dataStart + 19_999);
});

const BROKEN: [what: string, bytes: () => Uint8Array, line: string][] = [
  ["an empty file", () => new Uint8Array(0), "expected at least 8 bytes of header length, got 0 bytes"],
  ["a file of 5 bytes", () => new Uint8Array(5), "expected at least 8 bytes of header length, got 5 bytes"],
  ["a header length over the file", () => {
    const bytes = container(entries(), DATA);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.length - 7), true);
    return bytes;
  }, "header length 118 goes beyond the file's 125 bytes"],
  ["a header length of 2^64 - 1", () => {
    const bytes = container(entries(), DATA);
    return bytes.fill(255, 0, 8);
  }, "header length 18446744073709551615 goes beyond the file's 125 bytes"],
  [
    "a truncated file",
    () => container(entries(), DATA).subarray(0, 122),
    "truncated: tensor b ends at byte 125, the file at 122",
  ],
  ["trailing bytes", () => container(entries(), new Uint8Array(11)), "3 trailing bytes after the last tensor"],
  ["overlapping offsets", () => {
    const { a, b } = entries();
    return container({ a, b: { ...b, data_offsets: [2, 6] } }, DATA.subarray(0, 6));
  }, "tensors a and b overlap: one ends at 4, one begins at 2"],
  ["two tensors at one place", () => {
    const { a, b } = entries();
    return container({ b, a, c: { ...a } }, DATA);
  }, "tensors a and c overlap: one ends at 4, one begins at 0"],
  ["a hole", () => {
    const { a, b } = entries();
    return container({ a, b: { ...b, data_offsets: [6, 10] } }, new Uint8Array(10));
  }, "a hole of 2 bytes before tensor b"],
  ["a hole at the start", () => {
    const { b } = entries();
    return container({ b }, new Uint8Array(8));
  }, "a hole of 4 bytes before tensor b"],
  [
    "a duplicate tensor",
    () =>
      container(`{"a":${JSON.stringify(entries().a)},"\\u0061":${JSON.stringify(entries().a)}}`, DATA.subarray(0, 4)),
    "header: duplicate tensor a (at character 66)",
  ],
  [
    "a key that stands twice in a tensor",
    () => container('{"a":{"dtype":"U8","shape":[1],"dtype":"I8","data_offsets":[0,1]}}', new Uint8Array(1)),
    "header: tensor a: dtype stands there twice (at character 39)",
  ],
  ["an unknown dtype", () => {
    const { a, b } = entries();
    return container({ a: { ...a, dtype: "F7" }, b }, DATA);
  }, 'tensor a: expected a dtype of safetensors, got "F7"'],
  ["a dtype that is a property of objects", () => {
    const { a, b } = entries();
    return container({ a: { ...a, dtype: "constructor" }, b }, DATA);
  }, 'tensor a: expected a dtype of safetensors, got "constructor"'],
  ["a shape that overflows", () => {
    const { a, b } = entries();
    return container({ a: { ...a, shape: [2 ** 40, 2 ** 40] }, b }, DATA);
  }, "tensor a: shape [1099511627776, 1099511627776] overflows"],
  ["a shape that overflows before it is multiplied by zero", () => {
    const { a, b } = entries();
    return container({ a: { ...a, shape: [2 ** 40, 2 ** 40, 0], data_offsets: [0, 0] }, b }, DATA);
  }, "tensor a: shape [1099511627776, 1099511627776, 0] overflows"],
  ["a shape that does not fit the offsets", () => {
    const { a, b } = entries();
    return container({ a: { ...a, shape: [1, 3] }, b }, DATA);
  }, "tensor a: BF16 [1, 3] takes 6 bytes, but data_offsets [0, 4] hold 4"],
  ["numbers that do not fill a byte", () => {
    return container({ a: { dtype: "F4", shape: [3], data_offsets: [0, 2] } }, new Uint8Array(2));
  }, "tensor a: F4 [3] takes 1.5 bytes, but data_offsets [0, 2] hold 2"],
  ["offsets that go backwards", () => {
    const { a, b } = entries();
    return container({ a: { ...a, data_offsets: [4, 0] }, b }, DATA);
  }, "tensor a: data_offsets: expected begin before end, got [4, 0]"],
  [
    "an integer of 2^53",
    () => container('{"a":{"dtype":"U8","shape":[9007199254740992],"data_offsets":[0,9007199254740992]}}'),
    "header: tensor a: shape: expected an integer below 2^53, got a larger one (at character 43)",
  ],
  [
    "a negative size",
    () => container('{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}'),
    "header: tensor a: shape: expected a non-negative integer, got another number (at character 28)",
  ],
  [
    "a size with a fraction",
    () => container('{"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}}'),
    "header: tensor a: shape: expected a non-negative integer, got another number (at character 29)",
  ],
  [
    "a leading zero",
    () => container('{"a":{"dtype":"U8","shape":[01],"data_offsets":[0,1]}}'),
    "header: tensor a: shape: expected no leading zero (at character 30)",
  ],
  [
    "a string for a size",
    () => container('{"a":{"dtype":"U8","shape":["6\\"4"],"data_offsets":[0,1]}}'),
    'header: tensor a: shape: expected a non-negative integer, got the string "6\\"4" (at character 28)',
  ],
  [
    "a word for a size",
    () => container('{"a":{"dtype":"U8","shape":[true],"data_offsets":[0,1]}}'),
    'header: tensor a: shape: expected a non-negative integer, got "true" (at character 28)',
  ],
  [
    "a string for a shape that does not end",
    () => container('{"a":{"shape":"'),
    'header: tensor a: expected [, got the string " (at character 14)',
  ],
  [
    "one offset",
    () => container('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}'),
    "header: tensor a: data_offsets: expected two integers (at character 50)",
  ],
  [
    "three offsets",
    () => container('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}'),
    "header: tensor a: data_offsets: expected at most 2 integers, got more (at character 51)",
  ],
  [
    "a tensor without a dtype",
    () => container('{"a":{"shape":[1],"data_offsets":[0,1]}}'),
    "header: tensor a: dtype: expected a name, got nothing (at character 39)",
  ],
  [
    "another key",
    () => container('{"a":{"strides":[1]}}'),
    'header: tensor a: expected dtype, shape and data_offsets, got "strides" (at character 16)',
  ],
  ["a list", () => container("[]"), 'header: expected {, got "[" (at character 0)'],
  ["a header that begins with a space", () => container(" {}"), 'header: expected {, got " " (at character 0)'],
  ["a header of length 0", () => container(""), "header: expected {, got the end (at character 0)"],
  ["two objects", () => container("{}{}"), 'header: expected its end, got "{" (at character 2)'],
  ["a header that ends early", () => container('{"a'), "header: ends within a string (at character 3)"],
  ["a line break in a name", () => container('{"a\nb":1}'), "header: control character in a string (at character 3)"],
  ["an unknown escape", () => container('{"\\q":1}'), "header: unknown escape in a string (at character 5)"],
  [
    "a trailing comma",
    () => container("{},".replace("{}", '{"__metadata__":{},}')),
    'header: expected a string, got "}" (at character 19)',
  ],
  [
    "metadata that is not text",
    () => container('{"__metadata__":{"a":1}}'),
    'header: __metadata__: expected a string, got "1" (at character 21)',
  ],
  [
    "other bytes than UTF-8",
    () => container(entries(), DATA).fill(0xff, 9, 11),
    "header: expected UTF-8, got other bytes",
  ],
  [
    "a name of many lines",
    () => container('{"a\\nb\\u2028":{"dtype":"F7","shape":[],"data_offsets":[0,0]}}'),
    'tensor a\\u000ab\\u2028: expected a dtype of safetensors, got "F7"',
  ],
];

for (const [what, bytes, line] of BROKEN) {
  Deno.test(`openSafetensors() refuses ${what}`, () => assertEquals(refused(bytes()), line));
}

Deno.test("openSafetensors() refuses a header over 100 MB before it reads it", () => {
  using dir = new TemporaryDirectory();
  const path = dir.write("x.safetensors", new Uint8Array(8));
  // A sparse file: no more of it than eight bytes is on the disk.
  Deno.truncateSync(path, 3e9);
  using file = Deno.openSync(path, { write: true });
  const length = new DataView(new ArrayBuffer(8));
  length.setBigUint64(0, 2_000_000_000n, true);
  file.writeSync(new Uint8Array(length.buffer));
  const before = Deno.memoryUsage().external;
  const line = refusal(() => openSafetensors(path), dir.path, InputError);
  assertEquals(line, "x.safetensors: header length 2000000000: expected at most 100000000");
  assert(Deno.memoryUsage().external - before < 1e6);
});

Deno.test("openSafetensors() refuses what is not a file", () => {
  using dir = new TemporaryDirectory();
  const line = (path: string) => refusal(() => openSafetensors(path), dir.path, InputError);
  assertEquals(line(`${dir.path}/none`), "none: no such file");
  assertEquals(line("/dev/null"), "/dev/null: expected a file, got a device or pipe");
  Deno.mkdirSync(`${dir.path}/sub`);
  assertEquals(line(`${dir.path}/sub`), "sub: expected a file, got a directory");
});
