/** How tokens are chosen where a request says nothing, as OpenAI and vLLM document it, and what its fields become. */
import { ApiError } from "../../src/serve/api_error.ts";
import { minTokensOf, samplingOf, stopIdsOf } from "../../src/serve/endpoints/sampling_fields.ts";
import { CompletionRequest } from "../../src/serve/endpoints/completions_schema.ts";
import { assertEquals, assertThrows } from "../assert.ts";

const of = (fields: object) => CompletionRequest.parse({ prompt: "a", ...fields });

Deno.test("without fields tokens are drawn from the model's own probabilities, all of them, without a seed", () => {
  const plain = samplingOf(of({}), 0, 100);
  assertEquals(plain, {
    temperature: 1,
    topP: 1,
    topK: 0,
    minP: 0,
    logitBias: new Map(),
    repetitionPenalty: 1,
    frequencyPenalty: 0,
    presencePenalty: 0,
    seed: undefined,
  });
  const nulls = { temperature: null, top_p: null, top_k: null, min_p: null, seed: null, logit_bias: null };
  assertEquals(samplingOf(of(nulls), 3, 100), plain);
  // As vLLM has them: all tokens, and no seed.
  assertEquals(samplingOf(of({ top_k: -1, seed: -1 }), 3, 100), plain);
});

Deno.test("fields are taken as they are, and each reply has a seed of its own", () => {
  assertEquals([samplingOf(of({ top_k: 40 }), 0, 100).topK, samplingOf(of({ top_k: 1 }), 0, 100).topK], [40, 1]);
  assertEquals([0, 1, 2].map((nth) => samplingOf(of({ seed: 7 }), nth, 100).seed), [7n, 8n, 9n]);
  assertEquals(samplingOf(of({ seed: -2 }), 0, 100).seed, 2n ** 64n - 2n);
  assertEquals(samplingOf(of({ logit_bias: { 99: -5 } }), 0, 100).logitBias, new Map([[99, -5]]));
  const { message } = assertThrows(() => samplingOf(of({ logit_bias: { 100: -5 } }), 0, 100), ApiError);
  assertEquals(message, "logit_bias: expected ids from 0 to 99, got 100");
  assertEquals([minTokensOf(of({}), 5), minTokensOf(of({ min_tokens: 5 }), 5)], [0, 5]);
  assertThrows(() => minTokensOf(of({ min_tokens: 6 }), 5), ApiError, "min_tokens: expected at most 5");
  const own = new Set([1, 2]), stop_token_ids = [2, 3];
  assertEquals([stopIdsOf(of({}), own), stopIdsOf(of({ stop_token_ids }), own)], [own, new Set([1, 2, 3])]);
  assertEquals(stopIdsOf(of({ ignore_eos: true, stop_token_ids }), own), new Set([2, 3]));
});
