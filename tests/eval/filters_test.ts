/** The filters against lm-eval's own (tests/goldens/eval/make_filters_golden.py). */
import { extractAnswer, FILTERS, INVALID, isCorrect, normalizeAnswer } from "../../src/eval/filters.ts";
import { assert, assertEquals } from "../assert.ts";
import cases from "../goldens/eval/filters.json" with { type: "json" };

for (const filter of FILTERS) {
  Deno.test(`extractAnswer() and isCorrect() judge ${cases.length} replies as lm-eval's ${filter}`, () => {
    for (const { reply, gold, ...judged } of cases) {
      const { extracted, correct } = judged[filter];
      assertEquals(extractAnswer(filter, reply), extracted, JSON.stringify(reply));
      assertEquals(isCorrect(extracted, gold), correct, JSON.stringify({ reply, gold }));
    }
    assert(cases.some((c) => c[filter].correct) && cases.some((c) => c[filter].extracted === INVALID));
  });
}

Deno.test("normalizeAnswer() keeps what follows the last ####, without commas, dollars and a full stop", () => {
  assertEquals(normalizeAnswer("a 1\n#### 5\n#### $1,234.50."), "1234.50");
  assertEquals(normalizeAnswer("12.\n"), "12\n");
  assertEquals(normalizeAnswer("12.."), "12.");
  assertEquals(normalizeAnswer("####5"), "####5");
  assertEquals(normalizeAnswer("X"), "x");
});
