import { integers, normals } from "../formats/seeded.ts";
import { assert, assertEquals } from "../assert.ts";
import { assertNear, Machine } from "./module.ts";
import { route } from "./twins.ts";

function run(logits: ArrayLike<number>, experts: number, topK: number) {
  const machine = new Machine();
  const tokens = logits.length / experts;
  const ids = machine.integers(tokens * topK), weights = machine.floats(tokens * topK);
  const words = [machine.floats(logits).address, experts, experts, topK, ids.address, weights.address];
  machine.run("route", words, tokens, [ids, weights]);
  return { ids: [...ids.data], weights: [...weights.data] };
}

for (const [experts, topK] of [[32, 4], [128, 4], [4, 4], [5, 1]] as const) {
  Deno.test(`route() chooses the largest of ${experts} logits (top ${topK})`, () => {
    const logits = normals(experts, 20 * experts, 4);
    const { ids, weights } = run(logits, experts, topK);
    for (let t = 0; t < 20; t++) {
      const expected = route(logits.subarray(t * experts, (t + 1) * experts), topK);
      assertEquals(ids.slice(t * topK, (t + 1) * topK), expected.ids);
      assertNear(weights.slice(t * topK, (t + 1) * topK), expected.weights);
    }
  });
}

Deno.test("route() gives ties to the lower index", () => {
  const next = integers(1);
  const logits = Array.from({ length: 200 * 32 }, () => next() % 4);
  const { ids } = run(logits, 32, 4);
  for (let t = 0; t < 200; t++) {
    assertEquals(ids.slice(4 * t, 4 * t + 4), route(logits.slice(32 * t, 32 * t + 32), 4).ids);
  }
});

Deno.test("route() puts NaN behind every number, wherever it stands", () => {
  for (let at = 0; at < 6; at++) {
    const logits = [3, 1, 4, 1, 5, 9];
    logits[at] = NaN;
    const numbers = [0, 1, 2, 3, 4, 5].filter((e) => e !== at).sort((a, b) => logits[b]! - logits[a]! || a - b);
    const { ids, weights } = run(logits, 6, 4);
    assertEquals([ids, weights.every(Number.isFinite)], [numbers.slice(0, 4), true], `NaN at ${at}`);
    assertEquals(run(logits, 6, 6).ids, [...numbers, at]);
  }
});

Deno.test("route() weighs logits of any size, and puts several NaN in their order", () => {
  for (const shift of [-1000, 0, 1000]) {
    const { ids, weights } = run([1 + shift, 3 + shift, 2 + shift, 0 + shift], 4, 3),
      expected = [1, Math.E, Math.E ** 2];
    assertEquals(ids, [1, 2, 0]);
    assertNear(weights, expected.reverse().map((e) => e / (1 + Math.E + Math.E ** 2)), `${shift}`);
  }
  assertEquals(run([NaN, 1, NaN, NaN], 4, 4).ids, [1, 0, 2, 3]);
});

Deno.test("route() reads rows of logits that lie further apart than experts", () => {
  const machine = new Machine(), tokens = 5, experts = 6, stride = 8, topK = 3;
  const logits = normals(9, tokens * stride, 4), rows = Array.from({ length: tokens }, (_, t) => t * stride);
  // What lies between them is larger.
  for (const at of rows) logits.fill(1e9, at + experts, at + stride);
  const ids = machine.integers(tokens * topK), weights = machine.floats(tokens * topK);
  const words = [machine.floats(logits).address, stride, experts, topK, ids.address, weights.address];
  machine.run("route", words, tokens, [ids, weights]);
  assertEquals([...ids.data], rows.flatMap((at) => [...route(logits.subarray(at, at + experts), topK).ids]));
});

Deno.test("route() gives the worked-out weights", () => {
  const { ids, weights } = run([-1, 2, 0.5, -7, 1], 5, 4);
  assertEquals(ids, [1, 4, 2, 0]);
  [0.60946, 0.2242078, 0.1359889, 0.0303432].forEach((w, i) => assert(Math.abs(weights[i]! - w) < 1e-7));
});
