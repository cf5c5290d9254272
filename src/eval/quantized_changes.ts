/** Which scales and codes of a quantized tensor are other ones under another setting. */
import type { Pair } from "./lockstep.ts";
import { type QuantizedTensor, SAMPLED_ROWS } from "./quantized_tensors.ts";
import { operation } from "../model/operations.ts";
import { type ElementName, ELEMENTS, encode } from "../formats/elements.ts";
import { BLOCK } from "../formats/format.ts";
import { mxElement } from "../formats/qdq.ts";
import { decodeE8m0, fp8TokenScale, largestMagnitude, scaleByte } from "../formats/scales.ts";

/** Shares of what changes. */
export interface Changes {
  /** Of scales: e8m0 bytes of blocks, or FP8 scales of tokens or of the tensor. */
  readonly scales: number;
  readonly codes: number;
}

/** Counts over the first {@linkcode SAMPLED_ROWS} rows that both settings have. */
export class QuantizedChanges {
  #rows = 0;
  #scales = 0;
  #scalesChanged = 0;
  #codes = 0;
  #codesChanged = 0;

  private constructor(readonly a: QuantizedTensor, readonly b: QuantizedTensor) {}

  /** @returns null where the two have no codes in common: other formats, or none. */
  static of(a: QuantizedTensor | undefined, b: QuantizedTensor | undefined): QuantizedChanges | null {
    if (a === undefined || b === undefined || elementOf(a) === null) return null;
    return a.format.kind === b.format.kind && elementOf(a) === elementOf(b) ? new QuantizedChanges(a, b) : null;
  }

  /** Adds rows of a piece; rows of experts that only one side chose have no counterpart. */
  add(pair: Pair): void {
    const { rows, width, expertsA, expertsB } = pair, slots = operation(pair.operation).rows === "slot";
    for (let row = 0; row < rows && this.#rows < SAMPLED_ROWS; row++) {
      if (slots && expertsA?.[row] !== expertsB?.[row]) continue;
      const [left, right] = [pair.a, pair.b].map((values) => values.subarray(row * width, (row + 1) * width));
      if (!left!.every(Number.isFinite) || !right!.every(Number.isFinite)) continue;
      this.#rows++;
      const x = quantized(left!, this.a), y = quantized(right!, this.b);
      this.#scales += x.scales.length;
      this.#codes += x.codes.length;
      this.#scalesChanged += different(x.scales, y.scales);
      this.#codesChanged += different(x.codes, y.codes);
    }
  }

  /** @returns null where no row was compared. */
  result(): Changes | null {
    if (this.#rows === 0) return null;
    return { scales: this.#scalesChanged / this.#scales, codes: this.#codesChanged / this.#codes };
  }
}

function elementOf({ format }: QuantizedTensor): ElementName | null {
  return format.kind === "none" ? null : format.kind === "mx" ? format.element : "e4m3fn";
}

function different(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let count = 0;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) count++;
  return count;
}

/** Scales and codes of a row, one code a byte. */
function quantized(stored: Float32Array, { format, rotate }: QuantizedTensor) {
  const row = rotate?.(stored) ?? stored, codes = new Uint8Array(row.length);
  const encoded = (start: number, end: number, scale: number, name: ElementName) => {
    const element = ELEMENTS[name];
    for (let i = start; i < end; i++) codes[i] = encode(element, Math.fround(row[i]! / scale));
  };
  if (format.kind === "none") return { scales: [], codes };
  if (format.kind !== "mx") {
    const scale = format.kind === "fp8_static" ? format.scale : fp8TokenScale(largestMagnitude(row, 0, row.length));
    encoded(0, row.length, scale, "e4m3fn");
    return { scales: [scale], codes };
  }
  const scales = new Uint8Array(Math.ceil(row.length / BLOCK));
  scales.forEach((_, block) => {
    const start = BLOCK * block, end = Math.min(start + BLOCK, row.length);
    const byte = scaleByte(largestMagnitude(row, start, end), mxElement(format.element), format.rule);
    scales[block] = byte;
    encoded(start, end, decodeE8m0(byte), format.element);
  });
  return { scales, codes };
}
