/** Handles of loaded weights: file ranges turned into addresses in one of the memories. */
import type { InputFormat } from "../../formats/input.ts";
import { SCALE_NUMBER, STORED_FORMATS } from "../../formats/format.ts";
import type { Linear, Matrix, Vector } from "../../model/backend.ts";
import {
  type LinearSource,
  mapLayer,
  type MatrixSource,
  type ModelSource,
  type ModelTree,
  type VectorSource,
} from "../../checkpoint/source.ts";
import type { InputRotation } from "../../formats/rotation.ts";
import { addressOf, type MemoryPlan, type ModelPlan, rowsIn } from "./plan.ts";

/** A matrix in a memory; the fields are words of the `linear` record. */
export interface EmulateMatrix extends Matrix {
  readonly memory: number;
  readonly format: number;
  readonly transposed: number;
  readonly weight: number;
  readonly rowStride: number;
  readonly scale: number;
  readonly scaleStride: number;
  readonly scaleKind: number;
}

/** A linear in a memory. */
export interface EmulateLinear extends EmulateMatrix, Linear {
  readonly bias: number;
  readonly biasFormat: number;
  readonly input: InputFormat;
  readonly rotation: InputRotation | null;
  readonly multipliesCodes: boolean;
}

/** A vector in a memory. */
export interface EmulateVector extends Vector {
  readonly memory: number;
  readonly address: number;
  readonly format: number;
}

const floatBits = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0]!;

/** Turns the source tree into handles; writes row scales into the memories' constant areas. */
export function placeWeights(
  source: ModelSource,
  plan: ModelPlan,
  memories: readonly WebAssembly.Memory[],
): ModelTree<EmulateMatrix, EmulateLinear, EmulateVector> {
  const last = plan.memories.length - 1;
  const placers = plan.memories.map((memory, i) => new Placer(i, memory, memories[i]!));
  const { tree } = source;
  return {
    embedding: placers[0]!.matrix(tree.embedding),
    layers: tree.layers.map((layer, i) => {
      const at = placers[plan.memoryOfLayer[i]!]!;
      return mapLayer(layer, (l) => at.linear(l), (v) => at.vector(v));
    }),
    norm: placers[last]!.vector(tree.norm),
    head: placers[last]!.linear(tree.head),
  };
}

class Placer {
  #constants: number;

  constructor(readonly memory: number, readonly plan: MemoryPlan, readonly wasm: WebAssembly.Memory) {
    this.#constants = plan.constants;
  }

  matrix(m: MatrixSource): EmulateMatrix {
    const empty = m.rows === 0 || m.cols === 0;
    const nowhere = { address: 0, stride: 0 };
    const rows = empty ? nowhere : rowsIn(this.plan, { file: m.file, offset: m.offset, stride: m.rowStride });
    let scale = 0, scaleStride = 0;
    if (m.scale.kind === "e8m0" && !empty) {
      const { file, offset, rowStride } = m.scale;
      ({ address: scale, stride: scaleStride } = rowsIn(this.plan, { file, offset, stride: rowStride }));
    } else if (m.scale.kind === "tensor") {
      scale = floatBits(m.scale.value);
    } else if (m.scale.kind === "row" && !empty) {
      scale = this.#constants;
      new Float32Array(this.wasm.buffer, scale, m.rows).set(m.scale.values);
      this.#constants += Math.ceil(4 * m.rows / 16) * 16;
    }
    return {
      rows: m.rows,
      cols: m.cols,
      memory: this.memory,
      format: STORED_FORMATS[m.format].wasm,
      transposed: m.transposed ? 1 : 0,
      weight: rows.address,
      rowStride: rows.stride,
      scale,
      scaleStride,
      scaleKind: SCALE_NUMBER[m.scale.kind],
    };
  }

  linear(l: LinearSource): EmulateLinear {
    const bias = l.bias ? this.vector(l.bias) : null;
    const { input, multipliesCodes } = l;
    return {
      ...this.matrix(l.weight),
      bias: bias?.address ?? 0,
      biasFormat: bias?.format ?? 0,
      input,
      multipliesCodes,
      rotation: l.rotation ?? null,
    };
  }

  vector(v: VectorSource): EmulateVector {
    return {
      length: v.length,
      memory: this.memory,
      // A rank may own nothing of a vector; its address is not read then.
      address: v.length === 0 ? 0 : addressOf(this.plan, v.file, v.offset),
      format: STORED_FORMATS[v.format].wasm,
    };
  }
}
