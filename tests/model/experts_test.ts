/**
 * What the experts of a Quark checkpoint compute, in every scheme, against plain loops in float64 over the numbers in
 * the files: the input quantized once before each of the two GEMMs, static scales merged by the largest over the
 * experts, gate and up interleaved, biases inside the weighted sum.
 */
import type { InputFormat, MxInputElement } from "../../src/formats/input.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import type { LinearSource } from "../../src/checkpoint/source.ts";
import { openSession } from "../session/open_session.ts";
import { planModel } from "../../src/plan/planned.ts";
import type { TappedOperation } from "../../src/model/operations.ts";

import { qdqRow } from "../../src/formats/qdq.ts";
import { SCHEME_NAMES } from "../../src/plan/scheme.ts";
import { isTarget } from "../../src/quantize/targets.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { writeRandomCheckpoint } from "../../tools/random_checkpoint.ts";
import { assert, assertEquals } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { Decoder } from "../checkpoint/decode.ts";
import { run } from "../quantize/run.ts";

const SHAPE = { ...SHAPES.tiny, hidden: 96, intermediate: 64 };
const TOKENS = [3, 200, 41, 7, 99];
const LAYER = 1;
const ELEMENT: Record<string, MxInputElement> = {
  ...{ mxfp4: "e2m1", mxfp6_e3m2: "e3m2", mxfp6_e2m3: "e2m3" },
  mxfp8: "e4m3fn",
};

const source = new TemporaryDirectory();
globalThis.addEventListener("unload", () => source[Symbol.dispose]());
writeRandomCheckpoint(source.path, { shape: SHAPE, layout: "hf_bf16", seed: 6 });

/** Static scales small enough to saturate the largest numbers, and different in every expert. */
const scaleOf = (module: string) => {
  const [, expert, projection] = /experts\.(\d+)\.(.*)$/.exec(module)!;
  return Math.fround((projection === "down_proj" ? 0.0004 : 0.003) * (1 + (Number(expert) * 5 % 8) / 10));
};
const moduleName = (layer: number, expert: number, projection: string) =>
  `model.layers.${layer}.mlp.experts.${expert}.${projection}`;
const scales = new Map(
  Array.from({ length: SHAPE.layers }, (_, layer) => layer).flatMap((layer) =>
    Array.from({ length: SHAPE.experts }, (_, expert) => expert).flatMap((expert) =>
      ["gate_up_proj", "down_proj"].map((projection): [string, number] => {
        const module = moduleName(layer, expert, projection);
        return [module, scaleOf(module)];
      })
    )
  ),
);

/** The input format that a scheme's name says; of a static one with the largest of the experts' scales. */
function inputOf(scheme: string, projection: string): InputFormat {
  const name = scheme.split("_a_")[1] ?? { fp8: "fp8", ptpc_fp8: "fp8_token" }[scheme] ?? "bf16";
  if (ELEMENT[name]) return { kind: "mx", element: ELEMENT[name], rule: name === "mxfp8" ? "rceil" : "even" };
  if (name === "fp8") {
    const all = Array.from({ length: SHAPE.experts }, (_, expert) => scaleOf(moduleName(0, expert, projection)));
    return { kind: "fp8_static", scale: Math.max(...all) };
  }
  return { kind: name === "bf16" ? "none" : name === "q8_0" ? name : "fp8_token" };
}

/** x W^T + b of a linear in the files. */
function multiply(decoder: Decoder, linear: LinearSource, x: Float32Array): Float64Array {
  const weights = decoder.matrix(linear.weight), bias = decoder.vector(linear.bias!);
  return Float64Array.from(
    bias,
    (b, r) => x.reduce((sum, value, c) => sum + value * weights[r * x.length + c]!, 0) + b,
  );
}

/** Distance over length. */
function relative(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  let distance = 0, length = 0;
  for (let i = 0; i < expected.length; i++) {
    distance += (got[i]! - expected[i]!) ** 2;
    length += expected[i]! ** 2;
  }
  return Math.sqrt(distance / length);
}

for (const scheme of SCHEME_NAMES) {
  if (scheme === "bf16") continue;
  Deno.test(`experts of ${scheme} quantize both GEMMs' inputs once, and compute what the files say`, async () => {
    using dir = new TemporaryDirectory();
    // What no config can say is asked for beside the checkpoint.
    const written = isTarget(scheme), asked = written ? {} : { scheme };
    await run(source.path, dir.path, written ? scheme : "w_mxfp4", { scales });
    const checkpoint = openCheckpoint(dir.path);
    const { plan } = planModel(checkpoint, { dtype: "f32", kvCacheDtype: "auto", ...asked });
    for (const projection of ["gate_up_proj", "down_proj"]) {
      for (let expert = 0; expert < SHAPE.experts; expert++) {
        const module = moduleName(LAYER, expert, projection);
        assertEquals(plan.linears.find((l) => l.module === module)!.input, inputOf(scheme, projection));
      }
    }
    const session = await openSession(checkpoint, {
      ...{ backend: "emulate", dtype: "f32", kvCacheDtype: "auto", context: TOKENS.length, threads: 1 },
      ...asked,
    });
    const seen = new Map<TappedOperation, Float32Array>();
    let chosen = new Int32Array(0);
    await session.feed({ slot: 0, tokens: TOKENS, logits: "none" }, undefined, (point) => {
      if (point.layer !== LAYER) return;
      seen.set(point.operation, point.read().slice());
      if (point.experts) chosen = point.experts().slice();
    });
    await session.close();
    const row = (operation: TappedOperation, index: number, width: number) =>
      seen.get(operation)!.subarray(index * width, (index + 1) * width);

    const decoder = new Decoder(checkpoint.source), { gateUp, down } = checkpoint.source.tree.layers[LAYER]!;
    const quantizes = inputOf(scheme, "down_proj").kind !== "none";
    for (let token = 0; token < TOKENS.length; token++) {
      const sum = new Float64Array(SHAPE.hidden);
      for (let k = 0; k < SHAPE.topK; k++) {
        const slot = token * SHAPE.topK + k, expert = chosen[slot]!;
        const x = row("postNorm", token, SHAPE.hidden);
        const z = row("experts.gate_up_proj", slot, 2 * SHAPE.intermediate);
        const a = row("experts.swiglu", slot, SHAPE.intermediate);
        const y = row("experts.down_proj", slot, SHAPE.hidden);
        for (const [linear, input, got] of [[gateUp[expert]!, x, z], [down[expert]!, a, y]] as const) {
          const format = inputOf(scheme, linear.module!.split(".").at(-1)!);
          const error = relative(got, multiply(decoder, linear, qdqRow(input, format, false)));
          assert(error < 1e-5, `${linear.module}: relative error ${error}`);
          // What it would be without quantized inputs is far away.
          const plain = relative(got, multiply(decoder, linear, input));
          assert(quantizes ? plain > 1e-3 : plain < 1e-5, `${linear.module}: ${plain} from unquantized inputs`);
        }
        const activated = Float64Array.from({ length: SHAPE.intermediate }, (_, n) => {
          const gate = Math.min(z[2 * n]!, 7), up = Math.min(Math.max(z[2 * n + 1]!, -7), 7);
          return (up + 1) * gate / (1 + Math.exp(-1.702 * gate));
        });
        assert(relative(a, activated) < 1e-5);
        const weight = seen.get("route")![slot]!;
        y.forEach((value, i) => sum[i]! += weight * value);
      }
      assert(relative(row("experts.combine", token, SHAPE.hidden), sum) < 1e-5);
    }
  });
}
