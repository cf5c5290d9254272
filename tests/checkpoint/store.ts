/** Numbers as bytes of tensors, and tensors as files. */
import type { Layout } from "../../src/checkpoint/random/layouts.ts";
import { container, type StoredNumbers, type TemporaryDirectory } from "./container.ts";
import type { Random } from "./random.ts";

/** Numbers of bf16, as bytes. */
export const bf16Bytes = (values: Float32Array) =>
  new Uint8Array(Uint16Array.from(new Uint32Array(values.slice().buffer), (bits) => bits >>> 16).buffer);

/** Joins matrices into one tensor. */
export const joined = (parts: readonly Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));

/** Two codes a byte, the even one in the low half. */
export function packed4(codes: readonly number[]): Uint8Array {
  return Uint8Array.from({ length: codes.length / 2 }, (_, i) => codes[2 * i]! | codes[2 * i + 1]! << 4);
}

/** Four codes in three bytes. */
export function packed6(codes: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(codes.length / 4 * 3);
  for (let i = 0; i < codes.length / 4; i++) {
    const [a, b, c, d] = codes.slice(4 * i, 4 * i + 4) as [number, number, number, number];
    bytes.set([a | (b & 3) << 6, b >> 2 | (c & 15) << 4, c >> 4 | d << 2], 3 * i);
  }
  return bytes;
}

/** Writes tensors in a random order. A name of a random length makes all data odd places. */
export function writeFiles(
  dir: TemporaryDirectory,
  random: Random,
  tensors: Map<string, StoredNumbers>,
  shards: number,
  layout: Layout,
): void {
  const lists: [string, StoredNumbers][][] = Array.from({ length: shards }, () => []);
  for (const entry of tensors) {
    const list = random.pick(lists);
    list.splice(random.below(list.length + 1), 0, entry);
  }
  const weight_map: Record<string, string> = {};
  const names = lists.map((_, i) =>
    shards === 1 ? "model.safetensors" : `model-0000${i + 1}-of-0000${shards}.safetensors`
  );
  for (const [i, list] of lists.entries()) {
    let end = 0;
    const header: Record<string, unknown> = { __metadata__: { pad: "x".repeat(random.below(8)) } };
    for (const [name, { dtype, shape, bytes }] of list) {
      header[name] = { dtype, shape, data_offsets: [end, end += bytes.length] };
      weight_map[name] = names[i]!;
    }
    dir.write(names[i]!, container(header, joined(list.map(([, { bytes }]) => bytes))));
  }
  const metadata = { total_size: [...tensors.values()].reduce((sum, { bytes }) => sum + bytes.length, 0) };
  // OpenAI's own shards have no index.
  if (shards > 1 && layout !== "original") dir.write("model.safetensors.index.json", { metadata, weight_map });
}
