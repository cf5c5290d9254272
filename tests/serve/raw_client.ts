/** A client that is no more than a socket: it sends what bytes it likes, in what packets it likes. */
import { pause } from "../../src/breath.ts";

/** A connection. */
export class RawClient implements Disposable {
  readonly #connection: Deno.TcpConn;
  #got = "";

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
    connection.setNoDelay(true);
  }

  static async connect({ host, port }: { readonly host: string; readonly port: number }): Promise<RawClient> {
    return new RawClient(await Deno.connect({ hostname: host, port }));
  }

  /** Sends texts, each in a packet of its own; UTF-8 takes as much as fits, so they are ASCII. */
  async send(...packets: readonly string[]): Promise<void> {
    for (const [i, packet] of packets.entries()) {
      // Long enough that the other side has read the one before.
      if (i > 0) await pause(5);
      const bytes = new TextEncoder().encode(packet);
      for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
    }
  }

  /** What came, up to a pattern; or, where there is none, up to the end. */
  async read(until?: RegExp): Promise<string> {
    const buffer = new Uint8Array(1 << 16);
    while (until === undefined || !until.test(this.#got)) {
      const count = await this.#connection.read(buffer).catch((thrown) => {
        if (thrown instanceof Deno.errors.ConnectionReset) return null;
        throw thrown;
      });
      if (count === null) {
        if (until !== undefined) throw new Error(`the connection ended before ${until}: ${JSON.stringify(this.#got)}`);
        break;
      }
      this.#got += new TextDecoder().decode(buffer.subarray(0, count));
    }
    const got = this.#got;
    this.#got = "";
    return got;
  }

  /** Leaves. */
  [Symbol.dispose](): void {
    try {
      this.#connection.close();
    } catch {
      // It has left.
    }
  }
}

/** A request with a body, as head and body. */
export function postOf(path: string, body: string, headers = ""): readonly [head: string, body: string] {
  return [`POST ${path} HTTP/1.1\r\nhost: localhost\r\n${headers}content-length: ${body.length}\r\n\r\n`, body];
}
