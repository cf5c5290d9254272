/** AMD Quark's online rotations: `<module>.input_rotation` and `<module>.input_prescale`. */
import { InputError } from "../../errors.ts";
import type { InputRotation } from "../../formats/rotation.ts";
import { shapeText } from "../../describe.ts";
import type { StoredTensor } from "../files.ts";
import { isOneOf, type TensorSet } from "../tensor_set.ts";
import type { ScaleReader } from "./values.ts";

/**
 * Largest rotation matrix that is accepted: one as wide as gpt-oss-20b would cost more than the linear that follows.
 */
const MOST = 1024;

/** Reads rotations; equal matrices are kept in memory once, since thousands of linears share one. */
export class RotationReader {
  readonly #tensors: TensorSet;
  readonly #scales: ScaleReader;
  readonly #known: Float64Array[] = [];

  constructor(tensors: TensorSet, scales: ScaleReader) {
    this.#tensors = tensors;
    this.#scales = scales;
  }

  /**
   * The rotation of a linear's input, or null.
   *
   * @param cols Input features.
   * @throws {InputError} for a malformed matrix, and for a prescale without a matrix.
   */
  read(module: string, cols: number): InputRotation | null {
    const tensor = this.#tensors.find(`${module}.input_rotation`);
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
      matrix: this.#once(this.#matrix(tensor, size)),
      prescale: prescale === null ? null : this.#scales.read(prescale, [cols]),
    };
  }

  #matrix(tensor: StoredTensor, size: number): Float64Array {
    // Hadamard matrices are stored as signs (-1, 1), trained ones with their own values.
    if (!isOneOf(tensor, ["I8", "F64"])) this.#tensors.refuse(tensor, `I8 or F64 ${shapeText(tensor.shape)}`);
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
    // Quark divides in float32.
    const factor = tensor.dtype === "I8" ? Math.fround(1 / Math.fround(Math.sqrt(size))) : 1;
    return Float64Array.from(stored, (x) => x * factor);
  }

  #once(matrix: Float64Array): Float64Array {
    const known = this.#known.find((other) => other.length === matrix.length && other.every((x, i) => x === matrix[i]));
    if (known === undefined) this.#known.push(matrix);
    return known ?? matrix;
  }
}
