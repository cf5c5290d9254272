/** The embedded model behind the endpoints, in the test's own process and without a socket. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { allEndpoints } from "../../src/serve/endpoints/all.ts";
import { Metrics } from "../../src/serve/endpoints/metrics.ts";
import type { Job } from "../../src/serve/engine/job.ts";
import { type LoadedModel, ModelService } from "../../src/serve/engine/model_service.ts";
import { type App, makeApp } from "../../src/serve/http/app.ts";
import type { LogLine } from "../../src/serve/http/exchange.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import type { Engine } from "../../src/model/engine.ts";
import { Session } from "../../src/session/session.ts";
import { openSession, type SessionOptions } from "../session/open_session.ts";

/** Directory of the embedded model. */
export const TINY = new URL("../../models/tiny-gpt-oss", import.meta.url).pathname;

/** What {@linkcode openServing} is told; all has defaults. */
export interface ServingOptions extends Partial<SessionOptions> {
  /** Schemes to serve beside each other; null: the checkpoint's own. */
  readonly schemes?: readonly (string | null)[];
  readonly queue?: number;
  readonly milliseconds?: number;
  readonly apiKeys?: readonly string[];
  readonly bodyBytes?: number;
  readonly bodyMs?: number;
  /** Tokens of a reply. */
  readonly maxReply?: number;
  /** Puts another engine under a session. */
  readonly engine?: (own: Engine) => Engine;
  /** Whether an engine that fails for good is opened again. */
  readonly reopens?: boolean;
}

/** An answer's JSON, of which a test looks at what it likes. */
export type Json = ReturnType<Response["json"]>;

/** A served model. */
export interface Serving extends AsyncDisposable {
  readonly service: ModelService;
  readonly app: App;
  readonly log: LogLine[];
  /** Gets a path, as JSON. */
  get(path: string): Json;
  /** Posts JSON. */
  post(path: string, body: unknown, headers?: Readonly<Record<string, string>>): Promise<Response>;
}

/** A job of a test's client: the likeliest tokens, and nothing that is not asked for. */
export function jobOf(prompt: Int32Array, more: Partial<Job> = {}): Job {
  return {
    prompt,
    maxTokens: 8,
    stopIds: new Set(),
    sampling: {},
    logprobs: null,
    echo: false,
    client: "a",
    requestId: crypto.randomUUID(),
    ...more,
  };
}

/** Opens models behind all endpoints. */
export async function openServing(options: ServingOptions = {}): Promise<Serving> {
  const {
    schemes = [null],
    queue = 64,
    milliseconds = 60_000,
    apiKeys = [],
    bodyBytes = 1 << 20,
    bodyMs,
    maxReply,
    engine,
    reopens = false,
    ...session
  } = options;
  const checkpoint = openCheckpoint(TINY), tokenizer = await Tokenizer.fromDirectory(TINY);
  const loaded: LoadedModel[] = [], metrics = new Metrics();
  for (const scheme of schemes) {
    const open = async () => {
      const own = await openSession(checkpoint, {
        backend: "emulate",
        dtype: "bf16",
        kvCacheDtype: "auto",
        context: 400,
        slots: 4,
        rewind: 256,
        maxTokens: 64,
        threads: 1,
        ...session,
        ...(scheme === null ? {} : { scheme }),
      });
      return engine === undefined ? own : new Session(engine(own.engine), own.limits);
    };
    const opened = await open(),
      { context } = opened.limits,
      name = scheme === null ? "tiny-gpt-oss" : `tiny-gpt-oss@${scheme}`;
    loaded.push({
      session: opened,
      observer: metrics.observer(name),
      ...(reopens ? { reopen: open } : {}),
      model: {
        name,
        scheme,
        textDirectory: TINY,
        config: checkpoint.config,
        tokenizer,
        stopIds: new Set(checkpoint.config.eosTokenIds),
        limits: { context, promptTokens: context, maxTokens: maxReply ?? context },
        created: 1_700_000_000,
      },
    });
  }
  const service = new ModelService(loaded, { queue, milliseconds }), log: LogLine[] = [];
  const endpoints = allEndpoints(service, metrics, "0.0.0");
  const app = makeApp({ service, endpoints, guard: { apiKeys }, bodyBytes, bodyMs, log: (line) => log.push(line) });
  return {
    service,
    app,
    log,
    get: async (path) => await (await app.fetch(new Request(`http://localhost${path}`))).json(),
    post: (path, body, headers = {}) =>
      app.fetch(
        new Request(`http://localhost${path}`, {
          method: "POST",
          headers: { "content-type": "application/json", ...headers },
          body: typeof body === "string" ? body : JSON.stringify(body),
        }),
      ),
    [Symbol.asyncDispose]: async () => {
      app.abort();
      await service.close();
    },
  };
}
