import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import type { MatrixSource, ModelSource } from "../../src/checkpoint/source.ts";
import { TILE } from "../../src/conversion/codec.ts";
import { QuantizedChanges } from "../../src/eval/quantized_changes.ts";
import { compareWeights, type WeightDivergence } from "../../src/eval/weight_errors.ts";
import { encodeMxRow } from "../../src/formats/encode.ts";
import type { InputFormat } from "../../src/formats/input.ts";
import { planModel } from "../../src/plan/planned.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { Decoder } from "../checkpoint/decode.ts";
import { run } from "../quantize/run.ts";
import { find, FORMATS, open, SHAPE } from "./small_models.ts";

Deno.test("compareWeights() gives the errors that plain decoding gives, of converted weights too", async () => {
  using first = new TemporaryDirectory(), second = new TemporaryDirectory(), written = new TemporaryDirectory();
  const a = open(first, "hf_bf16", 1), b = open(second, "hf_mxfp4", 2);
  await run(a, written.path, "ptpc_fp8");
  const eight = openCheckpoint(written.path);
  const cases = [
    [a.source, b.source, b.source],
    [a.source, planModel(a, { ...FORMATS, scheme: "ptpc_fp8" }).source, eight.source],
  ] as const;
  for (const [left, right, decoded] of cases) {
    const results = await compareWeights(left, right);
    assertEquals(results.length, SHAPE.layers * 7 + 1);
    const [x, y] = [new Decoder(left), new Decoder(decoded)];
    for (const layer of [0, 1]) {
      let signal = 0, error = 0, flushed = 0;
      left.tree.layers[layer]!.down.forEach(({ weight }, expert) => {
        const before = x.matrix(weight), after = y.matrix(decoded.tree.layers[layer]!.down[expert]!.weight);
        before.forEach((value, i) => {
          signal += value ** 2;
          error += (after[i]! - value) ** 2;
          if (value !== 0 && after[i] === 0) flushed++;
        });
      });
      const got = find(results, layer, "experts.down_proj");
      assertAlmostEquals(got.relativeError, Math.sqrt(error / signal), 1e-6);
      assertEquals([got.flushed, got.codesChanged, got.scalesChanged], [flushed, null, null]);
      assert(got.relativeError > 0 && got.atMax! > 0);
    }
  }
  const [, converted] = cases[1];
  assertEquals(find(await compareWeights(a.source, converted), 0, "q_proj").relativeError, 0);
});

Deno.test("compareWeights() counts the scale bytes and codes that change", async () => {
  using first = new TemporaryDirectory(), second = new TemporaryDirectory();
  const a = open(first, "hf_mxfp4", 1), b = open(second, "hf_mxfp4", 1);
  const { weight } = b.source.tree.layers[1]!.gateUp[2]!;
  const change = (offset: number, to: (byte: number) => number) => {
    using file = Deno.openSync(b.source.files[weight.file]!.path, { read: true, write: true });
    const byte = new Uint8Array(1);
    file.seekSync(offset, Deno.SeekMode.Start);
    file.readSync(byte);
    file.seekSync(offset, Deno.SeekMode.Start);
    file.writeSync(Uint8Array.of(to(byte[0]!)));
  };
  assert(weight.scale.kind === "e8m0");
  change(weight.offset + 5, (byte) => byte ^ 0x10);
  change(weight.offset + 9, (byte) => byte ^ 0x21);
  change(weight.scale.offset + 3, (byte) => byte + 1);
  const results = await compareWeights(a.source, b.source);
  const { elements, codesChanged, scalesChanged, relativeError } = find(results, 1, "experts.gate_up_proj");
  assertEquals(elements, 3 * 2 * 96 * 64);
  assertEquals([codesChanged! * elements, scalesChanged! * elements / 32], [3, 1]);
  assert(relativeError > 0);
  for (const other of results) {
    if (other.layer === 1 && other.operation === "experts.gate_up_proj") continue;
    assertEquals([other.relativeError, other.codesChanged], [0, 0]);
    assertEquals(other.scalesChanged, other.formatA === "mxfp4" ? 0 : null);
  }
});

Deno.test("compareWeights() counts in all of a matrix that is decoded in several parts", async () => {
  using from = new TemporaryDirectory(), to = new TemporaryDirectory();
  const { source } = open(from, "hf_mxfp4", 1);
  // More rows than are decoded at once; zeros but for what is written.
  const cols = 64, rows = TILE / cols + 4, codes = rows * cols / 2, scales = rows * cols / 32;
  const withHead = (path: string, written: readonly (readonly [offset: number, byte: number])[]): ModelSource => {
    {
      using file = Deno.openSync(path, { create: true, write: true });
      file.truncateSync(codes + scales);
      for (const [offset, byte] of written) {
        file.seekSync(offset, Deno.SeekMode.Start);
        file.writeSync(Uint8Array.of(byte));
      }
    }
    const file = source.files.length, scale = { kind: "e8m0", file, offset: codes, rowStride: cols / 32 } as const;
    const shape = { rows, cols, transposed: false, rowBytes: cols / 2, rowStride: cols / 2 };
    const weight: MatrixSource = { name: "head", format: "mxfp4", ...shape, file, offset: 0, scale };
    const files = [...source.files, { path, bytes: codes + scales }];
    return { ...source, files, tree: { ...source.tree, head: { ...source.tree.head, weight } } };
  };
  // Two codes in the first part, of which one is 6, and three in the second; a scale in each of its first two rows.
  const second = TILE / 2, scale = codes + TILE / 32;
  const changed = [[7, 0x71], [second, 0x11], [codes - 1, 0x70], [scale, 1], [scale + 2, 1]] as const;
  const results = await compareWeights(withHead(`${to.path}/a`, []), withHead(`${to.path}/b`, changed));
  const { elements, codesChanged, scalesChanged, atMax, flushed } = results.at(-1)!;
  assertEquals(elements, rows * cols);
  assertEquals([codesChanged! * elements, scalesChanged! * elements / 32, atMax, flushed], [5, 2, 2, 0]);
  // Of zeros the scales change nothing.
  const zeros = (await compareWeights(withHead(`${to.path}/c`, []), withHead(`${to.path}/d`, [[scale, 1]]))).at(-1)!;
  assertEquals([zeros.relativeError, zeros.codesChanged, zeros.scalesChanged! * elements / 32], [0, 0, 1]);
});

Deno.test("compareWeights() counts a number of several bytes once, whichever of them changes", async () => {
  using first = new TemporaryDirectory(), second = new TemporaryDirectory();
  const a = open(first, "hf_bf16", 1), b = open(second, "hf_bf16", 1), { weight } = b.source.tree.layers[0]!.q;
  const { path } = b.source.files[weight.file]!, bytes = Deno.readFileSync(path);
  // Of the first number and the third the first byte, of the second and the last the other one, of the ninth both.
  const last = weight.rows * weight.cols - 1;
  for (const at of [0, 3, 4, 16, 17, 2 * last + 1]) bytes[weight.offset + at]! ^= 1;
  Deno.writeFileSync(path, bytes);
  const { codesChanged, elements, scalesChanged, atMax } = find(await compareWeights(a.source, b.source), 0, "q_proj");
  assertEquals([codesChanged! * elements, scalesChanged, atMax], [5, null, null]);
});

/** A code among packed ones, bit by bit. */
function codeAt(bytes: Uint8Array, i: number, bits: number): number {
  let code = 0;
  for (let k = 0; k < bits; k++) code |= (bytes[i * bits + k >> 3]! >> (i * bits + k & 7) & 1) << k;
  return code;
}

Deno.test("compareWeights() counts changed scales and codes of every format, and its largest numbers", async () => {
  using from = new TemporaryDirectory();
  const bf16 = open(from, "hf_bf16", 1), name = "model.layers.1.mlp.experts.1.down_proj.weight";
  const input = new Map(
    bf16.source.tree.layers.flatMap(({ down, gateUp }) => [...down, ...gateUp])
      .map(({ module }) => [module!, 1]),
  );
  // Bits of the tensor that are turned, how many codes of how many bits hold them, and how many scales there are.
  for (
    const [scheme, turned, codes, bits, scales] of [
      ["w_mxfp6_e3m2", [5, 6, 15, 17, 24, 47], 5, 6, 3 * 64 * 3],
      ["w_mxfp6_e2m3", [0, 12, 13, 18], 3, 6, 3 * 64 * 3],
      ["w_mxfp4", [0, 3, 4, 9], 3, 4, 3 * 64 * 3],
      ["fp8", [0, 6, 8, 23], 3, 8, 3],
      ["ptpc_fp8", [0, 6, 8, 23], 3, 8, 3 * 64],
    ] as const
  ) {
    using one = new TemporaryDirectory(), other = new TemporaryDirectory();
    await run(bf16, one.path, scheme, { scales: input });
    for (const { name } of Deno.readDirSync(one.path)) {
      Deno.copyFileSync(`${one.path}/${name}`, `${other.path}/${name}`);
    }
    const file = `${other.path}/model.safetensors`, bytes = Deno.readFileSync(file);
    const { tensors } = openSafetensors(file), { offset } = tensors.get(name)!;
    const codesAt = (expert: number) => {
      const { offset, bytes: size } = tensors.get(`model.layers.1.mlp.experts.${expert}.down_proj.weight`)!;
      return bytes.subarray(offset, offset + size);
    };
    for (const bit of turned) bytes[offset + (bit >> 3)]! ^= 1 << (bit & 7);
    // The last byte of an FP32 scale is its sign and exponent; of another one it is all.
    const { offset: at, bytes: length } = tensors.get(`${name}_scale`)!;
    bytes[at + length - 1]! ^= 1;
    Deno.writeFileSync(file, bytes);
    const [a, b] = [openCheckpoint(one.path).source, openCheckpoint(other.path).source];
    const results = await compareWeights(a, b), got = find(results, 1, "experts.down_proj");
    const { elements, formatB, codesChanged, scalesChanged, atMax } = got;
    assertEquals(elements, 3 * 64 * 96);
    assertEquals([codesChanged! * elements, scalesChanged! * scales], [codes, 1], scheme);
    // Of either sign; FP8's largest is one below its codes that are no number.
    const most = 2 ** (bits - 1) - (bits === 8 ? 2 : 1);
    const all = [0, 1, 2].flatMap((expert) =>
      Array.from({ length: 64 * 96 }, (_, i) => codeAt(codesAt(expert), i, bits) & 2 ** (bits - 1) - 1)
    );
    assertEquals(atMax, all.filter((code) => code === most).length, scheme);
    assert(atMax! > 0);
    const head = results.at(-1)!;
    assertEquals([head.layer, head.operation, head.relativeError, formatB], [
      2,
      "lm_head",
      0,
      b.tree.layers[1]!.down[0]!.weight.format,
    ]);
  }
});

Deno.test("compareWeights() finds that two schemes make the same of the same weights, or other numbers", async () => {
  using dir = new TemporaryDirectory();
  const checkpoint = open(dir, "hf_bf16", 1);
  const planned = (scheme: string) => planModel(checkpoint, { ...FORMATS, scheme }).source;
  const compared = async (a: ModelSource, b: ModelSource) => find(await compareWeights(a, b), 1, "experts.down_proj");
  const same = { scalesChanged: 0, codesChanged: 0, flushed: 0, atMax: null, relativeError: 0 };
  const place = { layer: 1, operation: "experts.down_proj", elements: 3 * 64 * 96 };
  for (const [scheme, format] of [["ptpc_fp8", "fp8_e4m3"], ["w_mxfp4", "mxfp4"], ["w_mxfp6_e2m3", "mxfp6_e2m3"]]) {
    const got = await compared(planned(scheme!), planned(scheme!));
    assertEquals(got, { ...place, ...same, formatA: format!, formatB: format! } as WeightDivergence);
  }
  assertEquals(await compared(checkpoint.source, checkpoint.source), {
    ...{ ...place, ...same, scalesChanged: null, formatA: "bf16", formatB: "bf16" },
  } as WeightDivergence);
  const other = await compared(planned("w_mxfp6_e2m3"), planned("w_mxfp6_e3m2"));
  assert(other.relativeError > 0.01 && other.codesChanged === null, `${other.relativeError}`);
  // Progress ends where all is done.
  const progress: (readonly [number, number])[] = [];
  await compareWeights(checkpoint.source, planned("w_mxfp4"), (done, total) => void progress.push([done, total]));
  const linears = 2 * (5 + 2 * 3) + 1;
  assertEquals(progress.at(-1)![1], linears);
  assertEquals(progress.map(([done]) => done), progress.map(([done]) => done).toSorted((a, b) => a - b));
  assertEquals(progress.length, 2 * 2 * 3, "only what differs is read");
  // The experts of either layer come after its five other linears.
  assertEquals(
    progress.map(([done]) => done),
    [0, 11].flatMap((before) => [6, 7, 8, 9, 10, 11].map((n) => before + n)),
  );
});

Deno.test("QuantizedChanges counts as encoding both rows does, of the same experts only", () => {
  const format: InputFormat = { kind: "mx", element: "e3m2", rule: "even" };
  const tensor = { name: "x", layer: 0, operation: "experts.swiglu", format } as const;
  const row = (seed: number) => Float32Array.from({ length: 64 }, (_, i) => Math.sin(seed + i * i) * 2 ** (i % 5));
  const a = new Float32Array([...row(1), ...row(2)]), b = new Float32Array([...row(1.01), ...row(9)]);
  const changes = QuantizedChanges.of(tensor, tensor)!;
  changes.add({
    ...{ layer: 0, operation: "experts.swiglu", start: 0, rows: 2, width: 64, a, b },
    expertsA: Int32Array.of(4, 5),
    expertsB: Int32Array.of(4, 6),
  }, { sequence: 0, start: 0, perToken: 4 });
  const [x, y] = [encodeMxRow(row(1), "e3m2", "even"), encodeMxRow(row(1.01), "e3m2", "even")];
  const code = (bytes: Uint8Array, i: number) =>
    bytes.subarray(3 * (i >> 2)).slice(0, 3).reduce((w, v, k) => w | v << 8 * k, 0) >> 6 * (i & 3) & 63;
  const codes = Array.from({ length: 64 }, (_, i) => code(x.codes, i) !== code(y.codes, i)).filter(Boolean).length;
  const scales = [0, 1].filter((i) => x.scales[i] !== y.scales[i]).length;
  const { scalesInterval, codesInterval, ...shares } = changes.result()!;
  assertEquals(shares, { scales: scales / 2, codes: codes / 64 });
  for (const [share, interval] of [[scales / 2, scalesInterval], [codes / 64, codesInterval]] as const) {
    assert(interval!.low <= share && share <= interval!.high && interval!.low < interval!.high);
  }
  assert(codes > 0);
  assertEquals(QuantizedChanges.of(tensor, { ...tensor, format: { kind: "fp8_token" } }), null);
});
