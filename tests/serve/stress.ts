/** Many clients at once that behave well, badly and not at all: nothing may be lost, mixed or leaked. */
import { assert, assertEquals } from "../assert.ts";
import { Seeded } from "./seeded.ts";
import { residentBytes, type ServerProcess } from "./server_process.ts";

const PROMPTS = [
  "Tom has 3 apples and buys 4 more.",
  "Ann reads 12 pages a day.",
  "A baker makes 20 rolls and sells half of them.",
  "Bo has 17 marbles. He gives 5 of them to his brother and finds 3 new ones.",
  "Kim",
];
const MOST_TOKENS = 48;

/** What clients saw. */
export interface Stress {
  /** Requests that were sent, by what became of them. */
  readonly counts: Readonly<Record<string, number>>;
  readonly tokens: number;
  /** Bytes that the server held after a third of the time, and at the end. */
  readonly memory: readonly [number, number];
}

/** A reply that is known. */
interface Known {
  readonly prompt: string;
  readonly seed: number;
  readonly ids: readonly string[];
}

/** What becomes of requests, as far as clients have it in their hands. */
const KINDS = ["whole", "left", "slow", "aborted", "malformed", "oversized", "unknown field"] as const;

/** Clients of a server, for some seconds, and on a slow machine until there was a request of each kind. */
export async function stress(server: ServerProcess, clients: number, seconds: number): Promise<Stress> {
  const known = await knownReplies(server.url), counts: Record<string, number> = {};
  const count = (what: string) => counts[what] = (counts[what] ?? 0) + 1;
  const end = performance.now() + 1000 * seconds;
  let tokens = 0;
  const client = async (number: number) => {
    const random = new Seeded(number);
    while (performance.now() < end || KINDS.some((kind) => counts[kind] === undefined)) {
      const { what, more = 0 } = await once(server.url, known, random);
      count(what);
      tokens += more;
    }
  };
  const early = new Promise<number>((resolve) =>
    setTimeout(() => resolve(residentBytes(server.pid)), 1000 * seconds / 3)
  );
  await Promise.all(Array.from({ length: clients }, (_, i) => client(i)));
  await idle(server.url);
  return { counts, tokens, memory: [await early, residentBytes(server.pid)] };
}

/** Replies by themselves, before anybody else asks. */
async function knownReplies(url: string): Promise<Known[]> {
  const known: Known[] = [];
  for (const prompt of PROMPTS) {
    for (const seed of [1, 2]) {
      const response = await post(url, { ...request(prompt, seed, MOST_TOKENS), stream: false });
      const { choices: [{ logprobs }] } = await response.json();
      known.push({ prompt, seed, ids: logprobs.tokens });
    }
  }
  return known;
}

function request(prompt: string, seed: number, max_tokens: number) {
  const asIds = { logprobs: 0, return_tokens_as_token_ids: true };
  return { prompt, seed, max_tokens, temperature: 1, stream: true, ...asIds };
}

function post(url: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  return fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** One request of one of the kinds that there are. */
async function once(url: string, known: readonly Known[], random: Seeded): Promise<{ what: string; more?: number }> {
  const kind = random.below(100);
  if (kind < 6) return await refused(url, '{"prompt": "Ann", "max_tok', 400, "malformed");
  if (kind < 10) return await refused(url, { prompt: "a".repeat(100_000) }, 413, "oversized");
  if (kind < 12) return await refused(url, { prompt: "Ann", temperatur: 1 }, 400, "unknown field");
  const { prompt, seed, ids } = known[random.below(known.length)]!;
  const most = 1 + random.below(MOST_TOKENS), body = request(prompt, seed, most);
  if (kind < 20) {
    // Goes away while it waits, without a stream.
    const abort = new AbortController(), timer = setTimeout(() => abort.abort(), random.below(300));
    try {
      const response = await post(url, { ...body, stream: false }, abort.signal);
      await response.json();
      return { what: response.status === 429 ? "429" : "in time" };
    } catch {
      return { what: "aborted" };
    } finally {
      clearTimeout(timer);
    }
  }
  const leaveAfter = kind < 40 ? random.below(most) : Infinity, pause = kind >= 90 ? 20 + random.below(200) : 0;
  const response = await post(url, body);
  if (response.status === 429) {
    await response.body!.cancel();
    assert(Number(response.headers.get("retry-after")) > 0);
    await new Promise((resolve) => setTimeout(resolve, 50 + random.below(200)));
    return { what: "429" };
  }
  assertEquals(response.status, 200);
  const got = await readStream(response, leaveAfter, pause), wanted = ids.slice(0, most);
  if (got.left) {
    assertEquals(got.ids, wanted.slice(0, got.ids.length));
    return { what: "left", more: got.ids.length };
  }
  assertEquals(got.ids, wanted, `${prompt} ${seed} ${most}`);
  return { what: pause > 0 ? "slow" : "whole", more: got.ids.length };
}

async function refused(url: string, body: unknown, status: number, what: string) {
  const response = await post(url, body), { error } = await response.json();
  assertEquals([response.status, typeof error.message], [status, "string"]);
  return { what };
}

/** Tokens of a stream, up to its end or until the reader leaves. */
async function readStream(response: Response, leaveAfter: number, pause: number) {
  const ids: string[] = [];
  let rest = "", done = false;
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split("\n\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (line.startsWith(":")) continue;
      if (line === "data: [DONE]") done = true;
      else ids.push(...JSON.parse(line.slice("data: ".length)).choices[0].logprobs.tokens);
    }
    if (ids.length > leaveAfter) return { ids, left: true };
    if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
  }
  assert(done, "the stream ended without [DONE]");
  return { ids, left: false };
}

/** Waits until nothing runs and nothing waits. */
async function idle(url: string): Promise<void> {
  for (let i = 0; i < 2000; i++) {
    const text = await (await fetch(`${url}/metrics`)).text();
    const counts = Array.from(text.matchAll(/^mxoss:num_requests_\w+\{.*\} (\d+)$/gm), ([, value]) => Number(value));
    assertEquals(counts.length, 2);
    if (counts.every((value) => value === 0)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("the server is not idle minutes after the last client");
}

/** The server's arguments: limits that are met. */
export const STRESSED = ["--sequences=16", "--context=256", "--queue=40", "--max-body=65536", "--stop-limit=5"];

/** Most that memory may grow in two thirds of the time, in bytes: garbage comes and goes by as much. */
const MOST_GROWTH = 48 * 2 ** 20;

/** Looks at what is left, and ends the server. */
export async function checkStress(server: ServerProcess, { counts, memory: [early, late] }: Stress): Promise<void> {
  const sent = Object.values(counts).reduce((sum, count) => sum + count, 0);
  assert(late - early < MOST_GROWTH, `memory grew from ${early} to ${late} bytes`);
  assertEquals(await server.stop(), 0);
  const statuses = server.log().filter(({ path }) => path === "/v1/completions").map(({ status }) => status as number);
  // Those whose client left before they were read never come.
  const logged = statuses.length - PROMPTS.length * 2, aborted = counts["aborted"] ?? 0;
  assert(logged <= sent && logged >= sent - aborted, `${logged} of ${sent} requests in the log`);
  assertEquals(statuses.filter((status) => status >= 500), []);
  const refused = statuses.filter((status) => status === 429).length, seen = counts["429"] ?? 0;
  assert(refused >= seen && refused <= seen + aborted, `${refused} were refused, of which clients saw ${seen}`);
}
