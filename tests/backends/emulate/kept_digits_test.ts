import { keepDigits, keptBytes } from "../../../src/backends/emulate/kept_digits.ts";
import { type ModelPlan, planMemories } from "../../../src/backends/emulate/plan.ts";
import type { OpenRequest } from "../../../src/model/backend.ts";
import { WASM_PAGE } from "../../../src/wasm.ts";
import { assert, assertEquals } from "../../assert.ts";
import { requestFor } from "../gpu/opened.ts";
import { type RandomModel, randomModel, testConfig } from "../random_model.ts";

const CAPACITY = 2 ** 30, needed = { weights: 0, cache: 1000, work: 2000 };

/** The plan of a model, and with room for digits where they are kept. */
function both(model: RandomModel, more: Partial<OpenRequest> = {}, left = 1e9, capacity = CAPACITY) {
  const request = { ...requestFor(model), slots: 4, ...more };
  const plan = planMemories({ source: model.source, areasEnd: 5000, cacheBytes: () => 1000, mapped: false });
  const available = { bytes: plan.weightBytes + needed.cache + needed.work + left, by: "a test" };
  return { plan, kept: keepDigits(plan, request, needed, available, capacity), request };
}

const table = { format: "bf16", scale: "none", transposed: false } as const;
const sizes = testConfig({ vocab: 400, hidden: 96 });
const BYTES = 34 * (208 + 12 * 96);

/** Asserts that the last memory has room for the digits after everything else, and that nothing else changed. */
function assertRoom({ plan, kept }: { plan: ModelPlan; kept: ModelPlan }): void {
  const last = plan.memories.at(-1)!, grown = kept.memories.at(-1)!;
  assertEquals(kept.keptDigits, last.bytes);
  assertEquals(last.bytes % WASM_PAGE, 0);
  assert(grown.bytes - last.bytes >= BYTES && grown.bytes - last.bytes < BYTES + WASM_PAGE);
  assertEquals({ ...kept, keptDigits: undefined, memories: kept.memories.with(-1, { ...grown, bytes: last.bytes }) }, {
    ...plan,
    keptDigits: undefined,
  });
}

Deno.test("keepDigits() makes room for twelve rows of bytes at a time, and what belongs to them", () => {
  using model = randomModel(3, { config: sizes, table });
  assertEquals(keptBytes(model.source.tree.head), BYTES);
  assertRoom(both(model));
});

Deno.test("keepDigits() keeps none for few sequences, ranks, other heads, or where memory is short", () => {
  using model = randomModel(3, { config: sizes, table });
  const part = {} as NonNullable<OpenRequest["part"]>;
  const others = [both(model, { slots: 3 }), both(model, { part }), both(model, {}, 4 * BYTES - 1)];
  const { plan, request } = both(model), grown = plan.memories[0]!.bytes + Math.ceil(BYTES / WASM_PAGE) * WASM_PAGE;
  others.push(both(model, {}, 1e9, grown - 1));
  using narrow = randomModel(3, { config: testConfig({ vocab: 400, hidden: 80 }), table });
  others.push(both(narrow));
  using wide = randomModel(3, { config: sizes, table: { format: "f32", scale: "none", transposed: false } });
  others.push(both(wide));
  for (const [i, { plan, kept }] of others.entries()) assertEquals(kept, plan, `${i}`);
  // Nothing is known of the memory.
  assertEquals(keepDigits(plan, request, needed, null, CAPACITY), plan);
  assertRoom(both(model, {}, 4 * BYTES));
  assertRoom(both(model, {}, 1e9, grown));
});
