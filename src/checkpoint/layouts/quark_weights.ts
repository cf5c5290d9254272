/** AMD Quark's weights: the format follows from dtype and row bytes of the weight and from its scale. */
import { BLOCK, bytesOf, MX_FORMATS, type MxFormat, STORED_FORMATS, type WeightScale } from "../../formats/format.ts";
import { shapeText } from "../../describe.ts";
import { InputError } from "../../errors.ts";
import type { StoredTensor } from "../files.ts";
import type { MatrixSource, ScaleSource } from "../source.ts";
import { hasShape, isOneOf, PLAIN, type TensorSet } from "../tensor_set.ts";
import { E8M0_DTYPES, mxBlocksPerRow } from "./mx_blocks.ts";
import type { ConfiguredRotation } from "../quark/algorithms.ts";
import type { WeightSpec } from "../quark/entry_spec.ts";
import { refuseOtherScales } from "./fake_weights.ts";
import type { ScaleReader } from "./values.ts";

/**
 * Which 6-bit format a module has, or null where the config does not say. The tensor cannot tell: every 6-bit format
 * has 24 bytes per block.
 */
export type Mxfp6Resolver = (module: string) => MxFormat | null;

/** What only the config says of stored weights. */
export interface QuarkSaid {
  /** Which of the two 6-bit formats a module has. */
  readonly mxfp6: Mxfp6Resolver;
  /**
   * Whether the weights are fake-quantized: plain numbers that were quantized and dequantized already. Their scales are
   * stored beside them and not needed.
   */
  readonly fakeQuantized: boolean;
  /** The format that the config has for the weights of a module; null: it has none. */
  readonly weightOf: (module: string) => WeightSpec | null;
  /** The online rotations that the config has; null: none. */
  readonly rotation: ConfiguredRotation | null;
}

/** What a config can say of tensors of 6 bits an element. */
const SIX_BIT_DTYPES = MX_FORMATS.map((format) => STORED_FORMATS[format]).filter(({ bits }) => bits === 6)
  .map(({ quark }) => quark);

const FP8 = { F8_E4M3: "fp8_e4m3", F8_E4M3FNUZ: "fp8_e4m3fnuz" } as const;

/** Reads matrices with their scales. */
export class QuarkWeights {
  readonly #plainWithScale = new Set<string>();
  readonly #tensors: TensorSet;
  readonly #scales: ScaleReader;
  readonly #said: QuarkSaid;

  constructor(tensors: TensorSet, scales: ScaleReader, said: QuarkSaid) {
    this.#tensors = tensors;
    this.#scales = scales;
    this.#said = said;
  }

  /**
   * The matrix of `<name>.weight`, or with `lead` [E] its E matrices.
   *
   * @param moduleOf Canonical name of each matrix's module.
   * @throws {InputError} naming the tensor that is missing or does not fit the others.
   */
  read(
    name: string,
    lead: readonly number[],
    rows: number,
    cols: number,
    moduleOf: (matrix: number) => string,
  ): MatrixSource[] {
    const weightName = `${name}.weight`, scaleName = `${name}.weight_scale`;
    const weight = this.#tensors.find(weightName);
    if (weight === null) {
      throw InputError.of(
        "missing",
        { file: this.#tensors.place, tensor: weightName },
        "U8, F8_E4M3, BF16, F16 or F32",
        "nothing",
      );
    }
    if (isOneOf(weight, ["F8_E4M3", "F8_E4M3FNUZ"])) {
      this.#tensors.take(weightName, [weight.dtype], [...lead, rows, cols]);
      const scales = this.#floatScales(scaleName, weightName, lead, rows);
      return scales.map((scale, i) => matrix(weight, FP8[weight.dtype], i, rows, cols, scale));
    }
    if (weight.dtype === "U8") return this.#mx(weight, scaleName, lead, rows, cols, moduleOf);
    if (!Object.hasOwn(PLAIN, weight.dtype)) {
      this.#tensors.refuse(weight, "U8, F8_E4M3, BF16, F16 or F32");
    }
    const scale = this.#tensors.find(scaleName);
    if (scale !== null && !this.#said.fakeQuantized) {
      // The weights may be codes that are still to be multiplied.
      this.#tensors.refuse(
        scale,
        `none beside ${weight.dtype} weights, or weight_format "fake_quantized"`,
      );
    }
    if (scale !== null) {
      this.#checkPlainScale(scale, this.#said.weightOf(moduleOf(0))?.scale ?? null, lead, rows, cols);
      this.#plainWithScale.add(name);
    }
    const matrices = this.#tensors.matrices(weightName, lead, rows, cols);
    if (scale !== null) {
      const specOf = (i: number) => this.#said.weightOf(moduleOf(i));
      refuseOtherScales(this.#tensors, this.#scales, weight, scale, matrices, specOf);
    }
    return matrices;
  }

  /**
   * Refuses a scale that is not of the format that the weights beside it went through: Quark applies it once more. The
   * values of those of blocks are looked at with all others of blocks.
   */
  #checkPlainScale(
    scale: StoredTensor,
    kind: WeightScale | null,
    lead: readonly number[],
    rows: number,
    cols: number,
  ): void {
    const perRow = [...lead, rows], perBlock = [...perRow, Math.ceil(cols / BLOCK)];
    const shapes = { e8m0: [perBlock], row: [perRow, [...perRow, 1]], tensor: [[], [1], lead], none: [] };
    const allowed = kind === null ? Object.values(shapes).flat() : shapes[kind];
    if (!allowed.some((shape) => hasShape(scale, shape))) {
      this.#tensors.refuse(scale, `scales ${[...new Set(allowed.map(shapeText))].join(" or ")}`);
    }
    const count = scale.shape.reduce((product, size) => product * size, 1);
    if (!hasShape(scale, perBlock)) this.#scales.read(scale, [count]);
    else if (isOneOf(scale, E8M0_DTYPES) || Object.hasOwn(PLAIN, scale.dtype)) this.#tensors.e8m0.push(scale);
    else this.#tensors.refuse(scale, `U8, F8_E8M0, BF16, F16 or F32 ${shapeText(perBlock)}`);
  }

  /** What a linear of `<name>.weight`, once read, has besides: whether a scale lies beside its plain weights. */
  plainScale(name: string): { readonly hasPlainScale?: boolean } {
    return this.#plainWithScale.has(name) ? { hasPlainScale: true } : {};
  }

  #mx(
    weight: StoredTensor,
    scaleName: string,
    lead: readonly number[],
    rows: number,
    cols: number,
    moduleOf: (matrix: number) => string,
  ): MatrixSource[] {
    const blocks = mxBlocksPerRow(this.#tensors.place, weight.name, cols);
    const fp4 = bytesOf("mxfp4", blocks * BLOCK), fp6 = bytesOf("mxfp6_e3m2", blocks * BLOCK);
    const rowBytes = weight.shape.at(-1) === fp6 ? fp6 : fp4;
    if (rowBytes === fp4 && weight.shape.at(-1) !== fp4) {
      this.#tensors.refuse(weight, `U8 with rows of ${fp4} bytes (MXFP4) or ${fp6} (MXFP6)`);
    }
    this.#tensors.take(weight.name, ["U8"], [...lead, rows, rowBytes]);
    const scales = this.#tensors.take(scaleName, E8M0_DTYPES, [...lead, rows, blocks]);
    this.#tensors.e8m0.push(scales);
    return Array.from({ length: lead[0] ?? 1 }, (_, i) => {
      const format = rowBytes === fp4 ? "mxfp4" : this.#mxfp6(weight, moduleOf(i));
      const offset = scales.offset + i * rows * blocks;
      return matrix(weight, format, i, rows, cols, {
        kind: "e8m0",
        file: scales.file,
        offset,
        rowStride: blocks,
      });
    });
  }

  #mxfp6(weight: StoredTensor, module: string): MxFormat {
    const format = this.#said.mxfp6(module);
    if (format !== null) return format;
    throw InputError.of(
      "wrong_value",
      { file: this.#tensors.pathOf(weight), name: `tensor ${weight.name}: has 6 bits an element` },
      `quantization_config to say ${SIX_BIT_DTYPES.join(" or ")} for ${module}`,
      "neither",
    );
  }

  /** Scales of FP8 weights: one for all matrices, one for each, or one per row of each. */
  #floatScales(name: string, weightName: string, lead: readonly number[], rows: number): ScaleSource[] {
    const tensor = this.#tensors.find(name);
    if (tensor === null) {
      throw InputError.of(
        "missing",
        { file: this.#tensors.place, tensor: name },
        `the scale of ${weightName}`,
        "nothing",
      );
    }
    const count = lead[0] ?? 1;
    const values = this.#scales.read(tensor, [1, count, count * rows]);
    // As many numbers in another shape are scales of columns or of blocks.
    const last = tensor.shape.findLastIndex((size) => size !== 1), shape = tensor.shape.slice(0, last + 1).join();
    const perRow = [...lead, rows];
    if (values.length > 1 && shape !== lead.join() && shape !== perRow.join()) {
      const shapes = [...lead.length > 0 ? [lead] : [], perRow].map(shapeText).join(" or ");
      this.#tensors.refuse(tensor, `one number, or scales ${shapes}`);
    }
    return Array.from({ length: count }, (_, i): ScaleSource => {
      if (values.length === 1) return { kind: "tensor", value: values[0]! };
      if (values.length === count) return { kind: "tensor", value: values[i]! };
      return { kind: "row", values: values.slice(i * rows, (i + 1) * rows) };
    });
  }
}

/** Matrix `i` of a tensor that holds several of them, one after the other. */
function matrix(
  { name, file, offset }: StoredTensor,
  format: MatrixSource["format"],
  i: number,
  rows: number,
  cols: number,
  scale: ScaleSource,
): MatrixSource {
  const rowBytes = bytesOf(format, cols), start = offset + i * rows * rowBytes;
  return { name, format, rows, cols, transposed: false, file, offset: start, rowBytes, rowStride: rowBytes, scale };
}
