/** What runs say in sentences. */
import { observedSpread } from "../../src/eval/summary.ts";
import { assertEquals } from "../assert.ts";
import { gsm8k } from "./results.ts";

Deno.test("a run says how many settings differ from the first, by the corrected p of the flexible filter", () => {
  const said = (ps: readonly number[]) => {
    const results = gsm8k(1 + ps.length, 40);
    for (const [i, { pairs }] of results.comparisons.entries()) {
      for (const pair of pairs) if (pair.filter === "flexible-extract") pair.p_holm = ps[i]!;
    }
    const [sentence, ...more] = observedSpread(results);
    assertEquals(more, []);
    return /, and (.*) from the first by more than noise/.exec(sentence!)![1];
  };
  // At 0.05 it is not below it.
  assertEquals([said([0.05]), said([0.04])], ["the other setting does not differ", "the other setting differs"]);
  assertEquals([said([0.9, 0.05]), said([0.04, 1])], ["none of 2 settings differ", "1 of 2 settings differs"]);
  assertEquals(said([0.04, 1, 0]), "2 of 3 settings differ");
  assertEquals(observedSpread(gsm8k(1, 40)), []);
});
