/** Sequences that wait for a slot: clients take turns, and requests, of one job or of many, have a bound. */
import type { Job } from "./job.ts";
import type { Sequence } from "./sequence.ts";

/** A fair queue. */
export class WaitingRoom {
  /** By client, the one whose turn is next first, in the order in which they came; no set is empty. */
  readonly #byClient = new Map<string, Set<Sequence>>();
  /** Sequences that wait, by request. */
  readonly #requests = new Map<string, number>();
  #size = 0;

  /** @param bound Requests that may wait. */
  constructor(readonly bound: number) {}

  /** Sequences that wait. */
  get size(): number {
    return this.#size;
  }

  /** Requests that wait. */
  get requests(): number {
    return this.#requests.size;
  }

  /**
   * Whether a job can be added: there is room, its request has a place already, or it is its client's only one. For
   * those there is as much room again, so that one client cannot fill the queue for all.
   *
   * @param more Requests for which there is room besides: those that get a slot at once.
   */
  admits({ client, requestId }: Job, more: number): boolean {
    const places = this.bound + more, taken = this.#requests.size;
    if (taken < places || this.#requests.has(requestId)) return true;
    return !this.#byClient.has(client) && taken < places + this.bound;
  }

  add(sequence: Sequence): void {
    const { client, requestId } = sequence.job, own = this.#byClient.get(client);
    if (own === undefined) this.#byClient.set(client, new Set([sequence]));
    else own.add(sequence);
    this.#requests.set(requestId, (this.#requests.get(requestId) ?? 0) + 1);
    this.#size++;
  }

  /** The one that {@linkcode take} would give. */
  get next(): Sequence | undefined {
    const [own = []] = this.#byClient.values(), [next] = own;
    return next;
  }

  /** The next sequence, of the client whose turn it is; that client is the last from then on. */
  take(): Sequence | undefined {
    const sequence = this.next;
    if (sequence === undefined) return undefined;
    const { client } = sequence.job, own = this.#byClient.get(client)!;
    this.leave(sequence);
    if (own.size > 0) {
      this.#byClient.delete(client);
      this.#byClient.set(client, own);
    }
    return sequence;
  }

  /**
   * A sequence waits no longer. There may be a hundred thousand others, at which nobody looks.
   *
   * @returns Whether it did.
   */
  leave(sequence: Sequence): boolean {
    const { client, requestId } = sequence.job, own = this.#byClient.get(client);
    if (own?.delete(sequence) !== true) return false;
    if (own.size === 0) this.#byClient.delete(client);
    const left = this.#requests.get(requestId)! - 1;
    if (left === 0) this.#requests.delete(requestId);
    else this.#requests.set(requestId, left);
    this.#size--;
    return true;
  }
}
