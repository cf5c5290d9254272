/** Which bytes of a checkpoint's files belong to which expert, and which of them a rank wants. */
import { planMemories } from "../../src/backends/emulate/plan.ts";
import { assert } from "../assert.ts";
import type { ReadRange } from "./recorded_reads.ts";
import type { LinearSource, ModelSource } from "../../src/checkpoint/source.ts";

const VECTOR_BYTES = { bf16: 2, f16: 2, f32: 4 } as const;

/** Whose each byte of the files is: number of the expert, or -1 for everything that is no expert's. */
export function ownersOf(source: ModelSource): Map<string, Int16Array> {
  const owners = source.files.map(({ bytes }) => new Int16Array(bytes).fill(-1));
  const mark = (expert: number, { weight: w, bias }: LinearSource) => {
    owners[w.file]!.fill(expert, w.offset, w.offset + (w.transposed ? w.cols : w.rows) * w.rowStride);
    if (w.scale.kind === "e8m0") {
      const { file, offset, rowStride } = w.scale;
      owners[file]!.fill(expert, offset, offset + w.rows * rowStride);
    }
    if (bias) owners[bias.file]!.fill(expert, bias.offset, bias.offset + bias.length * VECTOR_BYTES[bias.format]);
  };
  for (const { gateUp, down } of source.tree.layers) {
    gateUp.forEach((l, e) => mark(e, l));
    down.forEach((l, e) => mark(e, l));
  }
  return new Map(source.files.map(({ path }, i) => [path, owners[i]!]));
}

/** Asserts that nothing that was read is a byte of an expert other than the rank's own. */
export function assertOwnExperts(
  reads: readonly ReadRange[],
  owners: ReadonlyMap<string, Int16Array>,
  own: ReadonlySet<number>,
  what: string,
): void {
  assert(reads.length > 0 && owners.size > 0, `${what}: nothing was read`);
  for (const { path, offset, bytes } of reads) {
    for (const owner of owners.get(path)!.subarray(offset, offset + bytes)) {
      if (owner >= 0 && !own.has(owner)) {
        throw new Error(`${what}: reads bytes of expert ${owner} in ${bytes} bytes from ${offset} of ${path}`);
      }
    }
  }
}

/** Adds 1 for each byte of the files that a rank wants of them, ranges between the rows of its columns left out. */
export function countBytes(source: ModelSource, counts: readonly Uint8Array[]): void {
  const { runs, strided } = planMemories({ source, areasEnd: 0, cacheBytes: () => 0, mapped: false }).memories[0]!;
  const add = (file: number, offset: number, bytes: number) => {
    const count = counts[file]!;
    for (let i = offset; i < offset + bytes; i++) count[i]!++;
  };
  for (const { file, offset, bytes } of runs) add(file, offset, bytes);
  for (const { file, offset, pieces, pieceBytes, stride } of strided) {
    for (let i = 0; i < pieces; i++) add(file, offset + i * stride, pieceBytes);
  }
}
