/**
 * What happens to the input of a linear before its GEMM: which formats it goes through, and the numbers that kernels
 * know them by.
 */
import type { MxElement, ScaleRule, WeightFormat } from "./format.ts";
import { MX_FORMATS, mxElementOf, STORED_FORMATS } from "./format.ts";

/** Elements of MX blocks that inputs go through: those of stored blocks, and FP8 e4m3, with which they are MXFP8. */
export type MxInputElement = MxElement | "e4m3fn";

/** Facts of a format of MX blocks that inputs go through. */
export interface MxInputFormat {
  /** What schemes call it. */
  readonly name: string;
  /** Number of its quantization (QDQ kind) in wasm/ABI.md and kernels/ABI.md. */
  readonly qdq: number;
  /** Relative RMS error that it brings into numbers, as that of stored formats. */
  readonly noise: number;
  /** How scales are made where nothing says otherwise. */
  readonly rule: ScaleRule;
}

/** By element. */
export const MX_INPUT: Readonly<Record<MxInputElement, MxInputFormat>> = {
  ...Object.fromEntries(MX_FORMATS.map((name) => {
    const { qdq, noise } = STORED_FORMATS[name];
    return [mxElementOf(name), { name, qdq, noise, rule: "even" }] as const;
  })) as Record<MxElement, MxInputFormat>,
  e4m3fn: { name: "mxfp8", qdq: 8, noise: STORED_FORMATS.fp8_e4m3.noise, rule: "rceil" },
};

/** What the input of a linear goes through before it is multiplied: it is quantized and dequantized (QDQ). */
export type InputFormat =
  /** Nothing. */
  | { readonly kind: "none" }
  /** Blocks of 32 columns with a scale each, made on the fly. */
  | { readonly kind: "mx"; readonly element: MxInputElement; readonly rule: ScaleRule }
  /** FP8 e4m3 with one calibrated scale (float32, > 0) for the whole tensor. */
  | { readonly kind: "fp8_static"; readonly scale: number }
  /** FP8 e4m3 with one scale per token, max|x| / 448, made on the fly ("ptpc"). */
  | { readonly kind: "fp8_token" }
  /** Q8_0 of llama.cpp: int8 in blocks of 32 columns with a float16 scale each, made on the fly. */
  | { readonly kind: "q8_0" };

/** The same, where the scale of a static one is still to be found, or stands elsewhere. */
export type WantedInput = Exclude<InputFormat, { kind: "fp8_static" }> | { readonly kind: "fp8_static" };

/** Inputs in FP8. */
export type Fp8Input = Extract<InputFormat, { kind: "fp8_static" | "fp8_token" }>;

/** The input stays as it is. */
export const NO_QDQ: InputFormat = { kind: "none" };

/** Whether an input goes through FP8. */
export function isFp8(input: InputFormat): input is Fp8Input {
  return input.kind === "fp8_static" || input.kind === "fp8_token";
}

/** Relative RMS error that Q8_0 brings into numbers, as that of stored formats. */
export const Q8_NOISE = 0.0054;

/** Whether two input formats are the same choice, calibrated scales aside. */
export function sameInputFormat(a: InputFormat | WantedInput, b: InputFormat | WantedInput): boolean {
  if (a.kind === "mx" && b.kind === "mx") return a.element === b.element && a.rule === b.rule;
  return a.kind === b.kind;
}

/** Whether two input formats do the same to every tensor, calibrated scales included. */
export function sameInput(a: InputFormat, b: InputFormat): boolean {
  if (a.kind === "fp8_static" && b.kind === "fp8_static") return a.scale === b.scale;
  return sameInputFormat(a, b);
}

/**
 * Whether a linear multiplies FP8 codes by FP8 codes, and both scales multiply the sum (W8A8), as FP8 matrix
 * instructions work. Everywhere else the input is dequantized, and rounded to the dtype, before it is multiplied.
 */
export function multipliesCodes(weight: WeightFormat, input: InputFormat): boolean {
  const { element } = STORED_FORMATS[weight];
  return (element === "e4m3fn" || element === "e4m3fnuz") && isFp8(input);
}

/**
 * Number of a QDQ kind in wasm/ABI.md and kernels/ABI.md; there 6 and 7 stand for 4 and 5 without the multiplication by
 * the scale.
 */
export function kindNumber(input: InputFormat): number {
  switch (input.kind) {
    case "none":
      return 0;
    case "mx":
      return MX_INPUT[input.element].qdq;
    case "fp8_static":
      return 4;
    case "fp8_token":
      return 5;
    case "q8_0":
      return 9;
  }
}

/** Whether GPU kernels quantize inputs so: kernels/ABI.md has no number for others. */
export const onGpus = (kind: InputFormat["kind"]): boolean => kind !== "q8_0";

/** Number of a scale rule in both pages. */
export function ruleNumber(rule: ScaleRule): number {
  return { even: 0, floor: 1, rceil: 2 }[rule];
}
