/** A client that leaves frees its place at once, however its request came and whether or not its answer is streamed. */
import { pause } from "../../src/breath.ts";
import { Listener } from "../../src/serve/http/listener.ts";
import { assert, assertEquals } from "../assert.ts";
import { postOf, RawClient } from "./raw_client.ts";
import { startServer } from "./server_process.ts";
import { openServing, type Serving } from "./serving.ts";

/** Lets other things happen until it is so. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await pause(1);
}

/** A request of so many bytes for a reply that would take seconds. */
function requestOf(bytes: number, stream: boolean): readonly [string, string] {
  const body = { prompt: "Ann", max_tokens: 1900, ignore_eos: true, stream, user: "" };
  body.user = "u".repeat(Math.max(0, bytes - JSON.stringify(body).length));
  return postOf("/v1/completions", JSON.stringify(body));
}

/** A text in so many pieces. */
function pieces(text: string, count: number): string[] {
  const length = Math.ceil(text.length / count);
  return Array.from({ length: count }, (_, i) => text.slice(i * length, (i + 1) * length));
}

async function leave({ service, log }: Serving, listener: Listener, packets: readonly string[], stream: boolean) {
  const load = () => service.load(service.model());
  log.length = 0;
  using computing = await RawClient.connect(listener.address);
  await computing.send(...packets);
  await until(() => load().running === 1);
  using waiting = await RawClient.connect(listener.address);
  await waiting.send(...packets);
  await until(() => load().waiting === 1);
  if (stream) await computing.read(/\r\n\r\n.*data:/s);
  waiting[Symbol.dispose]();
  await until(() => log.length === 1);
  assertEquals([load().running, load().waiting], [1, 0]);
  computing[Symbol.dispose]();
  await until(() => log.length === 2);
  await until(() => load().running === 0);
  // What nobody left would end with status 200, and no such word.
  return log.map(({ status, left }) => stream ? [status, left] : status);
}

for (const bytes of [100, 1000, 100_000]) {
  Deno.test(`a client that leaves after a request of ${bytes} bytes frees its place at once`, async () => {
    await using serving = await openServing({ slots: 1, context: 2048 });
    const listener = await Listener.open(serving.app.fetch, "127.0.0.1", 0);
    try {
      for (const stream of [false, true]) {
        const [head, body] = requestOf(bytes, stream);
        for (const packets of [[head + body], [head, body], pieces(head + body, 5)]) {
          const ends = await leave(serving, listener, packets, stream);
          assertEquals(ends, stream ? [[200, true], [200, true]] : [499, 499], `${packets.length} packets`);
        }
      }
    } finally {
      await listener.close(0);
    }
  });
}

Deno.test("clients that leave in any way are no words on stderr but lines of the log", async () => {
  await using server = await startServer(["--sequences=1", "--context=2048"]);
  const { hostname: host, port } = new URL(server.url), before = server.lines.length;
  const [head, body] = requestOf(1000, false), [streamHead, streamBody] = requestOf(1000, true);
  const beginnings = [
    [],
    ["GET /pi"],
    [head],
    [head, body.slice(0, 100)],
    [head + body],
    [head + body + head + body],
    [streamHead + streamBody],
    ["GET /ping HTTP/1.1\r\nhost: localhost\r\n\r\n"],
    ["no request\r\n\r\n"],
    ["GET /ping HTTP/1.1\r\nhost: a b\r\n\r\n"],
    ["POST /tokenize HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nno number\r\n"],
  ];
  for (const packets of beginnings) {
    using client = await RawClient.connect({ host, port: Number(port) });
    await client.send(...packets);
  }
  // Only when all of them are gone is there a place for this one.
  const answer = await fetch(`${server.url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({ prompt: "Ann", max_tokens: 1 }),
  });
  assertEquals([answer.status, (await answer.json()).object], [200, "text_completion"]);
  assertEquals(await server.stop(), 0);
  const lines = server.lines.slice(before);
  assertEquals(lines.filter((line) => !line.startsWith('{"time"')), []);
  assert(lines.length >= 5, `${lines.length} lines`);
});
