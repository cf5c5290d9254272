/** What is written, tensor by tensor: names and shapes first, data when its turn comes. */
import type { KvScales, MatrixSource, ModelSource, VectorSource } from "../checkpoint/source.ts";
import { BLOCK, bytesOf, isMxFormat, type MxFormat, type WeightFormat } from "../formats/format.ts";
import type { WrittenDtype, WrittenTensor } from "../checkpoint/write_safetensors.ts";
import { encodeMatrix, fp8Scales, type Tools } from "../conversion/encode_matrix.ts";
import type { RangeReader } from "../conversion/range_reader.ts";
import type { LinearTarget, Targets } from "./targets.ts";
import type { Sink } from "./write_shards.ts";

/** Where bytes begin: `offset` bytes into one of the checkpoint's files. */
interface Place {
  readonly file: number;
  readonly offset: number;
}

/** Tensors that are made together. */
export interface Job {
  readonly tensors: readonly WrittenTensor[];
  readonly run: (tools: Tools, sink: Sink) => void;
}

/** Bytes that are copied at once. */
const COPY_BYTES = 1 << 24;

const PLAIN_DTYPE = { bf16: "BF16", f16: "F16", f32: "F32" } as const;
const DTYPE: Record<Exclude<WeightFormat, MxFormat>, WrittenDtype> = {
  ...PLAIN_DTYPE,
  fp8_e4m3: "F8_E4M3",
  fp8_e4m3fnuz: "F8_E4M3FNUZ",
};

/** The dtype of a tensor that holds weights: packed codes of MX blocks are bytes. */
const weightDtype = (format: WeightFormat): WrittenDtype => isMxFormat(format) ? "U8" : DTYPE[format];

/** All jobs of a checkpoint, layer by layer. */
export function jobsOf(targets: Targets, source: ModelSource, kvScales: readonly KvScales[] | null): Job[] {
  const { tree } = source;
  return [
    matrixJob("model.embed_tokens.weight", tree.embedding),
    ...targets.layers.flatMap(({ q, k, v, o, router, gateUp, down }, layer) => {
      const at = `model.layers.${layer}`, { inputNorm, sinks, postNorm } = tree.layers[layer]!;
      return [
        vectorJob(`${at}.input_layernorm.weight`, inputNorm),
        ...[q, k, v, o].flatMap(linearJobs),
        vectorJob(`${at}.self_attn.sinks`, sinks),
        ...(kvScales === null ? [] : [
          scalarJob(`${at}.self_attn.k_proj.output_scale`, kvScales[layer]!.k),
          scalarJob(`${at}.self_attn.v_proj.output_scale`, kvScales[layer]!.v),
        ]),
        vectorJob(`${at}.post_attention_layernorm.weight`, postNorm),
        ...linearJobs(router),
        ...gateUp.flatMap((expert, e) => [...linearJobs(expert), ...linearJobs(down[e]!)]),
      ];
    }),
    vectorJob("model.norm.weight", tree.norm),
    ...linearJobs(targets.head),
  ];
}

function vectorJob(name: string, vector: VectorSource): Job {
  const { format, length } = vector;
  return {
    tensors: [{ name, dtype: PLAIN_DTYPE[format], shape: [length] }],
    run: ({ reader }, sink) => copyBytes(reader, vector, bytesOf(format, length), name, sink),
  };
}

function scalarJob(name: string, value: number): Job {
  return { tensors: [{ name, dtype: "F32", shape: [] }], run: (_, sink) => sink(name, Float32Array.of(value)) };
}

/** A matrix whose bytes are kept. */
function matrixJob(name: string, matrix: MatrixSource): Job {
  const { rows, cols, format } = matrix;
  const shape = isMxFormat(format) ? [rows, bytesOf(format, cols)] : [rows, cols];
  return {
    tensors: [{ name, dtype: weightDtype(format), shape }],
    run: ({ reader }, sink) => copyBytes(reader, matrix, rows * matrix.rowBytes, name, sink),
  };
}

/** Weight and scale of a linear, its bias and the scale of its input. */
function linearJobs(target: LinearTarget): Job[] {
  const { module, source, inputScale, copied } = target;
  return [
    copied ? keptWeight(target) : encodedWeight(target),
    ...(source.bias === null ? [] : [vectorJob(`${module}.bias`, source.bias)]),
    ...(inputScale === null ? [] : [scalarJob(`${module}.input_scale`, inputScale)]),
  ];
}

function keptWeight({ module, source: { weight } }: LinearTarget): Job {
  const job = matrixJob(`${module}.weight`, weight), { scale, rows, cols } = weight, name = `${module}.weight_scale`;
  switch (scale.kind) {
    case "none":
      return job;
    case "e8m0": {
      const blocks = cols / BLOCK, tensor: WrittenTensor = { name, dtype: "U8", shape: [rows, blocks] };
      return both(job, tensor, ({ reader }, sink) => copyBytes(reader, scale, rows * blocks, name, sink));
    }
    case "tensor":
      return both(job, { name, dtype: "F32", shape: [] }, (_, sink) => sink(name, Float32Array.of(scale.value)));
    case "row":
      return both(job, { name, dtype: "F32", shape: [rows] }, (_, sink) => sink(name, scale.values));
  }
}

const both = (job: Job, tensor: WrittenTensor, run: Job["run"]): Job => ({
  tensors: [...job.tensors, tensor],
  run: (tools, sink) => {
    job.run(tools, sink);
    run(tools, sink);
  },
});

function encodedWeight({ module, source: { weight: from }, weight: format, weightScale }: LinearTarget): Job {
  const { rows, cols } = from, name = `${module}.weight`, scaleName = `${name}_scale`;
  const tensor = (shape: readonly number[]): WrittenTensor => ({ name, dtype: weightDtype(format), shape });
  if (isMxFormat(format)) {
    return {
      tensors: [tensor([rows, bytesOf(format, cols)]), { name: scaleName, dtype: "U8", shape: [rows, cols / BLOCK] }],
      run: (tools, sink) => {
        for (const { codes, scales } of encodeMatrix(from, format, null, tools)) {
          sink(name, codes);
          sink(scaleName, scales);
        }
      },
    };
  }
  const perRow = weightScale === "row";
  return {
    tensors: [tensor([rows, cols]), { name: scaleName, dtype: "F32", shape: perRow ? [rows] : [] }],
    run: (tools, sink) => {
      const scales = perRow ? new Float32Array(rows) : fp8Scales(from, "tensor", tools);
      for (const { codes } of encodeMatrix(from, format, scales, tools, perRow)) sink(name, codes);
      sink(scaleName, scales);
    },
  };
}

/**
 * Copies bytes through one buffer. Rows of a whole checkpoint lie one after the other, unlike those of a rank's part:
 * what a tensor holds is one run of bytes, however wide a row is.
 */
function copyBytes(reader: RangeReader, { file, offset }: Place, bytes: number, name: string, sink: Sink): void {
  const buffer = new Uint8Array(Math.min(COPY_BYTES, bytes));
  for (let at = 0; at < bytes; at += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, bytes - at));
    reader.read(file, offset + at, piece);
    sink(name, piece);
  }
}
