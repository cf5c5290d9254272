/** Calibrated scales of static FP8 inputs: which one each of the linears that share an input gets. */
import type { StoredLinear } from "./stored_linear.ts";
import { NEVER_QUANTIZED } from "../checkpoint/quark/module_names.ts";
import { InputError } from "../errors.ts";
import { schemeOf } from "./scheme.ts";
import { command, type CommandName, type Text, words } from "../words.ts";

/**
 * `merged`: the experts of a layer share one scale for each projection, the largest of theirs, as vLLM computes; `own`:
 * each has its own, as AMD Quark computes.
 *
 * @example
 * ```ts
 * import { FP8_SCALES } from "@mxoss/mxoss/checkpoint";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(FP8_SCALES[0], "merged");
 * ```
 */
export const FP8_SCALES = ["merged", "own"] as const;
/** One of {@linkcode FP8_SCALES}. */
export type Fp8Scales = (typeof FP8_SCALES)[number];

/** A scale, and where it comes from. */
export interface StaticScale {
  /** float32, > 0. */
  readonly value: number;
  readonly from: "checkpoint" | "calibration";
}

/**
 * Scales of the members of a group, in their order.
 *
 * @param common Name of the group among the calibrated scales: an entry of that name is for all members.
 * @param calibrated Scales by module, which count before those of the checkpoint.
 * @param where What a message begins with.
 * @throws {InputError} if a member has none.
 */
export function staticScales(
  group: readonly StoredLinear[],
  common: string,
  calibrated: ReadonlyMap<string, number> | undefined,
  rule: Fp8Scales,
  where: Text,
): StaticScale[] {
  const shared = calibrated?.get(common);
  if (shared !== undefined) {
    const value = checked(shared, common);
    return group.map(() => ({ value, from: "calibration" }));
  }
  const own = group.map((stored): StaticScale => {
    const { module, inputScale } = stored;
    const measured = calibrated?.get(module);
    if (measured !== undefined) return { value: checked(measured, module), from: "calibration" };
    if (inputScale !== null) return { value: checked(inputScale, module), from: "checkpoint" };
    const subject = { name: words`${where}: static FP8 inputs need a calibrated scale, got none for ${module}` };
    if (NEVER_QUANTIZED.test(module)) {
      throw InputError.of("missing", subject, "its input_scale in the checkpoint: calibration does not measure it");
    }
    throw InputError.of(
      "uncalibrated",
      subject,
      words`its input_scale in the checkpoint; "${calibration(stored)}" makes them`,
    );
  });
  if (rule === "own") return own;
  // The largest, so that no expert's inputs saturate.
  const value = Math.max(...own.map((scale) => scale.value));
  const from = own.some((scale) => scale.from === "calibration") ? "calibration" : "checkpoint";
  return group.map(() => ({ value, from }));
}

/** The command that writes a checkpoint with a scale of the linear's inputs. */
function calibration({ module, weight, scale }: StoredLinear): CommandName {
  const isExpert = module.includes(".mlp.experts.");
  const scheme = isExpert ? schemeOf(weight, scale, { kind: "fp8_static", scale: 1 }) : null;
  return command("quantize", { scheme: scheme?.name ?? "NAME", calibrate: "FILE" });
}

function checked(scale: number, module: string): number {
  const value = Math.fround(scale);
  if (value > 0 && value < Infinity) return value;
  throw InputError.of("wrong_value", { name: `input scale of ${module}` }, "a finite number above 0", scale);
}
