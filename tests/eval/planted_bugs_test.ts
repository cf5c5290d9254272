/**
 * Defects planted in a copy of the model: `compare` must name the layer and the operation of each, and nothing else,
 * and its page must show them first.
 */
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import type { LayerTree, LinearSource, VectorSource } from "../../src/checkpoint/source.ts";
import type { Divergence, Side } from "../../src/eval/comparison.ts";
import { toResult } from "../../src/eval/divergence_result.ts";
import { compareAnswer } from "../../src/eval/report/compare_page.ts";
import { CompareResults, SCHEMA_VERSION } from "../../src/eval/results_schema.ts";
import { operationName } from "../../src/eval/summary.ts";
import type { SessionOptions } from "../session/open_session.ts";
import type { Dtype } from "../../src/formats/format.ts";
import { type InputFormat, MX_INPUT, type MxInputElement } from "../../src/formats/input.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "../assert.ts";
import { BrokenCheckpoint } from "../cli/broken.ts";
import { dose, SOAK } from "../soak.ts";
import { readPage } from "./dom.ts";
import { COST, settingResult } from "./results.ts";
import { compared as comparedOn, openSide, TINY, TWO_TURNS } from "./sides.ts";

/** A defect in a file of the checkpoint. */
interface Planted {
  readonly name: string;
  readonly plant: (checkpoint: BrokenCheckpoint) => void;
  /** Every suspect, in the order of the pass. */
  readonly suspects: readonly string[];
  /** What one of the hints of the first suspect must say. */
  readonly hint?: RegExp;
  /** Where the first tokens of the text do not show it. */
  readonly tokens?: Int32Array;
}

const DTYPES: readonly Dtype[] = ["f32", "bf16"];

/** Less than a window, which is 128. */
const SOME_TOKENS = TWO_TURNS.subarray(0, dose(40, Infinity));

const compared = (a: Promise<Side>, b: Promise<Side>, tokens = SOME_TOKENS) => comparedOn(a, b, [tokens]);

const experts = (layer: number, tensor: string) => `model.layers.${layer}.mlp.experts.${tensor}`;
const INTERMEDIATE = 224, HIDDEN = 288, EXPERTS = 16;

/** Exchanges gate and up, which are the even and the odd rows, of one expert in a tensor of `rowBytes` bytes a row. */
function swapGateUp(data: Uint8Array, expert: number, rowBytes: number): void {
  const rows = 2 * INTERMEDIATE;
  assertEquals(data.length, EXPERTS * rows * rowBytes);
  const own = data.subarray(expert * rows * rowBytes, (expert + 1) * rows * rowBytes);
  for (let at = 0; at < own.length; at += 2 * rowBytes) {
    const gate = own.slice(at, at + rowBytes);
    own.copyWithin(at, at + rowBytes, at + 2 * rowBytes);
    own.set(gate, at + rowBytes);
  }
}

const IN_FILES: Planted[] = [
  {
    name: "scale exponents off by one in one layer",
    plant: (c) => c.tensor(experts(2, "gate_up_proj_scales"), (data) => data.forEach((byte, i) => data[i] = byte + 1)),
    suspects: ["layer 2 experts.gate_up_proj"],
  },
  {
    name: "one scale exponent off by one in one block",
    plant: (c) => c.tensor(experts(1, "down_proj_scales"), (data) => data[4 * HIDDEN * 7 + 3]! += 1),
    suspects: ["layer 1 experts.down_proj"],
    hint: /only expert 4/,
  },
  {
    name: "gate and up swapped in one expert",
    plant: (c) => {
      c.tensor(experts(1, "gate_up_proj_blocks"), (data) => swapGateUp(data, 5, HIDDEN / 2));
      c.tensor(experts(1, "gate_up_proj_scales"), (data) => swapGateUp(data, 5, HIDDEN / 32));
      c.tensor(experts(1, "gate_up_proj_bias"), (data) => swapGateUp(data, 5, 2));
    },
    suspects: ["layer 1 experts.gate_up_proj"],
    hint: /^only expert 5$/,
  },
  {
    name: "nibbles swapped",
    plant: (c) =>
      c.tensor(
        experts(3, "down_proj_blocks"),
        (data) => data.forEach((byte, i) => data[i] = (byte >> 4) | (byte << 4)),
      ),
    suspects: ["layer 3 experts.down_proj"],
  },
  {
    name: "sinks dropped in every layer",
    plant: (c) => {
      // bfloat16 -3.4e38: e to that is 0, as if there were no sink.
      for (let layer = 0; layer < 4; layer++) {
        c.tensor(
          `model.layers.${layer}.self_attn.sinks`,
          (data) => data.forEach((_, i) => data[i] = i % 2 === 0 ? 0x7f : 0xff),
        );
      }
    },
    suspects: [0, 1, 2, 3].map((layer) => `layer ${layer} attention`),
  },
  {
    name: "a window of 127 instead of 128",
    plant: (c) => c.config((config) => config["sliding_window"] = 127),
    suspects: ["layer 0 attention", "layer 2 attention"],
    hint: /^from position 12[789] on$/,
    tokens: TWO_TURNS,
  },
  {
    name: "a bias left out",
    plant: (c) => c.tensor("model.layers.1.self_attn.o_proj.bias", (data) => data.fill(0)),
    suspects: ["layer 1 o_proj"],
  },
  {
    name: "rotary embedding without YaRN's interpolation",
    plant: (c) => c.config((config) => (config["rope_scaling"] as Record<string, unknown>)["factor"] = 31),
    suspects: [0, 1, 2, 3].flatMap((layer) => [`layer ${layer} rotary.q`, `layer ${layer} rotary.k`]),
  },
  {
    // The clamp before SwiGLU makes a number of it again, so that no logit shows it.
    name: "an infinite bias of one expert",
    plant: (c) =>
      c.tensor(experts(1, "gate_up_proj_bias"), (data) => data.set([0x80, 0x7f], 2 * (2 * INTERMEDIATE * 4 + 6))),
    suspects: ["layer 1 experts.gate_up_proj"],
    hint: /^elements that are NaN or infinite: [1-9]\d* under B$/,
  },
  {
    name: "a router row of zeros",
    plant: (c) => c.tensor("model.layers.2.mlp.router.weight", (data) => data.fill(0, 3 * 2 * HIDDEN, 4 * 2 * HIDDEN)),
    suspects: ["layer 2 router"],
  },
];

for (const [i, { name, plant, suspects, hint, tokens }] of IN_FILES.entries()) {
  Deno.test(`compare names ${name}`, async () => {
    using broken = new BrokenCheckpoint();
    plant(broken);
    // Outside a soak by turns.
    for (const dtype of SOAK ? DTYPES : [DTYPES[i % 2]!]) {
      const divergence = await compared(
        openSide(openCheckpoint(TINY), { dtype }),
        openSide(openCheckpoint(broken.dir), { dtype }),
        tokens,
      );
      const { suspects: found } = divergence;
      assertEquals(found.map(operationName), suspects, dtype);
      assertFirstScreen(divergence, suspects);
      if (hint) assert(found[0]!.hints.some((h) => hint.test(h)), found[0]!.hints.join("; "));
      assert(found.every((s) => s.evidence === "own"));
    }
  });
}

/** The page of a comparison shows every suspect, and the sentence of its first, before anything is scrolled. */
function assertFirstScreen(divergence: Divergence, suspects: readonly string[]): void {
  const setting = settingResult("w_mxfp4"), cost = COST;
  const html = compareAnswer(
    CompareResults.parse({
      schema: "mxoss.compare",
      version: SCHEMA_VERSION,
      mxoss: "1.2.3",
      protocol: { a: setting, b: setting, text: { name: "t", sha256: "t", tokens: 210, sequence_length: 210 } },
      cost: { a: cost, b: cost },
      bandwidth: null,
      divergence: { ...toResult(divergence), projections: [] },
    }),
  );
  const { texts } = readPage(html);
  const [sentence] = texts("#first > .note.bad");
  assertStringIncludes(sentence!, suspects[0]!);
  assertEquals(texts("#first tbody tr > td:first-child"), [...suspects]);
}

Deno.test("compare names the operation and the tensor where a NaN in the logits of a side began", async () => {
  using broken = new BrokenCheckpoint();
  broken.tensor("model.layers.1.post_attention_layernorm.weight", (data) => data.set([0xc0, 0x7f], 20));
  for (const dtype of dose(["bf16"] as const, DTYPES)) {
    const sides = [openSide(openCheckpoint(TINY), { dtype }), openSide(openCheckpoint(broken.dir), { dtype })] as const;
    const error = await assertRejects(() => compared(...sides), InputError);
    assertMatch(
      error.message,
      new RegExp(
        "^logits of position 0, .*NaN; it began in layer 1, postNorm at position 0 .*: " +
          String.raw`tensor model\.layers\.1\.post_attention_layernorm\.weight holds NaN in`,
      ),
    );
  }
});

/** The embedded checkpoint with changes to what is in memory of it. */
function changed(
  change: (layer: LayerTree<LinearSource, VectorSource>, l: number) => LayerTree<LinearSource, VectorSource>,
  kvScales?: Checkpoint["source"]["kvScales"],
): Checkpoint {
  const checkpoint = openCheckpoint(TINY);
  const { tree } = checkpoint.source;
  const source = { ...checkpoint.source, tree: { ...tree, layers: tree.layers.map(change) } };
  return { ...checkpoint, source: { ...source, ...(kvScales ? { kvScales } : {}) } };
}

/** Static FP8 inputs of both expert GEMMs, as calibrated: largest input / 448. */
function withFp8(scaleOf: (layer: number, gemm: "gateUp" | "down", expert: number) => number): Checkpoint {
  const input = (l: LinearSource, scale: number): LinearSource => ({ ...l, input: { kind: "fp8_static", scale } });
  return changed((layer, l) => ({
    ...layer,
    gateUp: layer.gateUp.map((e, i) => input(e, scaleOf(l, "gateUp", i))),
    down: layer.down.map((e, i) => input(e, scaleOf(l, "down", i))),
  }));
}

/**
 * From the model's report.json: largest inputs 3.3, 4.56, 4.53, 6.84 before the first GEMM and 56 before the second.
 */
const calibrated = (layer: number, gemm: "gateUp" | "down") =>
  (gemm === "down" ? 56 : [3.296875, 4.5625, 4.53125, 6.84375][layer]!) / 448;

Deno.test("compare names a static scale that was halved, between equal schemes", async () => {
  const halved = withFp8((l, gemm) => calibrated(l, gemm) / (l === 2 && gemm === "gateUp" ? 2 : 1));
  const divergence = await compared(openSide(withFp8(calibrated)), openSide(halved));
  const { suspects, tensors } = divergence;
  assertFirstScreen(divergence, ["layer 2 experts.gate_up_proj"]);
  assertEquals(suspects.map(operationName), ["layer 2 experts.gate_up_proj"]);
  assert(suspects[0]!.hints.some((h) => h === "experts.gate_up_proj.input: scale 0.01011 under A, 0.005057 under B"));
  const { a, b } = tensors.find((t) => t.layer === 2 && t.name === "experts.gate_up_proj.input")!;
  assert(b!.clipped > a!.clipped, `${b!.clipped} clipped, expected more than ${a!.clipped}`);
});

Deno.test("compare suspects nothing where each expert has its own static scale on one side only", async () => {
  // The first expert's is the shared one, as that of the expert with the largest inputs always is.
  const own = withFp8((layer, gemm, expert) => calibrated(layer, gemm) * (expert === 0 ? 1 : 0.95));
  const { suspects, operations } = await compared(openSide(own), openSide(withFp8(calibrated)));
  assertEquals(suspects.map(operationName), []);
  assert(operations.some(({ operation, own }) => operation === "experts.gate_up_proj" && own!.relativeError > 5e-3));
});

Deno.test("compare names a static scale that is far too small, against a scheme that does not quantize", async () => {
  const halved = withFp8((l, gemm) => calibrated(l, gemm) / (l === 2 && gemm === "gateUp" ? 4 : 1));
  const divergence = await compared(openSide(), openSide(halved)), { suspects } = divergence;
  assertFirstScreen(divergence, ["layer 2 experts.gate_up_proj"]);
  assertEquals(suspects.map(operationName), ["layer 2 experts.gate_up_proj"]);
  assert(suspects[0]!.hints.some((h) => /B clips/.test(h)), suspects[0]!.hints.join("; "));
});

Deno.test("compare names a KV scale that is missing", async () => {
  const scales = { k: 0.03, v: 0.008 };
  const all = Array.from({ length: 4 }, () => scales);
  const one = all.map((s, l) => l === 3 ? { k: 1, v: 1 } : s);
  const fp8: Partial<SessionOptions> = { kvCacheDtype: "fp8" };
  const same = (layer: LayerTree<LinearSource, VectorSource>) => layer;
  const divergence = await compared(openSide(changed(same, all), fp8), openSide(changed(same, one), fp8));
  const { suspects } = divergence;
  assertFirstScreen(divergence, ["layer 3 attention"]);
  assertEquals(suspects.map(operationName), ["layer 3 attention"]);
  assert(suspects[0]!.hints.includes("cache.key: scale 0.03000 under A, 1.000 under B"), suspects[0]!.hints.join("; "));
});

const MX = (element: MxInputElement): InputFormat => ({ kind: "mx", element, rule: MX_INPUT[element].rule });

const INPUTS = [
  ...[["fp8", null], ["mxfp4", MX("e2m1")], ["e3m2", MX("e3m2")], ["e2m3", MX("e2m3")]] as const,
  ["mxfp8", MX("e4m3fn")],
] as const;

for (const [i, [name, input]] of INPUTS.entries()) {
  Deno.test(`compare suspects nothing where ${name} inputs are the only difference`, async () => {
    const quantized = input === null ? withFp8(calibrated) : changed((layer) => ({
      ...layer,
      gateUp: layer.gateUp.map((e) => ({ ...e, input })),
      down: layer.down.map((e) => ({ ...e, input })),
    }));
    for (const dtype of SOAK ? DTYPES : [DTYPES[i % 2]!]) {
      const { suspects, operations } = await compared(openSide(undefined, { dtype }), openSide(quantized, { dtype }));
      assertEquals(suspects.map((s) => `${operationName(s)} ${s.error}`), []);
      const own = operations.filter((o) => o.own!.relativeError > 5e-3).map((o) => o.operation);
      assertEquals(new Set(own), new Set(["experts.gate_up_proj", "experts.down_proj"]));
    }
  });
}

Deno.test("compare suspects nothing between dtypes, KV dtypes and numbers of ranks", async () => {
  const settings: (readonly [Partial<SessionOptions>, Partial<SessionOptions>])[] = [
    [{ dtype: "f32" }, { dtype: "bf16" }],
    // The two ends of what ranks change; divergence_test.ts has them on one side.
    [{ dtype: "bf16" }, { dtype: "bf16", kvCacheDtype: "fp8", tp: 2 }],
    ...(SOAK ? [[{ tp: 2 }, { tp: 4 }]] as const : []),
    ...(SOAK ? [[{ dtype: "bf16" }, { dtype: "bf16", tp: 4 }], [{ tp: 2 }, {}]] as const : []),
  ];
  for (const [a, b] of settings) {
    const { suspects } = await compared(openSide(undefined, a), openSide(undefined, b));
    assertEquals(suspects.map(operationName), [], JSON.stringify([a, b]));
  }
});
