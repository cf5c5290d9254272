/** Writes what may have to wait for a slow reader, and holds up nobody meanwhile. */
import { counted } from "../amounts.ts";
import { pause, within } from "../breath.ts";

/** Characters that wait at most; what comes then is left out. */
const MOST_WAITING = 1 << 20;
/** How long to wait before a pipe that was full is tried again, in milliseconds. */
const FULL_PIPE_MS = 2;

/** A stream that bytes are written to. */
export interface ByteSink {
  /** Writes some of them, and says how many. */
  write(bytes: Uint8Array): Promise<number>;
}

/**
 * Writes a text, all of it. A pipe in non-blocking mode (a parent process may set that) that is merely full is tried
 * again.
 *
 * @throws {Error} what else the sink throws.
 */
export async function writeAll(sink: ByteSink, text: string): Promise<void> {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(await sink.write(bytes));
    } catch (thrown) {
      if (!(thrown instanceof Deno.errors.WouldBlock)) throw thrown;
      await pause(FULL_PIPE_MS);
    }
  }
}

/** Texts in their order. Where nobody reads them, the last ones are left out, and a line says so in their place. */
export class PatientWriter {
  #waiting: string[] = [];
  #size = 0;
  /** Texts that were left out since the last one that waits. */
  #lost = 0;
  #writing: Promise<void> | null = null;

  /** @param most Characters that wait. */
  constructor(readonly sink: ByteSink, readonly most: number = MOST_WAITING) {}

  /** Has a text written as soon as those before it are. */
  write(text: string): void {
    if (this.#size + text.length > this.most && this.#size > 0) {
      this.#lost++;
      return;
    }
    this.#sayLost();
    this.#add(text);
    this.#writing ??= this.#work();
  }

  /** Resolves when all is written, and after so many milliseconds at most. */
  async written(milliseconds: number): Promise<void> {
    if (this.#writing !== null) await within(this.#writing, milliseconds);
  }

  #add(text: string): void {
    this.#waiting.push(text);
    this.#size += text.length;
  }

  #sayLost(): void {
    if (this.#lost === 0) return;
    const what = `${counted(this.#lost, "line")} ${this.#lost === 1 ? "is" : "are"}`;
    this.#lost = 0;
    this.#add(`note: ${what} left out here, as nobody read on\n`);
  }

  async #work(): Promise<void> {
    while (this.#waiting.length > 0) {
      const text = this.#waiting.splice(0).join("");
      try {
        await writeAll(this.sink, text);
      } catch {
        // There is nobody to tell.
      }
      this.#size -= text.length;
      if (this.#waiting.length === 0) this.#sayLost();
    }
    this.#writing = null;
  }
}
