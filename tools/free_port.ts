/**
 * Ports for what is started later, and for several processes that are to meet: one that the system chose and that was
 * given back would be anybody's meanwhile, as it gives such ports to every connection.
 */

/** Below those that Linux gives to whoever asks for any (32768 and more), and beyond most that programs have. */
const FIRST = 12_000, COUNT = 20_000;
/** An address of this machine alone that nothing else listens at. There a port is held for as long as it is in use. */
const HELD_AT = Deno.build.os === "linux" ? "127.0.77.1" : null;

/** A port that nobody has, and that no other test takes before this is disposed of. */
export class FreePort implements Disposable {
  readonly number: number;
  readonly #held: Deno.Listener | null;

  constructor() {
    for (let port = FIRST + Math.floor(COUNT * Math.random());; port = FIRST + (port + 1 - FIRST) % COUNT) {
      const held = HELD_AT === null ? null : listen(HELD_AT, port);
      if (held === undefined) continue;
      const own = listen("127.0.0.1", port);
      own?.close();
      if (own === undefined) {
        held?.close();
        continue;
      }
      this.number = port;
      this.#held = held;
      return;
    }
  }

  [Symbol.dispose](): void {
    this.#held?.close();
  }
}

/** A port that nobody has now, for what listens at all addresses, also at the one where ports are held. */
export function freePort(): number {
  using port = new FreePort();
  return port.number;
}

/** Undefined where somebody listens there. */
function listen(hostname: string, port: number): Deno.TcpListener | undefined {
  try {
    return Deno.listen({ hostname, port });
  } catch (thrown) {
    if (thrown instanceof Deno.errors.AddrInUse) return undefined;
    throw thrown;
  }
}
