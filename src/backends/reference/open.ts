/** Opens the reference backend. */
import type { Backend, OpenRequest } from "../backend.ts";
import { ReferenceBackend } from "./backend.ts";
import { WeightFiles } from "./weight_files.ts";
import { bytesHeld, loadWeights } from "./weights.ts";

/**
 * Opens the model's files; matrices are read when an operation needs them, so a model larger than memory can be computed, slowly.
 *
 * @throws {InputError} if a weight file cannot be opened, or changed since it was checked.
 */
export function openReference<N extends string>(request: OpenRequest<N>): Promise<Backend<N>> {
  return Promise.try(() => {
    const started = performance.now();
    const files = new WeightFiles(request.source.files);
    try {
      const weights = loadWeights(request.source, files, request.onProgress ?? (() => {}));
      return new ReferenceBackend(request, weights, files, {
        description: "plain TypeScript, 1 thread, weights read when needed",
        weightBytes: bytesHeld(weights),
        loadMilliseconds: performance.now() - started,
      });
    } catch (thrown) {
      files[Symbol.dispose]();
      throw thrown;
    }
  });
}
