/**
 * AMD Quark's online rotations: `<module>.input_rotation` and `<module>.input_prescale`, or one matrix for all linears
 * that the config lists, `shared_input_rotation_<width>`.
 */
import { InputError } from "../../errors.ts";
import type { InputRotation } from "../../formats/rotation.ts";
import { printable, shapeText } from "../../describe.ts";
import type { StoredTensor } from "../files.ts";
import { isOneOf, type TensorSet } from "../tensor_set.ts";
import type { QuarkSaid } from "./quark_weights.ts";
import type { ScaleReader } from "./values.ts";

/**
 * Largest rotation matrix that is accepted: one as wide as gpt-oss-20b would cost more than the linear that follows.
 */
const MOST = 1024;

/** A matrix for all linears that have none of their own, wherever it stands. */
const SHARED = /(?:^|\.)shared_input_rotation_(\d+)$/;

/** Reads rotations; equal matrices are kept in memory once, since thousands of linears share one. */
export class RotationReader {
  readonly #tensors: TensorSet;
  readonly #scales: ScaleReader;
  readonly #said: Pick<QuarkSaid, "rotation" | "fakeQuantized">;
  /** Names of shared matrices by width. */
  readonly #shared = new Map<number, string>();
  /** Linears that the config lists. */
  readonly #listed: ReadonlySet<string>;
  readonly #known: Float64Array[] = [];

  /** @throws {InputError} for two shared matrices of one width, and for one where the config lists no linears. */
  constructor(tensors: TensorSet, scales: ScaleReader, said: Pick<QuarkSaid, "rotation" | "fakeQuantized">) {
    this.#tensors = tensors;
    this.#scales = scales;
    this.#said = said;
    this.#listed = new Set(said.rotation?.modules ?? []);
    // Quark looks for them beside quantized weights alone.
    if (said.rotation === null || said.fakeQuantized) return;
    for (const name of tensors.unused()) {
      const size = SHARED.exec(name)?.[1];
      if (size !== undefined) this.#share(Number(size), name, said.rotation);
    }
  }

  #share(size: number, name: string, { modules, key }: NonNullable<QuarkSaid["rotation"]>): void {
    if (modules === null) {
      const expected = `a list of the linears that ${printable(name)} rotates`;
      throw InputError.of("missing", { name: `${key}.online_config.online_rotation_layers` }, expected, "nothing");
    }
    const other = this.#shared.get(size);
    if (other !== undefined) {
      const subject = { file: this.#tensors.place, tensor: printable(name) };
      throw InputError.of("contradiction", subject, `none of width ${size} beside ${printable(other)}`, "one");
    }
    this.#shared.set(size, name);
  }

  /**
   * The rotation of a linear's input, or null.
   *
   * @param cols Input features.
   * @throws {InputError} for a malformed matrix, and for a prescale without a matrix.
   */
  read(module: string, cols: number): InputRotation | null {
    const tensor = this.#tensors.find(`${module}.input_rotation`) ?? this.#sharedOf(module, cols);
    const prescale = this.#tensors.find(`${module}.input_prescale`);
    if (tensor === null) {
      if (prescale === null) return null;
      throw InputError.of(
        "missing",
        { file: this.#tensors.place, tensor: `${module}.input_rotation` },
        `one as there is ${module}.input_prescale`,
        "nothing",
      );
    }
    const [size = 0, width] = tensor.shape;
    if (tensor.shape.length !== 2 || size !== width || size < 1 || size > MOST || cols % size !== 0) {
      this.#tensors.refuse(
        tensor,
        `a square matrix, no wider than ${MOST}, whose width divides the ${cols} input features of ${module}`,
      );
    }
    return {
      size,
      matrix: this.#once(this.#matrix(tensor, size, cols)),
      prescale: prescale === null ? null : this.#scales.read(prescale, [cols]),
    };
  }

  /** The shared matrix of a linear that the config lists. */
  #sharedOf(module: string, cols: number): StoredTensor | null {
    if (this.#shared.size === 0 || !this.#listed.has(module)) return null;
    const size = this.#said.rotation!.size ?? cols, name = this.#shared.get(size);
    const tensor = name === undefined ? null : this.#tensors.find(name);
    if (tensor !== null && tensor.shape[0] !== size) {
      this.#tensors.refuse(tensor, `I8 or F64 ${shapeText([size, size])}`);
    }
    return tensor;
  }

  #matrix(tensor: StoredTensor, size: number, cols: number): Float64Array {
    const shape = shapeText(tensor.shape), { rotation } = this.#said;
    // Hadamard matrices are stored as signs (-1, 1), trained ones with their own values.
    if (!isOneOf(tensor, ["I8", "F64"])) this.#tensors.refuse(tensor, `I8 or F64 ${shape}`);
    // Quark divides what is not trained by the root of the width, and nothing else, whatever the dtype.
    if (rotation !== null && rotation.trained !== (tensor.dtype === "F64")) {
      this.#tensors.refuse(tensor, `${rotation.trained ? "F64" : "I8"} ${shape}, as trainable is ${rotation.trained}`);
    }
    const { buffer } = this.#scales.bytes(tensor);
    const stored = tensor.dtype === "I8" ? new Int8Array(buffer) : new Float64Array(buffer);
    const isSign = (x: number) => x === 1 || x === -1;
    const wrong = stored.findIndex(
      tensor.dtype === "I8" ? (x: number) => !isSign(x) : (x: number) => !Number.isFinite(x),
    );
    if (wrong >= 0) {
      throw InputError.of(
        "wrong_value",
        { file: this.#tensors.pathOf(tensor), tensor: tensor.name },
        tensor.dtype === "I8" ? "1 and -1" : "finite numbers",
        `${stored[wrong]} at element ${wrong}`,
      );
    }
    if (rotation !== null && tensor.dtype === "I8" && (size === cols || this.#said.fakeQuantized)) {
      this.#checkHadamard(tensor, stored, size);
    }
    // Quark divides in float32.
    const factor = tensor.dtype === "I8" ? Math.fround(1 / Math.fround(Math.sqrt(size))) : 1;
    return Float64Array.from(stored, (x) => x * factor);
  }

  /**
   * Refuses signs that are not those of Hadamard's matrix (Sylvester's construction), where Quark computes with that
   * one whatever is stored. Of widths that are no power of two it has tables of its own, which are not looked at.
   */
  #checkHadamard(tensor: StoredTensor, signs: ArrayLike<number>, size: number): void {
    if ((size & (size - 1)) !== 0) return;
    for (let at = 0; at < signs.length; at++) {
      let common = Math.floor(at / size) & (at % size), sign = 1;
      for (; common > 0; common &= common - 1) sign = -sign;
      if (signs[at] === sign) continue;
      throw InputError.of(
        "wrong_value",
        { file: this.#tensors.pathOf(tensor), tensor: printable(tensor.name) },
        `${sign} at element ${at}, as in Hadamard's matrix of ${size}, with which AMD Quark computes here`,
        signs[at]!,
      );
    }
  }

  #once(matrix: Float64Array): Float64Array {
    const known = this.#known.find((other) => other.length === matrix.length && other.every((x, i) => x === matrix[i]));
    if (known === undefined) this.#known.push(matrix);
    return known ?? matrix;
  }
}
