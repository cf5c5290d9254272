/** Linears as checkpoints store them, for tests of the plan. */
import type { StoredLinear } from "../../src/plan/stored_linear.ts";
import { InputError } from "../../src/errors.ts";
import type { WeightFormat, WeightScale } from "../../src/formats/format.ts";
import { makePlan, type Plan } from "../../src/plan/plan.ts";
import type { PlanRequest } from "../../src/plan/request.ts";
import { assert, assertThrows } from "../assert.ts";

export interface Stored {
  readonly weight: WeightFormat;
  readonly scale: WeightScale;
}
export const BF16: Stored = { weight: "bf16", scale: "none" };
export const MXFP4: Stored = { weight: "mxfp4", scale: "e8m0" };
export const FP8_TENSOR: Stored = { weight: "fp8_e4m3", scale: "tensor" };
export const FP8_ROW: Stored = { weight: "fp8_e4m3", scale: "row" };
export const mxfp6 = (element: "e3m2" | "e2m3"): Stored => ({ weight: `mxfp6_${element}`, scale: "e8m0" });

export const EXPERTS = 3;

export interface ModelOptions {
  readonly layers?: number;
  readonly attention?: Stored;
  readonly experts?: Stored | ((layer: number, expert: number) => Stored);
  /** Input scale of a module; plain linears have none. */
  readonly scale?: (module: string) => number | null;
}

/** The linears of a model. */
export function model(
  { layers = 2, attention = BF16, experts = MXFP4, scale = () => null }: ModelOptions = {},
): StoredLinear[] {
  const linears: StoredLinear[] = [];
  const add = (module: string, stored: Stored) =>
    linears.push({ module, ...stored, inputScale: stored.scale === "none" ? null : scale(module), cols: 64 });
  for (let l = 0; l < layers; l++) {
    for (const p of "qkvo") add(`model.layers.${l}.self_attn.${p}_proj`, attention);
    add(`model.layers.${l}.mlp.router`, BF16);
    for (const projection of ["gate_up_proj", "down_proj"]) {
      for (let e = 0; e < EXPERTS; e++) {
        add(
          `model.layers.${l}.mlp.experts.${e}.${projection}`,
          typeof experts === "function" ? experts(l, e) : experts,
        );
      }
    }
  }
  add("lm_head", BF16);
  return linears;
}

export function plan(
  linears: StoredLinear[],
  quantization: PlanRequest["quantization"],
  more: Partial<PlanRequest> = {},
): Plan {
  return makePlan({ linears, quantization, configPath: "config.json", dtype: "bf16", ...more });
}

export function refused(line: string, ...request: Parameters<typeof plan>): void {
  const { message } = assertThrows(() => plan(...request), InputError, line);
  assert(!message.includes("\n"), "one line");
}

/** Planned inputs, grouped: "layer part: input". */
export function inputs({ linears }: Plan): Record<string, unknown> {
  return Object.fromEntries(linears.map(({ module, input }) => [module.replace("model.layers.", ""), input]));
}
