/** Virtual files, made while they are read: matrices in another format than stored, and random weights. */
import { dirname } from "node:path";
import { readRandom } from "../checkpoint/random/contents.ts";
import {
  allLinears,
  isMade,
  type LinearSource,
  mapLinears,
  type ModelSource,
  type SourceFile,
} from "../checkpoint/source.ts";
import { blocksOf, isMxFormat } from "../formats/format.ts";
import { Codec } from "./codec.ts";
import { encodeMatrix, fp8Scales, type Tools } from "./encode_matrix.ts";
import { RangeReader } from "./range_reader.ts";

/** Matrices that are kept whole: readers go through codes and scales of one, several of them side by side. */
const KEPT = 3;

/** Reads made files. */
export class MadeFiles implements Disposable {
  readonly #files: readonly SourceFile[];
  readonly #tools: Tools;
  /** The matrices that were made last, the latest at the end. */
  readonly #kept: { readonly file: number; readonly bytes: Uint8Array }[] = [];

  private constructor(files: readonly SourceFile[], tools: Tools) {
    this.#files = files;
    this.#tools = tools;
  }

  /** @returns null where no file is made. */
  static async open(files: readonly SourceFile[]): Promise<MadeFiles | null> {
    if (!files.some(isMade)) return null;
    const matrices = files.flatMap(({ made }) => made === undefined ? [] : [made.from]);
    return new MadeFiles(files, { codec: await Codec.open(matrices), reader: readerOf(files) });
  }

  /**
   * Fills `into` from an offset of a made file.
   *
   * @throws {InputError} where the stored matrix holds NaN or infinity, or its file is not what it was.
   */
  read(file: number, offset: number, into: Uint8Array): void {
    const { random } = this.#files[file]!;
    if (random !== undefined) readRandom(random, offset, into);
    else into.set(this.#matrix(file).subarray(offset, offset + into.length));
  }

  #matrix(file: number): Uint8Array {
    const at = this.#kept.findIndex((one) => one.file === file);
    if (at >= 0) {
      const [found] = this.#kept.splice(at, 1);
      this.#kept.push(found!);
      return found!.bytes;
    }
    const { bytes: size, made } = this.#files[file]!, { from, format, scales } = made!;
    const oldest = this.#kept.length < KEPT ? undefined : this.#kept.shift()!.bytes;
    const bytes = oldest?.length === size ? oldest : new Uint8Array(size);
    let code = 0, scale = size - this.#scaleBytes(file);
    for (const rows of encodeMatrix(from, format, scales, this.#tools)) {
      bytes.set(rows.codes, code);
      bytes.set(rows.scales, scale);
      code += rows.codes.length;
      scale += rows.scales.length;
    }
    this.#kept.push({ file, bytes });
    return bytes;
  }

  #scaleBytes(file: number): number {
    const { made } = this.#files[file]!;
    return isMxFormat(made!.format) ? made!.from.rows * blocksOf(made!.from.cols) : 0;
  }

  [Symbol.dispose](): void {
    this.#tools.reader[Symbol.dispose]();
  }
}

function readerOf(files: readonly SourceFile[]): RangeReader {
  return new RangeReader(files, dirname(files[0]!.path));
}

/** Scales that were measured before, by the stored matrix: settings of one checkpoint share them. */
const measured = new WeakMap<object, Map<"row" | "tensor", Float32Array>>();

/**
 * A planned source that can be loaded: scales of made matrices, which the plan leaves open, are those of their numbers.
 *
 * @param onProgress Called with the part of these matrices that is measured, and all of them.
 * @throws {InputError} as {@linkcode MadeFiles.read}.
 */
export async function withMadeScales(
  source: ModelSource,
  onProgress?: (done: number, total: number) => void,
): Promise<ModelSource> {
  const open = allLinears(source.tree).filter((linear) => scaleKind(source, linear) !== null);
  if (open.length === 0) return source;
  const files = [...source.files];
  const codec = await Codec.open(open.map(({ weight }) => files[weight.file]!.made!.from));
  using reader = readerOf(files);
  let done = 0;
  const scaled = (linear: LinearSource): LinearSource => {
    const per = scaleKind(source, linear);
    if (per === null) return linear;
    const { weight } = linear, { made, ...file } = files[weight.file]!, { from } = made!;
    let known = measured.get(from);
    if (known === undefined) measured.set(from, known = new Map());
    const scales = known.get(per) ?? fp8Scales(from, per, { codec, reader });
    known.set(per, scales);
    files[weight.file] = { ...file, made: { ...made!, scales } };
    onProgress?.(++done, open.length);
    const scale = per === "row" ? { kind: per, values: scales } as const : { kind: per, value: scales[0]! } as const;
    return { ...linear, weight: { ...weight, scale } };
  };
  const layers = source.tree.layers.map((layer) => ({ ...layer, ...mapLinears(layer, scaled) }));
  const head = scaled(source.tree.head);
  return { ...source, files, tree: { ...source.tree, layers, head } };
}

/** Which scales a made matrix still needs; null: none. */
function scaleKind({ files }: ModelSource, { weight }: LinearSource): "row" | "tensor" | null {
  const { kind } = weight.scale, made = files[weight.file]!.made;
  return made === undefined || made.scales !== null || kind === "none" || kind === "e8m0" ? null : kind;
}
