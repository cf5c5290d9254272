/** Which scales and codes of a quantized tensor are other ones under another setting. */
import type { Groupings, Origin } from "./intervals.ts";
import type { Pair } from "./lockstep.ts";
import { ObservedShares, type RowOrigin } from "./observed_shares.ts";
import type { QuantizedTensor } from "./quantized_tensors.ts";
import type { Interval } from "./statistics.ts";
import { operation } from "../model/operations.ts";
import { BLOCK, blocksOf } from "../formats/format.ts";
import { mxElement } from "../formats/qdq.ts";
import { quantizeQ8 } from "../formats/q8_0.ts";
import { quantizeRow, type SignedElement } from "../formats/quantize_row.ts";
import { decodeE8m0, fp8TokenScale, largestMagnitude, scaleByte } from "../formats/scales.ts";

/** Shares of what changes, with their 95% intervals. */
export interface Changes {
  /** Of scales: e8m0 bytes or float16 numbers of blocks, or FP8 scales of tokens or of the tensor. */
  readonly scales: number;
  /** Null of a scale that all tokens share: there is one. */
  readonly scalesInterval: Interval | null;
  readonly codes: number;
  readonly codesInterval: Interval | null;
}

/** Counts over the rows that both settings have. */
export class QuantizedChanges {
  #scales = 0;
  #scalesChanged = 0;
  #codes = 0;
  #codesChanged = 0;
  readonly #shares: ObservedShares<"scales" | "codes">;

  private constructor(readonly a: QuantizedTensor, readonly b: QuantizedTensor, origin: Origin | undefined) {
    this.#shares = new ObservedShares(["scales", "codes"], origin);
  }

  /**
   * @param origin Of the sequences.
   * @returns null where the two have no codes in common: other formats, or none.
   */
  static of(
    a: QuantizedTensor | undefined,
    b: QuantizedTensor | undefined,
    origin?: Origin,
  ): QuantizedChanges | null {
    if (a === undefined || b === undefined || elementOf(a) === null) return null;
    return a.format.kind === b.format.kind && elementOf(a) === elementOf(b) ? new QuantizedChanges(a, b, origin) : null;
  }

  /** Adds rows of a piece; rows of experts that only one side chose have no counterpart. */
  add(pair: Pair, origin: RowOrigin): void {
    const { rows, width, expertsA, expertsB } = pair, slots = operation(pair.operation).rows === "slot";
    for (let row = 0; row < rows; row++) {
      if (slots && expertsA?.[row] !== expertsB?.[row]) continue;
      const [left, right] = [pair.a, pair.b].map((values) => values.subarray(row * width, (row + 1) * width));
      if (![left!, right!].every((values) => Number.isFinite(largestMagnitude(values, 0, width)))) continue;
      const x = quantized(left!, this.a), y = quantized(right!, this.b);
      const scales = different(x.scales, y.scales), codes = different(x.codes, y.codes);
      this.#scales += x.scales.length;
      this.#codes += x.codes.length;
      this.#scalesChanged += scales;
      this.#codesChanged += codes;
      this.#shares.add(origin, row, { scales: scales / x.scales.length, codes: codes / x.codes.length });
    }
  }

  /** What shares are of. */
  shares(name: "scales" | "codes"): Groupings {
    return this.#shares.groups(name);
  }

  /** @returns null where no row was compared. */
  result(): Changes | null {
    if (this.#codes === 0) return null;
    return {
      scales: this.#scalesChanged / this.#scales,
      scalesInterval: this.a.format.kind === "fp8_static" ? null : this.#shares.interval("scales"),
      codes: this.#codesChanged / this.#codes,
      codesInterval: this.#shares.interval("codes"),
    };
  }
}

function elementOf({ format }: QuantizedTensor): SignedElement | "int8" | null {
  if (format.kind === "q8_0") return "int8";
  return format.kind === "none" ? null : format.kind === "mx" ? format.element : "e4m3fn";
}

/** How many are not the same; of zeros the sign counts, as codes have it. */
function different(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let count = 0;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) count++;
  return count;
}

/** Scales of a row, and its codes by what they stand for, which no two have in common. */
function quantized(stored: Float32Array, { format, rotate }: QuantizedTensor) {
  const row = rotate?.(stored) ?? stored, codes = new Float32Array(row.length);
  if (format.kind === "none") return { scales: [], codes };
  if (format.kind === "q8_0") {
    const scales = new Float32Array(blocksOf(row.length));
    scales.forEach((_, block) => {
      scales[block] = quantizeQ8(row, BLOCK * block, Math.min(BLOCK * (block + 1), row.length), codes);
    });
    return { scales, codes };
  }
  if (format.kind !== "mx") {
    const scale = format.kind === "fp8_static" ? format.scale : fp8TokenScale(largestMagnitude(row, 0, row.length));
    quantizeRow("e4m3fn")(row, 0, row.length, scale, codes);
    return { scales: [scale], codes };
  }
  const scales = new Uint8Array(blocksOf(row.length)), quantize = quantizeRow(format.element);
  scales.forEach((_, block) => {
    const start = BLOCK * block, end = Math.min(start + BLOCK, row.length);
    const byte = scaleByte(largestMagnitude(row, start, end), mxElement(format.element), format.rule);
    scales[block] = byte;
    quantize(row, start, end, decodeE8m0(byte), codes);
  });
  return { scales, codes };
}
