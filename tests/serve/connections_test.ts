/** How many clients are let in. */
import { pause } from "../../src/breath.ts";
import { connectionsFrom } from "../../src/serve/http/connections.ts";
import { Listener } from "../../src/serve/http/listener.ts";
import { assert, assertEquals } from "../assert.ts";
import { ONLY_SOAKED, SOAK } from "../soak.ts";
import { RawClient } from "./raw_client.ts";
import { ownWords, startServer } from "./server_process.ts";

Deno.test("as many clients are let in as there are files for, with those that wait", () => {
  const from = (files: string, had: number | null) =>
    connectionsFrom((path) =>
      path.endsWith("limits")
        ? `Limit   Soft Limit  Hard Limit  Units\nMax open files    ${files}   524288   files\n`
        : had === null
        ? null
        : `Name:\tdeno\nFDSize:\t${had}\n`
    );
  assertEquals(from("20000", 256), { most: 20000 - 256 - 64 - 511, backlog: 511 });
  assertEquals(from("1024", 256), { most: 528, backlog: 176 });
  assertEquals(from("256", 256), { most: 1, backlog: 1 });
  assertEquals(from("unlimited", 256), { most: 4000, backlog: 511 });
  assertEquals(from("20000", null), { most: 4000, backlog: 511 });
});

Deno.test("a connection that is kept for later gives way to a new one where there are too many", async () => {
  const answer = (request: Request) => Promise.resolve(new Response(new URL(request.url).pathname));
  const listener = await Listener.open(answer, "127.0.0.1", 0, { most: 2, backlog: 8 });
  const ask = async (client: RawClient, path: string) => {
    await client.send(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    return await client.read(/\r\n\r\n.+$/s);
  };
  try {
    using kept = await RawClient.connect(listener.address);
    await ask(kept, "/first");
    using second = await RawClient.connect(listener.address);
    assertEquals(await kept.read(), "");
    using third = await RawClient.connect(listener.address);
    for (const [client, path] of [[second, "/second"], [third, "/third"]] as const) {
      assert((await ask(client, path)).endsWith(path));
    }
  } finally {
    await listener.close(0);
  }
});

Deno.test({
  name: "the system asks whether a client that says nothing is still there",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const listener = await Listener.open(() => new Promise(() => {}), "127.0.0.1", 0);
    try {
      using client = await RawClient.connect(listener.address);
      await client.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
      const port = listener.address.port.toString(16).toUpperCase().padStart(4, "0");
      // Of /proc/net/tcp: state 01 is established, timer 02 is that of keepalive.
      const asks = new RegExp(`: 0100007F:${port} \\S+ 01 \\S+ 02:`);
      while (!asks.test(Deno.readTextFileSync("/proc/net/tcp"))) await pause(5);
    } finally {
      await listener.close(0);
    }
  },
});

Deno.test({
  name: `a server that has no files left for more clients turns them away, and lets in others later${ONLY_SOAKED}`,
  ignore: !SOAK || Deno.build.os !== "linux",
  fn: async () => {
    const limited = ["sh", "-c", 'ulimit -n 400; exec "$@"', "sh", Deno.execPath(), ...ownWords()];
    await using server = await startServer(["--context=64"], {}, limited);
    const { hostname: host, port } = new URL(server.url), turnedAway = Promise.withResolvers<void>();
    const clients = await Promise.all(Array.from({ length: 300 }, async () => {
      const client = await RawClient.connect({ host, port: Number(port) });
      client.read().then(() => turnedAway.resolve(), () => {});
      return client;
    }));
    await turnedAway.promise;
    for (const client of clients) client[Symbol.dispose]();
    // Until it has seen that they left, it has no place for another one either.
    const health = () => fetch(`${server.url}/health`).then((response) => response.text(), () => null);
    let state = await health();
    while (state === null) state = await health();
    assertEquals(JSON.parse(state).status, "ok");
    assertEquals(await server.stop(), 0);
  },
});
