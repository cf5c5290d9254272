/** The matrices of online rotations, number by number: what is computed with is what the tensors say. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { RotationReader } from "../../src/checkpoint/layouts/quark_rotation.ts";
import { ScaleReader } from "../../src/checkpoint/layouts/values.ts";
import { randomContents } from "../../src/checkpoint/random/contents.ts";
import { TensorSet } from "../../src/checkpoint/tensor_set.ts";
import { allLinears } from "../../src/checkpoint/source.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { unpack } from "../model/quark_exports.ts";
import { rewrite, type StoredNumbers } from "./container.ts";

type Tensors = Map<string, StoredNumbers>;

const Q = "model.layers.0.self_attn.q_proj", DOWN = "model.layers.1.mlp.experts.2.down_proj";

const NOTHING_SAID = { rotation: null, fakeQuantized: false };

/** Matrices by module, of an export whose tensors were changed. */
function matrices(change: (tensors: Tensors) => void, name = "rotation_online_32"): Map<string, Float64Array> {
  using dir = unpack(name);
  rewrite(`${dir.path}/model.safetensors`, change);
  const { tree } = openCheckpoint(dir.path).source;
  return new Map(allLinears(tree).flatMap(({ module, rotation }) => rotation ? [[module!, rotation.matrix]] : []));
}

const trained = (values: Float64Array, size: number): StoredNumbers => ({
  dtype: "F64",
  shape: [size, size],
  bytes: new Uint8Array(values.buffer),
});

Deno.test("signs are divided by the root of the width in float32, and all linears hold one matrix", () => {
  let signs = new Int8Array(0);
  const all = matrices((tensors) => signs = Int8Array.from(new Int8Array(tensors.get(`${Q}.input_rotation`)!.bytes)));
  // 1 / sqrt(32) rounded to float32.
  const factor = 0.1767766922712326, matrix = all.get(Q)!;
  assertEquals(signs.length, 32 * 32);
  assert(signs.includes(1) && signs.includes(-1));
  assertEquals([...matrix], Array.from(signs, (sign) => sign * factor));
  assert(all.size > 4 && [...all.values()].every((other) => other === matrix));
});

/** float32(1) / sqrt(float32(width)), as numpy computes it. */
const FACTORS = [[24, 0.20412413775920868], [72, 0.1178511381149292]] as const;

Deno.test("the root of a width is rounded to float32 before 1 is divided by it", () => {
  // Widths that divide gpt-oss's 2880 features and where 1 / sqrt(width), rounded once, is another number.
  for (const [size, factor] of FACTORS) {
    const tensor = {
      name: "x.input_rotation",
      dtype: "I8",
      shape: [size, size],
      offset: 0,
      bytes: size * size,
      file: 0,
    };
    const find = (name: string) => name === tensor.name ? tensor : null;
    const signs = Int8Array.from({ length: size * size }, (_, i) => i % 3 === 0 ? -1 : 1);
    const scales = { bytes: () => new Uint8Array(signs.buffer) } as unknown as ScaleReader;
    const rotation = new RotationReader({ find } as unknown as TensorSet, scales, NOTHING_SAID).read("x", 2880)!;
    assertEquals([rotation.size, rotation.prescale], [size, null]);
    assertEquals([...rotation.matrix], Array.from(signs, (sign) => sign * factor));
  }
});

Deno.test("trained matrices are taken as they are, each linear's own, however little they differ", () => {
  const first = Float64Array.from({ length: 32 * 32 }, (_, i) => Math.sin(i)), second = first.slice();
  second[1023] = second[1023]! + 1e-9;
  // As many numbers as the first ones of the others.
  const small = first.slice(0, 16 * 16);
  const all = matrices((tensors) => {
    tensors.set(`${Q}.input_rotation`, trained(first, 32));
    tensors.set(`${DOWN}.input_rotation`, trained(second, 32));
    tensors.set(`${DOWN.replace("2.down", "3.down")}.input_rotation`, trained(small, 16));
  }, "rotation_trained");
  assertEquals([all.get(Q), all.get(DOWN), all.get(DOWN.replace("2.down", "3.down"))], [first, second, small]);
});

Deno.test("a matrix is not taken for a smaller one that begins as it does", () => {
  const large = Float64Array.from({ length: 32 * 32 }, (_, i) => Math.sin(i)), small = large.slice(0, 16 * 16);
  const all = matrices((tensors) => {
    tensors.set(`${Q}.input_rotation`, trained(small, 16));
    tensors.set(`${DOWN}.input_rotation`, trained(large, 32));
  }, "rotation_trained");
  assertEquals([all.get(Q), all.get(DOWN)], [small, large]);
});

Deno.test("signs other than 1 and -1, an infinite number and one prescale for all features are refused", () => {
  const rotation = `${Q}.input_rotation`;
  for (const sign of [2, -2, 127, -128]) {
    const other = () => matrices((tensors) => void (tensors.get(rotation)!.bytes[9] = sign));
    assertThrows(other, InputError, `tensor ${rotation}: expected 1 and -1, got ${sign} at element 9`);
  }
  for (const value of [Infinity, -Infinity]) {
    const numbers = new Float64Array(32 * 32).fill(0.5);
    numbers[1023] = value;
    const infinite = () => matrices((tensors) => void tensors.set(rotation, trained(numbers, 32)), "rotation_trained");
    assertThrows(infinite, InputError, `tensor ${rotation}: expected finite numbers, got ${value} at element 1023`);
  }
  const one: StoredNumbers = { dtype: "F32", shape: [1], bytes: new Uint8Array(Float32Array.of(2).buffer) };
  assertThrows(
    () => matrices((tensors) => void tensors.set(`${Q}.input_prescale`, one)),
    InputError,
    `tensor ${Q}.input_prescale: expected BF16, F16, F32 or F64 with 64 elements, got F32 [1]`,
  );
});

Deno.test("a first sign of 0 and a matrix wider than 1024 are refused", () => {
  const zero = () => matrices((tensors) => tensors.get(`${Q}.input_rotation`)!.bytes[0] = 0);
  assertThrows(zero, InputError, `tensor ${Q}.input_rotation: expected 1 and -1, got 0 at element 0`);

  const name = "x.input_rotation", identity = { path: "f", device: 0, inode: null, modified: null, changed: null };
  const read = (size: number) => {
    const tensor = { name, dtype: "I8", shape: [size, size], offset: 0, bytes: size * size, file: 0 } as const;
    const tensors = new Map([[name, tensor]]), random = randomContents([{ ...tensor, dtype: "U8", fill: "codes" }], 1);
    const file = { path: "f", bytes: size * size, random, dataStart: 0, tensors, metadata: new Map<string, string>() };
    const set = new TensorSet({ files: [{ ...file, identity: { ...identity, bytes: size * size } }], tensors }, "f");
    using scales = new ScaleReader(set);
    return new RotationReader(set, scales, NOTHING_SAID).read("x", 2048);
  };
  const wide = "tensor x.input_rotation: expected a square matrix, no wider than 1024, whose width divides the 2048";
  assertThrows(() => read(2048), InputError, wide);
  // As many numbers as two square ones have, and as one in one more dimension.
  for (const shape of [[32, 32, 2], [32, 32, 1], [1, 32, 32]]) {
    const bytes = new Uint8Array(shape.reduce((product, size) => product * size, 1)).fill(1);
    const deep = () => matrices((tensors) => void tensors.set(`${Q}.input_rotation`, { dtype: "I8", shape, bytes }));
    assertThrows(deep, InputError, `tensor ${Q}.input_rotation: expected a square matrix, no wider than 1024, whose`);
  }
  // As wide as it may be its numbers are looked at.
  assertThrows(() => read(1024), InputError, "tensor x.input_rotation: expected 1 and -1, got");
});
