/** Shared readers of the goldens that the tests of src/text use. */
import type { Scan } from "../../src/text/scanned.ts";
import { type TokenizerFile, tokenizerOf } from "../../src/text/tokenizer_file.ts";
import { tokenizerSource } from "../../src/text/tokenizer_source.ts";

const ROOT = new URL("../../", import.meta.url);

/** Path of a file of the repository. */
export function path(relative: string): string {
  return decodeURIComponent(new URL(relative, ROOT).pathname);
}

/** Directory of the embedded model. */
export const TINY = path("models/tiny-gpt-oss");

/** The tokenizer of a directory, its vocabulary and merges read by one of `scans`. */
export function readTokenizerFile(dir: string, scans?: readonly Scan[]): TokenizerFile {
  return tokenizerOf(tokenizerSource(dir), scans);
}

/** int32 tensors of a safetensors file, by name; a reader of its own, so that tests of text stand alone. */
export function int32Tensors(file: string): Map<string, number[]> {
  const bytes = Deno.readFileSync(file);
  const view = new DataView(bytes.buffer);
  const length = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const out = new Map<string, number[]>();
  for (
    const [name, { dtype, data_offsets }] of Object.entries<{ dtype: string; data_offsets: [number, number] }>(header)
  ) {
    if (dtype !== "I32") continue;
    const [start, end] = data_offsets;
    const count = (end - start) / 4;
    out.set(name, Array.from({ length: count }, (_, i) => view.getInt32(8 + length + start + 4 * i, true)));
  }
  return out;
}

/** A problem of the training generator: question, worked steps, answer. */
export interface Problem {
  readonly question: string;
  readonly steps: string;
  readonly answer: string;
}

/** The held-out problems, in the generator's order. */
export function problems(): Problem[] {
  const lines = Deno.readTextFileSync(path("tests/goldens/word-problems.jsonl")).trim().split("\n");
  return lines.map((line) => {
    const { question, answer } = JSON.parse(line) as { question: string; answer: string };
    const [steps, last] = answer.split("\n#### ");
    return { question, steps: steps!, answer: last! };
  });
}

/** A deterministic generator for property tests: uniform integers below `n` (Lehmer's, modulus 2^31 - 1). */
export function lehmer(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state * 48271) % 2147483647;
    return state % n;
  };
}
