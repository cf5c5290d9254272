/** Whatever a session computes together, and in which order, each sequence has the bits that it has alone. */
import { openEmulate } from "../../src/backends/emulate/open.ts";
import { LocalEngine } from "../../src/model/engine.ts";
import { GptOss, workspace } from "../../src/model/gpt_oss.ts";
import { fewestPages } from "../../src/model/pages.ts";
import type { SessionLimits } from "../../src/session/batch.ts";
import { argmax } from "../../src/session/likelihood.ts";
import { Session } from "../../src/session/session.ts";
import { assert, assertEquals } from "../assert.ts";
import { type RandomModel, randomModel, testConfig } from "../backends/random_model.ts";
import { integers } from "../formats/seeded.ts";
import { dose } from "../soak.ts";
import { KINDS, nextOf, openPaged } from "./paged_engine.ts";
import { differences, Schedule, type Seen } from "./schedules.ts";

/** Gives one of a list, by a stream of integers. */
const chooser = (seed: number) => {
  const next = integers(seed);
  return <T>(list: readonly T[]): T => list[next() % list.length]!;
};

/** A model whose heads, widths and window leave remainders by what kernels work on at a time. */
function oddModel(seed: number): RandomModel {
  const one = chooser(seed);
  const kvHeads = one([1, 2, 3]), heads = kvHeads * one([1, 3, 2, 5]);
  const sizes = { hidden: one([33, 15, 50]), intermediate: one([12, 5, 31, 40]), experts: 5, topK: 2 };
  return randomModel(seed, {
    config: testConfig({
      ...{ ...sizes, heads, kvHeads, headDim: one([6, 34, 16, 22]), vocab: 19 },
      ...{ layers: 3, sliding: [true, false, true], slidingWindow: one([1, 7, 16, 33, 65]) },
    }),
    kvScales: { k: 0.021, v: 0.013 },
  });
}

type Opened = Omit<SessionLimits, "vocab" | "pages"> & { readonly threads: number };

async function openOdd({ config, source }: RandomModel, seed: number, { threads, ...sizes }: Opened): Promise<Session> {
  const one = chooser(seed), dtype = one(["bf16", "f32"] as const), kvFormat = one(["fp8", dtype, "bf16"] as const);
  const request = { source, config, dtype, kvFormat, ...sizes, tensors: workspace(config, source) };
  const backend = await openEmulate(request, { threads, weights: "read", worthSharing: 1 });
  return new Session(new LocalEngine(new GptOss(backend, config), config.vocab), { ...sizes, vocab: config.vocab });
}

Deno.test("emulate gives each sequence of a schedule the bits that it has alone", async () => {
  let compared = 0;
  for (let seed = 1; seed <= dose(5, 100); seed++) {
    using model = oddModel(seed);
    const one = chooser(-seed);
    const context = one([40, 130, 90]), maxTokens = one([1, 5, 17, 33]);
    const sizes = { slots: one([3, 5, 2]), context, maxTokens, rewind: one([0, 5, 64, 1]) };
    const session = await openOdd(model, seed, { ...sizes, threads: one([1, 2]) });
    const alone = await openOdd(model, seed, { slots: 1, context, maxTokens: context, threads: 1 });
    const seen: Seen[] = [];
    // What an earlier schedule left in the cache must not be seen either.
    for (const part of [1, 2, 3]) {
      const schedule = new Schedule(session, 3 * seed + part);
      await schedule.run(40);
      seen.push(...schedule.seen);
    }
    const different = await differences(seen, async (tokens) => {
      const rows: Float32Array[] = [];
      alone.reset(0);
      await alone.feed({ slot: 0, tokens, logits: "all" }, (_position, logits) => rows.push(logits.slice()));
      return rows;
    });
    assertEquals(different, [], `model ${seed}`);
    compared += seen.length;
    await session.close();
    await alone.close();
  }
  assert(compared >= 1000, `${compared} rows`);
});

Deno.test("sequences of a schedule that share few pages see what they have alone", async () => {
  const config = { sliding: [true, false], slidingWindow: KINDS.window };
  let compared = 0;
  for (let seed = 1; seed <= dose(60, 1000); seed++) {
    const one = chooser(seed), context = one([70, 300, 129, 200]), maxTokens = one([1, 8, 33, 64, 70]);
    const pages = fewestPages({ config, context, maxTokens }) + one([0, 3, 0, 1, 12]);
    const { session } = openPaged({
      ...{ slots: one([2, 4, 6]), context, maxTokens, pages },
      rewind: one([0, 10, 64, 100]),
    });
    const schedule = new Schedule(session, seed);
    await schedule.run(60);
    const different = schedule.seen.filter(({ tokens, logits }) => argmax(logits) !== nextOf(tokens));
    assertEquals(different.map(({ where }) => where), [], `schedule ${seed}`);
    compared += schedule.seen.length;
  }
  assert(compared >= 5000, `${compared} rows`);
});
