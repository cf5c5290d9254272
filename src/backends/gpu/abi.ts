/** Makes the structs that launches pass by value: the input of a kernel, a group of linears, a KV cache. */
import { QDQ_KIND, type QdqKind, SCALE_RULE, sizeOf, STRUCTS } from "../../../kernels/abi/types.ts";
import type { DeviceRange } from "../../../ffi/runtime.ts";
import type { InputFormat } from "../../formats/input.ts";
import type { Struct } from "./arguments.ts";
import type { GpuLinear } from "./tensors.ts";

/** Bytes of one `MxLinear`. */
export const LINEAR_BYTES = sizeOf("MxLinear").bytes;
/** Linears of one `MxGroup`. */
export const GROUP_LINEARS = Number(/\d+/.exec(STRUCTS.MxGroup.linear)![0]);

/** Where the input of a kernel comes from and what happens to it first. */
export type Input = Struct<"MxInput">;

/** A QDQ kind with its parameters. */
export type Quantize = Pick<Input, "kind" | "rule" | "scale">;

/** The input stays as it is. */
export const NO_QUANTIZE: Quantize = { kind: QDQ_KIND.none, rule: SCALE_RULE.even, scale: 0 };

/** The QDQ that a linear wants of its input. */
export function quantizeFor({ input, multipliesCodes }: Pick<GpuLinear, "input" | "multipliesCodes">): Quantize {
  return {
    kind: kindOf(input, multipliesCodes),
    rule: input.kind === "mx" ? SCALE_RULE[input.rule] : SCALE_RULE.even,
    scale: input.kind === "fp8_static" ? input.scale : 0,
  };
}

/** @param codes Whether FP8 rows keep their codes' values, the scale being applied to the products' sum. */
function kindOf(input: InputFormat, codes: boolean): QdqKind {
  switch (input.kind) {
    case "none":
      return QDQ_KIND.none;
    case "mx":
      return QDQ_KIND[input.element];
    case "fp8_static":
      return codes ? QDQ_KIND.fp8StaticCodes : QDQ_KIND.fp8Static;
    case "fp8_token":
      return codes ? QDQ_KIND.fp8TokenCodes : QDQ_KIND.fp8Token;
    case "q8_0":
      throw new RangeError("checkLimits() refuses Q8_0");
  }
}

/** Rows that a kernel writes: a tensor or a part of the workspace. */
export interface Rows {
  readonly range: DeviceRange;
  /** Elements. */
  readonly stride: number;
}

/** Up to {@linkcode GROUP_LINEARS} linears of one format that read the same input, and where their outputs go. */
export function groupOf(linears: readonly GpuLinear[], outs: readonly Rows[]): Struct<"MxGroup"> {
  return {
    linear: linears,
    out: outs.map(({ range }) => range),
    outStride: outs.map(({ stride }) => stride),
    count: linears.length,
  };
}

/** The KV cache of a layer. */
export interface Cache extends Struct<"MxCache"> {
  readonly elementBytes: number;
}
/** A cache without its memory. */
export type CacheShape = Omit<Cache, "k" | "v" | "pages">;
