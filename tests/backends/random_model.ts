/**
 * Small GPT-OSS models of random numbers, written to a temporary file that is laid out as awkwardly as a checkpoint may
 * be.
 */
import { type InputFormat, multipliesCodes, NO_QDQ } from "../../src/formats/input.ts";
import type { ModelConfig } from "../../src/checkpoint/model_config.ts";
import type {
  KvScales,
  LinearSource,
  MatrixSource,
  ModelSource,
  ScaleSource,
  VectorSource,
} from "../../src/checkpoint/source.ts";
import { encodeFp8, encodeMxRow, encodePlain } from "../../src/formats/encode.ts";
import { ELEMENTS } from "../../src/formats/elements.ts";
import { isMxFormat, mxElementOf, type WeightFormat } from "../../src/formats/format.ts";
import { integers, normals } from "../formats/seeded.ts";

/** A way to store a matrix. */
export interface Storage {
  readonly format: WeightFormat;
  readonly scale: ScaleSource["kind"];
  readonly transposed: boolean;
}

/** "mxfp4", "fp8_e4m3 per row", "bf16 transposed", ... */
export function storageName({ format, scale, transposed }: Storage): string {
  const per = scale === "tensor" || scale === "row" ? ` per ${scale}` : "";
  return format + per + (transposed ? " transposed" : "");
}

const stored = (format: WeightFormat, scale: ScaleSource["kind"], transposed = false): Storage => ({
  format,
  scale,
  transposed,
});

/** Every way to store a linear. To add a format: a line here, and a case in `encodeRow` below. */
export const STORAGES: readonly Storage[] = [
  stored("bf16", "none"),
  stored("bf16", "none", true),
  stored("f32", "none"),
  stored("f32", "none", true),
  stored("f16", "none"),
  stored("f16", "none", true),
  stored("mxfp4", "e8m0"),
  stored("mxfp6_e3m2", "e8m0"),
  stored("mxfp6_e2m3", "e8m0"),
  stored("fp8_e4m3", "tensor"),
  stored("fp8_e4m3", "row"),
  stored("fp8_e4m3fnuz", "tensor"),
];

/** Plain bf16, what everything but the matrix in question is stored in. */
export const BF16 = STORAGES[0]!;

/** True for the formats whose blocks want a multiple of 32 columns. */
export const isMx = ({ format }: Storage): boolean => isMxFormat(format);

interface StoredRow {
  readonly bytes: Uint8Array;
  /** e8m0 bytes. */
  readonly scales?: Uint8Array;
  /** FP8. */
  readonly scale?: number;
}

function encodeRow(values: Float32Array, { format, scale }: Storage): StoredRow {
  const element = isMxFormat(format) ? mxElementOf(format) : undefined;
  if (element) {
    const { codes, scales } = encodeMxRow(values, element, "even");
    return { bytes: codes, scales };
  }
  if (format === "fp8_e4m3" || format === "fp8_e4m3fnuz") {
    const { max } = ELEMENTS[format === "fp8_e4m3" ? "e4m3fn" : "e4m3fnuz"];
    const amax = Math.max(...values.map(Math.abs), 1e-6);
    // Per tensor: a scale that no row exceeds by much, so that some numbers saturate.
    const factor = Math.fround(scale === "row" ? amax / max : 4 / max);
    return { bytes: encodeFp8(values, factor, ELEMENTS[format === "fp8_e4m3" ? "e4m3fn" : "e4m3fnuz"]), scale: factor };
  }
  return { bytes: encodePlain(values, format as "bf16" | "f16" | "f32") };
}

/** The rows of a matrix as they are stored; the columns, where it is stored transposed. */
function encodeMatrix(
  rows: number,
  cols: number,
  storage: Storage,
  value: (r: number, c: number) => number,
): readonly StoredRow[] {
  const { transposed } = storage, [lines, width] = transposed ? [cols, rows] : [rows, cols];
  const encoded: StoredRow[] = [];
  for (let line = 0; line < lines; line++) {
    const values = new Float32Array(width);
    for (let i = 0; i < width; i++) values[i] = transposed ? value(i, line) : value(line, i);
    encoded.push(encodeRow(values, storage));
  }
  return encoded;
}

/** A temporary file that tensors are appended to. */
export class SourceFileBuilder implements Disposable {
  readonly path = Deno.makeTempFileSync({ prefix: "mxoss-test-", suffix: ".bin" });
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;

  /** Appends bytes after a gap, so that nothing is aligned. */
  append(bytes: Uint8Array): number {
    const gap = new Uint8Array(3 + this.#chunks.length % 5).fill(0xff);
    this.#chunks.push(gap, bytes);
    const offset = this.#bytes + gap.length;
    this.#bytes = offset + bytes.length;
    return offset;
  }

  /** Appends rows with a gap of 0xff after each, as between the rows of a slice. */
  #appendRows(rows: readonly Uint8Array[], gap: number): { offset: number; rowBytes: number; rowStride: number } {
    const rowBytes = rows[0]!.length, rowStride = rowBytes + gap;
    const all = new Uint8Array((rows.length - 1) * rowStride + rowBytes).fill(0xff);
    rows.forEach((row, r) => all.set(row, r * rowStride));
    return { offset: this.append(all), rowBytes, rowStride };
  }

  /** Encodes and appends a matrix. */
  matrix(name: string, rows: number, cols: number, storage: Storage, value: (r: number, c: number) => number) {
    return this.encodedMatrix(name, rows, cols, storage, encodeMatrix(rows, cols, storage, value));
  }

  /** Appends a matrix that `encodeMatrix` gave. */
  encodedMatrix(name: string, rows: number, cols: number, storage: Storage, encoded: readonly StoredRow[]) {
    const place = this.#appendRows(encoded.map(({ bytes }) => bytes), name.length % 3);
    const scale = this.#scales(encoded, storage);
    return { name, format: storage.format, rows, cols, transposed: storage.transposed, file: 0, ...place, scale };
  }

  #scales(rows: readonly StoredRow[], storage: Storage): ScaleSource {
    switch (storage.scale) {
      case "none":
        return { kind: "none" };
      case "tensor":
        return { kind: "tensor", value: rows[0]!.scale! };
      case "row":
        return { kind: "row", values: Float32Array.from(rows, ({ scale }) => scale!) };
      case "e8m0": {
        const { offset, rowStride } = this.#appendRows(rows.map(({ scales }) => scales!), 1);
        return { kind: "e8m0", file: 0, offset, rowStride };
      }
    }
  }

  /** Appends a matrix of given codes and scale bytes; see {@linkcode SourceFileBuilder.matrix}. */
  rawMatrix(name: string, storage: Storage, cols: number, rows: readonly StoredRow[]): MatrixSource {
    const place = this.#appendRows(rows.map(({ bytes }) => bytes), 0);
    const scale = this.#scales(rows, storage);
    return { name, format: storage.format, rows: rows.length, cols, transposed: false, file: 0, ...place, scale };
  }

  /** Appends a vector. */
  vector(name: string, values: Float32Array, format: "bf16" | "f32" | "f16" = "bf16"): VectorSource {
    return { name, format, length: values.length, file: 0, offset: this.append(encodePlain(values, format)) };
  }

  /** Writes the file. */
  finish(tree: ModelSource["tree"], kvScales: readonly KvScales[]): ModelSource {
    const bytes = new Uint8Array(this.#bytes);
    let at = 0;
    for (const chunk of this.#chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    Deno.writeFileSync(this.path, bytes);
    return { files: [{ path: this.path, bytes: bytes.length }], tree, kvScales };
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path);
  }
}

/** A model config with GPT-OSS's constants. */
export function testConfig(sizes: Partial<ModelConfig>): ModelConfig {
  return {
    layers: 2,
    hidden: 96,
    intermediate: 64,
    experts: 6,
    topK: 4,
    heads: 4,
    kvHeads: 2,
    headDim: 64,
    vocab: 96,
    rmsNormEps: 1e-5,
    slidingWindow: 12,
    sliding: [true, false],
    swigluAlpha: 1.702,
    swigluLimit: 7,
    rope: {
      theta: 150_000,
      yarn: { factor: 32, betaFast: 32, betaSlow: 1, originalMaxPositions: 4096, truncate: false },
    },
    maxPositions: 131_072,
    eosTokenIds: [0],
    padTokenId: null,
    bosTokenId: null,
    ...sizes,
  };
}

/** What a random model is made of. */
export interface RandomModelOptions {
  readonly config: ModelConfig;
  /** How the linears of attention and the experts are stored; default bf16. */
  readonly storage?: Storage;
  /** How q, k and v are stored, if not like the others. */
  readonly attention?: readonly [q: Storage, k: Storage, v: Storage];
  /** Their input format; default none. */
  readonly input?: InputFormat;
  /** How embedding and head are stored; default bf16. */
  readonly table?: Storage;
  /** Format of norms, biases and sinks; default bf16. */
  readonly vectors?: "bf16" | "f32" | "f16";
  readonly kvScales?: KvScales;
  /** All sinks; default random. */
  readonly sink?: number;
  /** Replaces the first layer's o_proj: a square matrix to send rows through. */
  readonly probe?: (file: SourceFileBuilder) => MatrixSource;
}

/** A random model and its file. */
export interface RandomModel extends Disposable {
  readonly config: ModelConfig;
  readonly source: ModelSource;
}

/**
 * Normally distributed numbers that all models are cut from; a prime count, so that no two tensors repeat each other.
 */
const POOL = normals(2026, 65_521);

/**
 * Matrices of random models: hundreds of cases differ in the inputs only, and encoding is most of what a model costs.
 */
const encodedBefore = new Map<string, readonly StoredRow[]>();

/** Writes a model of normally distributed numbers. */
export function randomModel(seed: number, options: RandomModelOptions): RandomModel {
  const { config } = options;
  const storage = options.storage ?? BF16, table = options.table ?? BF16;
  const file = new SourceFileBuilder();
  const next = integers(seed);
  const matrix = (name: string, rows: number, cols: number, how: Storage): MatrixSource => {
    const start = next() % POOL.length, deviation = 1 / Math.sqrt(cols);
    const key = `${start} ${rows} ${cols} ${storageName(how)}`;
    const encoded = encodedBefore.get(key) ??
      encodeMatrix(rows, cols, how, (r, c) => deviation * POOL[(start + r * cols + c) % POOL.length]!);
    encodedBefore.set(key, encoded);
    return file.encodedMatrix(name, rows, cols, how, encoded);
  };
  const vector = (name: string, length: number, deviation: number, mean = 0): VectorSource =>
    file.vector(name, normals(next(), length, deviation).map((x) => x + mean), options.vectors);
  const made = (weight: MatrixSource, bias: VectorSource | null, input: InputFormat = NO_QDQ): LinearSource => ({
    ...{ weight, bias, input },
    multipliesCodes: multipliesCodes(weight.format, input),
  });
  const linear = (name: string, rows: number, cols: number, how = storage, input = options.input): LinearSource =>
    made(matrix(name, rows, cols, how), vector(`${name}.bias`, rows, 0.3), input);
  const { hidden, headDim } = config, query = config.heads * headDim, keyValue = config.kvHeads * headDim;
  const layer = (l: number) => ({
    inputNorm: vector(`${l}.inputNorm`, hidden, 0.2, 1),
    q: linear(`${l}.q`, query, hidden, options.attention?.[0]),
    k: linear(`${l}.k`, keyValue, hidden, options.attention?.[1]),
    v: linear(`${l}.v`, keyValue, hidden, options.attention?.[2]),
    o: l === 0 && options.probe ? made(options.probe(file), null, options.input) : linear(`${l}.o`, hidden, query),
    sinks: options.sink === undefined
      ? vector(`${l}.sinks`, config.heads, 1)
      : vector(`${l}.sinks`, config.heads, 0, options.sink),
    postNorm: vector(`${l}.postNorm`, hidden, 0.2, 1),
    router: linear(`${l}.router`, config.experts, hidden, BF16, NO_QDQ),
    gateUp: Array.from({ length: config.experts }, (_, e) => linear(`${l}.up${e}`, 2 * config.intermediate, hidden)),
    down: Array.from({ length: config.experts }, (_, e) => linear(`${l}.down${e}`, hidden, config.intermediate)),
  });
  const tree = {
    embedding: matrix("embedding", config.vocab, hidden, table),
    layers: Array.from({ length: config.layers }, (_, l) => layer(l)),
    norm: vector("norm", hidden, 0.2, 1),
    head: made(matrix("head", config.vocab, hidden, table), null),
  };
  const kvScales = tree.layers.map(() => options.kvScales ?? { k: 1, v: 1 });
  return { config, source: file.finish(tree, kvScales), [Symbol.dispose]: () => file[Symbol.dispose]() };
}
