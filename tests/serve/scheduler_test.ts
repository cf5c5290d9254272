import type { Generation, Job, ScoredToken } from "../../src/serve/engine/job.ts";
import { NOBODY } from "../../src/serve/engine/observer.ts";
import { Sequence } from "../../src/serve/engine/sequence.ts";
import { assert, assertEquals } from "../assert.ts";
import { integers, readGolden } from "../golden.ts";
import { everyNth } from "../soak.ts";
import { jobOf, openServing } from "./serving.ts";

const goldens = readGolden("logits.safetensors");
const GREEDY = Int32Array.from(integers(goldens, "greedy.prompt"));
const TWO_TURNS = Int32Array.from(integers(goldens, "two_turns.ids"));
const STOP = 1017;

function job(prompt: Int32Array, more: Partial<Job> = {}): Job {
  return jobOf(prompt, { maxTokens: 120, stopIds: new Set([STOP]), ...more });
}

async function tokensOf(generation: Generation): Promise<ScoredToken[]> {
  const tokens: ScoredToken[] = [];
  for await (const token of generation) tokens.push(token);
  return tokens;
}

Deno.test("a reply and its log probabilities are the same to the bit alone and among fifteen others", async () => {
  const wanted = job(TWO_TURNS.slice(0, 33), {
    maxTokens: 12,
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
    (_, i) => job(TWO_TURNS.slice(i, 2 * i + 8), { maxTokens: 2 + i, sampling: { temperature: 1, seed: i } }),
  );
  const among = await all([...others.slice(0, 7), wanted, ...others.slice(7)]);
  assertEquals(among[7], alone);
  assert(alone![0].length === 33 && alone![1].length > 1);
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

Deno.test("prompts share what they begin with, ended or on their way, and no reply changes by it", async () => {
  const prompts = [41, 52, 52, 20].map((end) => TWO_TURNS.slice(0, end));
  // Another end after 30 tokens in common.
  prompts.push(Int32Array.from([...TWO_TURNS.slice(0, 30), ...GREEDY]));
  const alone = [], options = { logprobs: 2, maxTokens: 5, sampling: { temperature: 1, seed: 5 } } as const;
  await using unshared = await openServing({ slots: 1, rewind: 0, maxTokens: 16 });
  for (const prompt of prompts) {
    // Scored prompts share with none that were not.
    const generation = unshared.service.submit(unshared.service.model(), job(prompt, { ...options, echo: true }));
    alone.push(await tokensOf(generation));
    assertEquals((await generation.outcome).cachedTokens, 0);
  }
  for (const [slots, together] of everyNth(2, [[1, false], [3, false], [3, true], [16, true]] as const)) {
    await using serving = await openServing({ slots, maxTokens: 16 });
    const { service } = serving, model = service.model(), generations: Generation[] = [];
    for (const prompt of prompts) {
      const generation = service.submit(model, job(prompt, options));
      generations.push(generation);
      if (!together) await generation.outcome;
    }
    assertEquals(await Promise.all(generations.map(tokensOf)), alone);
    const outcomes = await Promise.all(generations.map(({ outcome }) => outcome));
    const cached = outcomes.map(({ cachedTokens }) => cachedTokens);
    // The first computes all of its own, and every other one shares; for fewer than 8 tokens none waits for another.
    const least = together ? 19 - 7 : 19;
    assertEquals(cached[0], 0, `${slots} slots, together: ${together}`);
    assert(cached[1]! >= 41 && cached[2]! > 43 && cached.slice(1).every((tokens) => tokens >= least), `${cached}`);
  }
});

Deno.test("scored prompts share scores with what they share, and are scored as they are alone", async () => {
  // As lm-eval asks: several continuations of one text.
  const prompts = [[7, 8, 9], [7, 8, 10], [11], [7, 8, 9]].map((end) =>
    Int32Array.from([...TWO_TURNS.slice(0, 50), ...end])
  );
  const scored = { logprobs: 1, echo: true, maxTokens: 1 };
  const ask = async (rewind: number, slots: number) => {
    await using serving = await openServing({ rewind, slots });
    const { service } = serving, results = [], cached = [];
    for (const prompt of prompts) {
      const generation = service.submit(service.model(), job(prompt, scored));
      results.push([await generation.prompt, await tokensOf(generation)]);
      cached.push((await generation.outcome).cachedTokens);
    }
    // Another number of alternatives is scored anew; without scores everything is shared.
    for (const more of [{ ...scored, logprobs: 2 }, { maxTokens: 1 }]) {
      const generation = service.submit(service.model(), job(prompts[0]!, more));
      cached.push((await generation.outcome).cachedTokens);
    }
    return { results, cached };
  };
  const anew = await ask(0, 4), shared = await ask(256, 4), one = await ask(256, 1);
  assertEquals(shared.results, anew.results);
  assertEquals(one.results, anew.results);
  assertEquals(shared.cached, [0, 51, 49, 52, 0, 52]);
});

Deno.test("a short prompt does not wait for the end of a long one", async () => {
  await using serving = await openServing({ slots: 2, maxTokens: 16 });
  const { service } = serving, order: string[] = [];
  const ask = async (name: string, prompt: Int32Array) => {
    await service.submit(service.model(), job(prompt, { maxTokens: 1 })).outcome;
    order.push(name);
  };
  await Promise.all([ask("long", TWO_TURNS.slice(0, 200)), ask("short", GREEDY.slice(0, 20))]);
  assertEquals(order, ["short", "long"]);
});

Deno.test("a prompt as long as the context of gpt-oss takes over another's scores", async () => {
  const prompt = new Int32Array(131_072), scored = job(prompt, { maxTokens: 0, logprobs: 0, echo: true });
  const sequence = () => new Sequence(scored, NOBODY, () => {}), [first, second] = [sequence(), sequence()];
  first.begin(0, null);
  for (let position = 0; position < prompt.length; position++) first.take(position, Float32Array.of(0, 0));
  first.computed(prompt.length);
  second.begin(prompt.length - 1, first);
  second.computed(1);
  assertEquals(await second.stream.prompt, await first.stream.prompt);
});
