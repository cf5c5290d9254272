/** Starting threads, of which a system may have no more to give. */
import { FailureError, reason } from "./errors.ts";

/**
 * Starts a worker.
 *
 * @param which What the message calls it, for instance `thread 3 of 8`.
 * @throws {FailureError} when the system refuses.
 */
export function startThread(module: string | URL, name: string, which: string): Worker {
  try {
    return new Worker(module, { type: "module", name });
  } catch (thrown) {
    throw new FailureError(
      `${which} could not be started: ${
        reason(thrown)
      }; a limit on processes or memory (ulimit -u, a container's pids limit) ` +
        "allows fewer --threads",
    );
  }
}
