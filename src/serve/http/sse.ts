/** Server-sent events. */
import { asApiError } from "../api_error.ts";
import type { EventAnswer, ServerEvent } from "./endpoint.ts";

/** Milliseconds of silence after which a comment is sent: a long prompt must not look like a dead connection. */
const KEEP_ALIVE_MS = 10_000;

/** How a stream of events ended. */
export interface StreamEnd {
  /** What was thrown; null where it came to its end. */
  readonly thrown: unknown;
  /** Whether the client went away before. */
  readonly left: boolean;
}

/**
 * Events as the body of a response. They are taken as the client reads; where it goes away, `return` of their iterator
 * is called.
 *
 * @param onEnd Called once.
 */
export function eventStream(
  { events, done, failed = ({ body }) => ({ data: body }) }: EventAnswer,
  onEnd: (end: StreamEnd) => void,
): ReadableStream<Uint8Array> {
  const iterator = events[Symbol.asyncIterator](), encoder = new TextEncoder();
  let ended = false, silent = true, timer: ReturnType<typeof setInterval> | undefined;
  const end = (how: StreamEnd) => {
    clearInterval(timer);
    ended = true;
    onEnd(how);
  };
  return new ReadableStream({
    start(controller) {
      timer = setInterval(() => {
        // Without room for it the client has not yet read what was sent before.
        if (silent && (controller.desiredSize ?? 0) >= 0) controller.enqueue(encoder.encode(": working\n\n"));
        silent = true;
      }, KEEP_ALIVE_MS);
    },
    async pull(controller) {
      const write = (text: string) => controller.enqueue(encoder.encode(text));
      try {
        const result = await iterator.next();
        if (ended) return;
        silent = false;
        if (!result.done) return write(eventText(result.value));
        if (done) write("data: [DONE]\n\n");
        end({ thrown: null, left: false });
      } catch (thrown) {
        if (ended) return;
        write(eventText(failed(asApiError(thrown))));
        end({ thrown, left: false });
      }
      controller.close();
    },
    async cancel() {
      end({ thrown: null, left: true });
      await iterator.return?.();
    },
  }, { highWaterMark: 0 });
}

function eventText({ event, data }: ServerEvent): string {
  return `${event === undefined ? "" : `event: ${event}\n`}data: ${JSON.stringify(data)}\n\n`;
}
