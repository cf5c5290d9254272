/** Work that is recorded once per shape and replayed. */
import type { Graph, Stream } from "../../../ffi/runtime.ts";

export class Recordings implements Disposable {
  readonly #graphs = new Map<string, Graph | "seen">();

  constructor(readonly stream: Stream) {}

  /** Runs work of a shape the first time, so that everything is loaded; then records it; then replays it. */
  run(key: string, enqueue: () => void): void {
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
