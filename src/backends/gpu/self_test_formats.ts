/** One linear of every format that kernels multiply, and one cache of every format, without data: what is tested. */
import { NUMBER_FORMAT } from "../../../kernels/abi/types.ts";
import { isPlain, STORED_FORMATS, type WeightFormat } from "../../formats/format.ts";
import type { InputFormat } from "../../formats/input.ts";
import type { CacheShape } from "./abi.ts";
import { type GpuLinear, suffixOf } from "./tensors.ts";

function linearOf(format: WeightFormat, transposed = false, input: InputFormat = { kind: "none" }): GpuLinear {
  return {
    ...{ rows: 0, cols: 0, weight: null, scale: null, bias: null, rowStride: 0, scaleStride: 0, tensorScale: 1 },
    ...{ biasFormat: NUMBER_FORMAT.f32, flags: 0, multipliesCodes: input.kind === "fp8_static" },
    ...{ format, suffix: suffixOf(format, transposed), input },
  };
}

/** Linears by what entry points end in; FP8 as its standard form. */
export function linearsOfAllFormats(): GpuLinear[] {
  const formats = (Object.keys(STORED_FORMATS) as WeightFormat[]).filter((format) => format !== "fp8_e4m3fnuz");
  return formats.flatMap((format) => [linearOf(format), ...(isPlain(format) ? [linearOf(format, true)] : [])]);
}

/** Linears whose inputs scaled matrix instructions take as codes. */
export function linearsOfCodes(): GpuLinear[] {
  const inputs: InputFormat[] = [{ kind: "mx", element: "e2m1", rule: "even" }, { kind: "fp8_static", scale: 1 }];
  return inputs.map((input) => linearOf("mxfp4", false, input));
}

/** Caches of the formats that matrix kernels read. */
export function cachesOfAllFormats(headDim: number): CacheShape[] {
  return (["bf16", "fp8"] as const).map((format) => ({
    ...{ headStride: 0, tableStride: 0, heads: 1, kvHeads: 1, headDim, window: 0 },
    ...{ kScale: 1, vScale: 1, softmaxScale: Math.fround(1 / Math.sqrt(headDim)) },
    ...{ format: NUMBER_FORMAT[format], elementBytes: format === "bf16" ? 2 : 1 },
  }));
}
