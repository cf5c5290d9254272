/** A request of node:http as the web has it. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { bodyOf } from "./web_body.ts";

/** Headers that a request may have. */
const MOST_HEADERS = 100;

/**
 * The request; null where it is none that the web knows: of such a host, path, method or version.
 *
 * @param left Fires when its client goes away before the answer is sent.
 * @param closing Fires when no body is waited for any more.
 */
export function requestOf(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  left: AbortSignal,
  closing: AbortSignal,
): Request | null {
  const { method = "GET", rawHeaders, httpVersionMajor } = incoming, url = urlOf(incoming);
  if (url === null || httpVersionMajor !== 1 || rawHeaders.length > 2 * MOST_HEADERS) return null;
  try {
    const headers = headersOf(incoming), body = bodyOf(incoming, outgoing, closing);
    return new Request(url, { method, headers, body, signal: left });
  } catch {
    return null;
  }
}

/** The host as the client calls it, and the path, which may also come in a whole URL. */
function urlOf({ url: target = "/", headersDistinct: { host: hosts = [] } }: IncomingMessage): string | null {
  const [host = "", ...more] = hosts;
  if (more.length > 0 || /[^\x21-\xff]|[/\\?#@]/.test(host)) return null;
  const url = target.startsWith("/") || target === "*" ? `http://${host || "localhost"}/${target.slice(1)}` : target;
  // Of what has such parts, a URL would make another path than a proxy before this server may have judged.
  if (/\/(?:\.|%2e){1,2}(?:[/#]|$)|\\/i.test(target.split("?", 1)[0]!)) return null;
  return URL.canParse(url) ? url : null;
}

function headersOf({ rawHeaders: raw }: IncomingMessage): Headers {
  const headers = new Headers();
  for (let i = 0; i < raw.length; i += 2) headers.append(raw[i]!, raw[i + 1]!);
  return headers;
}
