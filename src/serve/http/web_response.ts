/** A response of the web by node:http. */
import type { ServerResponse } from "node:http";

/**
 * Sends a response. A stream's head is sent at once, and each piece when it comes; no piece is asked for before the
 * client has room for it, and none after it left, when the stream is cancelled. Any other body is sent as a whole, with
 * its length.
 *
 * @param left Fires when the client goes away before the answer is sent.
 */
export async function send(response: Response, outgoing: ServerResponse, left: AbortSignal): Promise<void> {
  const { status, headers, body } = response, { req: incoming } = outgoing;
  // A method that has no body may have come with one.
  incoming.on("error", () => {}).resume();
  // What is lost with the connection, nobody misses.
  outgoing.on("error", () => {});
  if (body === null || left.aborted) {
    await body?.cancel();
    const length = status === 204 || status === 304 || incoming.method === "HEAD" ? [] : [["content-length", "0"]];
    outgoing.writeHead(status, [...headers, ...length].flat()).end();
    return;
  }
  if (headers.get("content-type")?.startsWith("text/event-stream") === true) {
    outgoing.writeHead(status, [...headers].flat()).flushHeaders();
    return await sendPieces(body.getReader(), outgoing, left);
  }
  const bytes = await response.bytes();
  outgoing.writeHead(status, [...headers, ["content-length", String(bytes.length)]].flat()).end(bytes);
}

async function sendPieces(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  outgoing: ServerResponse,
  left: AbortSignal,
): Promise<void> {
  let goOn = () => {};
  outgoing.on("drain", () => goOn());
  left.addEventListener("abort", () => {
    goOn();
    reader.cancel().catch(() => {});
  });
  for (;;) {
    const { done, value } = await reader.read();
    if (left.aborted) return;
    if (done) return void outgoing.end();
    if (!outgoing.write(value)) await new Promise<void>((resolve) => goOn = resolve);
  }
}
