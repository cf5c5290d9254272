/** Which bytes of which file scales are read from, and as which numbers. */
import { openWeightFiles } from "../../src/checkpoint/files.ts";
import { ScaleReader } from "../../src/checkpoint/layouts/values.ts";
import { randomContents, randomFileBytes, readRandom } from "../../src/checkpoint/random/contents.ts";
import type { RandomTensor } from "../../src/checkpoint/random/layouts.ts";
import { TensorSet } from "../../src/checkpoint/tensor_set.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals } from "../assert.ts";
import { fileOf, refusal, type StoredNumbers, TemporaryDirectory } from "./container.ts";

const bytes = (first: number, count: number): StoredNumbers => ({
  ...{ dtype: "U8", shape: [count] },
  bytes: Uint8Array.from({ length: count }, (_, i) => first + i),
});

/** The tensors a to d in two files, a and c before the others. */
function stored(): { dir: TemporaryDirectory; tensors: TensorSet } {
  const dir = new TemporaryDirectory();
  dir.write("model-00001-of-00002.safetensors", fileOf([["a", bytes(10, 8)], ["b", bytes(50, 16)]]));
  dir.write("model-00002-of-00002.safetensors", fileOf([["c", bytes(90, 8)], ["d", bytes(130, 16)]]));
  return { dir, tensors: new TensorSet(openWeightFiles(dir.path, () => {}), dir.path) };
}

Deno.test("ScaleReader reads all bytes of a tensor or some of them, each from its own file", () => {
  const { dir: made, tensors } = stored();
  using dir = made;
  using reader = new ScaleReader(tensors);
  for (const [name, first, count] of [["d", 130, 16], ["a", 10, 8], ["c", 90, 8], ["b", 50, 16]] as const) {
    const tensor = tensors.find(name)!, all = bytes(first, count).bytes;
    assertEquals(reader.bytes(tensor), all, name);
    assertEquals(reader.bytes(tensor, 3), all.slice(3), name);
    assertEquals(reader.bytes(tensor, 3, 4), all.slice(3, 7), name);
  }
  assertEquals(
    refusal(() => reader.numbers(tensors.find("d")!, [16]), dir.path, InputError),
    "model-00002-of-00002.safetensors: tensor d: expected BF16, F16, F32 or F64 with 16 elements, got U8 [16]",
  );
});

Deno.test("ScaleReader reads bytes that are in no file as everything else does", () => {
  const stored: RandomTensor[] = ["a", "b"].map((name) => ({ name, shape: [40], dtype: "U8", fill: "codes" }));
  const contents = [1, 2].map((seed) => randomContents(stored, seed));
  const identity = { path: "", device: 0, inode: null, bytes: 0, modified: null, changed: null };
  const files = contents.map((random, file) => ({
    ...{ path: `${file}`, bytes: randomFileBytes(random), random, dataStart: 0, identity },
    ...{ tensors: new Map(), metadata: new Map<string, string>() },
  }));
  const tensors = new Map(
    contents.flatMap(({ tensors }, file) =>
      stored.map(({ name }, i) => {
        const { offset, bytes } = tensors[i]!;
        return [`${name}${file}`, { name, dtype: "U8" as const, shape: [40], offset, bytes, file }] as const;
      })
    ),
  );
  const set = new TensorSet({ files, tensors }, "");
  using reader = new ScaleReader(set);
  for (const [name, { offset, file }] of tensors) {
    const expected = new Uint8Array(40), tensor = set.find(name)!;
    readRandom(contents[file]!, offset, expected);
    assertEquals(reader.bytes(tensor), expected, name);
    assertEquals(reader.bytes(tensor, 5), expected.slice(5), name);
    assertEquals(reader.bytes(tensor, 5, 20), expected.slice(5, 25), name);
  }
});

/**
 * Numbers by their bytes, as ml_dtypes and numpy have them in float32: some with subnormal ones of the narrow dtypes,
 * and of float64 one that lies halfway between two of float32 and is rounded down, and one that is rounded up.
 */
const NUMBERS: readonly [dtype: string, bytes: readonly number[], value: number][] = [
  ["BF16", [0x01, 0x00], 9.183549615799121e-41],
  ["BF16", [0x9a, 0x3e], 0.30078125],
  ["BF16", [0x7f, 0x7f], 3.3895313892515355e38],
  ["F16", [0x01, 0x00], 5.960464477539063e-8],
  ["F16", [0xcd, 0x34], 0.300048828125],
  ["F16", [0xff, 0x7b], 65504],
  ["F32", [0x01, 0x00, 0x00, 0x00], 1.401298464324817e-45],
  ["F32", [0x9a, 0x99, 0x99, 0x3e], 0.30000001192092896],
  ["F64", [0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0xd3, 0x3f], 0.30000001192092896],
  ["F64", [0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0xf0, 0x3f], 1],
  ["F64", [0x00, 0x00, 0x00, 0x30, 0x00, 0x00, 0xf0, 0x3f], 1.000000238418579],
];

Deno.test("ScaleReader widens scales of every dtype to float32, and rounds those of float64 half to even", () => {
  for (const [dtype, bytes, value] of NUMBERS) {
    using dir = new TemporaryDirectory();
    // Behind a byte, so that the number lies at an odd place.
    const tensors: [string, StoredNumbers][] = [
      ["before", { dtype: "U8", shape: [1], bytes: Uint8Array.of(7) }],
      ["scale", { dtype, shape: [], bytes: Uint8Array.from(bytes) }],
    ];
    dir.write("model.safetensors", fileOf(tensors));
    const set = new TensorSet(openWeightFiles(dir.path, () => {}), dir.path);
    using reader = new ScaleReader(set);
    assertEquals([...reader.read(set.find("scale")!, [1])], [value], dtype);
  }
});
