/** What holds for every endpoint: who is let in, limits, state, and the document. */
import { roomFor } from "../../src/serve/chat/plan.ts";
import { ApiError } from "../../src/serve/api_error.ts";
import { Metrics } from "../../src/serve/endpoints/metrics.ts";
import type { ServedModel } from "../../src/serve/engine/service.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { HeldTimers, SetClock } from "../timers.ts";
import type { Json } from "./scripted.ts";
import { openServing } from "./serving.ts";

const COMPLETION = { prompt: "Ann has", max_tokens: 3, temperature: 0 };

Deno.test("models are listed, and computed by their names", async () => {
  await using serving = await openServing({ schemes: [null, "w_mxfp4_a_mxfp4"], slots: 2, context: 64 });
  const { data } = await serving.get("/v1/models");
  const names = ["tiny-gpt-oss", "tiny-gpt-oss@w_mxfp4_a_mxfp4"];
  assertEquals(data.map(({ id }: { id: string }) => id), names);
  assertEquals((await serving.get(`/v1/models/${names[1]}`)).id, names[1]);
  assertEquals((await serving.get("/v1/models/other")).error.code, "model_not_found");
  const asked = { prompt: "Ann has 3 plums", max_tokens: 1, temperature: 0, logprobs: 0 };
  const scores = await Promise.all([undefined, ...names].map(async (model) => {
    const answer = await (await serving.post("/v1/completions", { ...asked, model })).json();
    return [answer.model, answer.choices[0].logprobs.token_logprobs[0]];
  }));
  assertEquals(scores.map(([model]) => model), [names[0], ...names]);
  assertEquals(scores[0], scores[1]);
  assert(scores[1]![1] !== scores[2]![1], "another scheme gives other numbers");
});

Deno.test("without an API key only this machine is let in, and no page of the web", async () => {
  await using serving = await openServing({ slots: 1, context: 32 });
  const status = async (headers: Record<string, string>, method = "GET") => {
    const response = await serving.app.fetch(new Request("http://localhost/v1/models", { headers, method }));
    return [response.status, response.headers.get("access-control-allow-origin")];
  };
  assertEquals(await status({}), [200, null]);
  assertEquals(await status({ authorization: "Bearer anything" }), [200, null]);
  assertEquals(await status({ origin: "http://localhost:3000" }), [200, "http://localhost:3000"]);
  assertEquals(await status({ origin: "https://example.com" }), [403, null]);
  assertEquals(await status({ origin: "null" }), [403, null]);
  assertEquals(await status({ host: "example.com" }), [403, null]);
  assertEquals(await status({ host: "127.0.0.1:8080" }), [200, null]);
  const preflight = { origin: "http://127.0.0.1:3000", "access-control-request-method": "POST" };
  assertEquals(await status(preflight, "OPTIONS"), [204, "http://127.0.0.1:3000"]);
});

Deno.test("with API keys nobody is let in without one, but to ask how the server is", async () => {
  await using serving = await openServing({ slots: 1, context: 32, apiKeys: ["first", "second"] });
  const status = async (path: string, headers: Record<string, string> = {}) =>
    (await serving.app.fetch(new Request(`http://localhost${path}`, { headers }))).status;
  assertEquals(await status("/v1/models"), 401);
  assertEquals(await status("/v1/models", { authorization: "Bearer third" }), 401);
  assertEquals(await status("/v1/models", { authorization: "Bearer second", host: "example.com" }), 200);
  assertEquals(await status("/v1/models", { authorization: "bearer first", origin: "https://example.com" }), 200);
  assertEquals(await status("/metrics"), 401);
  for (const open of ["/health", "/ping", "/version", "/openapi.json"]) assertEquals(await status(open), 200, open);
  const stranger = await serving.post("/v1/completions", COMPLETION), { error } = await stranger.json();
  assertEquals([error.type, error.code], ["authentication_error", "invalid_api_key"]);
  assertEquals(stranger.headers.get("www-authenticate"), "Bearer");
});

Deno.test("bodies that are too large, other paths and other methods are refused in JSON", async () => {
  await using serving = await openServing({ slots: 1, context: 32, bodyBytes: 100 });
  const large = await serving.post("/v1/completions", { ...COMPLETION, prompt: "a".repeat(100) });
  assertEquals([large.status, (await large.json()).error.code], [413, "too_large"]);
  // What is said of other refusals alone.
  for (const name of ["allow", "retry-after", "www-authenticate"]) assertEquals(large.headers.get(name), null, name);
  const tokenize = (body: BodyInit, headers: Record<string, string> = {}) =>
    serving.app.fetch(new Request("http://localhost/tokenize", { method: "POST", body, headers }));
  assertEquals((await tokenize('{"prompt":"a"}'.padEnd(100), { "content-length": "100" })).status, 200);
  // Nothing is waited for where that is said.
  assertEquals((await tokenize(new ReadableStream(), { "content-length": "101" })).status, 413);
  // Also where nobody says how large it is.
  const body = new Blob(["a".repeat(200)]).stream();
  assertEquals((await tokenize(body)).status, 413);
  assertEquals((await serving.get("/v1/nothing")).error.message, "GET /v1/nothing: no such endpoint");
  const read = await serving.app.fetch(new Request("http://localhost/tokenize"));
  assertEquals([read.status, read.headers.get("allow")], [405, "POST"]);
  assertEquals((await read.json()).error.message, "GET /tokenize: expected POST");
  const wiped = await serving.app.fetch(new Request("http://localhost/v1/responses/x", { method: "PATCH" }));
  assertEquals([wiped.status, wiped.headers.get("allow")], [405, "GET, DELETE"]);
});

Deno.test("a body whose bytes are no text is refused, not answered as another prompt", async () => {
  await using serving = await openServing({ slots: 1, context: 32 });
  const post = async (body: BodyInit, headers: Record<string, string> = {}) => {
    const answer = await serving.app.fetch(new Request("http://localhost/tokenize", { method: "POST", body, headers }));
    return [answer.status, (await answer.json()).error?.message];
  };
  const bytes = new TextEncoder().encode('{"prompt":"?"}'), latin1 = bytes.map((byte) => byte === 0x3f ? 0xe9 : byte);
  assertEquals(await post(bytes), [200, undefined]);
  assertEquals(await post(latin1), [400, "the body is not UTF-8"]);
  assertEquals(await post(bytes, { "content-encoding": "identity" }), [200, undefined]);
  assertEquals(await post(bytes, { "content-encoding": "gzip" }), [
    415,
    'content-encoding: expected none, got "gzip"',
  ]);
});

Deno.test("a body that does not arrive, or not whole, is answered, whether or not its length was said", async () => {
  await using hasty = await openServing({ slots: 1, context: 32, bodyMs: 20 });
  await using patient = await openServing({ slots: 1, context: 32 });
  for (const headers of [{}, { "content-length": "50" }]) {
    const post = async ({ app }: typeof hasty, body: ReadableStream) => {
      const answer = await app.fetch(new Request("http://localhost/tokenize", { method: "POST", body, headers }));
      return [answer.status, (await answer.json()).error.message];
    };
    const silent = new ReadableStream(), cut = new ReadableStream({ pull: (body) => body.error(new Error("reset")) });
    assertEquals(await post(hasty, silent), [408, "the body did not arrive within 0.02 s"]);
    assertEquals(await post(patient, cut), [400, "the body ended early: reset"]);
  }
  assertEquals([hasty.app.running, patient.app.running], [0, 0]);
});

Deno.test("a reply is refused by what bounds it: the longest that is allowed, or what the conversation leaves", () => {
  const limits = { context: 100, promptTokens: 100, maxTokens: 40 }, fields = { prompt: "messages", maxTokens: "most" };
  const room = (length: number, asked?: number) =>
    roomFor({ limits } as ServedModel, new Int32Array(length), asked, fields);
  assertEquals([room(10), room(60), room(70), room(60, 40), room(70, 30)], [40, 40, 30, 40, 30]);
  assertThrows(() => room(10, 41), ApiError, "most: expected at most 40, got 41");
  const left =
    "most: expected at most 30, what a conversation of 70 tokens leaves, got 31; this model's maximum context ";
  assertThrows(() => room(70, 31), ApiError, left);
});

Deno.test("a request that does not say how long its reply may be gets as much as is allowed", async () => {
  await using serving = await openServing({ slots: 2, context: 64, maxReply: 5 });
  const messages = [{ role: "user", content: "Ann has 3 plums." }], endless = { temperature: 0, ignore_eos: true };
  const asked = [["/v1/completions", { prompt: "Ann" }], ["/v1/chat/completions", { messages }]] as const;
  for (const [path, body] of asked) {
    const { usage } = await (await serving.post(path, { ...body, ...endless })).json();
    assertEquals(usage?.completion_tokens, 5, path);
  }
});

Deno.test("a full queue answers 429 with Retry-After, and what waits is answered in turns of the clients", async () => {
  // By a clock that stands still no pause is due, in which a request could overtake another.
  using _clock = new SetClock();
  await using serving = await openServing({ slots: 1, context: 64, queue: 1 });
  const order: string[] = [], refused: string[] = [];
  const ask = async (client: string, more: Json = {}) => {
    const response = await serving.post("/v1/completions", { ...COMPLETION, ...more }, { "user-agent": client });
    const { error } = await response.json();
    if (response.status === 429) refused.push(error.message);
    order.push(`${client} ${response.status}`);
    return response;
  };
  const all = await Promise.all(["a", "a", "a", "b", "c"].map((client) => ask(client)));
  // One runs, one waits, and a client without another request has a place of its own.
  assertEquals(order, ["a 429", "c 429", "a 200", "b 200", "a 200"]);
  assert(Number(all[2]!.headers.get("retry-after")) >= 1);
  const { service } = serving, long = ask("d", { max_tokens: 60, ignore_eos: true });
  while (service.load(service.model()).running === 0) await new Promise((resolve) => setTimeout(resolve));
  await Promise.all([long, ask("d"), ask("d")]);
  assertEquals(refused.map((message) => message.replace("the queue is full: ", "")), [
    "2 requests wait",
    "3 requests wait",
    "1 request waits",
  ]);
  await using fair = await openServing({ slots: 1, context: 64 });
  order.length = 0;
  await Promise.all(["a", "a", "a", "b"].map(async (client) => {
    await (await fair.post("/v1/completions", COMPLETION, { "user-agent": client })).json();
    order.push(client);
  }));
  assertEquals(order, ["a", "b", "a", "a"]);
});

Deno.test("a request that takes too long is answered by 504, one that comes during the stop by 503", async () => {
  // Its time is over once it is being computed, however fast that goes.
  using timers = new HeldTimers("timeout", 30);
  await using serving = await openServing({ slots: 1, milliseconds: 30 });
  const { app, service } = serving;
  const asked = serving.post("/v1/completions", { prompt: "Ann", max_tokens: 390, ignore_eos: true });
  while (service.load(service.model()).running === 0) await new Promise((resolve) => setTimeout(resolve));
  timers.goOff();
  const long = await asked;
  assertEquals([long.status, (await long.json()).error.code], [504, "timeout"]);
  app.refuse();
  const late = await serving.post("/v1/completions", COMPLETION);
  assertEquals([late.status, (await late.json()).error.code, app.running], [503, "stopping", 0]);
});

Deno.test("a client that leaves a stream frees its slot", async () => {
  await using serving = await openServing({ slots: 1 });
  const body = { prompt: "Ann", max_tokens: 390, ignore_eos: true, stream: true };
  const reader = (await serving.post("/v1/completions", body)).body!.getReader();
  await reader.read();
  await reader.cancel();
  assertEquals((await serving.post("/v1/completions", COMPLETION)).status, 200);
  const [left, next] = serving.log;
  assertEquals([left!["left"], next!["status"], serving.app.running], [true, 200, 0]);
  assertEquals(serving.service.load(serving.service.model()).running, 0);
});

Deno.test("every request is a line of the log, with what it took and no text of it", async () => {
  await using serving = await openServing({ slots: 1, context: 64 });
  await (await serving.post("/v1/completions", COMPLETION)).json();
  const [line] = serving.log;
  assertEquals(Object.keys(line!), [
    ...["time", "id", "method", "path", "status", "ms", "model", "prompt_tokens", "cached_tokens", "completion_tokens"],
    ...["finish", "queued_ms", "prefill_ms", "decode_ms"],
  ]);
  assertEquals([line!["completion_tokens"], line!["finish"]], [3, "length"]);
  assert(!JSON.stringify(line).includes("Ann"));
  await (await serving.post("/v1/completions", { ...COMPLETION, stream: true })).text();
  assertEquals(Object.keys(serving.log[1]!), Object.keys(line!));
});

Deno.test("a line of the log is short, however long a path is", async () => {
  await using serving = await openServing({ slots: 1, context: 64 });
  const path = `/v1/${"x".repeat(5000)}`;
  assertEquals((await serving.app.fetch(new Request(`http://localhost${path}`))).status, 404);
  const [line] = serving.log;
  assertEquals([line!["path"], line!["status"]], [`${path.slice(0, 119)}…`, 404]);
  assert(JSON.stringify(line).length < 700 && /^GET \/v1\/x+…x+: no such endpoint$/.test(`${line!["error"]}`));
});

Deno.test("metrics have the names that dashboards ask for", async () => {
  await using serving = await openServing({ slots: 1, context: 64 });
  await (await serving.post("/v1/completions", COMPLETION)).json();
  const text = await (await serving.app.fetch(new Request("http://localhost/metrics"))).text();
  const value = (name: string) => {
    const [, number] = new RegExp(`^mxoss:${name}\\{[^}]*model_name="tiny-gpt-oss"[^}]*\\} (.*)$`, "m").exec(text) ??
      [];
    return Number(number);
  };
  assertEquals([value("prompt_tokens_total"), value("generation_tokens_total")], [2, 3]);
  assertEquals([value("num_requests_running"), value("num_requests_waiting"), value("kv_cache_usage_perc")], [0, 0, 0]);
  assertEquals([value("time_to_first_token_seconds_count"), value("inter_token_latency_seconds_count")], [1, 2]);
  assertEquals(value("e2e_request_latency_seconds_count"), 1);
  // What has not happened is 0, not absent.
  const success = Array.from(text.matchAll(/^mxoss:request_success_total\{.*finished_reason="(\w+)".*\} (\d+)$/gm));
  assertEquals(success.map(([, reason, count]) => [reason, count]).toSorted(), [
    ["cancelled", "0"],
    ["length", "1"],
    ["stop", "0"],
  ]);
  const rare = ["request_failure_total", "num_preemptions_total", "engine_restarts_total"];
  assertEquals(rare.map(value), [0, 0, 0]);
  assertMatch(text, /^# TYPE mxoss:inter_token_latency_seconds histogram$/m);
});

Deno.test("tokens are counted as they come, and stay counted where their reply fails", async () => {
  const metrics = new Metrics(), { firstToken, nextToken, failed } = metrics.observer("m");
  await using serving = await openServing({ slots: 1, context: 64 });
  const { handle } = metrics.endpoint(serving.service);
  const counted = async () => {
    const given = await handle({} as Parameters<typeof handle>[0]);
    if (!("text" in given)) throw new Error("metrics are a text");
    const [, tokens] = /^mxoss:generation_tokens_total\{model_name="m"\} (\d+)$/m.exec(given.text)!;
    return Number(tokens);
  };
  assertEquals(await counted(), 0);
  firstToken(9);
  assertEquals(await counted(), 1);
  nextToken(2);
  nextToken(2);
  failed();
  assertEquals(await counted(), 3);
});

Deno.test("the tokenizer is there from afar, as lm-eval asks for it", async () => {
  await using serving = await openServing({ slots: 1, context: 32 });
  const info = await serving.get("/tokenizer_info");
  assertEquals([info.bos_token, info.eos_token, info.pad_token], ["<|startoftext|>", "<|return|>", "<|endoftext|>"]);
  assertMatch(info.chat_template, /<\|start\|>/);
  const text = "<|start|>Ünïcode 3 apples<|end|>";
  const { tokens, count, max_model_len } = await (await serving.post("/tokenize", { prompt: text })).json();
  assertEquals([tokens.length, max_model_len], [count, 32]);
  assertEquals((await (await serving.post("/detokenize", { tokens })).json()).prompt, text);
  assertEquals((await serving.post("/detokenize", { tokens: [5000] })).status, 400);
});

Deno.test("the OpenAPI document has every endpoint, with the fields of its schema", async () => {
  await using serving = await openServing({ slots: 1, context: 32 });
  const { openapi, paths } = await serving.get("/openapi.json");
  assertEquals(openapi, "3.1.0");
  for (const path of ["/v1/models", "/v1/models/{id}", "/tokenize", "/health", "/metrics"]) assert(path in paths, path);
  const typesOf = (operation: Json): string[] => Object.keys(operation.responses[200].content);
  for (const path of ["/", "/metrics", "/health", "/version", "/openapi.json", "/v1/models", "/tokenizer_info"]) {
    const response = await serving.app.fetch(new Request(`http://localhost${path}`)), { headers } = response;
    await response.body!.cancel();
    assertEquals(typesOf(paths[path].get), [headers.get("content-type")!.split(";")[0]], path);
  }
  assertEquals(typesOf(paths["/v1/microscope"].post), ["text/event-stream"]);
  assertEquals(typesOf(paths["/v1/completions"].post), ["application/json", "text/event-stream"]);
  const { schema } = paths["/v1/completions"].post.requestBody.content["application/json"];
  assertEquals(schema.required, ["prompt"]);
  assertEquals(schema.properties.max_tokens, {
    anyOf: [{ type: "integer", minimum: 0, maximum: 2 ** 53 - 1 }, { type: "null" }],
  });
});
