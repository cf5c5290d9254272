/** The backends that compute on the processor, by name: with one rank or, on a thread for each, with several. */
import { fetchOwnOf } from "../own_files.ts";
import type { Available } from "../memory.ts";
import type { Backend, OpenRequest } from "../model/backend.ts";

/** Names of the backends that compute on the processor. */
export const PROCESSOR_BACKENDS = ["emulate", "reference"] as const;
/** One of {@linkcode PROCESSOR_BACKENDS}. */
export type ProcessorBackend = (typeof PROCESSOR_BACKENDS)[number];

/** How they compute; a backend leaves aside what it has no use for. */
export interface ProcessorOptions {
  /** Threads in all; default: every core. */
  readonly threads?: number | undefined;
  readonly weights: "auto" | "map" | "read";
  /** Bytes that the ranks of this process would map together, where others have ranks, too. */
  readonly mapped?: number | undefined;
  /** What memory there is; default: what the system says. */
  readonly available?: Available | undefined;
}

/**
 * Opens a backend, which is imported only now: a run pays for no other.
 *
 * @throws {InputError} when a weight file changed since it was checked.
 * @throws {FailureError} when memory or threads cannot be had.
 */
export async function openOnProcessor<N extends string>(
  name: ProcessorBackend,
  request: OpenRequest<N>,
  { threads, weights, mapped, available }: ProcessorOptions,
): Promise<Backend<N>> {
  await fetchOwnOf(request.source.files);
  const room = available === undefined ? {} : { available };
  switch (name) {
    case "emulate": {
      const { openEmulate } = await import("../backends/emulate/open.ts");
      return await openEmulate(request, { ...(threads === undefined ? {} : { threads }), weights, mapped, ...room });
    }
    case "reference": {
      const { openReference } = await import("../backends/reference/open.ts");
      return await openReference(request, available);
    }
  }
}
