/** Bias, penalties and min-p beside transformers' own processors of logits (tests/goldens/sampling/make.py). */
import { InputError } from "../../src/errors.ts";
import { type AdjustmentOptions, Adjustments, LARGEST_FLOAT32, LEAST_FLOAT32 } from "../../src/session/adjustments.ts";
import { Sampler, type SamplerOptions } from "../../src/session/sampler.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";

interface Case {
  readonly options: Omit<SamplerOptions, "logitBias"> & { readonly logitBias: readonly (readonly [number, number])[] };
  /** Bits of float32 before and after. */
  readonly logits: readonly number[];
  readonly adjusted: readonly number[];
  readonly prompt: readonly number[];
  readonly reply: readonly number[];
  /** Tokens that can be drawn, with their probabilities. */
  readonly kept: readonly (readonly [number, number])[];
}

const { cases }: { cases: Case[] } = JSON.parse(
  Deno.readTextFileSync(new URL("../goldens/sampling/adjustments.json", import.meta.url)),
);
const floatsOf = (bits: readonly number[]) => new Float32Array(Uint32Array.from(bits).buffer);
const optionsOf = ({ options }: Case): SamplerOptions => ({ ...options, logitBias: new Map(options.logitBias) });

Deno.test("logits are adjusted as transformers and OpenAI's formula do, to the bit, and given back", () => {
  let adjusting = 0;
  for (const one of cases) {
    const adjustments = Adjustments.of(optionsOf(one), one.prompt), logits = floatsOf(one.logits);
    if (adjustments === null) {
      assertEquals(one.adjusted, one.logits);
      continue;
    }
    adjusting++;
    for (const id of one.reply) adjustments.took(id);
    adjustments.apply(logits);
    assertEquals([...new Uint32Array(logits.buffer)], one.adjusted, JSON.stringify(one.options));
    adjustments.undo(logits);
    assertEquals([...new Uint32Array(logits.buffer)], one.logits);
  }
  assertEquals([cases.length, adjusting], [36, 24]);
});

Deno.test("tokens are drawn with the probabilities that transformers leaves them", () => {
  const draws = 512;
  for (const one of cases) {
    const sampler = new Sampler({ temperature: 1, ...optionsOf(one) }, one.prompt), logits = floatsOf(one.logits);
    for (const id of one.reply) {
      // Nothing else can be drawn, whatever is taken from it.
      assertEquals(sampler.sample(new Float32Array(logits.length).fill(-Infinity).with(id, 1)), id);
    }
    const drawn = new Float64Array(logits.length);
    for (let i = 0; i < draws; i++) drawn[sampler.pick(logits, (i + 0.5) / draws)]! += 1 / draws;
    const expected = new Map(one.kept);
    drawn.forEach((share, id) => {
      assert(Math.abs(share - (expected.get(id) ?? 0)) <= 1 / draws, `${JSON.stringify(one.options)}: ${id}`);
    });
    const greedy = new Sampler({ ...optionsOf(one), temperature: 0, minP: 0 }, one.prompt);
    for (const id of one.reply) greedy.sample(new Float32Array(logits.length).fill(-Infinity).with(id, 1));
    const best = floatsOf(one.adjusted);
    assertEquals(greedy.sample(logits), best.indexOf(Math.max(...best)));
  }
});

Deno.test("engines choose tokens only where nothing is asked for of which they know nothing", () => {
  const engines = (options: SamplerOptions) => new Sampler(options, [1]).sampling !== undefined;
  assert(engines({ temperature: 1, topK: 5, topP: 0.5, repetitionPenalty: 1, logitBias: new Map() }));
  // The likeliest token is above any share of itself.
  assert(engines({ temperature: 0, minP: 0.5 }));
  const others: SamplerOptions[] = [
    { temperature: 1, minP: 0.1 },
    { presencePenalty: 1 },
    { frequencyPenalty: -1 },
    { repetitionPenalty: 1.1 },
    { logitBias: new Map([[1, 1]]) },
  ];
  for (const options of others) assert(!engines(options), JSON.stringify(options));
});

Deno.test("bias and penalties count as float32 has them, as in torch's tensors of them", () => {
  const adjustments = Adjustments.of({ logitBias: new Map([[0, 1.1]]), frequencyPenalty: 1.1 }, [])!;
  const logits = Float32Array.of(0.3, 5);
  for (let i = 0; i < 3; i++) adjustments.took(1);
  adjustments.apply(logits);
  // By numpy's float32; in float64, rounded once, they would be 1.399999976158142 and 1.7000000476837158.
  assertEquals([...logits], [1.4000000953674316, 1.6999998092651367]);
});

Deno.test("tokens that cannot come stay so, whatever is added to them", () => {
  const adjustments = Adjustments.of({ logitBias: new Map([[0, 5], [9, 1]]), repetitionPenalty: 2 }, [0, 1])!;
  const logits = Float32Array.of(-Infinity, 3, 1);
  adjustments.apply(logits);
  assertEquals([...logits], [-Infinity, 1.5, 1]);
  const wrong: [AdjustmentOptions, string][] = [
    [{ repetitionPenalty: 0 }, "repetitionPenalty: expected a finite number above 0 that float32 holds, got 0"],
    [{ frequencyPenalty: NaN }, "frequencyPenalty: expected a finite number that float32 holds, got NaN"],
    [{ presencePenalty: Infinity }, "presencePenalty: expected a finite number that float32 holds, got Infinity"],
    [{ logitBias: new Map([[1, 1e39]]) }, "logitBias: expected a finite number that float32 holds, got 1e+39"],
  ];
  for (const [options, message] of wrong) assertThrows(() => Adjustments.of(options, []), InputError, message);
});

Deno.test("what is asked for at the ends of its range leaves logits that are numbers, and a token", () => {
  const [most, least] = new Float32Array(Uint32Array.of(0x7f7f_ffff, 1).buffer) as unknown as [number, number];
  assertEquals([LARGEST_FLOAT32, LEAST_FLOAT32], [most, least]);
  const ends: AdjustmentOptions[] = [
    { repetitionPenalty: 1e-50 },
    { repetitionPenalty: 1e-38 },
    { repetitionPenalty: most },
    { frequencyPenalty: most },
    { frequencyPenalty: -most, presencePenalty: most },
    { logitBias: new Map([[1, most], [2, -most]]), presencePenalty: -most },
  ];
  for (const options of ends) {
    const sampler = new Sampler({ ...options, temperature: 1, seed: 1 }, [0, 1, 2]);
    const logits = Float32Array.of(-30, 2e38, -2e38, 0.5), before = logits.slice(), name = JSON.stringify(options);
    for (let i = 0; i < 20; i++) {
      const id = sampler.sample(logits);
      assert(Number.isInteger(id) && id >= 0 && id < 4, `${name}: ${id}`);
      assertEquals(logits, before, name);
    }
    const adjustments = Adjustments.of(options, [0, 1, 2])!;
    for (const id of [0, 1, 2, 3, 3]) adjustments.took(id);
    adjustments.apply(logits);
    assert(logits.every(Number.isFinite), `${name}: ${logits}`);
  }
});

Deno.test("min-p of 1 leaves the likeliest, all of several, and no share at all leaves every token", () => {
  const logits = Float32Array.of(1, 3, -Infinity, 3, 2.999), uniforms = Array.from({ length: 64 }, (_, i) => i / 64);
  const kept = (minP: number, options: SamplerOptions = {}) => {
    const sampler = new Sampler({ temperature: 1, minP, ...options });
    return [...new Set(uniforms.map((uniform) => sampler.pick(logits, uniform)))].sort();
  };
  assertEquals([kept(1), kept(1, { temperature: 1e300 }), kept(0.99)], [[1, 3], [0, 1, 3, 4], [1, 3, 4]]);
  assertEquals([kept(1, { topK: 1 }), kept(0), kept(1e-300)], [[1], [0, 1, 3, 4], [0, 1, 3, 4]]);
});
