/** HTTP as clients write it, by sockets: what is taken, what is refused, and what a connection is good for after it. */
import { pause } from "../../src/breath.ts";
import { Listener } from "../../src/serve/http/listener.ts";
import { canListen } from "../addresses.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../assert.ts";
import { postOf, RawClient } from "./raw_client.ts";

/** Answers with what it was asked. */
async function echo(request: Request, address: string): Promise<Response> {
  const { method, url, headers } = request, text = await request.text();
  return Response.json({ method, url, text, agent: headers.get("user-agent"), address });
}

async function listening(
  handler: (request: Request, address: string) => Promise<Response>,
  use: (connect: () => Promise<RawClient>, listener: Listener) => Promise<void>,
): Promise<void> {
  const listener = await Listener.open(handler, "127.0.0.1", 0);
  try {
    await use(() => RawClient.connect(listener.address), listener);
  } finally {
    await listener.close(0);
  }
}

const get = (path: string, headers = "host: localhost\r\n", version = "1.1") =>
  `GET ${path} HTTP/${version}\r\n${headers}\r\n`;
const CHUNKED = "POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";

Deno.test("what is no request of HTTP is refused, and ends the connection", () =>
  listening(echo, async (connect) => {
    const many = Array.from({ length: 101 }, (_, i) => `h${i}: 1\r\n`).join("");
    for (
      const [request, status] of [
        ["NONSENSE\r\n\r\n", 400],
        ["\x16\x03\x01\x02\x00\x01\x00", 400],
        ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
        [get("/", "host: localhost\r\n", "2.0"), 400],
        [get("/", ""), 400],
        [get("/", "host: a\r\nhost: b\r\n"), 400],
        ...["a b", "<>", "localhost:99999", "localhost/x", "x@localhost"].map((host) =>
          [get("/", `host: ${host}\r\n`), 400] as const
        ),
        [get("relative"), 400],
        [get("/a b"), 400],
        ...["/v1/../metrics", "/v1/%2E%2e/metrics", "/.", "/a/.?b", "/v1\\models"].map((path) =>
          [get(path), 400] as const
        ),
        [get("/", "host: localhost\r\nno colon\r\n"), 400],
        [get("/", "host: localhost\r\na: b\r\n folded\r\n"), 400],
        [get("/", `host: localhost\r\n${many}`), 400],
        [get("/", `host: localhost\r\na: ${"a".repeat(70_000)}\r\n`), 431],
        ["TRACE / HTTP/1.1\r\nhost: localhost\r\n\r\n", 400],
        [CHUNKED.replace("chunked", "gzip"), 400],
        [postOf("/", "{}", "transfer-encoding: chunked\r\n").join(""), 400],
        [postOf("/", "{}", "content-length: 3\r\n").join(""), 400],
        [`${CHUNKED}no number\r\n`, 400],
      ] as const
    ) {
      using client = await connect();
      await client.send(request);
      assertMatch(await client.read(), new RegExp(`^HTTP/1.1 ${status} `), JSON.stringify(request.slice(0, 60)));
    }
    using tunnel = await connect();
    await tunnel.send("CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assertEquals(await tunnel.read(), "");
  }));

Deno.test("a request is the one that was sent, by any way to write it", () =>
  listening(echo, async (connect, { address: { port } }) => {
    const agent = "host: localhost\r\nuser-agent: x\r\n", plain = { method: "GET", text: "", agent: "x" };
    const upgrade = `${agent}connection: upgrade\r\nupgrade: websocket\r\n`;
    for (
      const [packets, expected] of [
        [[get("/a?b=%20", agent)], { ...plain, url: "http://localhost/a?b=%20" }],
        [[get("/a?b=c/../d\\e", agent)], { ...plain, url: "http://localhost/a?b=c/../d\\e" }],
        [[get("//a", agent)], { ...plain, url: "http://localhost//a" }],
        [[get("http://example.com/a", agent)], { ...plain, url: "http://example.com/a" }],
        [[get("/", `host: [::1]:${port}\r\n`)], { ...plain, url: `http://[::1]:${port}/`, agent: null }],
        [[get("/", `host: localhost\r\nuser-agent: ${"x".repeat(50_000)}\r\n`)], {
          ...plain,
          url: "http://localhost/",
          agent: "x".repeat(50_000),
        }],
        // No other protocol is taken up.
        [[get("/a", upgrade)], { ...plain, url: "http://localhost/a" }],
        [postOf("/", "abc"), { method: "POST", text: "abc", url: "http://localhost/", agent: null }],
        [[CHUNKED, "2\r\nab\r\n3;x=1\r\n", "cde", "\r\n0\r\nt: 1\r\n\r\n"], {
          method: "POST",
          text: "abcde",
          url: "http://localhost/",
          agent: null,
        }],
      ] as const
    ) {
      using client = await connect();
      await client.send(...packets);
      const text = await client.read(/\}$/), [head, body] = text.split("\r\n\r\n");
      assertMatch(head!, /^HTTP\/1\.1 200 OK\r\n.*content-length: \d+\r\n/s);
      assertEquals(JSON.parse(body!), { ...expected, address: "127.0.0.1" });
    }
  }));

Deno.test("a connection is kept for the next request, unless the client has it otherwise or an old protocol", () =>
  listening(echo, async (connect) => {
    const answers = (text: string) => text.match(/HTTP\/1\.1 200/g)?.length ?? 0;
    using client = await connect();
    await client.send(get("/1"));
    assertMatch(await client.read(/\}$/), /localhost\/1"/);
    await client.send("HEAD /2 HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assertEquals((await client.read(/\r\n\r\n$/)).includes("{"), false);
    // Several at once are answered in their order.
    await client.send(get("/3") + postOf("/4", "abc").join("") + get("/5"));
    const several = await client.read(/\/5.*\}$/s);
    assertEquals([answers(several), Array.from(several.matchAll(/localhost\/(\d)/g), ([, n]) => n)], [
      3,
      ["3", "4", "5"],
    ]);
    await client.send(get("/6", "host: localhost\r\nconnection: close\r\n"));
    assertEquals(answers(await client.read()), 1);

    using old = await connect();
    await old.send(get("/", "", "1.0"));
    assertEquals(answers(await old.read()), 1);
    using older = await connect();
    await older.send(get("/", "connection: keep-alive\r\n", "1.0"), get("/", "", "1.0"));
    assertEquals(answers(await older.read()), 2);
  }));

Deno.test("an answer without a body says that it has none, unless it can have none", () =>
  listening((request) => {
    const status = Number(new URL(request.url).pathname.slice(1));
    return Promise.resolve(new Response(null, { status, headers: { "x-a": "b" } }));
  }, async (connect) => {
    using client = await connect();
    for (
      const [method, status, length] of [["GET", 200, true], ["GET", 404, true], ["HEAD", 200, false], [
        "OPTIONS",
        204,
        false,
      ], ["GET", 304, false]] as const
    ) {
      await client.send(`${method} /${status} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
      const head = await client.read(/\r\n\r\n$/);
      assertMatch(head, new RegExp(`^HTTP/1.1 ${status} `));
      assertEquals([/^x-a: b\r$/m.test(head), /^content-length: 0\r$/im.test(head)], [true, length], head);
    }
  }));

Deno.test("requests that come before answers to others wait for these, and too many end the connection", async () => {
  const asked: string[] = [], goOn = Promise.withResolvers<void>();
  await listening(async ({ url }) => {
    const { pathname } = new URL(url);
    asked.push(pathname);
    await goOn.promise;
    return new Response(pathname);
  }, async (connect) => {
    using client = await connect();
    await client.send(Array.from({ length: 64 }, (_, i) => get(`/${i}`)).join(""));
    using other = await connect();
    await other.send(Array.from({ length: 65 }, (_, i) => get(`/other/${i}`)).join(""));
    assertEquals(await other.read(), "");
    assertEquals(asked.toSorted(), ["/0", "/other/0"]);
    goOn.resolve();
    const answers = await client.read(/\/63$/), order = Array.from({ length: 64 }, (_, i) => `/${i}`);
    assertEquals(Array.from(answers.matchAll(/\r\n\r\n(\/\d+)/g), ([, path]) => path), order);
    assertEquals(asked.filter((path) => !path.startsWith("/other")), order);
  });
});

Deno.test("a body is asked for where somebody wants it, and one that nobody reads is in nobody's way", () =>
  listening(async (request) => new Response(request.url.endsWith("/unread") ? "unread" : await request.text()), async (
    connect,
  ) => {
    const expects = "expect: 100-continue\r\n", big = "a".repeat(3_000_000);
    using client = await connect();
    const [head, body] = postOf("/read", "abc", expects);
    await client.send(head);
    assertEquals(await client.read(/\r\n\r\n$/), "HTTP/1.1 100 Continue\r\n\r\n");
    await client.send(body);
    assertMatch(await client.read(/abc$/), /connection: keep-alive/i);
    for (const [sent, end] of [[postOf("/unread", big).join(""), "unread"], [get("/next"), ""]] as const) {
      await client.send(sent);
      await client.read(new RegExp(`\r\n\r\n${end}$`));
    }
    await client.send(`${get("/unread").trimEnd()}\r\ncontent-length: ${big.length}\r\n\r\n${big}${get("/next")}`);
    await client.read(/unreadHTTP.*\r\n\r\n$/s);
    // Who was not told to go on sends the body or does not: what comes next could be either.
    await client.send(postOf("/unread", "abc", expects)[0]);
    assertMatch(await client.read(), /^HTTP\/1\.1 200 .*connection: close.*unread$/is);
    using other = await connect();
    await other.send(...postOf("/read", "abc", "expect: nothing else\r\n"));
    assertMatch(await other.read(/abc$/), /^HTTP\/1\.1 200/);
  }));

Deno.test("a stream's head is sent before its first piece, and a client that does not read is waited for", async () => {
  const cancelled = Promise.withResolvers<void>();
  let pieces = 0, flows = false;
  const body = () =>
    new ReadableStream<Uint8Array>({
      async pull(controller) {
        if (!flows) return await new Promise(() => {});
        controller.enqueue(new Uint8Array(1 << 20));
        pieces++;
      },
      cancel: () => cancelled.resolve(),
    }, { highWaterMark: 0 });
  await listening(
    (request) => {
      if (request.url.endsWith("/flood")) flows = true;
      const failing = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error("failed")) });
      const stream = request.url.endsWith("/failing") ? failing : body();
      return Promise.resolve(new Response(stream, { headers: { "content-type": "text/event-stream" } }));
    },
    async (connect) => {
      using early = await connect();
      await early.send(get("/"));
      assertMatch(await early.read(/\r\n\r\n$/), /^HTTP\/1\.1 200 OK\r\n.*text\/event-stream/s);
      early[Symbol.dispose]();
      await cancelled.promise;

      // What fails midway does not end as if it were whole.
      using failing = await connect();
      await failing.send(get("/failing"));
      assertEquals((await failing.read()).endsWith("0\r\n\r\n"), false);

      using slow = await connect();
      await slow.send(get("/flood"));
      // The system's buffers take some megabytes, and nobody makes more, however often it might.
      for (let turns = 0, before = 0; turns < 200; turns = pieces > 0 && pieces === before ? turns + 1 : 0) {
        before = pieces;
        await pause(1);
        assert(pieces < 64, `${pieces} MiB`);
      }
    },
  );
});

Deno.test("a body that does not come is not waited for when it closes, and its client hears of it", async () => {
  const asked = Promise.withResolvers<void>();
  const listener = await Listener.open(
    async (request) => {
      asked.resolve();
      return new Response(await request.text().catch(({ message }) => message));
    },
    "127.0.0.1",
    0,
  );
  using client = await RawClient.connect(listener.address);
  await client.send(postOf("/", "abc")[0], "a");
  await asked.promise;
  await listener.close(1 << 30);
  assertMatch(await client.read(), /the server is stopping$/);
});

Deno.test("answers on their way are waited for when it closes, and nobody who sends none", async () => {
  const goOn = Promise.withResolvers<void>(), asked = Promise.withResolvers<void>(), ended: string[] = [];
  const listener = await Listener.open(
    async ({ signal, url }) => {
      signal.addEventListener("abort", () => ended.push(url));
      if (url.endsWith("/last")) asked.resolve();
      await (url.endsWith("/never") ? new Promise<void>(() => {}) : goOn.promise);
      return new Response("whole");
    },
    canListen("::1") ? "::1" : "127.0.0.1",
    0,
  );
  using silent = await RawClient.connect(listener.address);
  using half = await RawClient.connect(listener.address);
  await half.send("GET / HT");
  using last = await RawClient.connect(listener.address);
  await last.send(get("/last"));
  await asked.promise;
  const { address } = listener, closed = listener.close(1 << 30);
  await assertRejects(() => RawClient.connect(address), Deno.errors.ConnectionRefused);
  goOn.resolve();
  assertMatch(await last.read(), /whole$/);
  await closed;
  assertEquals([await silent.read(), await half.read(), ended], ["", "", []]);

  const hasty = await Listener.open(
    (request) => {
      request.signal.addEventListener("abort", () => ended.push(request.url));
      return new Promise<never>(() => {});
    },
    "127.0.0.1",
    0,
  );
  using never = await RawClient.connect(hasty.address);
  await never.send(get("/never"));
  await hasty.close(50);
  assertEquals(await never.read(), "");
});

Deno.test("an address that cannot be had is said as Deno says it", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = (host: string, port: number) => Listener.open(echo, host, port);
  await assertRejects(() => open("127.0.0.1", taken.addr.port), Deno.errors.AddrInUse, "Address already in use");
  await assertRejects(() => open("203.0.113.1", 0), Deno.errors.AddrNotAvailable, "Cannot assign requested address");
});
