/** `/v1/completions`, in the test's own process. */
import { logProbability } from "../../src/session/likelihood.ts";
import { type Choice, CompletionAnswer } from "../../src/serve/endpoints/completions_schema.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { integers, readGolden } from "../golden.ts";
import { openSession } from "../session/open_session.ts";
import { type Json, openServing, type Serving, TINY } from "./serving.ts";

const goldens = readGolden("logits.safetensors");
const GREEDY = integers(goldens, "greedy.prompt");
const REPLY = integers(goldens, "greedy.reply");
const QUESTION = "Tom has 3 apples and buys 4 more.";

/** The answer, which is as its schema says. */
async function complete(serving: Serving, body: Readonly<Record<string, unknown>>): Json {
  const response = await serving.post("/v1/completions", { temperature: 0, ...body });
  return CompletionAnswer.parse(await response.json()) as Awaited<Json>;
}

/** The data of a stream's events. */
async function events(response: Response): Promise<Awaited<Json>[]> {
  const lines = (await response.text()).split("\n\n").filter((line) => line !== "");
  assertEquals([response.headers.get("content-type"), lines.at(-1)], [
    "text/event-stream; charset=utf-8",
    "data: [DONE]",
  ]);
  return lines.slice(0, -1).map((line) => CompletionAnswer.parse(JSON.parse(line.replace(/^data: /, ""))));
}

const REFUSED: readonly (readonly [body: unknown, status: number, param: string | null, message: RegExp])[] = [
  ["{", 400, null, /^the body is not JSON: /],
  ["[]", 400, "body", /^body: expected an object, got an array of 0$/],
  [{}, 400, "prompt", /^prompt: expected a text or a list, got nothing$/],
  [{ prompt: "" }, 400, "prompt", /^prompt: expected at least one token, got none$/],
  [{ prompt: [] }, 400, "prompt", /^prompt: expected a text or a list of at least 1, got an array of 0$/],
  [{ prompt: [1.5] }, 400, "prompt.0", /^prompt\.0: expected a text or an integer or a list, got 1\.5$/],
  [{ prompt: [1, "a"] }, 400, "prompt.1", /^prompt\.1: expected an integer, got "a"$/],
  [{ prompt: [1, 1024] }, 400, "prompt", /^prompt: expected token ids from 0 to 1023, got 1024$/],
  [{ prompt: "a", model: "gpt-4" }, 404, "model", /^model: expected one of tiny-gpt-oss, got "gpt-4"$/],
  [{ prompt: "a", temperature: -1 }, 400, "temperature", /^temperature: expected a number of at least 0, got -1$/],
  [{ prompt: "a", temperature: "hot" }, 400, "temperature", /^temperature: expected a number, got "hot"$/],
  [{ prompt: "a", max_tokens: 1.5 }, 400, "max_tokens", /^max_tokens: expected an integer, got 1\.5$/],
  [{ prompt: "a", max_tokens: 0 }, 400, "max_tokens", /^max_tokens: expected at least 1, or echo$/],
  [
    { prompt: "a", max_tokens: 400 },
    400,
    "max_tokens",
    /^max_tokens: expected at most 399, what 1 token of the prompt leaves, got 400; this model's maximum/,
  ],
  [
    { prompt: Array(401).fill(1) },
    400,
    "prompt",
    // litellm looks for the second half, to tell this from other mistakes.
    /^prompt: expected at most 400 tokens, got 401; this model's maximum context length is 400 tokens$/,
  ],
  [{ prompt: "a", temperatur: 0 }, 400, "temperatur", /^temperatur: unknown field$/],
  [{ prompt: "a", suffix: "b" }, 400, "suffix", /^suffix: is not supported$/],
  [{ prompt: "a", presence_penalty: 3 }, 400, "presence_penalty", /^presence_penalty: /],
  [{ prompt: "a", repetition_penalty: 0 }, 400, "repetition_penalty", /^repetition_penalty: /],
  [{ prompt: "a", min_p: 1.5 }, 400, "min_p", /^min_p: /],
  [{ prompt: "a", logit_bias: { 1: 500 } }, 400, "logit_bias.1", /^logit_bias.1: /],
  [{ prompt: "a", logit_bias: { a: 5 } }, 400, "logit_bias.a", /^logit_bias.a: expected a token id as the name/],
  [
    { prompt: "a", logit_bias: { 9999999: 5 } },
    400,
    "logit_bias",
    /^logit_bias: expected ids from 0 to \d+, got 9999999$/,
  ],
  [
    { prompt: "a", min_tokens: 17 },
    400,
    "min_tokens",
    /^min_tokens: expected at most 16, the tokens of a reply, got 17$/,
  ],
  [{ prompt: "a", best_of: 3 }, 400, "best_of", /^best_of: expected n, which is 1, or none$/],
  [{ prompt: "a", stream_options: {} }, 400, "stream_options", /^stream_options: expected with stream$/],
  // Before a token is made of them.
  [{ prompt: ["a", "y".repeat(60_000)] }, 400, "prompt", /^prompt: expected at most \d+ tokens, got at least \d{4};/],
  [{ prompt: "a", stop: ["b", ""] }, 400, "stop.1", /^stop.1: expected a text of at least 1/],
  [{ prompt: ["a", "b\ud83d"] }, 400, "prompt.1", /^prompt.1: expected a text of whole characters, got "b/],
  ...["\ude42", ["a", "\ude42"]].map((stop) =>
    [
      { prompt: "a", stop },
      400,
      typeof stop === "string" ? "stop" : "stop.1",
      /: expected a text of whole char/,
    ] as const
  ),
];

const textsOf = ({ choices }: CompletionAnswer) => choices.map(({ text }) => text);

Deno.test("/v1/completions", async (t) => {
  await using serving = await openServing();
  await t.step("completions continue texts and token ids, one or several, with n replies to each", async () => {
    const asIds = { logprobs: 0, return_tokens_as_token_ids: true };
    const { choices: [greedy], usage } = await complete(serving, { prompt: GREEDY, max_tokens: 200, ...asIds });
    assertEquals([greedy.finish_reason, greedy.stop_reason], ["stop", null]);
    // Hugging Face's greedy reply.
    assertEquals(greedy.logprobs.tokens, REPLY.map((id) => `token_id:${id}`));
    assertEquals([usage.prompt_tokens, usage.completion_tokens], [GREEDY.length, REPLY.length]);

    const { tokens } = await (await serving.post("/tokenize", { prompt: QUESTION })).json();
    const asked = { max_tokens: 6 };
    const [text, ids, texts, lists, twice] = await Promise.all([
      complete(serving, { ...asked, prompt: QUESTION }),
      complete(serving, { ...asked, prompt: tokens }),
      complete(serving, { ...asked, prompt: [QUESTION, "Ann"] }),
      complete(serving, { ...asked, prompt: [tokens, GREEDY] }),
      complete(serving, { ...asked, prompt: [QUESTION, "Ann"], n: 2 }),
    ]);
    assertEquals(textsOf(ids), textsOf(text));
    assertEquals(textsOf(texts)[0], textsOf(text)[0]);
    assertEquals(textsOf(lists)[0], textsOf(text)[0]);
    const [first, second] = textsOf(texts);
    assertEquals(textsOf(twice), [first, first, second, second]);
    assertEquals(twice.choices.map(({ index }: Choice) => index), [0, 1, 2, 3]);
    assertEquals(twice.usage.prompt_tokens, texts.usage.prompt_tokens);
    assertEquals(twice.usage.completion_tokens, 24);
  });

  await t.step("a reply of min_tokens does not end before, by the model's own end, an id or a text", async () => {
    const asked = { prompt: GREEDY, max_tokens: REPLY.length + 8, logprobs: 0, return_tokens_as_token_ids: true };
    const ids = async (more: object) => {
      const { choices: [{ logprobs: { tokens }, finish_reason, text }] } = await complete(serving, {
        ...asked,
        ...more,
      });
      return { ids: tokens.map((name: string) => Number(name.split(":")[1])) as number[], finish_reason, text };
    };
    const end = REPLY.at(-1)!, own = REPLY.slice(0, -1), free = await ids({ ignore_eos: true });
    for (const length of [REPLY.length - 1, REPLY.length + 5]) {
      const least = await ids({ min_tokens: length });
      assertEquals(least.ids.slice(0, own.length), own);
      assert(least.ids.length >= length);
      assertEquals(least.ids.slice(0, length).includes(end), false);
      assertEquals(least.finish_reason, least.ids.at(-1) === end ? "stop" : "length");
    }
    assertEquals((await ids({ min_tokens: own.length })).ids, [...REPLY]);
    const third = own[2]!;
    assertEquals((await ids({ stop_token_ids: [third] })).ids, own.slice(0, own.indexOf(third) + 1));
    assertEquals((await ids({ stop_token_ids: [third], min_tokens: 8 })).ids.slice(0, 8).includes(third), false);
    const stop = free.text.slice(2, 5);
    assertEquals((await ids({ stop })).text, free.text.slice(0, free.text.indexOf(stop)));
    assert((await ids({ stop, min_tokens: own.length })).text.startsWith(free.text.slice(0, 20)));
  });

  await t.step("bias and penalties decide the next tokens, and log probabilities stay the model's own", async () => {
    const [a, b] = [1000, 1001] as const, prompt = GREEDY.slice(0, 9);
    const asked = { prompt, max_tokens: 4, logprobs: 0, return_tokens_as_token_ids: true, ignore_eos: true };
    const ids = async (more: object) => {
      const { choices: [{ logprobs: { tokens } }] } = await complete(serving, { ...asked, ...more });
      return tokens.map((name: string) => Number(name.split(":")[1]));
    };
    const both = { [a]: 100, [b]: 99.5 };
    // Sums of bias and logits: a stays ahead by at least 1 unless something is taken from it.
    const scores = (await complete(serving, { ...asked, max_tokens: 1, logit_bias: { [a]: 100 } })).choices[0].logprobs;
    assertEquals(scores.tokens, [`token_id:${a}`]);
    assert(scores.token_logprobs[0] < -1, "the model itself finds it unlikely");
    assertEquals(await ids({ logit_bias: { [a]: 100 } }), [a, a, a, a]);
    assertEquals(new Set(await ids({ logit_bias: both, frequency_penalty: 2 })), new Set([a, b]));
    const drawn = await ids({ logit_bias: { [a]: 100 }, temperature: 1.5, min_p: 0.5, seed: 1 });
    assertEquals(drawn, [a, a, a, a]);
    // What is there already is divided away, tokens of the prompt too.
    const [first] = await ids({}), [other] = await ids({ logit_bias: { [first]: -100 } });
    assert(first !== other);
    assert(!(await ids({ prompt: [...prompt, first], repetition_penalty: 100 })).includes(first));
  });

  await t.step(
    "echoed log probabilities are those of the session's logits, and top_logprobs has the token and the best",
    async () => {
      const ids = GREEDY.slice(0, 30);
      const { choices: [{ text, logprobs, finish_reason }] } = await complete(serving, {
        prompt: ids,
        max_tokens: 1,
        logprobs: 1,
        echo: true,
      });
      const session = await openSession(openCheckpoint(TINY), {
        backend: "emulate",
        dtype: "bf16",
        kvCacheDtype: "auto",
        context: 64,
        threads: 1,
      });
      const expected: (number | null)[] = [null];
      const greedy: boolean[] = [];
      await session.feed({ slot: 0, tokens: ids, logits: "all" }, (position, logits) => {
        const next = ids[position + 1] ?? logits.indexOf(Math.max(...logits));
        expected.push(logProbability(logits, next));
        greedy.push(logits[next] === Math.max(...logits));
      });
      await session.close();
      assertEquals(logprobs.token_logprobs, expected);
      assertEquals([logprobs.tokens.length, finish_reason, logprobs.top_logprobs[0]], [31, "length", null]);
      // As lm-eval asks whether a continuation is the likeliest.
      const likeliest = (i: number) =>
        logprobs.token_logprobs[i] === Math.max(...Object.values<number>(logprobs.top_logprobs[i]));
      assertEquals(greedy, Array.from({ length: 30 }, (_, i) => likeliest(i + 1)));
      assert(greedy.includes(false) && greedy.includes(true));
      const { prompt } = await (await serving.post("/detokenize", { tokens: ids })).json();
      assert(text.startsWith(prompt));
      // Every token begins where the text has it.
      logprobs.tokens.slice(0, -1).forEach((token: string, i: number) => {
        assertEquals(text.slice(logprobs.text_offset[i], logprobs.text_offset[i + 1]), token);
      });
    },
  );

  await t.step("a stream has the pieces of the answer that comes at once, and its usage", async () => {
    const body = { prompt: [QUESTION, "Ann has"], temperature: 0.7, seed: 3, max_tokens: 24, echo: true, logprobs: 2 };
    const whole = await complete(serving, body);
    const options = { include_usage: true, continuous_usage_stats: true };
    const response = await serving.post("/v1/completions", { ...body, stream: true, stream_options: options });
    const chunks = await events(response), last = chunks.pop();
    // What is cached depends on the requests before.
    const tokens = ({ prompt_tokens, completion_tokens }: Record<string, number>) => [prompt_tokens, completion_tokens];
    assertEquals([last.choices, tokens(last.usage)], [[], tokens(whole.usage)]);
    assertEquals(tokens(chunks.at(-1).usage), tokens(whole.usage));
    for (const index of [0, 1]) {
      const own = chunks.flatMap(({ choices }) => choices).filter((choice) => choice.index === index);
      const { text, logprobs, finish_reason } = whole.choices[index];
      assertEquals(own.map((choice) => choice.text).join(""), text);
      for (const key of ["tokens", "token_logprobs", "top_logprobs", "text_offset"]) {
        assertEquals(own.flatMap((choice) => choice.logprobs[key]), logprobs[key], key);
      }
      assertEquals(own.map((choice) => choice.finish_reason).filter((reason) => reason !== null), [finish_reason]);
    }
  });

  await t.step("stop strings, stop ids and ignore_eos end a reply where they should", async () => {
    const ask = async (more: Record<string, unknown>) => {
      const { choices: [{ text, finish_reason, stop_reason }], usage } = await complete(serving, {
        prompt: QUESTION,
        max_tokens: 60,
        ...more,
      });
      return { text, end: [finish_reason, stop_reason], tokens: usage.completion_tokens };
    };
    const free = await ask({});
    assert(free.text.includes("apples does"), free.text);
    const stopped = await ask({ stop: "es do" });
    assertEquals([stopped.text, stopped.end], [free.text.slice(0, free.text.indexOf("es do")), ["stop", "es do"]]);
    assert(stopped.tokens < 8, `${stopped.tokens} tokens were computed`);
    assertEquals((await ask({ stop: ["nowhere", " many"] })).text, " How");
    const chunks = await events(
      await serving.post("/v1/completions", {
        prompt: QUESTION,
        temperature: 0,
        max_tokens: 60,
        stop: ["es do"],
        stream: true,
      }),
    );
    assertEquals(chunks.map(({ choices: [{ text }] }) => text).join(""), stopped.text);
    const { tokens: [have] } = await (await serving.post("/tokenize", { prompt: " have" })).json();
    const byId = await ask({ stop_token_ids: [have] });
    assertEquals([byId.end, byId.text], [["stop", have], free.text.slice(0, free.text.indexOf(" have"))]);
    const ended = { prompt: GREEDY, max_tokens: REPLY.length + 5 };
    assertEquals((await ask(ended)).tokens, REPLY.length);
    assertEquals((await ask({ ...ended, ignore_eos: true })).tokens, REPLY.length + 5);
  });

  await t.step("a seed decides a reply; of several replies each has its own", async () => {
    const body = { prompt: "Ann has", temperature: 2, max_tokens: 12, n: 2 };
    const [a, b, c] = await Promise.all([7, 7, 8].map((seed) => complete(serving, { ...body, seed })));
    assertEquals(a.choices, b.choices);
    assert(a.choices[0].text !== a.choices[1].text && a.choices[0].text !== c.choices[0].text);
    const listed = await complete(serving, { ...body, prompt: ["Tom", body.prompt], seed: 7 });
    assertEquals(textsOf(listed).slice(2), textsOf(a), "whatever else is asked in the same request");
  });

  await t.step(
    "what is wrong in a request is said in one line that names the field; what changes nothing is taken",
    async () => {
      for (const [body, status, param, message] of REFUSED) {
        const response = await serving.post("/v1/completions", body), { error } = await response.json();
        assertMatch(error.message, message);
        assertEquals(
          [response.status, error.param, error.message.includes("\n")],
          [status, param, false],
          error.message,
        );
      }
      const harmless = {
        user: "me",
        best_of: 1,
        logit_bias: {},
        suffix: null,
        presence_penalty: 0,
        stop: null,
        seed: -1,
      };
      assertEquals((await serving.post("/v1/completions", { prompt: "a", max_tokens: 1, ...harmless })).status, 200);
    },
  );
});
