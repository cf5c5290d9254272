/** Case in the patterns of tokenizers: Rust's expressions fold it by Unicode, JavaScript's by ASCII. */
import { isObject } from "../json_object.ts";

/** Rewrites the patterns of a pre-tokenizer so that `(?i:...)` folds the two letters that have non-ASCII forms. */
export function foldByUnicode(preTokenizer: unknown): unknown {
  if (!isObject(preTokenizer)) return preTokenizer;
  const out: Record<string, unknown> = { ...preTokenizer };
  const pattern = out["pattern"];
  if (isObject(pattern) && typeof pattern["Regex"] === "string") {
    out["pattern"] = { ...pattern, Regex: pattern["Regex"].replace(/\(\?i:[^()[\]\\]*\)/g, foldLetters) };
  }
  if (Array.isArray(out["pretokenizers"])) out["pretokenizers"] = out["pretokenizers"].map(foldByUnicode);
  return out;
}

function foldLetters(group: string): string {
  const body = group.slice("(?i:".length);
  return "(?i:" + body.replaceAll(/s/gi, "[sSſ]").replaceAll(/k/gi, "[kK\u212A]");
}
