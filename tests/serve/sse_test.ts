/** A stream of events: what a client reads of it, and what the log hears of its end. */
import { pause } from "../../src/breath.ts";
import { ApiError } from "../../src/serve/api_error.ts";
import type { EventAnswer, ServerEvent } from "../../src/serve/http/endpoint.ts";
import { eventStream, type StreamEnd } from "../../src/serve/http/sse.ts";
import { assertEquals } from "../assert.ts";
import { HeldTimers } from "../timers.ts";

/** A stream with its reader, and its ends. */
function open(answer: EventAnswer) {
  const ends: StreamEnd[] = [], stream = eventStream(answer, (end) => ends.push(end));
  return { ends, reader: stream.pipeThrough(new TextDecoderStream()).getReader() };
}

/** All that is left to read. */
async function rest(reader: ReadableStreamDefaultReader<string>): Promise<string> {
  let text = "";
  for (let read = await reader.read(); !read.done; read = await reader.read()) text += read.value;
  return text;
}

async function* give(events: readonly ServerEvent[], thrown?: Error): AsyncGenerator<ServerEvent> {
  yield* events;
  if (thrown !== undefined) throw thrown;
}

Deno.test("events are written as they are, and [DONE] at the end where that is asked for", async () => {
  const events = [{ data: { a: "x\n\ny" } }, { event: "named", data: [1] }];
  const text = 'data: {"a":"x\\n\\ny"}\n\nevent: named\ndata: [1]\n\n';
  for (const done of [true, false]) {
    const { reader, ends } = open({ events: give(events), done });
    assertEquals(await rest(reader), done ? `${text}data: [DONE]\n\n` : text);
    assertEquals(ends, [{ thrown: null, left: false }]);
  }
});

Deno.test("what fails on the way is the last event, as its endpoint says it, and nobody has left", async () => {
  const thrown = new ApiError(503, "no more", { code: "gone" });
  const body = '{"error":{"message":"no more","type":"server_error","param":null,"code":"gone"}}';
  const plain = open({ events: give([{ data: 1 }], thrown), done: true });
  assertEquals(await rest(plain.reader), `data: 1\n\ndata: ${body}\n\n`);
  assertEquals(plain.ends, [{ thrown, left: false }]);
  const failed = ({ status }: ApiError) => ({ event: "error", data: status });
  const own = open({ events: give([], thrown), done: false, failed });
  assertEquals(await rest(own.reader), "event: error\ndata: 503\n\n");
});

Deno.test("a client that leaves ends what is computed for it, and is heard of once", async () => {
  const cases = [[false, true, true], [true, true, true], [true, false, true], [true, true, false]] as const;
  for (const [waits, done, comesToEnd] of cases) {
    let returned = 0;
    const gate = Promise.withResolvers<IteratorResult<ServerEvent>>(), results = [{ done: false, value: { data: 1 } }];
    const events = {
      [Symbol.asyncIterator]: () => ({
        next: () => results.length > 0 ? Promise.resolve(results.shift()!) : gate.promise,
        return: () => {
          returned++;
          // It may also fail by it.
          if (comesToEnd) gate.resolve({ done: true, value: undefined });
          else gate.reject(new Error("left"));
          return gate.promise;
        },
      }),
    };
    const ends: StreamEnd[] = [], stream = eventStream({ events, done } as EventAnswer, (end) => ends.push(end));
    const reader = stream.getReader();
    await reader.read();
    const next = waits ? reader.read() : null;
    // By then it is waited for.
    await pause(0);
    const left = reader.cancel().then(() => null, ({ message }) => message);
    assertEquals([await left, (await next)?.done ?? true], [comesToEnd ? null : "left", true]);
    await pause(0);
    assertEquals([returned, ends], [1, [{ thrown: null, left: true }]]);
  }
});

Deno.test("a silent stream has a comment every ten seconds; one that speaks, or is not read, has none", async () => {
  using timers = new HeldTimers("interval", 10_000);
  let next = Promise.withResolvers<ServerEvent>();
  const events = (async function* () {
    for (;;) {
      yield await next.promise;
      next = Promise.withResolvers();
    }
  })();
  const ends: StreamEnd[] = [], stream = eventStream({ events, done: false }, (end) => ends.push(end));
  const reader = stream.getReader(), decoder = new TextDecoder();
  const read = async () => decoder.decode((await reader.read()).value);
  const first = read();
  timers.goOff();
  assertEquals(await first, ": working\n\n");
  const second = read();
  next.resolve({ data: 1 });
  assertEquals(await second, "data: 1\n\n");
  const third = read();
  // It has spoken since the last time.
  timers.goOff();
  assertEquals(await Promise.race([third, pause(1)]), undefined);
  timers.goOff();
  assertEquals(await third, ": working\n\n");
  // What nobody reads is not added to.
  for (let i = 0; i < 3; i++) timers.goOff();
  assertEquals(await read(), ": working\n\n");
  const fourth = read();
  next.resolve({ data: 2 });
  assertEquals(await fourth, "data: 2\n\n");
  await reader.cancel();
  assertEquals(ends.length, 1);
  // A comment after the end would be a defect's line on stderr.
  const over = open({ events: give([]), done: false });
  assertEquals(await rest(over.reader), "");
  for (let i = 0; i < 2; i++) timers.goOff();
});
