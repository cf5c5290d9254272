/** What a seed promises and where: docs/reproducibility.md. */
import { generate } from "../../src/session/generate.ts";
import type { SessionOptions } from "../session/open_session.ts";
import { Sampler } from "../../src/session/sampler.ts";
import { assert, assertEquals } from "../assert.ts";
import { integers, readGolden } from "../golden.ts";
import { dose } from "../soak.ts";
import { openTiny } from "./tiny.ts";

const GOLDENS = readGolden("logits.safetensors");
const PROMPT = integers(GOLDENS, "greedy.prompt");
const SEED = 5;
/** Hot enough that every token is a real draw. */
const HOT = { temperature: 4, topK: 300, topP: 0.999, seed: SEED };

const TOKENS = dose(24, 40);

/** What must not show: one by one, and outside a soak several at once. */
const APART: readonly Partial<SessionOptions>[] = [
  {},
  { threads: 1 },
  { threads: 5 },
  { maxTokens: 7 },
  { weights: "read" },
];
const TOGETHER: typeof APART = [{ threads: 1 }, { threads: 5, maxTokens: 7, weights: "read" }];

async function draw(options: Partial<SessionOptions>, maxTokens = TOKENS, prompt = PROMPT): Promise<number[]> {
  const session = await openTiny(options);
  const stopIds = new Set<number>(), ids: number[] = [];
  const tokens = generate({ session, slot: 0, prompt, picker: new Sampler(HOT), stopIds, maxTokens });
  for await (const id of tokens) ids.push(id);
  await session.close();
  return ids;
}

for (const dtype of ["bf16", "f32"] as const) {
  Deno.test(`a seed in ${dtype} draws the same tokens for every number of threads, chunk and way to load`, async () => {
    const expected = await draw({ dtype });
    assert(new Set(expected).size > TOKENS / 2, `${expected}`);
    for (const same of dose(TOGETHER, APART)) {
      assertEquals(await draw({ dtype, ...same }), expected, JSON.stringify(same));
    }
  });
}

Deno.test("a seed draws the same tokens again on ranks, however many threads they have, and on reference", async () => {
  for (const sizes of dose([{ tp: 2 }], [{ tp: 2 }, { ep: 2 }])) {
    const expected = await draw({ dtype: "bf16", ...sizes });
    assertEquals(await draw({ dtype: "bf16", threads: 5, maxTokens: 7, ...sizes }), expected, JSON.stringify(sizes));
  }
  const plain = { dtype: "bf16", backend: "reference" } as const;
  assertEquals(await draw({ ...plain, maxTokens: 3 }, 2, PROMPT.slice(0, 8)), await draw(plain, 2, PROMPT.slice(0, 8)));
});
