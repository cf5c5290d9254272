/** How the processes of one run reach each other: the first one reaches all others, and they reach the first. */
import type { MpiLibrary } from "../../ffi/mpi.ts";
import type { FailureError } from "../errors.ts";

/** Who hears what other processes send. */
export interface LinkListener {
  heard(from: number, bytes: Uint8Array<ArrayBuffer>): void;
  /** A process is no more, or what came from it was no message. */
  lost(process: number, cause: FailureError): void;
}

/** One process's way to the others. */
export interface Link {
  /** From 0. */
  readonly rank: number;
  /** Processes in all. */
  readonly size: number;
  /** Where MPI started the processes: the library, by which their ranks gather values; else null. */
  readonly mpi: MpiLibrary | null;
  /** Sends a message, after those that were sent before. That it cannot be delivered is heard as a loss. */
  send(to: number, bytes: Uint8Array<ArrayBuffer>): void;
  /** Hears messages from now on, of each process in its order; called once. */
  listen(listener: LinkListener): void;
  /**
   * Ends the link, once all that was sent has left, which a host that is gone is not waited for: with the others where
   * this process has done its part, without them after a failure.
   *
   * @param code This process's exit code.
   */
  end(code: number): Promise<void>;
}
