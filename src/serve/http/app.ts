/** From endpoints to a function from requests to responses, without a socket. */
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { cors } from "hono/cors";
import { ApiError, asApiError } from "../api_error.ts";
import type { Service } from "../engine/service.ts";
import { allowedOrigin, type Guard, refuseStranger } from "./guard.ts";
import type { Answer, Endpoint } from "./endpoint.ts";
import { parseBody } from "./parse_body.ts";
import { eventStream } from "./sse.ts";

/** A line of the log: one for each request. */
export type LogLine = Readonly<Record<string, string | number | boolean | null>>;

/** What an app is made of. */
export interface AppOptions {
  readonly service: Service;
  readonly endpoints: readonly Endpoint[];
  readonly guard: Guard;
  /** Bytes of a body. */
  readonly bodyBytes: number;
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
export function makeApp({ service, endpoints, guard, bodyBytes, log }: AppOptions): App {
  const running = new Set<AbortController>(), idle: (() => void)[] = [];
  let stopping = false;

  const answer = async (c: Context, endpoint: Endpoint): Promise<Response> => {
    const { req } = c, raw = req.raw, started = performance.now(), requestId = crypto.randomUUID();
    const abort = new AbortController(), fields: Record<string, string | number | boolean | null> = {};
    const leave = () => abort.abort();
    raw.signal.addEventListener("abort", leave);
    running.add(abort);
    const end = (status: number, error: ApiError | null, left = false) => {
      raw.signal.removeEventListener("abort", leave);
      if (!running.delete(abort)) return;
      log({
        time: new Date().toISOString(),
        id: requestId,
        method: raw.method,
        path: req.path,
        status,
        ms: Math.round(performance.now() - started),
        ...fields,
        ...(left ? { left } : {}),
        ...(error === null ? {} : { error: error.message }),
      });
      if (running.size === 0) { for (const wake of idle.splice(0)) wake(); }
    };
    try {
      if (stopping && endpoint.body !== null) {
        throw new ApiError(503, "the server is stopping", { code: "stopping", retryAfter: 5 });
      }
      const client = refuseStranger(guard, raw.headers, c.env.address, endpoint.open ?? false);
      const body = endpoint.body === null ? undefined : parseBody(endpoint.body, await req.text());
      const given: Answer = await endpoint.handle({
        body,
        params: req.param(),
        query: new URL(raw.url).searchParams,
        service,
        client,
        signal: abort.signal,
        requestId,
        note: (more) => void Object.assign(fields, more),
      });
      const headers = { "x-request-id": requestId, "cache-control": "no-store" };
      if (!("events" in given)) {
        const status = "json" in given ? given.status ?? 200 : 200;
        end(status, null);
        return "json" in given
          ? Response.json(given.json, { status, headers })
          : new Response(given.text, { headers: { ...headers, "content-type": given.contentType } });
      }
      const stream = eventStream(given.events, given.done, ({ thrown, left }) => {
        abort.abort();
        end(200, thrown === null ? null : asApiError(thrown), left);
      });
      return new Response(stream, { headers: { ...headers, "content-type": "text/event-stream; charset=utf-8" } });
    } catch (thrown) {
      abort.abort();
      const error = asApiError(thrown);
      end(error.status, error);
      return refusal(error, requestId);
    }
  };

  const app = new Hono<{ Bindings: { address: string } }>();
  app.use(cors({ origin: (origin) => allowedOrigin(guard, origin) ? origin : null, exposeHeaders: ["x-request-id"] }));
  app.use(bodyLimit({
    maxSize: bodyBytes,
    onError: () => refusal(new ApiError(413, `expected a body of at most ${bodyBytes} bytes`, { code: "too_large" })),
  }));
  for (const endpoint of endpoints) app.on(endpoint.method, endpoint.path, (c) => answer(c, endpoint));
  app.notFound((c) => refusal(new ApiError(404, `${c.req.method} ${c.req.path}: no such endpoint`)));
  app.onError((thrown) => refusal(asApiError(thrown)));

  return {
    fetch: async (request, address = "127.0.0.1") => await app.fetch(request, { address }),
    get running() {
      return running.size;
    },
    idle: () => running.size === 0 ? Promise.resolve() : new Promise((resolve) => idle.push(resolve)),
    refuse: () => stopping = true,
    abort: () => {
      for (const one of running) one.abort();
    },
  };
}

function refusal(error: ApiError, requestId?: string): Response {
  const headers: Record<string, string> = {};
  if (requestId !== undefined) headers["x-request-id"] = requestId;
  if (error.retryAfter !== null) headers["retry-after"] = String(error.retryAfter);
  if (error.status === 401) headers["www-authenticate"] = "Bearer";
  return Response.json(error.body, { status: error.status, headers });
}
