/**
 * Listens, and answers by a function from requests to responses.
 *
 * By node:http, as Deno.serve of Deno 2.9 does not say of most requests that their client left before the answer.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { within } from "../../breath.ts";
import { type Connections, connectionsHere } from "./connections.ts";
import { requestOf } from "./web_request.ts";
import { send } from "./web_response.ts";

/** @param address Where the request comes from. */
export type Handler = (request: Request, address: string) => Promise<Response>;

/** Bytes that the head of a request may have. */
const HEAD_BYTES = 1 << 16;
/**
 * Milliseconds that the head of a request may take to arrive, and all of it, of which read_body.ts waits for less; and
 * how often that is looked at.
 */
const HEAD_MS = 60_000, REQUEST_MS = 300_000, LOOK_MS = 10_000;
/** Milliseconds of silence after which the system asks whether a client's machine is still there. */
const SILENT_MS = 30_000;
/** Requests that a client may send before it has the answer to the first. */
const MOST_AHEAD = 64;

/** A connection's requests, which are answered one after the other. */
interface Turns {
  unanswered: number;
  /** Until the last of them is answered. */
  last: Promise<void>;
}

/** A server that listens. */
export class Listener {
  readonly #handler: Handler;
  readonly #server: Server;
  readonly #turns = new WeakMap<Socket, Turns>();
  readonly #closing = new AbortController();
  #connected = 0;
  /** Answers that have not been sent. */
  #running = 0;
  #idle = () => {};

  private constructor(handler: Handler, most: number) {
    this.#handler = handler;
    this.#server = createServer({
      maxHeaderSize: HEAD_BYTES,
      headersTimeout: HEAD_MS,
      requestTimeout: REQUEST_MS,
      connectionsCheckingInterval: LOOK_MS,
      // Clients keep connections for later; one that is closed while it sends the next request may not ask again.
      keepAliveTimeout: 0,
    });
    this.#server.maxConnections = most;
    this.#server.on("connection", (socket) => {
      socket.setKeepAlive(true, SILENT_MS).once("close", () => this.#connected--);
      // Those that are kept for later give way to who comes now.
      if (++this.#connected === most) this.#server.closeIdleConnections();
    });
    const take = (request: IncomingMessage, response: ServerResponse) => void this.#take(request, response);
    this.#server.on("request", take);
    // What it expects beside is nothing to refuse; that it may go on is said where somebody wants the body.
    this.#server.on("checkContinue", take);
    this.#server.on("checkExpectation", take);
  }

  /**
   * Begins to listen.
   *
   * @param port 0: one that is free.
   * @param connections How many it has room for.
   * @throws {Error} where the system refuses that, as Deno says it.
   */
  static async open(
    handler: Handler,
    hostname: string,
    port: number,
    { most, backlog }: Connections = connectionsHere(),
  ): Promise<Listener> {
    Listener.probe(hostname, port);
    const listener = new Listener(handler, most), server = listener.#server;
    await new Promise<void>((resolve, reject) => {
      // Later: that a client left before it was let in, which nobody need know.
      server.on("error", reject);
      server.listen({ port, host: hostname, backlog }, resolve);
    });
    return listener;
  }

  /**
   * Listens at an address for a moment.
   *
   * @throws The system's own error if that is not possible or permitted. node:http calls most of what is wrong with an
   *   address an invalid argument, and throws what is not permitted where nobody can catch it.
   */
  static probe(hostname: string, port: number): void {
    Deno.listen({ hostname, port }).close();
  }

  /** Where it listens. */
  get address(): { readonly host: string; readonly port: number } {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("it does not listen at an address");
    return { host: address.address, port: address.port };
  }

  /** Lets nobody in any more; ends all connections when answers are sent, and after so many milliseconds at most. */
  async close(milliseconds: number): Promise<void> {
    this.#server.close();
    this.#closing.abort();
    if (this.#running > 0) await within(new Promise((resolve) => this.#idle = resolve), milliseconds);
    this.#server.closeAllConnections();
  }

  /** Answers a request when those are answered that the client sent before it. */
  async #take(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { socket } = incoming, turns = this.#turns.get(socket) ?? { unanswered: 0, last: Promise.resolve() };
    this.#turns.set(socket, turns);
    if (++turns.unanswered > MOST_AHEAD) return void socket.destroy();
    const before = turns.last;
    turns.last = new Promise((resolve) => outgoing.once("close", resolve));
    if (turns.unanswered > 1) await before;
    if (socket.destroyed) return;
    this.#running++;
    const left = new AbortController();
    outgoing.once("close", () => {
      turns.unanswered--;
      if (!outgoing.writableFinished) left.abort();
      if (--this.#running === 0) this.#idle();
    });
    try {
      await this.#answer(incoming, outgoing, left.signal);
    } catch {
      // Whether the client left or the body failed midway: it must not take what it has for the whole.
      socket.destroy();
    }
  }

  async #answer(incoming: IncomingMessage, outgoing: ServerResponse, left: AbortSignal): Promise<void> {
    const request = requestOf(incoming, outgoing, left, this.#closing.signal);
    const response = request === null
      ? new Response(null, { status: 400, headers: { connection: "close" } })
      : await this.#handler(request, incoming.socket.remoteAddress ?? "");
    // A body that nobody wanted must be in nobody's way. A clone of it may want it still, which is not waited for.
    if (request !== null && !request.bodyUsed && request.body?.locked === false) request.body.cancel().catch(() => {});
    await send(response, outgoing, left);
  }
}
