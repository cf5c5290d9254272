/**
 * What `mxoss quantize`, or who made a GGUF file, has made of weights, as config.json keeps it. Weights themselves do
 * not show it: a model that was trained to be MXFP4 and one that was made MXFP4 later are stored alike.
 */
import * as z from "zod";
import type { WeightFormat } from "../formats/format.ts";

/** Key of config.json under which conversions stand, the first one first. */
export const CONVERSIONS_KEY = "mxoss_quantized";

const FORMATS = z.array(z.string(), { error: "a list of number formats" });
const STEP = z.strictObject({ from: FORMATS, to: FORMATS }, { error: "an object of from and to" });

/** Its values. */
export const CONVERSIONS = z.array(
  z.strictObject({ experts: STEP.optional(), attention: STEP.optional() }, {
    error: "an object of experts and attention",
  }),
  { error: "a list of conversions" },
);

/** Linears that are converted together. */
export type ConvertedKind = "experts" | "attention";

/** What one run converted: formats of weights before and after; kinds that it copied are absent. */
export type Conversion = {
  readonly [Kind in ConvertedKind]?: { readonly from: readonly string[]; readonly to: readonly string[] } | undefined;
};

const KINDS: readonly ConvertedKind[] = ["experts", "attention"];
/** Formats in which the numbers are a trained model's own: GPT-OSS was trained to be MXFP4. */
const TRAINED: readonly WeightFormat[] = ["bf16", "f16", "f32", "mxfp4"];
/** Formats of plain numbers, which no scheme converts to. */
const PLAIN: readonly string[] = ["bf16", "f16", "f32"];

/** Whether numbers of a format are a trained model's own: not where a conversion has made them. */
function isTrained(format: string, kind: ConvertedKind, conversions: readonly Conversion[]): boolean {
  return TRAINED.some((trained) => trained === format) &&
    !conversions.some((conversion) => conversion[kind]?.to.includes(format));
}

/**
 * Formats that have changed numbers of a format before, for messages: none where they are a trained model's own. Those
 * of a GGUF file are stored as plain ones, and have lost what its format has lost: q8_0 is named, and not f32.
 */
export function lossyFormats(format: string, kind: ConvertedKind, conversions: readonly Conversion[]): string[] {
  if (isTrained(format, kind, conversions)) return [];
  if (!PLAIN.includes(format)) return [format];
  const made = conversions.flatMap((conversion) => conversion[kind] ?? []).findLast(({ to }) => to.includes(format));
  const others = made?.to.filter((other) => !PLAIN.includes(other)) ?? [];
  return others.length === 0 ? [format] : others;
}

/** Formats that weights had been quantized to before they were converted to those that they have. */
export function quantizedBefore(conversions: readonly Conversion[]): string[] {
  const before = conversions.flatMap((conversion, step) =>
    KINDS.flatMap((kind) =>
      conversion[kind]?.from.flatMap((format) => lossyFormats(format, kind, conversions.slice(0, step))) ?? []
    )
  );
  return [...new Set(before)];
}

/** Conversions in words: `experts bf16 to mxfp4, then experts mxfp4 to fp8_e4m3`. */
export function conversionsText(conversions: readonly Conversion[]): string {
  return conversions.map((conversion) =>
    KINDS.flatMap((kind) => {
      const step = conversion[kind];
      return step === undefined ? [] : [`${kind} ${step.from.join("/")} to ${step.to.join("/")}`];
    }).join(" and ")
  ).join(", then ");
}
