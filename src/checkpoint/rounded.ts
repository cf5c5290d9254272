/**
 * Plain tensors that others round when they load them: transformers has all of a model in the dtype that config.json
 * says. Here tensors are computed as they are stored.
 */
import { firstOf, printable } from "../describe.ts";
import type { WeightFormat } from "../formats/format.ts";
import { allLinears, type ModelSource } from "./source.ts";

/** The keys that say it, the newer first. */
const KEYS = ["dtype", "torch_dtype"];
/** What of the stored formats is rounded to a dtype. */
const ROUNDED: Readonly<Record<string, readonly WeightFormat[]>> = {
  bfloat16: ["f16", "f32"],
  float16: ["bf16", "f32"],
  float32: [],
};

/** The dtype that a config.json says, without `torch.`; null: none. */
export function loadDtype(json: Readonly<Record<string, unknown>>): string | null {
  const said = KEYS.map((key) => json[key]).find((value) => typeof value === "string");
  return typeof said === "string" ? said.replace(/^torch\./, "") : null;
}

/**
 * A warning, one line, about tensors that are rounded elsewhere, or null.
 *
 * @param dtype What config.json says.
 * @param path Path of config.json.
 */
export function roundedWarning(tree: ModelSource["tree"], dtype: string | null, path: string): string | null {
  const formats = Object.hasOwn(ROUNDED, dtype ?? "") ? ROUNDED[dtype!]! : [];
  if (formats.length === 0) return null;
  const { embedding, layers, norm } = tree;
  // With float16 transformers keeps norms in float32.
  const norms = dtype === "float16"
    ? []
    : [norm, ...layers.flatMap(({ inputNorm, postNorm }) => [inputNorm, postNorm])];
  const all = [
    embedding,
    ...allLinears(tree).flatMap(({ weight, bias }) => bias === null ? [weight] : [weight, bias]),
    ...layers.map(({ sinks }) => sinks),
    ...norms,
  ];
  const rounded = all.filter(({ format }) => formats.includes(format));
  const names = [...new Set(rounded.map(({ name }) => printable(name)))];
  if (names.length === 0) return null;
  const stored = [...new Set(rounded.map(({ format }) => format.toUpperCase()))].join(" and ");
  return `${path}: dtype ${dtype}: transformers rounds ${firstOf(names)} (${stored}); computed as stored here`;
}
