/** What quantization does to the tensors that pass through a small format: GEMM inputs and cached keys and values. */
import { type InputFormat, MX_INPUT, NO_QDQ, sameInput } from "../formats/input.ts";
import {
  LAYER_LINEARS,
  type LinearName,
  linearsNamed,
  type LinearSource,
  type ModelSource,
} from "../checkpoint/source.ts";
import { inputOperation, type OperationName, OPERATIONS, operationWith } from "../model/operations.ts";
import { ELEMENTS } from "../formats/elements.ts";
import { BLOCK, type Dtype, type KvFormat } from "../formats/format.ts";
import { mxElement } from "../formats/qdq.ts";
import { quantizeQ8 } from "../formats/q8_0.ts";
import { quantizeRow, type SignedElement } from "../formats/quantize_row.ts";
import { rotateRow, sameRotation } from "../formats/rotation.ts";
import { relativeErrorOf } from "./error_sums.ts";
import { type Groupings, type Origin, skewedRatio } from "./intervals.ts";
import { ObservedErrors } from "./observed_errors.ts";
import { ObservedShares, type RowOrigin } from "./observed_shares.ts";
import type { Interval } from "./statistics.ts";
import { decodeE8m0, fp8TokenScale, largestMagnitude, scaleByte } from "../formats/scales.ts";

/** A tensor that is quantized: which operation's result it is, and which format it goes through. */
export interface QuantizedTensor {
  /** For instance `experts.down_proj.input` or `cache.key`. */
  readonly name: string;
  /** -1 and the number of layers are before the first and after the last layer, as in the graph's taps. */
  readonly layer: number;
  readonly operation: OperationName;
  readonly format: InputFormat;
  /** What happens to a row of the tensor before; absent: nothing. The row is left as it is. */
  readonly rotate?: (row: Float32Array) => Float32Array;
}

/** Counts of a tensor's elements. */
export interface QuantizedCounts {
  /** For instance `mxfp4`, `fp8 static`. */
  readonly format: string;
  /** The scale of the whole tensor, where there is one. */
  readonly scale: number | null;
  readonly elements: number;
  /**
   * Elements whose magnitude, divided by their scale, is beyond the format's largest number, by more than the scale was
   * rounded: their size is lost.
   */
  readonly clipped: number;
  /** Elements that become the format's largest number, clipped ones included. */
  readonly atMax: number;
  /** Elements that are not zero and become zero. */
  readonly flushed: number;
  /** 95% intervals of the shares of elements that these are; null where there are none. */
  readonly intervals: Readonly<Record<CountedShare, Interval | null>>;
  /** Relative RMS error of quantize-dequantize, and its 95% interval; null where there are too few tokens for one. */
  readonly error: number;
  readonly errorInterval: Interval | null;
}

/** Counts that are shares of the elements. */
export type CountedShare = "clipped" | "atMax" | "flushed";

/**
 * By how much the number that an FP8 scale is made of may exceed what the largest code stands for, as the scale is
 * rounded to float32, and so is the quotient.
 */
const ROUNDED = 1 + 2 ** -22;

/**
 * The quantized tensors of a model under a plan: of each layer the inputs of its linears, then its cache; last the
 * head's input.
 */
export function quantizedTensors(
  { tree, kvScales }: ModelSource,
  { kvFormat, dtype }: { readonly kvFormat: KvFormat; readonly dtype: Dtype },
): QuantizedTensor[] {
  return [
    ...tree.layers.flatMap((linears, layer) => [
      ...LAYER_LINEARS.flatMap((name) => inputOf(name, layer, common(linearsNamed(linears, name)), dtype)),
      ...(kvFormat === "fp8"
        ? [cached("key", layer, kvScales[layer]!.k), cached("value", layer, kvScales[layer]!.v)]
        : []),
    ]),
    ...inputOf("head", tree.layers.length, tree.head, dtype),
  ];
}

/** One of the experts, if all quantize the same of their input; else what a row goes through depends on its expert. */
function common(experts: readonly LinearSource[]): LinearSource | undefined {
  const [first] = experts;
  const alike = experts.every(({ input, rotation }) =>
    sameInput(input, first!.input) && sameRotation(rotation ?? null, first!.rotation ?? null)
  );
  return alike ? first : undefined;
}

function inputOf(
  name: LinearName | "head",
  layer: number,
  linear: LinearSource | undefined,
  dtype: Dtype,
): QuantizedTensor[] {
  const format = linear?.input ?? NO_QDQ, rotation = linear?.rotation;
  if (format.kind === "none") return [];
  return [{
    name: `${operationWith(name).name}.input`,
    layer,
    operation: inputOperation(name),
    format,
    // Rounded as in the model: what is quantized there is what is counted here.
    ...(rotation === undefined ? {} : { rotate: (row) => rotateRow(row, rotation, dtype === "bf16") }),
  }];
}

function cached(half: "key" | "value", layer: number, scale: number): QuantizedTensor {
  const { name: operation } = OPERATIONS.find((o) => o.cache === half)!;
  return { name: `cache.${half}`, layer, operation, format: { kind: "fp8_static", scale } };
}

/** Counts one tensor's elements as it passes by, and measures what quantizing them costs. */
export class QuantizedCounter {
  #elements = 0;
  #clipped = 0;
  #atMax = 0;
  #flushed = 0;
  #signal = 0;
  #error = 0;
  #quantized = new Float32Array(0);
  readonly #errors: ObservedErrors;
  readonly #shares: ObservedShares<CountedShare>;

  /** @param origin Of the sequences. */
  constructor(readonly tensor: QuantizedTensor, origin?: Origin) {
    this.#errors = new ObservedErrors(origin);
    this.#shares = new ObservedShares<CountedShare>(["clipped", "atMax", "flushed"], origin);
  }

  /** Adds rows of `width` elements. */
  add(values: Float32Array, width: number, origin: RowOrigin): void {
    const { format, rotate } = this.tensor;
    if (format.kind === "none") return;
    if (this.#quantized.length !== width) this.#quantized = new Float32Array(width);
    for (let at = 0; at + width <= values.length; at += width) {
      const clipped = this.#clipped, atMax = this.#atMax, flushed = this.#flushed;
      const stored = values.subarray(at, at + width), row = rotate?.(stored) ?? stored;
      const sums = { signal: 0, error: 0 };
      if (format.kind === "mx") {
        const element = mxElement(format.element);
        for (let start = 0; start < width; start += BLOCK) {
          const end = Math.min(start + BLOCK, width);
          const byte = scaleByte(largestMagnitude(row, start, end), element, format.rule);
          this.#take(row, start, end, decodeE8m0(byte), format.element, sums);
        }
      } else if (format.kind === "q8_0") {
        for (let start = 0; start < width; start += BLOCK) {
          const end = Math.min(start + BLOCK, width), scale = quantizeQ8(row, start, end, this.#quantized);
          // The largest number is the largest code, whichever way its scale was rounded.
          this.#count(row, start, end, scale, { max: 127, clip: Infinity }, sums);
        }
      } else {
        const scale = format.kind === "fp8_static" ? format.scale : fp8TokenScale(largestMagnitude(row, 0, width));
        this.#take(row, 0, width, scale, "e4m3fn", sums);
      }
      this.#signal += sums.signal;
      this.#error += sums.error;
      this.#errors.add(origin.sequence, origin.start + Math.floor(at / width / origin.perToken), sums);
      this.#shares.add(origin, at / width, {
        clipped: (this.#clipped - clipped) / width,
        atMax: (this.#atMax - atMax) / width,
        flushed: (this.#flushed - flushed) / width,
      });
    }
  }

  /** Squares of the error of quantizing. */
  errors(): Groupings {
    return this.#errors.groups();
  }

  /** A share of elements. */
  shares(name: CountedShare): Groupings {
    return this.#shares.groups(name);
  }

  counts(): QuantizedCounts {
    const { format } = this.tensor;
    return {
      format: formatName(format),
      scale: format.kind === "fp8_static" ? format.scale : null,
      elements: this.#elements,
      clipped: this.#clipped,
      atMax: this.#atMax,
      flushed: this.#flushed,
      intervals: {
        clipped: this.#shares.interval("clipped"),
        atMax: this.#shares.interval("atMax"),
        flushed: this.#shares.interval("flushed"),
      },
      error: relativeErrorOf({ signal: this.#signal, error: this.#error }),
      errorInterval: this.#errors.interval(skewedRatio),
    };
  }

  /** Counts and measures elements that share a scale. */
  #take(
    row: Float32Array,
    start: number,
    end: number,
    scale: number,
    element: SignedElement,
    sums: { signal: number; error: number },
  ): void {
    const { max } = ELEMENTS[element];
    quantizeRow(element)(row, start, end, scale, this.#quantized);
    this.#count(row, start, end, scale, { max, clip: max * scale * ROUNDED }, sums);
  }

  /** Counts and measures elements that share a scale, and whose codes are there. */
  #count(
    row: Float32Array,
    start: number,
    end: number,
    scale: number,
    { max, clip }: { readonly max: number; readonly clip: number },
    sums: { signal: number; error: number },
  ): void {
    const quantized = this.#quantized;
    this.#elements += end - start;
    let signal = 0, error = 0;
    for (let i = start; i < end; i++) {
      const x = row[i]!, q = quantized[i]!;
      // By what it became: the quotient is rounded to float32 first, which may bring it to a half-way point.
      if (Math.abs(q) === max) {
        this.#atMax++;
        if (Math.abs(x) > clip) this.#clipped++;
      } else if (q === 0 && x !== 0) this.#flushed++;
      signal += x * x;
      error += (Math.fround(q * scale) - x) ** 2;
    }
    sums.signal += signal;
    sums.error += error;
  }
}

/** An input format as reports write it. */
function formatName(format: InputFormat): string {
  switch (format.kind) {
    case "none":
      return "none";
    case "mx": {
      const { name, rule } = MX_INPUT[format.element], words = name.replace("_", " ");
      return format.rule === rule ? words : `${words} (${format.rule})`;
    }
    case "fp8_static":
      return "fp8 static";
    case "fp8_token":
      return "fp8 per token";
    case "q8_0":
      return "q8_0";
  }
}
