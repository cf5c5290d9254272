/** What a client is told when its request is not done: an HTTP status and OpenAI's error body. */
import { clip, FailureError, InputError, oneLine, reason } from "../errors.ts";
import { printableLine } from "../printable.ts";

/** OpenAI's body of an error; `param` is the field of the request that it is about. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** More about an {@linkcode ApiError}. */
export interface ApiErrorOptions {
  /** The field of the request that it is about. */
  readonly param?: string | null;
  /** A word for programs, for instance `model_not_found`. */
  readonly code?: string | null;
  /** Seconds after which it is worth trying again, for the header Retry-After. */
  readonly retryAfter?: number;
  /** The methods that there are, for the header Allow. */
  readonly allow?: string;
}

/** Characters of a field's name that a client is told: a name that it made up may be as long as its request. */
const MAX_PARAM = 256;

/** A request that is refused, or that failed: its message is one line, and not a long one. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly param: string | null;
  readonly code: string | null;
  readonly retryAfter: number | null;
  readonly allow: string | null;

  /** @param status HTTP status: 4xx for a mistake of the client, 5xx for one of the server. */
  constructor(readonly status: number, message: string, options: ApiErrorOptions = {}) {
    super(printableLine(oneLine(clip(message))));
    const { param = null } = options;
    this.param = param !== null && param.length > MAX_PARAM ? `${param.slice(0, MAX_PARAM).toWellFormed()}…` : param;
    this.code = options.code ?? null;
    this.retryAfter = options.retryAfter ?? null;
    this.allow = options.allow ?? null;
  }

  /** The body that the client gets. */
  get body(): ErrorBody {
    const { message, param, code } = this;
    return { error: { message, type: typeOf(this.status), param, code } };
  }
}

/** The `type` of an error, by its status. */
function typeOf(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 404) return "not_found_error";
  if (status === 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

/** A mistake in one field of a request: status 400. */
export function wrongField(param: string, message: string, code: string | null = null): ApiError {
  return new ApiError(400, `${param}: ${message}`, { param, code });
}

/** Fields in which a grammar or a template finds a mistake. */
const FIELDS = new Set(["response_format", "structured_outputs", "text", "tools", "messages"]);

/** The field of a request that a mistake is about, where its name is one. */
function fieldOf({ subject: { name } }: InputError): string | null {
  return typeof name === "string" && FIELDS.has(name.replace(/[.[].*$/s, "")) ? name : null;
}

/**
 * What an engine threw, as what it is to whoever asked: a failure of the server's, also where the mistake is in a file
 * that it computes from.
 */
export function engineFailure(thrown: unknown): unknown {
  return thrown instanceof InputError ? new FailureError(thrown.message) : thrown;
}

/** What a client is told of anything that was thrown: a mistake of its own as 400, a defect as 500. */
export function asApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  if (thrown instanceof InputError) {
    return new ApiError(400, thrown.message, { param: fieldOf(thrown), code: thrown.code });
  }
  if (thrown instanceof FailureError) return new ApiError(500, thrown.message, { code: "failure" });
  return new ApiError(500, `internal error: ${reason(thrown)}`, { code: "internal_error" });
}
