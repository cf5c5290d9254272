/**
 * Processes that meet at the first one's address, by the one socket that the program opens beside a server's. Whoever
 * else comes there is let in no further than {@linkcode proveToMember} goes, and not for long.
 */
import { bracketed } from "../../ffi/addresses.ts";
import { pause, within } from "../breath.ts";
import { FailureError, reason } from "../errors.ts";
import { proveToLeader, proveToMember, type RunKey } from "./handshake.ts";
import type { Link, LinkListener } from "./link.ts";
import { closeQuietly, Wire } from "./wire.ts";

/** Where the processes meet. */
export interface MeetingPlace {
  /** Address at which the others reach the first. */
  readonly host: string;
  /** Further ones, which are tried in turn: of a name that has several. */
  readonly others?: readonly string[];
  readonly port: number;
  /** Where the first listens, if that is not the same. */
  readonly listen?: string;
}

/** A process among those that meet, and what it proves itself by. */
export interface Meeter {
  readonly rank: number;
  readonly size: number;
  readonly key: RunKey;
}

/** How long a meeting may last. */
export interface MeetingLimits {
  /** Milliseconds in which all have to come. */
  readonly patience: number;
  /** Milliseconds in which a connection has to prove itself. */
  readonly proof: number;
  /** Connections that may be about to prove themselves; one more, and the oldest is closed. */
  readonly pending: number;
  /** Milliseconds in which what was sent has to leave at the end: a host that is gone takes nothing any more. */
  readonly ending: number;
}

const LIMITS: MeetingLimits = { patience: 120_000, proof: 5000, pending: 64, ending: 2000 };
/** Milliseconds between two tries to reach the first process. */
const RETRY_MS = 100;

/**
 * Meets the others.
 *
 * @throws {FailureError} naming the ranks that do not come, or saying why rank 0 cannot be reached.
 */
export async function meet(place: MeetingPlace, meeter: Meeter, limits: Partial<MeetingLimits> = {}): Promise<Link> {
  const all = { ...LIMITS, ...limits }, { rank, size } = meeter;
  const wires = rank === 0
    ? await new Reception(meeter, all).wait(place)
    : new Map([[0, await reachLeader(place, meeter, all)]]);
  return new MetLink(rank, size, wires, all.ending);
}

/** The first process, while it waits. */
class Reception {
  readonly #members = new Map<number, Wire>();
  /** Connections that have not proved themselves, oldest first. */
  readonly #pending = new Set<Deno.Conn>();
  readonly #all = Promise.withResolvers<void>();
  /** Address of somebody who came with another secret. */
  #stranger: string | null = null;

  constructor(readonly own: Meeter, readonly limits: MeetingLimits) {}

  async wait({ host, port, listen = host }: MeetingPlace): Promise<Map<number, Wire>> {
    const { size } = this.own, { patience } = this.limits;
    let listener: Deno.TcpListener;
    try {
      listener = Deno.listen({ hostname: listen, port });
    } catch (thrown) {
      throw new FailureError(`rank 0 cannot listen at ${bracketed(listen)}:${port}: ${reason(thrown)}`);
    }
    const accept = async () => {
      for await (const connection of listener) this.#greet(connection).catch(() => closeQuietly(connection));
    };
    // Ends when the listener is closed.
    accept().catch(() => {});
    const timer = setTimeout(() => this.#all.reject(this.#missing(patience)), patience);
    try {
      await this.#all.promise;
    } catch (thrown) {
      for (const wire of this.#members.values()) wire.close();
      throw thrown;
    } finally {
      clearTimeout(timer);
      listener.close();
      for (const connection of this.#pending) closeQuietly(connection);
    }
    return new Map(Array.from({ length: size - 1 }, (_, i) => [i + 1, this.#members.get(i + 1)!]));
  }

  async #greet(connection: Deno.TcpConn): Promise<void> {
    this.#pending.add(connection);
    const [oldest] = this.#pending;
    if (this.#pending.size > this.limits.pending) closeQuietly(oldest!);
    const timer = setTimeout(() => closeQuietly(connection), this.limits.proof);
    try {
      const proved = await proveToMember(connection, this.own.key), { size } = this.own;
      if (proved === "secret") this.#stranger = (connection.remoteAddr as Deno.NetAddr).hostname;
      if (proved === null || proved === "secret") return closeQuietly(connection);
      const wire = new Wire(connection, proved.keys), { rank } = proved;
      const problem = proved.size !== size
        ? `rank 0 was started as one of ${size} processes, rank ${rank} as one of ${proved.size}`
        : rank < 1 || rank >= size || this.#members.has(rank)
        ? `rank 0 has another rank ${rank}`
        : "";
      wire.send(new TextEncoder().encode(problem));
      if (problem !== "") return void wire.sent().then(() => wire.close());
      this.#members.set(rank, wire);
      if (this.#members.size === size - 1) this.#all.resolve();
    } finally {
      clearTimeout(timer);
      this.#pending.delete(connection);
    }
  }

  #missing(patience: number): FailureError {
    const { size } = this.own;
    const missing = Array.from({ length: size - 1 }, (_, i) => i + 1).filter((rank) => !this.#members.has(rank));
    const who = `rank${missing.length === 1 ? "" : "s"} ${missing.join(", ")} of ${size}`;
    const stranger = this.#stranger === null ? "" : `; somebody came from ${this.#stranger} with another secret`;
    return new FailureError(`${who} did not come within ${patience / 1000} s${stranger}`);
  }
}

/** Connects and proves itself, again and again while nobody listens there yet, at each address in turn. */
async function reachLeader(place: MeetingPlace, meeter: Meeter, { patience, proof }: MeetingLimits): Promise<Wire> {
  const { host: first, others = [], port } = place, hosts = [first, ...others];
  const started = performance.now();
  for (let tries = 0;; tries++) {
    const host = hosts[tries % hosts.length]!;
    let problem = "who listens there closed the connection";
    try {
      // The system itself would try for two minutes, in ever longer intervals, and miss who comes up in between.
      const connection = await Deno.connect({ hostname: host, port, signal: AbortSignal.timeout(proof) });
      const wire = await enter(connection, { host, port }, meeter, proof);
      if (wire !== null) return wire;
    } catch (thrown) {
      // Of a name's addresses some may be those of other hosts.
      const final = thrown instanceof StrangerError ? others.length === 0 : thrown instanceof FailureError;
      if (final || thrown instanceof Deno.errors.NotCapable) throw thrown;
      // Also a host without a way to it, or one that is not there, may be starting.
      problem = isTimeout(thrown) ? "no answer, as from behind a firewall" : reason(thrown);
    }
    const waited = performance.now() - started;
    if (waited > patience) {
      const seconds = Math.round(waited / 1000), who = `rank ${meeter.rank} of ${meeter.size}`;
      const where = hosts.map((host) => `${bracketed(host)}:${port}`).join(" or ");
      throw new FailureError(`${who}: rank 0 cannot be reached at ${where} within ${seconds} s: ${problem}`);
    }
    await pause(RETRY_MS);
  }
}

const isTimeout = (thrown: unknown) =>
  thrown instanceof Deno.errors.TimedOut || (thrown instanceof DOMException && thrown.name === "TimeoutError");

/** Somebody who does not speak as ranks do. */
class StrangerError extends FailureError {}

/**
 * Proves itself on a connection; null where the other end closed it.
 *
 * @throws {FailureError} if the other end does not know the secret, or does not let this process in.
 */
async function enter(
  connection: Deno.TcpConn,
  place: MeetingPlace,
  { rank, size, key }: Meeter,
  proof: number,
): Promise<Wire | null> {
  const where = `${bracketed(place.host)}:${place.port}`;
  const timer = setTimeout(() => closeQuietly(connection), proof);
  let entered = false;
  try {
    const keys = await proveToLeader(connection, key, rank, size).catch(() => null);
    if (keys === "secret") {
      throw new FailureError(`rank ${rank} and who listens at ${where} have not the same secret, or run`);
    }
    if (keys === "stranger") {
      throw new StrangerError(`rank ${rank}: who listens at ${where} is not rank 0, but another program`);
    }
    if (keys === null) return null;
    const wire = new Wire(connection, keys), { value: problem } = await wire.received().next();
    if (problem === undefined) return null;
    if (problem.length > 0) throw new FailureError(new TextDecoder().decode(problem));
    entered = true;
    return wire;
  } finally {
    clearTimeout(timer);
    if (!entered) closeQuietly(connection);
  }
}

/** Processes that have met. */
class MetLink implements Link {
  readonly mpi = null;
  #ended = false;

  constructor(
    readonly rank: number,
    readonly size: number,
    readonly wires: ReadonlyMap<number, Wire>,
    readonly ending: number,
  ) {}

  send(to: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.wires.get(to)!.send(bytes);
  }

  listen(listener: LinkListener): void {
    for (const [process, wire] of this.wires) this.#hear(process, wire, listener);
  }

  async #hear(process: number, wire: Wire, listener: LinkListener): Promise<void> {
    const lost = (text: string) => {
      if (!this.#ended) listener.lost(process, new FailureError(text));
    };
    try {
      for await (const bytes of wire.received()) listener.heard(process, bytes);
    } catch (thrown) {
      return lost(`rank ${this.rank}: ${reason(thrown)}`);
    }
    lost(
      this.rank === 0
        ? `rank ${process} of ${this.size}: its process ended without a word`
        : `rank ${this.rank} of ${this.size}: the process of rank 0 ended without a word`,
    );
  }

  async end(): Promise<void> {
    this.#ended = true;
    const wires = [...this.wires.values()], sent = Promise.all(wires.map((wire) => wire.sent()));
    await within(sent.then(() => {}), this.ending);
    for (const wire of wires) wire.close();
  }
}
