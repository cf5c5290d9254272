/** Opens the reference backend. */
import { type Available, refuseBeyondMemory } from "../../memory.ts";
import { type Backend, cachePositions, type OpenRequest, ranksHere, type TensorSpec } from "../../model/backend.ts";
import { ReferenceBackend } from "./backend.ts";
import { WeightFiles } from "./weight_files.ts";
import { bytesHeld, loadWeights } from "./weights.ts";
import { option, words } from "../../words.ts";

/**
 * Opens the model's files; matrices are read when an operation needs them, so a model larger than memory can be
 * computed, slowly.
 *
 * @param available For tests: what memory there is.
 * @throws {FailureError} if memory cannot hold the cache and the activations.
 * @throws {InputError} if a weight file cannot be opened, or changed since it was checked.
 */
export async function openReference<N extends string>(
  request: OpenRequest<N>,
  available?: Available,
): Promise<Backend<N>> {
  const started = performance.now();
  const unwrittenBytes = checkMemory(request, available), files = await WeightFiles.open(request.source.files);
  try {
    const weights = loadWeights(request.source, files, request.onProgress ?? (() => {}));
    return new ReferenceBackend(request, weights, files, {
      description: "plain TypeScript, 1 thread, weights read when needed",
      weightBytes: bytesHeld(weights),
      unwrittenBytes,
      loadMilliseconds: performance.now() - started,
    });
  } catch (thrown) {
    files[Symbol.dispose]();
    throw thrown;
  }
}

/**
 * Everything is float32 here, also what stands for other formats.
 *
 * @returns Bytes of this rank's cache and activations.
 */
function checkMemory<N extends string>(request: OpenRequest<N>, available?: Available): number {
  const { source, part, slots, context, maxTokens } = request, ranks = ranksHere(part);
  const cache = source.tree.layers.reduce((sum, { k, v }, layer) => {
    return sum + 4 * slots * cachePositions(request, layer) * (k.weight.rows + v.weight.rows);
  }, 0);
  const work = Object.values<TensorSpec>(request.tensors)
    .reduce((sum, { rowsPerToken, width }) => sum + 4 * rowsPerToken * maxTokens * width, 0);
  refuseBeyondMemory(
    words`${option("backend")}=reference`,
    { weights: 0, cache: ranks * cache, work: ranks * work },
    `${slots} x ${context} positions`,
    available,
  );
  return cache + work;
}
