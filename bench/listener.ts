/**
 * What the server's listener takes beside Deno.serve, of processor time and of time, in turns: small requests, and
 * streams that send a piece every millisecond, as a fast model's. No model answers.
 *
 *     deno run --allow-all bench/listener.ts [--turns=11]
 */
import { spreadOf, spreadText } from "../src/bench/spread.ts";
import { Listener } from "../src/serve/http/listener.ts";
import { countOf, optionsOrEnd } from "./options.ts";
import { pairedRatio } from "./paired.ts";

const KINDS = ["Deno.serve", "node:http"] as const, CLIENTS = 16, REQUESTS = 4000, PIECES = 512;
const BODY = JSON.stringify({ prompt: "Tom has 3 apples and buys 4 more.", max_tokens: 20, temperature: 0 });
const PIECE = new TextEncoder().encode(`data: ${JSON.stringify({ id: "cmpl-", text: "x".repeat(180) })}\n\n`);

async function answer(request: Request): Promise<Response> {
  if (!request.url.endsWith("/stream")) return Response.json(await request.json());
  let pieces = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (pieces > 0) await new Promise((resolve) => setTimeout(resolve, 1));
      controller.enqueue(PIECE);
      if (++pieces === PIECES) controller.close();
    },
  }, { highWaterMark: 0 });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

async function serve(kind: string): Promise<void> {
  if (kind === "node:http") return console.log((await Listener.open(answer, "127.0.0.1", 0)).address.port);
  Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: ({ port }) => console.log(port) }, answer);
}

/** A server as a process of its own. */
class Server implements Disposable {
  private constructor(readonly url: string, readonly child: Deno.ChildProcess) {}

  static async start(kind: string): Promise<Server> {
    const args = ["run", "--no-check", "--allow-all", import.meta.filename!, `--serve=${kind}`];
    const child = new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
    const port = new TextDecoder().decode((await child.stdout.getReader().read()).value).trim();
    return new Server(`http://127.0.0.1:${port}`, child);
  }

  /** Milliseconds of processor time so far. */
  get processor(): number {
    const tasks = Deno.readDirSync(`/proc/${this.child.pid}/task`);
    const times = Array.from(
      tasks,
      ({ name }) => Number(Deno.readTextFileSync(`/proc/${this.child.pid}/task/${name}/schedstat`).split(" ")[0]),
    );
    return times.reduce((sum, time) => sum + time) / 1e6;
  }

  [Symbol.dispose](): void {
    this.child.kill();
  }
}

/** What one turn of a server gave. */
async function turn(server: Server): Promise<Record<string, number>> {
  const post = (path: string) => fetch(server.url + path, { method: "POST", body: BODY });
  const each = (work: () => Promise<void>) => Promise.all(Array.from({ length: CLIENTS }, work));
  const timed = async (work: () => Promise<unknown>) => {
    const began = performance.now(), before = server.processor;
    await work();
    return { clock: performance.now() - began, processor: server.processor - before };
  };
  const requests = await timed(() =>
    each(async () => {
      for (let i = 0; i < REQUESTS / CLIENTS; i++) await (await post("/")).json();
    })
  );
  const streams = await timed(() =>
    each(async () => {
      for await (const _piece of (await post("/stream")).body!);
    })
  );
  const firsts: number[] = [];
  for (let i = 0; i < 100; i++) {
    const began = performance.now(), reader = (await post("/stream")).body!.getReader();
    await reader.read();
    firsts.push(performance.now() - began);
    await reader.cancel();
  }
  return {
    "microseconds of a request, by the clock": 1000 * requests.clock / REQUESTS,
    "microseconds of a request, of processor time": 1000 * requests.processor / REQUESTS,
    "microseconds of a piece, of processor time": 1000 * streams.processor / (CLIENTS * PIECES),
    "milliseconds to the first piece, median of 100": spreadOf(firsts).median,
  };
}

const option = (name: string) => Deno.args.find((given) => given.startsWith(`--${name}=`))?.slice(name.length + 3);

async function compare(turns: number): Promise<void> {
  using first = await Server.start(KINDS[0]);
  using second = await Server.start(KINDS[1]);
  const found = [first, second].map((): Record<string, number>[] => []);
  // The first turn compiles.
  for (let i = -1; i < turns; i++) {
    const order = [first, second].entries().toArray();
    for (const [at, server] of i % 2 === 0 ? order : order.reverse()) {
      const figures = await turn(server);
      if (i >= 0) found[at]!.push(figures);
    }
  }
  for (const what of Object.keys(found[0]![0]!)) {
    const [old, own] = found.map((all) => all.map((figures) => figures[what]!));
    const [before, now] = [old!, own!].map((values) => spreadText(spreadOf(values)));
    console.log(`${what}: ${KINDS[0]} ${before}, ${KINDS[1]} ${now}, ratio ${spreadText(pairedRatio(own!, old!))}`);
  }
  console.log(`medians of ${turns} turns, intervals that hold them with 95% where there are enough`);
}

const kind = option("serve");
await (kind === undefined ? compare(optionsOrEnd(() => countOf("--turns", option("turns") ?? "11"))) : serve(kind));
