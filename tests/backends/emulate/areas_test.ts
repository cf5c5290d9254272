import { openEmulate } from "../../../src/backends/emulate/open.ts";
import { openReference } from "../../../src/backends/reference/open.ts";
import { randomCheckpoint } from "../../../src/checkpoint/random/checkpoint.ts";
import type { QuarkOptions, Shape } from "../../../src/checkpoint/random/layouts.ts";
import type { Fp8Scales } from "../../../src/plan/static_scales.ts";
import { assert } from "../../assert.ts";
import { type OpenAny, sessionOf } from "../../model/shapes/session.ts";
import { nmse } from "../../nmse.ts";

const SHAPE: Shape = {
  ...{ layers: 1, hidden: 64, intermediate: 32, experts: 33, topK: 1 },
  ...{ heads: 1, kvHeads: 1, headDim: 32, vocab: 8, window: 128 },
};
const TOKENS = Array.from({ length: 80 }, (_, i) => i * i % 7);

interface Model {
  readonly what: string;
  readonly shape: Partial<Shape>;
  readonly quark?: QuarkOptions;
  readonly fp8Scales?: Fp8Scales;
}

/** Models whose experts read rows in other numbers than most: one for a token, and one for each slot of it. */
const MODELS: readonly Model[] = [
  { what: "one expert a token", shape: { intermediate: 256 } },
  {
    what: "narrow experts of which each quantizes its inputs in its own way",
    shape: { hidden: 288, topK: 4 },
    quark: { inputScales: true },
    fp8Scales: "own",
  },
];

const emulate: OpenAny = (request) => openEmulate(request, { threads: 1, weights: "read" });

for (const { what, shape, quark = {}, fp8Scales = "merged" } of MODELS) {
  Deno.test(`emulate keeps what it prepares of a batch out of the cache: ${what}`, async () => {
    const checkpoint = randomCheckpoint({ shape: { ...SHAPE, ...shape }, layout: "quark", quark });
    const logits = async (open: OpenAny, maxTokens: number) => {
      const session = await sessionOf(checkpoint, open, TOKENS.length, { dtype: "f32", fp8Scales, maxTokens });
      try {
        const all = new Float32Array(TOKENS.length * SHAPE.vocab);
        await session.feed(
          { slot: 0, tokens: TOKENS, logits: "all" },
          (position, row) => all.set(row, position * SHAPE.vocab),
        );
        return all;
      } finally {
        await session.close();
      }
    };
    const whole = await logits(openReference, TOKENS.length);
    for (const chunk of [40, 17]) {
      const error = nmse(await logits(emulate, chunk), whole);
      assert(error < 1e-9, `chunks of ${chunk}: NMSE ${error}`);
    }
  });
}
