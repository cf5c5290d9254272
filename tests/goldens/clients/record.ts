/**
 * Runs a program against `mxoss serve` of the embedded model, through a proxy that writes down what it asks: a line of
 * JSON for each request, with the status that it got. Requests that are the same but for texts of prompts are written
 * once.
 *
 *     deno run -A tests/goldens/clients/record.ts "guidellm 0.8.1" OUT.jsonl guidellm run ... kind=openai_http,target=URL
 *
 * `URL` in the program's arguments is replaced by the proxy's address, which is in the variable MXOSS_URL too. The
 * commands that made the recordings are in README.md beside this script.
 */
import { startServer } from "../../serve/server_process.ts";

const [client, out, ...words] = Deno.args;
if (client === undefined || out === undefined || words.length === 0) throw new Error("CLIENT OUT COMMAND ...");

/** Fields whose texts say nothing of how a client asks. */
const TEXTS = new Set(["content", "text", "prompt", "input", "id"]);

/** A request whose texts are cut to what tells one kind from another: nothing of short ones, the head of long ones. */
function shapeOf(value: unknown, field = ""): unknown {
  if (typeof value === "string") return TEXTS.has(field) ? value.slice(0, value.length > 200 ? 40 : 0) : value;
  if (Array.isArray(value)) return value.slice(0, 2).map((item) => typeof item === "number" ? 0 : shapeOf(item, field));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shapeOf(item, key)]));
}

await using server = await startServer(["--sequences=8", "--context=2048"]);
const lines: string[] = [], seen = new Set<string>();
const proxy = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
  const { method, headers } = request, { pathname, search } = new URL(request.url), path = pathname + search;
  const text = await request.text(), body: unknown = text === "" ? null : JSON.parse(text);
  const forwarded = new Headers({ "content-type": headers.get("content-type") ?? "application/json" });
  const answer = await fetch(`${server.url}${path}`, {
    method,
    headers: forwarded,
    signal: request.signal,
    ...(text === "" ? {} : { body: text }),
  });
  const key = JSON.stringify([method, path, shapeOf(body)]);
  if (!seen.has(key)) {
    seen.add(key);
    lines.push(JSON.stringify({ client, method, path, body, status: answer.status }));
  }
  return new Response(answer.body, { status: answer.status, headers: answer.headers });
});
const url = `http://127.0.0.1:${proxy.addr.port}`;
const [program, ...args] = words.map((word) => word.replaceAll("URL", url));
const { code } = await new Deno.Command(program!, { args, env: { MXOSS_URL: url } }).spawn().status;
await proxy.shutdown();
Deno.writeTextFileSync(out, lines.map((line) => `${line}\n`).join(""));
console.log(`${program}: exit code ${code}, ${lines.length} kinds of requests`);
