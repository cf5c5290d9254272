/** Responses that later requests may name: in memory, the oldest leaving when there are too many. */
import type { InputItem, OutputItem, ResponseAnswer } from "../endpoints/responses_schema.ts";

/** A response with the conversation that it answers. */
export interface StoredResponse {
  /** Whose it is: nobody else reads, continues or forgets it. See {@linkcode Call.owner}. */
  readonly owner: string;
  readonly answer: ResponseAnswer;
  /** What it answers, earlier responses included; without instructions, which each request gives anew. */
  readonly items: readonly KeptItem[];
}

/** An item of a conversation, with an id. */
export type KeptItem = (InputItem | OutputItem) & { readonly id: string };

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

  /** A response; undefined where it is not kept, or is somebody else's. */
  get(id: string, owner: string): StoredResponse | undefined {
    const stored = this.#kept.get(id)?.stored;
    return stored?.owner === owner ? stored : undefined;
  }

  put(stored: StoredResponse): void {
    const size = JSON.stringify(stored).length;
    if (size > this.limits.size) return;
    this.#kept.set(stored.answer.id, { stored, size });
    this.#size += size;
    for (const id of this.#kept.keys()) {
      if (this.#kept.size <= this.limits.responses && this.#size <= this.limits.size) return;
      this.#forget(id);
    }
  }

  /** Forgets a response; says whether there was one of this owner. */
  delete(id: string, owner: string): boolean {
    if (this.get(id, owner) === undefined) return false;
    this.#forget(id);
    return true;
  }

  #forget(id: string): void {
    this.#size -= this.#kept.get(id)?.size ?? 0;
    this.#kept.delete(id);
  }
}
