/** Bodies of requests that an answer took hold of and did not read. */
import { Listener } from "../../src/serve/http/listener.ts";
import { assertMatch, assertRejects } from "../assert.ts";
import { postOf, RawClient } from "./raw_client.ts";

Deno.test("a body that is locked, cloned or read in part, and left, is in nobody's way", async () => {
  const readers: ReadableStreamDefaultReader<unknown>[] = [];
  const listener = await Listener.open(
    async (request) => {
      const { pathname } = new URL(request.url);
      if (pathname === "/cloned") request.clone();
      if (pathname === "/locked" || pathname === "/begun") readers.push(request.body!.getReader());
      if (pathname === "/begun") await readers.at(-1)!.read();
      return new Response(pathname);
    },
    "127.0.0.1",
    0,
  );
  try {
    for (const path of ["/locked", "/begun", "/cloned"]) {
      using client = await RawClient.connect(listener.address);
      const [head, body] = postOf(path, "a".repeat(3_000_000));
      // The rest comes when the answer is there.
      await client.send(head, body.slice(0, 1000));
      assertMatch(await client.read(new RegExp(`${path}$`)), /^HTTP\/1\.1 200 .*keep-alive/is);
      await client.send(`${body.slice(1000)}GET /next HTTP/1.1\r\nhost: localhost\r\n\r\n`);
      assertMatch(await client.read(/\/next$/), /^HTTP\/1\.1 200 /);
    }
    for (const reader of readers) await assertRejects(() => reader.read(), Error, "the request is answered");
  } finally {
    await listener.close(0);
  }
});
