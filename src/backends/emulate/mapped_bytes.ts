/** How much of a checkpoint's files a process maps. */
import type { ModelSource } from "../../checkpoint/source.ts";
import { Collector, merge } from "./plan.ts";

/**
 * Bytes of the pages that some ranks map, those that several of them map once. A slice of columns lies in pages that
 * hold other columns too, so ranks map more together than they own; read instead, each has only its own.
 */
export function mappedBytes(ranks: readonly ModelSource[]): number {
  const collector = new Collector(true);
  for (const { tree } of ranks) {
    collector.matrix(tree.embedding);
    collector.vector(tree.norm);
    collector.linear(tree.head);
    for (const layer of tree.layers) collector.layer(layer);
  }
  return merge(collector.spans, true).reduce((sum, { bytes }) => sum + bytes, 0);
}
