/** Conversions of GGUF files as tests run them, and files that differ from llama.cpp's in a type. */
import { convert, type GgufPlan } from "../../src/quantize/gguf/convert.ts";
import { Sources } from "../../src/quantize/hashes.ts";
import { Journal } from "../../src/quantize/journal.ts";
import type { Watch } from "../../src/quantize/write_shards.ts";

/** Where make.py has written. */
export const GOLDENS = new URL("../goldens/gguf/", import.meta.url).pathname;

/** Converts a file. */
export async function run(plan: GgufPlan, to: string, shardBytes = 5e9, watch: Watch = {}) {
  const sources = (await Sources.read(plan.files))!;
  using journal = Journal.open(to, { settings: String(shardBytes), sources });
  return await convert(plan, shardBytes, { journal, sources, watch });
}

/** Gives tensors of so many dimensions another type in a file's header; their data stays. */
export function withTypes(
  file: string,
  tensors: readonly string[],
  dimensions: number,
  type: number,
): Uint8Array<ArrayBuffer> {
  const bytes = Deno.readFileSync(GOLDENS + file), view = new DataView(bytes.buffer);
  for (const tensor of tensors) {
    const name = new TextEncoder().encode(tensor),
      at = bytes.findIndex((_, i) => name.every((b, k) => bytes[i + k] === b));
    if (at < 0) throw new Error(`${tensor} is not there`);
    view.setUint32(at + name.length + 4 + 8 * dimensions, type, true);
  }
  return bytes;
}
