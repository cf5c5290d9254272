/**
 * Fields that clients of other servers send by default: of vLLM, llama.cpp, SGLang, Ollama and OpenAI. What asks for
 * nothing is taken and changes nothing; what asks for something that is not done is refused by name.
 */
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { ChatAnswer } from "../../src/serve/endpoints/chat_schema.ts";
import { COMPLETIONS } from "../../src/serve/endpoints/completions.ts";
import { responseEndpoints } from "../../src/serve/endpoints/responses.ts";
import { ResponseAnswer } from "../../src/serve/endpoints/responses_schema.ts";
import { assertEquals, assertStringIncludes } from "../assert.ts";
import { type Json, scripted } from "./scripted.ts";

const CHATS = "/v1/chat/completions", TEXTS = "/v1/completions", RESPONSES = "/v1/responses";
const ANSWER = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Four.<|return|>";
const input = "2 + 2?", seed = 7;
const bodies: Record<string, Json> = {
  [CHATS]: { messages: [{ role: "user", content: input }], seed },
  [TEXTS]: { prompt: input, seed, max_tokens: 30 },
  [RESPONSES]: { input, seed },
};
const all = Object.keys(bodies), talks = [CHATS, RESPONSES];

/** llama.cpp's, as its own page sends them where each is off. */
const LLAMA = {
  repeat_penalty: 1,
  typical_p: 1,
  typ_p: 1,
  mirostat: 0,
  mirostat_tau: 5,
  mirostat_eta: 0.1,
  dry_multiplier: 0,
  dry_base: 1.75,
  dry_allowed_length: 2,
  dry_penalty_last_n: 1024,
  dry_sequence_breakers: ["\n", ":"],
  xtc_probability: 0,
  xtc_threshold: 0.1,
  dynatemp_range: 0,
  dynatemp_exponent: 1,
  top_n_sigma: -1,
  n_probs: 0,
  cache_prompt: true,
  timings_per_token: true,
  return_progress: true,
};

const TAKEN: readonly [paths: readonly string[], fields: Json][] = [
  [all, { stop: "" }],
  [all, { stop: [] }],
  [all, { stop: null }],
  [all, LLAMA],
  [all, { keep_alive: "5m" }],
  [talks, { chat_template_kwargs: { enable_thinking: true, thinking: true } }],
  [talks, { chat_template_kwargs: { enable_thinking: null } }],
  [talks, { chat_template_kwargs: {} }],
  [[CHATS], { enable_thinking: true, think: true, separate_reasoning: true, stream_reasoning: true }],
  // As vLLM's own class of a request is written out.
  [[CHATS], { top_logprobs: 0, logprobs: false, tool_choice: "none", tools: null, stop: [], stop_token_ids: [] }],
  [[RESPONSES], { truncation: "disabled" }],
  [[RESPONSES], { truncation: "auto" }],
  [[RESPONSES], { truncation: null }],
];

Deno.test("what clients send by default and what asks for nothing changes nothing", async () => {
  const server = scripted([CHAT, COMPLETIONS, ...responseEndpoints()]);
  const ask = async (path: string, fields: Json) => {
    server.script(path === TEXTS ? "Four.<|return|>" : ANSWER);
    const { status, json } = await server.post(path, { ...bodies[path], ...fields });
    assertEquals([status, json.error ?? null], [200, null], JSON.stringify(fields));
    const { sampling, stopIds, maxTokens, minTokens, logprobs, mask, salt } = server.jobs.at(-1)!;
    assertEquals(mask ?? null, null);
    const said = json.choices ?? json.output.map(({ content }: Json) => content);
    return { prompt: server.prompts.at(-1), sampling, stopIds, maxTokens, minTokens, logprobs, salt, said };
  };
  for (const path of all) {
    const plain = await ask(path, {});
    for (const [paths, fields] of TAKEN) {
      if (paths.includes(path)) assertEquals(await ask(path, fields), plain, `${path} ${JSON.stringify(fields)}`);
    }
  }
});

const TRUE = "is not supported; expected true, or none";
const REFUSED: readonly [paths: readonly string[], fields: Json, param: string, message: string][] = [
  [all, { stop: [""] }, "stop.0", 'expected a text of at least 1 character, got ""'],
  [all, { typical_p: 0.9 }, "typical_p", "is not supported; expected 1, or none"],
  [all, { mirostat: 2 }, "mirostat", "is not supported; expected 0, or none"],
  [all, { dry_multiplier: 0.8, dry_base: 1.75 }, "dry_multiplier", "is not supported; expected 0, or none"],
  [all, { xtc_probability: 0.5 }, "xtc_probability", "is not supported; expected 0, or none"],
  [all, { dynatemp_range: 0.5 }, "dynatemp_range", "is not supported; expected 0, or none"],
  [all, { top_n_sigma: 1 }, "top_n_sigma", "is not supported; expected -1, or none"],
  [all, { n_probs: 5 }, "n_probs", "is not supported; expected 0, or none"],
  [all, { cache_prompt: false }, "cache_prompt", TRUE],
  // A bound of a reply, and of what penalties look at.
  [all, { n_predict: 100 }, "n_predict", "unknown field"],
  [all, { repeat_last_n: 64 }, "repeat_last_n", "unknown field"],
  [talks, { chat_template_kwargs: { enable_thinking: false } }, "chat_template_kwargs.enable_thinking", TRUE],
  [talks, { chat_template_kwargs: { thinking: false } }, "chat_template_kwargs.thinking", TRUE],
  [talks, { chat_template_kwargs: { model_identity: "Bob" } }, "chat_template_kwargs.model_identity", "unknown field"],
  [
    talks,
    { chat_template_kwargs: { reasoning_effort: "none" } },
    "chat_template_kwargs.reasoning_effort",
    'expected "low" or "medium" or "high", got "none"',
  ],
  [
    [CHATS],
    { reasoning_effort: "low", chat_template_kwargs: { reasoning_effort: "high" } },
    "chat_template_kwargs.reasoning_effort",
    "expected reasoning_effort, which is low, or none",
  ],
  [
    [RESPONSES],
    { reasoning: { effort: "low" }, chat_template_kwargs: { reasoning_effort: "high" } },
    "chat_template_kwargs.reasoning_effort",
    "expected reasoning.effort, which is low, or none",
  ],
  [[CHATS], { enable_thinking: false }, "enable_thinking", TRUE],
  [[CHATS], { think: false }, "think", TRUE],
  [[CHATS], { separate_reasoning: false }, "separate_reasoning", TRUE],
  [[CHATS], { stream_reasoning: false }, "stream_reasoning", TRUE],
  [[CHATS], { top_logprobs: 1, logprobs: false }, "top_logprobs", "expected with logprobs"],
];

Deno.test("what clients ask for and what is not done is refused by name", async () => {
  const server = scripted([CHAT, COMPLETIONS, ...responseEndpoints()]);
  for (const [paths, fields, param, message] of REFUSED) {
    for (const path of paths) {
      const { status, json } = await server.post(path, { ...bodies[path], ...fields });
      assertEquals([status, json.error?.param, json.error?.message], [400, param, `${param}: ${message}`], path);
    }
  }
  assertEquals(server.jobs.length, 0);
});

Deno.test("the effort of reasoning may be an argument of the template, in chats and in responses", async () => {
  // Without a template prompts are harmony's, which says the effort.
  const bare = await Deno.makeTempDir(), server = scripted([CHAT, ...responseEndpoints()], bare);
  for (const effort of ["low", "medium", "high"]) {
    const ask = async (path: string, fields: Json) => {
      server.script(ANSWER);
      const { status, json } = await server.post(path, { ...bodies[path], ...fields });
      assertEquals(status, 200, JSON.stringify(json));
      assertStringIncludes(server.prompts.at(-1)!, `Reasoning: ${effort}`);
      return json;
    };
    const kwargs = { chat_template_kwargs: { reasoning_effort: effort } };
    ChatAnswer.parse(await ask(CHATS, kwargs));
    await ask(CHATS, { ...kwargs, reasoning_effort: effort });
    const answer = ResponseAnswer.parse(await ask(RESPONSES, kwargs));
    assertEquals(answer.reasoning.effort, effort as typeof answer.reasoning.effort);
    await ask(RESPONSES, { ...kwargs, reasoning: { effort } });
  }
  await Deno.remove(bare, { recursive: true });
});

Deno.test("truncation auto is said back, and refused by name where something would be left out", async () => {
  const server = scripted(responseEndpoints());
  server.script(ANSWER, ANSWER);
  const answer = ResponseAnswer.parse((await server.post(RESPONSES, { input, truncation: "auto" })).json);
  assertEquals([answer.truncation, answer.status], ["auto", "completed"]);
  assertEquals((await server.post(RESPONSES, { input })).json.truncation, "disabled");
  for (const long of ["word ".repeat(3000), "y".repeat(900_000)]) {
    const refused = async (fields: Json) => (await server.post(RESPONSES, { input: long, ...fields })).json.error;
    const plain = await refused({}), cut = await refused({ truncation: "auto" });
    assertEquals([plain.param, plain.code], ["input", "context_length_exceeded"]);
    assertEquals([cut.param, cut.code], ["truncation", "context_length_exceeded"]);
    assertEquals(
      cut.message,
      `truncation: auto is not supported where something would be left out: ${plain.message}`,
    );
  }
  // A reply that is too long leaves nothing out, and what is wrong elsewhere is said of that.
  for (
    const [fields, param] of [[{ max_output_tokens: 1999 }, "max_output_tokens"], [{ top_p: 2 }, "top_p"]] as const
  ) {
    const { status, json } = await server.post(RESPONSES, { input, truncation: "auto", ...fields });
    assertEquals([status, json.error.param], [400, param]);
  }
});
