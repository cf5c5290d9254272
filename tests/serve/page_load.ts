/**
 * More sequences than a server's pages hold: clients that stream, wait for whole replies, leave and give up, with
 * prompts of many lengths, some of which begin alike. Afterwards no page may be lost, and numbers must agree.
 */
import { assert, assertEquals } from "../assert.ts";
import { Seeded } from "./seeded.ts";

/** How much is asked for. */
export interface LoadSize {
  readonly clients: number;
  /** Requests of each, one after another. */
  readonly requests: number;
  /** Most tokens of a prompt, beside the beginning that every other one has in common with others. */
  readonly prompt: number;
  /** Tokens of that beginning. */
  readonly common: number;
  /** Most tokens of a reply; two of three have nearly as many, so that those who run outgrow the pages together. */
  readonly reply: number;
  readonly vocab: number;
  /** Positions of the one sequence that takes all pages at the end, prompt and reply: the server's `--context`. */
  readonly whole: number;
}

/** What clients saw. */
export interface LoadSeen {
  readonly seconds: number;
  /** Requests by what became of them. */
  readonly counts: Readonly<Record<string, number>>;
  /** Tokens of replies that clients received whole. */
  readonly tokens: number;
  readonly cachedTokens: number;
  /** Whole replies that are, to the letter, those to the same prompts alone, and those that were asked for twice. */
  readonly sameAsAlone: number;
  readonly asked: number;
  /** Pages in all, most that were seen in use, those that ended sequences left, and after the last one. */
  readonly pages: {
    readonly pages: number;
    readonly most: number;
    readonly left: number;
    readonly last: number;
    readonly preemptions: number;
  };
  /** Seconds that the sequence which takes all pages took. */
  readonly whole: number;
}

/** A prompt, and how long its reply is to be. */
interface Asked {
  readonly prompt: readonly number[];
  readonly max_tokens: number;
}

/** What came of a request. */
interface Reply {
  readonly text: string;
  readonly tokens: number;
  readonly cached: number;
}

/** Clients of a server whose sequences share pages. */
export async function pageLoad(url: string, size: LoadSize): Promise<LoadSeen> {
  const before = await health(url), start = await metrics(url), counts: Record<string, number> = {};
  assertEquals([start["num_requests_running"], start["num_requests_waiting"]], [0, 0]);
  const known = Array.from({ length: Math.min(4, size.clients) }, (_, i) => askedOf(size, i, 0)), alone: string[] = [];
  for (const asked of known) alone.push((await whole(url, asked, false)).text);
  const knownTokens = known.reduce((sum, { max_tokens }) => sum + max_tokens, 0);

  let tokens = 0, cachedTokens = 0, sameAsAlone = 0, asked = 0, most = 0, prompts = 0, busy = true;
  const client = async (number: number) => {
    for (let turn = 0; turn < size.requests; turn++) {
      const random = new Seeded(1000 * turn + number + 1), one = askedOf(size, number, turn), kind = number % 8;
      const what = kind === 3 ? "left" : kind === 6 ? "given up" : number % 2 === 0 ? "streamed" : "whole";
      counts[what] = (counts[what] ?? 0) + 1;
      if (what === "left") await leave(url, one, 1 + random.below(one.max_tokens));
      else if (what === "given up") await giveUp(url, one, random.below(1500));
      else {
        const reply = await whole(url, one, what === "streamed");
        assertEquals(reply.tokens, one.max_tokens, `client ${number}`);
        tokens += reply.tokens;
        cachedTokens += reply.cached;
        prompts += one.prompt.length;
        if (turn > 0 || alone[number] === undefined) continue;
        asked++;
        if (reply.text === alone[number]) sameAsAlone++;
      }
    }
  };
  const watch = async () => {
    while (busy) {
      const { used, pages } = await health(url);
      assert(used <= pages, `${used} of ${pages} pages`);
      most = Math.max(most, used);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const watching = watch(), began = performance.now();
  await Promise.all(Array.from({ length: size.clients }, (_, number) => client(number)));
  const seconds = (performance.now() - began) / 1000;
  busy = false;
  await watching;
  const idle = await untilIdle(url), left = await health(url);
  assertEquals([idle["request_failure_total"] ?? 0, idle["kv_cache_usage_perc"]], [0, 0]);
  assertEquals([idle["kv_pages"], idle["kv_pages_used"]], [left.pages, left.used]);
  assertEquals(idle["num_preemptions_total"] ?? 0, left.preemptions);
  assertEquals(left.pages, before.pages);
  const grown = (name: string) => (idle[name] ?? 0) - (start[name] ?? 0);
  assert(grown("generation_tokens_total") >= tokens + knownTokens, "tokens are missing in /metrics");
  assert(grown("prompt_tokens_total") >= prompts, "tokens of prompts are missing in /metrics");
  assertEquals(ended(idle) - ended(start) >= asked + known.length, true);

  // Whatever is lost, even a few pages, this one cannot have.
  const all = { prompt: tokensOf(size, 7, size.whole - 8), max_tokens: 8 }, since = performance.now();
  assertEquals((await whole(url, all, false)).tokens, 8);
  const took = (performance.now() - since) / 1000, last = await untilIdle(url);
  assertEquals(last["request_failure_total"] ?? 0, 0);
  return {
    ...{ seconds, counts, tokens, cachedTokens, sameAsAlone, asked },
    pages: { pages: left.pages, most, left: left.used, last: last["kv_pages_used"]!, preemptions: left.preemptions },
    whole: took,
  };
}

/** Tokens by a number; none of the last ones, which are special. */
const tokensOf = ({ vocab }: LoadSize, seed: number, length: number): number[] =>
  Array.from({ length }, (_, i) => (seed * 131 + i * (7 + seed % 5) + i * i) % (vocab - 32));

/** What a client asks for. */
function askedOf(size: LoadSize, client: number, turn: number): Asked {
  const random = new Seeded(100_000 * turn + client);
  const own = tokensOf(size, 10 + client + 1000 * turn, 1 + random.below(size.prompt));
  const most = size.reply, common = client % 2 === 0 ? tokensOf(size, 1 + client % 4, size.common) : [];
  return {
    prompt: [...common, ...own],
    max_tokens: most - random.below(client % 3 === 0 ? most : Math.ceil(most / 9)),
  };
}

function post(url: string, asked: Asked, stream: boolean, signal?: AbortSignal): Promise<Response> {
  const usage = stream ? { stream_options: { include_usage: true } } : {};
  return fetch(`${url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({ ...asked, ...usage, stream, temperature: 0, ignore_eos: true }),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** A reply to its end. */
async function whole(url: string, asked: Asked, stream: boolean): Promise<Reply> {
  const response = await post(url, asked, stream), body = await response.text();
  assertEquals(response.status, 200, body);
  const pieces = stream
    ? body.split("\n\n").filter((line) => line.startsWith("data: {")).map((line) => JSON.parse(line.slice(6)))
    : [JSON.parse(body)];
  const error = pieces.find((piece) => piece.error !== undefined)?.error;
  assertEquals(error, undefined);
  const { usage } = pieces.at(-1);
  return {
    text: pieces.map(({ choices }) => choices[0]?.text ?? "").join(""),
    tokens: usage.completion_tokens,
    cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
  };
}

/** Leaves a stream after some pieces. */
async function leave(url: string, asked: Asked, after: number): Promise<void> {
  const response = await post(url, asked, true);
  let seen = 0;
  for await (const _ of response.body!) if (++seen >= after) break;
}

/** Waits for a whole reply, but not for long. */
async function giveUp(url: string, asked: Asked, milliseconds: number): Promise<void> {
  const abort = new AbortController(), timer = setTimeout(() => abort.abort(), milliseconds);
  try {
    await (await post(url, asked, false, abort.signal)).text();
  } catch (thrown) {
    assert(abort.signal.aborted, String(thrown));
  } finally {
    clearTimeout(timer);
  }
}

interface Pages {
  readonly pages: number;
  readonly used: number;
  readonly preemptions: number;
}

async function health(url: string): Promise<Pages> {
  const response = await fetch(`${url}/health`), { kv_pages } = await response.json();
  assertEquals(response.status, 200);
  return Object.values(kv_pages as Record<string, Pages>)[0]!;
}

/** Sums over labels, by name without prefix. */
async function metrics(url: string): Promise<Record<string, number>> {
  const sums: Record<string, number> = {};
  for (const line of (await (await fetch(`${url}/metrics`)).text()).split("\n")) {
    const [, name, value] = /^mxoss:(\w+)(?:\{.*\})? (\S+)$/.exec(line) ?? [];
    if (name !== undefined) sums[name] = (sums[name] ?? 0) + Number(value);
  }
  return sums;
}

const ended = (sums: Readonly<Record<string, number>>) => sums["request_success_total"] ?? 0;

/** The metrics once nothing runs and nothing waits. */
async function untilIdle(url: string): Promise<Record<string, number>> {
  for (let i = 0; i < 2000; i++) {
    const sums = await metrics(url);
    if (sums["num_requests_running"] === 0 && sums["num_requests_waiting"] === 0) return sums;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("the server is not idle minutes after the last client");
}
