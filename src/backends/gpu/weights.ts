/**
 * From places in the weights' buffer to the handles that the graph holds, and to the experts' records in device memory.
 */
import type { DeviceBuffer, DeviceRange, GpuDevice, Stream } from "../../../ffi/runtime.ts";
import {
  type LinearSource,
  mapLayer,
  type MatrixSource,
  type ModelSource,
  type VectorSource,
} from "../../checkpoint/source.ts";
import { InputError } from "../../errors.ts";
import { NUMBER_FORMAT } from "../../../kernels/abi/types.ts";
import { LINEAR_BYTES } from "./abi.ts";
import { writeLinear } from "./arguments.ts";
import type { Placement, WeightPlan } from "./plan.ts";
import {
  type ExpertTable,
  type GpuLinear,
  type GpuMatrix,
  type GpuTree,
  type GpuVector,
  samePreparation,
  suffixOf,
} from "./tensors.ts";

/** Bit of `MxLinear.flags`: the FP8 codes are e4m3fnuz. */
const FNUZ = 1;

/** The handles of a model whose weights are (or will be) in `buffer`. */
export function placeWeights(source: ModelSource, plan: WeightPlan, buffer: DeviceBuffer): GpuTree {
  const at = (p: Placement | null): DeviceRange | null =>
    p === null ? null : buffer.range(p.address, p.pieces * p.pieceBytes);
  const vector = (v: VectorSource): GpuVector => ({
    length: v.length,
    // An empty vector of a rank without heads.
    range: at(plan.vectors.get(v) ?? null) ?? buffer.range(0, 0),
    format: NUMBER_FORMAT[v.format],
  });
  const linear = ({ weight: m, bias, input, multipliesCodes }: LinearSource): GpuLinear => {
    const placed = plan.matrices.get(m)!;
    const { rowScales } = placed;
    return {
      rows: m.rows,
      cols: m.cols,
      weight: at(placed.weight),
      scale: rowScales ? buffer.range(rowScales.address, rowScales.values.byteLength) : at(placed.scale),
      bias: bias && at(plan.vectors.get(bias) ?? null),
      rowStride: placed.rowStride,
      scaleStride: placed.scaleStride,
      tensorScale: m.scale.kind === "tensor" ? m.scale.value : 1,
      biasFormat: bias ? NUMBER_FORMAT[bias.format] : NUMBER_FORMAT.bf16,
      flags: m.format === "fp8_e4m3fnuz" ? FNUZ : 0,
      format: m.format,
      suffix: suffixOf(m.format, m.transposed),
      input,
      multipliesCodes,
    };
  };
  const { tree } = source;
  return {
    embedding: embedding(tree.embedding, at(plan.matrices.get(tree.embedding)!.weight)!),
    layers: tree.layers.map((w) => mapLayer(w, linear, vector)),
    norm: vector(tree.norm),
    head: linear(tree.head),
  };
}

function embedding(m: MatrixSource, range: DeviceRange): GpuMatrix {
  if (m.format !== "bf16" && m.format !== "f32" && m.format !== "f16" || m.transposed) {
    throw InputError.saying(
      "unsupported",
      { name: m.name },
      `the GPU backend reads embeddings as bf16, f32 or f16, got ${suffixOf(m.format, m.transposed)}`,
    );
  }
  return { rows: m.rows, cols: m.cols, range, rowStride: m.rowBytes, format: NUMBER_FORMAT[m.format] };
}

/** The layers' experts, two tables a layer. */
function expertGroups(tree: GpuTree): (readonly GpuLinear[])[] {
  return tree.layers.flatMap((layer) => [layer.gateUp, layer.down]).filter((group) => group.length > 0);
}

/** Bytes that the experts' records take. */
export function expertRecordBytes(source: ModelSource): number {
  return LINEAR_BYTES * source.tree.layers.reduce((sum, l) => sum + l.gateUp.length + l.down.length, 0);
}

/**
 * Writes the records of all experts to `records`.
 *
 * @returns Tables by the tree's own arrays.
 * @throws {InputError} if the experts of a layer differ in format, shape or input.
 */
export function writeExperts(
  device: GpuDevice,
  stream: Stream,
  tree: GpuTree,
  records: DeviceRange,
): ReadonlyMap<readonly GpuLinear[], ExpertTable> {
  const writer = device.createArguments();
  const tables = new Map<readonly GpuLinear[], ExpertTable>();
  for (const group of expertGroups(tree)) {
    const first = group[0]!;
    group.forEach((linear, e) => {
      const equal = linear.suffix === first.suffix && linear.rows === first.rows && linear.cols === first.cols &&
        samePreparation(linear, first);
      if (!equal) {
        const shown = ({ suffix, rows, cols }: typeof linear) => `${suffix} [${rows}, ${cols}]`;
        throw InputError.saying(
          "unsupported",
          { name: `expert ${e}` },
          `is ${shown(linear)}, expected ${shown(first)} and the same input as expert 0; ` +
            "the GPU backend wants the experts of a layer alike",
        );
      }
    });
    const range = records.buffer.range(records.offset + writer.bytes, group.length * LINEAR_BYTES);
    for (const linear of group) writeLinear(writer, linear);
    tables.set(group, { records: range, count: group.length, first });
  }
  if (writer.bytes > 0) stream.uploadRecords(records, writer);
  return tables;
}
