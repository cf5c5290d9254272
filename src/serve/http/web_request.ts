/** A request of node:http as the web has it. */
import type { IncomingMessage, ServerResponse } from "node:http";

/** Headers that a request may have. */
const MOST_HEADERS = 100;

/**
 * The request; null where it is none that the web knows: of such a host, path, method or version.
 *
 * @param left Fires when its client goes away before the answer is sent.
 */
export function requestOf(incoming: IncomingMessage, outgoing: ServerResponse, left: AbortSignal): Request | null {
  const { method = "GET", rawHeaders, httpVersionMajor } = incoming, url = urlOf(incoming);
  if (url === null || httpVersionMajor !== 1 || rawHeaders.length > 2 * MOST_HEADERS) return null;
  try {
    return new Request(url, { method, headers: headersOf(incoming), body: bodyOf(incoming, outgoing), signal: left });
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
  if (/\/(?:\.|%2e){1,2}(?:[/?#]|$)|\\/i.test(target)) return null;
  return URL.canParse(url) ? url : null;
}

function headersOf({ rawHeaders: raw }: IncomingMessage): Headers {
  const headers = new Headers();
  for (let i = 0; i < raw.length; i += 2) headers.append(raw[i]!, raw[i + 1]!);
  return headers;
}

/** The body, of which nothing is read before somebody asks for it; null where there is none. */
function bodyOf(incoming: IncomingMessage, outgoing: ServerResponse): ReadableStream<Uint8Array<ArrayBuffer>> | null {
  const { method, headers } = incoming;
  if (method === "GET" || method === "HEAD") return null;
  if (headers["content-length"] === undefined && headers["transfer-encoding"] === undefined) return null;
  let asked = false, forget = () => {};
  const goOn = mayGoOn(incoming, outgoing);
  return new ReadableStream({
    start(controller) {
      const end = () => controller.close(), fail = (thrown: Error) => controller.error(thrown);
      incoming.on("end", end).on("error", fail);
      forget = () => incoming.off("end", end).off("error", fail).on("error", () => {});
    },
    pull(controller) {
      if (asked) return void incoming.resume();
      asked = true;
      const take = (bytes: Uint8Array<ArrayBuffer>) => {
        controller.enqueue(bytes);
        incoming.pause();
      };
      const before = forget;
      forget = () => {
        before();
        incoming.off("data", take);
      };
      goOn();
      // This makes it flow.
      incoming.on("data", take);
    },
    cancel() {
      forget();
      incoming.resume();
    },
  }, { highWaterMark: 0 });
}

/**
 * Tells a client that waits for it to send the body. Until then it may send the body, or the next request, so that
 * nobody knows where that would begin: an answer ends the connection.
 */
function mayGoOn({ httpVersion, headers }: IncomingMessage, outgoing: ServerResponse): () => void {
  if (httpVersion === "1.0" || headers.expect?.toLowerCase() !== "100-continue") return () => {};
  const { shouldKeepAlive } = outgoing;
  outgoing.shouldKeepAlive = false;
  return () => {
    outgoing.shouldKeepAlive = shouldKeepAlive;
    outgoing.writeContinue();
  };
}
