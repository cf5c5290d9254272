/** Which schemes there are golden logits of, and how they were made. */
import type { PlanOptions } from "../../src/plan/planned.ts";
import { floats, readGolden } from "../golden.ts";

/** What the goldens were made with: [layer][gate_up, down]. */
const scales = floats(readGolden("logits.safetensors"), "static_input_scale");
const inputScales = new Map(
  Array.from({ length: scales.length }, (_, i): [string, number] => [
    `model.layers.${Math.floor(i / 2)}.mlp.experts.${i % 2 === 0 ? "gate_up_proj" : "down_proj"}`,
    scales[i]!,
  ]),
);

/** Goldens of two_turns by scheme, and what to ask for. */
export const SCHEME_GOLDENS: readonly (readonly [golden: string, wishes: Partial<PlanOptions>])[] = [
  ["w_mxfp4_a_mxfp4", { scheme: "w_mxfp4_a_mxfp4" }],
  ["w_mxfp4_a_mxfp6_e3m2", { scheme: "w_mxfp4_a_mxfp6_e3m2" }],
  ["w_mxfp4_a_mxfp6_e2m3", { scheme: "w_mxfp4_a_mxfp6_e2m3" }],
  ["w_mxfp4_a_mxfp8", { scheme: "w_mxfp4_a_mxfp8" }],
  ["w_mxfp4_a_fp8", { scheme: "w_mxfp4_a_fp8", inputScales }],
  ["w_mxfp4.kv_fp8", { kvCacheDtype: "fp8" }],
];
