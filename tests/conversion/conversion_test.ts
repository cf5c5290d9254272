/**
 * Weights that are converted while they are loaded: the bytes that `quantize` writes, and the bits that a written
 * checkpoint computes.
 */
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { allLinears, type MatrixSource, type ModelSource } from "../../src/checkpoint/source.ts";
import { MadeFiles, withMadeScales } from "../../src/conversion/made_files.ts";
import { InputError } from "../../src/errors.ts";
import { blocksOf, bytesOf } from "../../src/formats/format.ts";
import { planModel } from "../../src/plan/planned.ts";
import { SCHEME_NAMES } from "../../src/plan/scheme.ts";
import { isTarget, type TargetScheme } from "../../src/quantize/targets.ts";
import { writeRandomCheckpoint } from "../../tools/random_checkpoint.ts";
import { type Layout, type Shape, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { assert, assertEquals, assertNotEquals, assertRejects } from "../assert.ts";
import { rewrite, TemporaryDirectory } from "../checkpoint/container.ts";
import { logitsOf, TINY } from "../model/tiny.ts";
import { writeTiny } from "../model/tiny_layouts.ts";
import { run, someScales } from "../quantize/run.ts";
import { openSession, type SessionOptions } from "../session/open_session.ts";

const SHAPE: Shape = { ...SHAPES.tiny, layers: 2, hidden: 64, intermediate: 96, experts: 3, topK: 2, vocab: 40 };
const FORMATS = { dtype: "bf16", kvCacheDtype: "auto" } as const;
const IDS = [3, 1, 4, 1, 5];

function makeRandom(dir: TemporaryDirectory, layout: Layout): Checkpoint {
  writeRandomCheckpoint(dir.path, { shape: SHAPE, layout, seed: 5 });
  return openCheckpoint(dir.path);
}

/** Codes and e8m0 scales of a matrix, whose rows lie together. */
function bytesIn(
  { file, offset, rows, cols, format, scale }: MatrixSource,
  read: (file: number, offset: number, into: Uint8Array) => void,
): Uint8Array[] {
  const codes = new Uint8Array(rows * bytesOf(format, cols));
  read(file, offset, codes);
  if (scale.kind !== "e8m0") return [codes];
  const scales = new Uint8Array(rows * blocksOf(cols));
  read(scale.file, scale.offset, scales);
  return [codes, scales];
}

function fileReader({ files }: ModelSource) {
  const contents = files.map(({ path }) => Deno.readFileSync(path));
  return (file: number, offset: number, into: Uint8Array) =>
    into.set(contents[file]!.subarray(offset, offset + into.length));
}

const floatScales = ({ scale }: MatrixSource) =>
  scale.kind === "row" ? [...scale.values] : scale.kind === "tensor" ? [scale.value] : [];

const TARGETS = SCHEME_NAMES.filter(isTarget);

/** From blocks, one scheme for each way to store weights is enough. */
const OTHERS: readonly TargetScheme[] = ["w_mxfp6_e2m3", "fp8", "ptpc_fp8"];

for (const [layout, targets] of [["hf_bf16", TARGETS], ["hf_mxfp4", OTHERS]] as const) {
  Deno.test(`conversion of ${layout} makes the bytes that quantize writes, scheme by scheme`, async () => {
    using from = new TemporaryDirectory();
    const checkpoint = makeRandom(from, layout), inputScales = someScales(checkpoint);
    let converted = 0;
    for (const scheme of targets) {
      using to = new TemporaryDirectory();
      await run(checkpoint, to.path, scheme, { scales: inputScales });
      const written = openCheckpoint(to.path).source, read = fileReader(written);
      const made = await withMadeScales(planModel(checkpoint, { ...FORMATS, scheme, inputScales }).source);
      using files = await MadeFiles.open(made.files);
      const expected = new Map(allLinears(written.tree).map((linear) => [linear.module, linear.weight]));
      for (const { module, weight } of allLinears(made.tree)) {
        if (made.files[weight.file]!.made === undefined) continue;
        const want = expected.get(module)!;
        assertEquals([weight.format, weight.scale.kind], [want.format, want.scale.kind]);
        assertEquals(floatScales(weight), floatScales(want), module);
        const got = bytesIn(weight, (file, offset, into) => files!.read(file, offset, into));
        assertEquals(got, bytesIn(want, read), `${scheme} ${module}`);
        converted++;
      }
    }
    assertEquals(converted, targets.length * SHAPE.layers * SHAPE.experts * 2);
  });
}

async function bits(checkpoint: Checkpoint, options: Partial<SessionOptions>): Promise<Uint32Array> {
  const session = await openSession(checkpoint, {
    ...FORMATS,
    backend: "emulate",
    context: IDS.length,
    threads: 1,
    ...options,
  });
  try {
    return new Uint32Array((await logitsOf(session, IDS)).buffer);
  } finally {
    await session.close();
  }
}

/** Blocks, a scale for each matrix and a scale for each row, whole and cut over ranks. */
const CASES: readonly [scheme: TargetScheme, settings: readonly Partial<SessionOptions>[]][] = [
  ["w_mxfp4_a_mxfp4", [{ backend: "emulate" }, { backend: "reference" }]],
  ["w_mxfp6_e2m3", [{ backend: "emulate", tp: 2 }]],
  ["fp8", [{ backend: "reference" }]],
  ["ptpc_fp8", [{ backend: "emulate" }, { backend: "emulate", tp: 2, ep: 2 }]],
];

for (const [scheme, settings] of CASES) {
  Deno.test(`eval's scheme ${scheme} on bf16 weights computes the bits of quantize, then load`, async () => {
    using from = new TemporaryDirectory(), to = new TemporaryDirectory();
    const checkpoint = makeRandom(from, "hf_bf16"), inputScales = someScales(checkpoint);
    await run(checkpoint, to.path, scheme, { scales: inputScales });
    const written = openCheckpoint(to.path);
    for (const setting of settings) {
      const got = await bits(checkpoint, { ...setting, scheme, inputScales });
      assertEquals(got, await bits(written, setting), JSON.stringify(setting));
    }
    assertNotEquals(await bits(checkpoint, {}), await bits(written, {}));
  });
}

Deno.test("eval's scheme leaves attention in its own weights' format to the checkpoint, as quantize does", async () => {
  using plain = new TemporaryDirectory(), from = new TemporaryDirectory(), to = new TemporaryDirectory();
  await run(makeRandom(plain, "hf_bf16"), from.path, "w_mxfp4", { attention: "w_mxfp4_a_mxfp4" });
  const checkpoint = openCheckpoint(from.path);
  await run(checkpoint, to.path, "w_mxfp4_a_mxfp6_e3m2", {});
  const got = await bits(checkpoint, { scheme: "w_mxfp4_a_mxfp6_e3m2" });
  assertEquals(got, await bits(openCheckpoint(to.path), {}));
  // What was MXFP4 is the same in MXFP6, with whatever attention.
  const [four, six] = [{ scheme: "w_mxfp4" }, { scheme: "w_mxfp6_e3m2" }] as const;
  assertEquals(await bits(checkpoint, four), await bits(checkpoint, six));
});

Deno.test("eval's schemes take MI300's FP8 weights as they are, and quantize copies them", async () => {
  for (const [scheme, other] of [["fp8", "ptpc_fp8"], ["ptpc_fp8", "fp8"]] as const) {
    using plain = new TemporaryDirectory(), from = new TemporaryDirectory();
    const bf16 = makeRandom(plain, "hf_bf16"), inputScales = someScales(bf16);
    await run(bf16, from.path, scheme, { scales: inputScales, attention: scheme });
    rewrite(`${from.path}/model.safetensors`, (tensors) => {
      for (const [name, tensor] of tensors) {
        if (tensor.dtype !== "F8_E4M3") continue;
        // The same codes are half the numbers there, but for the sign of zero, which is NaN.
        const bytes = tensor.bytes.map((code) => code === 0x80 ? 0 : code);
        tensors.set(name, { ...tensor, dtype: "F8_E4M3FNUZ", bytes });
      }
    });
    const checkpoint = openCheckpoint(from.path), read = fileReader(checkpoint.source);
    for (const [target, kept] of [[scheme, true], [other, false]] as const) {
      using to = new TemporaryDirectory();
      await run(checkpoint, to.path, target, { scales: inputScales, attention: target });
      const written = openCheckpoint(to.path), readWritten = fileReader(written.source);
      const { gateUp: [now], q } = written.source.tree.layers[1]!,
        { gateUp: [before] } = checkpoint.source.tree.layers[1]!;
      assertEquals([now!.weight.format, q.weight.format], Array(2).fill(kept ? "fp8_e4m3fnuz" : "fp8_e4m3"));
      if (kept) assertEquals(bytesIn(now!.weight, readWritten), bytesIn(before!.weight, read));
      using experts = new TemporaryDirectory();
      await run(checkpoint, experts.path, target, { scales: inputScales });
      const got = await bits(checkpoint, { scheme: target, inputScales });
      assertEquals(got, await bits(openCheckpoint(experts.path), {}), `${scheme} to ${target}`);
    }
  }
});

Deno.test("eval's scheme bf16 on MXFP4 weights computes the bits of the checkpoint in bf16", async () => {
  using dir = new TemporaryDirectory();
  writeTiny(dir, "hf_bf16");
  const embedded = openCheckpoint(TINY), plain = openCheckpoint(dir.path);
  assertEquals(await bits(embedded, { scheme: "bf16" }), await bits(plain, {}));
});

Deno.test("conversion refuses numbers that no format holds, by their tensor", async () => {
  using dir = new TemporaryDirectory();
  const { source } = makeRandom(dir, "hf_bf16");
  const { weight } = source.tree.layers[1]!.down[2]!, { path } = source.files[weight.file]!;
  using file = Deno.openSync(path, { write: true });
  file.seekSync(weight.offset, Deno.SeekMode.Start);
  file.writeSync(Uint8Array.of(0x80, 0x7f));
  const checkpoint = openCheckpoint(dir.path);
  for (const scheme of ["w_mxfp4", "ptpc_fp8"] as const) {
    const { message } = await assertRejects(() => bits(checkpoint, { scheme }), InputError, "finite numbers");
    assert(message.includes("model.layers.1.mlp.experts.down_proj") && message.includes("Infinity"), message);
  }
});
