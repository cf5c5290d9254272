/** Starting threads, of which a system may have no more to give. */
import { FailureError, reason } from "./errors.ts";
import { option, type Text, words } from "./words.ts";

/** Where systems set that limit. */
const LIMITS = "(ulimit -u, a container's pids limit)";

/**
 * Starts a worker.
 *
 * @param which What the message calls it, for instance `thread 3 of 8`.
 * @param fewer What there may be fewer of, where there are too many.
 * @throws {FailureError} when the system refuses.
 */
export function startThread(
  module: string | URL,
  name: string,
  which: string,
  fewer: Text = option("threads"),
): Worker {
  try {
    return new Worker(module, { type: "module", name });
  } catch (thrown) {
    throw new FailureError(
      words`${which} could not be started: ${
        reason(thrown)
      }; a limit on processes or memory ${LIMITS} allows fewer ${fewer}`,
    );
  }
}

/**
 * Tells of a thread that ends by an error of its own, for instance a module that cannot be loaded.
 *
 * @param what The thread in the message, for instance `the thread that hashes weights`.
 */
export function onThreadFailure(worker: Worker, what: string, failed: (failure: FailureError) => void): void {
  worker.onerror = (event) => {
    event.preventDefault();
    failed(new FailureError(`${what} failed: ${event.message}`));
  };
}
