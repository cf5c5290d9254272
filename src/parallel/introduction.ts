/**
 * What processes say of themselves before anything else: which program each is, as different ones may round
 * differently, or not understand each other at all. So it is JSON, whatever later messages are.
 */
import { FailureError, InputError, reason } from "../errors.ts";
import { withSystemFiles } from "../system_files.ts";
import type { Link } from "./link.ts";

/** One process in words. */
export interface Introduction {
  /** Version, revision, and what else tells two builds apart. */
  readonly program: string;
  /** Name of its host. */
  readonly host: string;
}

/** Name of this host, for messages; "" where the system has no file that says it. */
export function hostName(): string {
  let name = "";
  withSystemFiles((read) => name = (read("/proc/sys/kernel/hostname") ?? "").trim());
  return name;
}

/** What the first process knows of the others, and that the others have told it. */
export class Introduced {
  readonly #missing: Set<number>;
  readonly #all = Promise.withResolvers<void>();

  constructor(readonly own: Introduction, link: Link) {
    const { rank, size } = link;
    this.#missing = new Set(rank === 0 ? Array.from({ length: size - 1 }, (_, i) => i + 1) : []);
    // Whoever waits for it later hears of a failure then.
    this.#all.promise.catch(() => {});
    if (this.#missing.size === 0) this.#all.resolve();
    if (rank > 0) link.send(0, new TextEncoder().encode(JSON.stringify(own)));
  }

  /** Resolves when all others are the same program. */
  get all(): Promise<void> {
    return this.#all.promise;
  }

  fail(cause: Error): void {
    this.#all.reject(cause);
  }

  /**
   * Takes the first message of each process.
   *
   * @returns Whether it was that.
   */
  takes(rank: number, bytes: Uint8Array): boolean {
    if (!this.#missing.delete(rank)) return false;
    const { program } = this.own;
    try {
      const other = JSON.parse(new TextDecoder().decode(bytes)) as Partial<Introduction>;
      if (other.program !== program) {
        const name = `rank ${rank}${other.host ? ` on ${other.host}` : ""}`, got = other.program ?? "something else";
        this.fail(InputError.of("contradiction", { name }, `the program that rank 0 is, ${program}`, got));
      }
    } catch (thrown) {
      this.fail(new FailureError(`rank ${rank} did not say what it is: ${reason(thrown)}`));
    }
    if (this.#missing.size === 0) this.#all.resolve();
    return true;
  }
}
