/** The numbers that a rank holds after loading its part of a checkpoint, through each backend's own loader. */
import { WASM_PAGE } from "../../src/wasm.ts";
import { planMemories } from "../../src/backends/emulate/plan.ts";
import { Reading } from "../../src/backends/emulate/reading.ts";
import {
  type EmulateLinear,
  type EmulateMatrix,
  type EmulateVector,
  placeWeights,
} from "../../src/backends/emulate/weights.ts";
import { rowScale, WeightFiles } from "../../src/backends/reference/weight_files.ts";
import { loadWeights, type ReferenceLinear, type ReferenceMatrix } from "../../src/backends/reference/weights.ts";
import {
  mapLayer,
  type MatrixSource,
  type ModelSource,
  type ModelTree,
  type VectorSource,
} from "../../src/checkpoint/source.ts";
import type { InputFormat } from "../../src/formats/input.ts";
import { Decoder } from "./decode.ts";

/** A dequantized matrix, [rows, cols]. */
export interface DenseMatrix {
  readonly rows: number;
  readonly cols: number;
  readonly values: Float32Array;
}

/** A dequantized linear. */
export interface DenseLinear extends DenseMatrix {
  readonly bias: Float32Array | null;
  readonly input: InputFormat;
}

/** All numbers of a rank. */
export type DenseTree = ModelTree<DenseMatrix, DenseLinear, Float32Array>;

function mapTree<M, L, V>(
  tree: ModelTree<M, L, V>,
  matrix: (m: M) => DenseMatrix,
  linear: (l: L) => DenseLinear,
  vector: (v: V) => Float32Array,
): DenseTree {
  return {
    embedding: matrix(tree.embedding),
    layers: tree.layers.map((w) => mapLayer(w, linear, vector)),
    norm: vector(tree.norm),
    head: linear(tree.head),
  };
}

/** As `reference` reads: rows from the files when they are needed. */
export function loadByReference(source: ModelSource): DenseTree {
  using files = new WeightFiles(source.files);
  const matrix = ({ rows, cols, source: m }: ReferenceMatrix): DenseMatrix => {
    const values = new Float32Array(rows * cols);
    files.forEachRow(m, (r, row) => {
      const scale = rowScale(m, r);
      if (row.length !== cols) throw new Error(`${m.name}: ${row.length} numbers in a row of ${cols}`);
      for (let c = 0; c < cols; c++) values[r * cols + c] = row[c]! * scale;
    });
    return { rows, cols, values };
  };
  const linear = (l: ReferenceLinear): DenseLinear => ({ ...matrix(l), bias: l.bias, input: l.input });
  return mapTree(loadWeights(source, files, () => {}), matrix, linear, ({ values }) => values);
}

/** Weight formats by their numbers in wasm/ABI.md. */
const FORMATS = ["bf16", "f32", "f16", "mxfp4", "mxfp6_e3m2", "mxfp6_e2m3", "fp8_e4m3", "fp8_e4m3fnuz"] as const;

/**
 * Where `emulate` reads to. Every loading begins with other numbers in it, so that what is not read does not look
 * right.
 */
const memory = new WebAssembly.Memory({ initial: 64, maximum: 1024, shared: true });

/** As `emulate` reads: everything into a WASM memory, where kernels find it by the addresses of the handles. */
export function loadByEmulate(source: ModelSource): DenseTree {
  const plan = planMemories({ source, areasEnd: 4096, cacheBytes: () => 0, mapped: false });
  const { bytes, runs, strided } = plan.memories[0]!;
  const missing = bytes - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / WASM_PAGE));
  const all = new Uint8Array(memory.buffer);
  all.fill(0x5b, 0, bytes);
  new Reading(source.files, [{ view: all, runs, strided }]).run();
  const tree = placeWeights(source, plan, [memory]);
  const view = new DataView(memory.buffer), decoder = new Decoder([view]);

  const matrix = (m: EmulateMatrix): DenseMatrix => {
    const format = FORMATS[m.format]!, transposed = m.transposed === 1;
    const scales = (): MatrixSource["scale"] => {
      switch (m.scaleKind) {
        case 0:
          return { kind: "none" };
        case 1:
          return { kind: "e8m0", file: 0, offset: m.scale, rowStride: m.scaleStride };
        case 2:
          return { kind: "tensor", value: new Float32Array(Uint32Array.of(m.scale).buffer)[0]! };
        default:
          return { kind: "row", values: new Float32Array(memory.buffer.slice(m.scale, m.scale + 4 * m.rows)) };
      }
    };
    const { rows, cols, weight: offset, rowStride } = m;
    // The decoder goes by the stride alone.
    const rowBytes = rowStride;
    const values = decoder.matrix({
      ...{ name: "", format, rows, cols, transposed, file: 0, offset, rowBytes, rowStride, scale: scales() },
    });
    return { rows, cols, values };
  };
  const vector = ({ format, length, address }: EmulateVector): Float32Array =>
    decoder.vector({ name: "", format: FORMATS[format] as VectorSource["format"], length, file: 0, offset: address });
  // Handles of linears do not say whether there is a bias or one at address 0; areas end after 0, so the latter cannot
  // be.
  const linear = (l: EmulateLinear): DenseLinear => ({
    ...matrix(l),
    bias: l.bias === 0 ? null : vector({ format: l.biasFormat, length: l.rows, address: l.bias, memory: 0 }),
    input: l.input,
  });
  return mapTree(tree, matrix, linear, vector);
}
