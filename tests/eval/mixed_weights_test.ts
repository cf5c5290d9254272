/** Weights of which parts are the same on both sides, in the same format or in several. */
import type { MatrixSource, ModelSource } from "../../src/checkpoint/source.ts";
import { compareWeights } from "../../src/eval/weight_errors.ts";
import { missingScales, planModel } from "../../src/plan/planned.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { Decoder } from "../checkpoint/decode.ts";
import { find, FORMATS, open } from "./small_models.ts";

/** A model of which one expert's second projection is another model's. */
function withExpert(source: ModelSource, expert: number, { files, tree }: ModelSource): ModelSource {
  const [layer, ...others] = source.tree.layers, { weight } = tree.layers[0]!.down[expert]!;
  const moved = { ...weight, file: source.files.length + weight.file };
  const scale = weight.scale.kind !== "e8m0"
    ? weight.scale
    : { ...weight.scale, file: source.files.length + weight.scale.file };
  const down = layer!.down.map((linear, i) => i === expert ? { ...linear, weight: { ...moved, scale } } : linear);
  const layers = [{ ...layer!, down }, ...others];
  return { ...source, files: [...source.files, ...files], tree: { ...source.tree, layers } };
}

Deno.test("compareWeights() reads all of a projection of which one expert is another file's", async () => {
  using first = new TemporaryDirectory(), second = new TemporaryDirectory();
  const { source: a } = open(first, "hf_mxfp4", 1), { source: other } = open(second, "hf_mxfp4", 2);
  const b = withExpert(a, 1, other), [x, y] = [new Decoder(a), new Decoder(other)];
  let signal = 0, error = 0;
  a.tree.layers[0]!.down.forEach(({ weight }, expert) => {
    const before = x.matrix(weight), after = y.matrix(other.tree.layers[0]!.down[expert]!.weight);
    before.forEach((value, i) => {
      signal += value ** 2;
      if (expert === 1) error += (after[i]! - value) ** 2;
    });
  });
  const results = await compareWeights(a, b);
  assertAlmostEquals(find(results, 0, "experts.down_proj").relativeError, Math.sqrt(error / signal), 1e-6);
  assertEquals(results.filter(({ relativeError }) => relativeError > 0).length, 1);
});

Deno.test("compareWeights() finds no changed scale among experts of which some have none", async () => {
  using first = new TemporaryDirectory(), second = new TemporaryDirectory();
  const mixed = withExpert(open(first, "hf_bf16", 1).source, 2, open(second, "hf_mxfp4", 2).source);
  const { formatA, formatB, scalesChanged, codesChanged, relativeError } = find(
    await compareWeights(mixed, mixed),
    0,
    "experts.down_proj",
  );
  assertEquals([formatA, formatB], Array(2).fill("bf16 + mxfp4"));
  assertEquals([scalesChanged, codesChanged, relativeError], [0, 0, 0]);
});

Deno.test("compareWeights() tells scales of rows from those of tensors, of the same weights", async () => {
  using dir = new TemporaryDirectory();
  const checkpoint = open(dir, "hf_bf16", 1), inputScales = missingScales(checkpoint);
  const [tensors, rows] = ["fp8", "ptpc_fp8"].map((scheme) =>
    planModel(checkpoint, { ...FORMATS, scheme, inputScales }).source
  );
  const { formatA, formatB, relativeError, ...counts } = find(
    await compareWeights(tensors!, rows!),
    1,
    "experts.down_proj",
  );
  assertEquals([formatA, formatB], ["fp8_e4m3", "fp8_e4m3"]);
  assert(relativeError > 1e-3, `${relativeError}`);
  assertEquals([counts.scalesChanged, counts.codesChanged], [null, null]);
});

Deno.test("compareWeights() counts a float32 once, whichever of its bytes changes", async () => {
  using from = new TemporaryDirectory(), to = new TemporaryDirectory();
  const { source } = open(from, "hf_mxfp4", 1), rows = 4, cols = 8;
  const withHead = (name: string, numbers: Float32Array): ModelSource => {
    const path = to.write(name, new Uint8Array(numbers.buffer)), file = source.files.length;
    const shape = { rows, cols, transposed: false, rowBytes: 4 * cols, rowStride: 4 * cols };
    const weight: MatrixSource = { name, format: "f32", ...shape, file, offset: 0, scale: { kind: "none" } };
    const files = [...source.files, { path, bytes: numbers.byteLength }];
    return { ...source, files, tree: { ...source.tree, head: { ...source.tree.head, weight } } };
  };
  const before = Float32Array.from({ length: rows * cols }, (_, i) => 1 + i), after = before.slice();
  const bytes = new Uint8Array(after.buffer);
  // A byte of four numbers each, and all but the highest of a fifth.
  for (const at of [0, 4 * 3 + 1, 4 * 7 + 2, 4 * 31 + 3, 4 * 9, 4 * 9 + 1, 4 * 9 + 2]) bytes[at]! ^= 1;
  const head = (await compareWeights(withHead("a", before), withHead("b", after))).at(-1)!;
  assertEquals([head.elements, head.codesChanged! * rows * cols], [rows * cols, 5]);
  const [signal, error] = [before, before.map((x, i) => after[i]! - x)].map((all) => Math.hypot(...all));
  assertAlmostEquals(head.relativeError, error! / signal!, 1e-6);
  assertEquals([head.scalesChanged, head.atMax, head.flushed], [null, null, 0]);
});
