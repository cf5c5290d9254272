/** Fields that vLLM's clients send, with the embedded model behind them. */
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { ChatAnswer } from "../../src/serve/endpoints/chat_schema.ts";
import { COMPLETIONS } from "../../src/serve/endpoints/completions.ts";
import { CompletionAnswer } from "../../src/serve/endpoints/completions_schema.ts";
import { responseEndpoints } from "../../src/serve/endpoints/responses.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { eventsOf, type Json, scripted } from "./scripted.ts";
import { openServing, type Serving } from "./serving.ts";

const QUESTION = "Sam has 47 marbles and gets 25 more. How many marbles does Sam have?";
const chat = { messages: [{ role: "user", content: QUESTION }], temperature: 0, max_tokens: 60 };
const text = { prompt: "Tom has 3 apples and buys 4 more.", temperature: 0, max_tokens: 30 };
const CHATS = "/v1/chat/completions", TEXTS = "/v1/completions";

async function ask(serving: Serving, path: string, body: unknown): Promise<Json> {
  const response = await serving.post(path, body), json = await response.json();
  assertEquals(response.status, 200, JSON.stringify(json));
  return json;
}

Deno.test("return_token_ids gives the ids of prompts and replies, whole and in pieces", async () => {
  await using serving = await openServing({ slots: 4 });
  const textOf = async (tokens: readonly number[]) => (await ask(serving, "/detokenize", { tokens })).prompt;
  const asked = { return_token_ids: true, n: 2, stream_options: { include_usage: true }, stream: true };
  const { stream_options: _, stream: __, ...whole } = asked;
  const pieces = async (path: string, body: Json) =>
    (await eventsOf(await serving.post(path, { ...body, ...asked }))).slice(0, -1).map(({ data }) => data);
  const together = (events: Json[], index: number, field: string) =>
    events.flatMap(({ choices }) => choices.filter((one: Json) => one.index === index))
      .map((choice: Json) => choice[field]).filter((ids: unknown) => ids !== undefined);

  const answer = ChatAnswer.parse(await ask(serving, CHATS, { ...chat, ...whole }));
  assertEquals(answer.prompt_token_ids!.length, answer.usage.prompt_tokens);
  const prompt = await textOf(answer.prompt_token_ids!);
  assert(prompt.startsWith("<|start|>") && prompt.endsWith(`${QUESTION}<|end|><|start|>assistant`), prompt);
  const ids = answer.choices.map(({ token_ids }) => token_ids!);
  assertEquals(ids.flat().length, answer.usage.completion_tokens);
  const said = await textOf(ids[0]!);
  assertMatch(
    said,
    /^<\|channel\|>analysis<\|message\|>.*<\|end\|>.*<\|channel\|>final<\|message\|>#### \d+<\|return\|>$/s,
  );
  const streamed = await pieces(CHATS, chat);
  assertEquals(streamed.filter((event) => "prompt_token_ids" in event), streamed.slice(0, 1));
  assertEquals(streamed[0].prompt_token_ids, answer.prompt_token_ids);
  for (const index of [0, 1]) assertEquals(together(streamed, index, "token_ids").flat(), ids[index]);

  const prompts = [text.prompt, "Ann has 5 pears."];
  for (const more of [{}, { echo: true }, { echo: true, logprobs: 1 }, { stop: ["."] }]) {
    const body = { ...text, ...more, prompt: prompts, skip_special_tokens: false };
    const { choices, usage } = CompletionAnswer.parse(await ask(serving, TEXTS, { ...body, ...whole }));
    assertEquals(choices.flatMap(({ token_ids }) => token_ids!).length, usage!.completion_tokens);
    const events = await pieces(TEXTS, body);
    for (const { index, text, token_ids, prompt_token_ids } of choices) {
      assertEquals(await textOf(prompt_token_ids!), prompts[index >> 1]);
      const own = "echo" in more ? text.slice(prompts[index >> 1]!.length) : text;
      if (!("stop" in more)) assertEquals((await textOf(token_ids!)).replace("<|return|>", ""), own);
      assertEquals(together(events, index, "token_ids").flat(), token_ids);
      assertEquals(together(events, index, "prompt_token_ids"), [prompt_token_ids]);
    }
  }
  const bare = JSON.stringify([await ask(serving, CHATS, chat), await ask(serving, TEXTS, text)]);
  assert(!bare.includes("token_ids"));
});

Deno.test("return_prompt_text gives what the model is given, in a stream in the first piece", async () => {
  await using serving = await openServing({ slots: 2 });
  const asked = { ...chat, n: 2, return_prompt_text: true, return_token_ids: true };
  const { prompt_text, prompt_token_ids, ...rest } = ChatAnswer.parse(await ask(serving, CHATS, asked));
  const { prompt, count } = await ask(serving, "/detokenize", { tokens: prompt_token_ids }).then(async (
    { prompt },
  ) => ({
    prompt,
    ...await ask(serving, "/tokenize", { prompt }),
  }));
  assertEquals([prompt_text, count], [prompt, rest.usage.prompt_tokens]);
  assert(prompt_text!.endsWith(`<|start|>user<|message|>${QUESTION}<|end|><|start|>assistant`), prompt_text);
  const events = await eventsOf(await serving.post(CHATS, { ...asked, return_token_ids: false, stream: true }));
  assertEquals(events.map(({ data }) => data.prompt_text), [prompt_text, ...Array(events.length - 1).fill(undefined)]);
  assert(!("prompt_text" in await ask(serving, CHATS, { ...chat, return_prompt_text: false })));
});

Deno.test("bad_words are not said, and what comes before stays", async () => {
  await using serving = await openServing({ slots: 4 });
  const say = async (more: Json) => (await ask(serving, TEXTS, { ...text, ...more })).choices[0].text as string;
  const free = await say({}), words = free.match(/[a-z]{3,}/g)!;
  assert(words.length > 2, free);
  for (const word of [words[0]!, words[1]!, words.at(-1)!, /[a-z]{3,} [a-z]{3,}/.exec(free)![0]]) {
    const held = await say({ bad_words: [word] }), at = free.indexOf(word.trim());
    assert(!held.includes(word.trim()) && held !== free, `${word}: ${held}`);
    // Before the word's last token nothing is forbidden.
    assertEquals(held.slice(0, Math.max(0, at - 1)), free.slice(0, Math.max(0, at - 1)));
  }
  assertEquals(await say({ bad_words: [] }), free);
  // Log probabilities stay the model's own.
  const scored = await ask(serving, TEXTS, { ...text, bad_words: words, logprobs: 1 });
  const [first] = scored.choices[0].logprobs.top_logprobs, own = await ask(serving, TEXTS, { ...text, logprobs: 1 });
  const best = (top: Record<string, number>) => Math.max(...Object.values(top));
  assertEquals(best(first), best(own.choices[0].logprobs.top_logprobs[0]));

  const reply = async (more: Json) => {
    const { choices: [{ message, finish_reason }] } = await ask(serving, CHATS, { ...chat, ...more });
    return [message.content, message.reasoning, finish_reason];
  };
  // Headers of messages are no text.
  assertEquals(await reply({ bad_words: ["final", "analysis", "assistant", "<|message|>"] }), await reply({}));
  const [content, reasoning] = await reply({ bad_words: ["72"] });
  assert(!content.includes("72") && !reasoning.includes("72"), `${reasoning} ${content}`);
  // Where nothing else may be said, a bad word is.
  const choice = { structured_outputs: { choice: ["72"] } };
  assertEquals((await reply({ ...choice, bad_words: ["72"] }))[0], "72");
  const two = { structured_outputs: { choice: ["7", "9"] } }, [picked] = await reply(two);
  assertEquals((await reply({ ...two, bad_words: [picked] }))[0], picked === "7" ? "9" : "7");
});

Deno.test("with a cache_salt nothing is taken over from requests without it or with another", async () => {
  for (const [path, body] of [[CHATS, chat], [TEXTS, text]] as const) {
    await using many = await openServing({ slots: 8 });
    await using few = await openServing({ slots: 3 });
    const askWith = async (serving: Serving, salts: readonly (string | null)[]) => {
      const answers = await Promise.all(salts.map((cache_salt) => ask(serving, path, { ...body, cache_salt })));
      assertEquals(
        new Set(answers.map(({ choices }) => JSON.stringify(choices[0].text ?? choices[0].message))).size,
        1,
      );
      return answers.map(({ usage }) => usage.prompt_tokens_details.cached_tokens > 8);
    };
    const cached = (...salts: (string | null)[]) => askWith(many, salts);
    assertEquals(await cached(null), [false]);
    assertEquals(await cached(null), [true]);
    assertEquals(await cached("a"), [false]);
    assertEquals(await cached("b"), [false]);
    assertEquals(await cached("a", "b", null), [true, true, true]);
    // Not from requests on their way either.
    assertEquals(await cached("c", "d", "e"), [false, false, false]);
    assertEquals(await cached("c"), [true]);
    // Where all slots hold what others left, the first of one salt computes all, and others take that over.
    for (const salt of [null, "a", "b"]) assertEquals(await askWith(few, [salt]), [false]);
    assertEquals((await askWith(few, ["c", "c"])).toSorted(), [false, true]);
    assertEquals((await askWith(few, ["d", "d", "d"])).toSorted(), [false, true, true]);
  }
});

Deno.test("a request_id is the end of the answer's id, and stands in the log", async () => {
  await using serving = await openServing({ slots: 2 });
  const request_id = 'run-7/"ü"';
  assertEquals((await ask(serving, CHATS, { ...chat, request_id })).id, `chatcmpl-${request_id}`);
  assertEquals((await ask(serving, TEXTS, { ...text, request_id })).id, `cmpl-${request_id}`);
  const events = await eventsOf(await serving.post(TEXTS, { ...text, request_id, stream: true }));
  assertEquals(new Set(events.slice(0, -1).map(({ data }) => data.id)), new Set([`cmpl-${request_id}`]));
  // Two of one name are two requests.
  const both = await Promise.all([1, 2].map(() => ask(serving, TEXTS, { ...text, request_id })));
  assertEquals(both[0].choices, both[1].choices);
  assertEquals(serving.log.map((line) => line["request_id"]), Array(5).fill(request_id));
  assertEquals(new Set(serving.log.map(({ id }) => id)).size, 5);
});

Deno.test("vLLM's fields are refused by name where they are wrong or mean nothing", async () => {
  const server = scripted([CHAT, COMPLETIONS, ...responseEndpoints()]);
  const bodies = [[CHATS, chat], [TEXTS, text], ["/v1/responses", { input: "x" }]] as const;
  const hidden = "return_token_ids: expected include_reasoning true, as the ids are those of reasoning too";
  const everywhere: readonly [fields: Json, message: string][] = [
    [{ bad_words: "no" }, 'bad_words: expected a list, got "no"'],
    [{ bad_words: [""] }, 'bad_words.0: expected a text of at least 1 character, got ""'],
    [{ bad_words: ["a", "  "] }, 'bad_words.1: expected a text that is not blank, got "  "'],
    [{ bad_words: [3] }, "bad_words.0: expected a text, got 3"],
    [{ cache_salt: "" }, 'cache_salt: expected a text of at least 1 character, got ""'],
    [{ cache_salt: 3 }, "cache_salt: expected a text, got 3"],
    [{ stream_interval: 8 }, "stream_interval: is not supported; expected 1, or none"],
    [{ thinking_token_budget: 64 }, "thinking_token_budget: is not supported; expected -1, or none"],
    [{ logprob_token_ids: [1] }, "logprob_token_ids: is not supported"],
    [{ repetition_detection: { max_pattern_size: 4 } }, "repetition_detection: is not supported"],
    [{ kv_transfer_params: { do_remote_decode: true } }, "kv_transfer_params: is not supported"],
    [{ vllm_xargs: { a: 1 } }, "vllm_xargs: is not supported"],
    [{ ec_transfer_params: { a: 1 } }, "ec_transfer_params: is not supported"],
    [{ watermarking: true }, "watermarking: is not supported; expected false, or none"],
  ];
  const made: typeof everywhere = [
    [{ request_id: "" }, 'request_id: expected a text of at least 1 character, got ""'],
    [{ request_id: 7 }, "request_id: expected a text, got 7"],
    [{ return_token_ids: "yes" }, 'return_token_ids: expected true or false, got "yes"'],
    [{ return_weight_versions: true }, "return_weight_versions: is not supported; expected false, or none"],
    [{ routed_experts_prompt_start: 8 }, "routed_experts_prompt_start: is not supported; expected 0, or none"],
    [{ truncate_prompt_tokens: 9, truncation_side: "left" }, "truncate_prompt_tokens: is not supported"],
  ];
  const texts: typeof everywhere = [[{ prompt_embeds: "AA==" }, "prompt_embeds: is not supported"]];
  const chats: typeof everywhere = [
    [{ return_token_ids: true, include_reasoning: false }, hidden],
    [{ return_prompt_text: 1 }, "return_prompt_text: expected true or false, got 1"],
    [{ mm_processor_kwargs: { a: 1 } }, "mm_processor_kwargs: is not supported"],
    [{ media_io_kwargs: { video: {} } }, "media_io_kwargs: is not supported"],
  ];
  const kept: typeof everywhere = [
    [{ request_id: "a" }, "request_id: is not supported: responses are kept by ids of the server's own"],
    [{ return_token_ids: true }, "return_token_ids: is not supported; expected false, or none"],
    [{ include_reasoning: false }, "include_reasoning: is not supported; expected true, or none"],
    [{ include_stop_str_in_output: true }, "include_stop_str_in_output: is not supported; expected false, or none"],
    [{ enable_response_messages: true }, "enable_response_messages: is not supported; expected false, or none"],
    [{ previous_input_messages: [{}] }, "previous_input_messages: is not supported"],
    [{ structured_outputs: { json_object: true } }, "structured_outputs: is not supported; text.format is"],
    ...chats.slice(2),
  ];
  for (const [path, body] of bodies) {
    const own = path === "/v1/responses" ? kept : [...made, ...path === CHATS ? chats : texts];
    for (const [fields, message] of [...everywhere, ...own]) {
      const { status, json } = await server.post(path, { ...body, ...fields });
      assertEquals([status, json.error.message], [400, message]);
      assertEquals(json.error.param, message.split(":")[0]);
    }
    const nulls = { bad_words: null, cache_salt: null, request_id: null, return_token_ids: null };
    const unset = [
      { ...nulls, vllm_xargs: null },
      { vllm_xargs: {}, stream_interval: 1, thinking_token_budget: -1, watermarking: false, ec_transfer_params: {} },
      { session_id: "run 7", mm_payload: "none", return_mm_kwargs: true },
      path === "/v1/responses"
        ? { include_reasoning: true, mm_processor_kwargs: {}, spaces_between_special_tokens: false }
        : { truncation_side: "left", return_token_offsets: true, routed_experts_prompt_start: 0 },
    ];
    for (const fields of unset) {
      server.script("<|channel|>final<|message|>Four.<|return|>");
      assertEquals((await server.post(path, { ...body, ...fields })).status, 200);
    }
  }
});
