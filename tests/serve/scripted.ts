/** A service that replays written replies, so that what becomes of their tokens can be told exactly. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { Stream } from "../../src/serve/engine/generation.ts";
import type { Job, ScoredToken } from "../../src/serve/engine/job.ts";
import type { ServedModel, Service } from "../../src/serve/engine/service.ts";
import { type App, makeApp } from "../../src/serve/http/app.ts";
import type { Endpoint } from "../../src/serve/http/endpoint.ts";
import { decode } from "../../src/text/stream_decoder.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { TINY } from "../text/goldens.ts";

const tokenizer = await Tokenizer.fromDirectory(TINY);
const { config } = openCheckpoint(TINY);

/** A server with scripted replies. */
export interface Scripted {
  readonly app: App;
  /** Jobs that were submitted, in order. */
  readonly jobs: Job[];
  /** Prompts of the jobs as text, special tokens by name. */
  readonly prompts: string[];
  /** The replies to come, special tokens by name; each job takes one. */
  script(...replies: string[]): void;
  /** Posts JSON and reads JSON, with an API key or none. */
  post(path: string, body: unknown, key?: string): Promise<{ status: number; json: Json }>;
  /** Posts JSON and reads server-sent events. */
  stream(path: string, body: unknown): Promise<{ event: string | null; data: Json }[]>;
  /** Without a body. */
  call(method: string, path: string, key?: string): Promise<{ status: number; json: Json }>;
}

/** What tests read out of answers. */
// deno-lint-ignore no-explicit-any
export type Json = any;

/**
 * @param textDirectory Where the chat template is looked for.
 * @param apiKeys Keys of which a request must bring one; none: none is needed.
 */
export function scripted(
  endpoints: readonly Endpoint[],
  textDirectory: string = TINY,
  apiKeys: readonly string[] = [],
): Scripted {
  const jobs: Job[] = [], prompts: string[] = [], replies: string[] = [];
  const model: ServedModel = {
    name: "scripted",
    scheme: null,
    textDirectory,
    config,
    tokenizer,
    // As where a config names one of several.
    stopIds: new Set(config.eosTokenIds.slice(0, 1)),
    limits: { context: 2000, promptTokens: 2000, maxTokens: 2000 },
    created: 1_700_000_000,
  };
  const service: Service = {
    models: [model],
    model: () => model,
    load: () => ({ running: 0, waiting: 0, cacheUsage: 0, pages: null, broken: null }),
    submit: (_, job) => {
      jobs.push(job);
      prompts.push(decode(tokenizer, job.prompt, "keep"));
      return replay(job, tokenizer.encode(replies.shift() ?? "", { allowSpecial: true }));
    },
  };
  const app = makeApp({ service, endpoints, guard: { apiKeys }, bodyBytes: 1 << 20, log: () => {} });
  const send = (method: string, path: string, body?: unknown, key?: string) =>
    app.fetch(
      new Request(`http://localhost${path}`, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        headers: {
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        },
      }),
    );
  const json = async (response: Response) => ({ status: response.status, json: await response.json() });
  return {
    app,
    jobs,
    prompts,
    script: (...more) => void replies.push(...more),
    post: async (path, body, key) => await json(await send("POST", path, body, key)),
    call: async (method, path, key) => await json(await send(method, path, undefined, key)),
    stream: async (path, body) => await eventsOf(await send("POST", path, body)),
  };
}

/** Server-sent events. */
export async function eventsOf(response: Response): Promise<{ event: string | null; data: Json }[]> {
  const text = await response.text();
  if (!response.headers.get("content-type")!.startsWith("text/event-stream")) throw new Error(text);
  return text.split("\n\n").filter((block) => block !== "").map((block) => {
    const [, event = null] = /^event: (.*)$/m.exec(block) ?? [], [, data] = /^data: (.*)$/m.exec(block)!;
    return { event, data: data === "[DONE]" ? data : JSON.parse(data!) };
  });
}

/** Does with written tokens what the engine does with those that it chose. */
function replay(job: Job, ids: Int32Array): Stream {
  const stream = new Stream(() => {}), logits = new Float32Array(tokenizer.vocabSize);
  const timings = { queued: 0, prefill: 0, decode: 0 };
  stream.prompted([]);
  let reason: "stop" | "length" = "length", generatedTokens = 0;
  for (const id of ids.subarray(0, job.maxTokens)) {
    logits.fill(0);
    job.mask?.apply(logits);
    if (logits[id] !== 0) {
      stream.fail(new Error(`the mask forbids ${JSON.stringify(decode(tokenizer, [id], "keep"))}`));
      return stream;
    }
    job.mask?.push(id);
    generatedTokens++;
    const token: ScoredToken = {
      id,
      logProbability: job.logprobs === null ? null : -0.5,
      top: Array.from({ length: job.logprobs ?? 0 }, (_, i) => [i === 0 ? id : i, -0.5 - i] as const),
    };
    const stopped = (job.watch?.(id) ?? false) || job.stopIds.has(id);
    stream.push(token);
    if (stopped) {
      reason = "stop";
      break;
    }
  }
  stream.end({ reason, promptTokens: job.prompt.length, cachedTokens: 3, generatedTokens, timings });
  return stream;
}
