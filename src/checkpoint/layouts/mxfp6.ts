/** Which of the two MXFP6 formats a module's weight has: the one thing about stored weights that only quantization_config says. */
import type { Mxfp6Element, Mxfp6Resolver } from "./quark_weights.ts";

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * The resolver for a config: by the module's own entry of `layer_quant_config`, else the first pattern there that matches it, else
 * `global_quant_config`. Where that names no 6-bit format, although the tensor has 6 bits, the one that the config names anywhere.
 */
export function mxfp6Resolver(quantization: Json | null): Mxfp6Resolver {
  const layers = quantization?.["layer_quant_config"];
  const entries = isObject(layers) ? Object.entries(layers) : [];
  const patterns = entries.filter(([name]) => /[*?]/.test(name))
    .map(([pattern, config]) => ({ pattern, element: elementOf(config) }));
  const exact = new Map(entries.map(([name, config]) => [name, elementOf(config)]));
  const overall = elementOf(quantization?.["global_quant_config"]);
  const named = new Set([overall, ...exact.values()].filter((element) => element !== null));
  const only = named.size === 1 ? [...named][0]! : null;
  return (module) => {
    const own = exact.get(module) ?? patterns.find(({ pattern }) => matches(pattern, module))?.element ?? overall;
    return own ?? only;
  };
}

/** The 6-bit format of a config's weight, or null. */
function elementOf(config: unknown): Mxfp6Element | null {
  const weight = isObject(config) ? config["weight"] : undefined;
  if (!isObject(weight)) return null;
  const names = [weight["dtype"], weight["mx_element_dtype"]];
  if (names.includes("fp6_e3m2")) return "e3m2";
  return names.includes("fp6_e2m3") ? "e2m3" : null;
}

/**
 * Whether a pattern of file names matches, where `*` crosses dots. Not by a regular expression: with many `*` that could take ages, and
 * the pattern comes from a file.
 */
function matches(pattern: string, name: string): boolean {
  let p = 0, n = 0, star = -1, resume = 0;
  while (n < name.length) {
    if (pattern[p] === "*") {
      star = p++;
      resume = n;
    } else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === name[n])) {
      p++;
      n++;
    } else if (star >= 0) {
      p = star + 1;
      n = ++resume;
    } else return false;
  }
  return /^\**$/.test(pattern.slice(p));
}
