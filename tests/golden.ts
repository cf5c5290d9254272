/**
 * Reads the golden files, without the code under test for such files: a safetensors file that is known to be
 * well-formed is a length, a JSON header and data.
 */
import { asset } from "../src/assets.ts";

/** A tensor of a golden file, row-major. */
export interface Golden {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Uint8Array;
}

/**
 * All tensors of a safetensors file.
 *
 * @param path A file of tests/goldens/, or an absolute path.
 */
export function readGolden(path: string): ReadonlyMap<string, Golden> {
  const bytes = Deno.readFileSync(new URL(path, asset("tests/goldens/")));
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> = JSON.parse(
    new TextDecoder().decode(bytes.subarray(8, 8 + length)),
  );
  const tensors = new Map<string, Golden>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets: [start, end] } = entry;
    // A copy, because a view of wider elements must be aligned.
    const buffer = bytes.slice(8 + length + start, 8 + length + end).buffer;
    const views = { F32: Float32Array, I32: Int32Array, U8: Uint8Array };
    const View = views[dtype as keyof typeof views];
    if (View === undefined) throw new Error(`${path}: ${name} has dtype ${dtype}`);
    tensors.set(name, { shape, data: new View(buffer) });
  }
  return tensors;
}

/** The tensor of that name as numbers of type float32. */
export function floats(goldens: ReadonlyMap<string, Golden>, name: string): Float32Array {
  const data = goldens.get(name)?.data;
  if (!(data instanceof Float32Array)) throw new Error(`no float32 golden ${name}`);
  return data;
}

/** The tensor of that name as a list of integers. */
export function integers(goldens: ReadonlyMap<string, Golden>, name: string): number[] {
  const data = goldens.get(name)?.data;
  if (!(data instanceof Int32Array)) throw new Error(`no int32 golden ${name}`);
  return [...data];
}
