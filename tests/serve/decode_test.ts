/** Engines that choose tokens themselves, as those of GPUs do: replies are what they are by logits. */
import type { Engine } from "../../src/model/engine.ts";
import { assert, assertEquals } from "../assert.ts";
import { integers, readGolden } from "../golden.ts";
import { ChoosingEngine } from "./choosing_engine.ts";
import { jobOf, openServing, type ServingOptions } from "./serving.ts";

const TWO_TURNS = Int32Array.from(integers(readGolden("logits.safetensors"), "two_turns.ids"));

Deno.test("replies are the same where the engine chooses tokens, several ahead or one by one", async () => {
  const texts = async (options: ServingOptions = {}) => {
    await using serving = await openServing({ slots: 3, ...options });
    const { service } = serving, model = service.model();
    const generations = [0, 1, 2, 3, 4].map((i) =>
      service.submit(
        model,
        jobOf(TWO_TURNS.slice(i, 30 + 9 * i), {
          maxTokens: 9 + 12 * (i % 2),
          stopIds: new Set([1017]),
          sampling: i === 0 ? {} : { temperature: 0.9, topP: 0.95, seed: i },
          logprobs: i === 4 ? 0 : null,
          // Ends in the middle of what is computed ahead.
          ...(i === 3 ? { watch: stopAfter(17) } : {}),
        }),
      )
    );
    return await Promise.all(
      generations.map(async (generation) => (await Array.fromAsync(generation)).map(({ id }) => id)),
    );
  };
  const engines: ChoosingEngine[] = [];
  const engine = (own: Engine) => {
    engines.push(new ChoosingEngine(own));
    return engines[0]!;
  };
  const expected = await texts();
  assertEquals(await texts({ engine }), expected);
  assertEquals(await texts({ apart: true }), expected);
  assertEquals([expected[0]!.length, expected[3]!.length], [9, 17]);
  const { decoded, dropped } = engines[0]!.counts;
  assert(decoded > 20, `${decoded} tokens were chosen ahead`);
  assertEquals(dropped, 0);
});

Deno.test("an engine chooses many tokens at once, and ends soon where somebody leaves or comes", async () => {
  let counts: ChoosingEngine["counts"] | undefined;
  const engine = (own: Engine) => {
    const choosing = new ChoosingEngine(own);
    counts = choosing.counts;
    return choosing;
  };
  await using serving = await openServing({ slots: 2, engine });
  const { service } = serving, model = service.model();
  const ask = (i: number, maxTokens: number) => service.submit(model, jobOf(TWO_TURNS.slice(i, i + 20), { maxTokens }));
  await ask(0, 41).outcome;
  assertEquals(counts, { decoded: 40, picked: 1, dropped: 0, calls: 1 });
  // One that leaves is gone before the engine has chosen all of its tokens, and the other goes on.
  const [leaver, other] = [ask(3, 60), ask(5, 60)];
  let seen = 0;
  for await (const _ of leaver) if (++seen === 5) break;
  const { reason, generatedTokens } = await leaver.outcome;
  assert(reason === "cancelled" && generatedTokens < 15, `${reason} after ${generatedTokens} tokens`);
  // So does one that somebody joins, who is not kept waiting.
  const joined = ask(7, 4);
  await joined.outcome;
  other.cancel();
  assert((await other.outcome).generatedTokens < 45);
  assert(counts!.calls <= 6, `${counts!.calls} calls`);
});

function stopAfter(tokens: number): () => boolean {
  return () => --tokens === 0;
}
