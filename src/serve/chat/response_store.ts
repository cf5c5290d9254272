/**
 * Responses that later requests may name: in memory. When there are too many, the owner who has most loses his oldest:
 * who keeps to an equal share of the room loses nothing to others.
 */
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

/** Of all owners together: enough for a day of one user's conversations. */
const LIMITS: StoreLimits = { responses: 2000, size: 64 * 2 ** 20 };

/** What one owner has in a store. */
interface Share {
  /** The oldest first. */
  readonly ids: Set<string>;
  size: number;
}

/** Keeps responses by their ids. */
export class ResponseStore {
  readonly #kept = new Map<string, { readonly stored: StoredResponse; readonly size: number }>();
  readonly #owners = new Map<string, Share>();
  #size = 0;

  constructor(readonly limits: StoreLimits = LIMITS) {}

  /** A response; undefined where it is not kept, or is somebody else's. */
  get(id: string, owner: string): StoredResponse | undefined {
    const stored = this.#kept.get(id)?.stored;
    return stored?.owner === owner ? stored : undefined;
  }

  /**
   * Items of the responses of one owner, by their ids; those that are not kept are missing.
   *
   * @param ids Of the items.
   */
  items(ids: ReadonlySet<string>, owner: string): ReadonlyMap<string, KeptItem> {
    if (ids.size === 0) return new Map();
    const found = new Map<string, KeptItem>();
    // What clients refer to is in the last response, or in one not long before.
    for (const response of [...this.#owners.get(owner)?.ids ?? []].reverse()) {
      if (found.size === ids.size) break;
      const { answer, items } = this.#kept.get(response)!.stored;
      for (const item of [...answer.output, ...items]) if (ids.has(item.id)) found.set(item.id, item);
    }
    return found;
  }

  put(stored: StoredResponse): void {
    const size = JSON.stringify(stored).length;
    if (size > this.limits.size) return;
    this.#kept.set(stored.answer.id, { stored, size });
    this.#size += size;
    let own = this.#owners.get(stored.owner);
    if (own === undefined) this.#owners.set(stored.owner, own = { ids: new Set(), size: 0 });
    own.ids.add(stored.answer.id);
    own.size += size;
    while (this.#kept.size > this.limits.responses) this.#forgetOldest(({ ids }) => ids.size);
    while (this.#size > this.limits.size) this.#forgetOldest(({ size }) => size);
  }

  /** Forgets the oldest response of who has most. */
  #forgetOldest(much: (share: Share) => number): void {
    const [most] = [...this.#owners.values()].sort((a, b) => much(b) - much(a));
    this.#forget(most!.ids.values().next().value!);
  }

  /** Forgets a response; says whether there was one of this owner. */
  delete(id: string, owner: string): boolean {
    if (this.get(id, owner) === undefined) return false;
    this.#forget(id);
    return true;
  }

  #forget(id: string): void {
    const { stored: { owner }, size } = this.#kept.get(id)!, own = this.#owners.get(owner)!;
    this.#size -= size;
    own.size -= size;
    own.ids.delete(id);
    if (own.ids.size === 0) this.#owners.delete(owner);
    this.#kept.delete(id);
  }
}
