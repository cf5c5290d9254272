import { openEmulate } from "../../../src/backends/emulate/open.ts";
import { openReference } from "../../../src/backends/reference/open.ts";
import type { Checkpoint } from "../../../src/checkpoint/checkpoint.ts";
import { randomCheckpoint } from "../../../src/checkpoint/random/checkpoint.ts";
import type { QuarkOptions, Shape } from "../../../src/checkpoint/random/layouts.ts";
import { missingScales } from "../../../src/plan/planned.ts";
import type { Fp8Scales } from "../../../src/plan/static_scales.ts";
import { assert, assertEquals } from "../../assert.ts";
import { type OpenAny, sessionOf, type ShapeSession } from "../../model/shapes/session.ts";
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
  readonly scheme?: string;
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
  {
    what: "many tokens of few experts, whose inputs are integers of two digits",
    shape: { experts: 2 },
    scheme: "w_mxfp4_a_fp8",
  },
];

const PLENTY = { bytes: 2 ** 40, by: "this test" };
const emulate: OpenAny = (request) => openEmulate(request, { threads: 1, weights: "read" });

/** Logits of tokens [tokens, vocab], and the token that the engine calls the likeliest after each. */
async function logitsOf(
  checkpoint: Checkpoint,
  open: OpenAny,
  tokens: readonly number[],
  { context = tokens.length, ...how }: Omit<ShapeSession, "dtype"> & { readonly context?: number },
) {
  const session = await sessionOf(checkpoint, open, context, { dtype: "f32", ...how });
  try {
    const logits = new Float32Array(tokens.length * SHAPE.vocab), likeliest: (number | undefined)[] = [];
    await session.feed({ slot: 0, tokens, logits: "all" }, (position, row, best) => {
      logits.set(row, position * SHAPE.vocab);
      likeliest[position] = best;
    });
    return { logits, likeliest };
  } finally {
    await session.close();
  }
}

for (const { what, shape, quark = {}, fp8Scales = "merged", scheme } of MODELS) {
  Deno.test(`emulate keeps what it prepares of a batch out of the cache: ${what}`, async () => {
    const checkpoint = randomCheckpoint({ shape: { ...SHAPE, ...shape }, layout: "quark", quark });
    const planned = { fp8Scales, ...scheme === undefined ? {} : { scheme, inputScales: missingScales(checkpoint) } };
    const whole = await logitsOf(checkpoint, openReference, TOKENS, { ...planned, maxTokens: TOKENS.length });
    for (const maxTokens of [40, 17]) {
      const error = nmse((await logitsOf(checkpoint, emulate, TOKENS, { ...planned, maxTokens })).logits, whole.logits);
      assert(error < 1e-9, `chunks of ${maxTokens}: NMSE ${error}`);
    }
  });
}

Deno.test("emulate computes more query heads of a key-value head than one unit of attention has room for", async () => {
  const checkpoint = randomCheckpoint({ shape: { ...SHAPE, heads: 96, headDim: 4, experts: 1 }, layout: "quark" });
  const tokens = TOKENS.slice(0, 6), how = { maxTokens: 6 };
  const { logits } = await logitsOf(checkpoint, emulate, tokens, how);
  const error = nmse(logits, (await logitsOf(checkpoint, openReference, tokens, how)).logits);
  assert(error < 1e-9, `NMSE ${error}`);
});

Deno.test("emulate computes the same bits where its areas reach beyond 2 GiB of a memory", async () => {
  const checkpoint = randomCheckpoint({ shape: SHAPE, layout: "quark" }), tokens = TOKENS.slice(0, 3);
  // Pages that nothing touches cost no memory.
  const roomy: OpenAny = (request) =>
    openEmulate({ ...request, maxTokens: 1_000_000 }, { threads: 1, weights: "read", available: PLENTY });
  const small = await logitsOf(checkpoint, emulate, tokens, { maxTokens: 3 });
  assertEquals(await logitsOf(checkpoint, roomy, tokens, { maxTokens: 3 }), small);
});
