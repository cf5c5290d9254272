/** From endpoints to a function from requests to responses, without a socket. */
import { type Context, Hono, type HonoRequest } from "hono";
import { cors } from "hono/cors";
import { clip } from "../../errors.ts";
import { ApiError, asApiError } from "../api_error.ts";
import type { Service } from "../engine/service.ts";
import { allowedOrigin, type Guard, refuseStranger } from "./guard.ts";
import type { Answer, Endpoint } from "./endpoint.ts";
import { Exchange, type LogLine } from "./exchange.ts";
import { parseBody } from "./parse_body.ts";
import { readBody } from "./read_body.ts";
import { eventStream } from "./sse.ts";

/** Milliseconds that a body may take to arrive, where nobody says. */
const BODY_MS = 60_000;

/** What an app is made of. */
export interface AppOptions {
  readonly service: Service;
  readonly endpoints: readonly Endpoint[];
  readonly guard: Guard;
  /** Bytes of a body. */
  readonly bodyBytes: number;
  /** Milliseconds that a body may take to arrive; default: a minute. */
  readonly bodyMs?: number | undefined;
  /** Receives a line for each request when it has ended. */
  readonly log: (line: LogLine) => void;
}

/** Answers requests. */
export interface App {
  /** @param address Where the request comes from. */
  fetch(request: Request, address?: string): Promise<Response>;
  /** Requests that have not ended. */
  readonly running: number;
  /** Resolves when no request is running. */
  idle(): Promise<void>;
  /** From now on requests that compute are refused with 503. */
  refuse(): void;
  /** Ends what is running. */
  abort(): void;
}

/** Makes the app. */
export function makeApp({ service, endpoints, guard, bodyBytes, bodyMs = BODY_MS, log }: AppOptions): App {
  const running = new Running(), limits = { bytes: bodyBytes, milliseconds: bodyMs };
  let refuses = false;

  const answer = async (exchange: Exchange, { req }: Context, endpoint: Endpoint): Promise<Response> => {
    if (refuses && endpoint.body !== null) throw stopping();
    const { client, owner } = refuseStranger(guard, req.raw.headers, exchange.address, endpoint.open ?? false);
    const body = endpoint.body === null ? undefined : parseBody(endpoint.body, await readBody(req.raw, limits));
    const given: Answer = await endpoint.handle({
      body,
      params: req.param(),
      query: new URL(req.url).searchParams,
      service,
      client,
      owner,
      signal: exchange.abort.signal,
      requestId: exchange.id,
      note: (fields) => exchange.note(fields),
    });
    return responseOf(given, exchange);
  };
  const app = router(endpoints, guard, answer);

  return {
    fetch: async (request, address = "127.0.0.1") => {
      const exchange = new Exchange(request, new URL(request.url).pathname, address, (ended, line) => {
        running.delete(ended);
        log(line);
        running.wakeIfIdle();
      });
      running.add(exchange);
      const response = await app.fetch(request, { exchange });
      if (!exchange.streams) exchange.end(response.status);
      return response;
    },
    get running() {
      return running.count;
    },
    idle: () => running.idle(),
    refuse: () => refuses = true,
    abort: () => running.abort(),
  };
}

/** What a request is told for which the server has no time any more: none of the client's doing. */
function stopping(): ApiError {
  return new ApiError(503, "the server is stopping", { code: "stopping", retryAfter: 5 });
}

/** Requests that have not ended, and who waits for there to be none. */
class Running {
  readonly #exchanges = new Set<Exchange>();
  readonly #idle: (() => void)[] = [];

  get count(): number {
    return this.#exchanges.size;
  }
  add(exchange: Exchange): void {
    this.#exchanges.add(exchange);
  }
  delete(exchange: Exchange): void {
    this.#exchanges.delete(exchange);
  }
  wakeIfIdle(): void {
    if (this.count === 0) { for (const wake of this.#idle.splice(0)) wake(); }
  }
  idle(): Promise<void> {
    return this.count === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }
  abort(): void {
    for (const { abort } of this.#exchanges) abort.abort(stopping());
  }
}

/** Finds the endpoint of a request; refuses other paths and methods, and whatever an answer throws. */
function router(
  endpoints: readonly Endpoint[],
  guard: Guard,
  answer: (exchange: Exchange, c: Context, endpoint: Endpoint) => Promise<Response>,
) {
  const app = new Hono<{ Bindings: { exchange: Exchange } }>();
  app.use(cors({ origin: (origin) => allowedOrigin(guard, origin) ? origin : null, exposeHeaders: ["x-request-id"] }));
  for (const endpoint of endpoints) {
    app.on(endpoint.method, endpoint.path, (c) => answer(c.env.exchange, c, endpoint));
  }
  for (const path of new Set(endpoints.map((endpoint) => endpoint.path))) {
    const allowed = endpoints.filter((endpoint) => endpoint.path === path).map(({ method }) => method);
    app.all(path, ({ req, env }) => refuse(env.exchange, wrongMethod(req, allowed)));
  }
  app.notFound(({ req, env }) =>
    refuse(env.exchange, new ApiError(404, `${req.method} ${req.path}: no such endpoint`, { code: "no_endpoint" }))
  );
  app.onError((thrown, { env }) => refuse(env.exchange, asApiError(thrown)));
  return app;
}

/** An answer as a response; a stream of events ends the exchange itself. */
function responseOf(given: Answer, exchange: Exchange): Response {
  const headers = { "x-request-id": exchange.id, "cache-control": "no-store" };
  if ("json" in given) return Response.json(given.json, { status: given.status ?? 200, headers });
  if ("text" in given) {
    return new Response(given.text, { headers: { ...headers, "content-type": given.contentType } });
  }
  exchange.streams = true;
  const stream = eventStream(given, ({ thrown, left }) => {
    exchange.abort.abort();
    if (thrown !== null) exchange.note({ error: clip(asApiError(thrown).message) });
    exchange.end(200, left);
  });
  return new Response(stream, { headers: { ...headers, "content-type": "text/event-stream; charset=utf-8" } });
}

/** Ends what an exchange computes, and says why. */
function refuse(exchange: Exchange, error: ApiError): Response {
  exchange.abort.abort();
  exchange.note({ error: clip(error.message) });
  return refusal(error, exchange.id);
}

function wrongMethod({ method, path }: HonoRequest, allowed: readonly string[]): ApiError {
  const message = `${method} ${path}: expected ${allowed.join(" or ")}`;
  return new ApiError(405, message, { code: "method_not_allowed", allow: allowed.join(", ") });
}

function refusal(error: ApiError, requestId: string): Response {
  const headers: Record<string, string> = { "x-request-id": requestId };
  if (error.retryAfter !== null) headers["retry-after"] = String(error.retryAfter);
  if (error.allow !== null) headers["allow"] = error.allow;
  if (error.status === 401) headers["www-authenticate"] = "Bearer";
  return Response.json(error.body, { status: error.status, headers });
}
