/** The body of a request of node:http as a stream of the web. */
import type { IncomingMessage, ServerResponse } from "node:http";

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * The body, of which nothing is read before somebody asks for it; null where there is none.
 *
 * @param closing Fires when it is not waited for any more.
 */
export function bodyOf(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  closing: AbortSignal,
): ReadableStream<Bytes> | null {
  const { method, headers } = incoming;
  if (method === "GET" || method === "HEAD") return null;
  if (headers["content-length"] === undefined && headers["transfer-encoding"] === undefined) return null;
  const goOn = mayGoOn(incoming, outgoing);
  let asked = false, forget = () => {};
  return new ReadableStream({
    start(controller) {
      const take = (bytes: Bytes) => {
        controller.enqueue(bytes);
        incoming.pause();
      };
      const end = () => {
        forget();
        controller.close();
      };
      const fail = (thrown: Error) => {
        forget();
        controller.error(thrown);
      };
      const close = () => fail(new Error("the server is stopping"));
      // Data begin to flow where somebody listens to them.
      incoming.pause().on("data", take).on("end", end).on("error", fail);
      closing.addEventListener("abort", close);
      // What somebody began to read, and left, must not be in the way of the next request.
      const drop = () => {
        fail(new Error("the request is answered"));
        incoming.resume();
      };
      outgoing.once("finish", drop);
      forget = () => {
        incoming.off("data", take).off("end", end).off("error", fail).on("error", () => {});
        closing.removeEventListener("abort", close);
        outgoing.off("finish", drop);
      };
    },
    pull() {
      if (!asked) goOn();
      asked = true;
      incoming.resume();
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
