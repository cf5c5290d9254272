/**
 * The completion requests of programs that people have: bodies as their sources compose them, all of which are taken as
 * they are. lm-eval 0.4.13 (`models/openai_completions.py`, `utils.py`), guidellm 0.8.1
 * (`backends/openai/request_handlers.py`), vLLM (`benchmarks/lib/endpoint_request_func.py`), evalscope 1.14.1
 * (`perf/plugin/api`), Open WebUI 0.12.4 (`GET /models`).
 */
import { assertEquals } from "../assert.ts";
import { openServing } from "./serving.ts";

const model = "tiny-gpt-oss";
const prompt = "Question: Ann has 3 plums. How many?\nAnswer:";
const usage = { include_usage: true }, always = { include_usage: true, continuous_usage_stats: true };

const COMPLETIONS: readonly (readonly [client: string, body: Readonly<Record<string, unknown>>])[] = [
  ["lm-eval, text", {
    prompt: [prompt],
    model,
    max_tokens: 4,
    temperature: 0.0,
    stop: ["Question:", "</s>", "<|im_end|>", "<|return|>"],
    seed: 1234,
  }],
  ["lm-eval, token ids", { prompt: [[1, 2, 3, 4]], model, max_tokens: 4, temperature: 0, stop: ["\n\n"], seed: 1234 }],
  // Tasks of noreval.
  ["lm-eval, of transformers", {
    prompt: [[1, 2, 3, 4]],
    model,
    max_tokens: 4,
    temperature: 0,
    stop: ["\n"],
    seed: 1234,
    num_beams: 1,
  }],
  ["lm-eval, loglikelihood", {
    model,
    prompt: [[1, 2, 3, 4], [1, 2, 3, 5]],
    temperature: 0,
    max_tokens: 1,
    logprobs: 1,
    seed: 1234,
    echo: true,
  }],
  ["guidellm", { model, stream: true, stream_options: always, max_tokens: 4, stop: null, ignore_eos: true, prompt }],
  ["guidellm, without a stream", { model, max_tokens: 4, prompt }],
  ["vllm bench serve", {
    model,
    prompt,
    repetition_penalty: 1.0,
    max_tokens: 4,
    logprobs: null,
    stream: true,
    stream_options: usage,
    ignore_eos: true,
    temperature: 0.0,
  }],
  ["evalscope perf", { prompt, model, max_tokens: 4, seed: 42, stream: true, stream_options: usage, temperature: 0.0 }],
];

Deno.test("completion requests of lm-eval, guidellm, vllm bench and evalscope are taken as they are", async () => {
  await using serving = await openServing({ slots: 2, context: 64 });
  for (const [client, body] of COMPLETIONS) {
    const response = await serving.post("/v1/completions", body, { authorization: "Bearer " });
    const text = await response.text();
    assertEquals(response.status, 200, `${client}: ${text}`);
    if (body["stream"] !== true) continue;
    const lines = text.trim().split("\n\n");
    assertEquals(lines.at(-1), "data: [DONE]", client);
    assertEquals(JSON.parse(lines.at(-2)!.slice(6)).usage.completion_tokens, 4, client);
  }
  const beams = await serving.post("/v1/completions", { prompt, num_beams: 10 });
  assertEquals((await beams.json()).error.message, "num_beams: is not supported; expected 1, or none");
  // What they ask first; what vLLM alone has may be missing.
  for (const path of ["/health", "/v1/models", "/tokenizer_info", "/metrics", "/version"]) {
    const response = await serving.app.fetch(new Request(`http://localhost${path}`));
    await response.body!.cancel();
    assertEquals(response.status, 200, path);
  }
  assertEquals((await serving.post("/tokenize", { prompt: "test", add_special_tokens: false })).status, 200);
  assertEquals((await serving.post("/start_profile", {})).status, 404);
});
