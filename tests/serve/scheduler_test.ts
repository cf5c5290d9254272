import type { Generation, Job, ScoredToken } from "../../src/serve/engine/job.ts";
import { assert, assertEquals } from "../assert.ts";
import { integers, readGolden } from "../golden.ts";
import { openServing } from "./serving.ts";

const goldens = readGolden("logits.safetensors");
const GREEDY = Int32Array.from(integers(goldens, "greedy.prompt"));
const TWO_TURNS = Int32Array.from(integers(goldens, "two_turns.ids"));
const STOP = 1017;

function job(prompt: Int32Array, more: Partial<Job> = {}): Job {
  return {
    prompt,
    maxTokens: 120,
    stopIds: new Set([STOP]),
    sampling: {},
    logprobs: null,
    echo: false,
    client: "a",
    requestId: crypto.randomUUID(),
    ...more,
  };
}

async function tokensOf(generation: Generation): Promise<ScoredToken[]> {
  const tokens: ScoredToken[] = [];
  for await (const token of generation) tokens.push(token);
  return tokens;
}

Deno.test("a job gives Hugging Face's greedy reply", async () => {
  await using serving = await openServing();
  const { service } = serving, generation = service.submit(service.model(), job(GREEDY));
  const ids = (await tokensOf(generation)).map(({ id }) => id), reply = integers(goldens, "greedy.reply");
  assertEquals(ids, reply);
  const { reason, promptTokens, generatedTokens } = await generation.outcome;
  assertEquals([reason, promptTokens, generatedTokens], ["stop", GREEDY.length, reply.length]);
  assertEquals(service.load(service.model()), { running: 0, waiting: 0, cacheUsage: 0, broken: null });
});

Deno.test("a reply and its log probabilities are the same to the bit alone and among fifteen others", async () => {
  const wanted = job(TWO_TURNS.slice(0, 41), {
    maxTokens: 40,
    logprobs: 3,
    echo: true,
    sampling: { temperature: 0.8, seed: 7 },
  });
  const all = async (jobs: readonly Job[]) => {
    await using serving = await openServing({ slots: 16, maxTokens: 24 });
    const { service } = serving, generations = jobs.map((one) => service.submit(service.model(), one));
    return await Promise.all(generations.map(async (one) => [await one.prompt, await tokensOf(one)] as const));
  };
  const [alone] = await all([wanted]);
  const others = Array.from(
    { length: 15 },
    (_, i) => job(TWO_TURNS.slice(i, 2 * i + 12), { maxTokens: 5 + 3 * i, sampling: { temperature: 1, seed: i } }),
  );
  const among = await all([...others.slice(0, 7), wanted, ...others.slice(7)]);
  assertEquals(among[7], alone);
  assert(alone![0].length === 41 && alone![1].length > 1);
});

Deno.test("a job that is cancelled leaves its slot within a token, waiting or running", async () => {
  await using serving = await openServing({ slots: 1 });
  const { service } = serving, model = service.model(), abort = new AbortController();
  const first = service.submit(model, job(GREEDY, { stopIds: new Set(), maxTokens: 300, signal: abort.signal }));
  const second = service.submit(model, job(GREEDY, { maxTokens: 5 }));
  const third = service.submit(model, job(GREEDY, { maxTokens: 5 }));
  third.cancel();
  const seen: number[] = [];
  for await (const { id } of first) if (seen.push(id) === 3) abort.abort();
  assertEquals((await first.outcome).reason, "cancelled");
  assert(seen.length <= 4, `${seen.length} tokens`);
  assertEquals((await tokensOf(second)).length, 5);
  assertEquals([(await third.outcome).reason, (await tokensOf(third)).length], ["cancelled", 0]);
});
