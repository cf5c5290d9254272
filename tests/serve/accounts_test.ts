/** What answers and the log say that a request took and how it ended, and of which type an error is. */
import { FailureError, InputError } from "../../src/errors.ts";
import { ApiError, asApiError, wrongField } from "../../src/serve/api_error.ts";
import type { FinishReason, Outcome } from "../../src/serve/engine/job.ts";
import { logFields, usageOf } from "../../src/serve/endpoints/usage.ts";
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { ChatAnswer } from "../../src/serve/endpoints/chat_schema.ts";
import { responseEndpoints } from "../../src/serve/endpoints/responses.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals } from "../assert.ts";
import { TINY } from "../text/goldens.ts";
import { type Json, scripted } from "./scripted.ts";

const outcome = (
  reason: FinishReason,
  [promptTokens, cachedTokens, generatedTokens]: readonly [number, number, number],
  [queued, prefill, decode]: readonly [number, number, number],
): Outcome => ({ reason, promptTokens, cachedTokens, generatedTokens, timings: { queued, prefill, decode } });

/** Three replies to each of two prompts. */
const OUTCOMES = [
  outcome("stop", [100, 10, 1], [0.2, 3.6, 20]),
  outcome("length", [100, 99, 2], [0.1, 0.4, 10]),
  outcome("stop", [100, 98, 4], [0.6, 1, 30.4]),
  outcome("stop", [1000, 40, 8], [0, 2, 5]),
  outcome("length", [1000, 999, 16], [0, 2, 5]),
  outcome("length", [1000, 998, 32], [0, 2, 5]),
];

Deno.test("usage counts each prompt once, with what of it was there before its first reply, and every reply", () => {
  assertEquals(usageOf(OUTCOMES, 3), {
    prompt_tokens: 1100,
    completion_tokens: 63,
    total_tokens: 1163,
    prompt_tokens_details: { cached_tokens: 50 },
  });
  assertEquals(usageOf(OUTCOMES.slice(3), 1).prompt_tokens, 3000);
});

Deno.test("the log has the same tokens, every way in which a reply ended, and the longest of each time", () => {
  assertEquals(logFields(OUTCOMES, 3), {
    prompt_tokens: 1100,
    cached_tokens: 50,
    completion_tokens: 63,
    finish: "stop length",
    queued_ms: 1,
    prefill_ms: 4,
    decode_ms: 30,
  });
  assertEquals(logFields([outcome("stop", [1, 0, 1], [0, 0.2, 0.1])], 1).queued_ms, 0);
});

Deno.test("an error has the type of its status, and a mistake in a field the status 400", () => {
  const types = [
    [400, "invalid_request_error"],
    [401, "authentication_error"],
    [403, "invalid_request_error"],
    [404, "not_found_error"],
    [405, "invalid_request_error"],
    [413, "invalid_request_error"],
    [429, "rate_limit_error"],
    [499, "invalid_request_error"],
    [500, "server_error"],
    [503, "server_error"],
    [504, "server_error"],
  ] as const;
  for (const [status, type] of types) assertEquals(new ApiError(status, "x").body.error.type, type, `${status}`);
  const { status, body } = wrongField("top_p", "expected less", "odd");
  assertEquals(status, 400);
  assertEquals(body, {
    error: { message: "top_p: expected less", type: "invalid_request_error", param: "top_p", code: "odd" },
  });
  // A name that a client made up may be as long as its request.
  const param = (units: number) => new ApiError(400, "x", { param: "p".repeat(units) }).param;
  assertEquals([param(256), param(257)], ["p".repeat(256), `${"p".repeat(256)}…`]);
});

Deno.test("what the engine throws is the server's failure, what a schema throws the client's mistake", () => {
  const failed = asApiError(new FailureError("the device is gone"));
  assertEquals([failed.status, failed.code, failed.message], [500, "failure", "the device is gone"]);
  const defect = asApiError(new TypeError("x is no function"));
  assertEquals([defect.status, defect.code], [500, "internal_error"]);
  const named = (name: string) => {
    const { status, param } = asApiError(InputError.of("wrong_value", { name }, "other"));
    return [status, param];
  };
  assertEquals(named("tools[0].function.parameters"), [400, "tools[0].function.parameters"]);
  assertEquals(named("text.format.schema"), [400, "text.format.schema"]);
  // A file of the server's is no field of a request.
  assertEquals(named("config.json"), [400, null]);
  const own = new ApiError(429, "full", { retryAfter: 3 });
  assertEquals(asApiError(own), own);
});

const CHATS = "/v1/chat/completions", RESPONSES = "/v1/responses";
const messages = [{ role: "user", content: "2 + 2?" }];
const THOUGHT = "Two and two.", SAID = "It is four.";
const REPLY = `<|channel|>analysis<|message|>${THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>${SAID}`;
const tokenizer = await Tokenizer.fromDirectory(TINY);
const idsOf = (text: string) => [...tokenizer.encode(text, { allowSpecial: true })],
  countOf = (text: string) => idsOf(text).length;
const stream_options = { include_usage: true };

Deno.test("reasoning tokens are those of what is shown as reasoning, whole and in pieces", async () => {
  const server = scripted([CHAT, ...responseEndpoints()]), n = 2, ends = ["<|return|>", ""];
  const completion_tokens = ends.reduce((sum, end) => sum + countOf(REPLY + end), 0);
  const reasoning_tokens = 2 * countOf(THOUGHT);
  const script = () => server.script(...ends.map((end) => REPLY + end));
  for (const include_reasoning of [undefined, null, true, false]) {
    script();
    const asked = { messages, n, ...(include_reasoning === undefined ? {} : { include_reasoning }) };
    const before = Math.floor(Date.now() / 1000), { json } = await server.post(CHATS, asked);
    const { created, choices, usage } = ChatAnswer.parse(json), prompt_tokens = server.jobs.at(-1)!.prompt.length;
    assert(created >= before && created <= Date.now() / 1000, `${created}`);
    assertEquals(usage, {
      prompt_tokens,
      completion_tokens,
      total_tokens: prompt_tokens + completion_tokens,
      prompt_tokens_details: { cached_tokens: 3 },
      completion_tokens_details: { reasoning_tokens },
    });
    const shown = include_reasoning === false ? null : THOUGHT;
    for (const [i, { message, finish_reason, stop_reason, token_ids }] of choices.entries()) {
      assertEquals([message.content, message.reasoning, message.reasoning_content], [SAID, shown, shown]);
      assertEquals([finish_reason, stop_reason, token_ids], [["stop", "length"][i]!, null, undefined]);
    }
    script();
    const chunks = (await server.stream(CHATS, { ...asked, stream: true, stream_options })).slice(0, -1)
      .map(({ data }) => data);
    assertEquals(chunks.at(-1).usage, usage);
    for (const { usage } of chunks.slice(0, -1)) assertEquals(usage, null);
    const deltas = chunks.flatMap(({ choices }) => choices).filter(({ index }: Json) => index === 0);
    assertEquals(deltas.map(({ delta }: Json) => delta.reasoning ?? "").join(""), shown ?? "");
    script();
    const each = (await server.stream(CHATS, {
      ...asked,
      stream: true,
      stream_options: { ...stream_options, continuous_usage_stats: true },
    })).slice(0, -1).map(({ data }) => data.usage);
    assertEquals(each.at(-1), usage);
    assertEquals(each[0], {
      prompt_tokens,
      completion_tokens: 0,
      total_tokens: prompt_tokens,
      prompt_tokens_details: { cached_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 0 },
    });
    const { prompt_tokens_details: _, ...last } = each.at(-2), { prompt_tokens_details: __, ...whole } = usage;
    assertEquals(last, whole);
    for (const [i, one] of each.slice(1).entries()) assert(one.completion_tokens >= each[i].completion_tokens);
  }
  server.script(REPLY);
  const { usage, status } = (await server.post(RESPONSES, { input: "2 + 2?" })).json;
  const input_tokens = server.jobs.at(-1)!.prompt.length, output_tokens = countOf(REPLY);
  assertEquals(status, "incomplete");
  assertEquals(usage, {
    input_tokens,
    input_tokens_details: { cached_tokens: 3, cache_write_tokens: 0 },
    output_tokens,
    output_tokens_details: { reasoning_tokens: countOf(THOUGHT) },
    total_tokens: input_tokens + output_tokens,
  });
});

Deno.test("a reply that an id ends says which, and one that the model ends none", async () => {
  const server = scripted([CHAT]), [id] = idsOf(" four"), end = idsOf("<|return|>")[0]!;
  const ask = async (fields: Json) => {
    const out: unknown[] = [];
    for (const stream of [false, true]) {
      server.script(`${REPLY}<|return|>`);
      const asked = { messages, return_token_ids: true, stream, ...fields };
      const choices = stream
        ? (await server.stream(CHATS, asked)).slice(0, -1).flatMap(({ data }) => data.choices)
        : (await server.post(CHATS, asked)).json.choices;
      const { finish_reason, stop_reason } = choices.at(-1);
      const ids = choices.flatMap(({ token_ids = [] }: Json) => token_ids);
      out.push({ finish_reason, stop_reason, ids });
    }
    assertEquals(out[0], out[1]);
    return out[0];
  };
  const all = idsOf(`${REPLY}<|return|>`), cut = all.slice(0, all.indexOf(id!) + 1);
  assertEquals(await ask({}), { finish_reason: "stop", stop_reason: null, ids: all });
  assertEquals(await ask({ stop_token_ids: [id] }), { finish_reason: "stop", stop_reason: id, ids: cut });
  assertEquals(await ask({ stop_token_ids: [end] }), { finish_reason: "stop", stop_reason: null, ids: all });
  assertEquals(await ask({ max_tokens: cut.length }), { finish_reason: "length", stop_reason: null, ids: cut });
});

Deno.test("log probabilities of chats have as many alternatives as are asked for, by default none", async () => {
  const server = scripted([CHAT]);
  for (
    const [fields, logprobs] of [
      [{}, null],
      [{ logprobs: false }, null],
      [{ logprobs: true }, 0],
      [{ logprobs: true, top_logprobs: null }, 0],
      [{ logprobs: true, top_logprobs: 0 }, 0],
      [{ logprobs: true, top_logprobs: 3 }, 3],
    ] as const
  ) {
    server.script(`${REPLY}<|return|>`, `${REPLY}<|return|>`);
    const { choices: [choice] } = ChatAnswer.parse((await server.post(CHATS, { messages, ...fields })).json);
    assertEquals(server.jobs.at(-1)!.logprobs, logprobs);
    const scored = choice!.logprobs?.content ?? null;
    assertEquals(scored?.map(({ token }) => token).join("") ?? null, logprobs === null ? null : SAID);
    assertEquals(
      new Set(scored?.map(({ top_logprobs }) => top_logprobs.length)),
      new Set(logprobs === null ? [] : [logprobs]),
    );
    // The same in a stream, whose pieces between the first and the last all say something.
    const events = (await server.stream(CHATS, { messages, ...fields, stream: true })).slice(0, -1);
    const pieces = events.map(({ data: { choices: [piece] } }) => piece);
    const streamed = pieces.flatMap(({ logprobs }: Json) => logprobs?.content ?? []);
    assertEquals(streamed, scored ?? []);
    for (const { delta, logprobs } of pieces.slice(1, -1)) {
      assert((delta.content ?? delta.reasoning) !== "" || logprobs !== null, JSON.stringify(pieces));
      assert(logprobs === null || logprobs.content.length > 0);
    }
  }
});
