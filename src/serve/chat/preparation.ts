/**
 * Grammars of schemas and patterns, without holding up others: what costs little is made at once, the rest by a thread
 * of its own, while tokens of other requests go on.
 */
import { asset } from "../../assets.ts";
import { counted } from "../../amounts.ts";
import { allOf } from "../../describe.ts";
import { FailureError, InputError, type Mistake } from "../../errors.ts";
import type { Node } from "../../grammar/node.ts";
import { grammarOf, type GrammarTable } from "../../grammar/table.ts";
import { onThreadFailure, startThread } from "../../thread.ts";
import { ApiError } from "../api_error.ts";
import { grammarOfSource, type GrammarSource } from "./grammar_source.ts";

/** What the thread is asked for. */
export interface GrammarRequest {
  readonly number: number;
  readonly source: GrammarSource;
  /** What messages begin with. */
  readonly where: string;
}

/** What it answers. */
export type GrammarReply =
  | { readonly number: number; readonly table: GrammarTable }
  | { readonly number: number; readonly mistake: Mistake | null; readonly message: string };

/** Cost of what is made at once, as `withBudget` counts: some 15 ms. Schemas of OpenAI's examples cost a tenth. */
const AT_ONCE = 100_000;
/** Schemas and patterns that may wait for the thread, each for a second or so. */
const MOST_WAITING = 16;

/** A source that waits for the thread. */
interface Waiting extends PromiseWithResolvers<Node> {
  readonly source: GrammarSource;
}

const PLURALS = { schema: "schemas", pattern: "patterns", "list of texts": "lists of texts" };

/** What costly sources are called: `12 costly schemas and 4 costly patterns`. */
function costly(sources: Iterable<Waiting>): string {
  const counts = new Map<keyof typeof PLURALS, number>();
  for (const { source } of sources) {
    const kind = "schema" in source ? "schema" : "pattern" in source ? "pattern" : "list of texts";
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return allOf([...counts].map(([kind, count]) => counted(count, `costly ${kind}`, `costly ${PLURALS[kind]}`)));
}

/** Prepares them; one for all models of a process. */
export class Preparation {
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | null = null;
  #asked = 0;

  /** @param atOnce Cost of what needs no thread; for tests. */
  constructor(readonly atOnce: number = AT_ONCE) {}

  /**
   * The grammar of a source.
   *
   * @throws {InputError} as `grammarOfSource`.
   * @throws {ApiError} 429 where too many costly ones wait already.
   */
  async grammar(source: GrammarSource, where: string): Promise<Node> {
    try {
      return grammarOfSource(source, where, this.atOnce);
    } catch (thrown) {
      if (!(thrown instanceof InputError && thrown.code === "too_large")) throw thrown;
    }
    if (this.#waiting.size >= MOST_WAITING) {
      throw new ApiError(429, `${costly(this.#waiting.values())} are being prepared`, {
        code: "queue_full",
        retryAfter: 5,
      });
    }
    // Who finds no thread does not wait.
    const thread = this.#thread(), number = this.#asked++, waiter = { ...Promise.withResolvers<Node>(), source };
    this.#waiting.set(number, waiter);
    const request: GrammarRequest = { number, source, where };
    thread.postMessage(request);
    return await waiter.promise;
  }

  #thread(): Worker {
    if (this.#worker !== null) return this.#worker;
    const worker = startThread(
      asset("src/serve/chat/grammar_worker.ts"),
      "schemas",
      "a thread for costly schemas and patterns",
    );
    worker.onmessage = ({ data }: MessageEvent<GrammarReply>) => {
      const waiter = this.#waiting.get(data.number);
      this.#waiting.delete(data.number);
      // Such schemas are rare, and clients' schemas few: nothing is kept for the next.
      if (this.#waiting.size === 0) this.#end();
      if ("table" in data) waiter?.resolve(grammarOf(data.table));
      else waiter?.reject(data.mistake === null ? new FailureError(data.message) : new InputError(data.mistake));
    };
    onThreadFailure(worker, "the thread for costly schemas and patterns", (failure) => {
      this.#end();
      for (const { reject } of this.#waiting.values()) reject(failure);
      this.#waiting.clear();
    });
    return this.#worker = worker;
  }

  #end(): void {
    this.#worker?.terminate();
    this.#worker = null;
  }
}
