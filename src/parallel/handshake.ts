/**
 * How two processes prove to each other that they are of the same run, before anything else is said: each shows that it
 * knows the run's secret by a code over numbers that both have just drawn. The secret itself is never sent, and what is
 * overheard is of no use for another connection.
 *
 * Messages have fixed sizes, in bytes, with integers big-endian:
 *
 *     member   "mxoss", 0, 0, 2    its rank, uint32    processes, uint32    nonce, 32
 *     leader   "mxoss", 0, 0, 2    nonce, 32           code, 32
 *     member   code, 32
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { CODE_BYTES, readExactly, type WireKeys, writeAll } from "./wire.ts";

/** What all processes of a run know, and nobody else. */
export interface RunKey {
  readonly secret: string;
  /** What tells the run from others of the same user; no secret. */
  readonly run: string;
}

const MAGIC = Uint8Array.of(0x6d, 0x78, 0x6f, 0x73, 0x73, 0, 0, 2);
const NONCE_BYTES = 32;
const RANK_AT = MAGIC.length, SIZE_AT = RANK_AT + 4, NONCE_AT = SIZE_AT + 4, HELLO_BYTES = NONCE_AT + NONCE_BYTES;

const isMagic = (said: Uint8Array) => MAGIC.every((byte, i) => said[i] === byte);
const nonce = () => crypto.getRandomValues(new Uint8Array(NONCE_BYTES));

/** A code over everything that both ends have said, for one purpose. */
function codeFor({ secret, run }: RunKey, purpose: string, hello: Uint8Array, nonce: Uint8Array): Uint8Array {
  const digest = createHmac("sha256", secret);
  // Each part has its length before it, so that no two lists of parts are the same bytes.
  for (const part of [new TextEncoder().encode(purpose), new TextEncoder().encode(run), hello, nonce]) {
    digest.update(Uint8Array.of(part.length >> 8, part.length)).update(part);
  }
  return digest.digest();
}

function keysOf(key: RunKey, hello: Uint8Array, nonce: Uint8Array, leads: boolean): WireKeys {
  const [down, up] = ["messages of the leader", "messages of the member"].map((purpose) =>
    codeFor(key, purpose, hello, nonce)
  ) as [Uint8Array, Uint8Array];
  return leads ? { sending: down, receiving: up } : { sending: up, receiving: down };
}

/** Another process, once it has shown that it knows the secret. */
export interface Proved {
  readonly rank: number;
  readonly size: number;
  readonly keys: WireKeys;
}

/**
 * The leader's part.
 *
 * @returns Null where the other end said something else or nothing; `"secret"` where it said the right thing by another
 *   secret, or for another run.
 */
export async function proveToMember(connection: Deno.Conn, key: RunKey): Promise<Proved | "secret" | null> {
  const hello = await readExactly(connection, HELLO_BYTES);
  if (hello === null || !isMagic(hello)) return null;
  const own = nonce(), answer = new Uint8Array(MAGIC.length + NONCE_BYTES + CODE_BYTES);
  answer.set(MAGIC);
  answer.set(own, MAGIC.length);
  answer.set(codeFor(key, "leader", hello, own), MAGIC.length + NONCE_BYTES);
  await writeAll(connection, answer);
  const code = await readExactly(connection, CODE_BYTES);
  // A member that finds the leader's code wrong goes without a word.
  if (code === null || !timingSafeEqual(code, codeFor(key, "member", hello, own))) return "secret";
  const numbers = new DataView(hello.buffer);
  return { rank: numbers.getUint32(RANK_AT), size: numbers.getUint32(SIZE_AT), keys: keysOf(key, hello, own, true) };
}

/**
 * A member's part.
 *
 * @returns Null where the other end went before it said anything; `"stranger"` where it is another program, `"secret"`
 *   where it does not know the secret, or is of another run.
 */
export async function proveToLeader(
  connection: Deno.Conn,
  key: RunKey,
  rank: number,
  size: number,
): Promise<WireKeys | "secret" | "stranger" | null> {
  const hello = new Uint8Array(HELLO_BYTES), numbers = new DataView(hello.buffer);
  hello.set(MAGIC);
  numbers.setUint32(RANK_AT, rank);
  numbers.setUint32(SIZE_AT, size);
  hello.set(nonce(), NONCE_AT);
  await writeAll(connection, hello);
  const start = await readExactly(connection, MAGIC.length);
  if (start !== null && !isMagic(start)) return "stranger";
  const answer = start && await readExactly(connection, NONCE_BYTES + CODE_BYTES);
  if (answer === null) return null;
  const other = answer.subarray(0, NONCE_BYTES);
  if (!timingSafeEqual(answer.subarray(NONCE_BYTES), codeFor(key, "leader", hello, other))) return "secret";
  await writeAll(connection, codeFor(key, "member", hello, other));
  return keysOf(key, hello, other, false);
}
