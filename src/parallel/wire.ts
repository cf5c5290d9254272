/**
 * Messages over a connection between two processes that have proved to each other who they are: each has its length
 * before it and a code after it, so that nobody on the way can change, add or repeat one without being noticed.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { FailureError } from "../errors.ts";

/** Most bytes of a message: results of every operation that `compare` looks at take some hundred megabytes. */
const MOST_BYTES = 2 ** 30;
const LENGTH_BYTES = 4;
/** Messages of no more bytes leave in one piece. */
const SMALL_BYTES = 2 ** 16;
/** Bytes of HMAC-SHA-256. */
export const CODE_BYTES = 32;

/** Keys of a connection, one for each direction. */
export interface WireKeys {
  readonly sending: Uint8Array;
  readonly receiving: Uint8Array;
}

/** Reads exactly so many bytes; null where the other end closed the connection before, or is no more. */
export async function readExactly(
  connection: Deno.Conn,
  count: number,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) {
    let got: number | null;
    try {
      got = await connection.read(bytes.subarray(at));
    } catch {
      // Reset by a process that was killed, or closed here.
      return null;
    }
    if (got === null) return null;
    at += got;
  }
  return bytes;
}

/** Writes all bytes. @throws {Error} of the system where the connection broke. */
export async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** Closes a connection that may be closed already. */
export function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed.
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The code of the `count`th message under a key. */
function codeOf(key: Uint8Array, count: number, bytes: Uint8Array): Uint8Array {
  const place = new Uint8Array(8);
  new DataView(place.buffer).setBigUint64(0, BigInt(count));
  return createHmac("sha256", key).update(place).update(bytes).digest();
}

/** One end of a connection, which carries whole messages. */
export class Wire {
  /** Messages leave one after another. */
  #sending: Promise<void> = Promise.resolve();
  #sent = 0;
  #received = 0;

  constructor(readonly connection: Deno.TcpConn, readonly keys: WireKeys) {
    // Else the system keeps a message back until the one before was acknowledged, which the other end does 40 ms later.
    connection.setNoDelay(true);
  }

  /** Sends a message; a connection that broke is noticed by whoever receives. */
  send(bytes: Uint8Array): void {
    const length = new Uint8Array(LENGTH_BYTES);
    new DataView(length.buffer).setUint32(0, bytes.length);
    const code = codeOf(this.keys.sending, this.#sent++, bytes);
    const parts = bytes.length <= SMALL_BYTES ? [joined(length, bytes, code)] : [length, bytes, code];
    this.#sending = this.#sending.then(async () => {
      for (const part of parts) await writeAll(this.connection, part);
    }).catch(() => {});
  }

  /** Waits until everything has been sent. */
  async sent(): Promise<void> {
    await this.#sending;
  }

  /**
   * Messages as they come, until the other end closes the connection, or is no more.
   *
   * @throws {FailureError} at a message that is too long, or that the other end did not send.
   */
  async *received(): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
    for (;;) {
      const head = await readExactly(this.connection, LENGTH_BYTES);
      if (head === null) return;
      const length = new DataView(head.buffer).getUint32(0);
      if (length > MOST_BYTES) throw new FailureError(`a message of ${length} bytes came from another process`);
      const bytes = await readExactly(this.connection, length);
      const code = bytes && await readExactly(this.connection, CODE_BYTES);
      if (code === null) return;
      if (!timingSafeEqual(code, codeOf(this.keys.receiving, this.#received++, bytes!))) {
        throw new FailureError("a message came that another process did not send so: somebody changed it on its way");
      }
      yield bytes!;
    }
  }

  close(): void {
    closeQuietly(this.connection);
  }
}
