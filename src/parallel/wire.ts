/** Messages between processes over a connection: JSON after its length, in which arrays of numbers keep their types. */
import { FailureError, reason } from "../errors.ts";

/** Most bytes of a message: a batch of a few thousand tokens takes a tenth of a megabyte. */
const MOST_BYTES = 64 * 2 ** 20;
const LENGTH_BYTES = 4;

const ARRAYS = { i32: Int32Array, f32: Float32Array, u8: Uint8Array } as const;

/** What stands for a value that JSON does not have. */
interface Tagged {
  readonly $: keyof typeof ARRAYS | "map";
  readonly v: readonly never[];
}

function replace(_key: string, value: unknown): unknown {
  for (const [$, type] of Object.entries(ARRAYS)) if (value instanceof type) return { $, v: [...value] };
  return value instanceof Map ? { $: "map", v: [...value] } : value;
}

function revive(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("$" in value)) return value;
  const { $, v } = value as Tagged;
  return $ === "map" ? new Map(v) : ARRAYS[$].from(v);
}

/** A message as bytes: the length of its JSON as a big-endian uint32, then the JSON. */
export function encodeMessage(message: unknown): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(JSON.stringify(message, replace));
  const bytes = new Uint8Array(LENGTH_BYTES + text.length);
  new DataView(bytes.buffer).setUint32(0, text.length);
  bytes.set(text, LENGTH_BYTES);
  return bytes;
}

/** One end of a connection, which carries whole messages. */
export class Wire<In, Out> {
  readonly #connection: Deno.Conn;
  /** Messages leave one after another. */
  #sending: Promise<void> = Promise.resolve();

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  /** Sends a message; a connection that broke is noticed by whoever receives. */
  send(message: Out): void {
    const bytes = encodeMessage(message);
    this.#sending = this.#sending.then(async () => {
      for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
    }).catch(() => {});
  }

  /** Waits until everything has been sent. */
  async sent(): Promise<void> {
    await this.#sending;
  }

  /** Messages as they come, until the other end closes the connection, or is no more. */
  async *received(): AsyncGenerator<In, void, void> {
    for (;;) {
      const head = await this.#read(LENGTH_BYTES);
      if (head === null) return;
      const length = new DataView(head.buffer).getUint32(0);
      if (length > MOST_BYTES) throw new FailureError(`a message of ${length} bytes came from another process`);
      const text = await this.#read(length);
      if (text === null) return;
      yield JSON.parse(new TextDecoder().decode(text), revive) as In;
    }
  }

  close(): void {
    try {
      this.#connection.close();
    } catch {
      // It is closed.
    }
  }

  async #read(count: number): Promise<Uint8Array<ArrayBuffer> | null> {
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count;) {
      let got: number | null;
      try {
        got = await this.#connection.read(bytes.subarray(at));
      } catch {
        // Reset by a process that was killed.
        return null;
      }
      if (got === null) return null;
      at += got;
    }
    return bytes;
  }
}

/** Connects, again and again while nobody listens there yet. @throws {FailureError} if nobody does for a while. */
export async function connectPatiently(hostname: string, port: number, patience: number): Promise<Deno.Conn> {
  for (const started = performance.now();;) {
    try {
      return await Deno.connect({ hostname, port });
    } catch (thrown) {
      if (performance.now() - started > patience || !(thrown instanceof Deno.errors.ConnectionRefused)) {
        throw new FailureError(`rank 0 cannot be reached at ${hostname}:${port}: ${reason(thrown)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
