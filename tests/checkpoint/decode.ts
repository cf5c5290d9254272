/** Reads the numbers that a source points at: slow, from the tables of the formats, without the code under test. */
import type { MatrixSource, ModelSource, VectorSource } from "../../src/checkpoint/source.ts";

const E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6];

/** The value of a code of a small float: sign, exponent and mantissa bits. */
function smallFloat(code: number, mantissaBits: number, bits: number, bias: number): number {
  const sign = code >> (bits - 1) ? -1 : 1, magnitude = code & ((1 << (bits - 1)) - 1);
  const exponent = magnitude >> mantissaBits, mantissa = (magnitude & ((1 << mantissaBits) - 1)) / 2 ** mantissaBits;
  return sign * (exponent === 0 ? mantissa * 2 ** (1 - bias) : (1 + mantissa) * 2 ** (exponent - bias));
}

/** Codes of each element type, and their values. For FP8 the codes that are numbers, without the sign. */
export const ELEMENTS = {
  mxfp4: { codes: 16, value: (code: number) => (code & 8 ? -1 : 1) * E2M1[code & 7]! },
  mxfp6_e3m2: { codes: 64, value: (code: number) => smallFloat(code, 2, 6, 3) },
  mxfp6_e2m3: { codes: 64, value: (code: number) => smallFloat(code, 3, 6, 1) },
  fp8_e4m3: { codes: 127, value: (code: number) => smallFloat(code, 3, 8, 7) },
};

/** Values by code. */
const VALUES = {
  mxfp4: Array.from({ length: 16 }, (_, code) => ELEMENTS.mxfp4.value(code)),
  mxfp6_e3m2: Array.from({ length: 64 }, (_, code) => ELEMENTS.mxfp6_e3m2.value(code)),
  mxfp6_e2m3: Array.from({ length: 64 }, (_, code) => ELEMENTS.mxfp6_e2m3.value(code)),
  fp8_e4m3: Array.from({ length: 256 }, (_, code) => ELEMENTS.fp8_e4m3.value(code)),
};
/** Values of e8m0 bytes but for NaN, which no test here stores. */
const POWERS = Array.from({ length: 255 }, (_, byte) => 2 ** (byte - 127));
const BITS = new DataView(new ArrayBuffer(4));

/** Reads numbers through a source, from the files that it names or from memory that stands for them. */
export class Decoder {
  readonly #files: readonly DataView[];

  constructor(source: Pick<ModelSource, "files"> | readonly DataView[]) {
    this.#files = "files" in source
      ? source.files.map(({ path }) => new DataView(Deno.readFileSync(path).buffer))
      : source;
  }

  vector({ file, offset, format, length }: VectorSource): Float32Array {
    return Float32Array.from({ length }, (_, i) => this.#plain(file, format, offset, i));
  }

  /** [rows, cols] */
  matrix(m: MatrixSource): Float32Array {
    const values = new Float32Array(m.rows * m.cols);
    for (let row = 0; row < m.rows; row++) {
      for (let col = 0; col < m.cols; col++) {
        values[row * m.cols + col] = this.#element(m, row, col) * this.#scale(m, row, col);
      }
    }
    return values;
  }

  #element(m: MatrixSource, row: number, col: number): number {
    const line = m.transposed ? col : row, i = m.transposed ? row : col;
    const start = m.offset + line * m.rowStride, view = this.#files[m.file]!;
    switch (m.format) {
      case "mxfp4": {
        const byte = view.getUint8(start + (i >> 1));
        return VALUES.mxfp4[i & 1 ? byte >> 4 : byte & 15]!;
      }
      case "mxfp6_e3m2":
      case "mxfp6_e2m3": {
        const at = start + (i >> 2) * 3;
        const word = view.getUint8(at) | view.getUint8(at + 1) << 8 | view.getUint8(at + 2) << 16;
        return VALUES[m.format][word >> (i & 3) * 6 & 63]!;
      }
      case "fp8_e4m3":
        return VALUES.fp8_e4m3[view.getUint8(start + i)]!;
      case "fp8_e4m3fnuz":
        throw new Error("not made here");
      default:
        return this.#plain(m.file, m.format, start, i);
    }
  }

  #scale({ scale }: MatrixSource, row: number, col: number): number {
    switch (scale.kind) {
      case "none":
        return 1;
      case "tensor":
        return scale.value;
      case "row":
        return scale.values[row]!;
      case "e8m0":
        return POWERS[this.#files[scale.file]!.getUint8(scale.offset + row * scale.rowStride + (col >> 5))]!;
    }
  }

  #plain(file: number, format: "bf16" | "f16" | "f32", offset: number, i: number): number {
    const view = this.#files[file]!;
    if (format === "f32") return view.getFloat32(offset + 4 * i, true);
    if (format === "f16") return view.getFloat16(offset + 2 * i, true);
    BITS.setUint16(0, view.getUint16(offset + 2 * i, true));
    return BITS.getFloat32(0);
  }
}
