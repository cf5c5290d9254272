/** Ctrl-C, SIGTERM and a terminal that hangs up, heard while a command computes. */
import { ignoresHangup } from "./hangup.ts";

/** Exit code of a run that was interrupted. */
export const EXIT_INTERRUPTED = 130;

/** What {@linkcode Interrupt.race} gives when the interruption came first. */
export const INTERRUPTED: unique symbol = Symbol("interrupted");

/**
 * Milliseconds after the first signal in which others are taken for the same one. Whoever stops a whole group of
 * processes signals each of them, and npm and its launchers pass on theirs besides: within some milliseconds the
 * program gets two or three for one.
 */
const SAME_SIGNAL_MS = 200;

/**
 * Listens for these signals until disposed of; a second one ends the program at once. Of keys that are pressed every
 * one counts, of what other programs send only what comes later than {@linkcode SAME_SIGNAL_MS}.
 */
export class Interrupt implements Disposable {
  readonly #controller = new AbortController();
  readonly #arrived = Promise.withResolvers<typeof INTERRUPTED>();
  readonly #listeners: readonly (readonly [Deno.Signal, () => void])[];
  /** Ends the program at the next signal, once more than the same one has to come. */
  #later: ReturnType<typeof setTimeout> | undefined;
  #first = 0;

  /** @param typed Whether SIGINT is a key that is pressed: a launcher does not pass it on where there is a terminal. */
  constructor(readonly typed: boolean = Deno.stdin.isTerminal() || Deno.stderr.isTerminal()) {
    const signals: readonly Deno.Signal[] = [
      "SIGINT",
      ...(Deno.build.os === "windows" ? [] : ["SIGTERM" as const]),
      ...(Deno.build.os === "windows" || ignoresHangup() ? [] : ["SIGHUP" as const]),
    ];
    this.#listeners = signals.map((signal) => [signal, () => this.#hear(signal)]);
    for (const [signal, listener] of this.#listeners) Deno.addSignalListener(signal, listener);
    setActions(signals, "usual");
    if (typed) setActions(["SIGINT"], "once");
  }

  #hear(signal: Deno.Signal): void {
    if (this.heard) {
      const another = this.typed && signal === "SIGINT" || performance.now() - this.#first >= SAME_SIGNAL_MS;
      if (another) Deno.exit(EXIT_INTERRUPTED);
      return;
    }
    this.#first = performance.now();
    this.#later = setTimeout(() => setActions(this.#signals, "end"), SAME_SIGNAL_MS);
    Deno.unrefTimer(this.#later as unknown as number);
    this.#controller.abort();
    this.#arrived.resolve(INTERRUPTED);
  }

  get #signals(): readonly Deno.Signal[] {
    return this.#listeners.map(([signal]) => signal);
  }

  /** Whether one of the signals has come. */
  get heard(): boolean {
    return this.signal.aborted;
  }

  /** Fires when the first of the signals comes. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /**
   * The promise's value, or {@linkcode INTERRUPTED} as soon as a signal comes. What the promise stands for is not
   * stopped: the caller saves what there is and ends the program.
   */
  race<T>(promise: Promise<T>): Promise<T | typeof INTERRUPTED> {
    // The work may still fail after the race is over; that error is ignored.
    promise.catch(() => {});
    return Promise.race([this.#arrived.promise, promise]);
  }

  /** Gives the signals back to the system, or to others that listen beside this. */
  [Symbol.dispose](): void {
    clearTimeout(this.#later);
    for (const [signal, listener] of this.#listeners) Deno.removeSignalListener(signal, listener);
    setActions(this.#signals, "usual");
  }
}

/** Numbers of signals on Linux. */
const NUMBERS: Partial<Record<Deno.Signal, number>> = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };
/**
 * Byte of sa_flags in struct sigaction of a 64-bit libc, and the flag that gives a signal back to the system when it
 * has come once.
 */
const FLAGS_AT = 136, SA_RESETHAND = 0x80000000;
/** The handler of a signal that is the system's business: to end the process. */
const SIG_DFL = 0n;

/**
 * What Deno has the system do at each signal. It says so once, at the first listener; when a signal has come the system
 * forgets it, so that the next {@linkcode Interrupt} has to say it again.
 */
const actions = new Map<Deno.Signal, Uint8Array<ArrayBuffer>>();

/**
 * Has the system do what Deno wants at each of the signals (`usual`), that at the first and end the process at the
 * second (`once`), or end it at the next (`end`). A listener hears of a signal only when the thread that computes has a
 * pause, which a large layer may not make for seconds. Without FFI, or elsewhere than on Linux, the listeners are all
 * there is.
 */
function setActions(signals: readonly Deno.Signal[], what: "usual" | "once" | "end"): void {
  if (Deno.build.os !== "linux" || Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return;
  try {
    const libc = Deno.dlopen("libc.so.6", {
      // int sigaction(int signum, const struct sigaction *act, struct sigaction *oldact)
      sigaction: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
    });
    for (const signal of signals) {
      let bytes = new Uint8Array(256);
      if (libc.symbols.sigaction(NUMBERS[signal]!, null, bytes) !== 0) continue;
      if (new DataView(bytes.buffer).getBigUint64(0, true) !== SIG_DFL) actions.set(signal, bytes);
      else bytes = actions.get(signal) ?? bytes;
      bytes = bytes.slice();
      const action = new DataView(bytes.buffer);
      const flag = what === "once" ? SA_RESETHAND : 0;
      action.setUint32(FLAGS_AT, (action.getUint32(FLAGS_AT, true) & ~SA_RESETHAND | flag) >>> 0, true);
      if (what === "end") action.setBigUint64(0, SIG_DFL, true);
      libc.symbols.sigaction(NUMBERS[signal]!, bytes, null);
    }
    libc.close();
  } catch {
    // Without this libc the listener is all there is.
  }
}
