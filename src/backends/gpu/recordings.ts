/** Work that is recorded once per shape and replayed. */
import type { Graph, Stream } from "../../../ffi/runtime.ts";
import type { Batch } from "../../model/backend.ts";

export class Recordings implements Disposable {
  readonly #graphs = new Map<string, Graph | "seen">();
  #batch: Batch | null = null;

  constructor(readonly stream: Stream) {}

  /** Whether work on a batch is under way, for which it was made current before. */
  isUnderWay(batch: Batch): boolean {
    return this.#batch === batch;
  }

  /** Does something during which `batch` stays current, whoever begins it. */
  during<T>(batch: Batch, work: () => T): T {
    this.#batch = batch;
    try {
      return work();
    } finally {
      this.#batch = null;
    }
  }

  /**
   * Runs work of a shape on a batch the first time, so that everything is loaded; then records it; then replays it.
   * `walk`s in it find their batch current.
   */
  run(key: string, batch: Batch, enqueue: () => void): void {
    this.during(batch, () => this.#run(key, enqueue));
  }

  #run(key: string, enqueue: () => void): void {
    const known = this.#graphs.get(key);
    if (known === undefined) {
      enqueue();
      this.#graphs.set(key, "seen");
      return;
    }
    if (known !== "seen") return this.stream.replay(known);
    const graph = this.stream.capture(enqueue);
    this.#graphs.set(key, graph);
    this.stream.replay(graph);
  }

  /** Forgets everything. */
  clear(): void {
    for (const graph of this.#graphs.values()) if (graph !== "seen") graph[Symbol.dispose]();
    this.#graphs.clear();
  }

  [Symbol.dispose](): void {
    this.clear();
  }
}
