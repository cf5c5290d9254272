/** What a batch costs at least: multiply-adds, and bytes that must be read. */
import { blocksOf, bytesOf, type KvFormat } from "../formats/format.ts";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import {
  LAYER_LINEARS,
  linearsNamed,
  type LinearSource,
  type MatrixSource,
  type ModelSource,
} from "../checkpoint/source.ts";
import { heldPages, layerKinds, layersOfPage, PAGE_POSITIONS } from "./pages.ts";

/** Multiply-adds and bytes. */
export interface Work {
  readonly macs: number;
  readonly bytes: number;
}

/** Tokens of one sequence in a batch: `count` of them after `start` positions. */
export interface Piece {
  readonly start: number;
  readonly count: number;
}

/** A batch. */
export interface Load {
  readonly pieces: readonly Piece[];
  /** Tokens whose logits are asked for. */
  readonly logits: number;
  /** Experts of which a weight is read, per layer. */
  readonly experts: readonly number[];
}

const KV_BYTES: Readonly<Record<KvFormat, number>> = { f32: 4, bf16: 2, fp8: 1 };

/** What a model costs. */
export class Costs {
  readonly #config: ModelConfig;
  readonly #source: ModelSource;
  readonly #kvBytes: number;

  constructor(config: ModelConfig, source: ModelSource, kvFormat: KvFormat) {
    this.#config = config;
    this.#source = source;
    this.#kvBytes = KV_BYTES[kvFormat];
  }

  /** Bytes of all weights, as they are stored. */
  get weightBytes(): number {
    const { tree } = this.#source, { layers } = this.#config;
    const experts = Array.from({ length: layers }, () => this.#config.experts);
    return this.#layers(experts).bytes + matrixBytes(tree.embedding) + linearBytes(tree.head);
  }

  /** Bytes of the keys and values of so many positions, in all layers. */
  cacheBytes(slots: number, context: number, chunk: number): number {
    const { sliding, slidingWindow } = this.#config;
    return sliding.reduce((sum, slides) => {
      const positions = slides ? Math.min(context, slidingWindow + chunk) : context;
      return sum + slots * positions * this.#positionBytes;
    }, 0);
  }

  /** Bytes of so many pages of keys and values. */
  pageBytes(pages: number): number {
    return pages * PAGE_POSITIONS * layersOfPage(layerKinds(this.#config)) * this.#positionBytes;
  }

  /** Bytes of a pool of so many pages that sequences share. */
  poolBytes(pages: number): number {
    return this.pageBytes(heldPages(pages));
  }

  /** Pages of the largest pool in so many bytes; fewer than 1 where there is none. */
  poolPages(bytes: number): number {
    return Math.floor(bytes / this.pageBytes(1)) - heldPages(0);
  }

  /** How many experts of a layer a batch of tokens is expected to choose, if they choose independently and evenly. */
  expectedExperts(tokens: number): number[] {
    const { experts, topK, layers } = this.#config;
    return Array.from({ length: layers }, () => experts * (1 - (1 - topK / experts) ** tokens));
  }

  /** The cost of a batch: every weight that it needs is read once, and every key and value that it sees. */
  of({ pieces, logits, experts }: Load): Work {
    const { tree } = this.#source, { sliding, slidingWindow, heads, headDim } = this.#config;
    const tokens = pieces.reduce((sum, { count }) => sum + count, 0), { perToken, bytes } = this.#layers(experts);
    const embedding = matrixBytes(tree.embedding) / tree.embedding.rows;
    let pairs = 0, positions = 0;
    for (const slides of sliding) {
      const window = slides ? slidingWindow : Infinity;
      for (const { start, count } of pieces) {
        for (let p = start; p < start + count; p++) pairs += Math.min(p + 1, window);
        positions += Math.min(start + count, window + count - 1);
      }
    }
    const head = logits > 0 ? linearBytes(tree.head) : 0;
    return {
      macs: tokens * perToken + 2 * heads * headDim * pairs + logits * tree.head.weight.rows * tree.head.weight.cols,
      bytes: bytes + tokens * embedding + positions * this.#positionBytes + head,
    };
  }

  get #positionBytes(): number {
    return 2 * this.#config.kvHeads * this.#config.headDim * this.#kvBytes;
  }

  /** Multiply-adds of a token in all linears of all layers, and the bytes of those that are read. */
  #layers(experts: readonly number[]): { perToken: number; bytes: number } {
    let perToken = 0, bytes = 0;
    this.#source.tree.layers.forEach((layer, index) => {
      for (const name of LAYER_LINEARS) {
        const linears = linearsNamed(layer, name), inExperts = name === "gateUp" || name === "down";
        const { rows, cols } = linears[0]!.weight;
        perToken += rows * cols * (inExperts ? this.#config.topK : 1);
        bytes += linearBytes(linears[0]!) * (inExperts ? experts[index]! : 1);
      }
    });
    return { perToken, bytes };
  }
}

function linearBytes({ weight, bias }: LinearSource): number {
  return matrixBytes(weight) + (bias === null ? 0 : bytesOf(bias.format, bias.length));
}

function matrixBytes({ rows, cols, rowBytes, transposed, scale }: MatrixSource): number {
  const scales = scale.kind === "e8m0" ? rows * blocksOf(cols) : scale.kind === "row" ? 4 * rows : 0;
  return (transposed ? cols : rows) * rowBytes + scales;
}
