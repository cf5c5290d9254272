/**
 * Models of every odd shape that a config may have, against Hugging Face's implementation in float64
 * (tests/goldens/shapes): every head size, width, count and window that leaves a remainder by what kernels work on at a
 * time.
 */
import { nmse } from "../nmse.ts";
import { openEmulate } from "../../src/backends/emulate/open.ts";
import { openReference } from "../../src/backends/reference/open.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import { refusal, TemporaryDirectory } from "../checkpoint/container.ts";
import { dose, everyNth } from "../soak.ts";
import {
  describeShape,
  logitsOfShape,
  MAX_NMSE,
  openShape,
  REFUSED_SHAPES,
  SHAPE_CASES,
  type ShapeCase,
} from "./shapes/cases.ts";
import { type OpenAny, sessionOf, type ShapeSession } from "./shapes/session.ts";

/** Threads share even the smallest operation. */
const emulate = (threads: number): OpenAny => (request) =>
  openEmulate(request, { threads, weights: "read", worthSharing: 1 });

/** Opens a case's model, and gives its logits. */
async function compute(one: ShapeCase, open: OpenAny, options: ShapeSession): Promise<Float32Array> {
  using dir = new TemporaryDirectory();
  const session = await sessionOf(openShape(dir, one.config, one.seed), open, one.ids.length, options);
  try {
    return await logitsOfShape(session, one);
  } finally {
    await session.close();
  }
}

/**
 * Outside a soak every so many shapes are computed: a number that shares no factor with the turns that shapes are made
 * by.
 */
const SHAPE_STEP = 5;

/** Tokens of a batch: whole sequences, and pieces that end within a window. */
const chunkOf = ({ index, ids }: ShapeCase): number => [ids.length, 5, 1, 3][index % 4]!;

Deno.test("there are at least 300 shapes, with every even remainder of a head by 8", () => {
  assert(SHAPE_CASES.length >= 300);
  assertEquals([...new Set(SHAPE_CASES.map(({ config }) => config.head_dim % 8))].sort(), [0, 2, 4, 6]);
});

for (const [name, open] of [["emulate", emulate(1)], ["reference", openReference]] as const) {
  Deno.test(`${name} in float32 computes Hugging Face's logits of every shape`, async () => {
    const wrong: string[] = [];
    for (const one of everyNth(SHAPE_STEP, SHAPE_CASES)) {
      const error = nmse(await compute(one, open, { dtype: "f32", maxTokens: chunkOf(one) }), one.logits);
      // Not `error > MAX_NMSE`, which NaN would pass.
      if (!(error <= MAX_NMSE)) wrong.push(`${describeShape(one)}: NMSE ${error.toExponential(2)}`);
    }
    assertEquals(wrong, []);
  });
}

Deno.test("emulate gives the same bits with 1, 2 and 3 threads, whatever the shape and the cache", async () => {
  // A pool a case is slow: the heads that leave a remainder by 8, and a few others.
  const cases = SHAPE_CASES.filter(({ config, index, ids }) =>
    ids.length > 8 && (config.head_dim % 8 !== 0 ? index % 6 === 0 : index % 40 === 0)
  );
  assert(cases.length >= 15, `${cases.length} cases`);
  for (const one of everyNth(3, cases)) {
    const options = {
      dtype: one.index % 2 ? "bf16" as const : "f32" as const,
      kvCacheDtype: one.index % 3 ? "auto" as const : "fp8" as const,
      maxTokens: one.ids.length,
    };
    const [first, ...others] = await Promise.all([1, 2, 3].map((threads) => compute(one, emulate(threads), options)));
    assert(first!.some((x) => x !== 0));
    for (const other of others) {
      assertEquals(new Uint32Array(other.buffer), new Uint32Array(first!.buffer), describeShape(one));
    }
  }
});

Deno.test("steps of one token have the same bits while numbers of threads are tried", async () => {
  const one = SHAPE_CASES.reduce((longest, other) => other.ids.length > longest.ids.length ? other : longest);
  const bits: Uint32Array[][] = [];
  using dir = new TemporaryDirectory();
  for (const [threads, counts] of [[1, [1]], [3, [2, 3]]] as const) {
    const open: OpenAny = (request) => openEmulate(request, { threads, weights: "read", worthSharing: 1, counts });
    const session = await sessionOf(openShape(dir, one.config, one.seed), open, one.ids.length, {
      dtype: "bf16",
      maxTokens: 1,
    });
    const found: Uint32Array[] = [];
    // Until both numbers have had several turns.
    for (let steps = 0; steps < 200; steps += one.ids.length) {
      found.push(new Uint32Array((await logitsOfShape(session, one)).buffer));
    }
    await session.close();
    bits.push(found);
  }
  assert(bits[0]![0]!.some((x) => x !== 0));
  assertEquals(bits[1], bits[0]);
});

Deno.test("emulate agrees with reference in bf16 and with an FP8 cache, whatever the shape", async () => {
  const wrong: string[] = [];
  for (const one of SHAPE_CASES.filter(({ index }) => index % dose(35, 7) === 3)) {
    for (const kvCacheDtype of ["auto", "fp8"] as const) {
      const options = { dtype: "bf16" as const, kvCacheDtype, maxTokens: 7 };
      const ours = await compute(one, emulate(1), options), theirs = await compute(one, openReference, options);
      const error = nmse(ours, theirs);
      if (!(error <= MAX_NMSE_BF16)) {
        wrong.push(`${describeShape(one)}, cache ${kvCacheDtype}: NMSE ${error.toExponential(2)}`);
      }
    }
  }
  assertEquals(wrong, []);
});

/** Roundings to bf16 or FP8 that fall on two sides, each a part in 256 or in 16 of one number. */
const MAX_NMSE_BF16 = 1e-3;

Deno.test("a shape that transformers cannot compute either is refused by the key that is wrong", () => {
  for (const { what, config, key, transformers } of REFUSED_SHAPES) {
    using dir = new TemporaryDirectory();
    const line = refusal(() => openShape(dir, config, 1), dir.path, InputError);
    assertStringIncludes(line, `config.json: ${key}`, `${what}; transformers: ${transformers}`);
  }
});
