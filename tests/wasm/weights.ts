/** Stored matrices for the tests of `linear` and `decode`: bytes in every format, and what they stand for. */
import { decodeRow } from "../../src/formats/decode.ts";
import { encodeFp8, encodeMxRow, encodePlain } from "../../src/formats/encode.ts";
import { ELEMENTS } from "../../src/formats/elements.ts";
import type { WeightFormat } from "../../src/formats/format.ts";
import { F32, type Machine } from "./module.ts";

/** Formats in the order of their numbers in descriptors. */
export const FORMATS: readonly WeightFormat[] = [
  "bf16",
  "f32",
  "f16",
  "mxfp4",
  "mxfp6_e3m2",
  "mxfp6_e2m3",
  "fp8_e4m3",
  "fp8_e4m3fnuz",
];

/** How a matrix is stored. */
export interface Storage {
  readonly format: WeightFormat;
  /** Stored [cols, rows]. */
  readonly transposed?: boolean;
  /** FP8: one scale per row instead of one for the matrix. */
  readonly rowScales?: boolean;
}

/** Everything that can be stored. */
export const STORAGES: readonly Storage[] = [
  ...FORMATS.map((format) => ({ format })),
  { format: "fp8_e4m3", rowScales: true },
  { format: "bf16", transposed: true },
  { format: "f32", transposed: true },
  { format: "f16", transposed: true },
];

export const storageName = ({ format, transposed, rowScales }: Storage): string =>
  format + (transposed ? " transposed" : "") + (rowScales ? " row scales" : "");

/** A stored matrix. */
export interface Matrix {
  /** What the stored numbers stand for, [rows][cols], with MX scales but without those of FP8. */
  readonly values: Float32Array[];
  /** FP8 scale of each row, else 1. */
  readonly factors: number[];
  /** Words 0..8 of a record. */
  readonly words: (number | F32)[];
}

/** Stores a matrix, at addresses of no alignment and with gaps between rows. */
export function storeMatrix(machine: Machine, rows: readonly Float32Array[], storage: Storage): Matrix {
  const { format, transposed = false, rowScales = false } = storage;
  const cols = rows[0]!.length, gap = 5;
  const fp8 = format.startsWith("fp8"), mx = format.startsWith("mx");
  const element = ELEMENTS[format === "fp8_e4m3fnuz" ? "e4m3fnuz" : "e4m3fn"];
  const factors = rows.map((_, r) => fp8 ? Math.fround(0.37 * (rowScales ? 1 + r % 3 : 1)) : 1);
  const stored = rows.map((row, r) => {
    if (mx) return encodeMxRow(row, format === "mxfp4" ? "e2m1" : format === "mxfp6_e3m2" ? "e3m2" : "e2m3", "even");
    if (fp8) return { codes: encodeFp8(row, factors[r]!, element), scales: new Uint8Array(0) };
    return { codes: encodePlain(row, format as "bf16"), scales: new Uint8Array(0) };
  });
  const values = stored.map(({ codes, scales }) => decodeRow(format, codes, cols, mx ? scales : fp8 ? 1 : null));
  const { address, stride } = transposed
    ? place(machine, transpose(values).map((column) => encodePlain(column, format as "bf16")), gap)
    : place(machine, stored.map(({ codes }) => codes), gap);
  let scale: readonly (number | F32)[] = [0, 0, 0];
  if (mx) {
    const placed = place(machine, stored.map(({ scales }) => scales), 3);
    scale = [placed.address, placed.stride, 1];
  } else if (fp8) {
    const bytes = new Uint8Array(Float32Array.from(factors).buffer);
    scale = rowScales ? [machine.bytes(bytes, 1).address, 0, 3] : [new F32(factors[0]!), 0, 2];
  }
  const words = [FORMATS.indexOf(format), +transposed, rows.length, cols, address, stride, ...scale];
  return { values, factors, words };
}

function place(machine: Machine, rows: readonly Uint8Array[], gap: number): { address: number; stride: number } {
  const stride = rows[0]!.length + gap;
  const bytes = new Uint8Array(stride * (rows.length - 1) + rows[0]!.length);
  // What lies in the gaps is not zero: 0x7f is a NaN in some formats.
  bytes.fill(0x7f);
  rows.forEach((row, r) => bytes.set(row, r * stride));
  return { address: machine.bytes(bytes, 3).address, stride };
}

function transpose(rows: readonly Float32Array[]): Float32Array[] {
  return Array.from(rows[0]!, (_, c) => Float32Array.from(rows, (row) => row[c]!));
}
