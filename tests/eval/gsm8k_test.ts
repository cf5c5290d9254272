import type { Answer } from "../../src/eval/answers.ts";
import { accuracies, compareWithFirst } from "../../src/eval/gsm8k.ts";
import { reliabilityBins } from "../../src/eval/reliability.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";

function answers(outcomes: string, extracted = (i: number) => `${i}`): Answer[] {
  return [...outcomes].map((outcome, index) => ({
    index,
    end: "stop",
    promptTokens: 10,
    generatedTokens: 5,
    logProbability: Math.log((index + 1) / outcomes.length),
    origin: "final",
    text: "",
    scored: "",
    "strict-match": { extracted: extracted(index), correct: outcome === "1" },
    "flexible-extract": { extracted: extracted(index), correct: outcome !== "0" },
    ids: [],
  }));
}

Deno.test("accuracies() counts by each filter", () => {
  const { "strict-match": strict, "flexible-extract": flexible } = accuracies(answers("1102"));
  assertEquals([strict.correct, strict.outcomes, flexible.correct, flexible.outcomes], [2, "1100", 3, "1101"]);
  assertEquals([strict.accuracy, flexible.accuracy], [0.5, 0.75]);
  assert(strict.low < 0.5 && strict.high > 0.5);
});

Deno.test("compareWithFirst() pairs problems and corrects for the number of settings", () => {
  const first = answers("1111100000"), same = answers("1111100000");
  const other = answers("1110011100", (i) => i === 9 ? "another" : `${i}`);
  const [none, some] = compareWithFirst(first, [same, other], "strict-match");
  assertEquals([none!.lost, none!.gained, none!.difference, none!.p, none!.changed], [0, 0, 0, 1, 0]);
  assertEquals([some!.lost, some!.gained, some!.changed], [2, 3, 1]);
  assertAlmostEquals(some!.difference, 0.1, 1e-12);
  assertAlmostEquals(some!.pHolm, Math.min(1, 2 * some!.p), 1e-12);
});

Deno.test("reliabilityBins() makes bins of equal size by probability", () => {
  const bins = reliabilityBins(answers("0".repeat(40) + "2".repeat(60)));
  assertEquals(bins.map((b) => b.problems), [20, 20, 20, 20, 20]);
  assertEquals(bins.map((b) => b.accuracy), [0, 0, 1, 1, 1]);
  assertAlmostEquals(bins[0]!.confidence, 0.105, 1e-9);
  assertEquals(reliabilityBins(answers("1".repeat(19))), []);
});
