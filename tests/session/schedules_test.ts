/** Whatever a session computes together, and in which order, each sequence has the bits that it has alone. */
import { openEmulate } from "../../src/backends/emulate/open.ts";
import { LocalEngine } from "../../src/model/engine.ts";
import { GptOss, workspace } from "../../src/model/gpt_oss.ts";
import { openRanks } from "../../src/parallel/ranked_engine.ts";
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

/** A model that can be cut over up to eight ranks. */
function wideModel(seed: number): RandomModel {
  const one = chooser(seed), kvHeads = 8;
  const sizes = { hidden: one([33, 15, 50, 64]), intermediate: one([8, 16, 40, 64, 96]), experts: 8 };
  return randomModel(seed, {
    config: testConfig({
      ...{
        ...sizes,
        topK: one([1, 2, 3]),
        heads: kvHeads * one([1, 2]),
        kvHeads,
        headDim: one([6, 16, 22]),
        vocab: 19,
      },
      ...{ layers: 3, sliding: [true, false, true], slidingWindow: one([1, 7, 16, 33]) },
    }),
    kvScales: { k: 0.021, v: 0.013 },
  });
}

async function openWide(
  { config, source }: RandomModel,
  seed: number,
  { threads, ...sizes }: Opened,
): Promise<Session> {
  const one = chooser(seed), dtype = one(["bf16", "f32"] as const), kvFormat = one(["fp8", dtype, "bf16"] as const);
  const [tp, ep] = one([[2, 1], [1, 2], [4, 1], [2, 2], [1, 4], [8, 1], [2, 4]] as const);
  const request = { source, config, dtype, kvFormat, ...sizes, tensors: workspace(config, source) };
  const options = { sizes: { tp, ep }, backend: "emulate", threads: threads * tp * ep, weights: "read" } as const;
  return new Session(await openRanks(request, options), { ...sizes, vocab: config.vocab });
}

/** Rows of schedules that were compared, with the sequences alone; and where they differ. */
async function scheduled(
  open: (sizes: Opened) => Promise<Session>,
  seed: number,
  { parts, operations }: { readonly parts: number; readonly operations: number },
): Promise<{ readonly compared: number; readonly different: readonly string[] }> {
  const one = chooser(-seed), context = one([40, 130, 90]), maxTokens = one([1, 5, 17, 33]);
  const sizes = { slots: one([3, 5, 2]), context, maxTokens, rewind: one([0, 5, 64, 1]) };
  const session = await open({ ...sizes, threads: one([1, 2]) });
  const alone = await open({ slots: 1, context, maxTokens: context, threads: 1 });
  const seen: Seen[] = [];
  // What an earlier schedule left in the cache must not be seen either.
  for (let part = 1; part <= parts; part++) {
    const schedule = new Schedule(session, 3 * seed + part);
    await schedule.run(operations);
    seen.push(...schedule.seen);
  }
  const different = await differences(seen, async (tokens) => {
    const rows: Float32Array[] = [];
    alone.reset(0);
    await alone.feed({ slot: 0, tokens, logits: "all" }, (_position, logits) => rows.push(logits.slice()));
    return rows;
  });
  await session.close();
  await alone.close();
  return { compared: seen.length, different };
}

const KINDS_OF_MODELS = [
  {
    ...{ name: "emulate gives each sequence of a schedule the bits that it has alone", model: oddModel, open: openOdd },
    ...{ seeds: dose(5, 100), parts: 3, operations: 40, least: 1000 },
  },
  {
    ...{ name: "ranks give each sequence of a schedule the bits that they give it alone", model: wideModel },
    ...{ open: openWide, seeds: dose(2, 60), parts: 2, operations: 25, least: 200 },
  },
];

for (const { name, model: modelOf, open, seeds, least, ...sizes } of KINDS_OF_MODELS) {
  Deno.test(name, async () => {
    let all = 0;
    for (let seed = 1; seed <= seeds; seed++) {
      using model = modelOf(seed);
      const { compared, different } = await scheduled((room) => open(model, seed, room), seed, sizes);
      assertEquals(different, [], `model ${seed}`);
      all += compared;
    }
    assert(all >= least, `${all} rows`);
  });
}

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
