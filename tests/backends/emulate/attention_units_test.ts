import { headsTogether } from "../../../src/backends/emulate/attention_units.ts";
import { assertEquals } from "../../assert.ts";

Deno.test("heads of one token share keys and values, as far as all threads have an equal part", () => {
  const parts = [1, 2, 4, 8, 12, 16, 32, 64].map((threads) => headsTogether(8, 64, 1, threads));
  assertEquals(parts, [8, 8, 8, 8, 2, 4, 2, 1]);
});

Deno.test("units of many tokens are some for each thread, and fit what a head has in common", () => {
  assertEquals([[1, 2], [32, 16], [2, 16], [128, 64]].map(([n, threads]) => headsTogether(8, 64, n!, threads!)), [
    8,
    8,
    2,
    8,
  ]);
  assertEquals(headsTogether(1, 4, 1, 2), 1);
});
