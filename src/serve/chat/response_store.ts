/** Responses that later requests may name: in memory, the oldest leaving when there are too many. */
import type { ResponseAnswer } from "../endpoints/responses_schema.ts";
import type { Turn } from "./messages.ts";

/** A response with the conversation that it ends. */
export interface StoredResponse {
  readonly answer: ResponseAnswer;
  /** Without instructions, which each request gives anew. */
  readonly turns: readonly Turn[];
}

/** How much is kept. */
export interface StoreLimits {
  readonly responses: number;
  /** UTF-16 units of what is kept, as JSON. */
  readonly size: number;
}

/** Enough for a day of one user's conversations. */
const LIMITS: StoreLimits = { responses: 2000, size: 64 * 2 ** 20 };

/** Keeps responses by their ids. */
export class ResponseStore {
  readonly #kept = new Map<string, { readonly stored: StoredResponse; readonly size: number }>();
  #size = 0;

  constructor(readonly limits: StoreLimits = LIMITS) {}

  get(id: string): StoredResponse | undefined {
    return this.#kept.get(id)?.stored;
  }

  put(stored: StoredResponse): void {
    const size = JSON.stringify(stored).length;
    if (size > this.limits.size) return;
    this.#kept.set(stored.answer.id, { stored, size });
    this.#size += size;
    for (const id of this.#kept.keys()) {
      if (this.#kept.size <= this.limits.responses && this.#size <= this.limits.size) return;
      this.delete(id);
    }
  }

  /** Forgets a response; says whether there was one. */
  delete(id: string): boolean {
    this.#size -= this.#kept.get(id)?.size ?? 0;
    return this.#kept.delete(id);
  }
}
