/**
 * Who may ask. Without an API key the server listens on this machine only, and then a page of the web that the user
 * looks at must not be able to ask either: neither by a script of its own, nor by a name that it makes point here.
 */
import { timingSafeEqual } from "node:crypto";
import { ApiError } from "../api_error.ts";

/** What is let in. */
export interface Guard {
  /** Keys of which a request must bring one; empty: none is needed. */
  readonly apiKeys: readonly string[];
}

const encoder = new TextEncoder();

/** Whether scripts of a page from this origin may ask: with API keys any, else those of this machine. */
export function allowedOrigin({ apiKeys }: Guard, origin: string): boolean {
  return apiKeys.length > 0 || (URL.canParse(origin) && isLoopback(new URL(origin).hostname));
}

/** Who asks. */
export interface Asker {
  /** The program that asks, for {@linkcode Call.client}. */
  readonly client: string;
  /** Whose is what it leaves, for {@linkcode Call.owner}. */
  readonly owner: string;
}

/** The owner of everything where no key is needed: whoever asks is on this machine. */
const ANYBODY = "";

/**
 * Refuses who may not ask, and names who does.
 *
 * @param open Whether no key is needed.
 * @throws {ApiError} 401 or 403.
 */
export function refuseStranger(guard: Guard, headers: Headers, address: string, open: boolean): Asker {
  const { apiKeys } = guard, origin = headers.get("origin");
  if (origin !== null && !allowedOrigin(guard, origin)) {
    throw new ApiError(403, `a page of ${origin} may not ask: this server has no API key`, { code: "origin" });
  }
  if (apiKeys.length === 0) {
    const host = headers.get("host");
    if (host !== null && !isLoopback(hostname(host))) {
      throw new ApiError(403, `a server without an API key is not called ${host}`, { code: "host" });
    }
    return { client: `${address} ${headers.get("user-agent") ?? ""}`, owner: ANYBODY };
  }
  const [, key = ""] = /^Bearer\s+(.+)$/i.exec(headers.get("authorization") ?? "") ?? [];
  const known = apiKeys.findIndex((one) => same(one, key));
  if (known >= 0) {
    const owner = `key ${known}`;
    return { client: `${owner} ${headers.get("user-agent") ?? ""}`, owner };
  }
  if (open) return { client: address, owner: ANYBODY };
  const got = headers.has("authorization") ? "another one" : "none";
  throw new ApiError(401, `expected the API key, as "Authorization: Bearer KEY", got ${got}`, {
    code: "invalid_api_key",
  });
}

/** The host of `host:port`. */
function hostname(host: string): string {
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : host;
}

/** Whether a host is this machine. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || host === "[::1]" || host === "::1" ||
    /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** Compares in a time that does not depend on where the first difference is. */
function same(a: string, b: string): boolean {
  const x = encoder.encode(a), y = encoder.encode(b);
  return x.length === y.length && timingSafeEqual(x, y);
}
