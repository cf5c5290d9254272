/**
 * Ranks as processes: the first one runs the command, and tells the others, which only compute, what to do. They meet
 * at the first one's address, by the one connection that the program opens.
 */
import { FailureError, reason } from "../errors.ts";
import type { RankIds } from "../backends/gpu/ranks.ts";
import { spelled, type Text } from "../words.ts";
import type { RankCommand } from "./messages.ts";
import { connectPatiently, Wire } from "./wire.ts";
import type { World } from "./world.ts";

/** Where the processes meet. */
export interface MeetingPlace {
  readonly host: string;
  readonly port: number;
}

/** What the first process says. `S` is what a model is opened by. */
export type Order<S> =
  | { readonly kind: "open"; readonly setting: S }
  | Exclude<RankCommand, { kind: "join" | "close" }>
  | { readonly kind: "join"; readonly ids: RankIds }
  /** Steps that may be launched; no answer. */
  | { readonly kind: "pace"; readonly until: number; readonly closed: boolean }
  /** The model at hand is not needed any more. */
  | { readonly kind: "close" }
  /** All is done; no answer. */
  | { readonly kind: "end" }
  /** Something failed; no answer. */
  | { readonly kind: "abort"; readonly text: string };

/** What the others say. */
export type Report =
  | { readonly kind: "hello"; readonly rank: number; readonly size: number }
  | { readonly kind: "done" }
  | { readonly kind: "alive" }
  | { readonly kind: "failed"; readonly text: string };

/** How long processes wait for one another to come, and how often they say that they are alive. */
const MEETING_MS = 120_000;
export const ALIVE_MS = 1000;

/** One of the others, as the first process sees it. */
interface Member<S> {
  readonly rank: number;
  readonly wire: Wire<Report, Order<S>>;
  /** When it was last heard of. */
  heard: number;
  answer: (() => void) | null;
}

/** The first process's end. */
export class Leader<S> {
  readonly #members: readonly Member<S>[];
  #failure: FailureError | null = null;
  #reject: ((cause: FailureError) => void) | null = null;
  #ended = false;
  /** Told first that something failed, here or elsewhere. */
  onLost: (() => void) | null = null;
  /** Told of the first failure of another process. */
  onFailure: ((cause: FailureError) => void) | null = null;

  private constructor(members: readonly Member<S>[], readonly size: number) {
    this.#members = members;
    for (const member of members) this.#listen(member);
  }

  /** Waits for all others. @throws {FailureError} naming the ranks that do not come. */
  static async meet<S>({ host, port }: MeetingPlace, size: number): Promise<Leader<S>> {
    let listener: Deno.TcpListener;
    try {
      listener = Deno.listen({ hostname: host, port });
    } catch (thrown) {
      throw new FailureError(`rank 0 cannot listen at ${host}:${port}: ${reason(thrown)}`);
    }
    const members = new Map<number, Member<S>>(), all = Promise.withResolvers<void>();
    const greet = async (connection: Deno.Conn) => {
      const wire = new Wire<Report, Order<S>>(connection), { value } = await wire.received().next();
      const known = value?.kind === "hello" && value.size === size && value.rank > 0 && value.rank < size;
      if (!known || members.has(value.rank)) return wire.close();
      members.set(value.rank, { rank: value.rank, wire, heard: performance.now(), answer: null });
      if (members.size === size - 1) all.resolve();
    };
    const accept = async () => {
      for await (const connection of listener) greet(connection).catch(() => connection.close());
    };
    // Ends when the listener is closed.
    accept().catch(() => {});
    const timer = setTimeout(() => {
      const missing = Array.from({ length: size - 1 }, (_, i) => i + 1).filter((rank) => !members.has(rank));
      const who = `rank${missing.length === 1 ? "" : "s"} ${missing.join(", ")} of ${size}`;
      all.reject(new FailureError(`${who} did not come within ${MEETING_MS / 1000} s`));
    }, MEETING_MS);
    try {
      await all.promise;
    } finally {
      clearTimeout(timer);
      listener.close();
    }
    return new Leader([...members.values()].sort((a, b) => a.rank - b.rank), size);
  }

  /** Tells every other process something that is not answered. */
  post(order: Order<S>): void {
    for (const { wire } of this.#members) wire.send(order);
  }

  /** Tells every other process to do something, and waits until all have. @throws {FailureError} if one has failed. */
  ask(order: Order<S>): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      let left = this.#members.length;
      this.#reject = reject;
      for (const member of this.#members) {
        member.answer = () => {
          left -= 1;
          if (left === 0) resolve();
        };
      }
      this.post(order);
    });
  }

  /** Ranks that were not heard of for so many milliseconds. */
  silent(milliseconds: number): number[] {
    const since = performance.now() - milliseconds;
    return this.#members.filter(({ heard }) => heard < since).map(({ rank }) => rank);
  }

  /** Ends the others: well, or because of what went wrong. */
  async end(problem: Text | null): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    if (problem !== null) this.onLost?.();
    this.post(problem === null ? { kind: "end" } : { kind: "abort", text: spelled(problem) });
    await Promise.all(this.#members.map(({ wire }) => wire.sent()));
    for (const { wire } of this.#members) wire.close();
  }

  async #listen(member: Member<S>): Promise<void> {
    const { rank, wire } = member;
    for await (const report of wire.received()) {
      member.heard = performance.now();
      if (report.kind === "failed") return this.#fail(new FailureError(`rank ${rank}: ${report.text}`));
      if (report.kind === "done") member.answer?.();
    }
    if (!this.#ended) this.#fail(new FailureError(`rank ${rank} of ${this.size}: its process ended without a word`));
  }

  #fail(cause: FailureError): void {
    if (this.#failure !== null) return;
    this.#failure = cause;
    this.onLost?.();
    this.#reject?.(cause);
    this.onFailure?.(cause);
  }
}

/** Another process's end. */
export async function joinLeader<S>(
  { host, port }: MeetingPlace,
  { rank, size }: World,
): Promise<Wire<Order<S>, Report>> {
  const wire = new Wire<Order<S>, Report>(await connectPatiently(host, port, MEETING_MS));
  wire.send({ kind: "hello", rank, size });
  return wire;
}
