/**
 * An endpoint as data: a method, a path, a schema and a function. The router (app.ts), the OpenAPI document and the log
 * follow from it.
 */
import type { z } from "zod";
import type { ApiError } from "../api_error.ts";
import type { Service } from "../engine/service.ts";

/** A request that passed its schema. */
export interface Call<B> {
  readonly body: B;
  /** Parts of the path, `id` for `/v1/models/:id`. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly service: Service;
  /** Who asks, for {@linkcode Job.client}: the number of the API key, or the address, and the user agent. */
  readonly client: string;
  /** Whose is what is kept beyond the request: the same for all requests of one API key, and of no other. */
  readonly owner: string;
  /** Fires when the client went away, or the server ends what still runs. */
  readonly signal: AbortSignal;
  /** For ids such as `cmpl-...`; also the header `x-request-id` and in the log. */
  readonly requestId: string;
  /** Adds fields to the request's line in the log. */
  note(fields: Readonly<Record<string, string | number | boolean | null>>): void;
}

/** A server-sent event; its data is written as JSON. */
export interface ServerEvent {
  /** The event's name; absent: none, as in chat completions. */
  readonly event?: string;
  readonly data: unknown;
}

/**
 * An answer. What `handle` throws before it returns is a status of its own: it should have validated everything and
 * submitted its jobs by then. The status of `events` is sent at once, so what the iterator throws is an event: that of
 * `failed`, or one with the error's body. The iterator's `return` is called when the client goes away. With `done`,
 * `[DONE]` ends the stream.
 */
export type Answer =
  | { readonly json: unknown; readonly status?: number }
  | { readonly text: string; readonly contentType: string }
  | EventAnswer;

/** An answer that comes in events. */
export interface EventAnswer {
  readonly events: AsyncIterable<ServerEvent>;
  readonly done: boolean;
  readonly failed?: (error: ApiError) => ServerEvent;
}

/** An endpoint; {@linkcode endpoint} makes one. */
export interface Endpoint<B = unknown> {
  readonly method: "GET" | "POST" | "DELETE";
  /** With `:name` for a part that varies, and `:name{.+}` for one with slashes in it. */
  readonly path: string;
  /** One line for the OpenAPI document. */
  readonly summary: string;
  /** Schema of the JSON body; null where there is none. */
  readonly body: z.ZodType<B> | null;
  /**
   * What it answers with, for the OpenAPI document: the schema of the JSON, or the media type of a text; null: events
   * only.
   */
  readonly response: z.ZodType | "text/plain" | "text/html" | null;
  /** Whether a body with `stream: true` is answered by server-sent events, for the OpenAPI document. */
  readonly streams?: boolean;
  /** Whether it is answered without an API key: only what tells nothing of anybody's requests. */
  readonly open?: boolean;
  readonly handle: (call: Call<B>) => Promise<Answer> | Answer;
}

/** Declares an endpoint, with the body's type from its schema. */
export function endpoint<B>(declared: Endpoint<B>): Endpoint {
  return declared as Endpoint<unknown> as Endpoint;
}
