/** What `/v1/completions` says that replies took and how they ended, of written replies, to the number. */
import { COMPLETIONS } from "../../src/serve/endpoints/completions.ts";
import { CompletionAnswer } from "../../src/serve/endpoints/completions_schema.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals } from "../assert.ts";
import { TINY } from "../text/goldens.ts";
import { type Json, scripted } from "./scripted.ts";

const PATH = "/v1/completions", PROMPTS = ["Tom has", "Ann has 3 pears and"];
const tokenizer = await Tokenizer.fromDirectory(TINY);
const idsOf = (text: string) => [...tokenizer.encode(text, { allowSpecial: true })];
const REPLIES = [" four.<|return|>", " it.", " five.<|return|>", " no"];
const stream_options = { include_usage: true };

Deno.test("completions: usage counts each prompt once and every reply, whole and in pieces", async () => {
  const server = scripted([COMPLETIONS]), asked = { prompt: PROMPTS, n: 2, max_tokens: 9 };
  const ask = async (fields: Json) => {
    server.script(...REPLIES);
    return await server.stream(PATH, { ...asked, stream: true, ...fields });
  };
  const prompt_tokens = PROMPTS.reduce((sum, prompt) => sum + idsOf(prompt).length, 0);
  const completion_tokens = REPLIES.reduce((sum, reply) => sum + idsOf(reply).length, 0);
  const total_tokens = prompt_tokens + completion_tokens;
  server.script(...REPLIES);
  const before = Math.floor(Date.now() / 1000), { json } = await server.post(PATH, asked);
  const { created, choices, usage } = CompletionAnswer.parse(json);
  assert(created >= before && created <= Date.now() / 1000, `${created}`);
  // Of each prompt's replies those of the first were there.
  assertEquals(usage, { prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details: { cached_tokens: 6 } });
  assertEquals(
    choices.map(({ index, text, finish_reason, stop_reason, logprobs }) => [
      ...[index, text, finish_reason],
      ...[stop_reason, logprobs],
    ]),
    REPLIES.map((reply, i) => {
      const text = reply.replace("<|return|>", "");
      return [i, text, text === reply ? "length" : "stop", null, null];
    }),
  );
  assert(choices.every((choice) => !("token_ids" in choice) && !("prompt_token_ids" in choice)));

  // Where nobody says, each prompt has one reply.
  const one = { ...asked, n: undefined }, usages: unknown[] = [];
  server.script(...REPLIES.slice(0, 2));
  usages.push((await server.post(PATH, one)).json.usage);
  for (const continuous_usage_stats of [false, true]) {
    server.script(...REPLIES.slice(0, 2));
    const more = { stream: true, stream_options: { ...stream_options, continuous_usage_stats } };
    const pieces = (await server.stream(PATH, { ...one, ...more })).slice(0, -1).map(({ data }) => data.usage);
    usages.push(pieces.at(-1));
    if (continuous_usage_stats) assertEquals(pieces[0].prompt_tokens, prompt_tokens);
  }
  const replied = REPLIES.slice(0, 2).reduce((sum, reply) => sum + idsOf(reply).length, 0);
  for (const { completion_tokens, ...rest } of usages as Json[]) {
    assertEquals(completion_tokens, replied);
    assertEquals(rest, {
      prompt_tokens,
      total_tokens: prompt_tokens + replied,
      prompt_tokens_details: { cached_tokens: 6 },
    });
  }

  const plain = (await ask({})).slice(0, -1).map(({ data }) => data);
  assert(plain.every((piece) => !("usage" in piece) && piece.choices.length === 1));
  const counted = (await ask({ stream_options })).slice(0, -1).map(({ data }) => data);
  assertEquals(counted.slice(0, -1).map(({ usage }) => usage), counted.slice(1).map(() => null));
  assertEquals([counted.at(-1).choices, counted.at(-1).usage], [[], usage]);
  const each = (await ask({ stream_options: { ...stream_options, continuous_usage_stats: true } })).slice(0, -1)
    .map(({ data }) => data.usage);
  assertEquals(each.at(-1), usage);
  const none = { prompt_tokens_details: { cached_tokens: 0 } };
  assertEquals(each.at(-2), { prompt_tokens, completion_tokens, total_tokens, ...none });
  // Replies come one beside another: so many tokens that it is known of.
  const first = each[0].completion_tokens;
  assert(first >= 1 && first <= REPLIES.length, `${first}`);
  assertEquals(each[0].total_tokens, prompt_tokens + first);
  for (const index of REPLIES.keys()) {
    const pieces = plain.flatMap(({ choices }) => choices).filter((choice: Json) => choice.index === index);
    assertEquals(pieces.map(({ text }: Json) => text).join(""), choices[index]!.text);
    assert(pieces.slice(0, -1).every(({ text }: Json) => text !== ""));
    assertEquals(pieces.map((piece: Json) => piece.finish_reason), [
      ...pieces.slice(1).map(() => null),
      choices[index]!.finish_reason,
    ]);
  }
});

Deno.test("completions: what ends a reply is named, and 16 tokens are one where nobody says", async () => {
  const server = scripted([COMPLETIONS]), reply = " it is four.", ids = idsOf(reply), id = idsOf(" four")[0]!;
  const ask = async (fields: Json) => {
    const out: unknown[] = [];
    for (const stream of [false, true]) {
      server.script(`${reply}<|return|>`);
      const asked = { prompt: "2 + 2:", stream, ...fields };
      const choices = stream
        ? (await server.stream(PATH, asked)).slice(0, -1).flatMap(({ data }) => data.choices)
        : (await server.post(PATH, asked)).json.choices;
      const { finish_reason, stop_reason } = choices.at(-1);
      out.push([choices.map(({ text }: Json) => text).join(""), finish_reason, stop_reason]);
    }
    assertEquals(out[0], out[1]);
    return out[0];
  };
  assertEquals(await ask({}), [reply, "stop", null]);
  assertEquals(server.jobs.at(-1)!.maxTokens, 16);
  // The id's own text is left out, as vLLM's engine does.
  assertEquals(await ask({ stop_token_ids: [id] }), [" it is", "stop", id]);
  assertEquals(await ask({ stop: ["is"] }), [" it ", "stop", "is"]);
  assertEquals(await ask({ stop: "" }), [reply, "stop", null]);
  assertEquals(await ask({ max_tokens: ids.length }), [reply, "length", null]);
  // Near the end of the context there is less room, and never none.
  const near = async (prompt: number[]) => {
    server.script("");
    assertEquals((await server.post(PATH, { prompt })).status, 200);
    return server.jobs.at(-1)!.maxTokens;
  };
  const zeros = (count: number) => Array<number>(count).fill(0);
  assertEquals([await near(zeros(1984)), await near(zeros(1985)), await near(zeros(1999))], [16, 15, 1]);
});

Deno.test("completions: log probabilities are there where they are asked for, of each token and as many", async () => {
  const server = scripted([COMPLETIONS]), reply = " it is four.", tokens = idsOf(`${reply}<|return|>`);
  for (const [given, most] of [[null, null], [0, 0], [2, 2], [true, 1], [false, null]] as const) {
    server.script(`${reply}<|return|>`, `${reply}<|return|>`);
    const asked = { prompt: "2 + 2:", logprobs: given };
    const { choices: [choice] } = CompletionAnswer.parse((await server.post(PATH, asked)).json);
    assertEquals([server.jobs.at(-1)!.logprobs, server.jobs.at(-1)!.echo], [most, false]);
    const pieces = (await server.stream(PATH, { ...asked, stream: true })).slice(0, -1)
      .map(({ data: { choices: [piece] } }) => piece.logprobs);
    if (most === null) {
      assertEquals([choice!.logprobs, ...pieces], [null, ...pieces.map(() => null)]);
      continue;
    }
    const { token_logprobs, text_offset, top_logprobs } = choice!.logprobs!;
    assertEquals(token_logprobs, tokens.map(() => -0.5));
    // The token itself is always among them.
    assertEquals(top_logprobs.map((top) => Object.keys(top!).length), tokens.map(() => Math.max(1, most)));
    assertEquals(text_offset[0], 0);
    for (const key of ["tokens", "token_logprobs", "top_logprobs", "text_offset"] as const) {
      assertEquals(pieces.flatMap((piece) => piece[key]), choice!.logprobs![key] as unknown[], key);
    }
  }
});

Deno.test("completions: 4,096 replies are as many as one request may have, of several prompts together", async () => {
  const server = scripted([COMPLETIONS]),
    ask = (prompts: number, n: number, fields: Json = {}) =>
      server.post(PATH, { prompt: Array<string>(prompts).fill("a"), n, max_tokens: 1, ...fields });
  const { status, json } = await ask(33, 128);
  assertEquals([status, json.error.message], [400, "n: expected at most 4096 replies, got 4224"]);
  assertEquals((await ask(32, 128)).json.choices.length, 4096);
  // Where the best of more was to be chosen, which is not done, that is refused.
  const best = (await ask(1, 2, { best_of: 3 })).json.error.message;
  assertEquals(best, "best_of: expected n, which is 2, or none");
  assertEquals((await ask(1, 2, { best_of: 2 })).json.choices.length, 2);
});
