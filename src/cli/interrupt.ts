/** Ctrl-C, SIGTERM and a terminal that hangs up, heard while a command computes. */
import { ignoresHangup } from "./hangup.ts";

/** Exit code of a run that was interrupted. */
export const EXIT_INTERRUPTED = 130;

/** What {@linkcode Interrupt.race} gives when the interruption came first. */
export const INTERRUPTED: unique symbol = Symbol("interrupted");

/** Listens for these signals until disposed of; a second one ends the program at once. */
export class Interrupt implements Disposable {
  readonly #arrived = Promise.withResolvers<typeof INTERRUPTED>();
  readonly #listener = () => {
    if (this.#heard) Deno.exit(EXIT_INTERRUPTED);
    this.#heard = true;
    this.#arrived.resolve(INTERRUPTED);
  };
  readonly #signals: readonly Deno.Signal[] = [
    "SIGINT",
    ...(Deno.build.os === "windows" ? [] : ["SIGTERM" as const]),
    ...(Deno.build.os === "windows" || ignoresHangup() ? [] : ["SIGHUP" as const]),
  ];
  #heard = false;

  constructor() {
    for (const signal of this.#signals) Deno.addSignalListener(signal, this.#listener);
  }

  /** Whether Ctrl-C was pressed. */
  get heard(): boolean {
    return this.#heard;
  }

  /**
   * The promise's value, or {@linkcode INTERRUPTED} as soon as Ctrl-C is pressed. The work behind the promise is not stopped:
   * the caller saves what there is and ends the program.
   */
  race<T>(promise: Promise<T>): Promise<T | typeof INTERRUPTED> {
    // The work may still fail after the race is over, when nobody listens any more.
    promise.catch(() => {});
    return Promise.race([this.#arrived.promise, promise]);
  }

  /** Gives Ctrl-C back to the system. */
  [Symbol.dispose](): void {
    for (const signal of this.#signals) Deno.removeSignalListener(signal, this.#listener);
  }
}
