import type { RopeConfig } from "../../src/checkpoint/model_config.ts";
import { inverseFrequencies } from "../../src/checkpoint/frequencies.ts";
import { concentration, rotaryTables } from "../../src/model/yarn.ts";
import { assertAlmostEquals, assertEquals } from "../assert.ts";

const yarn = { factor: 32, betaFast: 32, betaSlow: 1, originalMaxPositions: 4096, truncate: false };
const GPT_OSS: RopeConfig = { theta: 150_000, yarn };

Deno.test("inverseFrequencies() gives the check values of GPT-OSS", () => {
  const inverse = inverseFrequencies(64, GPT_OSS);
  assertEquals(inverse.length, 32);
  const expected: [number, number][] = [
    [0, 1],
    [1, 0.689044305888],
    [8, 0.0508132747],
    [9, 0.0317056962],
    [12, 0.00679495949],
    [16, 0.000456483919],
    [17, 0.000129318701],
    [18, 3.8308812e-05],
    [31, 3.02351e-07],
  ];
  for (const [i, value] of expected) assertAlmostEquals(inverse[i]!, value, value * 1e-6, `pair ${i}`);
});

Deno.test("inverseFrequencies() rounds the ramp's ends only when told to truncate", () => {
  const truncated = inverseFrequencies(64, { ...GPT_OSS, yarn: { ...yarn, truncate: true } });
  assertAlmostEquals(truncated[12]!, 0.00701571391, 1e-11);
});

Deno.test("inverseFrequencies() without YaRN are powers of theta", () => {
  const inverse = inverseFrequencies(4, { theta: 10_000, yarn: null });
  assertAlmostEquals(inverse[0]!, 1, 0);
  assertAlmostEquals(inverse[1]!, 0.01, 1e-16);
});

Deno.test("inverseFrequencies() of a ramp without width are finite", () => {
  const step = inverseFrequencies(64, { ...GPT_OSS, yarn: { ...yarn, betaFast: 1 } });
  assertEquals(step.every(Number.isFinite), true);
  assertAlmostEquals(step[10]!, 150_000 ** (-10 / 32), 1e-12);
  assertAlmostEquals(step[20]!, 150_000 ** (-20 / 32) / 32, 1e-12);
});

Deno.test("inverseFrequencies() of ramps that end outside of the dimensions are transformers'", () => {
  // _compute_yarn_parameters of transformers 5.24.0, float32: small bases and contexts, of which gpt-oss is none.
  const cases: [headDim: number, theta: number, changed: Partial<typeof yarn>, expected: number[]][] = [
    // The ramp's upper end is held at the last dimension, not at the last pair.
    [8, 100, { factor: 4 }, [1, 0.3162277638912201, 0.10000000149011612, 0.028613610193133354]],
    // Its lower end at the first.
    [16, 10_000, { factor: 4, originalMaxPositions: 64 }, [
      ...[1, 0.19858352839946747, 0.025595249608159065, 0.007905694656074047, 0.0024999999441206455],
      ...[0.0007905694656074047, 0.0002500000118743628, 7.905694656074047e-05],
    ]],
    [16, 10_000, { factor: 4, originalMaxPositions: 64, truncate: true }, [
      ...[1, 0.23717081546783447, 0.04999999701976776, 0.007905694656074047, 0.0024999999441206455],
      ...[0.0007905694656074047, 0.0002500000118743628, 7.905694656074047e-05],
    ]],
    // Both ends before the first: nothing is slowed down.
    [8, 10_000, { factor: 4, betaFast: 64, betaSlow: 32, originalMaxPositions: 128 }, [
      ...[1, 0.10000000149011612, 0.009999999776482582, 0.0010000000474974513],
    ]],
    // Its upper end beyond the last dimension, which holds it.
    [8, 10, { factor: 4, betaFast: 300 }, [1, 0.5623413324356079, 0.28887709975242615, 0.1388494223356247]],
    // Rounded outwards, where the lower end is nearer to the pair above.
    [16, 10_000, { factor: 4, betaFast: 8, originalMaxPositions: 1024, truncate: true }, [
      ...[1, 0.3162277638912201, 0.10000000149011612, 0.023717083036899567, 0.004999999888241291],
      ...[0.0007905694656074047, 0.0002500000118743628, 7.905694656074047e-05],
    ]],
    // Both in one place between two pairs, and both on the first pair: a step.
    [8, 10_000, { factor: 4, betaFast: 128, betaSlow: 40.7, originalMaxPositions: 128, truncate: true }, [
      ...[1, 0.02500000037252903, 0.0024999999441206455, 0.0002500000118743628],
    ]],
    [16, 10_000, { factor: 4, betaFast: 8, betaSlow: 8 }, [
      ...[1, 0.3162277638912201, 0.10000000149011612, 0.03162277862429619, 0.0024999999441206455],
      ...[0.0007905694656074047, 0.0002500000118743628, 7.905694656074047e-05],
    ]],
  ];
  for (const [headDim, theta, changed, expected] of cases) {
    const inverse = inverseFrequencies(headDim, { theta, yarn: { ...yarn, ...changed } });
    expected.forEach((value, i) => assertAlmostEquals(inverse[i]!, value, value * 1e-6, `${headDim}, pair ${i}`));
  }
});

Deno.test("concentration() is 0.1 ln(factor) + 1", () => {
  assertAlmostEquals(concentration(GPT_OSS), 1.3465735902799727, 1e-15);
  assertEquals(concentration({ theta: 10_000, yarn: null }), 1);
  // transformers 5.24.0, which has nothing shrink.
  for (const [factor, expected] of [[1.5, 1.0405465108108165], [1, 1], [0.5, 1]] as const) {
    assertAlmostEquals(concentration({ theta: 10_000, yarn: { ...yarn, factor } }), expected, 1e-15);
  }
});

Deno.test("rotaryTables() gives the check values of GPT-OSS", () => {
  const { cos, sin } = rotaryTables({ headDim: 64, rope: GPT_OSS }, [1000, 1, 0]);
  assertEquals([cos.length, sin.length], [96, 96]);
  assertAlmostEquals(cos[8]!, 1.1495380, 1e-6);
  assertAlmostEquals(sin[8]!, 0.7013008, 1e-6);
  assertAlmostEquals(cos[12]!, 1.1740466, 1e-6);
  assertAlmostEquals(sin[12]!, 0.6594506, 1e-6);
  assertAlmostEquals(cos[32]!, 0.7275568, 1e-6);
  assertAlmostEquals(sin[32]!, 1.1331026, 1e-6);
  assertEquals([cos[64], sin[64], cos[95], sin[95]], [Math.fround(1.3465735902799727), 0, cos[64], 0]);
});
